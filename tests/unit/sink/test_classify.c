/* test_classify.c - the table of verdicts against librdkafka's own list of errors. */
#include "sink/classify.c"

#include <stdbool.h>
#include <string.h>

#include "support/tap.h"

#define COUNT (sizeof table / sizeof table[0])

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
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER), VERDICT_FATAL);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID), VERDICT_FATAL);
	TAP_INT(verdict_of(RD_KAFKA_RESP_ERR__FATAL), VERDICT_FATAL);
}

static void
test_unknown_codes_hold(void)
{
	TAP_INT(verdict_of(9999), VERDICT_TOPIC);
	TAP_INT(verdict_of(-101), VERDICT_TOPIC);
}

int
main(void)
{
	tap_suite("classify");
	tap_test("no code twice", test_rows_are_unique);
	tap_test("no code but four can park an event", test_every_code_of_the_library);
	tap_test("the usual failures", test_known_cases);
	tap_test("a code that nobody knows holds its topic", test_unknown_codes_hold);
	return tap_run();
}
