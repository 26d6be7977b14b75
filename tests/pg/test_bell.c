/* test_bell.c - the doorbell on a real PostgreSQL: an answer that is kept is never older than what others have committed. */
#include "test_lane_rig.h"

#include <stdlib.h>
#include <string.h>

#include "source/bell.h"

struct ring {
	struct rig *rig;
	struct bell *bell;
	int ready, answered, lost;
	int count;
};

static void
on_ready(void *ctx)
{
	((struct ring *)ctx)->ready++;
}

static void
on_answered(void *ctx, const int *lanes, int count, int64_t elapsed_us)
{
	struct ring *r = ctx;

	(void)lanes;
	(void)elapsed_us;
	r->answered++;
	r->count = count;
}

static void
on_notified(void *ctx)
{
	(void)ctx;
}

static void
on_bell_lost(void *ctx, const struct error *err)
{
	struct ring *r = ctx;

	tap_diag("%s", err->message);
	r->lost++;
}

static void
begin_ring(struct ring *r, struct rig *rig)
{
	struct bell_events events = {.ready = on_ready, .answered = on_answered, .notified = on_notified, .lost = on_bell_lost, .ctx = r};
	struct error err;

	r->rig = rig;
	r->bell = bell_new(&rig->shared, false, &events);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r->bell);
	SANDBOX_MUST(loop_add(rig->loop, bell_watch(r->bell), &err), &err);
	bell_open(r->bell);
	wait_for(rig, &r->ready, 0);
}

static void
end_ring(struct ring *r)
{
	if (r->bell == NULL)
		return;
	loop_remove(r->rig->loop, bell_watch(r->bell));
	bell_free(r->bell);
}

/* As in quiet times. */
static int
rings(struct ring *r)
{
	struct bell_question q = {.lanes = {0}, .count = 1};
	int answered = r->answered;

	q.rungs[0] = lane_newest_rung(r->rig->lane);
	bell_ask(r->bell, &q, clock_mono_us());
	wait_for(r->rig, &r->answered, answered);
	TAP_INT(r->lost, 0);
	return r->count;
}

static void
send_all(struct rig *rig)
{
	struct batch *settle = NULL;

	do
		settle = relay_turn(rig, settle);
	while (settle != NULL);
}

/* Until the bell asks for the snapshot alone, and rings nobody. Others in the cluster may write meanwhile, and then again. */
static void
be_still(struct ring *r)
{
	char *query = NULL;
	int i = 0;

	for (; i < 2000; i++) {
		if (rings(r) > 0) {
			send_all(r->rig);
			continue;
		}
		free(query);
		query = sandbox_text(r->rig->sb->db, "SELECT query FROM pg_stat_activity WHERE application_name = 'pgoutboxd bell' AND usename = '%s'",
		                     r->rig->sb->name);
		if (query != NULL && strcmp(query, "SELECT pg_current_snapshot()") == 0)
			break;
	}
	CU_ASSERT(i < 2000);
	free(query);
}

#define RING(rig, sb, r)                                             \
	RIG(rig, sb, false);                                         \
	struct ring r __attribute__((cleanup(end_ring))) = {0};      \
	begin_ring(&r, &rig);                                        \
	open_lane(&rig)

static void
test_commit(void)
{
	RING(rig, sb, r);

	for (int i = 0; i < 3; i++) {
		be_still(&r);
		insert(sb.db, 1, "k");
		TAP_INT(rings(&r), 1);
		TAP_INT(rings(&r), 1); /* as long as nobody claims */
	}
}

/* Rows that were there all the time, unseen: of a transaction, of its savepoint, and below others that were sent. */
static void
test_late_commit(void)
{
	RING(rig, sb, r);
	PGconn *writer = sandbox_open(sb.super);

	sandbox_exec(writer, "BEGIN");
	insert(writer, 1, "late");
	be_still(&r);
	sandbox_exec(writer, "COMMIT");
	TAP_INT(rings(&r), 1);

	be_still(&r);
	sandbox_exec(writer, "BEGIN; SAVEPOINT s");
	insert(writer, 1, "late");
	sandbox_exec(writer, "RELEASE s");
	be_still(&r);
	insert(sb.db, 1, "k");
	be_still(&r);
	sandbox_exec(writer, "COMMIT");
	TAP_INT(rings(&r), 1);
	db_close(&writer);
}

/* Its row is never seen, and the rung that rested on it holds no more. */
static void
test_rollback(void)
{
	RING(rig, sb, r);
	PGconn *writer = sandbox_open(sb.super);

	sandbox_exec(writer, "BEGIN");
	insert(writer, 1, "never");
	insert(sb.db, 1, "k");
	be_still(&r);
	sandbox_exec(writer, "ROLLBACK");
	be_still(&r);
	insert(sb.db, 1, "k");
	TAP_INT(rings(&r), 1);
	db_close(&writer);
}

int
main(void)
{
	tap_suite("bell on PostgreSQL");
	tap_test("what is committed is heard at once", test_commit);
	tap_test("what is committed late, too", test_late_commit);
	tap_test("what is rolled back", test_rollback);
	return tap_run();
}
