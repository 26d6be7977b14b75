/* relay.c - in: what upkeep, barrier, outlet and pipes tell; out: which lanes are ours, and when all is done. What people
 * change while it runs is told to relay_lanes.c and relay_reload.c. */
#include "relay/relay_impl.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/failpoint.h"

#define STOP_GRACE_US 2000000 /* after the purge, for the last settles */
#define LOOK_US 10000000      /* the pause between looks at a table that something fails at */

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

void
relay_fail(void *ctx, const struct error *err)
{
	struct relay *r = ctx;

	if (r->has_failure)
		return;
	r->has_failure = true;
	r->failure = *err;
	relay_stop(r);
}

/* Before the table was ever accepted a person must act. Later it may be a migration under way: wait for it, and look at what the
 * table is like now, for the lanes may need other statements. */
static void
on_failed(void *ctx, const struct error *err)
{
	struct relay *r = ctx;
	int64_t now_us = clock_mono_us();

	log_error(r->opt.log, LOG_ERR, "session-failed", err);
	if (!r->shared.proven) {
		relay_fail(r, err);
	} else if (!r->stopping && now_us >= r->look_us) {
		r->look_us = now_us + LOOK_US;
		upkeep_reopen(&r->upkeep);
	}
}

/* Where this relay is alone, and nothing is held, parked or paused, whatever waits in the table could be sent. */
static bool
has_work(const struct relay *r, const struct crew_count *n, uint64_t sent)
{
	bool all_ours = r->members_known && r->members.relays == 1 && n->owned == r->crew.count;

	if (holds_trouble(&r->holds))
		return false;
	return n->busy > 0 || (all_ours && r->members.parked == 0 && r->pausing.now.count == 0 && r->upkeep.pending > 0 &&
	                       r->upkeep.pending_after == sent);
}

static void
tell_progress(struct relay *r, const struct crew_count *n)
{
	uint64_t sent = metrics_get(r->opt.metrics, METRIC_EVENTS_SENT, 0);

	if (progress_stalls(&r->progress, has_work(r, n, sent), sent, clock_mono_us()))
		health(r, HEALTH_PROGRESS, HEALTH_OUTAGE, "events wait, and Kafka acknowledged none");
	else
		health(r, HEALTH_PROGRESS, HEALTH_OK, NULL);
}

static void
tell_lanes(struct relay *r)
{
	struct crew_count n = crew_count(&r->crew);

	metrics_set(r->opt.metrics, METRIC_LANES_OWNED, n.owned);
	metrics_set(r->opt.metrics, METRIC_LANES_DETACHED, n.detached);
	metrics_set(r->opt.metrics, METRIC_IN_FLIGHT_EVENTS, (int64_t)outlet_in_flight(r->outlet));
	tell_progress(r, &n);
	if (!r->members_known)
		return;
	if (n.owned >= r->members.quota)
		health(r, HEALTH_LANES, HEALTH_OK, r->pausing.remark[0] != '\0' ? r->pausing.remark : NULL);
	else
		health(r, HEALTH_LANES, HEALTH_OUTAGE, "not all lanes of this relay's share are owned yet");
}

/* --- stopping --- */

static void
close_all(struct relay *r)
{
	if (!crew_closed(&r->crew))
		log_write(r->opt.log, LOG_WARNING, "stop-unclean",
		          "stopped with events unsettled: they will be sent again");
	doorman_close(r->doorman);
	link_stop(&r->barrier_link);
	barrier_close(r->barrier);
	FAILPOINT(stopped);
	finish(r, r->has_failure ? &r->failure : NULL);
}

static void
purge(struct relay *r)
{
	size_t in_flight = outlet_in_flight(r->outlet);

	r->purge_us = CLOCK_NEVER;
	if (in_flight == 0)
		return;
	log_fields(r->opt.log, LOG_WARNING, "stop-purge", LOG_FIELDS(LOG_NUMBER("events", in_flight)),
	          "Kafka has not acknowledged %zu events within outbox.stop_timeout: they stay unsent in the table and may be "
	          "sent again", in_flight);
	metrics_add(r->opt.metrics, METRIC_EVENTS_REPEATABLE, in_flight);
	FAILPOINT(purge_due);
	outlet_purge(r->outlet);
	FAILPOINT(purged);
}

/* Says when to look again. */
static int64_t
step_stop(struct relay *r, int64_t now_us)
{
	if (crew_closed(&r->crew) || now_us >= r->give_up_us) {
		close_all(r);
		return CLOCK_NEVER;
	}
	if (now_us >= r->purge_us)
		purge(r);
	return r->purge_us < r->give_up_us ? r->purge_us : r->give_up_us;
}

static void
fire(struct watch *w, short revents, int64_t now_us)
{
	struct relay *r = (struct relay *)(void *)((char *)w - offsetof(struct relay, timer));

	(void)revents;
	r->timer.deadline_us = CLOCK_NEVER;
	if (r->done)
		return;
	tell_lanes(r);
	if (r->lifted)
		crew_each(&r->crew, pipe_holds_lifted);
	r->lifted = false;
	if (r->shared.rerouting)
		r->timer.deadline_us = relay_step_reroute(r, now_us);
	if (r->drained)
		crew_each(&r->crew, pipe_turn);
	r->drained = false;
	if (r->stopping)
		r->timer.deadline_us = step_stop(r, now_us);
}

/* --- from the keeper --- */

static void
on_members(void *ctx, const struct keeper_members *m)
{
	struct relay *r = ctx;
	bool parked_changed = r->members_known && m->parked_sign != r->members.parked_sign;
	bool lanes_stay = !relay_change_lanes(r, m);

	if (lanes_stay && (!r->members_known || m->relays != r->members.relays || m->quota != r->members.quota))
		log_fields(r->opt.log, LOG_INFO, "lanes-share",
		           LOG_FIELDS(LOG_NUMBER("relays", m->relays), LOG_NUMBER("lanes", r->crew.count), LOG_NUMBER("quota", m->quota)),
		           "%d relays share %d lanes: this one has %d", m->relays, r->crew.count, m->quota);
	r->members = *m;
	r->members_known = true;
	barrier_tick(r->barrier, clock_mono_us());
	if (lanes_stay)
		crew_spread(&r->crew, m, clock_mono_us());
	if (parked_changed)
		crew_each(&r->crew, pipe_parked_changed);
	r->timer.deadline_us = 0;
}

static void
on_hints(void *ctx, int64_t ret_from_ids[LANES_MAX])
{
	struct relay *r = ctx;

	crew_hints(&r->crew, ret_from_ids);
}

static void
on_postgresql_serves(void *ctx, const struct error *err)
{
	struct relay *r = ctx;

	if (err != NULL)
		outage_begin(&r->postgresql, err);
	else
		outage_end(&r->postgresql);
}

/* --- the barrier --- */

static void
on_need_flush(void *ctx, uint64_t lsn)
{
	struct relay *r = ctx;

	barrier_need(r->barrier, lsn, clock_mono_us());
}

static void
on_flushed(void *ctx, uint64_t lsn, uint64_t xid)
{
	struct relay *r = ctx;

	r->shared.safe_lsn = lsn;
	r->shared.safe_xid = xid;
	link_up(&r->barrier_link);
	crew_each(&r->crew, pipe_flushed);
}

static void
on_barrier_lost(void *ctx, const struct error *err)
{
	struct relay *r = ctx;

	r->shared.safe_lsn = r->shared.safe_xid = 0;
	log_error(r->opt.log, LOG_WARNING, "barrier-lost", err);
	link_down(&r->barrier_link);
	crew_each(&r->crew, pipe_unflushed);
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

	crew_each(&r->crew, pipe_rebuilt);
}

static void
on_lifted(void *ctx)
{
	struct relay *r = ctx;

	r->lifted = true;
	r->timer.deadline_us = 0;
}

static void
on_drained(void *ctx)
{
	struct relay *r = ctx;

	r->drained = true;
	r->timer.deadline_us = 0;
}

static void
on_serves(void *ctx, bool up, const char *reason)
{
	struct relay *r = ctx;
	struct error err;

	health(r, HEALTH_KAFKA, up ? HEALTH_OK : HEALTH_OUTAGE, reason);
	if (up) {
		outage_end(&r->kafka);
		crew_each(&r->crew, pipe_retry);
	} else {
		error_set(&err, ERR_RETRY, "%s", reason);
		outage_begin(&r->kafka, &err);
	}
}

/* --- a hang --- */

/* The server may have ended our sessions, and others may have our lanes. Whatever is with the producer, or still comes
 * from a session, is of a time that is over: let nothing of it out, and believe nothing. What was acknowledged is kept,
 * and settled where a lane turns out to be ours still. */
static void
on_gap(void *ctx, int64_t away_us)
{
	struct relay *r = ctx;
	size_t in_flight = outlet_in_flight(r->outlet);
	struct error err;

	outlet_restart(r->outlet);
	log_fields(r->opt.log, LOG_WARNING, "relay-hung", LOG_FIELDS(LOG_NUMBER("duration_ms", away_us / 1000), LOG_NUMBER("events", in_flight)),
	          "the relay stood still for %" PRId64 " ms: it takes %zu events back from the producer, which may be sent "
	          "again, and looks anew which lanes are free", away_us / 1000, in_flight);
	metrics_add(r->opt.metrics, METRIC_EVENTS_REPEATABLE, in_flight);
	error_set(&err, ERR_RETRY, "the relay stood still for longer than its sessions may be silent");
	crew_drop(&r->crew, &err);
}

/* Sessions speak three times within session_timeout (see pipe.c): whoever was away for less has lost none. */
static int64_t
gap_us(const struct relay *r)
{
	return r->opt.cfg->database.session_timeout_ms * 1000 * 2 / 3;
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
	struct outlet_events events = {.report = on_report, .rebuilt = on_rebuilt, .serves = on_serves, .drained = on_drained, .ctx = r};

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
		.holds = &r->holds,
		.loop = r->opt.loop,
		.log = r->opt.log,
		.metrics = r->opt.metrics,
		.webhook = r->opt.webhook,
		.changed = on_changed,
		.failed = on_failed,
		.need_flush = on_need_flush,
		.ctx = r,
	};
}

static int
make_sessions(struct relay *r, struct error *err)
{
	struct upkeep_events ue = {
		.layout = relay_on_layout,
		.misfit = relay_fail,
		.pauses = relay_on_pauses,
		.members = on_members,
		.serves = on_postgresql_serves,
		.hints = on_hints,
		.ctx = r,
	};
	struct barrier_events be = {.flushed = on_flushed, .lost = on_barrier_lost, .ctx = r};

	link_init(&r->barrier_link, reopen_barrier, r);
	r->barrier = barrier_new(&r->plan.session, &be);
	if (r->barrier == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	r->doorman = doorman_new(&r->shared, r->crew.pipes, &r->crew.count, err);
	if (r->doorman == NULL)
		return -1;
	return upkeep_init(&r->upkeep, &r->opt, &r->plan, &ue, err);
}

static int
join_loop(struct relay *r, struct error *err)
{
	r->timer = (struct watch){.fd = -1, .deadline_us = CLOCK_NEVER, .fire = fire};
	if (loop_add(r->opt.loop, &r->timer, err) != 0 || loop_add(r->opt.loop, barrier_watch(r->barrier), err) != 0 ||
	    loop_add(r->opt.loop, &r->barrier_link.timer, err) != 0 || loop_add(r->opt.loop, &r->postgresql.timer, err) != 0 ||
	    loop_add(r->opt.loop, &r->kafka.timer, err) != 0)
		return -1;
	r->gap = (struct loop_gap){.gap_us = gap_us(r), .absent = on_gap, .ctx = r};
	loop_on_gap(r->opt.loop, &r->gap);
	return 0;
}

int
relay_new(const struct relay_options *opt, struct relay **ret_relay, struct error *err)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	r->opt = *opt;
	outage_init(&r->postgresql, METRIC_SIDE_POSTGRESQL, opt->log, opt->metrics);
	outage_init(&r->kafka, METRIC_SIDE_KAFKA, opt->log, opt->metrics);
	r->postgresql.webhook = r->kafka.webhook = opt->webhook;
	r->postgresql.outbox = r->kafka.outbox = opt->cfg->outbox.table;
	crew_init(&r->crew);
	if (plan_init(&r->plan, opt->cfg, err) != 0 || make_outlet(r, err) != 0) {
		relay_free(r);
		return -1;
	}
	r->holds = (struct holds){.log = opt->log, .metrics = opt->metrics, .lifted = on_lifted, .ctx = r};
	set_shared(r);
	if (make_sessions(r, err) != 0 || join_loop(r, err) != 0) {
		relay_free(r);
		return -1;
	}
	health(r, HEALTH_KAFKA, HEALTH_OK, NULL);
	health(r, HEALTH_PROGRESS, HEALTH_OK, NULL);
	relay_warm_topic(r);
	upkeep_open(&r->upkeep);
	*ret_relay = r;
	return 0;
}

/* Others may take each lane as soon as it is let go, while we still wait for the last of them: so this relay counts no
 * more. */
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
	upkeep_close(&r->upkeep);
	crew_each(&r->crew, pipe_leave);
	FAILPOINT(stop_begun);
	r->timer.deadline_us = 0;
}

void
relay_free(struct relay *r)
{
	if (r == NULL)
		return;
	loop_off_gap(r->opt.loop, &r->gap);
	outlet_abandon(r->outlet); /* reports can reach no pipe any more */
	crew_done(&r->crew);
	outlet_free(r->outlet);
	loop_remove(r->opt.loop, &r->timer);
	loop_remove(r->opt.loop, &r->postgresql.timer);
	loop_remove(r->opt.loop, &r->kafka.timer);
	if (r->barrier != NULL) {
		loop_remove(r->opt.loop, barrier_watch(r->barrier));
		loop_remove(r->opt.loop, &r->barrier_link.timer);
	}
	doorman_free(r->doorman);
	upkeep_done(&r->upkeep);
	barrier_free(r->barrier);
	holds_done(&r->holds);
	pausing_done(&r->pausing);
	statements_done(&r->statements);
	plan_done(&r->plan);
	free(r);
}

void
relay_dump(const struct relay *r)
{
	struct buf line __attribute__((cleanup(buf_done))) = BUF_INIT;

	log_write(r->opt.log, LOG_NOTICE, "state-relay",
	          "%zu events with Kafka, which %s; %d relays, quota %d of %d lanes; bell every %" PRId64 " us",
	          outlet_in_flight(r->outlet), outlet_serves(r->outlet) ? "serves" : "does not serve",
	          r->members.relays, r->members.quota, r->crew.count, doorman_poll_us(r->doorman));
	for (int i = 0; i < r->crew.count; i++) {
		buf_reset(&line);
		pipe_describe(r->crew.pipes[i], &line);
		log_write(r->opt.log, LOG_NOTICE, "state-lane", "%s", buf_str(&line));
	}
}
