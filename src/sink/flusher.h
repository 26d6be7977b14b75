/* flusher.h - when what was handed to librdkafka goes out.
 *
 * librdkafka sends a partition's messages once the first of them has lingered. Without a linger the first of a batch go
 * alone, while the others are still being handed over. Those wait, because an idempotent producer has one request a
 * partition on its way, and while messages wait that have lingered long enough, librdkafka's thread asks over and over
 * whether they may go, without a pause. Hence three ways:
 *
 *   few in flight   what comes is to go out at once: a flush that stays open
 *   some            they linger, and go in few requests that nothing waits behind
 *   a whole batch   lingers for as long as it takes to hand it over, then one brief flush
 *
 * rd_kafka_flush() is the only call that ends a linger, and it waits: so a thread of our own makes it. As long as it lasts, what
 * comes goes out at once. One that stays open saves waking that thread, and librdkafka's once more, for each small batch. It ends
 * when librdkafka has no messages, so the last report is kept for a moment: a message counts until its report is destroyed.
 */
#ifndef PGOUTBOX_SINK_FLUSHER_H
#define PGOUTBOX_SINK_FLUSHER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/worker.h"

/* For those that no flush meets. */
#define FLUSHER_LINGER_MS 2

struct flusher {
	rd_kafka_t *rk; /* NULL = not started: nothing is ever flushed */
	struct worker worker;
	bool rung, brief, flushing; /* under its lock */
	bool sent, reported; /* since the last turn */
	int64_t calm_us; /* from then on few are in flight */
	rd_kafka_event_t *kept; /* the last report, of few messages; NULL */
	int64_t kept_until_us;  /* CLOCK_NEVER without one */
};

/* ERR_RETRY: no thread. The flusher must not move until flusher_stop(), which may take some milliseconds. */
int flusher_start(struct flusher *f, rd_kafka_t *rk, struct error *err) __attribute__((warn_unused_result));
void flusher_stop(struct flusher *f); /* also of one that was not started */

void flusher_sent(struct flusher *f);

/* Takes the event over, whose reports were read: so many. */
void flusher_reported(struct flusher *f, rd_kafka_event_t *reports, size_t count, int64_t now_us);

/* When flusher_turn() has something to judge. */
int64_t flusher_deadline(const struct flusher *f);

/* Flushes where that pays: what was sent, and while few are in flight whatever may have waited behind others. Does not block. */
void flusher_turn(struct flusher *f, size_t in_flight, int64_t now_us);

#endif
