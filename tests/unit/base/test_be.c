/* Tests of big-endian numbers. */
#include "base/be.h"

#include "support/tap.h"

static const char bytes[] = "\x7f\xff\x01\x02\x03\x04\x05\x06\x80";

static void
test_unaligned(void)
{
	CU_ASSERT_EQUAL(be64(bytes), 0x7fff010203040506U);
	CU_ASSERT_EQUAL(be64(bytes + 1), 0xff01020304050680U);
	CU_ASSERT_EQUAL(be32(bytes), 0x7fff0102U);
	CU_ASSERT_EQUAL(be32(bytes + 5), 0x04050680U);
	CU_ASSERT_EQUAL(be16(bytes + 7), 0x0680U);
}

int
main(void)
{
	tap_suite("be");
	tap_test("numbers are read from wherever they lie", test_unaligned);
	return tap_run();
}
