/* test_upkeep.c - what the keeper tells becomes health, metrics, and word to the relay; its session is opened again. */
#include "relay/upkeep.c"

#include <string.h>

#include "support/tap.h"

struct keeper {
	struct watch watch, timer;
	struct keeper_events events;
	struct keeper_options opt;
	bool open;
	int opens;
};

static struct keeper keeper;
static struct relay_options opt;
static struct config cfg;
static struct plan plan;
static struct upkeep u;
static struct error err;
static int64_t now_us, gauges[METRICS_COUNT], wall_us;
static uint64_t counters[METRICS_COUNT];
static enum health_state healths[HEALTH_CHECKS];
static int watches, add_fails_at, keeper_fails, freed, layouts, misfits, looks;
static char logged[256];

int64_t
clock_mono_us(void)
{
	return now_us;
}

int64_t
clock_wall_us(void)
{
	return wall_us;
}

void
log_write(const struct log *log, int priority, const char *id, const char *fmt, ...)
{
	(void)log, (void)priority, (void)fmt;
	snprintf(logged + strlen(logged), sizeof(logged) - strlen(logged), "%s ", id);
}

void
log_error(const struct log *log, int priority, const char *id, const struct error *e)
{
	log_write(log, priority, id, "%s", e->message);
}

uint64_t
metrics_get(const struct metrics_scope *s, enum metric id, unsigned label)
{
	(void)s;
	if (id == METRIC_EVENTS_SENT)
		return 55;
	TAP_INT(label, id == METRIC_HIGHEST_ID ? 0 : METRIC_SIDE_POSTGRESQL);
	return id == METRIC_OUTAGES ? counters[id] : (uint64_t)gauges[id];
}

void
metrics_set(struct metrics_scope *s, enum metric id, int64_t value)
{
	(void)s;
	gauges[id] = value;
}

void
metrics_unset(struct metrics_scope *s, enum metric id)
{
	(void)s;
	gauges[id] = -99;
}

void
metrics_set_at(struct metrics_scope *s, enum metric id, unsigned label, int64_t value)
{
	TAP_INT(label, METRIC_SIDE_POSTGRESQL);
	metrics_set(s, id, value);
}

void
metrics_add(struct metrics_scope *s, enum metric id, uint64_t n)
{
	(void)s;
	counters[id] += n;
}

void
metrics_add_at(struct metrics_scope *s, enum metric id, unsigned label, uint64_t n)
{
	TAP_INT(label, METRIC_SIDE_POSTGRESQL);
	metrics_add(s, id, n);
}

void
health_set(struct health *h, size_t outbox, enum health_check check, enum health_state state, const char *reason,
           int64_t at_us)
{
	(void)h, (void)at_us;
	TAP_INT(outbox, 2);
	CU_ASSERT_EQUAL(reason == NULL, state == HEALTH_OK);
	healths[check] = state;
}

int
loop_add(struct loop *l, struct watch *w, struct error *e)
{
	(void)l, (void)w;
	if (watches == add_fails_at)
		return error_set(e, ERR_FATAL, "out of memory");
	watches++;
	return 0;
}

void
loop_remove(struct loop *l, struct watch *w)
{
	(void)l, (void)w;
}

struct keeper *
keeper_new(const struct keeper_options *o, const struct keeper_events *events)
{
	keeper = (struct keeper){.events = *events, .opt = *o};
	return keeper_fails ? NULL : &keeper;
}

void
keeper_free(struct keeper *k)
{
	freed += k != NULL;
}

struct watch *
keeper_watch(struct keeper *k)
{
	return &k->watch;
}

struct watch *
keeper_timer(struct keeper *k)
{
	return &k->timer;
}

void
keeper_open(struct keeper *k)
{
	CU_ASSERT_FALSE(k->open);
	k->open = true;
	k->opens++;
}

void
keeper_set_retention(struct keeper *k, int64_t retention_ms)
{
	k->opt.retention_ms = retention_ms;
}

void
keeper_close(struct keeper *k)
{
	k->open = false;
}

static void
on_layout_(void *ctx, const struct layout *lo)
{
	TAP_STR(ctx, "relay");
	CU_ASSERT_PTR_NOT_NULL(lo);
	layouts++;
}

static void
on_misfit_(void *ctx, const struct error *e)
{
	TAP_STR(ctx, "relay");
	TAP_STR(e->message, "no such column");
	misfits++;
}

static void
on_members_(void *ctx, const struct keeper_members *m)
{
	TAP_STR(ctx, "relay");
	TAP_INT(m->relays, 2);
	looks++;
}

static void
on_hints_(void *ctx, int64_t ret_from_ids[LANES_MAX])
{
	TAP_STR(ctx, "relay");
	ret_from_ids[0] = 17;
}

static void
on_serves_(void *ctx, const struct error *e)
{
	TAP_STR(ctx, "relay");
	snprintf(logged + strlen(logged), sizeof(logged) - strlen(logged), e != NULL ? "away " : "serves ");
}

static int
make(void)
{
	static char ctx[] = "relay";
	struct upkeep_events events = {
		.layout = on_layout_, .misfit = on_misfit_, .members = on_members_, .serves = on_serves_, .hints = on_hints_, .ctx = ctx};

	return upkeep_init(&u, &opt, &plan, &events, &err);
}

static void
setup(void)
{
	opt = (struct relay_options){.cfg = &cfg, .outbox = 2};
	cfg = (struct config){.outbox = {.retention_ms = 5000}};
	plan = (struct plan){.request = {.prune = true}};
	now_us = 7000000;
	wall_us = 1700000000000000;
	memset(gauges, 0, sizeof(gauges));
	memset(counters, 0, sizeof(counters));
	watches = keeper_fails = freed = layouts = misfits = looks = 0;
	add_fails_at = -1;
	logged[0] = '\0';
	TAP_INT_FATAL(make(), 0);
	upkeep_open(&u);
}

static void
teardown(void)
{
	upkeep_done(&u);
	TAP_INT(freed, 1);
}

static void
accept(void)
{
	struct layout lo = {.lanes = 4};

	keeper.events.layout(keeper.events.ctx, &lo);
}

static void
lose(void)
{
	error_set(&err, ERR_RETRY, "gone");
	keeper.open = false;
	keeper.events.lost(keeper.events.ctx, &err);
}

static void
reopen_now(void)
{
	CU_ASSERT_FATAL(u.link.timer.deadline_us != CLOCK_NEVER);
	CU_ASSERT(u.link.timer.deadline_us > now_us);
	now_us = u.link.timer.deadline_us;
	u.link.timer.fire(&u.link.timer, 0, now_us);
	CU_ASSERT_TRUE(keeper.open);
}

static void
said(const char *wanted)
{
	TAP_STR(logged, wanted);
	logged[0] = '\0';
}

static void
test_up(void)
{
	accept();
	TAP_INT(layouts, 1);
	TAP_INT(gauges[METRIC_UP], 1);
	TAP_INT(gauges[METRIC_OUTAGE_SINCE], 0);
	TAP_INT(healths[HEALTH_POSTGRESQL], HEALTH_OK);
	TAP_INT(healths[HEALTH_SCHEMA], HEALTH_OK);
	said("postgresql-up ");
	accept();
	said("");
}

/* Told once, counted once, since the first moment; each attempt that fails goes on with it. */
static void
test_outage(void)
{
	accept();
	said("postgresql-up ");
	lose();
	TAP_INT(gauges[METRIC_UP], 0);
	TAP_INT(gauges[METRIC_OUTAGE_SINCE], 1700000000000000);
	TAP_INT(counters[METRIC_OUTAGES], 1);
	TAP_INT(healths[HEALTH_POSTGRESQL], HEALTH_OUTAGE);
	said("away ");
	for (int i = 0; i < 5; i++) {
		wall_us += 1000000;
		reopen_now();
		lose();
	}
	TAP_INT(gauges[METRIC_OUTAGE_SINCE], 1700000000000000);
	TAP_INT(counters[METRIC_OUTAGES], 1);
	said("");
	reopen_now();
	accept();
	TAP_INT(gauges[METRIC_OUTAGE_SINCE], 0);
	said("serves ");
	lose();
	TAP_INT(counters[METRIC_OUTAGES], 2);
}

static void
test_away_from_the_start(void)
{
	lose();
	TAP_INT(counters[METRIC_OUTAGES], 1);
	said("away ");
	reopen_now();
	lose();
	TAP_INT(counters[METRIC_OUTAGES], 1);
}

/* A table that never fitted ends the relay; one that fitted once is waited for. */
static void
test_misfit(void)
{
	error_set(&err, ERR_CONFIG, "no such column");
	keeper.open = false;
	keeper.events.misfit(keeper.events.ctx, &err);
	TAP_INT(misfits, 1);
	TAP_INT(healths[HEALTH_SCHEMA], HEALTH_FAILED);
	CU_ASSERT(u.link.timer.deadline_us == CLOCK_NEVER);
	accept();
	keeper.events.misfit(keeper.events.ctx, &err);
	TAP_INT(misfits, 1);
	TAP_INT(healths[HEALTH_SCHEMA], HEALTH_FAILED);
	said("postgresql-up outbox-misfit ");
	reopen_now();
	accept();
	TAP_INT(healths[HEALTH_SCHEMA], HEALTH_OK);
}

static void
test_put_off(void)
{
	accept();
	said("postgresql-up ");
	error_set(&err, ERR_RETRY, "canceling statement due to statement timeout");
	keeper.events.put_off(keeper.events.ctx, &err);
	said("upkeep-put-off ");
	TAP_INT(healths[HEALTH_POSTGRESQL], HEALTH_OK);
}

static void
test_figures(void)
{
	struct keeper_members m = {.relays = 2, .quota = 3, .parked = 9};
	struct stats st = {.pending = 12, .pending_exact = true, .oldest_unsent_us = 44, .table_bytes = 8192,
	                   .dead_rows = 5, .live_rows = 6, .last_id = 100};
	int64_t hints[LANES_MAX];

	keeper.events.members(keeper.events.ctx, &m);
	TAP_INT(looks, 1);
	TAP_INT(gauges[METRIC_LANES_WANTED], 3);
	TAP_INT(gauges[METRIC_PARKED_EVENTS], 9);
	keeper.events.stats(keeper.events.ctx, &st);
	TAP_INT(gauges[METRIC_PENDING_EVENTS], 12);
	TAP_INT(u.pending, 12);
	TAP_INT(u.pending_after, 55);
	TAP_INT(gauges[METRIC_PENDING_EXACT], 1);
	TAP_INT(gauges[METRIC_OLDEST_UNSENT], 44);
	TAP_INT(gauges[METRIC_TABLE_BYTES], 8192);
	TAP_INT(gauges[METRIC_TABLE_DEAD_ROWS], 5);
	TAP_INT(gauges[METRIC_TABLE_LIVE_ROWS], 6);
	TAP_INT(gauges[METRIC_HIGHEST_ID], 100);
	st.last_id = 0; /* it was emptied */
	st.oldest_unsent_us = -1; /* the table does not tell */
	keeper.events.stats(keeper.events.ctx, &st);
	TAP_INT(gauges[METRIC_OLDEST_UNSENT], -99);
	TAP_INT(gauges[METRIC_HIGHEST_ID], 100);
	keeper.events.pruned(keeper.events.ctx, 70);
	keeper.events.pruned(keeper.events.ctx, 7);
	TAP_INT(counters[METRIC_EVENTS_PRUNED], 77);
	wall_us = 12345;
	keeper.events.pruned_up(keeper.events.ctx);
	TAP_INT(gauges[METRIC_PRUNED_UP], 12345);
	keeper.events.hints(keeper.events.ctx, hints);
	TAP_INT(hints[0], 17);
}

static void
test_options(void)
{
	uint32_t number = keeper.opt.relay_number;

	TAP_INT(keeper.opt.retention_ms, 5000);
	CU_ASSERT(number < SHARE_RELAY_FLAG);
	upkeep_done(&u);
	cfg.outbox.retention_ms = CONFIG_NEVER;
	TAP_INT(make(), 0);
	TAP_INT(keeper.opt.retention_ms, -1);
	cfg.outbox.retention_ms = 7000;
	upkeep_reload(&u);
	TAP_INT(keeper.opt.retention_ms, 7000);
	cfg.outbox.settle = SETTLE_DELETE;
	upkeep_reload(&u);
	TAP_INT(keeper.opt.retention_ms, -1);
	CU_ASSERT(keeper.opt.relay_number != number); /* once in a billion runs it is */
	freed = 0;
}

static void
test_closed(void)
{
	accept();
	lose();
	upkeep_close(&u);
	CU_ASSERT(u.link.timer.deadline_us == CLOCK_NEVER);
	CU_ASSERT_FALSE(keeper.open);
}

static void
test_cannot_be_made(void)
{
	upkeep_done(&u);
	for (int n = 0; n < 3; n++) {
		watches = freed = 0;
		add_fails_at = n;
		TAP_INT(make(), -1);
		upkeep_done(&u);
		TAP_INT(freed, 1);
	}
	keeper_fails = 1;
	freed = 0;
	TAP_INT(make(), -1);
	TAP_INT(err.kind, ERR_FATAL);
	upkeep_done(&u);
	TAP_INT(freed, 0);
	keeper_fails = 0;
	add_fails_at = -1;
	TAP_INT(make(), 0);
}

int
main(void)
{
	tap_suite_fixture("upkeep", setup, teardown);
	tap_test("PostgreSQL serves", test_up);
	tap_test("an outage is told and counted once", test_outage);
	tap_test("an outage from the start", test_away_from_the_start);
	tap_test("a table that does not fit", test_misfit);
	tap_test("a duty is put off", test_put_off);
	tap_test("figures", test_figures);
	tap_test("options of the keeper", test_options);
	tap_test("closed for good", test_closed);
	tap_test("making one fails", test_cannot_be_made);
	return tap_run();
}
