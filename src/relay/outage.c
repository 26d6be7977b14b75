/* outage.c - in: a side is away, a side is back; out: lines that an operator, or a program, can pair. Decides nothing. */
#include "relay/outage.h"

#include "base/clock.h"

static const char *const names[] = {[METRIC_SIDE_POSTGRESQL] = "PostgreSQL", [METRIC_SIDE_KAFKA] = "Kafka"};
static const char *const labels[] = {[METRIC_SIDE_POSTGRESQL] = "postgresql", [METRIC_SIDE_KAFKA] = "kafka"};

static int64_t
backlog(const struct outage *o)
{
	return (int64_t)metrics_get(o->metrics, METRIC_PENDING_EVENTS, 0);
}

static void
tell_begin(struct outage *o)
{
	struct error told = o->reason;

	error_prefix(&told, "%s does not serve", names[o->side]);
	if (told.hint[0] == '\0')
		error_hint(&told, "events wait in the table and are sent once it serves again");
	log_error_fields(o->log, LOG_ERR, o->side == METRIC_SIDE_KAFKA ? "kafka-outage-begin" : "postgresql-outage-begin",
	                 LOG_FIELDS(LOG_NUMBER("backlog", backlog(o)), LOG_NUMBER("outages", o->untold)), &told);
	webhook_tell(o->webhook, WEBHOOK_NEWS(WEBHOOK_OUTAGE_BEGIN, .outbox = o->outbox, .side = labels[o->side], .reason = o->reason.message,
	                                      .backlog = backlog(o)));
	o->untold = 0;
}

static void
tell_end(struct outage *o)
{
	int64_t duration_ms = (o->until_us - o->since_us) / 1000;

	log_fields(o->log, LOG_NOTICE, o->side == METRIC_SIDE_KAFKA ? "kafka-outage-end" : "postgresql-outage-end",
	           LOG_FIELDS(LOG_NUMBER("duration_ms", duration_ms), LOG_NUMBER("backlog", backlog(o)), LOG_NUMBER("outages", o->untold + 1)),
	           "%s serves again after %lld ms; %lld events wait in the table", names[o->side], (long long)duration_ms,
	           (long long)backlog(o));
	webhook_tell(o->webhook, WEBHOOK_NEWS(WEBHOOK_OUTAGE_END, .outbox = o->outbox, .side = labels[o->side], .duration_ms = duration_ms,
	                                      .backlog = backlog(o)));
	o->untold = 0;
}

static void
step(struct outage *o, int64_t now_us)
{
	int64_t after_us = o->down ? o->begin_after_us : o->end_after_us;

	o->timer.deadline_us = CLOCK_NEVER;
	if (o->down == o->told_down)
		return;
	if (now_us < after_us) {
		o->timer.deadline_us = after_us;
		return;
	}
	o->told_down = o->down;
	if (o->down) {
		o->begin_after_us = now_us + OUTAGE_PAUSE_US;
		tell_begin(o);
	} else {
		o->end_after_us = now_us + OUTAGE_PAUSE_US;
		tell_end(o);
	}
}

static void
fire(struct watch *w, short revents, int64_t now_us)
{
	(void)revents;
	step((struct outage *)w, now_us);
}

void
outage_init(struct outage *o, enum metric_side side, const struct log *log, const struct metrics_scope *metrics)
{
	*o = (struct outage){.timer = {.fd = -1, .deadline_us = CLOCK_NEVER, .fire = fire}, .side = side, .log = log, .metrics = metrics};
}

void
outage_begin(struct outage *o, const struct error *reason)
{
	if (o->down)
		return;
	o->down = true;
	o->untold++;
	o->reason = *reason;
	if (!o->told_down) /* else it goes on, as far as anybody was told */
		o->since_us = clock_mono_us();
	step(o, clock_mono_us());
}

void
outage_end(struct outage *o)
{
	if (!o->down)
		return;
	o->down = false;
	o->until_us = clock_mono_us();
	step(o, o->until_us);
}
