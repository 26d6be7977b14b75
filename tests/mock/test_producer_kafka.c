/* test_producer_kafka.c - the producer against a real broker, for what the mock cluster cannot do: limits of topics.
 *
 * PGOUTBOX_TEST_KAFKA names the brokers.
 */
#include "test_producer_rig.h"

#include <unistd.h>

static struct rig rig;
static char topic[64];

static void
setup(void)
{
	static int count;
	struct error err;

	rig = (struct rig){.brokers = getenv("PGOUTBOX_TEST_KAFKA")};
	snprintf(topic, sizeof topic, "producer-%d-%d", (int)getpid(), count++);
	TAP_INT_FATAL(rig_producer_with(&rig, rig.brokers, NULL, 0, &err), 0);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 20000, rig.ups == 1));
}

static void
teardown(void)
{
	producer_free(rig.p);
}

static rd_kafka_t *
admin_open(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;

	rd_kafka_conf_set(conf, "bootstrap.servers", rig.brokers, NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rk);
	return rk;
}

static void
admin_close(rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);

	CU_ASSERT_PTR_NOT_NULL_FATAL(event);
	TAP_INT(rd_kafka_event_error(event), 0);
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(rk);
}

static void
make_topic(const char *limit)
{
	rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic, 2, 1, NULL, 0);
	rd_kafka_t *rk = admin_open();
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);

	rd_kafka_NewTopic_set_config(wanted, "max.message.bytes", limit);
	rd_kafka_CreateTopics(rk, &wanted, 1, NULL, queue);
	rd_kafka_NewTopic_destroy(wanted);
	admin_close(rk, queue);
}

static void
change_limit(const char *limit)
{
	rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	rd_kafka_t *rk = admin_open();
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);

	rd_kafka_ConfigResource_set_config(resource, "max.message.bytes", limit);
	rd_kafka_AlterConfigs(rk, &resource, 1, NULL, queue);
	rd_kafka_ConfigResource_destroy(resource);
	admin_close(rk, queue);
}

static enum send_class
send_bytes(size_t size, struct error *err)
{
	static char value[2000000];
	struct message m = {.topic = topic, .key = slice_from("k"), .value = {value, size}};
	enum send_class class = SEND_OK;

	return producer_send(rig.p, &m, NULL, &class, err) == 0 ? SEND_OK : class;
}

static void
test_limit_is_known_before_sending(void)
{
	struct error err;

	make_topic("1500000");
	producer_warm_topic(rig.p, topic);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, producer_message_max(rig.p, topic) < 1500000));
	TAP_INT(producer_message_max(rig.p, topic), 1500000 - 68);
	TAP_INT(send_bytes(1400000, &err), SEND_OK);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 1));
	TAP_INT(send_bytes(1500000, &err), SEND_POISON);
	TAP_INT(err.kind, ERR_POISON);
	TAP_HAS(err.message, "max.message.bytes");
	TAP_INT(producer_in_flight(rig.p), 0);
}

/* The figure that parks an event is exact: one byte less and the broker takes it. */
static void
test_limit_is_exact(void)
{
	size_t size = 1500000 - 68 - 1; /* the key has a byte too */
	struct error err;

	make_topic("1500000");
	producer_warm_topic(rig.p, topic);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, producer_message_max(rig.p, topic) < 1500000));
	TAP_INT(send_bytes(size + 1, &err), SEND_POISON);
	TAP_INT(send_bytes(size, &err), SEND_OK);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, producer_in_flight(rig.p) == 0));
	/* The record's lengths may take some more bytes than the least; then it is the broker that refuses. */
	TAP_INT(rig.reports[SEND_OK] + rig.reports[SEND_POISON], 1);
	TAP_INT(send_bytes(size - 8, &err), SEND_OK);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, producer_in_flight(rig.p) == 0));
	CU_ASSERT(rig.reports[SEND_OK] >= 1);
}

/* An operator raises the limit and retries: an old answer parks nothing. */
static void
test_limit_is_asked_again(void)
{
	struct error err;

	make_topic("1200000");
	producer_warm_topic(rig.p, topic);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, producer_message_max(rig.p, topic) < 1200000));
	change_limit("1800000");
	rig_pump(&rig, 6000);
	TAP_INT(send_bytes(1500000, &err), SEND_TOPIC);
	TAP_INT(err.kind, ERR_RETRY);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, producer_message_max(rig.p, topic) > 1500000));
	TAP_INT(send_bytes(1500000, &err), SEND_OK);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 1));
}

/* A topic that takes less than a batch: the producer says so before the broker has to. */
static void
test_small_topic_makes_small_batches(void)
{
	struct error err;

	make_topic("20000");
	producer_warm_topic(rig.p, topic);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.fatals == 1));
	TAP_INT(rig.batch_bytes, 20000);
	producer_free(rig.p);
	rig_forget(&rig);
	TAP_INT_FATAL(rig_producer_with(&rig, rig.brokers, NULL, 0, &err), 0);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 20000, rig.ups == 1));
	for (int i = 0; i < 5000; i++)
		TAP_INT_FATAL(rig_send(&rig, topic, "k", "0123456789012345678901234567890123456789", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 20000, producer_in_flight(rig.p) == 0));
	TAP_INT(rig.reports[SEND_OK], 5000);
	TAP_INT(rig.fatals, 0);
}

/* The same when the limit falls while messages are under way: whether the broker or the answer comes first, nothing is
 * poison, and the batches shrink until they fit. */
static void
test_limit_falls(void)
{
	struct error err;
	int rebuilt = 0;

	make_topic("1500000");
	producer_warm_topic(rig.p, topic);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, producer_message_max(rig.p, topic) < 1500000));
	change_limit("20000");
	/* Held back long enough for a batch to gather. */
	while (rebuilt++ < 12) {
		struct producer_property linger = {"linger.ms", "300"};

		producer_free(rig.p);
		rig_forget(&rig);
		TAP_INT_FATAL(rig_producer_with(&rig, rig.brokers, &linger, 1, &err), 0);
		for (int i = 0; i < 5000; i++)
			if (rig_send(&rig, topic, "k", "0123456789012345678901234567890123456789", NULL) != 0)
				break;
		RIG_UNTIL(&rig, 20000, rig.fatals == 1 || producer_in_flight(rig.p) == 0);
		TAP_INT(rig.reports[SEND_POISON], 0);
		if (rig.fatals == 0)
			break;
	}
	tap_diag("rebuilt %d times, batches of %zu", rebuilt - 1, producer_batch_bytes(rig.p));
	TAP_INT(rig.reports[SEND_OK], 5000);
	CU_ASSERT(rebuilt > 1);
}

static void
test_fresh_topics(void)
{
	for (int i = 0; i < 5; i++) {
		int64_t start_us = clock_mono_us();

		snprintf(topic, sizeof topic, "producer-%d-fresh-%d", (int)getpid(), i);
		rig_forget(&rig);
		TAP_INT_FATAL(rig_send(&rig, topic, "k", "v", NULL), 0);
		CU_ASSERT_FATAL(RIG_UNTIL(&rig, 20000, rig.reports[SEND_OK] == 1));
		tap_diag("first acknowledgement on a topic made on sight: %lld ms",
		         (long long)(clock_mono_us() - start_us) / 1000);
	}
}

int
main(void)
{
	if (getenv("PGOUTBOX_TEST_KAFKA") == NULL)
		return tap_skip_all("PGOUTBOX_TEST_KAFKA is not set");
	tap_suite_fixture("producer on Kafka", setup, teardown);
	tap_test("a topic's limit is known before sending", test_limit_is_known_before_sending);
	tap_test("the limit is exact", test_limit_is_exact);
	tap_test("an old limit is asked for again", test_limit_is_asked_again);
	tap_test("a topic below the batch size makes batches smaller", test_small_topic_makes_small_batches);
	tap_test("a limit that falls makes batches smaller and parks nothing", test_limit_falls);
	tap_test("topics made on sight", test_fresh_topics);
	return tap_run();
}
