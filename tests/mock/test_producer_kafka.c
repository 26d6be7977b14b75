/* test_producer_kafka.c - the producer against a real broker, for what the mock cluster cannot do: limits of topics.
 *
 * PGOUTBOX_TEST_KAFKA names the brokers.
 */
#include "sink/producer_impl.h"
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
	/* On a busy machine the answer may be too old by now, and is asked for again. */
	CU_ASSERT(RIG_UNTIL(&rig, 20000, send_bytes(1500000, &err) == SEND_POISON));
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
	CU_ASSERT(RIG_UNTIL(&rig, 20000, send_bytes(size + 1, &err) == SEND_POISON));
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

static char numbers[5000][8];
static bool acknowledged[5000];

static void
on_number(void *ctx, const struct report *r)
{
	rig_on_report(ctx, r);
	if (r->class == SEND_OK)
		acknowledged[(char(*)[8])r->opaque - numbers] = true;
}

/* All that is not acknowledged, in order, as the relay does it. */
static void
send_numbers(const char *property, const char *value)
{
	struct producer_property one = {property, value};
	struct producer_options opt = {.brokers = rig.brokers,
	                               .properties = &one,
	                               .properties_count = 1,
	                               .queue_messages = 5000,
	                               .queue_bytes = 64 << 20,
	                               .batch_bytes = rig.batch_bytes};
	struct producer_events events = {on_number, rig_on_reachable, rig_on_fatal, rig_on_log, NULL, &rig};
	struct error err;

	producer_free(rig.p);
	rig_forget(&rig);
	TAP_INT_FATAL(producer_new(&opt, &events, &rig.p, &err), 0);
	for (int i = 0; i < 5000; i++)
		if (!acknowledged[i] && rig_send(&rig, topic, "k", numbers[i], numbers[i]) != 0)
			break;
}

static void
name_numbers(void)
{
	for (int i = 0; i < 5000; i++)
		snprintf(numbers[i], sizeof numbers[i], "%d", i);
	memset(acknowledged, 0, sizeof acknowledged);
}

/* On first occurrences. */
static void
expect_numbers_in_order(void)
{
	const char *const name = topic;
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	struct error err;
	int next = 0;

	TAP_INT_FATAL(topic_reader_open(rig.brokers, &name, 1, 10000, &reader, &err), 0);
	while (next < 5000) {
		rd_kafka_message_t *m = topic_reader_next(reader, 10000);
		int number;

		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		number = (int)strtol(m->payload, NULL, 10);
		rd_kafka_message_destroy(m);
		CU_ASSERT_FATAL(number <= next);
		next += number == next;
	}
}

/* The same when the limit falls while messages are under way: whether the broker or the answer comes first, nothing is
 * poison, the batches shrink until they fit, and the order stays. */
static void
test_limit_falls(void)
{
	int rebuilt = 0;

	name_numbers();
	make_topic("1500000");
	producer_warm_topic(rig.p, topic);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, producer_message_max(rig.p, topic) < 1500000));
	TAP_INT_FATAL(rig_send(&rig, topic, "k", "0", NULL), 0);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 1));
	change_limit("3000");
	/* Held back long enough for batches to gather, and for some to be on the wire together. */
	do {
		send_numbers("linger.ms", rebuilt == 0 ? "300" : "5");
		RIG_UNTIL(&rig, 30000, rig.fatals == 1 || producer_in_flight(rig.p) == 0);
		TAP_INT(rig.reports[SEND_POISON], 0);
	} while (rig.fatals > 0 && rebuilt++ < 12);
	tap_diag("rebuilt %d times, batches of %zu", rebuilt, producer_batch_bytes(rig.p));
	CU_ASSERT(rebuilt > 0);
	TAP_INT(rig.fatals, 0);
	expect_numbers_in_order();
}

/* With five requests on the wire at a time, each new producer goes on while the old one may have something stored. */
static void
test_failures_keep_the_order(void)
{
	name_numbers();
	make_topic("1500000");
	for (int i = 0; i < 10; i++) {
		send_numbers("batch.num.messages", "20");
		CU_ASSERT_FATAL(RIG_UNTIL(&rig, 20000, rig.reports[SEND_OK] > 100));
		rd_kafka_test_fatal_error(rig.p->rk, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "as if the place was lost");
		CU_ASSERT_FATAL(RIG_UNTIL(&rig, 20000, rig.fatals == 1));
		TAP_HAS(rig.fatal_reason, "place was lost");
		TAP_INT(rig.reports[SEND_TOPIC] + rig.reports[SEND_POISON] + rig.reports[SEND_OUTAGE], 0);
	}
	send_numbers("batch.num.messages", "20");
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 30000, producer_in_flight(rig.p) == 0));
	TAP_INT(rig.fatals, 0);
	expect_numbers_in_order();
}

/* The same where nothing on the wire is waited for. */
static void
test_purges_keep_the_order(void)
{
	name_numbers();
	make_topic("1500000");
	for (int i = 0; i < 10; i++) {
		send_numbers("batch.num.messages", "20");
		CU_ASSERT_FATAL(RIG_UNTIL(&rig, 20000, rig.reports[SEND_OK] > 100));
		producer_purge(rig.p);
		CU_ASSERT_FATAL(RIG_UNTIL(&rig, 20000, producer_in_flight(rig.p) == 0));
		TAP_INT(rig.reports[SEND_TOPIC] + rig.reports[SEND_POISON] + rig.reports[SEND_FATAL], 0);
	}
	send_numbers("batch.num.messages", "20");
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 30000, producer_in_flight(rig.p) == 0));
	expect_numbers_in_order();
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
	tap_test("producers that fail with requests on the wire keep the order", test_failures_keep_the_order);
	tap_test("producers that are purged keep the order", test_purges_keep_the_order);
	tap_test("topics made on sight", test_fresh_topics);
	return tap_run();
}
