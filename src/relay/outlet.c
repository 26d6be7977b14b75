/* outlet.c - in: messages; out: reports by slot, and whether Kafka serves. Knows neither lanes nor PostgreSQL. */
#include "relay/outlet.h"

#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/failpoint.h"

#define IN_VAIN_MAX 4 /* one topic's limit may cost a few producers; more is an outage */
#define REBUILD_MIN_MS 100
#define REBUILD_MAX_MS 10000
#define RESTART_US 1000000 /* so long a restart waits for the reports of what was purged */

#define BUSY_EVENTS 64 /* fewer in flight are no reason to wait */

struct outlet {
	struct watch timer; /* first: the timer is the outlet */
	struct outlet_options opt;
	struct outlet_events events;
	struct producer *producer; /* NULL between a fatal one and the next */
	struct backoff rebuild;
	bool broken;     /* turned fatal: to be dropped from the loop */
	bool purged;     /* nothing goes out through this one any more */
	int64_t restart_us; /* purged: it is dropped then at the latest; CLOCK_NEVER */
	int64_t make_us; /* without a producer: when to try the next one */
	int in_vain;  /* producers that turned fatal one after the other without an acknowledgement */
	bool up;
	bool reachable;
	int64_t last_report_us; /* or the first send after quiet */
	struct statistics statistics; /* this producer's last */
};

static void
set_up(struct outlet *o, bool up, const char *reason)
{
	if (o->up == up)
		return;
	o->up = up;
	metrics_set_at(o->opt.metrics, METRIC_UP, METRIC_SIDE_KAFKA, up);
	metrics_set_at(o->opt.metrics, METRIC_OUTAGE_SINCE, METRIC_SIDE_KAFKA, up ? 0 : clock_wall_us());
	if (!up)
		metrics_add_at(o->opt.metrics, METRIC_OUTAGES, METRIC_SIDE_KAFKA, 1);
	o->events.serves(o->events.ctx, up, reason);
}

static void
on_report(void *ctx, const struct report *r)
{
	struct outlet *o = ctx;

	o->last_report_us = clock_coarse_us();
	if (r->class == SEND_OK) {
		o->in_vain = 0;
		backoff_reset(&o->rebuild);
		set_up(o, true, NULL);
	}
	o->events.report(o->events.ctx, r->opaque, r);
	if (outlet_in_flight(o) == 0)
		o->events.drained(o->events.ctx);
	if (o->restart_us != CLOCK_NEVER && outlet_in_flight(o) == 0)
		o->timer.deadline_us = o->restart_us = 0;
}

static void
on_reachable(void *ctx, bool up, const char *reason)
{
	struct outlet *o = ctx;

	o->reachable = up;
	set_up(o, up, reason);
}

static void
on_fatal(void *ctx, const char *reason)
{
	struct outlet *o = ctx;

	log_write(o->opt.log, LOG_ERR, "producer-fatal", "the Kafka producer cannot go on and is made anew: %s", reason);
	o->broken = true;
	FAILPOINT(producer_broken);
	if (++o->in_vain >= IN_VAIN_MAX)
		set_up(o, false, reason);
	o->timer.deadline_us = clock_mono_us();
}

static void
on_log(void *ctx, int priority, const char *text)
{
	struct outlet *o = ctx;

	log_write(o->opt.log, priority, "librdkafka", "%s", text);
}

/* A broker that left the cluster takes what it counted with it. */
static uint64_t
grown(int64_t now, int64_t before)
{
	return now > before ? (uint64_t)(now - before) : 0;
}

static void
on_statistics(void *ctx, const struct statistics *st)
{
	struct outlet *o = ctx;
	struct metrics_scope *m = o->opt.metrics;

	metrics_set(m, METRIC_KAFKA_QUEUE_MESSAGES, st->queue_messages);
	metrics_set(m, METRIC_KAFKA_QUEUE_BYTES, st->queue_bytes);
	metrics_set(m, METRIC_KAFKA_REQUESTS_WAITING, st->requests_waiting);
	metrics_set(m, METRIC_KAFKA_RTT, st->rtt_p99_us);
	metrics_set(m, METRIC_KAFKA_THROTTLE, st->throttle_us);
	metrics_add(m, METRIC_KAFKA_TIMEOUTS, grown(st->timeouts, o->statistics.timeouts));
	metrics_add(m, METRIC_KAFKA_RETRIES, grown(st->retries, o->statistics.retries));
	o->statistics = *st;
}

static int
make_producer(struct outlet *o, struct error *err)
{
	struct producer_events events = {.report = on_report, .reachable = on_reachable, .fatal = on_fatal, .log = on_log,
	                                 .statistics = on_statistics, .ctx = o};

	o->statistics = (struct statistics){0};
	if (producer_new(&o->opt.producer, &events, &o->producer, err) != 0)
		return -1;
	if (loop_add(o->opt.loop, producer_watch(o->producer), err) != 0) {
		producer_free(o->producer);
		o->producer = NULL;
		return -1;
	}
	return 0;
}

static void
drop_producer(struct outlet *o)
{
	if (o->producer == NULL)
		return;
	loop_remove(o->opt.loop, producer_watch(o->producer));
	producer_free(o->producer);
	o->producer = NULL;
}

/* What it had in flight is in nobody's hands now. The next one comes after a pause: what was fatal may be so again. */
static void
give_up_producer(struct outlet *o, int64_t now_us)
{
	o->opt.producer.batch_bytes = producer_batch_bytes(o->producer);
	drop_producer(o);
	o->make_us = o->broken ? now_us + backoff_next_ms(&o->rebuild) * 1000LL : now_us;
	o->broken = o->purged = false;
	o->restart_us = CLOCK_NEVER;
	metrics_add(o->opt.metrics, METRIC_PRODUCER_REBUILDS, 1);
	o->events.rebuilt(o->events.ctx);
	FAILPOINT(producer_dropped);
}

static void
try_producer(struct outlet *o, int64_t now_us)
{
	struct error err;

	if (now_us >= o->make_us && make_producer(o, &err) != 0) {
		log_error(o->opt.log, LOG_ERR, "producer-rebuild-failed", &err);
		o->make_us = now_us + backoff_next_ms(&o->rebuild) * 1000LL;
	}
	if (o->producer == NULL)
		o->timer.deadline_us = o->make_us;
	FAILPOINT_IF(o->producer != NULL, producer_made);
}

/* Looks for a stall as long as messages are in flight; otherwise sleeps. */
static void
check_stall(struct outlet *o, int64_t now_us)
{
	int64_t stall_us = o->opt.stall_ms * 1000;

	if (outlet_in_flight(o) == 0)
		return;
	if (now_us - o->last_report_us < stall_us) {
		o->timer.deadline_us = o->last_report_us + stall_us;
		return;
	}
	set_up(o, false, "messages stay without an answer");
	o->timer.deadline_us = now_us + stall_us;
}

static void
fire(struct watch *w, short revents, int64_t now_us)
{
	struct outlet *o = (struct outlet *)w;

	(void)revents;
	o->timer.deadline_us = CLOCK_NEVER;
	if (o->broken || now_us >= o->restart_us)
		give_up_producer(o, now_us);
	if (o->producer == NULL)
		try_producer(o, now_us);
	else if (o->purged)
		o->timer.deadline_us = o->restart_us;
	else
		check_stall(o, now_us);
}

int
outlet_new(const struct outlet_options *opt, const struct outlet_events *events, struct outlet **ret_outlet, struct error *err)
{
	struct outlet *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	o->opt = *opt;
	o->events = *events;
	o->up = o->reachable = true;
	o->restart_us = CLOCK_NEVER;
	o->timer = (struct watch){.fd = -1, .deadline_us = CLOCK_NEVER, .fire = fire};
	backoff_init(&o->rebuild, REBUILD_MIN_MS, REBUILD_MAX_MS, (uint64_t)clock_mono_us());
	if (loop_add(opt->loop, &o->timer, err) != 0) {
		free(o);
		return -1;
	}
	if (make_producer(o, err) != 0) {
		loop_remove(opt->loop, &o->timer);
		free(o);
		return -1;
	}
	metrics_set_at(opt->metrics, METRIC_UP, METRIC_SIDE_KAFKA, 1);
	metrics_set_at(opt->metrics, METRIC_OUTAGE_SINCE, METRIC_SIDE_KAFKA, 0);
	*ret_outlet = o;
	return 0;
}

void
outlet_set_stall(struct outlet *o, int64_t stall_ms)
{
	o->opt.stall_ms = stall_ms;
}

void
outlet_abandon(struct outlet *o)
{
	if (o != NULL)
		drop_producer(o);
}

void
outlet_free(struct outlet *o)
{
	if (o == NULL)
		return;
	drop_producer(o);
	loop_remove(o->opt.loop, &o->timer);
	free(o);
}

int
outlet_send(struct outlet *o, const struct message *m, struct slot *slot, enum send_class *ret_class, struct error *err)
{
	if (o->producer == NULL || o->broken || o->purged) {
		*ret_class = SEND_OUTAGE;
		return error_set(err, ERR_RETRY, "the Kafka producer is being made anew");
	}
	if (producer_in_flight(o->producer) == 0) {
		o->last_report_us = clock_mono_us();
		o->timer.deadline_us = o->last_report_us + o->opt.stall_ms * 1000;
	}
	return producer_send(o->producer, m, slot, ret_class, err);
}

void
outlet_warm_topic(struct outlet *o, const char *topic)
{
	if (o->producer != NULL)
		producer_warm_topic(o->producer, topic);
}

void
outlet_purge(struct outlet *o)
{
	if (o->producer == NULL)
		return;
	o->purged = true;
	producer_purge(o->producer);
}

void
outlet_restart(struct outlet *o)
{
	if (o->producer == NULL)
		return;
	outlet_purge(o);
	o->restart_us = outlet_in_flight(o) == 0 ? 0 : clock_mono_us() + RESTART_US;
	o->timer.deadline_us = o->restart_us;
}

size_t
outlet_in_flight(const struct outlet *o)
{
	return o->producer != NULL ? producer_in_flight(o->producer) : 0;
}

bool
outlet_busy(const struct outlet *o)
{
	return outlet_in_flight(o) >= BUSY_EVENTS;
}

bool
outlet_serves(const struct outlet *o)
{
	return o->up;
}

bool
outlet_reachable(const struct outlet *o)
{
	return o->reachable;
}

int32_t
outlet_partition(const struct outlet *o, const char *topic, struct slice key)
{
	return o->producer != NULL ? producer_partition(o->producer, topic, key) : -1;
}
