/* test_statistics.c - figures out of librdkafka's JSON, and what is made of JSON that lacks them. */
#include "sink/statistics.c"

#include "support/tap.h"

static const char two_brokers[] =
	"{\"name\": \"rdkafka#producer-1\", \"msg_cnt\": 12, \"msg_size\": 3400, \"msg_max\": 100000, \"brokers\": {"
	"\"a:9092/1\": {\"waitresp_cnt\": 2, \"req_timeouts\": 3, \"txretries\": 1, \"rtt\": {\"p95\": 10, \"p99\": 4000},"
	" \"throttle\": {\"max\": 5}},"
	"\"b:9092/2\": {\"waitresp_cnt\": 1, \"req_timeouts\": 4, \"txretries\": 0, \"rtt\": {\"p95\": 10, \"p99\": 7000},"
	" \"throttle\": {\"max\": 2}}},"
	"\"topics\": {\"t\": {\"partitions\": {\"0\": {\"msgq_cnt\": 1}}}}}";

static struct statistics st;
static struct error err;

static void
test_sums_and_worst(void)
{
	TAP_INT_FATAL(statistics_read(two_brokers, &st, &err), 0);
	TAP_INT(st.queue_messages, 12);
	TAP_INT(st.queue_bytes, 3400);
	TAP_INT(st.requests_waiting, 3);
	TAP_INT(st.timeouts, 7);
	TAP_INT(st.retries, 1);
	TAP_INT(st.rtt_p99_us, 7000);
	TAP_INT(st.throttle_us, 5000);
}

static void
test_what_is_missing_is_0(void)
{
	TAP_INT_FATAL(statistics_read("{\"brokers\": {\"a\": 7, \"b\": {\"rtt\": []}}, \"msg_cnt\": \"x\"}", &st, &err), 0);
	TAP_INT(st.queue_messages, 0);
	TAP_INT(st.rtt_p99_us, 0);
	TAP_INT(st.timeouts, 0);
}

static void
test_no_object(void)
{
	st.queue_messages = 55;
	TAP_INT(statistics_read("", &st, &err), -1);
	TAP_INT(err.kind, ERR_RETRY);
	TAP_INT(statistics_read("[1]", &st, &err), -1);
	TAP_INT(statistics_read("{\"msg_cnt\": 1", &st, &err), -1);
	TAP_INT(st.queue_messages, 55);
}

int
main(void)
{
	tap_suite("statistics");
	tap_test("the sum of all brokers, and the worst of them", test_sums_and_worst);
	tap_test("what is missing counts as 0", test_what_is_missing_is_0);
	tap_test("what is no object is refused", test_no_object);
	return tap_run();
}
