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

	if (event != NULL && rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
		acknowledged += (int)rd_kafka_event_message_count(event);
	rd_kafka_event_destroy(event);
}

static void
test_ends_the_linger(void)
{
	int64_t give_up_us = clock_mono_us() + SOON_MS * 1000;

	produce();
	/* A flush that comes before librdkafka knows the topic's broker has nothing to send. */
	while (acknowledged == 0 && clock_mono_us() < give_up_us) {
		flusher_sent(&f);
		flusher_turn(&f, 1);
		hear(20);
	}
	TAP_INT(acknowledged, 1);
}

static void
test_when(void)
{
	CU_ASSERT_FALSE(flusher_due(&f));
	flusher_turn(&f, 1);
	CU_ASSERT_FALSE(f.rung);
	flusher_reported(&f);
	CU_ASSERT_TRUE(flusher_due(&f));
	flusher_turn(&f, FEW); /* under load what waits behind others lingers */
	CU_ASSERT_FALSE(f.rung || flusher_due(&f));
	flusher_sent(&f);
	CU_ASSERT_TRUE(flusher_due(&f));
	flusher_turn(&f, 0);
	CU_ASSERT_FALSE(f.rung || flusher_due(&f));
}

/* What the user's own linger asks for. */
static void
test_not_started(void)
{
	struct flusher none = {.rk = NULL};

	flusher_sent(&none);
	CU_ASSERT_FALSE(flusher_due(&none));
	flusher_turn(&none, 1);
	CU_ASSERT_FALSE(none.rung);
	flusher_stop(&none);
}

int
main(void)
{
	tap_suite_fixture("flusher", setup, teardown);
	tap_test("a flush ends the linger", test_ends_the_linger);
	tap_test("when there is one", test_when);
	tap_test("one that was not started", test_not_started);
	return tap_run();
}
