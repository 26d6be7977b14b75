/* Tests of src/base/siphash.c: the examples of its authors, whose key and text are the bytes 0, 1, 2 and so on. */
#include "base/siphash.h"

#include <endian.h>
#include <stdio.h>

#include "support/tap.h"

static const struct siphash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};

static struct slice
text_of(size_t len)
{
	static char text[64];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)i;
	return (struct slice){text, len};
}

/* As the authors print them: byte by byte. */
static const char *
wide(size_t len)
{
	static char hex[33];
	uint64_t hash[2];

	siphash_128(&key, text_of(len), hash);
	snprintf(hex, sizeof(hex), "%016llx%016llx", (unsigned long long)htobe64(htole64(hash[0])),
	         (unsigned long long)htobe64(htole64(hash[1])));
	return hex;
}

static void
sixty_four_bits(void)
{
	CU_ASSERT_EQUAL(siphash_64(&key, text_of(15)), UINT64_C(0xa129ca6149be45e5)); /* of the paper */
	CU_ASSERT_EQUAL(siphash_64(&key, text_of(0)), UINT64_C(0x726fdb47dd0e0e31));
}

static void
a_hundred_and_twenty_eight_bits(void)
{
	TAP_STR(wide(0), "a3817f04ba25a8e66df67214c7550293");
	TAP_STR(wide(1), "da87c1d86b99af44347659119b22fc45");
}

static void
each_byte_counts(void)
{
	char text[40] = {0};
	uint64_t plain = siphash_64(&key, (struct slice){text, sizeof(text)});

	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = 1;
		CU_ASSERT_NOT_EQUAL(siphash_64(&key, (struct slice){text, sizeof(text)}), plain);
		text[i] = 0;
	}
	CU_ASSERT_NOT_EQUAL(siphash_64(&key, (struct slice){text, sizeof(text) - 1}), plain);
}

int
main(void)
{
	tap_suite("siphash");
	tap_test("64 bits", sixty_four_bits);
	tap_test("128 bits", a_hundred_and_twenty_eight_bits);
	tap_test("each byte counts", each_byte_counts);
	return tap_run();
}
