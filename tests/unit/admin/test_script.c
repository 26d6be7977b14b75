/* test_script.c - psql's variables, without psql. */
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/script.h"
#include "admin/texts.h"
#include "support/tap.h"

static const struct script_variable variables[] = {
	{"table", "outbox"},  {"odd", "a\"b'c\\d"}, {"n", "4"}, {"empty", ""}, {"_x1", "under"}, {"tab", "short"},
};

static void
expect(const char *text, const char *expected)
{
	struct buf out = BUF_INIT;
	struct error err = {0};

	TAP_INT(script_fill(text, variables, sizeof(variables) / sizeof(variables[0]), &out, &err), 0);
	TAP_STR(buf_str(&out), expected);
	buf_done(&out);
}

static void
expect_failure(const char *text, const char *message)
{
	struct buf out = BUF_INIT;
	struct error err = {0};

	TAP_INT(script_fill(text, variables, sizeof(variables) / sizeof(variables[0]), &out, &err), -1);
	TAP_INT(err.kind, ERR_FATAL);
	TAP_STR(err.message, message);
	buf_done(&out);
}

static void
test_kinds(void)
{
	expect("", "");
	expect("SELECT 1", "SELECT 1");
	expect(":\"table\"", "\"outbox\"");
	expect(":'table'", "'outbox'");
	expect(":table", "outbox");
	expect("x:n", "x4");
	expect(":n:n", "44");
	expect("a :empty b:empty", "a  b");
	expect(":\"empty\":'empty'", "\"\"''");
	expect(":_x1", "under");
	expect(":tab,:table", "short,outbox");
}

static void
test_quoting(void)
{
	expect(":\"odd\"", "\"a\"\"b'c\\d\"");
	expect(":'odd'", " E'a\"b''c\\\\d'");
	expect(":odd", "a\"b'c\\d");
}

static void
test_casts(void)
{
	expect(":\"table\"::text", "\"outbox\"::text");
	expect("a::n", "a::n");
	expect(":n::int", "4::int");
	expect(":n:: :n", "4:: 4");
	expect("a : b", "a : b");
	expect("a := 1", "a := 1");
	expect(":", ":");
}

static void
test_verbatim(void)
{
	expect("':n' :n", "':n' 4");
	expect("'it''s :n' :n", "'it''s :n' 4");
	expect("\":n\" :n", "\":n\" 4");
	expect("-- :n '\n:n", "-- :n '\n4");
	expect("-- :n", "-- :n");
	expect("/* :n /* :n */ :n */ :n", "/* :n /* :n */ :n */ 4");
	expect("/*/ :n */ :n", "/*/ :n */ 4");
	expect("/* :n", "/* :n");
	expect("$$ :n $$ :n", "$$ :n $$ 4");
	expect("$a$ :n $$ :n $b$ :n $a$ :n", "$a$ :n $$ :n $b$ :n $a$ 4");
	expect("$1 :n $2", "$1 4 $2");
	expect("$a$ :n", "$a$ :n");
	expect("':n", "':n");
	expect("a - b / c :n", "a - b / c 4");
}

static void
test_failures(void)
{
	expect_failure(":nobody", "nobody gave variable \"nobody\" of an SQL text");
	expect_failure(":\"nobody\"", "nobody gave variable \"nobody\" of an SQL text");
	expect_failure(":tabl", "nobody gave variable \"tabl\" of an SQL text");
	expect_failure(":tables", "nobody gave variable \"tables\" of an SQL text");
	expect_failure(":\"table", "a variable of an SQL text does not end: \":\"table\"");
	expect_failure(":'table\"", "a variable of an SQL text does not end: \":'table\"");
	expect_failure(":'", "a variable of an SQL text does not end: \":'\"");
}

/* The embedded texts arrived whole: first comment, last statement, quotes and tabs. */
static void
test_texts(void)
{
	struct buf whole = BUF_INIT;
	char path[512], line[512];
	const char *srcdir = getenv("srcdir");
	FILE *f;

	snprintf(path, sizeof(path), "%s/sql/schema.sql", srcdir != NULL ? srcdir : ".");
	f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (fgets(line, sizeof(line), f) != NULL)
		buf_add_str(&whole, line);
	fclose(f);
	TAP_STR(text_schema, buf_str(&whole));
	buf_done(&whole);
	TAP_HAS(text_claim_index, "(pgoutbox.lane(:\"key\"::text, :lanes), :\"id\") :unsent;\n");
}

int
main(void)
{
	tap_suite("script");
	tap_test("three kinds of reference", test_kinds);
	tap_test("values are quoted", test_quoting);
	tap_test("casts and lone colons stay", test_casts);
	tap_test("strings, comments and bodies stay", test_verbatim);
	tap_test("unknown and unfinished variables are errors", test_failures);
	tap_test("embedded texts are the files", test_texts);
	return tap_run();
}
