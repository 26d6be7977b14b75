/* test_events.c - librdkafka's queue replaced by a script: what each event does to the producer and its owner. */
#include <poll.h>

#include "sink/events.c"

#include <stdlib.h>
#include <unistd.h>

#include "support/tap.h"

struct rd_kafka_topic_s {
	struct topic *t;
};

struct rd_kafka_op_s {
	rd_kafka_event_type_t type;
	rd_kafka_resp_err_t error;
	bool fatal;
	const char *text;
	rd_kafka_message_t *messages;
	size_t count, next;
	size_t limit; /* 0 = the answer is an error */
	struct topic *t;
};

#define SCRIPT_MAX 64

static struct rd_kafka_op_s script[SCRIPT_MAX];
static size_t script_count, script_next, destroyed;
static int purges, purge_flags, ticks, released, asked, stops;
static bool broker_there;
static struct producer p;
static struct topic *topic;
static struct rd_kafka_topic_s handle;

static struct {
	size_t reports[SEND_FATAL + 1];
	size_t total;
	int ups, downs, fatals, logs, statistics;
	int priority;
	int64_t offset;
	int64_t offsets[4]; /* of the first */
	char text[600];
	bool dead_in_fatal;
} seen;

rd_kafka_event_t *
rd_kafka_queue_poll(rd_kafka_queue_t *queue, int timeout_ms)
{
	(void)queue;
	TAP_INT(timeout_ms, 0);
	return script_next < script_count ? &script[script_next++] : NULL;
}

size_t
rd_kafka_queue_length(rd_kafka_queue_t *queue)
{
	(void)queue;
	return script_count - script_next;
}

void
rd_kafka_event_destroy(rd_kafka_event_t *event)
{
	(void)event;
	destroyed++;
}

rd_kafka_event_type_t
rd_kafka_event_type(const rd_kafka_event_t *event)
{
	return event->type;
}

const rd_kafka_message_t *
rd_kafka_event_message_next(rd_kafka_event_t *event)
{
	return event->next < event->count ? &event->messages[event->next++] : NULL;
}

rd_kafka_resp_err_t
rd_kafka_event_error(rd_kafka_event_t *event)
{
	return event->error;
}

int
rd_kafka_event_error_is_fatal(rd_kafka_event_t *event)
{
	return event->fatal;
}

const char *
rd_kafka_event_error_string(rd_kafka_event_t *event)
{
	return event->text;
}

void *
rd_kafka_event_opaque(rd_kafka_event_t *event)
{
	return event->t;
}

int
rd_kafka_event_log(rd_kafka_event_t *event, const char **facility, const char **text, int *priority)
{
	if (event->text == NULL)
		return -1;
	*facility = event->fatal ? "FATAL" : "FAC";
	*text = event->text;
	*priority = LOG_NOTICE;
	return 0;
}

const char *
rd_kafka_event_stats(rd_kafka_event_t *event)
{
	return event->text;
}

rd_kafka_resp_err_t
rd_kafka_fatal_error(rd_kafka_t *rk, char *reason, size_t size)
{
	(void)rk;
	snprintf(reason, size, "the sequence is lost");
	return RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

rd_kafka_resp_err_t
rd_kafka_test_fatal_error(rd_kafka_t *rk, rd_kafka_resp_err_t code, const char *reason)
{
	(void)rk, (void)code;
	CU_ASSERT(reason[0] != '\0');
	TAP_INT(purges, 0);
	stops++;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t
rd_kafka_purge(rd_kafka_t *rk, int flags)
{
	(void)rk;
	purges++;
	purge_flags = flags;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t
rd_kafka_metadata(rd_kafka_t *rk, int all, rd_kafka_topic_t *only, const struct rd_kafka_metadata **ret, int timeout_ms)
{
	(void)rk, (void)all, (void)only, (void)ret;
	TAP_INT(timeout_ms, 0);
	return broker_there ? RD_KAFKA_RESP_ERR__TIMED_OUT : RD_KAFKA_RESP_ERR__TRANSPORT;
}

const char *
rd_kafka_topic_name(const rd_kafka_topic_t *t)
{
	return t->t->name;
}

struct topic *
topics_of(const rd_kafka_message_t *report)
{
	return report->rkt->t;
}

void
topics_tick(struct topics *ts, int64_t now_us)
{
	(void)ts, (void)now_us;
	ticks++;
}

struct topic *
topics_take_limit(rd_kafka_event_t *event, int64_t now_us, const char **ret_reason)
{
	(void)now_us;
	event->t->limit_bytes = event->limit;
	*ret_reason = "no right to ask";
	return event->limit == 0 ? NULL : event->t;
}

size_t
send_bytes_of(const rd_kafka_message_t *m)
{
	return m->len + 100;
}

void
topics_ask_limit(struct topics *ts, struct topic *t)
{
	(void)ts, (void)t;
	asked++;
}

int32_t
topics_partition(const struct topic *t, struct slice key)
{
	(void)t, (void)key;
	return -1;
}

void
send_waiting(struct producer *made, int64_t now_us)
{
	(void)made, (void)now_us;
	released++;
}

static void
on_report(void *ctx, const struct report *r)
{
	(void)ctx;
	seen.reports[r->class]++;
	if (seen.total < sizeof seen.offsets / sizeof seen.offsets[0])
		seen.offsets[seen.total] = r->offset;
	seen.total++;
	seen.offset = r->offset;
	if (r->reason != NULL)
		snprintf(seen.text, sizeof seen.text, "%s", r->reason);
}

static void
on_reachable(void *ctx, bool up, const char *reason)
{
	(void)ctx;
	if (up)
		seen.ups++;
	else
		seen.downs++;
	snprintf(seen.text, sizeof seen.text, "%s", reason == NULL ? "" : reason);
}

static void
on_fatal(void *ctx, const char *reason)
{
	(void)ctx;
	seen.fatals++;
	seen.dead_in_fatal = p.life == PRODUCER_DEAD;
	snprintf(seen.text, sizeof seen.text, "%s", reason);
}

static void
on_log(void *ctx, int priority, const char *text)
{
	(void)ctx;
	seen.logs++;
	seen.priority = priority;
	snprintf(seen.text, sizeof seen.text, "%s", text);
}

static void
on_statistics(void *ctx, const struct statistics *st)
{
	(void)ctx;
	seen.statistics++;
	TAP_INT(st->queue_messages, 7);
}

static void
setup(void)
{
	memset(&seen, 0, sizeof seen);
	script_count = script_next = destroyed = 0;
	purges = purge_flags = ticks = released = asked = stops = 0;
	broker_there = true;
	topic = calloc(1, sizeof *topic + 8);
	CU_ASSERT_PTR_NOT_NULL_FATAL(topic);
	memcpy(topic->name, "orders", 7);
	handle.t = topic;
	p = (struct producer){.watch = {.fd = eventfd(0, EFD_NONBLOCK), .deadline_us = CLOCK_NEVER},
	                      .events = {on_report, on_reachable, on_fatal, on_log, on_statistics, NULL},
	                      .topics = {.due_us = CLOCK_NEVER},
	                      .reach = {REACH_UP, CLOCK_NEVER, CLOCK_NEVER},
	                      .dead_due_us = CLOCK_NEVER,
	                      .batch_bytes = 1000000,
	                      .batch_bytes_next = 1000000};
}

static void
teardown(void)
{
	TAP_INT(destroyed, script_next);
	close(p.watch.fd);
	free(topic);
}

static struct rd_kafka_op_s *
add_event(rd_kafka_event_type_t type)
{
	script[script_count] = (struct rd_kafka_op_s){.type = type, .t = topic};
	return &script[script_count++];
}

static void
add_report(rd_kafka_message_t *m, size_t count, rd_kafka_resp_err_t code, size_t len)
{
	struct rd_kafka_op_s *event = add_event(RD_KAFKA_EVENT_DR);

	for (size_t i = 0; i < count; i++)
		m[i] = (rd_kafka_message_t){.err = code, .rkt = &handle, .partition = 1, .offset = 42, .len = len};
	event->messages = m;
	event->count = count;
	topic->in_flight += count;
	p.in_flight += count;
}

static void
fire(int64_t now_us)
{
	producer_fire(&p.watch, POLLIN, now_us);
}

static bool
rung(void)
{
	eventfd_t count;

	return eventfd_read(p.watch.fd, &count) == 0;
}

static void
test_report(void)
{
	rd_kafka_message_t m[3];

	topic->ask_due_us = 5;
	add_report(m, 3, RD_KAFKA_RESP_ERR_NO_ERROR, 1);
	fire(0);
	TAP_INT(seen.reports[SEND_OK], 3);
	TAP_INT(seen.offset, 42);
	TAP_INT(p.in_flight + topic->in_flight, 0);
	TAP_INT(topic->ask_due_us, CLOCK_NEVER);
	CU_ASSERT_FALSE(rung());
}

/* Several messages in one event, as librdkafka numbers them from the first one's offset on. */
static void
expect_offsets(int64_t base, size_t count, const int64_t *expected)
{
	rd_kafka_message_t m[4];

	seen.total = 0;
	add_report(m, count, RD_KAFKA_RESP_ERR_NO_ERROR, 1);
	for (size_t i = 0; i < count; i++)
		m[i].offset = base + (int64_t)i;
	fire(0);
	TAP_INT_FATAL(seen.total, count);
	for (size_t i = 0; i < count; i++)
		TAP_INT(seen.offsets[i], expected[i]);
}

/* A broker that knew a batch already need not tell where it is. */
static void
test_unknown_offsets(void)
{
	static const int64_t unknown[] = {-1, -1, -1, -1}, from_0[] = {0, 1, 2, 3}, from_7[] = {7, 8, 9};

	expect_offsets(-1, 4, unknown);
	expect_offsets(-1, 1, unknown);
	expect_offsets(0, 4, from_0);
	expect_offsets(7, 3, from_7);
	expect_offsets(RD_KAFKA_OFFSET_INVALID, 4, unknown);
}

static void
test_bounded(void)
{
	static rd_kafka_message_t m[20][1000];

	for (int i = 0; i < 20; i++)
		add_report(m[i], 1000, RD_KAFKA_RESP_ERR_NO_ERROR, 1);
	(void)eventfd_write(p.watch.fd, 1);
	for (size_t turn = 1; turn < 5; turn++) {
		fire(0);
		TAP_INT(seen.total, turn * READ_MAX);
		CU_ASSERT_TRUE(rung());
	}
	fire(0);
	TAP_INT(seen.total, 20000);
	CU_ASSERT_FALSE(rung());
}

static void
expect_class(rd_kafka_resp_err_t code, bool alone, size_t len, enum send_class expected)
{
	rd_kafka_message_t m;
	size_t before = seen.reports[expected];

	add_report(&m, 1, code, len);
	topic->alone = alone;
	fire(0);
	TAP_INT(seen.reports[expected], before + 1);
	TAP_INT(seen.offset, -1);
}

static void
test_classes(void)
{
	expect_class(RD_KAFKA_RESP_ERR__PURGE_QUEUE, false, 1, SEND_OUTAGE);
	expect_class(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, false, 1, SEND_TOPIC);
	expect_class(RD_KAFKA_RESP_ERR_INVALID_RECORD, false, 1, SEND_TOPIC);
	expect_class(RD_KAFKA_RESP_ERR_INVALID_RECORD, true, 1, SEND_POISON);
	expect_class(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, true, 1, SEND_POISON);
	/* Nothing fits beside a message of the batch's own size. */
	expect_class(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, false, 1000000, SEND_POISON);
	TAP_INT(seen.fatals, 0);
	TAP_INT(p.life, PRODUCER_LIVE);
	/* librdkafka would go on with a new epoch. */
	p.in_flight++;
	expect_class(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, false, 1, SEND_FATAL);
	TAP_INT(p.life, PRODUCER_DYING);
	TAP_INT(stops, 1);
}

static void
expect_reason(rd_kafka_resp_err_t code, const char *text)
{
	expect_class(code, true, 1000, SEND_POISON);
	TAP_STR(seen.text, text);
}

/* An operator reads it in pgoutbox.parked: what is too large, for whom, and what to change. */
static void
test_reasons(void)
{
	expect_class(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, false, 1, SEND_TOPIC);
	TAP_STR(seen.text, "the right to write to the topic is missing (Broker: Topic authorization failed)");
	TAP_INT(asked, 0);
	expect_reason(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
	              "message takes 1100 bytes, more than topic \"orders\" allows (max.message.bytes)");
	TAP_INT(asked, 1);
	topic->limit_bytes = 900;
	expect_reason(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
	              "message takes 1100 bytes, topic \"orders\" allows 900 (max.message.bytes)");
	p.compresses = true;
	expect_reason(RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
	              "message takes 1100 bytes before compression, "
	              "more than a log segment of topic \"orders\" (segment.bytes)");
	topic->limit_bytes = 1200;
	expect_reason(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
	              "message takes 1100 bytes before compression, more than topic \"orders\" allows (max.message.bytes)");
}

static void
test_refused_batch(void)
{
	rd_kafka_message_t m[10];

	add_report(m, 10, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 100);
	p.in_flight += 5; /* others, on the wire */
	fire(0);
	TAP_INT(seen.reports[SEND_FATAL], 10);
	TAP_INT(p.batch_bytes_next, 500000);
	TAP_INT(seen.fatals, 0);
	TAP_INT(stops, 1);
	TAP_INT(purges, 1);
	CU_ASSERT_FALSE(purge_flags & RD_KAFKA_PURGE_F_INFLIGHT);
	TAP_INT(p.watch.deadline_us, DYING_US);
	fire(DYING_US - 1);
	TAP_INT(seen.fatals, 0);
	fire(DYING_US);
	TAP_INT(seen.fatals, 1);
	CU_ASSERT_TRUE(seen.dead_in_fatal);
	TAP_HAS(seen.text, "orders");
	TAP_INT(p.watch.deadline_us, CLOCK_NEVER);
}

static void
test_shrinks_down_to_one(void)
{
	rd_kafka_message_t m;

	p.batch_bytes = 1;
	add_report(&m, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 0);
	fire(0);
	TAP_INT(p.batch_bytes_next, 1);
}

/* Reports that still come are told, failed ones as the producer's failure; the word comes when none is left. */
static void
test_fatal(void)
{
	rd_kafka_message_t acknowledged[2], purged[3];

	p.in_flight = topic->in_flight = 5;
	add_event(RD_KAFKA_EVENT_ERROR)->fatal = true;
	fire(0);
	TAP_INT(seen.fatals, 0);
	p.in_flight = topic->in_flight = 0;
	add_report(acknowledged, 2, RD_KAFKA_RESP_ERR_NO_ERROR, 1);
	add_report(purged, 3, RD_KAFKA_RESP_ERR__PURGE_QUEUE, 1);
	add_event(RD_KAFKA_EVENT_ERROR)->fatal = true;
	fire(1);
	TAP_INT(seen.reports[SEND_OK], 2);
	TAP_INT(seen.reports[SEND_FATAL], 3);
	TAP_INT(seen.fatals, 1);
	TAP_STR(seen.text, "the sequence is lost");
	TAP_INT(purges, 1);
	add_report(purged, 3, RD_KAFKA_RESP_ERR__PURGE_QUEUE, 1);
	fire(2);
	TAP_INT(seen.total, 5);
	TAP_INT(seen.fatals, 1);
}

static void
test_reachable(void)
{
	struct rd_kafka_op_s *event = add_event(RD_KAFKA_EVENT_ERROR);

	event->error = RD_KAFKA_RESP_ERR__TRANSPORT;
	event->text = "connection refused";
	add_event(RD_KAFKA_EVENT_ERROR)->error = RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
	broker_there = false;
	fire(1000);
	TAP_INT(seen.downs, 0);
	CU_ASSERT_FATAL(p.watch.deadline_us <= 1001000);
	fire(2001000);
	TAP_INT(seen.downs, 1);
	TAP_STR(seen.text, "connection refused");
	broker_there = true;
	fire(p.watch.deadline_us);
	TAP_INT(seen.ups, 1);
	TAP_INT(p.watch.deadline_us, CLOCK_NEVER);
}

static void
test_reason_is_never_empty(void)
{
	broker_there = false;
	add_event(RD_KAFKA_EVENT_ERROR)->error = RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
	fire(0);
	fire(2000000);
	TAP_INT(seen.downs, 1);
	CU_ASSERT(seen.text[0] != '\0');
}

static void
test_log(void)
{
	struct rd_kafka_op_s *event;

	add_event(RD_KAFKA_EVENT_LOG)->text = "hello";
	add_event(RD_KAFKA_EVENT_LOG);
	event = add_event(RD_KAFKA_EVENT_LOG);
	event->text = "told by the error";
	event->fatal = true;
	fire(0);
	TAP_INT(seen.logs, 1);
	TAP_INT(seen.priority, LOG_NOTICE);
	TAP_STR(seen.text, "FAC: hello");
}

static void
test_limit(void)
{
	add_event(RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT);
	fire(0);
	TAP_INT(seen.logs, 1);
	TAP_INT(seen.priority, LOG_DEBUG);
	TAP_HAS(seen.text, "orders");
	TAP_HAS(seen.text, "no right to ask");
	add_event(RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT)->limit = 1000000;
	fire(0);
	TAP_INT(p.life, PRODUCER_LIVE);
	p.compresses = true;
	add_event(RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT)->limit = 999;
	fire(0);
	TAP_INT(p.life, PRODUCER_LIVE);
	p.compresses = false;
	add_event(RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT)->limit = 999;
	fire(0);
	TAP_INT(seen.fatals, 1);
	TAP_INT(p.batch_bytes_next, 999);
}

static void
test_deadline(void)
{
	p.topics.due_us = 30;
	p.reach.knock_due_us = 20;
	p.dead_due_us = 10;
	TAP_INT(producer_deadline(&p), 10);
	p.dead_due_us = CLOCK_NEVER;
	TAP_INT(producer_deadline(&p), 20);
	p.reach.knock_due_us = CLOCK_NEVER;
	TAP_INT(producer_deadline(&p), 30);
	p.topics.ripe = true;
	TAP_INT(producer_deadline(&p), 0);
	p.topics.ripe = false;
	fire(0);
	TAP_INT(ticks, 1);
	TAP_INT(released, 1);
	TAP_INT(p.watch.deadline_us, 30);
}

/* Whichever way librdkafka says it. */
static void
test_secrets(void)
{
	static char value[] = "sequence", *secrets[] = {value};
	struct rd_kafka_op_s *event;

	p.redact = (struct redact){.secrets = secrets, .count = 1};
	add_event(RD_KAFKA_EVENT_LOG)->text = "login: sequence";
	fire(0);
	TAP_STR(seen.text, "FAC: login: ***");
	event = add_event(RD_KAFKA_EVENT_ERROR);
	event->error = RD_KAFKA_RESP_ERR__AUTHENTICATION;
	event->text = "sequence is no password";
	fire(0);
	TAP_STR(p.broker_error, "*** is no password");
	event = add_event(RD_KAFKA_EVENT_ERROR);
	event->error = RD_KAFKA_RESP_ERR__FATAL;
	event->fatal = true;
	fire(0);
	TAP_STR(p.reason, "the *** is lost");
}

/* librdkafka's words about certificates help nobody. */
static void
test_plain_reason(void)
{
	struct rd_kafka_op_s *event = add_event(RD_KAFKA_EVENT_ERROR);

	event->error = RD_KAFKA_RESP_ERR__SSL;
	event->text = "certificate verify failed";
	broker_there = false;
	add_event(RD_KAFKA_EVENT_ERROR)->error = RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
	fire(0);
	fire(3000000);
	TAP_INT(seen.downs, 1);
	TAP_HAS(seen.text, "the broker's certificate is refused");
}

static void
test_statistics(void)
{
	add_event(RD_KAFKA_EVENT_STATS)->text = "{\"msg_cnt\": 7}";
	add_event(RD_KAFKA_EVENT_STATS)->text = "{";
	fire(1);
	TAP_INT(seen.statistics, 1);
	TAP_INT(seen.logs, 1);
	TAP_INT(seen.priority, LOG_DEBUG);
	p.events.statistics = NULL;
	add_event(RD_KAFKA_EVENT_STATS)->text = "{";
	fire(2);
	TAP_INT(seen.logs, 1);
}

int
main(void)
{
	tap_suite_fixture("events", setup, teardown);
	tap_test("reports are handed on and counted", test_report);
	tap_test("offsets that the broker did not tell", test_unknown_offsets);
	tap_test("a turn is bounded, and what is left rings", test_bounded);
	tap_test("each failure has its class", test_classes);
	tap_test("a refusal says what and why", test_reasons);
	tap_test("a refused batch ends the producer, after what is on the wire", test_refused_batch);
	tap_test("a batch has at least one byte", test_shrinks_down_to_one);
	tap_test("fatal: what still comes is told first", test_fatal);
	tap_test("down with the last complaint, up again", test_reachable);
	tap_test("down without a complaint has a reason too", test_reason_is_never_empty);
	tap_test("log lines", test_log);
	tap_test("no secret is said", test_secrets);
	tap_test("a refused certificate has a reason", test_plain_reason);
	tap_test("limits", test_limit);
	tap_test("statistics", test_statistics);
	tap_test("the nearest deadline counts", test_deadline);
	return tap_run();
}
