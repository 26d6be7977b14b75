/* outlet.h - the way out: the producer, whether Kafka serves, and a new producer when one turned fatal.
 *
 * Kafka's outage is seen in two ways: librdkafka says that no broker is reachable, or messages are with it and no report
 * comes for a while. Either costs no event anything; the pipes stop by themselves, since each waits for its batch.
 */
#ifndef PGOUTBOX_RELAY_OUTLET_H
#define PGOUTBOX_RELAY_OUTLET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/watch.h"
#include "metrics/metrics.h"
#include "model/batch.h"
#include "serve/loop.h"
#include "sink/producer.h"

struct outlet_options {
	struct producer_options producer; /* strings and properties outlive the outlet */
	int64_t stall_ms;                 /* no report for so long with messages in flight: an outage */
	struct loop *loop;
	const struct log *log;
	struct metrics_scope *metrics;
};

struct outlet_events {
	void (*report)(void *ctx, struct slot *slot, const struct report *r);
	/* Whatever was in flight is in nobody's hands now, and no report will come: to be claimed again. */
	void (*rebuilt)(void *ctx);
	/* Kafka serves again, or no longer; reason NULL when it does. */
	void (*serves)(void *ctx, bool up, const char *reason);
	/* Nothing is in flight any more: all was reported. */
	void (*drained)(void *ctx);
	void *ctx;
};

struct outlet;

int outlet_new(const struct outlet_options *opt, const struct outlet_events *events, struct outlet **ret_outlet, struct error *err)
	__attribute__((warn_unused_result));
void outlet_free(struct outlet *o);

/* Ends the producer; what is in flight gets no report any more. Only outlet_free() may follow. */
void outlet_abandon(struct outlet *o);

/* As producer_send(); the report comes with the slot. */
int outlet_send(struct outlet *o, const struct message *m, struct slot *slot, enum send_class *ret_class, struct error *err)
	__attribute__((warn_unused_result));
void outlet_warm_topic(struct outlet *o, const char *topic);

/* Nothing leaves any more from this call on, and outlet_send() takes nothing. What was in flight is reported, SEND_OUTAGE
 * unless it was acknowledged in time. After a restart a new producer follows, and rebuilt() for what was not reported. */
void outlet_purge(struct outlet *o);
void outlet_restart(struct outlet *o);
void outlet_set_stall(struct outlet *o, int64_t stall_ms); /* in place of the options' own */
size_t outlet_in_flight(const struct outlet *o);

/* Whether a batch should rather wait for drained(): Kafka is busy with others, and would take this one no sooner. */
bool outlet_busy(const struct outlet *o);
bool outlet_serves(const struct outlet *o);
bool outlet_reachable(const struct outlet *o); /* a broker is there, though it may acknowledge nothing */

/* The partition that a key goes to; -1 = not known yet. */
int32_t outlet_partition(const struct outlet *o, const char *topic, struct slice key);

#endif
