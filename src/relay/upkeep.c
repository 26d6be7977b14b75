/* upkeep.c - in: the keeper's findings; out: health, metrics, log lines, and to the relay what concerns lanes. */
#include "relay/upkeep.h"

#include <sys/random.h>

#include "base/clock.h"
#include "source/share.h"

static void
health(struct upkeep *u, enum health_check check, enum health_state state, const char *reason)
{
	health_set(u->opt->health, u->opt->outbox, check, state, reason, clock_mono_us());
}

static void
serves(struct upkeep *u)
{
	struct metrics_scope *m = u->opt->metrics;

	health(u, HEALTH_POSTGRESQL, HEALTH_OK, NULL);
	if (metrics_get(m, METRIC_UP, METRIC_SIDE_POSTGRESQL) != 0)
		return;
	metrics_set_at(m, METRIC_UP, METRIC_SIDE_POSTGRESQL, 1);
	metrics_set_at(m, METRIC_OUTAGE_SINCE, METRIC_SIDE_POSTGRESQL, 0);
	if (metrics_get(m, METRIC_OUTAGES, METRIC_SIDE_POSTGRESQL) == 0)
		log_write(u->opt->log, LOG_NOTICE, "postgresql-up", "PostgreSQL serves");
	else
		u->events.serves(u->events.ctx, NULL);
}

/* An outage begins once; what follows are attempts. The first may come before PostgreSQL was ever there. */
static void
serves_not(struct upkeep *u, const struct error *err)
{
	struct metrics_scope *m = u->opt->metrics;
	bool was = metrics_get(m, METRIC_UP, METRIC_SIDE_POSTGRESQL) != 0;

	health(u, HEALTH_POSTGRESQL, HEALTH_OUTAGE, err->message);
	if (!was && metrics_get(m, METRIC_OUTAGES, METRIC_SIDE_POSTGRESQL) > 0)
		return;
	metrics_set_at(m, METRIC_UP, METRIC_SIDE_POSTGRESQL, 0);
	metrics_set_at(m, METRIC_OUTAGE_SINCE, METRIC_SIDE_POSTGRESQL, clock_wall_us());
	metrics_add_at(m, METRIC_OUTAGES, METRIC_SIDE_POSTGRESQL, 1);
	u->events.serves(u->events.ctx, err);
}

static void
on_layout(void *ctx, const struct layout *lo)
{
	struct upkeep *u = ctx;

	serves(u);
	health(u, HEALTH_SCHEMA, HEALTH_OK, NULL);
	link_up(&u->link);
	u->accepted = true;
	u->events.layout(u->events.ctx, lo);
}

/* Of a table that was accepted once it may be a migration under way: wait for it. */
static void
on_misfit(void *ctx, const struct error *err)
{
	struct upkeep *u = ctx;

	health(u, HEALTH_SCHEMA, HEALTH_FAILED, err->message);
	if (!u->accepted) {
		u->events.misfit(u->events.ctx, err);
		return;
	}
	log_error(u->opt->log, LOG_ERR, "outbox-misfit", err);
	link_down(&u->link);
}

static void
on_lost(void *ctx, const struct error *err)
{
	struct upkeep *u = ctx;

	metrics_unset(u->opt->metrics, METRIC_PRUNED_UP);
	serves_not(u, err);
	link_down(&u->link);
}

static void
on_pauses(void *ctx, struct pauses *p)
{
	struct upkeep *u = ctx;

	u->events.pauses(u->events.ctx, p);
}

static void
on_members(void *ctx, const struct keeper_members *m)
{
	struct upkeep *u = ctx;

	metrics_set(u->opt->metrics, METRIC_LANES_WANTED, m->quota);
	metrics_set(u->opt->metrics, METRIC_PARKED_EVENTS, m->parked);
	u->events.members(u->events.ctx, m);
}

static void
on_stats(void *ctx, const struct stats *st)
{
	struct upkeep *u = ctx;
	struct metrics_scope *m = u->opt->metrics;

	u->pending = st->pending;
	u->pending_after = metrics_get(m, METRIC_EVENTS_SENT, 0);
	metrics_set(m, METRIC_PENDING_EVENTS, st->pending);
	metrics_set(m, METRIC_PENDING_EXACT, st->pending_exact);
	metrics_set(m, METRIC_TABLE_BYTES, st->table_bytes);
	metrics_set(m, METRIC_TABLE_DEAD_ROWS, st->dead_rows);
	metrics_set(m, METRIC_TABLE_LIVE_ROWS, st->live_rows);
	/* A table that was emptied has none, though its sequence goes on. */
	if (st->last_id > (int64_t)metrics_get(m, METRIC_HIGHEST_ID, 0))
		metrics_set(m, METRIC_HIGHEST_ID, st->last_id);
	if (st->oldest_unsent_us >= 0)
		metrics_set(m, METRIC_OLDEST_UNSENT, st->oldest_unsent_us);
	else
		metrics_unset(m, METRIC_OLDEST_UNSENT);
}

static void
on_pruned(void *ctx, int64_t rows)
{
	struct upkeep *u = ctx;

	metrics_add(u->opt->metrics, METRIC_EVENTS_PRUNED, (uint64_t)rows);
}

static void
on_pruned_up(void *ctx)
{
	struct upkeep *u = ctx;

	metrics_set(u->opt->metrics, METRIC_PRUNED_UP, clock_wall_us());
}

static void
on_put_off(void *ctx, const struct error *err)
{
	struct upkeep *u = ctx;

	log_error(u->opt->log, LOG_WARNING, "upkeep-put-off", err);
}

static void
on_hints(void *ctx, int64_t ret_from_ids[LANES_MAX])
{
	struct upkeep *u = ctx;

	u->events.hints(u->events.ctx, ret_from_ids);
}

static uint32_t
draw_number(void)
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		number = (uint32_t)clock_mono_us();
	return number & (SHARE_RELAY_FLAG - 1U);
}

static void
reopen(void *ctx)
{
	struct upkeep *u = ctx;

	keeper_open(u->keeper);
}

/* -1 = nothing is pruned. */
static int64_t
retention_ms(const struct config *cfg)
{
	return (cfg->outbox.settle == SETTLE_MARK || cfg->outbox.receipts) && cfg->outbox.retention_ms != CONFIG_NEVER ? cfg->outbox.retention_ms : -1;
}

int
upkeep_init(struct upkeep *u, const struct relay_options *opt, const struct plan *plan,
            const struct upkeep_events *events, struct error *err)
{
	struct keeper_options ko = {
		.session = &plan->session,
		.request = &plan->request,
		.retention_ms = retention_ms(opt->cfg),
		.relay_number = draw_number(),
	};
	struct keeper_events ke = {.layout = on_layout, .misfit = on_misfit, .pauses = on_pauses, .members = on_members, .stats = on_stats,
	                           .pruned = on_pruned, .pruned_up = on_pruned_up, .put_off = on_put_off, .lost = on_lost, .hints = on_hints, .ctx = u};

	*u = (struct upkeep){.opt = opt, .events = *events, .keeper = keeper_new(&ko, &ke)};
	if (u->keeper == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	link_init(&u->link, reopen, u);
	u->joined = true;
	if (loop_add(opt->loop, keeper_watch(u->keeper), err) != 0 ||
	    loop_add(opt->loop, keeper_timer(u->keeper), err) != 0)
		return -1;
	return loop_add(opt->loop, &u->link.timer, err);
}

void
upkeep_done(struct upkeep *u)
{
	if (u->joined) {
		loop_remove(u->opt->loop, keeper_watch(u->keeper));
		loop_remove(u->opt->loop, keeper_timer(u->keeper));
		loop_remove(u->opt->loop, &u->link.timer);
	}
	keeper_free(u->keeper);
}

void
upkeep_open(struct upkeep *u)
{
	keeper_open(u->keeper);
}

void
upkeep_reopen(struct upkeep *u)
{
	keeper_close(u->keeper);
	link_down(&u->link);
}

void
upkeep_close(struct upkeep *u)
{
	link_stop(&u->link);
	keeper_close(u->keeper);
}

void
upkeep_reload(struct upkeep *u)
{
	keeper_set_retention(u->keeper, retention_ms(u->opt->cfg));
}
