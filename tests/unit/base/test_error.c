/* Tests of src/base/error.c. */
#include "base/error.h"

#include <string.h>

#include "support/tap.h"

static void
test_set(void)
{
	struct error err;

	memset(&err, 'x', sizeof err);
	TAP_INT(error_set(&err, ERR_RETRY, "could not connect to \"%s\": %d", "db", 42), -1);
	TAP_INT(err.kind, ERR_RETRY);
	TAP_STR(err.message, "could not connect to \"db\": 42");
	TAP_STR(err.hint, "");
}

static void
test_set_forgets_the_hint(void)
{
	struct error err;

	error_set(&err, ERR_CONFIG, "first");
	error_hint(&err, "do this");
	error_set(&err, ERR_FATAL, "second");
	TAP_STR(err.hint, "");
}

static void
test_hint(void)
{
	struct error err;

	error_set(&err, ERR_CONFIG, "no table \"%s\"", "t");
	TAP_INT(error_hint(&err, "run \"%s\"", "init"), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_STR(err.message, "no table \"t\"");
	TAP_STR(err.hint, "run \"init\"");
}

static void
test_prefix(void)
{
	struct error err;

	error_set(&err, ERR_POISON, "too large");
	error_hint(&err, "raise the limit");
	TAP_INT(error_prefix(&err, "event %d", 7), -1);
	TAP_INT(err.kind, ERR_POISON);
	TAP_STR(err.message, "event 7: too large");
	TAP_STR(err.hint, "raise the limit");
}

/* An argument may be the very text that is being replaced. */
static void
test_arguments_from_itself(void)
{
	struct error err;

	error_set(&err, ERR_RETRY, "inner");
	error_set(&err, ERR_FATAL, "outer: %s", err.message);
	TAP_STR(err.message, "outer: inner");
	error_hint(&err, "see \"%s\"", err.message);
	error_hint(&err, "%s again", err.hint);
	TAP_STR(err.hint, "see \"outer: inner\" again");
	error_prefix(&err, "%s", err.message);
	TAP_STR(err.message, "outer: inner: outer: inner");
}

static void
test_long_text_is_cut(void)
{
	char text[2000];
	struct error err;

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	error_set(&err, ERR_RETRY, "%s", text);
	TAP_INT(strlen(err.message), sizeof err.message - 1);
	error_hint(&err, "%s", text);
	TAP_INT(strlen(err.hint), sizeof err.hint - 1);
	error_prefix(&err, "where");
	TAP_INT(strlen(err.message), sizeof err.message - 1);
	TAP_INT(strncmp(err.message, "where: aaa", 10), 0);
	error_prefix(&err, "%s", text);
	TAP_INT(strlen(err.message), sizeof err.message - 1);
	TAP_INT(strchr(err.message, ':') == NULL, 1);
}

/* The euro sign has three bytes: whatever the offset, only whole ones are kept. */
static void
test_cut_keeps_characters_whole(void)
{
	char text[2000];
	struct error err;

	for (size_t shift = 0; shift < 3; shift++) {
		memset(text, 'a', shift);
		for (size_t i = shift; i + 3 < sizeof text; i += 3)
			strcpy(text + i, "\xe2\x82\xac");
		error_set(&err, ERR_RETRY, "%s", text);
		size_t len = strlen(err.message);
		TAP_INT((len - shift) % 3, 0);
		TAP_INT(len > sizeof err.message - 4, 1);
		error_hint(&err, "%s", text);
		TAP_INT((strlen(err.hint) - shift) % 3, 0);
	}
}

static void
test_exact_fit_is_not_cut(void)
{
	char text[sizeof((struct error *)NULL)->message];
	struct error err;

	memset(text, 'a', sizeof text);
	strcpy(text + sizeof text - 4, "\xe2\x82\xac");
	error_set(&err, ERR_RETRY, "%s", text);
	TAP_STR(err.message, text);
}

static void
test_kind_names(void)
{
	TAP_STR(error_kind_name(ERR_CONFIG), "config");
	TAP_STR(error_kind_name(ERR_RETRY), "retry");
	TAP_STR(error_kind_name(ERR_POISON), "poison");
	TAP_STR(error_kind_name(ERR_FATAL), "fatal");
}

static void
test_exit_status(void)
{
	TAP_INT(error_exit_status(ERR_CONFIG), 78);
	TAP_INT(error_exit_status(ERR_RETRY), 75);
	TAP_INT(error_exit_status(ERR_POISON), 70);
	TAP_INT(error_exit_status(ERR_FATAL), 70);
}

int
main(void)
{
	tap_suite("error");
	tap_test("set fills kind and message", test_set);
	tap_test("set forgets an older hint", test_set_forgets_the_hint);
	tap_test("hint keeps kind and message", test_hint);
	tap_test("prefix keeps kind and hint", test_prefix);
	tap_test("arguments may come from the error itself", test_arguments_from_itself);
	tap_test("a long text is cut", test_long_text_is_cut);
	tap_test("a cut keeps characters whole", test_cut_keeps_characters_whole);
	tap_test("a text that just fits is kept", test_exact_fit_is_not_cut);
	tap_test("names of the kinds", test_kind_names);
	tap_test("exit statuses", test_exit_status);
	return tap_run();
}
