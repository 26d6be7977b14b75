/* relay.h - one outbox's relay: its pipes, its doorbell, its housekeeping, its producer.
 *
 * Brings source, route and sink together; nothing else does. Everything runs in the loop's thread.
 */
#ifndef PGOUTBOX_RELAY_RELAY_H
#define PGOUTBOX_RELAY_RELAY_H

#include <stddef.h>

#include "base/error.h"
#include "base/log.h"
#include "config/config.h"
#include "hook/webhook.h"
#include "metrics/metrics.h"
#include "serve/health.h"
#include "serve/loop.h"

struct relay_options {
	const struct config *cfg; /* outlives the relay */
	size_t outbox;            /* its number in metrics and health */
	struct loop *loop;
	const struct log *log;
	struct metrics_scope *metrics;
	struct health *health;
	struct webhook *webhook; /* NULL = none */
	/* Called once, in the loop's thread. err is NULL after relay_stop(); else nothing but a person can help: the relay has
	 * stopped by itself. */
	void (*stopped)(void *ctx, const struct error *err);
	void *ctx;
};

struct relay;

/* Starts to connect at once. ERR_CONFIG: the topic template or a librdkafka property is not good. */
int relay_new(const struct relay_options *opt, struct relay **ret_relay, struct error *err) __attribute__((warn_unused_result));

/* Claims no more, waits for what is with Kafka (at most stop_timeout), settles it, gives the lanes up, and calls stopped(). */
void relay_stop(struct relay *r);

/* The configuration has other values than it had: limits and retention count from here on. Another route follows as soon as
 * what is in flight has been settled, for which the lanes claim nothing; where that takes too long it stays as it was until
 * it is asked for again, and the log says so. ERR_CONFIG: the topic needs other columns of the table; the route stays as it
 * was until a restart, all else is taken. */
int relay_reload(struct relay *r, struct error *err) __attribute__((warn_unused_result));

void relay_free(struct relay *r); /* not from within a callback; NULL is fine */

/* The state in a few lines of log. */
void relay_dump(const struct relay *r);

#endif
