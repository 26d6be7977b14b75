/* Tests of src/hook/: what arrives at a receiver that takes it, and what becomes of it at one that does not. */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "hook/webhook.h"
#include "support/receiver.h"
#include "support/tap.h"

#define SECRET "it's a secret"

static struct receiver receiver;
static struct log log_;
static struct webhook *w;

static void
start(enum receiver_manner how, int64_t timeout_ms)
{
	struct webhook_options opt = {.url = receiver.url, .secret = SECRET, .ca_file = "", .timeout_ms = timeout_ms,
	                              .kinds = ~(1U << WEBHOOK_STARTED), .version = "1", .log = &log_};
	struct error err;

	receiver.manner = how;
	TAP_INT_FATAL(webhook_new(&opt, &w, &err), 0);
}

static void
setup(void)
{
	w = NULL;
	log_init(&log_, STDERR_FILENO, -1, LOG_FORMAT_LOGFMT);
	receiver_start(&receiver);
}

static void
teardown(void)
{
	webhook_free(w, 2000000);
	receiver_stop(&receiver);
}

static void
tell(const char *reason)
{
	webhook_tell(w, WEBHOOK_NEWS(WEBHOOK_OUTAGE_END, .outbox = "o", .side = "kafka", .reason = reason, .duration_ms = 12, .backlog = 7));
}

/* Waits until so much has become of it. */
#define AWAIT(field, n) \
	do { \
		int64_t until_us_ = clock_mono_us() + 30000000; \
		while (webhook_counts(w).field < (n) && clock_mono_us() < until_us_) \
			usleep(5000); \
		TAP_INT(webhook_counts(w).field, (n)); \
	} while (0)

static void
test_signed(void)
{
	start(TAKES, 5000);
	webhook_tell(w, WEBHOOK_NEWS(WEBHOOK_STARTED, .reason = "not asked for"));
	tell("a \"b\" \\ \n \xff");
	AWAIT(delivered, 1);
	TAP_HAS_FATAL(receiver.kept[0], "POST /x?token=hidden HTTP/1.1\r\n");
	TAP_HAS(receiver.kept[0], "\"event\":\"outage-end\",\"time\":\"2");
	TAP_HAS(receiver.kept[0], "\"outbox\":\"o\",\"side\":\"kafka\",\"reason\":\"a \\u0022b\\u0022 \\u005c \\u000a \\ufffd\",\"duration_ms\":12,\"backlog\":7}");
	CU_ASSERT_TRUE(receiver_signed(&receiver, 0, SECRET));
	CU_ASSERT_FALSE(receiver_signed(&receiver, 0, "another"));
}

static void
test_tried_again(void)
{
	start(FAILS, 5000);
	tell("x");
	AWAIT(failed, 1);
	receiver.manner = TAKES;
	AWAIT(delivered, 1);
	TAP_INT(webhook_counts(w).refused + webhook_counts(w).dropped, 0);
}

static void
test_redirect_is_not_followed(void)
{
	start(REDIRECTS, 5000);
	tell("x");
	AWAIT(refused, 1);
	TAP_INT(receiver.requests, 1);
}

static void
test_flood_is_bounded(void)
{
	start(FLOODS, 5000);
	tell("x");
	AWAIT(delivered, 1);
}

/* Whoever tells is not held up, the oldest that waits goes, and the end comes in time. */
static void
test_hang(void)
{
	int64_t begin_us = clock_mono_us();

	start(HANGS, 60000);
	tell("x");
	while (receiver.requests == 0 && clock_mono_us() < begin_us + 30000000)
		usleep(1000);
	begin_us = clock_mono_us();
	for (int i = 0; i < WEBHOOK_QUEUE + 5; i++)
		tell("y");
	CU_ASSERT(clock_mono_us() - begin_us < 1000000);
	TAP_INT(webhook_counts(w).dropped, 5);
	begin_us = clock_mono_us();
	webhook_free(w, 1000000);
	w = NULL;
	CU_ASSERT(clock_mono_us() - begin_us < 1900000);
	TAP_INT(receiver.requests, 1);
}

static void
test_refused_connection(void)
{
	char url[64];

	strcpy(url, receiver.url);
	receiver_stop(&receiver);
	strcpy(receiver.url, url);
	start(TAKES, 5000);
	tell("x");
	AWAIT(failed, 1);
	webhook_free(w, 2000000);
	setup();
}

/* One at once, the others together, each counted; at the end they need not wait. */
static void
test_parked_are_gathered(void)
{
	start(TAKES, 5000);
	webhook_tell(w, WEBHOOK_NEWS(WEBHOOK_PARKED, .outbox = "o", .reason = "too large", .count = 1));
	AWAIT(delivered, 1);
	TAP_HAS(receiver.kept[0], "\"reason\":\"too large\",\"count\":1}");
	receiver.requests = 0;
	for (int i = 0; i < 500; i++)
		webhook_tell(w, WEBHOOK_NEWS(WEBHOOK_PARKED, .outbox = "o", .reason = "too large", .count = 1));
	webhook_free(w, 2000000);
	w = NULL;
	TAP_INT(receiver.requests, 1);
	TAP_HAS(receiver.kept[0], "\"count\":500}");
}

static void
test_only_http(void)
{
	struct webhook_options opt = {.url = "file:///etc/passwd", .secret = SECRET, .ca_file = "", .timeout_ms = 1000, .log = &log_};
	struct error err;

	TAP_INT(webhook_new(&opt, &w, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	CU_ASSERT_PTR_NULL(strstr(err.message, "passwd"));
}

int
main(void)
{
	tap_suite_fixture("webhook", setup, teardown);
	tap_test("a post is signed", test_signed);
	tap_test("what failed is tried again", test_tried_again);
	tap_test("a redirect is not followed", test_redirect_is_not_followed);
	tap_test("a body without an end is bounded", test_flood_is_bounded);
	tap_test("a receiver that hangs holds nobody up", test_hang);
	tap_test("a receiver that is not there", test_refused_connection);
	tap_test("parked events are gathered", test_parked_are_gathered);
	tap_test("only http and https", test_only_http);
	return tap_run();
}
