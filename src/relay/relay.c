/* relay.c - in: what keeper, barrier and pipes tell; out: which lanes are ours, and when all is done. */
#include "relay/relay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "relay/doorman.h"
#include "relay/link.h"
#include "relay/outlet.h"
#include "relay/pipe.h"
#include "relay/plan.h"
#include "source/barrier.h"
#include "source/keeper.h"
#include "source/share.h"

#define GRACE_US (LINK_MAX_MS * 1000 + 1000000) /* longer than any pause before a reconnect */
#define STOP_GRACE_US 2000000                   /* after the purge, for the last settles */
#define WATCHES 6

struct relay {
	struct relay_options opt;
	struct plan plan;
	struct statements statements;
	struct pipe_shared shared;
	struct outlet *outlet;
	struct keeper *keeper;
	struct barrier *barrier;
	struct doorman *doorman;
	struct link keeper_link, barrier_link;
	struct watch timer; /* looks at what changed */
	struct pipe *pipes[LANES_MAX];
	int lanes; /* of them; 0 until the table was accepted */
	bool owned[LANES_MAX];  /* by this relay, when last looked at */
	int64_t grace_until_us; /* after PostgreSQL was away: lanes that were not ours are left to whom they were */
	struct keeper_members members;
	bool members_known;
	bool stopping;
	int64_t purge_us, give_up_us;
	bool done;
	struct error failure;
	bool has_failure;
};

static void
finish(struct relay *r, const struct error *err)
{
	if (r->done)
		return;
	r->done = true;
	r->timer.deadline_us = CLOCK_NEVER;
	r->opt.stopped(r->opt.ctx, err);
}

static void
health(struct relay *r, enum health_check check, enum health_state state, const char *reason)
{
	health_set(r->opt.health, r->opt.outbox, check, state, reason, clock_mono_us());
}

/* --- what changed: pipes say so, and the relay looks from its own timer, never from within their calls --- */

static void
on_changed(void *ctx)
{
	struct relay *r = ctx;

	r->timer.deadline_us = 0;
	doorman_wake(r->doorman);
}

static void
fail(struct relay *r, const struct error *err)
{
	if (r->has_failure)
		return;
	r->has_failure = true;
	r->failure = *err;
	relay_stop(r);
}

/* Before the table was ever accepted a person must act. Later it may be a migration under way: wait for it. */
static void
on_failed(void *ctx, const struct error *err)
{
	struct relay *r = ctx;

	log_error(r->opt.log, LOG_ERR, "session-failed", err);
	if (!r->shared.proven)
		fail(r, err);
}

static void
count_lanes(struct relay *r)
{
	int owned = 0, detached = 0;

	for (int i = 0; i < r->lanes; i++) {
		owned += pipe_owned(r->pipes[i]);
		detached += pipe_detached(r->pipes[i]);
	}
	metrics_set(r->opt.metrics, METRIC_LANES_OWNED, owned);
	metrics_set(r->opt.metrics, METRIC_LANES_DETACHED, detached);
	metrics_set(r->opt.metrics, METRIC_IN_FLIGHT_EVENTS, (int64_t)outlet_in_flight(r->outlet));
	if (!r->members_known)
		return;
	if (owned >= r->members.quota)
		health(r, HEALTH_LANES, HEALTH_OK, NULL);
	else
		health(r, HEALTH_LANES, HEALTH_OUTAGE, "not all lanes of this relay's share are owned yet");
}

/* --- the relay's own look at things --- */

/* True when everything is settled and given up. */
static bool
all_closed(const struct relay *r)
{
	for (int i = 0; i < r->lanes; i++)
		if (!pipe_closed(r->pipes[i]))
			return false;
	return true;
}

static int64_t
step_stop(struct relay *r, int64_t now_us)
{
	if (all_closed(r) || now_us >= r->give_up_us) {
		if (!all_closed(r))
			log_write(r->opt.log, LOG_WARNING, "stop-unclean", "stopped with events unsettled: they will be sent again");
		doorman_close(r->doorman);
		link_stop(&r->barrier_link);
		barrier_close(r->barrier);
		link_stop(&r->keeper_link);
		keeper_close(r->keeper);
		finish(r, r->has_failure ? &r->failure : NULL);
		return CLOCK_NEVER;
	}
	if (now_us < r->purge_us)
		return r->purge_us;
	if (r->purge_us != 0 && outlet_in_flight(r->outlet) > 0) {
		log_write(r->opt.log, LOG_WARNING, "stop-purge",
		          "Kafka has not acknowledged %zu events within outbox.stop_timeout: they stay unsent in the table and may be sent again",
		          outlet_in_flight(r->outlet));
		metrics_add(r->opt.metrics, METRIC_EVENTS_REPEATABLE, outlet_in_flight(r->outlet));
		outlet_purge(r->outlet);
	}
	r->purge_us = 0;
	return r->give_up_us;
}

static void
fire(struct watch *w, short revents, int64_t now_us)
{
	struct relay *r = (struct relay *)(void *)((char *)w - offsetof(struct relay, timer));

	(void)revents;
	r->timer.deadline_us = CLOCK_NEVER;
	if (r->done)
		return;
	count_lanes(r);
	if (r->stopping)
		r->timer.deadline_us = step_stop(r, now_us);
}

/* --- lanes --- */

/* Takes what is free up to our share, gives up what is beyond it. When PostgreSQL comes back, every relay may have
 * acknowledged events to settle on the lanes it had: promise 5 needs those lanes to go back to it. */
static void
spread_lanes(struct relay *r)
{
	bool grace = clock_mono_us() < r->grace_until_us;
	int wanted = 0;

	for (int i = 0; i < r->lanes; i++)
		wanted += pipe_wanted(r->pipes[i]);
	for (int i = 0; i < r->lanes && wanted < r->members.quota; i++)
		if (!pipe_wanted(r->pipes[i]) && !r->members.taken[i] && (r->owned[i] || !grace)) {
			pipe_take(r->pipes[i]);
			wanted++;
		}
	for (int i = r->lanes - 1; i >= 0 && wanted > r->members.quota; i--)
		if (pipe_wanted(r->pipes[i])) {
			pipe_leave(r->pipes[i]);
			wanted--;
		}
	for (int i = 0; i < r->lanes && !grace; i++)
		r->owned[i] = pipe_owned(r->pipes[i]);
}

static void
on_members(void *ctx, const struct keeper_members *m)
{
	struct relay *r = ctx;
	bool parked_changed = r->members_known && m->parked_sign != r->members.parked_sign;

	if (!r->members_known || m->relays != r->members.relays || m->quota != r->members.quota)
		log_write(r->opt.log, LOG_INFO, "lanes-share", "%d relays share %d lanes: this one has %d", m->relays, r->lanes, m->quota);
	r->members = *m;
	r->members_known = true;
	metrics_set(r->opt.metrics, METRIC_LANES_WANTED, m->quota);
	metrics_set(r->opt.metrics, METRIC_PARKED_EVENTS, m->parked);
	barrier_tick(r->barrier, clock_mono_us());
	if (!r->stopping)
		spread_lanes(r);
	for (int i = 0; i < r->lanes && parked_changed; i++)
		pipe_parked_changed(r->pipes[i]);
	r->timer.deadline_us = 0;
}

static void
on_stats(void *ctx, const struct keeper_stats *st)
{
	struct relay *r = ctx;

	metrics_set(r->opt.metrics, METRIC_PENDING_EVENTS, st->pending);
	metrics_set(r->opt.metrics, METRIC_PENDING_EXACT, st->pending_exact);
	metrics_set(r->opt.metrics, METRIC_TABLE_BYTES, st->table_bytes);
	if (st->oldest_unsent_us >= 0)
		metrics_set(r->opt.metrics, METRIC_OLDEST_UNSENT, st->oldest_unsent_us);
	else
		metrics_unset(r->opt.metrics, METRIC_OLDEST_UNSENT);
}

static void
on_pruned(void *ctx, int64_t rows)
{
	struct relay *r = ctx;

	metrics_add(r->opt.metrics, METRIC_EVENTS_PRUNED, (uint64_t)rows);
}

/* --- the two sessions beside the lanes --- */

static void
set_postgresql_up(struct relay *r, bool up, const struct error *err)
{
	bool was = metrics_get(r->opt.metrics, METRIC_UP, METRIC_SIDE_POSTGRESQL) != 0;

	if (up) {
		health(r, HEALTH_POSTGRESQL, HEALTH_OK, NULL);
		if (was)
			return;
		metrics_set_at(r->opt.metrics, METRIC_UP, METRIC_SIDE_POSTGRESQL, 1);
		metrics_set_at(r->opt.metrics, METRIC_OUTAGE_SINCE, METRIC_SIDE_POSTGRESQL, 0);
		log_write(r->opt.log, LOG_NOTICE, "postgresql-up", "PostgreSQL serves");
		return;
	}
	health(r, HEALTH_POSTGRESQL, HEALTH_OUTAGE, err->message);
	if (!was && metrics_get(r->opt.metrics, METRIC_OUTAGES, METRIC_SIDE_POSTGRESQL) > 0)
		return;
	metrics_set_at(r->opt.metrics, METRIC_UP, METRIC_SIDE_POSTGRESQL, 0);
	metrics_set_at(r->opt.metrics, METRIC_OUTAGE_SINCE, METRIC_SIDE_POSTGRESQL, clock_wall_us());
	metrics_add_at(r->opt.metrics, METRIC_OUTAGES, METRIC_SIDE_POSTGRESQL, 1);
	log_error(r->opt.log, LOG_ERR, "postgresql-outage-begin", err);
}

static int
make_pipes(struct relay *r, const struct layout *lo, struct error *err)
{
	if (statements_make(lo, &r->plan.statements, &r->statements, err) != 0)
		return -1;
	r->shared.lanes.layout = lo;
	for (int i = 0; i < lo->lanes; i++) {
		r->pipes[i] = pipe_new(&r->shared, i, err);
		if (r->pipes[i] == NULL)
			return -1;
		r->lanes = i + 1;
	}
	metrics_set(r->opt.metrics, METRIC_LANES, r->lanes);
	return 0;
}

/* The statements are made once. A table that changed under a running relay is met by a restart, in the hands of systemd. */
static void
on_layout(void *ctx, const struct layout *lo)
{
	struct relay *r = ctx;
	struct error err;

	set_postgresql_up(r, true, NULL);
	health(r, HEALTH_SCHEMA, HEALTH_OK, NULL);
	link_up(&r->keeper_link);
	if (r->lanes == 0) {
		if (make_pipes(r, lo, &err) != 0) {
			fail(r, &err);
			return;
		}
		doorman_open(r->doorman);
		barrier_open(r->barrier);
		return;
	}
	r->grace_until_us = clock_mono_us() + GRACE_US;
	if (!statements_fit(&r->statements, lo, &r->plan.statements)) {
		error_set(&err, ERR_RETRY, "the outbox table was changed while the relay ran");
		error_hint(&err, "the relay stops cleanly and is to be started again");
		fail(r, &err);
	}
}

static void
on_misfit(void *ctx, const struct error *err)
{
	struct relay *r = ctx;

	health(r, HEALTH_SCHEMA, HEALTH_FAILED, err->message);
	if (r->lanes == 0) {
		fail(r, err);
		return;
	}
	log_error(r->opt.log, LOG_ERR, "outbox-misfit", err);
	link_down(&r->keeper_link);
}

static void
on_keeper_lost(void *ctx, const struct error *err)
{
	struct relay *r = ctx;

	set_postgresql_up(r, false, err);
	link_down(&r->keeper_link);
}

static void
on_hints(void *ctx, int64_t ret_from_ids[LANES_MAX])
{
	struct relay *r = ctx;

	for (int i = 0; i < r->lanes; i++)
		ret_from_ids[i] = pipe_owned(r->pipes[i]) ? pipe_hint(r->pipes[i]) : LADDER_BOTTOM;
}

static void
reopen_keeper(void *ctx)
{
	struct relay *r = ctx;

	keeper_open(r->keeper);
}

static void
on_need_flush(void *ctx, uint64_t lsn)
{
	struct relay *r = ctx;

	barrier_need(r->barrier, lsn, clock_mono_us());
}

static void
on_flushed(void *ctx, uint64_t lsn)
{
	struct relay *r = ctx;

	r->shared.safe_lsn = lsn;
	link_up(&r->barrier_link);
	for (int i = 0; i < r->lanes; i++)
		pipe_flushed(r->pipes[i]);
}

/* A batch that waits for its WAL is given back when its time is over, and claimed anew. */
static void
on_barrier_lost(void *ctx, const struct error *err)
{
	struct relay *r = ctx;

	r->shared.safe_lsn = 0;
	log_error(r->opt.log, LOG_WARNING, "barrier-lost", err);
	link_down(&r->barrier_link);
}

static void
reopen_barrier(void *ctx)
{
	struct relay *r = ctx;

	barrier_open(r->barrier);
}

/* --- the outlet --- */

static void
on_report(void *ctx, struct slot *slot, const struct report *rep)
{
	(void)ctx;
	pipe_report(slot->batch->owner, slot, rep);
}

static void
on_rebuilt(void *ctx)
{
	struct relay *r = ctx;

	for (int i = 0; i < r->lanes; i++)
		pipe_rebuilt(r->pipes[i]);
}

static void
on_serves(void *ctx, bool up, const char *reason)
{
	struct relay *r = ctx;

	health(r, HEALTH_KAFKA, up ? HEALTH_OK : HEALTH_OUTAGE, reason);
	for (int i = 0; i < r->lanes && up; i++)
		pipe_retry(r->pipes[i]);
}

/* --- making and ending --- */

static int
make_outlet(struct relay *r, struct error *err)
{
	struct outlet_options opt = {
		.producer = r->plan.producer,
		.stall_ms = r->opt.cfg->outbox.hold_max_ms * 2,
		.loop = r->opt.loop,
		.log = r->opt.log,
		.metrics = r->opt.metrics,
	};
	struct outlet_events events = {.report = on_report, .rebuilt = on_rebuilt, .serves = on_serves, .ctx = r};

	return outlet_new(&opt, &events, &r->outlet, err);
}

static void
set_shared(struct relay *r)
{
	const struct config *cfg = r->opt.cfg;

	r->shared = (struct pipe_shared){
		.cfg = &cfg->outbox,
		.session_timeout_ms = cfg->database.session_timeout_ms,
		.lanes = {.session = &r->plan.session, .statements = &r->statements, .options = &r->plan.statements},
		.router = r->plan.router,
		.outlet = r->outlet,
		.loop = r->opt.loop,
		.log = r->opt.log,
		.metrics = r->opt.metrics,
		.changed = on_changed,
		.failed = on_failed,
		.need_flush = on_need_flush,
		.ctx = r,
	};
}

static uint32_t
draw_number(void)
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		number = (uint32_t)clock_mono_us();
	return number & (SHARE_RELAY_FLAG - 1U);
}

static int
make_sessions(struct relay *r, struct error *err)
{
	struct keeper_options ko = {
		.session = &r->plan.session,
		.request = &r->plan.request,
		.retention_ms = r->plan.request.prune ? r->opt.cfg->outbox.retention_ms : -1,
		.relay_number = draw_number(),
	};
	struct keeper_events ke = {.layout = on_layout, .misfit = on_misfit, .members = on_members, .stats = on_stats,
	                           .pruned = on_pruned, .lost = on_keeper_lost, .hints = on_hints, .ctx = r};
	struct barrier_events be = {.flushed = on_flushed, .lost = on_barrier_lost, .ctx = r};

	r->keeper = keeper_new(&ko, &ke);
	r->barrier = barrier_new(&r->plan.session, &be);
	if (r->keeper == NULL || r->barrier == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	r->doorman = doorman_new(&r->shared, r->pipes, &r->lanes, err);
	return r->doorman != NULL ? 0 : -1;
}

static void
list_watches(struct relay *r, struct watch *ret_watches[WATCHES])
{
	struct watch *const watches[WATCHES] = {keeper_watch(r->keeper), keeper_timer(r->keeper), barrier_watch(r->barrier),
	                                        &r->keeper_link.timer,   &r->barrier_link.timer,  &r->timer};

	memcpy(ret_watches, watches, sizeof(watches));
}

static int
join_loop(struct relay *r, struct error *err)
{
	struct watch *watches[WATCHES];

	link_init(&r->keeper_link, reopen_keeper, r);
	link_init(&r->barrier_link, reopen_barrier, r);
	r->timer = (struct watch){.fd = -1, .deadline_us = CLOCK_NEVER, .fire = fire};
	list_watches(r, watches);
	for (size_t i = 0; i < WATCHES; i++)
		if (loop_add(r->opt.loop, watches[i], err) != 0)
			return -1;
	return 0;
}

int
relay_new(const struct relay_options *opt, struct relay **ret_relay, struct error *err)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	r->opt = *opt;
	if (plan_init(&r->plan, opt->cfg, err) != 0 || make_outlet(r, err) != 0) {
		relay_free(r);
		return -1;
	}
	set_shared(r);
	if (make_sessions(r, err) != 0 || join_loop(r, err) != 0) {
		relay_free(r);
		return -1;
	}
	health(r, HEALTH_KAFKA, HEALTH_OK, NULL);
	if (strchr(opt->cfg->kafka.topic, '$') == NULL)
		outlet_warm_topic(r->outlet, opt->cfg->kafka.topic);
	keeper_open(r->keeper);
	*ret_relay = r;
	return 0;
}

void
relay_stop(struct relay *r)
{
	int64_t now_us = clock_mono_us();

	if (r->stopping)
		return;
	r->stopping = true;
	r->shared.stopping = true;
	r->purge_us = now_us + r->opt.cfg->outbox.stop_timeout_ms * 1000;
	r->give_up_us = r->purge_us + STOP_GRACE_US;
	for (int i = 0; i < r->lanes; i++)
		pipe_leave(r->pipes[i]);
	r->timer.deadline_us = 0;
}

void
relay_free(struct relay *r)
{
	struct watch *watches[WATCHES];

	if (r == NULL)
		return;
	outlet_abandon(r->outlet); /* reports can reach no pipe any more */
	for (int i = 0; i < r->lanes; i++) {
		pipe_rebuilt(r->pipes[i]);
		pipe_free(r->pipes[i]);
	}
	outlet_free(r->outlet);
	if (r->keeper != NULL && r->barrier != NULL) {
		list_watches(r, watches);
		for (size_t i = 0; i < WATCHES; i++)
			loop_remove(r->opt.loop, watches[i]);
	}
	doorman_free(r->doorman);
	keeper_free(r->keeper);
	barrier_free(r->barrier);
	statements_done(&r->statements);
	plan_done(&r->plan);
	free(r);
}

void
relay_dump(const struct relay *r)
{
	struct buf line __attribute__((cleanup(buf_done))) = BUF_INIT;

	log_write(r->opt.log, LOG_NOTICE, "state-relay", "%zu events with Kafka, which %s; %d relays, quota %d of %d lanes; bell every %" PRId64
	          " us", outlet_in_flight(r->outlet), outlet_serves(r->outlet) ? "serves" : "does not serve", r->members.relays,
	          r->members.quota, r->lanes, doorman_poll_us(r->doorman));
	for (int i = 0; i < r->lanes; i++) {
		buf_reset(&line);
		pipe_describe(r->pipes[i], &line);
		log_write(r->opt.log, LOG_NOTICE, "state-lane", "%s", buf_str(&line));
	}
}
