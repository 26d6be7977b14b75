/* test_redact.c - secrets in librdkafka's words: whole, in part, and what only looks like one. */
#include <stdlib.h>
#include <string.h>

static int calloc_fails, strdup_fails;

#define calloc(count, size) (calloc_fails ? NULL : calloc(count, size))
#define strdup(text) (strdup_fails-- == 1 ? NULL : strdup(text))
#include "sink/redact.c"
#undef calloc
#undef strdup

#include "support/tap.h"

static struct redact r;
static struct error err;

static void
begin(void)
{
	static const struct producer_property properties[] = {{"sasl.username", "relay"},
		{"sasl.password", "hunter2"},
		{"sasl.oauthbearer.config", "principal=relay scope=hunter3"},
		{"ssl.key.password", "abc"},
		{"sasl.oauthbearer.client.secret", "hunter2000"}};

	TAP_INT_FATAL(redact_init(&r, properties, sizeof properties / sizeof properties[0], &err), 0);
	TAP_INT(r.count, 3);
}

static void
end(void)
{
	redact_done(&r);
	redact_done(&r);
}

static void
says(const char *text, const char *expected)
{
	char out[128];

	redact_copy(&r, text, out, sizeof out);
	TAP_STR(out, expected);
}

static void
test_whole(void)
{
	says("", "");
	says("relay may not enter", "relay may not enter");
	says("hunter2", "***");
	says("echo hunter2 | kinit, hunter2", "echo *** | kinit, ***");
	says("hunter2hunter2", "******");
	says("the longest wins: hunter2000", "the longest wins: ***");
	says("hunter 2 abc", "hunter 2 abc");
	says("unhunter2ed", "un***ed");
}

/* From the middle of a value to its end, or to where the line was cut. */
static void
test_parts(void)
{
	says("beginning at:scope=hunter3 (bad)", "beginning at:*** (bad)");
	says("beginning at: relay scope=hun", "beginning at: ***");
	says("principal=relay sc", "***");
	says("relay scope=other", "relay scope=other");
	says("=hunter3", "***");
	says("hunter3", "hunter3");
}

static void
test_size(void)
{
	char out[8];

	redact_copy(&r, "0123456789", out, sizeof out);
	TAP_STR(out, "0123456");
	redact_copy(&r, "012345hunter2", out, sizeof out);
	TAP_STR(out, "012345*");
	redact_copy(&r, "0123hunter2", out, sizeof out);
	TAP_STR(out, "0123***");
}

static void
test_nothing_to_hide(void)
{
	struct redact none = {.secrets = NULL};
	char out[16];

	redact_copy(&none, "hunter2", out, sizeof out);
	TAP_STR(out, "hunter2");
	redact_done(&none);
}

static void
test_no_memory(void)
{
	static const struct producer_property two[] = {{"sasl.password", "hunter2"}, {"ssl.key.password", "hunter3"}};
	struct redact fresh;

	calloc_fails = 1;
	TAP_INT(redact_init(&fresh, two, 2, &err), -1);
	TAP_INT(err.kind, ERR_RETRY);
	calloc_fails = 0;
	for (int nth = 1; nth <= 2; nth++) {
		strdup_fails = nth;
		TAP_INT(redact_init(&fresh, two, 2, &err), -1);
		TAP_INT(fresh.count, 0);
	}
	strdup_fails = 0;
}

int
main(void)
{
	tap_suite_fixture("redact", begin, end);
	tap_test("whole secrets are replaced", test_whole);
	tap_test("so is the rest of one", test_parts);
	tap_test("the copy is cut to its size", test_size);
	tap_test("where there is no secret, all is said", test_nothing_to_hide);
	tap_test("no memory", test_no_memory);
	return tap_run();
}
