/* test_producer.c - the producer against librdkafka's mock cluster: what arrives, and what is said when it does not. */
#include "test_producer_rig.h"

#include <unistd.h>

#define API_PRODUCE 0

static struct rig rig;

static void
setup(void)
{
	rig_open(&rig, 1);
	rig_producer(&rig);
}

static void
teardown(void)
{
	rig_close(&rig);
}

static struct topic_reader *
open_reader(const char *topic)
{
	struct topic_reader *reader = NULL;
	struct error err;

	TAP_INT_FATAL(topic_reader_open(rig.brokers, &topic, 1, 10000, &reader, &err), 0);
	return reader;
}

/* The first message to a partition goes alone; from then on they travel in batches. */
static void
open_topic(const char *topic)
{
	size_t before = rig.reports[SEND_OK];

	rd_kafka_mock_topic_create(rig.cluster, topic, 1, 1);
	TAP_INT_FATAL(rig_send(&rig, topic, "k", "first", NULL), 0);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == before + 1));
}

static void
expect_slice(struct slice actual, struct slice expected)
{
	CU_ASSERT(slice_equal(actual, expected));
}

static void
test_bytes(void)
{
	static const char every[] = "\0\x01\xff\n{\"a\":\"\\u0000\"}";
	const struct header headers[] = {{"id", slice_from("abc")}, {"none", SLICE_NULL}, {"empty", {"", 0}}};
	const struct message messages[] = {
		{"bytes", {every, sizeof every}, {every, sizeof every}, 1700000000123, headers, 3},
		{"bytes", {"k", 1}, SLICE_NULL, 1, NULL, 0},
		{"bytes", {"", 0}, {"", 0}, 0, NULL, 0},
		{"bytes", SLICE_NULL, {"v", 1}, -86400000, NULL, 0},
	};
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	int64_t before_ms = clock_wall_us() / 1000 - 1;

	rd_kafka_mock_topic_create(rig.cluster, "bytes", 1, 1);
	for (size_t i = 0; i < 4; i++) {
		enum send_class class;
		struct error err;

		/* One without a key has no order and waits for nobody. */
		if (slice_is_null(messages[i].key))
			CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == i));
		TAP_INT_FATAL(producer_send(rig.p, &messages[i], NULL, &class, &err), 0);
	}
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 4));
	TAP_INT(producer_in_flight(rig.p), 0);
	reader = open_reader("bytes");
	for (size_t i = 0; i < 4; i++) {
		rd_kafka_message_t *m = topic_reader_next(reader, 10000);
		int64_t timestamp_ms;

		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		timestamp_ms = rd_kafka_message_timestamp(m, NULL);
		expect_slice(topic_key(m), messages[i].key);
		expect_slice(topic_value(m), messages[i].value);
		TAP_INT(topic_header_count(m), messages[i].headers_count);
		if (messages[i].timestamp_ms > 0)
			TAP_INT(timestamp_ms, messages[i].timestamp_ms);
		else
			CU_ASSERT(timestamp_ms >= before_ms && timestamp_ms <= clock_wall_us() / 1000);
		if (i == 0) {
			expect_slice(topic_header(m, "id"), slice_from("abc"));
			expect_slice(topic_header(m, "none"), SLICE_NULL);
			expect_slice(topic_header(m, "empty"), (struct slice){"", 0});
		}
		rd_kafka_message_destroy(m);
	}
}

static void
test_receipt(void)
{
	int mark;

	rd_kafka_mock_topic_create(rig.cluster, "receipt", 1, 1);
	for (int i = 0; i < 3; i++) {
		TAP_INT_FATAL(rig_send(&rig, "receipt", "k", "v", &mark), 0);
		CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == (size_t)i + 1));
		TAP_INT(rig.last_offset, i);
		TAP_INT(rig.last_partition, 0);
		CU_ASSERT_PTR_EQUAL(rig.last_opaque, &mark);
	}
}

/* The broker says that it has a batch already, and not where: librdkafka would have them at -1, 0, 1 and so on. */
static void
test_receipts_of_duplicates(void)
{
	static const rd_kafka_resp_err_t known = RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER;
	struct producer_property linger = {"linger.ms", "100"}; /* all in one batch, or nearly */
	struct error err;

	producer_free(rig.p);
	TAP_INT_FATAL(rig_producer_with(&rig, rig.brokers, &linger, 1, &err), 0);
	rd_kafka_mock_topic_create(rig.cluster, "known", 1, 1);
	TAP_INT_FATAL(rig_send(&rig, "known", "k", "v", NULL), 0);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 1));
	TAP_INT(rig.last_offset, 0);
	for (int i = 0; i < 20; i++)
		rd_kafka_mock_push_request_errors_array(rig.cluster, 0, 1, &known);
	for (int i = 0; i < 20; i++)
		TAP_INT_FATAL(rig_send(&rig, "known", "k", "v", NULL), 0);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 21));
	TAP_INT(rig.last_offset, -1);
	TAP_INT(rig.highest_offset, 0);
	TAP_INT(rig.last_partition, 0);
}

/* The caller's value is not copied: what it holds when librdkafka sends is what arrives. The key is copied. */
static void
test_no_copy(void)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	char key[] = "key", value[] = "early";
	rd_kafka_message_t *m;

	rd_kafka_mock_topic_create(rig.cluster, "copy", 1, 1);
	rd_kafka_mock_broker_set_down(rig.cluster, -1);
	rig_pump(&rig, 200);
	TAP_INT_FATAL(rig_send(&rig, "copy", key, value, NULL), 0);
	memcpy(value, "later", sizeof value);
	memcpy(key, "???", sizeof key);
	rd_kafka_mock_broker_set_up(rig.cluster, -1);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 1));
	reader = open_reader("copy");
	m = topic_reader_next(reader, 10000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	expect_slice(topic_key(m), slice_from("key"));
	expect_slice(topic_value(m), slice_from("later"));
	rd_kafka_message_destroy(m);
}

/* As Java's default: toPositive(murmur2(key)) % partitions. The first two hashes are test vectors of Kafka's own. */
static void
test_partitions_like_java(void)
{
	static const struct {
		const char *key;
		int32_t hash;
	} vectors[] = {{"21", -973932308}, {"foobar", -790332482}, {"", 275646681}};

	rd_kafka_mock_topic_create(rig.cluster, "java", 7, 1);
	for (size_t i = 0; i < 3; i++) {
		TAP_INT_FATAL(rig_send(&rig, "java", vectors[i].key, "v", NULL), 0);
		CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == i + 1));
		TAP_INT(rig.last_partition, (vectors[i].hash & 0x7fffffff) % 7);
	}
}

static void
test_first_message_waits_for_no_scan(void)
{
	int64_t start_us;

	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	rig_pump(&rig, 100);
	start_us = clock_mono_us();
	producer_warm_topic(rig.p, "fresh");
	producer_warm_topic(rig.p, "fresh");
	TAP_INT_FATAL(rig_send(&rig, "fresh", "k", "v", NULL), 0);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 1));
	tap_diag("first acknowledgement of a fresh topic after %lld us", (long long)(clock_mono_us() - start_us));
	CU_ASSERT(clock_mono_us() - start_us < 700000);
}

static void
test_warm_does_not_block(void)
{
	struct error err;
	int64_t start_us;

	producer_free(rig.p);
	TAP_INT_FATAL(rig_producer_with(&rig, "127.0.0.1:1", NULL, 0, &err), 0);
	rig_pump(&rig, 100);
	start_us = clock_mono_us();
	for (int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof name, "cold%d", i);
		producer_warm_topic(rig.p, name);
	}
	tap_diag("20 topics without a broker: %lld us", (long long)(clock_mono_us() - start_us));
	CU_ASSERT(clock_mono_us() - start_us < 200000);
}

static void
test_unknown_topic(void)
{
	rd_kafka_mock_topic_set_error(rig.cluster, "ghost", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	TAP_INT_FATAL(rig_send(&rig, "ghost", "k", "v", NULL), 0);
	TAP_INT_FATAL(rig_send(&rig, "real", "k", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 3000, rig.reports[SEND_OK] == 1));
	CU_ASSERT(RIG_UNTIL(&rig, 15000, rig.reports[SEND_TOPIC] == 1));
	TAP_HAS(rig.last_reason, "topic");
	TAP_INT(rig.last_offset, -1);
	/* librdkafka now knows that it is not there, and says so at once. */
	TAP_INT(rig_send(&rig, "ghost", "k", "v", NULL), -SEND_TOPIC);
	TAP_INT(producer_in_flight(rig.p), 0);
	rd_kafka_mock_topic_set_error(rig.cluster, "ghost", RD_KAFKA_RESP_ERR_NO_ERROR);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig_send(&rig, "ghost", "k", "v", NULL) == 0));
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 2));
	TAP_INT(rig.fatals, 0);
}

static void
test_topic_not_authorised(void)
{
	rd_kafka_resp_err_t denied = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;

	rd_kafka_mock_push_request_errors(rig.cluster, API_PRODUCE, 1, denied);
	TAP_INT_FATAL(rig_send(&rig, "denied", "k", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_TOPIC] == 1));
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig_send(&rig, "denied", "k", "v", NULL) == 0));
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 1));
}

static void
test_too_large_for_the_client(void)
{
	struct producer_property small = {"message.max.bytes", "2000"};
	static char value[3000];
	struct message m = {.topic = "large", .key = slice_from("k"), .value = {value, sizeof value}};
	struct header header = {"h", {value, 1900}};
	enum send_class class = SEND_OK;
	struct error err;

	producer_free(rig.p);
	TAP_INT_FATAL(rig_producer_with(&rig, rig.brokers, &small, 1, &err), 0);
	open_topic("large");
	TAP_INT(producer_message_max(rig.p, "large"), 2000);
	TAP_INT(producer_send(rig.p, &m, NULL, &class, &err), -1);
	TAP_INT(class, SEND_POISON);
	TAP_INT(err.kind, ERR_POISON);
	TAP_HAS(err.message, "3001 bytes");
	TAP_HAS(err.hint, "message.max.bytes");
	/* Headers that librdkafka did not take are ours to free: the address sanitizer would tell. */
	m = (struct message){"large", slice_from("k"), {value, 500}, 0, &header, 1};
	TAP_INT(producer_send(rig.p, &m, NULL, &class, &err), -1);
	TAP_INT(class, SEND_POISON);
	TAP_INT(producer_in_flight(rig.p), 0);
	m.headers_count = 0;
	TAP_INT(producer_send(rig.p, &m, NULL, &class, &err), 0);
}

static void
test_large_message_passes(void)
{
	size_t size = 20 << 20;
	char *value = calloc(1, size);
	struct message m = {.topic = "huge", .key = slice_from("k"), .value = {value, size}};
	enum send_class class;
	struct error err;

	CU_ASSERT_PTR_NOT_NULL_FATAL(value);
	TAP_INT(producer_send(rig.p, &m, NULL, &class, &err), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 20000, rig.reports[SEND_OK] == 1));
	free(value);
}

/* Alone in its batch, the message itself is too large. */
static void
test_refused_alone(void)
{
	rd_kafka_mock_push_request_errors(rig.cluster, API_PRODUCE, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
	                                  RD_KAFKA_RESP_ERR_INVALID_RECORD);
	TAP_INT_FATAL(rig_send(&rig, "alone", "k", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_POISON] == 1));
	TAP_INT_FATAL(rig_send(&rig, "alone", "k", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_POISON] == 2));
	TAP_INT_FATAL(rig_send(&rig, "alone", "k", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 1));
	TAP_INT(rig.fatals, 0);
}

static void
expect_order(const char *topic, int count)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = open_reader(topic);

	for (int i = 0; i < count; i++) {
		rd_kafka_message_t *m = topic_reader_next(reader, 10000);

		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		TAP_INT(((const char *)m->payload)[0], 'a' + i);
		rd_kafka_message_destroy(m);
	}
}

/* Sent one by one, so that each is a request of its own unless it has to wait. */
static void
send_letters(const char *topic, int count)
{
	static const char *const letters[] = {"a", "b", "c", "d", "e"};

	for (int i = 0; i < count; i++) {
		TAP_INT_FATAL(rig_send(&rig, topic, "k", letters[i], NULL), 0);
		rig_pump(&rig, 20);
	}
}

/* The mock broker does what a real one does that knows nothing of a producer on a partition yet: it takes any sequence
 * number. So what was sent behind a request that failed for a moment would come to stand before it. */
static void
test_first_goes_alone(void)
{
	rd_kafka_resp_err_t passing = RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;

	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	rd_kafka_mock_topic_create(rig.cluster, "first", 1, 1);
	producer_warm_topic(rig.p, "first");
	rig_pump(&rig, 300);
	rd_kafka_mock_push_request_errors(rig.cluster, API_PRODUCE, 2, passing, passing);
	rd_kafka_mock_broker_set_rtt(rig.cluster, -1, 100);
	send_letters("first", 5);
	TAP_INT(producer_in_flight(rig.p), 5);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 5));
	TAP_INT(producer_in_flight(rig.p), 0);
	expect_order("first", 5);
}

/* With it fail those that must not pass it: of its partition where the topic is in trouble, of its key where it alone
 * can never be sent. */
static void
test_first_is_refused(void)
{
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	rd_kafka_mock_topic_create(rig.cluster, "first", 1, 1);
	rd_kafka_mock_push_request_errors(rig.cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
	for (int i = 0; i < 3; i++)
		TAP_INT_FATAL(rig_send(&rig, "first", "k", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_TOPIC] == 3));
	rd_kafka_mock_push_request_errors(rig.cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	for (int i = 0; i < 3; i++)
		TAP_INT_FATAL(rig_send(&rig, "first", "k", "v", NULL), 0);
	TAP_INT_FATAL(rig_send(&rig, "first", "other", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, producer_in_flight(rig.p) == 0));
	TAP_INT(rig.reports[SEND_POISON], 1);
	TAP_INT(rig.reports[SEND_OUTAGE], 2);
	TAP_INT(rig.reports[SEND_OK], 1);
	TAP_INT(rig.fatals, 0);
}

/* A partition without a leader keeps its first message, and with it no other partition's. */
static void
test_first_stays(void)
{
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	rd_kafka_mock_topic_create(rig.cluster, "leaderless", 2, 1);
	rd_kafka_mock_partition_set_leader(rig.cluster, "leaderless", 0, -1);
	rd_kafka_mock_partition_set_leader(rig.cluster, "leaderless", 1, 1);
	/* By murmur2, "foobar" goes to the one and "" to the other. */
	for (int i = 0; i < 3; i++) {
		TAP_INT_FATAL(rig_send(&rig, "leaderless", "foobar", "v", NULL), 0);
		TAP_INT_FATAL(rig_send(&rig, "leaderless", "", "v", NULL), 0);
	}
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 3));
	TAP_INT(rig.last_partition, 1);
	rig_pump(&rig, 500);
	TAP_INT(producer_in_flight(rig.p), 3);
	rd_kafka_mock_partition_set_leader(rig.cluster, "leaderless", 0, 1);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 6));
}

/* What waits is reported too when nothing goes any more. */
static void
test_waiting_is_purged(void)
{
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	for (int i = 0; i < 3; i++)
		TAP_INT_FATAL(rig_send(&rig, "waits", "k", "v", NULL), 0);
	producer_purge(rig.p);
	CU_ASSERT(RIG_UNTIL(&rig, 1000, rig.reports[SEND_OUTAGE] == 3));
	TAP_INT(producer_in_flight(rig.p), 0);
}

static void
send_while_down(const char *topic, int count, rd_kafka_resp_err_t answer)
{
	open_topic(topic);
	rd_kafka_mock_push_request_errors(rig.cluster, API_PRODUCE, 1, answer);
	rd_kafka_mock_broker_set_down(rig.cluster, -1);
	rig_pump(&rig, 300);
	for (int i = 0; i < count; i++)
		TAP_INT_FATAL(rig_send(&rig, topic, "k", "v", NULL), 0);
	rd_kafka_mock_broker_set_up(rig.cluster, -1);
}

/* In company, nobody knows which record it was: the producer asks to be rebuilt with smaller batches. */
static void
test_refused_batch(void)
{
	size_t first;

	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	first = producer_batch_bytes(rig.p);
	send_while_down("batch", 10, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.fatals == 1));
	TAP_INT(rig.reports[SEND_FATAL], 10);
	TAP_INT(rig.reports[SEND_POISON], 0);
	TAP_HAS(rig.fatal_reason, "batch");
	TAP_INT(rig.batch_bytes, first / 2);
	TAP_INT(rig_send(&rig, "batch", "k", "v", NULL), -SEND_FATAL);
	producer_free(rig.p);
	rig_producer(&rig);
	TAP_INT(producer_batch_bytes(rig.p), first / 2);
	TAP_INT_FATAL(rig_send(&rig, "batch", "k", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 2));
}

static void
test_bad_record_in_company(void)
{
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	send_while_down("record", 10, RD_KAFKA_RESP_ERR_INVALID_RECORD);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_TOPIC] == 10));
	TAP_INT(rig.fatals, 0);
}

static void
test_purge(void)
{
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	rd_kafka_mock_topic_create(rig.cluster, "purge", 4, 1);
	rd_kafka_mock_broker_set_rtt(rig.cluster, -1, 2000);
	for (int i = 0; i < 1000; i++) {
		char key[16];

		snprintf(key, sizeof key, "k%d", i);
		TAP_INT_FATAL(rig_send(&rig, i % 2 == 0 ? "purge" : "unseen", key, "v", NULL), 0);
	}
	rig_pump(&rig, 200);
	producer_purge(rig.p);
	CU_ASSERT(RIG_UNTIL(&rig, 1500, producer_in_flight(rig.p) == 0));
	TAP_INT(rig.reports[SEND_OUTAGE] + rig.reports[SEND_OK], 1000);
	CU_ASSERT(rig.reports[SEND_OUTAGE] > 0);
	rd_kafka_mock_broker_set_rtt(rig.cluster, -1, 0);
	rig_forget(&rig);
	/* Nothing goes out any more: the next producer will do that. */
	TAP_INT(rig_send(&rig, "purge", "k", "v", NULL), -SEND_OUTAGE);
	rig_pump(&rig, 200);
	TAP_INT(rig.fatals, 0);
	producer_free(rig.p);
	rig_producer(&rig);
	TAP_INT_FATAL(rig_send(&rig, "purge", "k", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 1));
}

/* rd_kafka_test_fatal_error() needs librdkafka's handle, so a sequence error of the broker takes its place. */
static void
turn_fatal(void)
{
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	rd_kafka_mock_push_request_errors(rig.cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	rd_kafka_mock_topic_create(rig.cluster, "fatal", 2, 1);
	for (int i = 0; i < 10; i++)
		TAP_INT_FATAL(rig_send(&rig, "fatal", "k", "v", NULL), 0);
}

static void
test_fatal(void)
{
	turn_fatal();
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.fatals == 1));
	TAP_HAS(rig.fatal_reason, "sequence");
	TAP_INT(rig.reports[SEND_OUTAGE] + rig.reports[SEND_TOPIC] + rig.reports[SEND_POISON], 0);
	CU_ASSERT(rig.reports[SEND_FATAL] > 0);
	TAP_INT(rig.reports[SEND_FATAL] + rig.reports[SEND_OK], 10);
	TAP_INT(rig_send(&rig, "fatal", "k", "v", NULL), -SEND_FATAL);
	rig_pump(&rig, 300);
	TAP_INT(rig.fatals, 1);
	producer_free(rig.p);
	rig_forget(&rig);
	rig_producer(&rig);
	TAP_INT_FATAL(rig_send(&rig, "fatal", "k", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 1));
}

static void
test_free_within_fatal(void)
{
	rig.free_in_fatal = true;
	turn_fatal();
	CU_ASSERT(RIG_UNTIL(&rig, 5000, rig.p == NULL));
	TAP_INT(rig.fatals, 1);
}

static void
test_reachable(void)
{
	int64_t start_us;

	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	TAP_INT(rig.downs, 0);
	rd_kafka_mock_broker_set_down(rig.cluster, -1);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.downs == 1));
	TAP_HAS(rig.down_reason, "127.0.0.1");
	rig_pump(&rig, 3000);
	TAP_INT(rig.downs, 1);
	TAP_INT(rig.ups, 1);
	rd_kafka_mock_broker_set_up(rig.cluster, -1);
	start_us = clock_mono_us();
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.ups == 2));
	tap_diag("back after %lld ms", (long long)(clock_mono_us() - start_us) / 1000);
	CU_ASSERT(clock_mono_us() - start_us < 3000000);
	rig_pump(&rig, 1500);
	TAP_INT(rig.downs, 1);
}

/* A connection that closes and comes back within the grace is nobody's news. */
static void
test_blink(void)
{
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	rd_kafka_mock_broker_set_down(rig.cluster, -1);
	rig_pump(&rig, 100);
	rd_kafka_mock_broker_set_up(rig.cluster, -1);
	rig_pump(&rig, 3000);
	TAP_INT(rig.downs, 0);
	TAP_INT(rig.ups, 1);
}

static void
test_never_reachable(void)
{
	struct error err;

	producer_free(rig.p);
	TAP_INT_FATAL(rig_producer_with(&rig, "127.0.0.1:1", NULL, 0, &err), 0);
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.downs == 1));
	TAP_HAS(rig.down_reason, "refused");
	TAP_INT(rig.ups, 0);
}

static void
expect_quick_free(const char *what)
{
	int64_t start_us = clock_mono_us();

	producer_free(rig.p);
	rig.p = NULL;
	tap_diag("free, %s: %lld us", what, (long long)(clock_mono_us() - start_us));
	/* Newer librdkafkas look up only once a second. */
	CU_ASSERT(clock_mono_us() - start_us < 3000000);
}

static void
test_free_without_a_broker(void)
{
	struct error err;

	producer_free(rig.p);
	TAP_INT_FATAL(rig_producer_with(&rig, "127.0.0.1:1", NULL, 0, &err), 0);
	rig_pump(&rig, 100);
	for (int i = 0; i < 10000; i++)
		TAP_INT_FATAL(rig_send(&rig, i % 2 == 0 ? "free" : "other", "k", "v", NULL), 0);
	rig_pump(&rig, 100);
	expect_quick_free("10,000 messages and no broker");
}

static void
test_free_with_messages_on_the_wire(void)
{
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	rd_kafka_mock_topic_create(rig.cluster, "free", 4, 1);
	rd_kafka_mock_broker_set_rtt(rig.cluster, -1, 5000);
	for (int i = 0; i < 10000; i++)
		TAP_INT_FATAL(rig_send(&rig, "free", "k", "v", NULL), 0);
	rig_pump(&rig, 100);
	expect_quick_free("10,000 messages at a slow broker");
	producer_free(NULL);
}

static void
test_free_after_an_outage(void)
{
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	rd_kafka_mock_broker_set_down(rig.cluster, -1);
	rig_pump(&rig, 300);
	for (int i = 0; i < 1000; i++)
		TAP_INT_FATAL(rig_send(&rig, "free", "k", "v", NULL), 0);
	rig_pump(&rig, 2000);
	expect_quick_free("1,000 messages and a broker that left");
}

/* librdkafka's rd_kafka_message_errstr() would hand out a failed message's value. */
static void
test_nothing_tells_the_payload(void)
{
	rd_kafka_mock_push_request_errors(rig.cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	TAP_INT_FATAL(rig_send(&rig, "secret", "keykeykey", "valuevalue", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_TOPIC] == 1));
	TAP_HAS(rig.all_text, "authorization");
	CU_ASSERT_PTR_NULL(strstr(rig.all_text, "valuevalue"));
	CU_ASSERT_PTR_NULL(strstr(rig.all_text, "keykeykey"));
}

/* More than one reading's worth: nothing stays unread, and other watches get their turn in between. */
static void
test_all_reports_are_read(void)
{
	enum { COUNT = 60000 };
	int64_t busy_us, longest_us = 0;

	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
	rd_kafka_mock_topic_create(rig.cluster, "many", 8, 1);
	for (int i = 0; i < COUNT; i++) {
		char key[16];

		snprintf(key, sizeof key, "k%d", i);
		TAP_INT_FATAL(rig_send(&rig, "many", key, "v", NULL), 0);
	}
	usleep(1500000);
	while (rig.reports[SEND_OK] < COUNT) {
		size_t before = rig.reports[SEND_OK];

		busy_us = clock_mono_us();
		rig_turn(&rig, 3000);
		busy_us = clock_mono_us() - busy_us;
		longest_us = busy_us > longest_us ? busy_us : longest_us;
		if (rig.reports[SEND_OK] == before && busy_us > 2000000)
			break;
		CU_ASSERT(rig.reports[SEND_OK] - before < 20000);
	}
	tap_diag("longest turn: %lld us", (long long)longest_us);
	TAP_INT(rig.reports[SEND_OK], COUNT);
}

static void
test_own_mock_cluster(void)
{
	struct producer_property own = {"test.mock.num.brokers", "2"};
	struct error err;

	producer_free(rig.p);
	TAP_INT_FATAL(rig_producer_with(&rig, "unused:9092", &own, 1, &err), 0);
	TAP_INT_FATAL(rig_send(&rig, "demo", "k", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 1));
}

static void
test_refused_options(void)
{
	struct producer_property acks = {"acks", "1"};
	struct producer_property ca[] = {{"security.protocol", "ssl"}, {"ssl.ca.location", "/nonexistent/ca.pem"}};
	struct producer *none = NULL;
	struct error err;

	producer_free(rig.p);
	rig.p = NULL;
	TAP_INT(rig_producer_with(&rig, rig.brokers, &acks, 1, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, "acks");
	TAP_INT(rig_producer_with(&rig, rig.brokers, ca, 2, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, "ssl.ca.location");
	CU_ASSERT_PTR_EQUAL(rig.p, none);
}

static void
test_statistics(void)
{
	struct producer_property stats[] = {{"statistics.interval.ms", "100"}, {"queue.buffering.max.ms", "300"}};
	struct error err;

	producer_free(rig.p);
	TAP_INT_FATAL(rig_producer_with(&rig, rig.brokers, stats, 2, &err), 0);
	rd_kafka_mock_broker_set_rtt(rig.cluster, 1, 60);
	for (int i = 0; i < 10; i++)
		TAP_INT_FATAL(rig_send(&rig, "stats", "k", "v", NULL), 0);
	CU_ASSERT(RIG_UNTIL(&rig, 10000, rig.reports[SEND_OK] == 10 && rig.worst.queue_messages > 0 && rig.worst.rtt_p99_us > 0));
	/* the messages waited, and the broker took its time */
	TAP_INT(rig.reports[SEND_OK], 10);
	CU_ASSERT(rig.worst.queue_messages >= 1 && rig.worst.queue_messages <= 10);
	CU_ASSERT(rig.worst.queue_bytes >= 2);
	CU_ASSERT(rig.worst.rtt_p99_us >= 50000 && rig.worst.rtt_p99_us < 5000000);
	TAP_INT(rig.worst.timeouts, 0);
}

int
main(void)
{
	tap_suite_fixture("producer", setup, teardown);
	tap_test("every byte arrives, NULL and empty apart", test_bytes);
	tap_test("a report has partition, offset and opaque", test_receipt);
	tap_test("offsets of duplicates are unknown", test_receipts_of_duplicates);
	tap_test("the value is not copied, the key is", test_no_copy);
	tap_test("keys reach the partitions that Java gives them", test_partitions_like_java);
	tap_test("a fresh topic does not wait for librdkafka's scan", test_first_message_waits_for_no_scan);
	tap_test("warming topics without a broker does not block", test_warm_does_not_block);
	tap_test("an unknown topic holds, others flow on, it heals", test_unknown_topic);
	tap_test("a topic without authorisation holds", test_topic_not_authorised);
	tap_test("too large for the client is poison before it is sent", test_too_large_for_the_client);
	tap_test("20 MB pass where the broker takes them", test_large_message_passes);
	tap_test("a message refused alone is poison", test_refused_alone);
	tap_test("a refused batch is no poison but makes batches smaller", test_refused_batch);
	tap_test("a bad record in company holds the topic", test_bad_record_in_company);
	tap_test("the first message to a partition goes alone", test_first_goes_alone);
	tap_test("nothing passes a first message that is refused", test_first_is_refused);
	tap_test("a partition without a leader holds up itself only", test_first_stays);
	tap_test("what waits behind a first message is purged with it", test_waiting_is_purged);
	tap_test("purge reports everything, and the next producer goes on", test_purge);
	tap_test("fatal: reports first, then the word, then no more", test_fatal);
	tap_test("fatal: the producer may be freed from within", test_free_within_fatal);
	tap_test("down and up again are told once", test_reachable);
	tap_test("a blink is not told", test_blink);
	tap_test("a broker that never answers is told", test_never_reachable);
	tap_test("free without a broker is quick", test_free_without_a_broker);
	tap_test("free with messages on the wire is quick", test_free_with_messages_on_the_wire);
	tap_test("free in an outage is quick", test_free_after_an_outage);
	tap_test("no reason and no log line tells the payload", test_nothing_tells_the_payload);
	tap_test("a flood of reports is read to the end, in bounded turns", test_all_reports_are_read);
	tap_test("librdkafka's own mock cluster can be asked for", test_own_mock_cluster);
	tap_test("bad options are refused", test_refused_options);
	tap_test("statistics tell of the queue and the broker", test_statistics);
	return tap_run();
}
