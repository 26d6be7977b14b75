/* test_keeper.c - the housekeeping session over a script: which duty comes when, and what is made of its answer. */
#include "source/keeper.c"

#include "session_stand_in.h"

static struct keeper *k;
static int layouts, misfits, losts, put_offs, members, stats, pruned_calls, pruned_ups;
static int64_t pruned_rows;
static struct keeper_members last_members;
static struct stats last_stats;
static struct error last_error;
static int layout_fails; /* an error's kind */
static bool with_sent_at;
static struct layout_request request;
static bool close_in_layout;

void
layout_ask(struct session *s, const struct layout_request *rq)
{
	(void)s, (void)rq;
	buf_add_str(&sent, "layout ");
}

int
layout_read(const struct layout_request *rq, PGresult *const results[], int count, struct layout *ret_layout, struct error *err)
{
	(void)rq, (void)results, (void)count;
	if (layout_fails != 0)
		return error_set(err, (enum err_kind)layout_fails, "no table");
	*ret_layout = (struct layout){.relation = (char *)(uintptr_t) "t", .relation_oid = 4000000000U, .lanes = 2, .tids_unique = true};
	ret_layout->columns[COL_ID].quoted = (char *)(uintptr_t) "\"id\"";
	ret_layout->columns[COL_AGGREGATE_ID].quoted = (char *)(uintptr_t) "\"k\"";
	ret_layout->columns[COL_SENT_AT].quoted = with_sent_at ? (char *)(uintptr_t) "\"s\"" : NULL;
	return 0;
}

void
layout_done(struct layout *lo)
{
	*lo = LAYOUT_INIT;
}

char *
layout_quote(const char *name)
{
	(void)name;
	return NULL;
}

static void
on_test_layout(void *ctx, const struct layout *lo)
{
	(void)ctx;
	TAP_INT(lo->lanes, 2);
	layouts++;
	if (close_in_layout)
		keeper_close(k);
}

static void
on_test_misfit(void *ctx, const struct error *err)
{
	(void)ctx, (void)err;
	CU_ASSERT_FALSE(session.open);
	misfits++;
}

static void
on_test_members(void *ctx, const struct keeper_members *m)
{
	(void)ctx;
	last_members = *m;
	members++;
}

static size_t pauses_seen;

static void
on_test_pauses(void *ctx, struct pauses *p)
{
	(void)ctx;
	pauses_seen = p->count;
	if (p->count == 2) {
		CU_ASSERT_TRUE(pauses_stop(p, 1) && !pauses_stop(p, 0));
		CU_ASSERT_TRUE(pauses_hold(p, "t") && !pauses_hold(p, "u"));
		CU_ASSERT_TRUE(pauses_have(p, 6) && !pauses_have(p, 7));
	}
}

static void
on_test_stats(void *ctx, const struct stats *new_stats)
{
	(void)ctx;
	last_stats = *new_stats;
	stats++;
}

static void
on_test_pruned(void *ctx, int64_t rows)
{
	(void)ctx;
	pruned_rows += rows;
	pruned_calls++;
}

static void
on_test_pruned_up(void *ctx)
{
	(void)ctx;
	pruned_ups++;
}

static void
on_test_lost(void *ctx, const struct error *err)
{
	(void)ctx;
	last_error = *err;
	CU_ASSERT_FALSE(session.open);
	losts++;
}

static void
on_test_put_off(void *ctx, const struct error *err)
{
	(void)ctx;
	CU_ASSERT_TRUE(session.open);
	last_error = *err;
	put_offs++;
}

static void
on_test_hints(void *ctx, int64_t ret_from_ids[LANES_MAX])
{
	(void)ctx;
	ret_from_ids[0] = 10;
	ret_from_ids[1] = LADDER_BOTTOM;
}

static void
setup(void)
{
	struct keeper_options opt = {.request = &request, .retention_ms = 60000, .relay_number = 5};
	struct keeper_events events = {.layout = on_test_layout, .misfit = on_test_misfit, .pauses = on_test_pauses, .members = on_test_members,
	                               .stats = on_test_stats, .pruned = on_test_pruned, .pruned_up = on_test_pruned_up, .lost = on_test_lost,
	                               .put_off = on_test_put_off,
	                               .hints = on_test_hints};

	layouts = misfits = losts = put_offs = members = stats = pruned_calls = pruned_ups = layout_fails = 0;
	pruned_rows = 0;
	with_sent_at = true;
	request = (struct layout_request){.table = "t"};
	close_in_layout = false;
	now_us = 1000000;
	k = keeper_new(&opt, &events);
	CU_ASSERT_PTR_NOT_NULL_FATAL(k);
}

static void
teardown(void)
{
	keeper_free(k);
}

static void
sleep_and_fire(void)
{
	CU_ASSERT_FATAL(k->timer.deadline_us != CLOCK_NEVER);
	if (k->timer.deadline_us > now_us)
		now_us = k->timer.deadline_us;
	k->timer.fire(&k->timer, 0, now_us);
	if (!session.busy)
		k->timer.fire(&k->timer, 0, now_us);
}

static void
answer_layout(const char *read_only)
{
	ANSWER(NO_ROWS(), ROWS(1, read_only));
}

static void
answer_quietly(void)
{
	ANSWER(ROWS(1, "1073741829"), ROWS(2, "0", "0"), ROWS(1, "f"), ROWS(6, "2", "~", "~", "~", "~", "~"));
}

static void
announce_it(void)
{
	keeper_open(k);
	connect_it();
	TAP_STR(buf_str(&sent), "layout " READ_ONLY " sync");
	answer_layout("f");
	TAP_INT(layouts, 1);
	TAP_HAS(buf_str(&sent), "SELECT pg_try_advisory_lock(-294967296, 1073741829) P:members P:parked P:orders P:stats");
	ANSWER(NO_ROWS());
}

static void
answer_members(void)
{
	sleep_and_fire();
	TAP_STR(buf_str(&sent), "members parked " READ_ONLY " orders sync");
	ANSWER(ROWS(1, "1073741829", "1073741824", "1", "536870912", "536870913", "268435456"), ROWS(2, "3", "-7"), ROWS(1, "f"),
	       ROWS(6, "7", "5", "lane", "1", "me", "so", "7", "6", "topic", "t", "me", "so"));
}

static void
answer_stats(void)
{
	sleep_and_fire();
	TAP_STR(buf_str(&sent), "stats/{0,1}/{10,-9223372036854775807}/5001 sync");
	ANSWER(ROWS(8, "2", "20", "11", "5000", "100", "8192", "7", "9", "0", "~", "~", "~", "100", "8192", "7", "9"));
}

static void
test_members(void)
{
	announce_it();
	answer_members();
	TAP_INT(members, 1);
	TAP_INT(last_members.relays, 2);
	TAP_INT(last_members.quota, 1);
	CU_ASSERT_TRUE(last_members.taken[1] && !last_members.taken[0]);
	TAP_INT(last_members.parked, 3);
	TAP_INT(last_members.lanes, 7);
	CU_ASSERT_TRUE(last_members.switching);
	TAP_INT(pauses_seen, 2);
	CU_ASSERT(last_members.parked_sign == (uint64_t)-7);
}

static void
test_stats(void)
{
	announce_it();
	answer_members();
	answer_stats();
	TAP_INT(last_stats.pending, 2);
	CU_ASSERT_TRUE(last_stats.pending_exact);
	TAP_INT(last_stats.oldest_unsent_us, 5000);
	TAP_INT(last_stats.table_bytes, 8192);
	TAP_INT(last_stats.dead_rows, 7);
	TAP_INT(last_stats.live_rows, 9);
}

/* The next round of that duty; the others are answered as they come. */
static void
until(const char *duty)
{
	for (int i = 0; i < 100; i++) {
		sleep_and_fire();
		if (strncmp(buf_str(&sent), duty, strlen(duty)) == 0)
			return;
		if (strncmp(buf_str(&sent), "members", 7) == 0)
			answer_quietly();
		else if (strncmp(buf_str(&sent), "prune_lock", 10) == 0)
			ANSWER(ROWS(1, "f"));
		else
			ANSWER(ROWS(8, "0", "~", "~", "~", "~", "1", "0", "0"));
	}
	CU_FAIL_FATAL("that round never came");
}

/* Beyond the cap ids tell; the oldest is the lowest id's, and a table without created_at does not tell. */
static void
test_stats_estimate(void)
{
	announce_it();
	answer_members();
	sleep_and_fire();
	ANSWER(ROWS(8, "5001", "6000", "1000", "~", "7000", "1", "0", "0", "5001", "6500", "900", "~", "7000", "1", "0", "0"));
	CU_ASSERT_FALSE(last_stats.pending_exact);
	TAP_INT(last_stats.pending, 10002 + 500 + 250);
	TAP_INT(last_stats.oldest_unsent_us, -1);
	until("stats");
	ANSWER(ROWS(8, "0", "~", "~", "~", "~", "1", "0", "0"));
	TAP_INT(last_stats.pending, 0);
	TAP_INT(last_stats.oldest_unsent_us, 0);
}

static void
test_prune(void)
{
	int64_t before_us;

	announce_it();
	until("prune");
	TAP_STR(buf_str(&sent), "prune_lock sync");
	ANSWER(ROWS(1, "f"));
	/* another relay prunes: asked for again later */
	before_us = now_us;
	until("prune");
	CU_ASSERT(now_us >= before_us + SHARED_LOCK_RETRY_US);
	TAP_STR(buf_str(&sent), "prune_lock sync");
	TAP_INT(pruned_ups, 0);
	ANSWER(ROWS(1, "t"));
	TAP_INT(pruned_ups, 1);
	until("prune");
	TAP_STR(buf_str(&sent), "prune/-9223372036854775807/1000/60000 sync");
	ANSWER(ROWS(5, "1000", "1000", "1000", "1000", "1000"));
	TAP_INT(pruned_rows, 1000);
	until("prune");
	TAP_STR(buf_str(&sent), "prune/1000/1000/60000 sync");
	/* younger ones among them: looked at again in the next pass, but not in this one */
	ANSWER(ROWS(5, "400", "1000", "2000", "400", "1200"));
	until("prune");
	TAP_STR(buf_str(&sent), "prune/2000/1000/60000 sync");
	before_us = now_us;
	TAP_INT(pruned_ups, 1);
	ANSWER(ROWS(5, "0", "10", "2010", "0", "~"));
	TAP_INT(pruned_ups, 2);
	until("prune");
	CU_ASSERT(now_us >= before_us + PRUNE_PASS_US);
	TAP_STR(buf_str(&sent), "prune/1200/1000/60000 sync");
	TAP_INT(pruned_rows, 1400);
	TAP_INT(pruned_calls, 2);
	/* an empty table */
	ANSWER(ROWS(5, "0", "0", "~", "0", "~"));
	/* a pass from the lowest id now and then: ids may come late */
	now_us += PRUNE_RESTART_US;
	until("prune");
	TAP_STR(buf_str(&sent), "prune/-9223372036854775807/1000/60000 sync");
}

/* Ten batches of the same answer. */
static void
answer_young(const char *last_id)
{
	for (int i = 0; i < PRUNE_EMPTY_MAX; i++) {
		if (i > 0)
			until("prune");
		ANSWER(ROWS(5, "0", "1000", last_id, "0", "~"));
	}
}

/* Old rows beyond younger ones are found all the same, a pass at a time. */
static void
test_prune_gives_up_where_nothing_is_old(void)
{
	int64_t before_us;

	announce_it();
	until("prune");
	ANSWER(ROWS(1, "t"));
	until("prune");
	TAP_INT(pruned_ups, 1);
	answer_young("5000");
	before_us = now_us;
	TAP_INT(pruned_ups, 2);
	until("prune");
	CU_ASSERT(now_us >= before_us + PRUNE_PASS_US);
	TAP_STR(buf_str(&sent), "prune/5000/1000/60000 sync");
	answer_young("9000");
	until("prune");
	TAP_STR(buf_str(&sent), "prune/-9223372036854775807/1000/60000 sync");
	/* what follows is rows that became old since, at the low end */
	ANSWER(ROWS(5, "1000", "1000", "1000", "1000", "1000"));
	until("prune");
	answer_young("5000");
	until("prune");
	TAP_STR(buf_str(&sent), "prune/9000/1000/60000 sync");
	ANSWER(ROWS(5, "900", "1000", "10000", "900", "~"));
	until("prune");
	TAP_STR(buf_str(&sent), "prune/10000/1000/60000 sync");
	/* the end of the table: the next begins where only old rows were seen, and far looks from the bottom again */
	ANSWER(ROWS(5, "0", "3", "10003", "0", "~"));
	until("prune");
	TAP_STR(buf_str(&sent), "prune/1000/1000/60000 sync");
	answer_young("5000");
	until("prune");
	TAP_STR(buf_str(&sent), "prune/5000/1000/60000 sync");
}

static void
test_never_prunes(void)
{
	with_sent_at = false;
	announce_it();
	for (int i = 0; i < 20; i++) {
		sleep_and_fire();
		CU_ASSERT_PTR_NULL(strstr(buf_str(&sent), "prune"));
		if (strncmp(buf_str(&sent), "members", 7) == 0)
			answer_quietly();
		else
			ANSWER(ROWS(8, "0", "~", "~", "~", "~", "1", "0", "0"));
	}
}

/* The oldest go first, so each batch begins where the last one did. */
static void
test_prunes_receipts(void)
{
	with_sent_at = false;
	request.receipts = request.settle_delete = true;
	announce_it();
	TAP_HAS(prepared_last, "DELETE FROM pgoutbox.receipts");
	until("prune");
	ANSWER(ROWS(1, "t"));
	for (int i = 0; i < 2; i++) {
		until("prune");
		TAP_STR(buf_str(&sent), "prune/-9223372036854775807/1000/60000 sync");
		ANSWER(ROWS(5, "1000", "1000", "-9223372036854775807", "1000", "~"));
	}
	TAP_INT(pruned_ups, 1);
	until("prune");
	ANSWER(ROWS(5, "3", "3", "-9223372036854775807", "3", "~"));
	TAP_INT(pruned_rows, 2003);
	TAP_INT(pruned_ups, 2);
	until("prune");
	TAP_STR(buf_str(&sent), "prune/-9223372036854775807/1000/60000 sync");
}

/* Receipts in the row go with it. */
static void
test_prunes_rows_with_their_receipts(void)
{
	request.receipts = true;
	announce_it();
	TAP_HAS(prepared_last, "DELETE FROM t t");
}

static void
test_misfit(void)
{
	static const int persons[] = {ERR_CONFIG, ERR_FATAL};

	for (int i = 0; i < 2; i++) {
		layout_fails = persons[i];
		keeper_open(k);
		connect_it();
		answer_layout("f");
		TAP_INT(misfits, i + 1);
		TAP_INT(losts, 0);
	}
	layout_fails = ERR_RETRY;
	keeper_open(k);
	connect_it();
	answer_layout("f");
	TAP_INT(losts, 1);
	CU_ASSERT(k->timer.deadline_us == CLOCK_NEVER);
}

/* The server refuses the question itself. */
static void
test_layout_refused(void)
{
	static const enum err_kind kinds[] = {ERR_CONFIG, ERR_RETRY};

	for (int i = 0; i < 2; i++) {
		keeper_open(k);
		connect_it();
		session_error_kind = kinds[i];
		answer_failed(0, NO_ROWS(), NO_ROWS());
		TAP_INT(misfits, 1);
		TAP_INT(losts, i);
	}
	TAP_STR(last_error.message, "could not look at the outbox");
}

static void
test_fires_early(void)
{
	int64_t due_us;

	with_sent_at = false;
	announce_it();
	answer_members();
	answer_stats();
	due_us = k->timer.deadline_us;
	CU_ASSERT(due_us > now_us);
	k->timer.fire(&k->timer, 0, due_us - 1);
	CU_ASSERT_FALSE(session.busy);
	CU_ASSERT(k->timer.deadline_us == due_us);
	k->timer.fire(&k->timer, 0, due_us);
	CU_ASSERT_TRUE(session.busy);
	/* the answer is awaited: it sets the timer again */
	k->timer.fire(&k->timer, 0, due_us + 1);
	CU_ASSERT(k->timer.deadline_us == CLOCK_NEVER);
}

static void
test_lost(void)
{
	announce_it();
	sleep_and_fire();
	answer_failed(0, NO_ROWS(), NO_ROWS(), NO_ROWS(), NO_ROWS());
	TAP_INT(losts, 1);
	CU_ASSERT(k->timer.deadline_us == CLOCK_NEVER);
	layouts = 0;
	announce_it();
	/* it once worked: it may again */
	break_it(ERR_CONFIG);
	TAP_INT(losts, 2);
	TAP_INT(misfits, 0);
	keeper_open(k);
	break_it(ERR_CONFIG);
	TAP_INT(misfits, 1);
}

/* An announced one that fails for a person's sake: the table was there, so it is lost and tried again. */
static void
test_fails_once_ready(void)
{
	announce_it();
	sleep_and_fire();
	session_error_kind = ERR_CONFIG;
	answer_failed(1, NO_ROWS(), NO_ROWS(), NO_ROWS(), NO_ROWS());
	TAP_INT(losts, 1);
	TAP_INT(misfits, 0);
}

/* Its session shows the others that this relay is there: it is not given up for what can wait. */
static void
test_puts_off(void)
{
	int64_t before_us;

	announce_it();
	until("stats");
	before_us = now_us;
	answer_failed(0, NO_ROWS());
	TAP_INT(put_offs, 1);
	TAP_STR(last_error.message, "could not take statistics");
	until("stats");
	CU_ASSERT(now_us >= before_us + STATS_US);
	answer_failed(0, NO_ROWS());
	until("prune_lock");
	answer_failed(0, NO_ROWS());
	TAP_INT(put_offs, 3);
	until("prune_lock");
	ANSWER(ROWS(1, "t"));
	until("prune/");
	before_us = now_us;
	answer_failed(0, NO_ROWS());
	TAP_INT(put_offs, 4);
	TAP_STR(last_error.message, "could not prune sent rows");
	until("prune/");
	CU_ASSERT(now_us >= before_us + PRUNE_PASS_US);
	TAP_INT(losts + misfits, 0);
	TAP_INT(pruned_calls, 0);
}

/* Another retention counts from the bottom on; none at all ends pruning. */
static void
test_retention_changes(void)
{
	announce_it();
	until("prune_lock");
	ANSWER(ROWS(1, "t"));
	keeper_set_retention(k, -1);
	CU_ASSERT(k->prune.next_us == CLOCK_NEVER);
	until("members");
	answer_quietly();
	keeper_set_retention(k, 90000);
	TAP_INT(k->opt.retention_ms, 90000);
	CU_ASSERT(k->prune.next_us <= now_us);
	CU_ASSERT(k->timer.deadline_us <= now_us);
}

/* Failed over, or by an administrator's word: reading alone is an outage. */
static void
test_read_only(void)
{
	announce_it();
	sleep_and_fire();
	ANSWER(ROWS(1, "1073741829"), ROWS(2, "0", "0"), ROWS(1, "t"));
	TAP_INT(losts, 1);
	TAP_INT(members, 0);
	TAP_INT(last_error.kind, ERR_RETRY);
	TAP_HAS(last_error.message, "read-only");
	TAP_HAS(last_error.hint, "target_session_attrs");
	CU_ASSERT(k->timer.deadline_us == CLOCK_NEVER);
	layouts = 0;
	keeper_open(k);
	connect_it();
	answer_layout("t");
	TAP_INT(losts, 2);
	TAP_INT(layouts, 0);
	announce_it();
}

static void
test_closed_from_within(void)
{
	close_in_layout = true;
	keeper_open(k);
	connect_it();
	answer_layout("f");
	TAP_STR(buf_str(&sent), "");
	TAP_INT(losts + misfits, 0);
}

int
main(void)
{
	tap_suite_fixture("keeper", setup, teardown);
	tap_test("members", test_members);
	tap_test("another retention", test_retention_changes);
	tap_test("statistics", test_stats);
	tap_test("statistics beyond the cap", test_stats_estimate);
	tap_test("prunes", test_prune);
	tap_test("prunes: a pass ends where nothing is old", test_prune_gives_up_where_nothing_is_old);
	tap_test("never prunes", test_never_prunes);
	tap_test("prunes receipts", test_prunes_receipts);
	tap_test("prunes rows with their receipts", test_prunes_rows_with_their_receipts);
	tap_test("a table that does not fit", test_misfit);
	tap_test("the table cannot be looked at", test_layout_refused);
	tap_test("fires before anything is due", test_fires_early);
	tap_test("lost", test_lost);
	tap_test("fails once it was ready", test_fails_once_ready);
	tap_test("puts off what can wait", test_puts_off);
	tap_test("read-only", test_read_only);
	tap_test("closed from within", test_closed_from_within);
	return tap_run();
}
