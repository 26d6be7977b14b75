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

/* One long key does not push the others out of sight, and what is cut ends between characters. */
static void
test_long(void)
{
	struct table t __attribute__((cleanup(table_done))) = TABLE_INIT(titles);
	char text[200], wanted[400];
	struct buf e __attribute__((cleanup(buf_done))) = BUF_INIT;

	for (int i = 0; i < 41; i++)
		buf_add_str(&e, "\303\251");
	snprintf(text, sizeof(text), "%s", buf_str(&e));
	table_add(&t, (const char *const[]){"1", text, text});
	snprintf(wanted, sizeof(wanted), "ID  KEY%*s  REASON\n1   %.74s...  %s\n", 37, "", text, text);
	check(&t, wanted);
	TAP_INT(table_width(text), 41);
	table_done(&t);
	t = TABLE_INIT(titles);
	text[80] = '\0';
	table_add(&t, (const char *const[]){"1", text, "r"});
	snprintf(wanted, sizeof(wanted), "ID  KEY%*s  REASON\n1   %s  r\n", 37, "", text);
	check(&t, wanted);
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
	tap_test("what is long is cut", test_long);
	tap_test("no memory", test_no_memory);
	return tap_run();
}
