/* Tests of src/config/quote.c: what a message and a YAML scalar make of any bytes. */
#include <string.h>

#include "config/quote.h"
#include "support/tap.h"

static void
shows(const char *text, const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	quote_value(&out, text);
	TAP_STR(buf_str(&out), expected);
}

static void
writes(const char *text, const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	quote_yaml(&out, text);
	TAP_STR(buf_str(&out), expected);
}

static void
test_decode(void)
{
	uint32_t point = 7;

	TAP_INT(quote_decode(slice_from("a"), 0, &point), 1);
	TAP_INT(point, 'a');
	TAP_INT(quote_decode(slice_from("x\xC3\xA9"), 1, &point), 2);
	TAP_INT(point, 0xE9);
	TAP_INT(quote_decode(slice_from("\xE2\x82\xAC"), 0, &point), 3);
	TAP_INT(point, 0x20AC);
	TAP_INT(quote_decode(slice_from("\xF0\x9F\x98\x80"), 0, &point), 4);
	TAP_INT(point, 0x1F600);
	TAP_INT(quote_decode(slice_from("\xE2\x82"), 0, &point), 0);
	TAP_INT(quote_decode(slice_from("\xFF"), 0, &point), 0);
	TAP_INT(point, 0x1F600);
}

static void
test_printable(void)
{
	CU_ASSERT(quote_is_printable('\t') && quote_is_printable('\n') && quote_is_printable('\r'));
	CU_ASSERT(quote_is_printable(' ') && quote_is_printable('~') && quote_is_printable(0x85));
	CU_ASSERT(quote_is_printable(0xA0) && quote_is_printable(0x10FFFF));
	CU_ASSERT(!quote_is_printable(0) && !quote_is_printable(0x1F) && !quote_is_printable(0x7F));
	CU_ASSERT(!quote_is_printable(0x9F) && !quote_is_printable(0xFEFF) && !quote_is_printable(0xFFFE));
}

static void
test_value(void)
{
	char exact[61], longer[62];

	shows("", "\"\"");
	shows("caf\xC3\xA9 \"x\" \\", "\"caf\xC3\xA9 \"x\" \\\"");
	shows("a\nb\tc\x01", "\"a\\nb\\tc\\x01\"");
	shows("\xFF\xE2\x80\xA8", "\"\\xFF\\u2028\"");
	memset(exact, 'x', 60);
	exact[60] = '\0';
	memset(longer, 'x', 61);
	longer[61] = '\0';
	shows(exact, "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"");
	shows(longer, "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"");
}

static void
test_yaml(void)
{
	writes("", "\"\"");
	writes("${topic}: #1", "\"${topic}: #1\"");
	writes("a\"b\\c", "\"a\\\"b\\\\c\"");
	writes("\n\t\r\x01\x7F", "\"\\n\\t\\x0D\\x01\\x7F\"");
	writes("\xC2\x85\xE2\x80\xA9\xEF\xBB\xBF", "\"\\x85\\u2029\\uFEFF\"");
	writes("\xC3\xA9\xF0\x9F\x98\x80", "\"\xC3\xA9\xF0\x9F\x98\x80\"");
}

int
main(void)
{
	tap_suite("quote");
	tap_test("characters are decoded, what is none is not", test_decode);
	tap_test("what YAML lets stand in a file", test_printable);
	tap_test("values in messages are harmless and short", test_value);
	tap_test("scalars are escaped as YAML reads them", test_yaml);
	return tap_run();
}
