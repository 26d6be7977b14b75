/* test_verb.c - what all verbs share: numbers in arguments, and a table that people can be helped by. */
#include "ctl/verb.h"

#include <string.h>

#include "support/tap.h"

static void
test_numbers(void)
{
	CU_ASSERT(verb_number("1", 10) == 1);
	CU_ASSERT(verb_number("10", 10) == 10);
	CU_ASSERT(verb_number("007", 10) == 7);
	CU_ASSERT(verb_number("9223372036854775807", INT64_MAX) == INT64_MAX);
	CU_ASSERT(verb_number("9223372036854775808", INT64_MAX) == -1);
	CU_ASSERT(verb_number("11", 10) == -1);
	CU_ASSERT(verb_number("0", 10) == -1);
	CU_ASSERT(verb_number("-1", 10) == -1);
	CU_ASSERT(verb_number("+1", 10) == -1);
	CU_ASSERT(verb_number(" 1", 10) == -1);
	CU_ASSERT(verb_number("1 ", 10) == -1);
	CU_ASSERT(verb_number("1e1", 10) == -1);
	CU_ASSERT(verb_number("0x1", 10) == -1);
	CU_ASSERT(verb_number("", 10) == -1);
}

static void
test_durations(void)
{
	TAP_INT(verb_duration_ms("0s"), 0);
	TAP_INT(verb_duration_ms("500ms"), 500);
	TAP_INT(verb_duration_ms("30s"), 30000);
	TAP_INT(verb_duration_ms("5m"), 300000);
	TAP_INT(verb_duration_ms("1000h"), INT64_C(3600000000));
	TAP_INT(verb_duration_ms("1001h"), -1);
	TAP_INT(verb_duration_ms("999999999h"), -1);
	TAP_INT(verb_duration_ms("9999999999s"), -1);
	TAP_INT(verb_duration_ms("30"), -1);
	TAP_INT(verb_duration_ms("s"), -1);
	TAP_INT(verb_duration_ms("-1s"), -1);
	TAP_INT(verb_duration_ms("1 s"), -1);
	TAP_INT(verb_duration_ms("1sec"), -1);
}

static void
test_table(void)
{
	for (size_t i = 0; i < verbs_count; i++) {
		const struct verb *v = &verbs[i];

		CU_ASSERT(strlen(v->name) <= 13);
		CU_ASSERT(v->help[strlen(v->help) - 1] == '\n');
		CU_ASSERT_PTR_NOT_NULL(v->run);
		for (const char *o = v->options; *o != '\0'; o++) {
			CU_ASSERT_PTR_NULL(strchr(o + 1, *o));
			CU_ASSERT_PTR_NOT_NULL(arguments_row(*o));
			CU_ASSERT_PTR_NULL(strchr("cohV", *o));
		}
		for (size_t j = 0; j < i; j++)
			CU_ASSERT(strcmp(verbs[j].name, v->name) != 0);
	}
}

static void
expect_found(const char *first, const char *second, const char *name, int left)
{
	char *words[] = {(char *)(uintptr_t)first, (char *)(uintptr_t)second, NULL};
	struct arguments args = {.operands = words, .operands_count = second != NULL ? 2 : 1};
	const struct verb *v = verb_find(&args);

	TAP_STR(v != NULL ? v->name : NULL, name);
	TAP_INT(args.operands_count, left);
}

static void
test_find(void)
{
	expect_found("init", NULL, "init", 0);
	expect_found("init", "x", "init", 1);
	expect_found("parked", "list", "parked list", 0);
	expect_found("parked", NULL, NULL, 1);
	expect_found("parked", "lis", NULL, 2);
	expect_found("parked list", NULL, NULL, 1);
	expect_found("ini", NULL, NULL, 1);
	expect_found("", NULL, NULL, 1);
}

int
main(void)
{
	tap_suite("verb");
	tap_test("numbers", test_numbers);
	tap_test("durations", test_durations);
	tap_test("the table", test_table);
	tap_test("verbs of one word and of two", test_find);
	return tap_run();
}
