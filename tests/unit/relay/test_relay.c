/* test_relay.c - making, sharing, stopping, failing and waking: what the relay tells whom, and in which order. */
#include <stdlib.h>

static int calloc_fails;

#define calloc(count, size) (calloc_fails ? NULL : calloc(count, size))
#include "relay/relay.c"
#undef calloc

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
statements_fit(const struct statements *st, const struct layout *lo, const struct statements_options *options)
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

static void
close_lanes(void)
{
	for (int i = 0; i < LANES; i++) {
		pipes[i].owned = false;
		pipes[i].closed = true;
	}
}

/* --- tests --- */

static void
test_begins(void)
{
	int64_t hints[LANES_MAX];

	begin();
	TAP_INT(gauges[METRIC_LANES], LANES);
	TAP_INT(gauges[METRIC_LANES_OWNED], LANES);
	TAP_INT(healths[HEALTH_LANES], HEALTH_OK);
	pipes[1].owned = false;
	pipes[2].detached = true;
	outlet.in_flight = 7;
	r->shared.changed(r->shared.ctx);
	turn();
	TAP_INT(gauges[METRIC_LANES_OWNED], LANES - 1);
	TAP_INT(gauges[METRIC_LANES_DETACHED], 1);
	TAP_INT(gauges[METRIC_IN_FLIGHT_EVENTS], 7);
	TAP_INT(healths[HEALTH_LANES], HEALTH_OUTAGE);
	events.hints(events.ctx, hints);
	TAP_INT(hints[0], 1000);
	TAP_INT(hints[1], LADDER_BOTTOM);
	relay_dump(r);
}

/* Limits count at once, and nothing stops for them. */
static void
test_reload_limits(void)
{
	begin();
	cfg.outbox.hold_max_ms = 700;
	TAP_INT(relay_reload(r, &err), 0);
	heard("limits stall1400 retention rows");
	CU_ASSERT_FALSE(r->shared.rerouting);
}

/* The route changes between batches: one lane is still at it. */
static void
test_reload_route(void)
{
	static char other[] = "invoices";

	begin();
	pipes[2].busy = true;
	cfg.kafka.topic = other;
	TAP_INT(relay_reload(r, &err), 0);
	heard("limits stall4000 retention rows");
	CU_ASSERT_TRUE(r->shared.rerouting);
	turn();
	heard("");
	TAP_STR(r->plan.topic, "orders");
	CU_ASSERT_TRUE(r->shared.rerouting);
	pipes[2].busy = false;
	r->shared.changed(r->shared.ctx);
	turn();
	heard("route route-changed invoices rerouted");
	CU_ASSERT_FALSE(r->shared.rerouting);
	TAP_INT(relay_reload(r, &err), 0);
	CU_ASSERT_FALSE(r->shared.rerouting);
}

/* What Kafka keeps to itself holds the lanes up for so long, and not longer. */
static void
test_reload_route_kept(void)
{
	static char other[] = "invoices";
	int64_t begun_us;

	begin();
	pipes[2].busy = true;
	cfg.kafka.topic = other;
	TAP_INT(relay_reload(r, &err), 0);
	begun_us = now_us;
	heard("limits stall4000 retention rows");
	turn();
	turn();
	TAP_INT(now_us - begun_us, REROUTE_MAX_US);
	heard("route-kept rerouted");
	CU_ASSERT_FALSE(r->shared.rerouting);
	TAP_STR(r->plan.topic, "orders");
	pipes[2].busy = false;
	TAP_INT(relay_reload(r, &err), 0);
	turn();
	heard("limits stall4000 retention rows route route-changed invoices rerouted");
}

static void
test_reload_needs_restart(void)
{
	begin();
	route_needs_more = true;
	TAP_INT(relay_reload(r, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	heard("limits stall4000 retention rows");
	CU_ASSERT_FALSE(r->shared.rerouting);
}

static void
look_after(int64_t us)
{
	now_us += us;
	r->shared.changed(r->shared.ctx);
	turn();
}

/* Events that could be sent are there, and nothing is acknowledged. */
static void
test_progress(void)
{
	struct keeper_members m = {.relays = 1, .quota = LANES};
	struct pauses pause = {calloc(1, sizeof(struct pause)), 1}, none = PAUSES_NONE;

	CU_ASSERT_PTR_NOT_NULL_FATAL(pause.list);
	pause.list[0] = (struct pause){.id = 1, .scope = PAUSE_LANE, .lane = 2};
	begin();
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	pipes[2].busy = true;
	look_after(0);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OUTAGE);
	events_sent++;
	look_after(10);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OUTAGE);
	held = true; /* what is in the way is known, and told elsewhere */
	look_after(10);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	held = pipes[2].busy = false;

	/* no lane knows of any, but the table has some */
	upkeep->pending = 3;
	upkeep->pending_after = events_sent;
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OUTAGE);
	upkeep->pending_after = events_sent - 1; /* before the last one was sent */
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	upkeep->pending_after = events_sent;
	m.parked = 1; /* they may be behind it */
	events.members(events.ctx, &m);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	m.parked = 0;
	events.members(events.ctx, &m);
	events.pauses(events.ctx, &pause); /* they may be what is paused */
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	pipes[2].busy = true; /* what the pause leaves alone has to go on */
	look_after(0);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OUTAGE);
	pipes[2].busy = false;
	look_after(10);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	events.pauses(events.ctx, &none);
	look_after(10);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OUTAGE);
	m.relays = 2; /* they may be the other's */
	events.members(events.ctx, &m);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
}

static void
test_shares(void)
{
	begin();
	members(2, 2, "....");
	heard("leave2 leave3");
	pipes[2].owned = pipes[3].owned = false;
	members(2, 2, "..xx");
	heard("");
	members(1, 4, "....");
	heard("");
	members(1, 4, "....");
	heard("take2 take3");
}

/* PostgreSQL was away, for everybody perhaps: lanes that were not ours are somebody's who comes back. */
static void
test_returns(void)
{
	begin();
	members(2, 2, "....");
	pipes[2].owned = pipes[3].owned = false;
	members(2, 2, "..xx");
	trace[0] = '\0';
	pipes[0].owned = pipes[0].wanted = false;
	events.layout(events.ctx, &layout);
	for (int i = 0; i < GRACE_US / 500000; i++)
		members(1, 4, "....");
	heard("take0");
	members(1, 4, "....");
	heard("take2 take3");
}

static void
test_parked(void)
{
	struct keeper_members m = {.relays = 1, .quota = LANES, .lanes = LANES, .parked_sign = 5};

	begin();
	events.members(events.ctx, &m);
	heard("parked");
	events.members(events.ctx, &m);
	heard("");
}

/* A lane is paused before it is taken; whoever pauses twice tells once. */
static void
test_paused(void)
{
	struct pauses two = {calloc(2, sizeof(struct pause)), 2}, none = PAUSES_NONE;

	CU_ASSERT_PTR_NOT_NULL_FATAL(two.list);
	two.list[0] = (struct pause){.id = 1, .scope = PAUSE_LANE, .lane = 2, .who = "a", .reason = "b"};
	two.list[1] = (struct pause){.id = 2, .scope = PAUSE_TOPIC, .topic = "t"};
	begin();
	events.pauses(events.ctx, &two);
	CU_ASSERT_PTR_NULL(two.list);
	heard("hold pause2");
	TAP_HAS(r->pausing.remark, "lane 2 is paused by \"a\": b; topic \"t\"");
	events.pauses(events.ctx, &none);
	heard("let-go");
	TAP_STR(r->pausing.remark, "");
}

/* While the number of lanes changes none is kept; with another number all is made anew, once nothing is left of the old. */
static void
test_lanes_change(void)
{
	struct keeper_members m = {.relays = 1, .quota = LANES, .lanes = LANES, .switching = true};

	begin();
	events.members(events.ctx, &m);
	heard("leave0 leave1 leave2 leave3");
	m = (struct keeper_members){.relays = 1, .quota = LANES, .lanes = LANES - 1};
	events.members(events.ctx, &m);
	heard("leave0 leave1 leave2 leave3");
	close_lanes();
	events.members(events.ctx, &m);
	heard("leave0 leave1 leave2 leave3 reopen");
	layout.lanes = LANES - 1;
	events.layout(events.ctx, &layout);
	heard("rebuilt free0 free1 free2 free3 doorman");
	TAP_INT(r->crew.count, LANES - 1);
	m.quota = LANES - 1;
	events.members(events.ctx, &m);
	heard("take0 take1 take2");
}

static void
test_table_changed(void)
{
	begin();
	fits = false;
	events.layout(events.ctx, &layout);
	heard("upkeep-closed leave0 leave1 leave2 leave3");
	close_lanes();
	turn();
	TAP_INT(ends, 1);
	CU_ASSERT_TRUE(has_end);
	TAP_INT(end.kind, ERR_RETRY);
	TAP_HAS(end.message, "changed while the relay ran");
}

static void
test_cannot_begin(void)
{
	statements_fail = true;
	events.layout(events.ctx, &layout);
	heard("upkeep-closed");
	turn();
	TAP_INT(end.kind, ERR_FATAL);
	relay_free(r);
	setup();
	pipe_fails_at = 2;
	events.layout(events.ctx, &layout);
	heard("upkeep-closed leave0 leave1");
	CU_ASSERT_FALSE(doorman.open && barrier.open);
	turn();
	TAP_INT(ends, 1);
	relay_free(r);
	setup();
	error_set(&err, ERR_CONFIG, "no such table");
	events.misfit(events.ctx, &err);
	turn();
	TAP_STR(end.message, "no such table");
}

/* Before anything ever worked a person must act; later it may be a change under way. */
static void
test_failures(void)
{
	begin();
	r->shared.proven = true;
	error_set(&err, ERR_CONFIG, "permission denied");
	r->shared.failed(r->shared.ctx, &err);
	heard("");
	r->shared.proven = false;
	r->shared.failed(r->shared.ctx, &err);
	heard("upkeep-closed leave0 leave1 leave2 leave3");
	error_set(&err, ERR_CONFIG, "another");
	r->shared.failed(r->shared.ctx, &err);
	heard("");
	close_lanes();
	turn();
	TAP_INT(ends, 1);
	TAP_STR(end.message, "permission denied");
}

static void
test_stops(void)
{
	begin();
	doorman.open = barrier.open = true;
	relay_stop(r);
	CU_ASSERT_TRUE(r->shared.stopping);
	/* the others need not wait for the last lane to take the first */
	heard("upkeep-closed leave0 leave1 leave2 leave3");
	relay_stop(r);
	heard("");
	turn();
	TAP_INT(ends, 0);
	CU_ASSERT_TRUE(barrier.open); /* a batch may still wait for its WAL */
	close_lanes();
	r->shared.changed(r->shared.ctx);
	turn();
	heard("");
	TAP_INT(ends, 1);
	CU_ASSERT_FALSE(has_end || doorman.open || barrier.open);
	CU_ASSERT(r->timer.deadline_us == CLOCK_NEVER);
	r->timer.fire(&r->timer, 0, now_us);
	TAP_INT(ends, 1);
}

static void
test_stop_purges(void)
{
	int64_t stopped_us;

	begin();
	outlet.in_flight = 12;
	stopped_us = now_us;
	relay_stop(r);
	trace[0] = '\0';
	turn();
	heard("");
	turn();
	TAP_INT(now_us, stopped_us + STOP_MS * 1000);
	heard("stop-purge purge");
	TAP_INT(repeatable, 12);
	/* its reports come, the lanes may settle what was acknowledged; not for ever */
	r->shared.changed(r->shared.ctx);
	turn();
	heard("");
	turn();
	TAP_INT(now_us, stopped_us + STOP_MS * 1000 + STOP_GRACE_US);
	heard("stop-unclean");
	TAP_INT(ends, 1);
	CU_ASSERT_FALSE(has_end);
}

static void
test_stop_with_nothing_to_purge(void)
{
	begin();
	relay_stop(r);
	trace[0] = '\0';
	turn();
	turn();
	heard("");
	turn();
	heard("stop-unclean");
	TAP_INT(repeatable, 0);
}

static void
test_stop_before_it_began(void)
{
	relay_stop(r);
	turn();
	TAP_INT(ends, 1);
	CU_ASSERT_FALSE(has_end);
}

static void
test_barrier(void)
{
	begin();
	r->shared.need_flush(r->shared.ctx, 55);
	TAP_INT(barrier.needed, 55);
	barrier.events.flushed(barrier.events.ctx, 60, 700);
	TAP_INT(r->shared.safe_lsn, 60);
	TAP_INT(r->shared.safe_xid, 700);
	heard("link-up flushed");
	error_set(&err, ERR_RETRY, "gone");
	barrier.events.lost(barrier.events.ctx, &err);
	TAP_INT(r->shared.safe_lsn, 0); /* of another server, perhaps, which has less */
	TAP_INT(r->shared.safe_xid, 0);
	heard("link-down barrier unflushed");
}

static void
test_outlet(void)
{
	struct batch b = {.owner = &pipes[2]};
	struct slot slot = {.batch = &b};
	struct report rep = {.class = SEND_OK};

	begin();
	outlet.events.report(outlet.events.ctx, &slot, &rep);
	heard("report2");
	outlet.events.rebuilt(outlet.events.ctx);
	heard("rebuilt");
	outlet.events.serves(outlet.events.ctx, false, "no broker");
	TAP_INT(healths[HEALTH_KAFKA], HEALTH_OUTAGE);
	heard("");
	outlet.events.serves(outlet.events.ctx, true, NULL);
	TAP_INT(healths[HEALTH_KAFKA], HEALTH_OK);
	heard("retry");
	/* told from the timer: it is a pipe that says so */
	r->holds.lifted(r->holds.ctx);
	heard("");
	turn();
	heard("lifted");
	outlet.events.drained(outlet.events.ctx);
	heard("");
	turn();
	heard("turn");
	r->shared.changed(r->shared.ctx);
	turn();
	heard("");
}

/* Nothing may leave any more before anything else is done, and whatever the sessions still bring counts no more. */
static void
test_wakes(void)
{
	begin();
	outlet.in_flight = 9;
	TAP_INT(gap, SESSION_MS * 1000 * 2 / 3);
	absent(r, 20000000);
	heard("restart relay-hung drop0 drop1 drop2 drop3");
	TAP_INT(repeatable, 9);
}

/* Reports must not reach pipes that are gone. */
static void
test_freed_in_order(void)
{
	begin();
	relay_free(r);
	heard("abandon rebuilt free0 free1 free2 free3");
	setup();
}

static void
test_cannot_be_made(void)
{
	struct relay *other = NULL;
	int all = steps;

	CU_ASSERT(all >= 8);
	for (int n = 1; n <= all; n++) {
		int made_before = made, freed_before = freed;

		steps = 0;
		fails_at = n;
		TAP_INT(relay_new(&opt, &other, &err), -1);
		CU_ASSERT_PTR_NULL(other);
		TAP_INT(made - made_before, freed - freed_before);
	}
	calloc_fails = 1;
	TAP_INT(relay_new(&opt, &other, &err), -1);
	TAP_INT(err.kind, ERR_FATAL);
	calloc_fails = fails_at = 0;
}

int
main(void)
{
	tap_suite_fixture("relay", setup, teardown);
	tap_test("it begins when the table is accepted", test_begins);
	tap_test("events that wait should make progress", test_progress);
	tap_test("a reload of limits", test_reload_limits);
	tap_test("a reload of the route", test_reload_route);
	tap_test("a route that cannot change", test_reload_route_kept);
	tap_test("a route that needs a restart", test_reload_needs_restart);
	tap_test("lanes are shared", test_shares);
	tap_test("after an outage others' lanes are left to them", test_returns);
	tap_test("a change among the parked events is told", test_parked);
	tap_test("what is paused", test_paused);
	tap_test("the number of lanes changes", test_lanes_change);
	tap_test("a table that changed ends it", test_table_changed);
	tap_test("it cannot begin", test_cannot_begin);
	tap_test("failures count until something worked", test_failures);
	tap_test("a stop waits for the lanes, the others do not", test_stops);
	tap_test("a stop purges in the end, and gives up", test_stop_purges);
	tap_test("a stop with nothing to purge gives up too", test_stop_with_nothing_to_purge);
	tap_test("a stop before it began", test_stop_before_it_began);
	tap_test("the barrier's word goes to the lanes", test_barrier);
	tap_test("the outlet's word goes to the lanes", test_outlet);
	tap_test("it wakes after a hang", test_wakes);
	tap_test("it is freed in order", test_freed_in_order);
	tap_test("making one fails", test_cannot_be_made);
	return tap_run();
}
