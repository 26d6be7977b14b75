/* Tests of src/base/slice.h. */
#include "base/slice.h"

#include "support/tap.h"

static void
test_from(void)
{
	TAP_INT(slice_from("abc").len, 3);
	TAP_INT(slice_from("").len, 0);
	CU_ASSERT(!slice_is_null(slice_from("")));
	CU_ASSERT(slice_is_null(slice_from(NULL)));
	CU_ASSERT(slice_is_null(SLICE_NULL));
}

static void
test_equal(void)
{
	CU_ASSERT(slice_equal(slice_from("abc"), (struct slice){"abcd", 3}));
	CU_ASSERT(!slice_equal(slice_from("abc"), slice_from("abd")));
	CU_ASSERT(!slice_equal(slice_from("abc"), slice_from("ab")));
	CU_ASSERT(!slice_equal((struct slice){"a\0b", 3}, (struct slice){"a\0c", 3}));
	CU_ASSERT(slice_equal((struct slice){"x", 0}, (struct slice){"y", 0}));
}

static void
test_null_equals_only_null(void)
{
	CU_ASSERT(slice_equal(SLICE_NULL, SLICE_NULL));
	CU_ASSERT(!slice_equal(SLICE_NULL, slice_from("")));
	CU_ASSERT(!slice_equal(slice_from(""), SLICE_NULL));
}

int
main(void)
{
	tap_suite("slice");
	tap_test("from a string", test_from);
	tap_test("equal compares all bytes", test_equal);
	tap_test("NULL equals only NULL", test_null_equals_only_null);
	return tap_run();
}
