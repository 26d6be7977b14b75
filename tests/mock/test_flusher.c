/* test_flusher.c - a flush ends the linger of a real librdkafka over its mock cluster; and when there is one. */
#include "sink/flusher.c"

#include "base/clock.h"
#include "support/tap.h"

#define LINGER_MS "600000"
#define SOON_MS 30000

static rd_kafka_t *rk;
static rd_kafka_queue_t *queue;
static struct flusher f;
static struct error err;
static int acknowledged;
static char payload[] = "x";

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[256];

	TAP_INT_FATAL(rd_kafka_conf_set(conf, name, value, reason, sizeof reason), RD_KAFKA_CONF_OK);
}

static void
setup(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256];

	set(conf, "test.mock.num.brokers", "1");
	set(conf, "enable.idempotence", "true");
	set(conf, "message.timeout.ms", "0");
	set(conf, "queue.buffering.max.ms", LINGER_MS);
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rk);
	queue = rd_kafka_queue_get_main(rk);
	TAP_INT_FATAL(flusher_start(&f, rk, &err), 0);
	acknowledged = 0;
}

static void
teardown(void)
{
	flusher_stop(&f);
	rd_kafka_queue_destroy(queue);
	rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_destroy(rk);
}

static void
produce(void)
{
	TAP_INT_FATAL(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("flushed"), RD_KAFKA_V_VALUE(payload, 1), RD_KAFKA_V_END),
	              RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void
hear(int timeout_ms)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);

	if (event == NULL || rd_kafka_event_type(event) != RD_KAFKA_EVENT_DR) {
		rd_kafka_event_destroy(event);
		return;
	}
	acknowledged += (int)rd_kafka_event_message_count(event);
	flusher_reported(&f, event, rd_kafka_event_message_count(event), clock_mono_us());
}

/* A flush that comes before librdkafka knows the topic's broker has nothing to send. */
static void
ring_until(int count)
{
	int64_t give_up_us = clock_mono_us() + SOON_MS * 1000;

	while (acknowledged < count && clock_mono_us() < give_up_us) {
		flusher_sent(&f);
		flusher_turn(&f, 1, clock_mono_us());
		hear(20);
	}
	TAP_INT_FATAL(acknowledged, count);
}

static void
test_ends_the_linger(void)
{
	produce();
	ring_until(1);
}

/* What librdkafka's flush waits for: that the report of the last message is destroyed. */
static void
test_keeps_a_report(void)
{
	int64_t kept_us;

	test_ends_the_linger();
	CU_ASSERT_PTR_NOT_NULL(f.kept);
	TAP_INT(rd_kafka_flush(rk, 1), RD_KAFKA_RESP_ERR__TIMED_OUT);
	flusher_turn(&f, 0, f.kept_until_us - 1);
	CU_ASSERT_PTR_NOT_NULL(f.kept);
	kept_us = flusher_deadline(&f);
	CU_ASSERT(kept_us > 0 && kept_us < CLOCK_NEVER);
	flusher_turn(&f, 0, kept_us);
	CU_ASSERT_PTR_NULL(f.kept);
	TAP_INT(flusher_deadline(&f), CLOCK_NEVER);
	TAP_INT(rd_kafka_flush(rk, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* Under load the first messages of a batch must not go alone. */
static void
test_keeps_none_under_load(void)
{
	test_ends_the_linger();
	CU_ASSERT_PTR_NOT_NULL(f.kept);
	flusher_turn(&f, FEW, clock_mono_us());
	CU_ASSERT_PTR_NULL(f.kept);
	TAP_INT(rd_kafka_flush(rk, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* The linger is ten minutes: a message that goes without a ring of its own was met by a flush that still lasted. */
static void
test_stays_open(void)
{
	int alone = 0;

	test_ends_the_linger();
	for (int i = 0; alone == 0 && i < 100; i++) {
		int count = acknowledged + 1;
		int64_t window_us;

		hear(5); /* there is nothing: a flush without a report that is kept ends meanwhile */
		window_us = clock_mono_us() + OPEN_MS * 500;
		produce();
		while (acknowledged < count && clock_mono_us() < window_us)
			hear(1);
		alone += acknowledged == count;
		ring_until(count);
	}
	CU_ASSERT(alone > 0);
}

/* They would stand in memory for nothing. */
static void
test_keeps_no_many(void)
{
	rd_kafka_event_t *event = NULL;

	produce();
	while (event == NULL) {
		flusher_sent(&f);
		flusher_turn(&f, 1, clock_mono_us());
		event = rd_kafka_queue_poll(queue, 20);
	}
	TAP_INT(rd_kafka_event_type(event), RD_KAFKA_EVENT_DR);
	flusher_reported(&f, event, KEPT_MAX + 1, clock_mono_us());
	CU_ASSERT_PTR_NULL(f.kept);
	TAP_INT(rd_kafka_flush(rk, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* With no thread that would take the order: which flush is ordered. */
static char
ordered(struct flusher *idle, size_t in_flight, bool sent, int64_t now_us)
{
	idle->rung = false;
	if (sent)
		flusher_sent(idle);
	else
		idle->reported = true;
	TAP_INT(flusher_deadline(idle), 0);
	flusher_turn(idle, in_flight, now_us);
	TAP_INT(flusher_deadline(idle), CLOCK_NEVER);
	if (!idle->rung)
		return '-';
	return idle->brief ? 'b' : 'o';
}

static void
test_when(void)
{
	struct flusher idle = {.rk = rk, .worker = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER},
	                       .kept_until_us = CLOCK_NEVER};

	TAP_INT(flusher_deadline(&idle), CLOCK_NEVER);
	flusher_turn(&idle, 1, 1000000);
	CU_ASSERT_FALSE(idle.rung);
	TAP_INT(ordered(&idle, 0, true, 1000000), '-');
	TAP_INT(ordered(&idle, 1, true, 1000000), 'o');
	TAP_INT(ordered(&idle, FEW - 1, false, 1000000), 'o');
	TAP_INT(ordered(&idle, FEW, true, 1000000), '-');
	TAP_INT(ordered(&idle, MANY - 1, true, 1000000), '-');
	TAP_INT(ordered(&idle, MANY, true, 1000000), 'b');
	TAP_INT(ordered(&idle, MANY, false, 1000000), '-');
	TAP_INT(ordered(&idle, 1, true, 1000000 + CALM_US - 1), '-'); /* the tail of a batch is no calm */
	TAP_INT(ordered(&idle, 1, true, 1000000 + CALM_US), 'o');
}

/* What the user's own linger asks for. */
static void
test_not_started(void)
{
	struct flusher none = {.rk = NULL};

	flusher_sent(&none);
	TAP_INT(flusher_deadline(&none), CLOCK_NEVER);
	flusher_turn(&none, 1, clock_mono_us());
	CU_ASSERT_FALSE(none.rung);
	flusher_stop(&none);
}

int
main(void)
{
	tap_suite_fixture("flusher", setup, teardown);
	tap_test("a flush ends the linger", test_ends_the_linger);
	tap_test("a report is kept, so that the flush lasts", test_keeps_a_report);
	tap_test("none is kept under load", test_keeps_none_under_load);
	tap_test("nor one of many", test_keeps_no_many);
	tap_test("a flush meets what comes later", test_stays_open);
	tap_test("when there is one", test_when);
	tap_test("one that was not started", test_not_started);
	return tap_run();
}
