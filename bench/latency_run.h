/* latency_run.h - how long after its insert an event is acknowledged by Kafka, and with a consumer, at a steady rate.
 *
 * The writer is an open loop: event k is due at start + k / rate, whatever became of those before, and its latency counts from when
 * it was due. So a stall makes every event that was due meanwhile late; none is left out. Rows are single-row transactions, spread
 * over several connections, each payload with its number.
 *
 * "acknowledged" is outbox_events.sent_at: the time at which the statement reached PostgreSQL that settles the batch, which the relay
 * sends when the last event of the batch is acknowledged; so it is the latest that the acknowledgement can have come. "consumed" is
 * when a consumer of the topic had the message. All are on one machine and read one clock. "commit" is when the writer had the
 * answer to its insert.
 */
#ifndef PGOUTBOX_BENCH_LATENCY_RUN_H
#define PGOUTBOX_BENCH_LATENCY_RUN_H

#include <stdint.h>

#include "bench/say.h"
#include "bench/world.h"

struct latency_options {
	struct world_options world;
	double events_per_s;
	double seconds; /* measured, after warm_seconds that are not */
	double warm_seconds;
	int connections;
	int payload_bytes;
	int64_t keys;
};

struct latency_figures {
	double p50_ms, p95_ms, p99_ms, p999_ms, max_ms;
};

struct latency_result {
	struct latency_figures acknowledged, consumed; /* since the event was due */
	struct latency_figures commit;    /* the writer's own part: due until committed */
	struct latency_figures from_commit; /* committed until acknowledged; negative: acknowledged before the writer had its answer */
	struct latency_figures late;      /* of the insert: beyond some ms the writer, or the machine, cannot keep the rate */
	int64_t events;
	double rate_kept; /* below 1 the writer could not write all of it: the figures are of a machine that is too slow for the rate */
	double postgres_share, relay_share, broker_share; /* of one core; the writer's commits are in PostgreSQL's */
};

void latency_run(const struct latency_options *opt, struct latency_result *ret_result);

/* whose: a prefix of the figures' names, "" or "bare_". */
void latency_say(const struct say *say, const char *whose, const struct latency_result *r);

#endif
