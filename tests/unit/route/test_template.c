/* Templates: which parts a text gives, and what is said of a malformed one. */
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

#include "route/template.h"
#include "support/tap.h"

/* The parts as text: a literal in '', a column in <>. */
static const char *
parts_of(const char *text)
{
	static char shown[512];
	struct template t;
	struct error err;
	size_t n = 0;

	if (template_parse(text, &t, &err) != 0)
		return "failed";
	shown[0] = '\0';
	for (size_t i = 0; i < t.count; i++) {
		const struct template_part *p = &t.parts[i];
		CU_ASSERT_EQUAL(strlen(p->text), p->len);
		CU_ASSERT_EQUAL(p->slot, 0);
		n += (size_t)snprintf(shown + n, sizeof shown - n, p->is_column ? "<%s>" : "'%s'", p->text);
	}
	template_done(&t);
	return shown;
}

static void
expect_error(const char *text, const char *message, const char *hint)
{
	struct template t = {.count = 77};
	struct error err;

	CU_ASSERT_EQUAL_FATAL(template_parse(text, &t, &err), -1);
	CU_ASSERT_EQUAL(err.kind, ERR_CONFIG);
	CU_ASSERT_STRING_EQUAL(err.message, message);
	CU_ASSERT_STRING_EQUAL(err.hint, hint);
	CU_ASSERT_EQUAL(t.count, 77);
}

static void
parts(void)
{
	CU_ASSERT_STRING_EQUAL(parts_of(""), "");
	CU_ASSERT_STRING_EQUAL(parts_of("orders"), "'orders'");
	CU_ASSERT_STRING_EQUAL(parts_of("${a}"), "<a>");
	CU_ASSERT_STRING_EQUAL(parts_of("${a}${b}"), "<a><b>");
	CU_ASSERT_STRING_EQUAL(parts_of("x${a}y${b}z"), "'x'<a>'y'<b>'z'");
	CU_ASSERT_STRING_EQUAL(parts_of("a{b}c}"), "'a{b}c}'");
}

static void
column_names_may_be_odd(void)
{
	CU_ASSERT_STRING_EQUAL(parts_of("${Two Words}"), "<Two Words>");
	CU_ASSERT_STRING_EQUAL(parts_of("${a${b}"), "<a${b>");
	CU_ASSERT_STRING_EQUAL(parts_of("${$$}"), "<$$>");
	CU_ASSERT_STRING_EQUAL(parts_of("${\xc3\xa9}"), "<\xc3\xa9>");
}

static void
dollars(void)
{
	CU_ASSERT_STRING_EQUAL(parts_of("$$"), "'$'");
	CU_ASSERT_STRING_EQUAL(parts_of("a$$b"), "'a$b'");
	CU_ASSERT_STRING_EQUAL(parts_of("$$$$"), "'$$'");
	CU_ASSERT_STRING_EQUAL(parts_of("$${a}"), "'${a}'");
	CU_ASSERT_STRING_EQUAL(parts_of("$$${a}"), "'$'<a>");
	CU_ASSERT_STRING_EQUAL(parts_of("${a}$$"), "<a>'$'");
}

/* The densest texts there are: the room counted for parts and their bytes is just enough (ASan watches). */
static void
dense(void)
{
	CU_ASSERT_STRING_EQUAL(parts_of("a${b}c${d}e${f}g"), "'a'<b>'c'<d>'e'<f>'g'");
	CU_ASSERT_STRING_EQUAL(parts_of("${a}${b}${c}${d}"), "<a><b><c><d>");
	CU_ASSERT_STRING_EQUAL(parts_of("a${b}c"), "'a'<b>'c'");
}

static void
malformed_texts(void)
{
	static const char column_or_dollar[] = "write a column as \"${column}\", and \"$$\" for a dollar sign";

	expect_error("a${b", "template \"a${b\": \"${\" without \"}\" at byte 2", column_or_dollar);
	expect_error("${", "template \"${\": \"${\" without \"}\" at byte 1", column_or_dollar);
	expect_error("ab${}", "template \"ab${}\": \"${}\" names no column at byte 3", "write a column as \"${column}\"");
	expect_error("abc$", "template \"abc$\": \"$\" without \"{\" at byte 4", column_or_dollar);
	expect_error("$a", "template \"$a\": \"$\" without \"{\" at byte 1", column_or_dollar);
	expect_error("${a}-$b", "template \"${a}-$b\": \"$\" without \"{\" at byte 6", column_or_dollar);
	expect_error("$$$", "template \"$$$\": \"$\" without \"{\" at byte 3", column_or_dollar);
}

static void
done_twice(void)
{
	struct template t;
	struct error err;

	CU_ASSERT_EQUAL_FATAL(template_parse("a${b}", &t, &err), 0);
	template_done(&t);
	template_done(&t);
	CU_ASSERT_EQUAL(t.count, 0);
}

int
main(void)
{
	tap_suite("template");
	tap_test("parts", parts);
	tap_test("column names may be odd", column_names_may_be_odd);
	tap_test("dollars", dollars);
	tap_test("dense", dense);
	tap_test("malformed texts", malformed_texts);
	tap_test("done twice", done_twice);
	return tap_run();
}
