/* test_lane_rig.h - one lane on a database of its own, driven a turn at a time. For the tests of lanes. */
#include "admin/inspect.h"
#include "admin/install.h"
#include "base/clock.h"
#include "serve/loop.h"
#include "source/lane.h"
#include "support/db.h"
#include "support/sandbox.h"
#include "support/tap.h"

#define PATIENCE_US 20000000

struct rig {
	struct sandbox *sb;
	struct layout_request request;
	struct session_options session;
	struct statements_options options;
	struct layout layout;
	struct statements statements;
	struct lane_shared shared;
	struct loop *loop;
	struct lane *lane;
	int owned, refused, turned, lost;
	struct error failure;
	struct lane_result last; /* its pointers are good for claimed only */
	struct batch *batch;
	int parked_keys;
};

static void
on_owned(void *ctx, struct lane *l)
{
	struct rig *rig = ctx;

	(void)l;
	rig->owned++;
}

static void
on_refused(void *ctx, struct lane *l)
{
	struct rig *rig = ctx;

	(void)l;
	rig->refused++;
}

static void
on_turned(void *ctx, struct lane *l, const struct lane_result *r)
{
	struct rig *rig = ctx;

	(void)l;
	rig->last = *r;
	rig->turned++;
	rig->batch = r->claimed;
	if (r->parked_read)
		rig->parked_keys = PQntuples(r->parked);
}

static void
on_lost(void *ctx, struct lane *l, const struct error *err)
{
	struct rig *rig = ctx;

	(void)l;
	rig->failure = *err;
	rig->lost++;
}

static struct lane *
add_lane(struct rig *rig)
{
	struct lane_events events = {.owned = on_owned, .refused = on_refused, .turned = on_turned, .lost = on_lost, .ctx = rig};
	struct lane *l = lane_new(&rig->shared, 0, &events);
	struct error err;

	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	SANDBOX_MUST(loop_add(rig->loop, lane_watch(l), &err), &err);
	return l;
}

static void
wait_for(struct rig *rig, const int *counter, int from)
{
	int64_t until_us = clock_mono_us() + PATIENCE_US;
	struct error err;

	while (*counter == from && clock_mono_us() < until_us)
		SANDBOX_MUST(loop_once(rig->loop, 20000, &err), &err);
	if (*counter == from)
		tap_diag("nothing came; lost %d: %s", rig->lost, rig->failure.message);
	CU_ASSERT_FATAL(*counter > from);
}

static void
open_lane(struct rig *rig)
{
	int turned = rig->turned;

	lane_open(rig->lane);
	wait_for(rig, &rig->turned, turned);
	TAP_INT_FATAL(lane_state(rig->lane), LANE_IDLE);
}

static void
look(struct rig *rig)
{
	struct layout_request own = rig->request;
	PGconn *db = sandbox_open(rig->sb->role);
	struct error err;

	own.role = NULL;
	statements_done(&rig->statements);
	layout_done(&rig->layout);
	SANDBOX_MUST(inspect(db, &own, &rig->layout, &err), &err);
	SANDBOX_MUST(statements_make(&rig->layout, &rig->options, &rig->statements, &err), &err);
	db_close(&db);
}

static void
begin(struct rig *rig, struct sandbox *sb, bool settle_delete, bool receipts)
{
	struct install_request install = {
		.layout = {.table = "outbox_events",
	                   .columns = {"id", "event_id", "aggregate_type", "aggregate_id", "event_type", "payload", "headers", "topic",
	                               "created_at", "sent_at"},
	                   .role = sb->name,
	                   .settle_delete = settle_delete,
	                   .receipts = receipts},
		.lanes = 1,
	};
	struct install_plan plan = INSTALL_PLAN_INIT;
	struct error err;

	if (receipts && !settle_delete) {
		install.layout.columns[COL_SENT_PARTITION] = "sent_partition";
		install.layout.columns[COL_SENT_OFFSET] = "sent_offset";
	}
	SANDBOX_MUST(install_run(sb->db, &install, &plan, &err), &err);
	install_plan_done(&plan);
	*rig = (struct rig){
		.sb = sb,
		.request = install.layout,
		.session = {.conninfo = sb->role, .connect_timeout_ms = 5000, .statement_timeout_ms = 10000, .session_timeout_ms = 60000},
		.options = {.settle_delete = settle_delete, .receipts = receipts, .block_parked_keys = true, .batch_bytes = 1 << 20, .batch_rows = 100},
		.layout = LAYOUT_INIT,
	};
	look(rig);
	rig->shared = (struct lane_shared){&rig->session, &rig->layout, &rig->statements, &rig->options};
	SANDBOX_MUST(loop_new(&rig->loop, &err), &err);
	rig->lane = add_lane(rig);
}

static void
end(struct rig *rig)
{
	lane_free(rig->lane);
	batch_free(rig->batch);
	loop_free(rig->loop);
	statements_done(&rig->statements);
	layout_done(&rig->layout);
}

#define RIG(rig, sb, settle_delete) LANE_RIG(rig, sb, settle_delete, false)
#define LANE_RIG(rig, sb, settle_delete, receipts)             \
	SANDBOX(sb);                                           \
	struct rig rig __attribute__((cleanup(end))) = {0};    \
	begin(&rig, &sb, settle_delete, receipts)

static void
start_turn(struct rig *rig, struct batch *settle, int64_t rows, const char *held)
{
	struct lane_turn turn = {.settle = settle, .claim_rows = rows, .held_keys = held, .read_parked = true};

	lane_turn(rig->lane, &turn, clock_mono_us());
}

static void
turn(struct rig *rig, struct batch *settle, int64_t rows, const char *held)
{
	int turned = rig->turned;

	start_turn(rig, settle, rows, held);
	wait_for(rig, &rig->turned, turned);
}

static struct batch *
take(struct rig *rig)
{
	struct batch *b = rig->batch;

	rig->batch = NULL;
	return b;
}

static void
ack(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->slots[i].state == EV_CLAIMED) {
			batch_move(&b->slots[i], EV_SENT);
			batch_move(&b->slots[i], EV_ACKED);
		}
}

__attribute__((unused)) static void
insert(PGconn *db, int count, const char *key)
{
	sandbox_exec(db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	                 " SELECT 't', '%s', 'e', '{\"a\": 1}' FROM generate_series(1, %d)", key, count);
}

/* Settles, claims, and acknowledges what came: to be settled by the next. NULL when nothing did. */
__attribute__((unused)) static struct batch *
relay_turn(struct rig *rig, struct batch *settle)
{
	struct batch *b;

	turn(rig, settle, 100, NULL);
	batch_free(settle);
	b = take(rig);
	if (b != NULL)
		ack(b);
	return b;
}
