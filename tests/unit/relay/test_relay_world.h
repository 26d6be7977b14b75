/* test_relay_world.h - a relay among doubles of its neighbours, which write down what it tells them, and in which order. */
#ifndef PGOUTBOX_TESTS_RELAY_WORLD_H
#define PGOUTBOX_TESTS_RELAY_WORLD_H

#include <stdlib.h>

static int calloc_fails;

#define calloc(count, size) (calloc_fails ? NULL : calloc(count, size))
#include "relay/relay.c"
#undef calloc

#include "relay/relay_lanes.c"
#include "relay/relay_reload.c"

#include "relay/crew.c"
#include "relay/spread.c"

#include "support/tap.h"

enum { LANES = 4, STOP_MS = 30000, SESSION_MS = 15000 };

struct pipe {
	int lane;
	bool wanted, owned, closed, detached, busy;
};

struct outlet {
	struct outlet_events events;
	size_t in_flight;
	bool serves;
};

struct doorman {
	bool open;
};

struct barrier {
	struct watch watch;
	struct barrier_events events;
	bool open;
	uint64_t needed;
};

static struct relay *r;
static struct relay_options opt;
static struct config cfg;
static struct outlet outlet;
static struct doorman doorman;
static struct barrier barrier;
static struct upkeep *upkeep;
static struct upkeep_events events;
static struct pipe pipes[LANES];
static struct layout layout;
static struct error err, end;
static int64_t now_us, gap;
static int made, freed, ends, watches, pipe_fails_at;
static bool has_end, fits, statements_fail, upkeep_open_now, route_needs_more;
static int fails_at, steps; /* of the steps that a relay is made of */
static void (*absent)(void *ctx, int64_t away_us);
static enum health_state healths[HEALTH_CHECKS];
static uint64_t repeatable;
static int64_t gauges[METRICS_COUNT];
static uint64_t events_sent;
static bool held;
static char trace[4096];

/* What happened, in its order. */
static void
say(const char *fmt, int n)
{
	size_t len = strlen(trace);

	snprintf(trace + len, sizeof(trace) - len, len > 0 ? " %s" : "%s", fmt);
	len = strlen(trace);
	if (n >= 0)
		snprintf(trace + len, sizeof(trace) - len, "%d", n);
}

static bool
step_fails(void)
{
	return ++steps == fails_at;
}

/* --- neighbours --- */

int64_t
clock_mono_us(void)
{
	return now_us;
}

void
log_write(const struct log *log, int priority, const char *id, const char *fmt, ...)
{
	(void)log, (void)priority, (void)fmt;
	if (strcmp(id, "stop-unclean") == 0 || strcmp(id, "stop-purge") == 0 || strcmp(id, "relay-hung") == 0)
		say(id, -1);
	if (strcmp(id, "route-changed") == 0)
		say(id, -1);
}

void
log_error(const struct log *log, int priority, const char *id, const struct error *e)
{
	(void)log, (void)priority, (void)e;
	if (strcmp(id, "route-kept") == 0)
		say(id, -1);
}

void
log_fields(const struct log *log, int priority, const char *id, const struct log_field *fields, const char *fmt, ...)
{
	(void)fields, (void)fmt;
	log_write(log, priority, id, "%s", "");
}

void
outage_init(struct outage *o, enum metric_side side, const struct log *log, const struct metrics_scope *m)
{
	(void)log, (void)m;
	*o = (struct outage){.side = side};
}

void
outage_begin(struct outage *o, const struct error *reason)
{
	o->reason = *reason;
	o->down = true;
}

void
outage_end(struct outage *o)
{
	o->down = false;
}

void
metrics_add(struct metrics_scope *s, enum metric id, uint64_t n)
{
	(void)s;
	if (id == METRIC_EVENTS_REPEATABLE)
		repeatable += n;
}

void
metrics_set(struct metrics_scope *s, enum metric id, int64_t value)
{
	(void)s;
	gauges[id] = value;
}

uint64_t
metrics_get(const struct metrics_scope *s, enum metric id, unsigned label)
{
	(void)s, (void)label;
	TAP_INT(id, METRIC_EVENTS_SENT);
	return events_sent;
}

void
health_set(struct health *h, size_t outbox, enum health_check check, enum health_state state, const char *reason,
           int64_t at_us)
{
	(void)h, (void)at_us;
	TAP_INT(outbox, 3);
	if (check != HEALTH_LANES) /* a remark is no reason */
		CU_ASSERT_EQUAL(reason == NULL, state == HEALTH_OK);
	healths[check] = state;
}

int
loop_add(struct loop *l, struct watch *w, struct error *e)
{
	(void)l, (void)w;
	if (step_fails())
		return error_set(e, ERR_FATAL, "out of memory");
	watches++;
	return 0;
}

void
loop_remove(struct loop *l, struct watch *w)
{
	(void)l, (void)w;
}

void
loop_on_gap(struct loop *l, struct loop_gap *g)
{
	(void)l;
	gap = g->gap_us;
	absent = g->absent;
	CU_ASSERT_PTR_NOT_NULL(g->ctx);
}

void
loop_off_gap(struct loop *l, struct loop_gap *g)
{
	(void)l;
	(void)g;
	absent = NULL;
}

int
plan_init(struct plan *plan, const struct config *c, struct error *e)
{
	CU_ASSERT_PTR_EQUAL(c, &cfg);
	plan->topic = cfg.kafka.topic;
	made++;
	return step_fails() ? error_set(e, ERR_CONFIG, "bad template") : 0;
}

void
plan_done(struct plan *plan)
{
	(void)plan;
	freed++;
}

void
plan_reload_limits(struct plan *plan, const struct config *c)
{
	(void)plan;
	CU_ASSERT_PTR_EQUAL(c, &cfg);
	say("limits", -1);
}

int
plan_route_differs(const struct plan *plan, const struct config *c, bool *ret_differs, struct error *e)
{
	if (route_needs_more)
		return error_set(e, ERR_CONFIG, "other columns");
	*ret_differs = strcmp(plan->topic, c->kafka.topic) != 0;
	return 0;
}

int
plan_reload_route(struct plan *plan, const struct config *c, struct error *e)
{
	(void)e;
	plan->topic = c->kafka.topic;
	say("route", -1);
	return 0;
}

int
statements_make(const struct layout *lo, const struct statements_options *options, struct statements *ret,
                struct error *e)
{
	(void)options, (void)ret;
	CU_ASSERT_PTR_EQUAL(lo, &layout);
	return statements_fail ? error_set(e, ERR_FATAL, "out of memory") : 0;
}

void
statements_done(struct statements *st)
{
	(void)st;
}

bool
statements_renew(struct statements *st, const struct layout *lo, const struct statements_options *options)
{
	(void)st, (void)lo, (void)options;
	return fits;
}

bool
holds_trouble(const struct holds *hs)
{
	(void)hs;
	return held;
}

void
holds_done(struct holds *hs)
{
	(void)hs;
}

void
link_init(struct link *link, void (*open)(void *ctx), void *ctx)
{
	*link = (struct link){.timer = {.fd = -1, .deadline_us = CLOCK_NEVER}, .open = open, .ctx = ctx};
}

void
link_up(struct link *link)
{
	(void)link;
	say("link-up", -1);
}

void
link_down(struct link *link)
{
	say("link-down", -1);
	link->open(link->ctx);
}

void
link_stop(struct link *link)
{
	(void)link;
}

int
upkeep_init(struct upkeep *u, const struct relay_options *o, const struct plan *plan, const struct upkeep_events *ev,
            struct error *e)
{
	(void)plan;
	upkeep = u;
	u->opt = o;
	events = *ev;
	return step_fails() ? error_set(e, ERR_FATAL, "out of memory") : 0;
}

void
upkeep_done(struct upkeep *u)
{
	(void)u;
}

void
upkeep_open(struct upkeep *u)
{
	CU_ASSERT_PTR_EQUAL(u, upkeep);
	upkeep_open_now = true;
}

void
upkeep_reload(struct upkeep *u)
{
	CU_ASSERT_PTR_EQUAL(u, upkeep);
	say("retention", -1);
}

void
upkeep_close(struct upkeep *u)
{
	(void)u;
	upkeep_open_now = false;
	say("upkeep-closed", -1);
}

struct barrier *
barrier_new(const struct session_options *session, const struct barrier_events *ev)
{
	(void)session;
	barrier = (struct barrier){.events = *ev};
	if (step_fails())
		return NULL;
	made++;
	return &barrier;
}

void
barrier_free(struct barrier *b)
{
	freed += b != NULL;
}

struct watch *
barrier_watch(struct barrier *b)
{
	return &b->watch;
}

void
barrier_open(struct barrier *b)
{
	b->open = true;
	say("barrier", -1);
}

void
barrier_close(struct barrier *b)
{
	b->open = false;
}

void
barrier_need(struct barrier *b, uint64_t lsn, int64_t at_us)
{
	(void)at_us;
	b->needed = lsn;
}

void
barrier_tick(struct barrier *b, int64_t at_us)
{
	(void)b, (void)at_us;
}

struct doorman *
doorman_new(struct pipe_shared *shared, struct pipe *const *list, const int *count, struct error *e)
{
	(void)shared, (void)list;
	TAP_INT(*count, 0);
	if (step_fails()) {
		error_set(e, ERR_FATAL, "out of memory");
		return NULL;
	}
	made++;
	return &doorman;
}

void
doorman_free(struct doorman *d)
{
	freed += d != NULL;
}

void
doorman_open(struct doorman *d)
{
	d->open = true;
	say("doorman", -1);
}

void
doorman_close(struct doorman *d)
{
	d->open = false;
}

void
doorman_wake(struct doorman *d)
{
	(void)d;
}

int64_t
doorman_poll_us(const struct doorman *d)
{
	(void)d;
	return 2000;
}

int
outlet_new(const struct outlet_options *o, const struct outlet_events *ev, struct outlet **ret_outlet, struct error *e)
{
	TAP_INT(o->stall_ms, 4000);
	outlet = (struct outlet){.events = *ev, .serves = true};
	if (step_fails())
		return error_set(e, ERR_CONFIG, "bad property");
	made++;
	*ret_outlet = &outlet;
	return 0;
}

void
outlet_abandon(struct outlet *o)
{
	if (o != NULL)
		say("abandon", -1);
}

void
outlet_free(struct outlet *o)
{
	freed += o != NULL;
}

void
outlet_warm_topic(struct outlet *o, const char *topic)
{
	(void)o;
	say(topic, -1);
}

void
outlet_set_stall(struct outlet *o, int64_t stall_ms)
{
	(void)o;
	say("stall", (int)stall_ms);
}

void
outlet_purge(struct outlet *o)
{
	(void)o;
	say("purge", -1);
}

void
outlet_restart(struct outlet *o)
{
	(void)o;
	say("restart", -1);
}

size_t
outlet_in_flight(const struct outlet *o)
{
	return o->in_flight;
}

bool
outlet_serves(const struct outlet *o)
{
	return o->serves;
}

struct pipe *
pipe_new(struct pipe_shared *shared, int lane, struct error *e)
{
	CU_ASSERT_PTR_EQUAL(shared->lanes.layout, &layout);
	if (lane == pipe_fails_at) {
		error_set(e, ERR_FATAL, "out of memory");
		return NULL;
	}
	pipes[lane] = (struct pipe){.lane = lane, .closed = true};
	made++;
	return &pipes[lane];
}

void
pipe_free(struct pipe *p)
{
	freed++;
	say("free", p->lane);
}

void
pipe_take(struct pipe *p)
{
	p->wanted = p->owned = true;
	p->closed = false;
	say("take", p->lane);
}

void
pipe_leave(struct pipe *p)
{
	p->wanted = false;
	say("leave", p->lane);
}

void
pipe_drop(struct pipe *p, const struct error *e)
{
	TAP_INT(e->kind, ERR_RETRY);
	p->owned = false;
	say("drop", p->lane);
}

bool
pipe_wanted(const struct pipe *p)
{
	return p->wanted;
}

bool
pipe_owned(const struct pipe *p)
{
	return p->owned;
}

bool
pipe_busy(const struct pipe *p)
{
	return p->busy;
}

bool
pipe_detached(const struct pipe *p)
{
	return p->detached;
}

bool
pipe_closed(const struct pipe *p)
{
	return p->closed;
}

bool
pipe_quiet(const struct pipe *p)
{
	return !p->busy;
}

int64_t
pipe_hint(const struct pipe *p)
{
	return 1000 + p->lane;
}

void
pipe_report(struct pipe *p, struct slot *slot, const struct report *rep)
{
	(void)slot, (void)rep;
	say("report", p->lane);
}

void
metrics_set_at(struct metrics_scope *s, enum metric id, unsigned label, int64_t value)
{
	(void)s, (void)id, (void)label, (void)value;
}

void
pipe_pause(struct pipe *p, bool paused)
{
	if (paused)
		say("pause", p->lane);
}

void
holds_pause(struct holds *hs, const char *topic, int64_t at_us)
{
	(void)hs, (void)at_us;
	say("hold", -1);
	TAP_STR(topic, "t");
}

void
holds_resume(struct holds *hs, const char *topic)
{
	(void)hs;
	say("let-go", -1);
	TAP_STR(topic, "t");
}

void
upkeep_reopen(struct upkeep *u)
{
	CU_ASSERT_PTR_EQUAL(u, upkeep);
	say("reopen", -1);
}

#define TOLD(function, word)             \
	void                             \
	function(struct pipe *p)         \
	{                                \
		if (p->lane == 0)        \
			say(word, -1);   \
	}

TOLD(pipe_parked_changed, "parked")
TOLD(pipe_rebuilt, "rebuilt")
TOLD(pipe_retry, "retry")
TOLD(pipe_holds_lifted, "lifted")
TOLD(pipe_limits_changed, "rows")
TOLD(pipe_rerouted, "rerouted")
TOLD(pipe_turn, "turn")
TOLD(pipe_flushed, "flushed")
TOLD(pipe_unflushed, "unflushed")

void
pipe_describe(const struct pipe *p, struct buf *out)
{
	buf_printf(out, "lane %d", p->lane);
}

static void
on_stopped(void *ctx, const struct error *e)
{
	TAP_STR(ctx, "ctx");
	ends++;
	has_end = e != NULL;
	if (e != NULL)
		end = *e;
}

/* --- rig --- */

static void
setup(void)
{
	static char ctx[] = "ctx", topic[] = "orders";

	cfg = (struct config){.outbox = {.stop_timeout_ms = STOP_MS, .hold_max_ms = 2000},
	                      .database = {.session_timeout_ms = SESSION_MS},
	                      .kafka = {.topic = topic}};
	opt = (struct relay_options){.cfg = &cfg, .outbox = 3, .stopped = on_stopped, .ctx = ctx};
	layout = (struct layout){.lanes = LANES};
	now_us = 1000000;
	calloc_fails = made = freed = ends = watches = steps = fails_at = 0;
	pipe_fails_at = -1;
	has_end = statements_fail = upkeep_open_now = route_needs_more = false;
	fits = true;
	repeatable = events_sent = 0;
	held = false;
	memset(gauges, 0, sizeof(gauges));
	trace[0] = '\0';
	TAP_INT_FATAL(relay_new(&opt, &r, &err), 0);
	TAP_STR(trace, "orders"); /* its topic is warmed */
	CU_ASSERT_TRUE(upkeep_open_now);
	trace[0] = '\0';
}

static void
teardown(void)
{
	relay_free(r);
	relay_free(NULL);
	TAP_INT(made, freed);
	CU_ASSERT_PTR_NULL(absent);
}

static void
heard(const char *wanted)
{
	TAP_STR(trace, wanted);
	trace[0] = '\0';
}

/* The relay's own timer, as soon as it is due. */
static void
turn(void)
{
	CU_ASSERT_FATAL(r->timer.deadline_us != CLOCK_NEVER);
	if (r->timer.deadline_us > now_us)
		now_us = r->timer.deadline_us;
	r->timer.fire(&r->timer, 0, now_us);
}

/* taken: "x" where somebody else has the lane. */
static void
members(int relays, int quota, const char *taken)
{
	struct keeper_members m = {.relays = relays, .quota = quota, .lanes = LANES};

	for (int i = 0; i < LANES; i++)
		m.taken[i] = taken[i] == 'x' || pipes[i].owned;
	events.members(events.ctx, &m);
	now_us += 500000;
}

static void
begin(void)
{
	events.layout(events.ctx, &layout);
	heard("doorman barrier");
	members(1, LANES, "....");
	heard("take0 take1 take2 take3");
	turn();
}

__attribute__((unused)) static void
close_lanes(void)
{
	for (int i = 0; i < LANES; i++) {
		pipes[i].owned = false;
		pipes[i].closed = true;
	}
}

#endif
