/* Tests of src/base/utf8.c. */
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#include "support/tap.h"

/* In memory of the exact size, so that a sanitizer sees a read beyond it. */
static size_t
char_of(const char *s, size_t len)
{
	char *copy = malloc(len == 0 ? 1 : len);
	size_t n;

	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	memcpy(copy, s, len);
	n = utf8_char(copy, len);
	free(copy);
	return n;
}

static void
test_well_formed(void)
{
	TAP_INT(char_of("a", 1), 1);
	TAP_INT(char_of("\0", 1), 1);
	TAP_INT(char_of("\x7f", 1), 1);
	TAP_INT(char_of("\xc2\x80", 2), 2);
	TAP_INT(char_of("\xdf\xbf", 2), 2);
	TAP_INT(char_of("\xe0\xa0\x80", 3), 3);
	TAP_INT(char_of("\xe2\x82\xac", 3), 3);
	TAP_INT(char_of("\xed\x9f\xbf", 3), 3);
	TAP_INT(char_of("\xee\x80\x80", 3), 3);
	TAP_INT(char_of("\xf0\x90\x80\x80", 4), 4);
	TAP_INT(char_of("\xf4\x8f\xbf\xbf", 4), 4);
	TAP_INT(char_of("\xe2\x82\xac\xe2", 4), 3);
}

static void
test_malformed(void)
{
	TAP_INT(char_of("", 0), 0);
	TAP_INT(char_of("\x80", 1), 0);
	TAP_INT(char_of("\xbf\x80", 2), 0);
	TAP_INT(char_of("\xc0\x80", 2), 0);
	TAP_INT(char_of("\xc1\xbf", 2), 0);
	TAP_INT(char_of("\xe0\x9f\xbf", 3), 0);
	TAP_INT(char_of("\xed\xa0\x80", 3), 0);
	TAP_INT(char_of("\xf0\x8f\xbf\xbf", 4), 0);
	TAP_INT(char_of("\xf4\x90\x80\x80", 4), 0);
	TAP_INT(char_of("\xf5\x80\x80\x80", 4), 0);
	TAP_INT(char_of("\xff", 1), 0);
	TAP_INT(char_of("\xe2", 1), 0);
	TAP_INT(char_of("\xe2\x82", 2), 0);
	TAP_INT(char_of("\xe2\x82\x41", 3), 0);
	TAP_INT(char_of("\xe2\x41\x80", 3), 0);
	TAP_INT(char_of("\xf0\x90\x80", 3), 0);
	TAP_INT(char_of("\xf0\x90\x80\xc0", 4), 0);
}

static void
test_whole(void)
{
	TAP_INT(utf8_whole("", 0), 0);
	TAP_INT(utf8_whole("abc", 3), 3);
	TAP_INT(utf8_whole("a\xe2\x82\xac", 4), 4);
	TAP_INT(utf8_whole("a\xe2\x82", 3), 1);
	TAP_INT(utf8_whole("a\xe2", 2), 1);
	TAP_INT(utf8_whole("\xf0\x90\x80", 3), 0);
	TAP_INT(utf8_whole("\xf0\x90\x80\x80", 4), 4);
	TAP_INT(utf8_whole("\xc3", 1), 0);
}

/* Bytes that never began a character were not cut either. */
static void
test_whole_keeps_what_is_broken_anyway(void)
{
	TAP_INT(utf8_whole("\x80", 1), 1);
	TAP_INT(utf8_whole("a\x80\x80\x80\x80", 5), 5);
	TAP_INT(utf8_whole("\xff", 1), 1);
	TAP_INT(utf8_whole("\xe0\x80", 2), 2);
	TAP_INT(utf8_whole("\xc3\xa9\xa9", 3), 3);
}

int
main(void)
{
	tap_suite("utf8");
	tap_test("well-formed characters", test_well_formed);
	tap_test("malformed ones", test_malformed);
	tap_test("a cut end is left out", test_whole);
	tap_test("other broken bytes stay", test_whole_keeps_what_is_broken_anyway);
	return tap_run();
}
