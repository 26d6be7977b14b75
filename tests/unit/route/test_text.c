/* What text_shown() lets through into messages. */
#include <CUnit/CUnit.h>

#include "route/text.h"
#include "support/tap.h"

static struct text_shown
shown(const char *data, size_t len)
{
	return text_shown((struct slice){data, len});
}

static void
printable_stays(void)
{
	CU_ASSERT_STRING_EQUAL(shown("orders.v1 ~!", 12).text, "orders.v1 ~!");
	CU_ASSERT_STRING_EQUAL(shown("", 0).text, "");
}

static void
the_rest_is_escaped(void)
{
	CU_ASSERT_STRING_EQUAL(shown("a\0b", 3).text, "a\\x00b");
	CU_ASSERT_STRING_EQUAL(shown("\n\x1f\x7f", 3).text, "\\x0a\\x1f\\x7f");
	CU_ASSERT_STRING_EQUAL(shown("\xc3\xa9\xff", 3).text, "\\xc3\\xa9\\xff");
	CU_ASSERT_STRING_EQUAL(shown("\"\\", 2).text, "\\x22\\x5c");
}

static void
long_names_are_cut(void)
{
	char name[300];

	memset(name, 'x', sizeof name);
	struct text_shown cut = shown(name, sizeof name);
	CU_ASSERT(strlen(cut.text) < TEXT_SHOWN_SIZE);
	CU_ASSERT(strlen(cut.text) > 100);
	CU_ASSERT_STRING_EQUAL(cut.text + strlen(cut.text) - 4, "x...");

	memset(name, '\n', sizeof name);
	cut = shown(name, sizeof name);
	CU_ASSERT(strlen(cut.text) < TEXT_SHOWN_SIZE);
	CU_ASSERT_STRING_EQUAL(cut.text + strlen(cut.text) - 7, "\\x0a...");
}

/* The longest that is not cut, and one byte more, for each way the room can run out. */
static void
cut_happens_only_when_needed(void)
{
	char name[TEXT_SHOWN_SIZE];

	memset(name, 'x', sizeof name);
	for (size_t len = 0; len < sizeof name; len++) {
		struct text_shown s = shown(name, len);
		bool cut = strstr(s.text, "...") != NULL;
		CU_ASSERT_EQUAL(cut, len > TEXT_SHOWN_SIZE - 7);
		if (!cut)
			CU_ASSERT_EQUAL(strlen(s.text), len);
	}
}

int
main(void)
{
	tap_suite("text");
	tap_test("printable stays", printable_stays);
	tap_test("the rest is escaped", the_rest_is_escaped);
	tap_test("long names are cut", long_names_are_cut);
	tap_test("cut happens only when needed", cut_happens_only_when_needed);
	return tap_run();
}
