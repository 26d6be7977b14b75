/* test_producer_faults.c - order and completeness while the mock cluster misbehaves.
 *
 * Every value is "key sequence". Read back, each key's sequence must begin at 0 and rise by one on first occurrences.
 * The mock broker does not look at the producer's sequence numbers. So it stores a batch behind one that it refused,
 * where a real one would not: one request at a time is in flight here. And it does not recognise a batch that it has
 * stored already: where connections break a stretch may come twice, where only errors are answered it may not.
 * Nor does a new leader know what is still on its way to the old one: where leaders move, order is for real brokers to
 * show (e2e/test_brokers).
 */
#include "test_producer_rig.h"

#include <time.h>

#define API_PRODUCE 0

enum { KEYS = 50, MESSAGES = 20000, BROKERS = 3 };

static struct rig rig;
static char values[MESSAGES][24];
static char keys[KEYS][16];
static int sent;

static void
open_producer(void)
{
	static const struct producer_property one_at_a_time = {"max.in.flight", "1"};
	struct error err;

	TAP_INT_FATAL(rig_producer_with(&rig, rig.brokers, &one_at_a_time, 1, &err), 0);
}

static void
setup(void)
{
	for (int i = 0; i < KEYS; i++)
		snprintf(keys[i], sizeof keys[i], "k%d", i);
	for (int i = 0; i < MESSAGES; i++)
		snprintf(values[i], sizeof values[i], "%d %d", i % KEYS, i / KEYS);
	sent = 0;
	rig_open(&rig, BROKERS);
	rd_kafka_mock_topic_create(rig.cluster, "faults", 4, 1);
	open_producer();
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 5000, rig.ups == 1));
}

static void
teardown(void)
{
	rig_close(&rig);
}

static void
send_some(int count)
{
	for (; count > 0; count--, sent++)
		TAP_INT_FATAL(rig_send(&rig, "faults", keys[sent % KEYS], values[sent], NULL), 0);
}

static void
expect_all_acknowledged(int ms)
{
	CU_ASSERT(RIG_UNTIL(&rig, ms, rig.reports[SEND_OK] == (size_t)sent));
	TAP_INT(rig.reports[SEND_OK], sent);
	TAP_INT(producer_in_flight(rig.p), 0);
	TAP_INT(rig.fatals, 0);
}

/* Calls take() with each message of the topic. */
static void
read_back(void (*take)(int key, int sequence, void *ctx), void *ctx)
{
	static const char *const topic = "faults";
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	rd_kafka_message_t *m;
	struct error err;

	TAP_INT_FATAL(topic_reader_open(rig.brokers, &topic, 1, 10000, &reader, &err), 0);
	for (;;) {
		int key, sequence;

		m = topic_reader_next(reader, 500);
		if (m == NULL && topic_reader_at_end(reader))
			break;
		if (m == NULL)
			continue;
		TAP_INT_FATAL(sscanf(m->payload, "%d %d", &key, &sequence), 2);
		take(key, sequence, ctx);
		rd_kafka_message_destroy(m);
	}
}

struct order {
	int next[KEYS];
	int first, again;
};

static void
take_in_order(int key, int sequence, void *ctx)
{
	struct order *o = ctx;

	if (sequence == o->next[key]) {
		o->next[key]++;
		o->first++;
	} else {
		CU_ASSERT_FATAL(sequence < o->next[key]);
		o->again++;
	}
}

/* Returns how many arrived more than once. */
static int
expect_order(void)
{
	struct order o = {.first = 0};

	read_back(take_in_order, &o);
	TAP_INT(o.first, sent);
	return o.again;
}

static void
take_any(int key, int sequence, void *ctx)
{
	int *times = ctx;

	times[sequence * KEYS + key]++;
}

static void
expect_each_once(void)
{
	static int times[MESSAGES];

	memset(times, 0, sizeof times);
	read_back(take_any, times);
	for (int i = 0; i < sent; i++)
		TAP_INT_FATAL(times[i], 1);
}

static void
push_errors(const rd_kafka_resp_err_t *errors, size_t count, int repeat)
{
	for (; repeat > 0; repeat--)
		rd_kafka_mock_push_request_errors_array(rig.cluster, API_PRODUCE, count, errors);
}

static void
test_answered_errors(void)
{
	static const rd_kafka_resp_err_t errors[] = {
		RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,      RD_KAFKA_RESP_ERR_NO_ERROR,
		RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,        RD_KAFKA_RESP_ERR_NO_ERROR,
		RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NO_ERROR,
		RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,      RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
	};

	push_errors(errors, sizeof errors / sizeof errors[0], 4);
	for (int i = 0; i < 20; i++) {
		send_some(200);
		rig_pump(&rig, 20);
	}
	expect_all_acknowledged(60000);
	TAP_INT(expect_order(), 0);
}

static void
test_disconnects(void)
{
	static const rd_kafka_resp_err_t errors[] = {RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR__TRANSPORT,
	                                             RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_NO_ERROR};

	push_errors(errors, sizeof errors / sizeof errors[0], 5);
	for (int i = 0; i < 20; i++) {
		send_some(200);
		rig_pump(&rig, 50);
	}
	expect_all_acknowledged(60000);
	tap_diag("sent %d, twice %d", sent, expect_order());
}

/* Ten seconds without any broker cost no message, and the first acknowledgement comes soon after its return. */
static void
test_outage(void)
{
	int64_t start_us;
	size_t before;

	send_some(2000);
	rig_pump(&rig, 5);
	rd_kafka_mock_broker_set_down(rig.cluster, -1);
	send_some(3000);
	rig_pump(&rig, 10000);
	TAP_INT(rig.downs, 1);
	TAP_INT(rig.reports[SEND_OUTAGE] + rig.reports[SEND_TOPIC] + rig.reports[SEND_POISON] + rig.reports[SEND_FATAL], 0);
	before = rig.reports[SEND_OK];
	rd_kafka_mock_broker_set_up(rig.cluster, -1);
	start_us = clock_mono_us();
	CU_ASSERT(RIG_UNTIL(&rig, 20000, rig.reports[SEND_OK] > before));
	tap_diag("first acknowledgement %lld ms after the return", (long long)(clock_mono_us() - start_us) / 1000);
	CU_ASSERT(clock_mono_us() - start_us < 3000000);
	send_some(1000);
	expect_all_acknowledged(30000);
	CU_ASSERT(RIG_UNTIL(&rig, 5000, rig.ups == 2));
	tap_diag("sent %d, twice %d", sent, expect_order());
}

/* One broker away: its partitions wait, the others flow on. */
static void
test_one_broker_away(void)
{
	for (int32_t i = 0; i < 4; i++)
		rd_kafka_mock_partition_set_leader(rig.cluster, "faults", i, 1 + i % BROKERS);
	send_some(500);
	expect_all_acknowledged(10000);
	rd_kafka_mock_broker_set_down(rig.cluster, 2);
	rig_pump(&rig, 200);
	send_some(500);
	rig_pump(&rig, 3000);
	CU_ASSERT(rig.reports[SEND_OK] > 600 && rig.reports[SEND_OK] < 1000);
	TAP_INT(rig.downs, 0);
	rd_kafka_mock_broker_set_up(rig.cluster, 2);
	expect_all_acknowledged(10000);
	expect_order();
}

static void
test_leader_moves(void)
{
	for (int i = 0; i < 20; i++) {
		send_some(200);
		for (int32_t partition = 0; partition < 4; partition++)
			rd_kafka_mock_partition_set_leader(rig.cluster, "faults", partition, 1 + (i + partition) % BROKERS);
		rig_pump(&rig, 50);
	}
	expect_all_acknowledged(30000);
	expect_each_once();
}

static void
test_no_leader(void)
{
	rd_kafka_mock_partition_set_leader(rig.cluster, "faults", 0, -1);
	send_some(500);
	rig_pump(&rig, 2000);
	CU_ASSERT(rig.reports[SEND_OK] > 0 && rig.reports[SEND_OK] < 500);
	rd_kafka_mock_partition_set_leader(rig.cluster, "faults", 0, 1);
	expect_all_acknowledged(10000);
	TAP_INT(expect_order(), 0);
}

/* A producer that failed is replaced; what was not acknowledged is sent again by the new one, and stays in order. */
static void
test_replaced(void)
{
	size_t acknowledged;

	push_errors((rd_kafka_resp_err_t[]){RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER}, 1, 1);
	/* It may fail while there is more to send. */
	while (sent < 2000 && rig_send(&rig, "faults", keys[sent % KEYS], values[sent], NULL) == 0)
		sent++;
	CU_ASSERT_FATAL(RIG_UNTIL(&rig, 10000, rig.fatals == 1));
	acknowledged = rig.reports[SEND_OK];
	TAP_INT(acknowledged + rig.reports[SEND_FATAL], sent);
	producer_free(rig.p);
	rig_forget(&rig);
	open_producer();
	sent = 0;
	send_some(2000);
	expect_all_acknowledged(10000);
	TAP_INT(expect_order(), acknowledged);
}

static void
test_speed(void)
{
	enum { COUNT = 200000, WINDOW = 8000 };
	static char value[200];
	struct header headers[] = {{"id", slice_from("0b1d4e0c-7a0c-4f9e-9a63-3c1f0e0d4a11")},
	                           {"type", slice_from("OrderPlaced")}};
	struct message m = {"faults", SLICE_NULL, {value, sizeof value}, 1700000000000, headers, 2};
	struct timespec start, end;
	int64_t start_us = clock_mono_us();
	enum send_class class;
	struct error err;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
	for (size_t i = 0; i < COUNT || producer_in_flight(rig.p) > 0;) {
		for (; i < COUNT && producer_in_flight(rig.p) < WINDOW; i++) {
			m.key = slice_from(keys[i % KEYS]);
			TAP_INT_FATAL(producer_send(rig.p, &m, NULL, &class, &err), 0);
		}
		rig_turn(&rig, 100);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	TAP_INT(rig.reports[SEND_OK], COUNT);
	tap_diag("%d messages of 200 bytes with 2 headers: %lld/s, %lld ns of CPU each in the loop's thread", COUNT,
	         COUNT * 1000000LL / (clock_mono_us() - start_us),
	         ((end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec) / COUNT);
}

int
main(void)
{
	tap_suite_fixture("producer faults", setup, teardown);
	tap_test("answered errors: all once, in order", test_answered_errors);
	tap_test("disconnects: all, in order", test_disconnects);
	tap_test("an outage of 10 s: all, in order, soon after", test_outage);
	tap_test("one broker away: the others flow on", test_one_broker_away);
	tap_test("leaders move: all once", test_leader_moves);
	tap_test("a partition without a leader holds only itself", test_no_leader);
	tap_test("a failed producer is replaced in order", test_replaced);
	tap_test("200,000 messages", test_speed);
	return tap_run();
}
