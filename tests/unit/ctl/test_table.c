/* test_table.c - rows for people: widths, what is missing, and what could harm a terminal. */
#include "ctl/table.h"

#include <stdlib.h>

#include "support/tap.h"

static const char *const titles[] = {"ID", "KEY", "REASON"};

static void
check(const struct table *t, const char *wanted)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	TAP_INT(table_print(t, out), 0);
	fclose(out);
	TAP_STR(text, wanted);
	free(text);
}

static void
test_widths(void)
{
	struct table t __attribute__((cleanup(table_done))) = TABLE_INIT(titles);

	check(&t, "ID  KEY  REASON\n");
	table_add(&t, (const char *const[]){"1", "a", "too large"});
	table_add(&t, (const char *const[]){"1000", NULL, ""});
	table_add(&t, (const char *const[]){"2", "stra\303\237e", "no"});
	check(&t, "ID    KEY     REASON\n"
	          "1     a       too large\n"
	          "1000  -       -\n"
	          "2     stra\303\237e  no\n");
}

static void
test_harmless(void)
{
	struct table t __attribute__((cleanup(table_done))) = TABLE_INIT(titles);

	table_add(&t, (const char *const[]){"1", "\033[2J\n\t\177", "\302\233 \377\303 \342\202\254"});
	check(&t, "ID  KEY                  REASON\n"
	          "1   \\x1B[2J\\x0A\\x09\\x7F  \\xC2\\x9B \\xFF\\xC3 \342\202\254\n");
}

static void
test_no_memory(void)
{
	struct table t __attribute__((cleanup(table_done))) = TABLE_INIT(titles);

	t.cells.failed = true;
	TAP_INT(table_print(&t, stdout), -1);
}

int
main(void)
{
	tap_suite("table");
	tap_test("columns are as wide as they need to be", test_widths);
	tap_test("nothing moves the cursor", test_harmless);
	tap_test("no memory", test_no_memory);
	return tap_run();
}
