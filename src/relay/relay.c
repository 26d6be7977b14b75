/* relay.c - in: what keeper, bell and pipes tell; out: which lanes are ours, when the bell is asked, when all is done. */
#include "relay/relay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "relay/keyset.h"
#include "relay/outlet.h"
#include "relay/pipe.h"
#include "route/router.h"
#include "source/barrier.h"
#include "source/bell.h"
#include "source/keeper.h"
#include "source/share.h"

#define BUSY_US 1000000          /* so long after events the bell is asked at poll_min */
#define NOTIFIED_POLL_MS 250     /* how often the bell is asked where writers ring it */
#define RECONNECT_MIN_MS 100
#define RECONNECT_MAX_MS 2000
#define GRACE_US 3000000         /* longer than any pause before a reconnect */
#define WATCHES 8
#define STOP_GRACE_US 2000000    /* after the purge, for the last settles */

/* A session that is opened again after a pause. */
struct link {
	struct watch timer;
	struct backoff backoff;
};

struct relay {
	struct relay_options opt;
	struct session_options session;
	struct statements_options statement_options;
	struct statements statements;
	struct layout_request request;
	struct pipe_shared shared;
	const char **extra;
	struct producer_property *properties;
	struct router *router;
	struct outlet *outlet;
	struct keeper *keeper;
	struct bell *bell;
	struct barrier *barrier;
	struct link keeper_link, bell_link, barrier_link;
	struct watch timer; /* asks the bell, and looks at what changed */
	struct pipe *pipes[LANES_MAX];
	int lanes;
	bool owned[LANES_MAX];  /* by this relay, when last looked at */
	int64_t grace_until_us; /* after PostgreSQL was away: lanes that were not ours are left to whom they were */
	struct keeper_members members;
	bool members_known;
	bool bell_from_bottom[LANES_MAX]; /* of the question under way */
	int64_t bell_next_us, bell_spoke_us;
	int64_t poll_us;
	bool looked_in; /* the keeper has accepted the table at least once */
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
on_pipe_failed(void *ctx, const struct error *err)
{
	struct relay *r = ctx;

	log_error(r->opt.log, LOG_ERR, "lane-failed", err);
	if (r->shared.busy_us == 0)
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

/* --- the doorbell --- */

/* Asks for every lane that waits, from its floor; where a look from the bottom is due, from there. */
static void
ask_bell(struct relay *r, int64_t now_us)
{
	struct bell_question q = {.count = 0};
	struct keyset held = KEYSET_INIT;

	memset(r->bell_from_bottom, 0, sizeof(r->bell_from_bottom));
	for (int i = 0; i < r->lanes; i++) {
		if (!pipe_may_ring(r->pipes[i]))
			continue;
		r->bell_from_bottom[i] = pipe_look_due(r->pipes[i], now_us);
		q.lanes[q.count] = i;
		q.from_ids[q.count++] = r->bell_from_bottom[i] ? LADDER_BOTTOM : pipe_hint(r->pipes[i]);
		keyset_merge(&held, pipe_held(r->pipes[i])); /* a key that found no room makes one ring too many */
	}
	/* With nobody to ask for it still says a word now and then, or the server would end the session. */
	if (q.count > 0 || now_us - r->bell_spoke_us >= r->opt.cfg->database.session_timeout_ms * 1000 / 3) {
		r->bell_spoke_us = now_us;
		q.held_keys = keyset_literal(&held);
		bell_ask(r->bell, &q, now_us);
		metrics_add(r->opt.metrics, METRIC_DOORBELL_QUERIES, 1);
	}
	keyset_done(&held);
}

static void
schedule_bell(struct relay *r, int64_t now_us)
{
	const struct outbox_config *cfg = &r->opt.cfg->outbox;
	int64_t max_us = (cfg->notify && cfg->poll_max_ms < NOTIFIED_POLL_MS ? NOTIFIED_POLL_MS : cfg->poll_max_ms) * 1000;

	if (now_us - r->shared.busy_us < BUSY_US && !cfg->notify)
		r->poll_us = cfg->poll_min_ms * 1000;
	else
		r->poll_us += r->poll_us / 4 + 1;
	if (r->poll_us > max_us)
		r->poll_us = max_us;
	r->bell_next_us = now_us + r->poll_us;
}

static void
on_bell_answered(void *ctx, const int *lanes, int count, int64_t elapsed_us)
{
	struct relay *r = ctx;
	bool rings[LANES_MAX] = {false};

	for (int i = 0; i < count; i++)
		if (lanes[i] >= 0 && lanes[i] < r->lanes)
			rings[lanes[i]] = true;
	for (int i = 0; i < r->lanes; i++) {
		if (r->bell_from_bottom[i])
			pipe_looked(r->pipes[i], elapsed_us);
		if (rings[i])
			pipe_ring(r->pipes[i], r->bell_from_bottom[i]);
	}
	r->timer.deadline_us = 0;
}

static void
on_bell_notified(void *ctx)
{
	struct relay *r = ctx;

	r->bell_next_us = 0;
	r->timer.deadline_us = 0;
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
		bell_close(r->bell);
		barrier_close(r->barrier);
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
	int64_t next = CLOCK_NEVER;

	(void)revents;
	if (r->done) {
		r->timer.deadline_us = CLOCK_NEVER;
		return;
	}
	r->timer.deadline_us = CLOCK_NEVER;
	count_lanes(r);
	if (r->stopping)
		next = step_stop(r, now_us);
	else if (bell_can_ask(r->bell)) {
		if (now_us >= r->bell_next_us) {
			ask_bell(r, now_us);
			schedule_bell(r, now_us);
		}
		next = bell_can_ask(r->bell) ? r->bell_next_us : CLOCK_NEVER;
	}
	if (next < r->timer.deadline_us)
		r->timer.deadline_us = next;
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

static void
reopen_later(struct link *link)
{
	link->timer.deadline_us = clock_mono_us() + backoff_next_ms(&link->backoff) * 1000LL;
}

static int
make_pipes(struct relay *r, const struct layout *lo, struct error *err)
{
	if (statements_make(lo, &r->statement_options, &r->statements, err) != 0)
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
	backoff_reset(&r->keeper_link.backoff);
	if (r->lanes == 0) {
		if (make_pipes(r, lo, &err) != 0) {
			fail(r, &err);
			return;
		}
		r->looked_in = true;
		bell_open(r->bell);
		barrier_open(r->barrier);
		return;
	}
	r->grace_until_us = clock_mono_us() + GRACE_US;
	if (!statements_fit(&r->statements, lo, &r->statement_options)) {
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
	if (!r->looked_in) {
		fail(r, err);
		return;
	}
	log_error(r->opt.log, LOG_ERR, "outbox-misfit", err);
	reopen_later(&r->keeper_link);
}

static void
on_keeper_lost(void *ctx, const struct error *err)
{
	struct relay *r = ctx;

	set_postgresql_up(r, false, err);
	reopen_later(&r->keeper_link);
}

static void
on_hints(void *ctx, int64_t ret_from_ids[LANES_MAX])
{
	struct relay *r = ctx;

	for (int i = 0; i < r->lanes; i++)
		ret_from_ids[i] = pipe_owned(r->pipes[i]) ? pipe_hint(r->pipes[i]) : LADDER_BOTTOM;
}

static void
on_bell_ready(void *ctx)
{
	struct relay *r = ctx;

	backoff_reset(&r->bell_link.backoff);
	r->timer.deadline_us = 0;
}

static void
on_bell_lost(void *ctx, const struct error *err)
{
	struct relay *r = ctx;

	log_error(r->opt.log, LOG_WARNING, "bell-lost", err);
	if (err->kind == ERR_CONFIG && r->shared.busy_us == 0)
		fail(r, err);
	else
		reopen_later(&r->bell_link);
}

static void
keeper_link_fired(struct watch *w, short revents, int64_t now_us)
{
	struct relay *r = (struct relay *)(void *)((char *)w - offsetof(struct relay, keeper_link.timer));

	(void)revents;
	(void)now_us;
	w->deadline_us = CLOCK_NEVER;
	if (!r->done)
		keeper_open(r->keeper);
}

static void
bell_link_fired(struct watch *w, short revents, int64_t now_us)
{
	struct relay *r = (struct relay *)(void *)((char *)w - offsetof(struct relay, bell_link.timer));

	(void)revents;
	(void)now_us;
	w->deadline_us = CLOCK_NEVER;
	if (!r->done)
		bell_open(r->bell);
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
	backoff_reset(&r->barrier_link.backoff);
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
	reopen_later(&r->barrier_link);
}

static void
barrier_link_fired(struct watch *w, short revents, int64_t now_us)
{
	struct relay *r = (struct relay *)(void *)((char *)w - offsetof(struct relay, barrier_link.timer));

	(void)revents;
	(void)now_us;
	w->deadline_us = CLOCK_NEVER;
	if (!r->done)
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

static void
set_request(struct relay *r)
{
	const struct outbox_config *cfg = &r->opt.cfg->outbox;

	r->request = (struct layout_request){
		.table = cfg->table,
		.extra = r->extra,
		.extra_count = router_extra_count(r->router),
		.settle_delete = cfg->settle == SETTLE_DELETE,
		.prune = cfg->retention_ms != CONFIG_NEVER,
	};
	for (int i = 0; i < COL_COUNT; i++)
		r->request.columns[i] = cfg->columns[i];
	r->statement_options = (struct statements_options){
		.settle_delete = cfg->settle == SETTLE_DELETE,
		.block_parked_keys = cfg->poison == POISON_BLOCK_KEY,
		.batch_bytes = cfg->batch_bytes,
		.batch_rows = cfg->batch_rows,
		.extra_columns = r->extra,
		.extra_count = router_extra_count(r->router),
	};
}

static int
make_router(struct relay *r, struct error *err)
{
	const char *columns[COL_COUNT];
	const struct config *cfg = r->opt.cfg;

	for (int i = 0; i < COL_COUNT; i++)
		columns[i] = cfg->outbox.columns[i];
	if (router_new(cfg->kafka.topic, columns, &r->router, err) != 0)
		return -1;
	r->extra = calloc(router_extra_count(r->router) + 1, sizeof(*r->extra));
	if (r->extra == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	for (size_t i = 0; i < router_extra_count(r->router); i++)
		r->extra[i] = router_extra_column(r->router, i);
	return 0;
}

static int
make_outlet(struct relay *r, struct error *err)
{
	const struct config *cfg = r->opt.cfg;
	size_t count = cfg->kafka.properties.count;
	struct producer_property *properties = calloc(count + 1, sizeof(*properties));
	struct outlet_options opt = {
		.producer =
			{
				.brokers = cfg->kafka.brokers,
				.client_id = "pgoutboxd",
				.properties = properties,
				.properties_count = count,
				.queue_messages = (size_t)cfg->outbox.batch_rows * LANES_MAX,
				.queue_bytes = (size_t)cfg->outbox.batch_bytes * LANES_MAX,
			},
		.stall_ms = cfg->outbox.hold_max_ms * 2,
		.loop = r->opt.loop,
		.log = r->opt.log,
		.metrics = r->opt.metrics,
	};
	struct outlet_events events = {.report = on_report, .rebuilt = on_rebuilt, .serves = on_serves, .ctx = r};

	if (properties == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	for (size_t i = 0; i < count; i++)
		properties[i] = (struct producer_property){cfg->kafka.properties.items[i].name, cfg->kafka.properties.items[i].value};
	r->properties = properties;
	return outlet_new(&opt, &events, &r->outlet, err);
}

static void
init_link(struct link *link, void (*fired)(struct watch *, short, int64_t), uint64_t seed)
{
	link->timer = (struct watch){.fd = -1, .deadline_us = CLOCK_NEVER, .fire = fired};
	backoff_init(&link->backoff, RECONNECT_MIN_MS, RECONNECT_MAX_MS, seed);
}

static void
list_watches(struct relay *r, struct watch *ret_watches[WATCHES])
{
	struct watch *const watches[WATCHES] = {
		keeper_watch(r->keeper), keeper_timer(r->keeper), bell_watch(r->bell), barrier_watch(r->barrier),
		&r->keeper_link.timer, &r->bell_link.timer, &r->barrier_link.timer, &r->timer,
	};

	memcpy(ret_watches, watches, sizeof(watches));
}

static int
make_sessions(struct relay *r, uint32_t number, struct error *err)
{
	const struct config *cfg = r->opt.cfg;
	struct keeper_options ko = {
		.session = &r->session,
		.request = &r->request,
		.retention_ms = cfg->outbox.retention_ms == CONFIG_NEVER ? -1 : cfg->outbox.retention_ms,
		.relay_number = number,
	};
	struct keeper_events ke = {.layout = on_layout, .misfit = on_misfit, .members = on_members, .stats = on_stats,
	                           .pruned = on_pruned, .lost = on_keeper_lost, .hints = on_hints, .ctx = r};
	struct bell_events be = {.ready = on_bell_ready, .answered = on_bell_answered, .notified = on_bell_notified,
	                         .lost = on_bell_lost, .ctx = r};
	struct watch *watches[WATCHES];
	struct barrier_events fe = {.flushed = on_flushed, .lost = on_barrier_lost, .ctx = r};

	r->keeper = keeper_new(&ko, &ke);
	r->bell = bell_new(&r->shared.lanes, cfg->outbox.notify, &be);
	r->barrier = barrier_new(&r->session, &fe);
	if (r->keeper == NULL || r->bell == NULL || r->barrier == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	init_link(&r->keeper_link, keeper_link_fired, number);
	init_link(&r->bell_link, bell_link_fired, number + 1U);
	r->timer = (struct watch){.fd = -1, .deadline_us = CLOCK_NEVER, .fire = fire};
	init_link(&r->barrier_link, barrier_link_fired, number + 2U);
	list_watches(r, watches);
	for (size_t i = 0; i < WATCHES; i++)
		if (loop_add(r->opt.loop, watches[i], err) != 0)
			return -1;
	return 0;
}

static void
set_shared(struct relay *r)
{
	const struct config *cfg = r->opt.cfg;

	r->session = (struct session_options){
		.conninfo = cfg->database.conninfo,
		.password = cfg->database.password[0] != '\0' ? cfg->database.password : NULL,
		.connect_timeout_ms = cfg->database.connect_timeout_ms,
		.statement_timeout_ms = cfg->database.statement_timeout_ms,
		.session_timeout_ms = cfg->database.session_timeout_ms,
	};
	r->shared = (struct pipe_shared){
		.cfg = &cfg->outbox,
		.session_timeout_ms = cfg->database.session_timeout_ms,
		.lanes = {.session = &r->session, .statements = &r->statements, .options = &r->statement_options},
		.router = r->router,
		.outlet = r->outlet,
		.loop = r->opt.loop,
		.log = r->opt.log,
		.metrics = r->opt.metrics,
		.changed = on_changed,
		.failed = on_pipe_failed,
		.need_flush = on_need_flush,
		.ctx = r,
	};
	r->poll_us = cfg->outbox.poll_min_ms * 1000;
}

int
relay_new(const struct relay_options *opt, struct relay **ret_relay, struct error *err)
{
	struct relay *r = calloc(1, sizeof(*r));
	uint32_t number = 0;

	if (r == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	r->opt = *opt;
	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		number = (uint32_t)clock_mono_us();
	number &= SHARE_RELAY_FLAG - 1U;
	if (make_router(r, err) != 0 || make_outlet(r, err) != 0) {
		relay_free(r);
		return -1;
	}
	set_request(r);
	set_shared(r);
	if (make_sessions(r, number, err) != 0) {
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
	if (r->keeper != NULL && r->bell != NULL && r->barrier != NULL) {
		list_watches(r, watches);
		for (size_t i = 0; i < WATCHES; i++)
			loop_remove(r->opt.loop, watches[i]);
	}
	keeper_free(r->keeper);
	bell_free(r->bell);
	barrier_free(r->barrier);
	statements_done(&r->statements);
	router_free(r->router);
	free(r->extra);
	free(r->properties);
	free(r);
}

void
relay_dump(const struct relay *r)
{
	struct buf line __attribute__((cleanup(buf_done))) = BUF_INIT;

	log_write(r->opt.log, LOG_NOTICE, "state-relay", "%zu events with Kafka, which %s; %d relays, quota %d of %d lanes; bell every %" PRId64
	          " us", outlet_in_flight(r->outlet), outlet_serves(r->outlet) ? "serves" : "does not serve", r->members.relays,
	          r->members.quota, r->lanes, r->poll_us);
	for (int i = 0; i < r->lanes; i++) {
		buf_reset(&line);
		pipe_describe(r->pipes[i], &line);
		log_write(r->opt.log, LOG_NOTICE, "state-lane", "%s", buf_str(&line));
	}
}

void
relay_check_config(const struct config *cfg, struct config_problems *problems)
{
	const char *columns[COL_COUNT];
	struct router *router;
	struct error err;

	for (int i = 0; i < COL_COUNT; i++)
		columns[i] = cfg->outbox.columns[i];
	if (router_new(cfg->kafka.topic, columns, &router, &err) != 0)
		config_complain_error(cfg, "kafka.topic", problems, CONFIG_ERROR, &err);
	else
		router_free(router);
	for (size_t i = 0; i < cfg->kafka.properties.count; i++) {
		const struct config_property *p = &cfg->kafka.properties.items[i];
		struct buf path __attribute__((cleanup(buf_done))) = BUF_INIT;

		if (producer_check_property(p->name, p->value, &err) == 0)
			continue;
		buf_printf(&path, "kafka.properties.%s", p->name);
		config_complain_error(cfg, buf_str(&path), problems, CONFIG_ERROR, &err);
	}
}
