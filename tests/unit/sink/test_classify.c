/* test_classify.c - the table of verdicts against librdkafka's own list of errors. */
#include "sink/classify.c"

#include <stdbool.h>
#include <string.h>

#include "support/tap.h"

#define COUNT (sizeof table / sizeof table[0])
#define ELSEWHERE (sizeof elsewhere / sizeof elsewhere[0])

/* As of Kafka 4.1. */
#define PROTOCOL_FIRST (-1)
#define PROTOCOL_LAST 133

static enum verdict
verdict_of(int code)
{
	return classify((rd_kafka_resp_err_t)code)->verdict;
}

static void
test_rows_are_unique(void)
{
	for (size_t i = 0; i < COUNT; i++) {
		CU_ASSERT(table[i].why[0] != '\0');
		for (size_t j = i + 1; j < COUNT; j++)
			if (table[i].code == table[j].code)
				TAP_STR(table[i].why, table[j].why);
	}
}

static int
times_listed(int code)
{
	int times = 0;

	for (size_t i = 0; i < COUNT; i++)
		times += table[i].code == code;
	for (size_t i = 0; i < ELSEWHERE; i++)
		times += elsewhere[i] == code;
	return times;
}

static void
expect_listed(int code, const char *name)
{
	int times = times_listed(code);

	if (times != 1)
		tap_diag("code %d (%s) is listed %d times", code, name, times);
	TAP_INT(times, 1);
}

static void
test_every_code_is_listed_on_purpose(void)
{
	const struct rd_kafka_err_desc *descs;
	size_t count, seen = 0;

	rd_kafka_get_err_descs(&descs, &count);
	for (size_t i = 0; i < count; i++) {
		if (descs[i].name == NULL || descs[i].desc == NULL)
			continue;
		seen++;
		expect_listed(descs[i].code, descs[i].name);
	}
	CU_ASSERT(seen > 100);
	for (int code = PROTOCOL_FIRST; code <= PROTOCOL_LAST; code++)
		expect_listed(code, "of the protocol");
}

/* What librdkafka tries again for ever is never poison and never ends the producer, should it come after all. */
static void
test_what_is_tried_again(void)
{
	static const rd_kafka_resp_err_t codes[] = {
		RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
		RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
		RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
		RD_KAFKA_RESP_ERR__WAIT_COORD, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, RD_KAFKA_RESP_ERR__TRANSPORT,
		RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
		RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
		RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
		RD_KAFKA_RESP_ERR__RETRY};

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		CU_ASSERT(verdict_of(codes[i]) == VERDICT_OUTAGE || verdict_of(codes[i]) == VERDICT_TOPIC);
}

/* Only success is success, and only these codes can ever end in a parked event. */
static void
test_every_code_of_the_library(void)
{
	static const int may_park[] = {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
	                               RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, RD_KAFKA_RESP_ERR_INVALID_RECORD};
	const struct rd_kafka_err_desc *descs;
	size_t count, seen = 0;

	rd_kafka_get_err_descs(&descs, &count);
	for (size_t i = 0; i < count; i++) {
		enum verdict verdict = verdict_of(descs[i].code);
		bool expected = false;

		if (descs[i].name == NULL)
			continue;
		seen++;
		for (size_t j = 0; j < sizeof may_park / sizeof may_park[0]; j++)
			expected |= may_park[j] == (int)descs[i].code;
		CU_ASSERT_EQUAL(verdict == VERDICT_TOO_LARGE || verdict == VERDICT_BAD_RECORD, expected);
		CU_ASSERT_EQUAL(verdict == VERDICT_OK, descs[i].code == RD_KAFKA_RESP_ERR_NO_ERROR);
	}
	CU_ASSERT(seen > 100);
}

static void
test_known_cases(void)
{
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR__PURGE_QUEUE), VERDICT_OUTAGE);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR__PURGE_INFLIGHT), VERDICT_OUTAGE);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN), VERDICT_OUTAGE);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR__QUEUE_FULL), VERDICT_OUTAGE);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS), VERDICT_OUTAGE);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED), VERDICT_OUTAGE);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), VERDICT_TOPIC);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), VERDICT_TOPIC);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC), VERDICT_TOPIC);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS), VERDICT_TOPIC);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR), VERDICT_TOPIC);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_POLICY_VIOLATION), VERDICT_TOPIC);
	/* After an outage of days, events are older than a topic may allow. */
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP), VERDICT_TOPIC);
	/* One partition's answer says nothing of the others. */
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_UNKNOWN), VERDICT_TOPIC);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED), VERDICT_OUTAGE);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_INVALID_RECORD), VERDICT_BAD_RECORD);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT), VERDICT_TOPIC);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER), VERDICT_FATAL);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID), VERDICT_FATAL);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR__FATAL), VERDICT_FATAL);
}

static void
test_unknown_codes_hold(void)
{
	TAP_INT(verdict_of(9999), VERDICT_TOPIC);
	TAP_INT(verdict_of(-101), VERDICT_TOPIC);
	TAP_HAS(classify((rd_kafka_resp_err_t)9999)->why, "does not know");
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS), VERDICT_TOPIC);
	TAP_HAS(classify(RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS)->why, "should not meet");
}

int
main(void)
{
	tap_suite("classify");
	tap_test("no code twice", test_rows_are_unique);
	tap_test("every code is in one of the two lists, once", test_every_code_is_listed_on_purpose);
	tap_test("what is tried again is neither poison nor fatal", test_what_is_tried_again);
	tap_test("no code but four can park an event", test_every_code_of_the_library);
	tap_test("the usual failures", test_known_cases);
	tap_test("a code that nobody knows holds its topic", test_unknown_codes_hold);
	return tap_run();
}
