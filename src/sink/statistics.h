/* statistics.h - the few figures of librdkafka's statistics that tell an operator what no report does. Pure.
 *
 * librdkafka describes each of its brokers; here they are one, the sum or the worst of them, so that a cluster's size
 * makes no more figures. The format is that of STATISTICS.md of librdkafka.
 */
#ifndef PGOUTBOX_SINK_STATISTICS_H
#define PGOUTBOX_SINK_STATISTICS_H

#include <stdint.h>

#include "base/error.h"

struct statistics {
	int64_t queue_messages;   /* with librdkafka, whether sent or not */
	int64_t queue_bytes;
	int64_t requests_waiting; /* sent to brokers, and not answered yet */
	int64_t rtt_p99_us;       /* of the slowest broker since the statistics before; 0 = none was asked anything */
	int64_t throttle_us;      /* the longest that any broker asked to wait for quota's sake, since the statistics before */
	int64_t timeouts;         /* requests that no answer came to, since the producer was made */
	int64_t retries;          /* requests that were sent again, likewise */
};

/* What is missing counts as 0. ERR_RETRY: this is no JSON object. */
int statistics_read(const char *json, struct statistics *ret_statistics, struct error *err)
	__attribute__((warn_unused_result));

#endif
