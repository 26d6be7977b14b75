/* statistics.c - librdkafka's JSON in, a few numbers out. Knows no producer. */
#include "sink/statistics.h"

#include <jansson.h>

static int64_t
number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static int64_t
most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void
add_broker(struct statistics *st, const json_t *broker)
{
	st->requests_waiting += number(broker, "waitresp_cnt");
	st->timeouts += number(broker, "req_timeouts");
	st->retries += number(broker, "txretries");
	st->rtt_p99_us = most(st->rtt_p99_us, number(json_object_get(broker, "rtt"), "p99"));
	st->throttle_us = most(st->throttle_us, number(json_object_get(broker, "throttle"), "max") * 1000);
}

int
statistics_read(const char *json, struct statistics *ret_statistics, struct error *err)
{
	json_t *root = json_loads(json, 0, NULL), *broker;
	const char *name;

	if (!json_is_object(root)) {
		json_decref(root);
		return error_set(err, ERR_RETRY, "librdkafka's statistics are no JSON object");
	}
	*ret_statistics = (struct statistics){
		.queue_messages = number(root, "msg_cnt"),
		.queue_bytes = number(root, "msg_size"),
	};
	json_object_foreach (json_object_get(root, "brokers"), name, broker)
		add_broker(ret_statistics, broker);
	json_decref(root);
	return 0;
}
