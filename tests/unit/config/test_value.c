/* Tests of src/config/value.c: numbers at their limits, units, words; each value printed reads back. */
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/value.h"
#include "support/tap.h"

static const struct choice choices[] = {{"mark", 3}, {"delete", -1}, {NULL, 0}};

struct fields {
	char *string;
	int64_t number;
	bool flag;
	int chosen;
};

static const struct option string = {.kind = OPTION_STRING, .name = "string", .needed = true, .example = "x"};
static const struct option optional = {.kind = OPTION_STRING};
static const struct option integer = {
	.kind = OPTION_INTEGER, .offset = offsetof(struct fields, number), .min = 1, .max = 100000, .unit = "rows"};
static const struct option huge = {
	.kind = OPTION_INTEGER, .offset = offsetof(struct fields, number), .min = 0, .max = INT64_MAX, .unit = "ids"};
static const struct option duration = {
	.kind = OPTION_DURATION, .offset = offsetof(struct fields, number), .min = 2, .max = 864000000, .never = true,
	.fallback = "7d", .when = OPTION_RESTART};
static const struct option size = {
	.kind = OPTION_SIZE, .offset = offsetof(struct fields, number), .min = 1, .max = INT64_C(1) << 30,
	.fallback = "8MiB"};
static const struct option boolean = {.kind = OPTION_BOOLEAN, .offset = offsetof(struct fields, flag)};
static const struct option choice = {
	.kind = OPTION_CHOICE, .offset = offsetof(struct fields, chosen), .choices = choices};

static void
reads(const struct option *opt, const char *text, int64_t expected)
{
	struct fields f = {.number = 77};
	struct error err = {0};

	if (value_set(opt, &f, text, &err) < 0)
		TAP_STR(err.message, text);
	TAP_INT(f.number, expected);
}

static void
refuses(const struct option *opt, const char *text, const char *message, const char *hint)
{
	struct fields f = {.number = 77, .flag = true, .chosen = 78};
	struct error err = {0};

	if (value_set(opt, &f, text, &err) == 0) {
		TAP_STR(text, "refused");
		return;
	}
	TAP_STR(err.message, message);
	TAP_STR(err.hint, hint);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_INT(f.number, 77);
	CU_ASSERT(f.flag && f.chosen == 78 && f.string == NULL);
}

static void
test_integers(void)
{
	reads(&integer, "1", 1);
	reads(&integer, "100000", 100000);
	reads(&huge, "0", 0);
	reads(&huge, "9223372036854775807", INT64_MAX);
	refuses(&integer, "0", "0 is outside 1..100000 rows", "");
	refuses(&integer, "100001", "100001 is outside 1..100000 rows", "");
	refuses(&integer, "-5", "-5 is outside 1..100000 rows", "");
	refuses(&integer, "9223372036854775808", "9223372036854775808 is outside 1..100000 rows", "");
	refuses(&integer, "", "\"\" is not a whole number", "");
	refuses(&integer, "-", "\"-\" is not a whole number", "");
	refuses(&integer, "+5", "\"+5\" is not a whole number", "");
	refuses(&integer, " 5", "\" 5\" is not a whole number", "");
	refuses(&integer, "5 ", "\"5 \" is not a whole number", "");
	refuses(&integer, "1.0", "\"1.0\" is not a whole number", "");
	refuses(&integer, "0x10", "\"0x10\" is not a whole number", "");
	refuses(&integer, "1_000", "\"1_000\" is not a whole number", "");
	refuses(&integer, "010", "\"010\" has a leading zero", "");
}

static void
test_durations(void)
{
	reads(&duration, "500ms", 500);
	reads(&duration, "2s", 2000);
	reads(&duration, "5m", 300000);
	reads(&duration, "1h", 3600000);
	reads(&duration, "7d", 604800000);
	reads(&duration, "2ms", 2);
	reads(&duration, "10d", 864000000);
	reads(&duration, "never", CONFIG_NEVER);
	refuses(&duration, "1ms", "1ms is outside 2ms..10d or never", "");
	refuses(&duration, "11d", "11d is outside 2ms..10d or never", "");
	refuses(&duration, "0s", "0s is outside 2ms..10d or never", "");
	/* 2^63 and 2^64 milliseconds, and one more day than fits: none may wrap around into the range. */
	refuses(&duration, "9223372036854775808ms", "9223372036854775808ms is outside 2ms..10d or never", "");
	refuses(&duration, "18446744073709551621ms", "18446744073709551621ms is outside 2ms..10d or never", "");
	refuses(&duration, "213503982335d", "213503982335d is outside 2ms..10d or never", "");
	refuses(&duration, "5", "5 has no unit", "write 5d, 5h, 5m, 5s or 5ms");
	refuses(&duration, "0", "0 has no unit", "write 0d, 0h, 0m, 0s or 0ms");
	refuses(&duration, "5 s", "\"5 s\" has a unit that is not known here", "did you mean \"5s\"?");
	refuses(&duration, "5S", "\"5S\" has a unit that is not known here", "did you mean \"5s\"?");
	refuses(&duration, "5w", "\"5w\" has a unit that is not known here", "the units are ms, s, m, h or d");
	refuses(&duration, "1.5s", "\"1.5s\" is not a duration",
	        "write a whole number and ms, s, m, h or d, for example 7d");
	refuses(&duration, "-2s", "\"-2s\" is not a duration",
	        "write a whole number and ms, s, m, h or d, for example 7d");
}

static void
test_sizes(void)
{
	reads(&size, "1B", 1);
	reads(&size, "64KiB", 65536);
	reads(&size, "8MiB", 8388608);
	reads(&size, "1GiB", 1073741824);
	refuses(&size, "0B", "0B is outside 1B..1GiB", "");
	refuses(&size, "1073741825B", "1073741825B is outside 1B..1GiB", "");
	refuses(&size, "17179869184GiB", "17179869184GiB is outside 1B..1GiB", "");
	refuses(&size, "8MB", "\"8MB\" has a unit that is not known here", "did you mean \"8MiB\"?");
	refuses(&size, "4096", "4096 has no unit", "write 4096GiB, 4096MiB, 4096KiB or 4096B");
	refuses(&size, "never", "\"never\" is not a size",
	        "write a whole number and B, KiB, MiB or GiB, for example 8MiB");
}

static void
test_words(void)
{
	struct fields f = {.chosen = 9};
	struct error err;

	TAP_INT(value_set(&boolean, &f, "true", &err), 0);
	CU_ASSERT(f.flag);
	TAP_INT(value_set(&boolean, &f, "false", &err), 0);
	CU_ASSERT(!f.flag);
	TAP_INT(value_set(&choice, &f, "delete", &err), 0);
	TAP_INT(f.chosen, -1);
	refuses(&boolean, "yes", "\"yes\" is neither true nor false", "");
	refuses(&boolean, "True", "\"True\" is neither true nor false", "");
	refuses(&choice, "marc", "\"marc\" is not mark or delete", "did you mean \"mark\"?");
	refuses(&choice, "truncate", "\"truncate\" is not mark or delete", "");
	refuses(&choice, "", "\"\" is not mark or delete", "");
}

static void
test_strings(void)
{
	struct fields f = {0};
	struct error err;

	TAP_INT(value_set(&string, &f, "one", &err), 0);
	TAP_INT(value_set(&string, &f, "two", &err), 0);
	TAP_STR(f.string, "two");
	TAP_INT(value_set(&string, &f, "", &err), -1);
	TAP_STR(err.message, "must not be empty");
	TAP_STR(err.hint, "for example \"x\"");
	TAP_STR(f.string, "two");
	TAP_INT(value_set(&optional, &f, "", &err), 0);
	TAP_STR(f.string, "");
	free(f.string);
}

static void
prints(const struct option *opt, const char *text)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct fields f = {0};
	struct error err;

	TAP_INT(value_set(opt, &f, text, &err), 0);
	value_print(opt, &f, &out);
	TAP_STR(buf_str(&out), text);
	free(f.string);
}

static void
test_print(void)
{
	prints(&integer, "1000");
	prints(&huge, "9223372036854775807");
	prints(&duration, "7d");
	prints(&duration, "90s");
	prints(&duration, "25h");
	prints(&duration, "1500ms");
	prints(&duration, "never");
	prints(&size, "8MiB");
	prints(&size, "1000B");
	prints(&size, "65KiB");
	prints(&boolean, "true");
	prints(&boolean, "false");
	prints(&choice, "mark");
	prints(&choice, "delete");
	prints(&string, "a \"b\"");
}

static void
facts(const struct option *opt, const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	value_print_facts(opt, &out);
	TAP_STR(buf_str(&out), expected);
}

static void
test_facts(void)
{
	static const struct option required = {
		.kind = OPTION_STRING, .required = true, .example = "x=1", .when = OPTION_RELOAD};

	facts(&integer, "Allowed: 1..100000 rows.");
	facts(&duration, "Allowed: 2ms..10d or never.");
	facts(&required, "Required, for example \"x=1\".");
}

int
main(void)
{
	tap_suite("value");
	tap_test("whole numbers", test_integers);
	tap_test("durations, without overflow", test_durations);
	tap_test("sizes, without overflow", test_sizes);
	tap_test("booleans and choices", test_words);
	tap_test("strings replace each other, and may have to be there", test_strings);
	tap_test("what is printed is what was read", test_print);
	tap_test("facts for people", test_facts);
	return tap_run();
}
