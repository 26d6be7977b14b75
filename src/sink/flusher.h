/* flusher.h - when what was handed to librdkafka goes out.
 *
 * librdkafka sends a partition's messages once the first of them has lingered. An idempotent producer has one request a
 * partition on its way; while more messages have lingered long enough, its thread asks over and over whether they may go,
 * without a pause. So under load messages linger for about as long as a broker takes to answer: each request takes
 * more of them along, and the thread sleeps. While few are in flight they are flushed at once.
 *
 * rd_kafka_flush() is the only call that ends a linger, and it waits: so a thread of our own makes it.
 */
#ifndef PGOUTBOX_SINK_FLUSHER_H
#define PGOUTBOX_SINK_FLUSHER_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Under load. */
#define FLUSHER_LINGER_MS 2

struct flusher {
	rd_kafka_t *rk; /* NULL = not started: nothing is ever flushed */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t bell;
	bool rung, stopping; /* under lock */
	bool news;           /* something was sent or reported since the last turn */
};

/* ERR_RETRY: no thread. The flusher must not move until flusher_stop(), which may take some milliseconds. */
int flusher_start(struct flusher *f, rd_kafka_t *rk, struct error *err) __attribute__((warn_unused_result));
void flusher_stop(struct flusher *f); /* also of one that was not started */

/* Something was sent or reported. */
void flusher_news(struct flusher *f);

/* Whether flusher_turn() has something to judge. */
bool flusher_due(const struct flusher *f);

/* Flushes if few messages are in flight. Does not block. */
void flusher_turn(struct flusher *f, size_t in_flight);

#endif
