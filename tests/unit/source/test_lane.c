/* test_lane.c - the rounds that a lane's turns are made of, over a scripted session. The database's side is in tests/pg. */
#include <stdlib.h>

static int realloc_fails;

#define realloc(p, size) (realloc_fails ? NULL : realloc(p, size))
#include "base/buf.c"
#undef realloc

#include <libpq-fe.h>

static const char *failed_state; /* SQLSTATE of what failed; NULL: it has none */

#define PQresultErrorField(res, field) (char *)(uintptr_t) failed_state
#include "source/lane.c"
#undef PQresultErrorField

#include "session_stand_in.h"

static struct session_options session_options;
static struct layout layout;
static struct statements st;
static struct statements_options options;
static const struct lane_shared shared = {&session_options, &layout, &st, &options};
static struct lane *l;
static int owned, refused, turned, lost;
static struct lane_result last;
static struct error lost_error;

static void
on_test_owned(void *ctx, struct lane *of)
{
	(void)ctx, (void)of;
	owned++;
}

static void
on_test_refused(void *ctx, struct lane *of)
{
	(void)ctx;
	TAP_INT(lane_state(of), LANE_CLOSED);
	refused++;
}

static void
on_test_turned(void *ctx, struct lane *of, const struct lane_result *r)
{
	(void)ctx, (void)of;
	last = *r;
	turned++;
}

static void
on_test_lost(void *ctx, struct lane *of, const struct error *err)
{
	(void)ctx;
	TAP_INT(lane_state(of), LANE_CLOSED);
	lost_error = *err;
	lost++;
}

/* --- answers --- */

static PGresult *
text_result(const char *value)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attr = {.name = (char *)(uintptr_t) "x", .typlen = -1, .atttypmod = -1};

	PQsetResultAttrs(res, 1, &attr);
	PQsetvalue(res, 0, 0, (char *)(uintptr_t)value, (int)strlen(value));
	return res;
}

static PGresult *
claim_result(const char *pid, int rows)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attrs[OUT_EXTRA];
	char tail[100];

	for (int i = 0; i < OUT_EXTRA; i++)
		attrs[i] = (PGresAttDesc){.name = (char *)(uintptr_t) "x", .typlen = -1, .atttypmod = -1};
	PQsetResultAttrs(res, OUT_EXTRA, attrs);
	for (int row = 0; row < rows; row++) {
		char id[8] = {0, 0, 0, 0, 0, 0, 0, (char)(row + 1)};

		for (int col = 0; col < OUT_EXTRA; col++)
			PQsetvalue(res, row, col, NULL, -1);
		PQsetvalue(res, row, OUT_ID, id, 8);
		PQsetvalue(res, row, OUT_TID, id, 6);
		PQsetvalue(res, row, OUT_XMIN, id + 4, 4);
	}
	snprintf(tail, sizeof(tail), "-9223372036854775807 %s 100:100: 0/20 0/10 %d", pid, rows);
	PQsetvalue(res, rows, OUT_TAIL, tail, (int)strlen(tail));
	return res;
}

static PGresult *
plain_result(void)
{
	return PQmakeEmptyPGresult(NULL, PGRES_COMMAND_OK);
}

static void
setup(void)
{
	static const struct lane_events events = {
		.owned = on_test_owned, .refused = on_test_refused, .turned = on_test_turned, .lost = on_test_lost};
	char *text = (char *)(uintptr_t) "sql";

	now_us = 5000000;
	answer_us = 1000;
	failed_state = NULL;
	session_options.statement_timeout_ms = 30000;
	layout = (struct layout){.relation_oid = 4000000000U, .lanes = 4, .tids_unique = true};
	st = (struct statements){text, text, text, text, text, text, .lanes = 4, .end = text, .bell = text};
	options = (struct statements_options){.batch_bytes = 1000, .batch_rows = 10};
	owned = refused = turned = lost = 0;
	last = (struct lane_result){0};
	l = lane_new(&shared, 2, &events);
	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
}

static void
teardown(void)
{
	lane_free(l);
	batch_free(last.claimed);
}

static void
ready(void)
{
	lane_open(l);
	connect_it();
}

static void
own(void)
{
	ready();
	buf_reset(&sent);
	ANSWER(text_result("t"), text_result("4"), text_result("k"));
	TAP_INT_FATAL(lane_state(l), LANE_IDLE);
}

static struct batch *
acked(bool attached)
{
	struct batch *b = batch_new(1);

	batch_move(batch_add(b), EV_SENT);
	batch_move(&b->slots[0], EV_ACKED);
	b->attached = attached;
	return b;
}

static void
turn(struct batch *settle, int64_t rows)
{
	struct lane_turn t = {.settle = settle, .claim_rows = rows};

	buf_reset(&sent);
	lane_turn(l, &t, now_us);
}

static void
claim(int rows, int64_t limit)
{
	turn(NULL, limit);
	ANSWER(plain_result(), claim_result("4711", rows));
}

/* --- tests --- */

static void
test_handshake(void)
{
	ready();
	/* the lock first; what is read after it cannot be changed by an earlier owner */
	TAP_STR(buf_str(&sent), "SELECT pg_try_advisory_lock(-294967296, 2) SELECT lanes FROM pgoutbox.outbox WHERE relation = 4000000000 P:claim P:claim_sized P:settle_ids P:settle_tids P:park"
	                              " P:parked_keys P:end parked_keys/2 sync");
	TAP_INT(lane_state(l), LANE_OPENING);
	ANSWER(text_result("t"), text_result("4"), text_result("k"));
	TAP_INT(owned, 1);
	TAP_INT(turned, 1);
	CU_ASSERT_TRUE(last.parked_read && !last.settled);
	TAP_INT(lane_state(l), LANE_IDLE);
}

static void
test_handshake_without_tids(void)
{
	st.settle_tids = NULL;
	ready();
	CU_ASSERT_PTR_NULL(strstr(buf_str(&sent), "settle_tids"));
	turned = 0;
	buf_reset(&sent);
	ANSWER(text_result("t"), text_result("4"), text_result("k"));
	claim(1, 5);
	batch_free(last.claimed);
	last.claimed = NULL;
	struct batch *b = acked(true);
	turn(b, 0);
	TAP_STR(buf_str(&sent), "settle_ids/# COMMIT sync");
	lane_close(l);
	batch_free(b);
}

static void
test_refused(void)
{
	ready();
	ANSWER(text_result("f"), text_result("4"), text_result("k"));
	TAP_INT(refused, 1);
	TAP_INT(owned, 0);
	CU_ASSERT_FALSE(session.open);
}

/* With the number of lanes of yesterday a key would be in two lanes. */
static void
test_refused_lanes_changed(void)
{
	ready();
	ANSWER(text_result("t"), text_result("7"), text_result("k"));
	TAP_INT(refused, 1);
	TAP_INT(owned, 0);
	CU_ASSERT_FALSE(session.open);
}

static void
test_handshake_fails(void)
{
	ready();
	answer_failed(1, plain_result(), plain_result());
	TAP_INT(lost, 1);
	TAP_STR(lost_error.message, "could not prepare a lane's session");
	CU_ASSERT_FALSE(session.open);
}

static void
test_turns(void)
{
	struct lane_turn reading = {.read_parked = true};
	struct batch *b;

	own();
	turn(NULL, 0);
	TAP_STR(buf_str(&sent), "SELECT 1 sync");
	TAP_INT(lane_silent_since(l), now_us);
	ANSWER(plain_result());
	TAP_INT(lane_state(l), LANE_IDLE);
	turn(NULL, 7);
	TAP_STR(buf_str(&sent), "BEGIN claim/2/7/100/{}/{}/{}/{} sync");
	ANSWER(plain_result(), claim_result("4711", 2));
	TAP_INT(lane_state(l), LANE_HOLDING);
	CU_ASSERT_PTR_NOT_NULL_FATAL(last.claimed);
	TAP_INT(last.claimed->count, 2);
	TAP_INT(last.wal_insert_lsn, 0x20);
	TAP_INT(last.wal_flush_lsn, 0x10);
	TAP_INT(last.newest_xid, 2);
	CU_ASSERT_TRUE(last.looked_everywhere);
	batch_free(last.claimed);
	last.claimed = NULL;
	b = acked(true);
	turn(b, 5);
	TAP_STR(buf_str(&sent), "settle_tids/# COMMIT BEGIN claim/2/5/100/{}/{}/{}/{} sync");
	ANSWER(plain_result(), plain_result(), plain_result(), claim_result("4711", 0));
	CU_ASSERT_TRUE(last.settled);
	CU_ASSERT_PTR_NULL(last.claimed);
	TAP_INT(b->slots[0].state, EV_SETTLED);
	batch_free(b);
	/* an older batch: never in a transaction that holds something else */
	b = acked(false);
	batch_move(&b->slots[0], EV_SETTLED);
	b->slots[0].state = EV_POISONED;
	b->counts[EV_SETTLED] = 0;
	b->counts[EV_POISONED] = 1;
	turn(b, 0);
	TAP_STR(buf_str(&sent), "COMMIT BEGIN park/{\"0\"}/{NULL}/{\"unknown\"} settle_ids/# COMMIT sync");
	ANSWER(plain_result(), plain_result(), plain_result(), plain_result(), plain_result());
	TAP_INT(b->slots[0].state, EV_SETTLED);
	TAP_INT(lane_state(l), LANE_IDLE);
	batch_free(b);
	buf_reset(&sent);
	lane_turn(l, &reading, now_us);
	TAP_STR(buf_str(&sent), "parked_keys/2 sync");
	ANSWER(text_result("k"));
	CU_ASSERT_TRUE(last.parked_read);
}

/* Where claims meet their limit the lane's last row is looked for: its age is the age of all before it. */
static void
test_looks_for_a_backlogs_end(void)
{
	own();
	claim(2, 2);
	CU_ASSERT_PTR_NULL(strstr(buf_str(&sent), "end"));
	batch_free(last.claimed);
	now_us += LADDER_RUNG_AGE_US;
	turn(NULL, 2);
	TAP_HAS(buf_str(&sent), "COMMIT end/2 BEGIN claim/2/2/");
	ANSWER(plain_result(), text_result("900"), plain_result(), claim_result("4711", 1));
	TAP_INT(l->ladder.seen_id, 900);
	batch_free(last.claimed);
	last.claimed = NULL;
	/* that one met no limit */
	now_us += LADDER_RUNG_AGE_US;
	turn(NULL, 2);
	CU_ASSERT_PTR_NULL(strstr(buf_str(&sent), "end"));
}

/* A settle is undone in memory whenever its commit was not seen, and what failed is named. */
static void
test_failed_turns(void)
{
	for (int failed = 0; failed < 4; failed++) {
		struct batch *b = acked(true);

		own();
		claim(1, 5);
		batch_free(last.claimed);
		last.claimed = NULL;
		lost = 0;
		turn(b, 5);
		answer_failed(failed, plain_result(), plain_result(), plain_result(), plain_result());
		TAP_INT(lost, 1);
		TAP_STR(lost_error.message, failed <= 1 ? "could not settle" : failed == 3 ? "could not claim" : "could not run a lane's turn");
		TAP_INT(b->slots[0].state, EV_ACKED);
		CU_ASSERT_FALSE(b->slots[0].settling);
		batch_free(b);
	}
}

/* A plain claim that meets a locked row fails at once. What was settled in the same round stays so, and for a minute claims are by size,
 * which tell of locked rows in their own way. */
static void
test_locked_row(void)
{
	struct batch *b = acked(true);

	own();
	claim(1, 5);
	batch_free(last.claimed);
	turn(b, 5);
	failed_state = "55P03";
	answer_failed(3, plain_result(), plain_result(), plain_result(), plain_result());
	TAP_INT(lost, 0);
	CU_ASSERT_TRUE(last.blocked && last.settled);
	CU_ASSERT_PTR_NULL(last.claimed);
	TAP_INT(b->slots[0].state, EV_SETTLED);
	TAP_INT(lane_state(l), LANE_HOLDING);
	turn(NULL, 5);
	TAP_HAS(buf_str(&sent), "COMMIT BEGIN claim_sized/");
	ANSWER(plain_result(), plain_result(), claim_result("4711", 0));
	CU_ASSERT_TRUE(last.blocked == false && lost == 0);
	now_us += 60000000;
	turn(NULL, 5);
	TAP_HAS(buf_str(&sent), "COMMIT BEGIN claim/");
	batch_free(b);
}

/* Another error, a lock of the whole table, for which lock_timeout was waited, or a claim that does not fail for a row's lock. */
static void
test_locked_otherwise(void)
{
	static const struct {
		const char *state;
		int64_t took_us;
		int failed;
		bool by_size;
	} cases[] = {{"55P02", 1000, 2, false}, {"55P03", 15000000, 2, false}, {"55P03", 1000, 1, false}, {"55P03", 1000, 2, true}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		own();
		claim(0, 5);
		l->sized = cases[i].by_size;
		turn(NULL, 5);
		failed_state = cases[i].state;
		answer_us = cases[i].took_us;
		lost = 0;
		answer_failed(cases[i].failed, plain_result(), plain_result(), plain_result());
		TAP_INT(lost, 1);
		answer_us = 1000;
	}
}

static void
test_lost_in_turn(void)
{
	struct batch *b = acked(false);

	own();
	turn(b, 5);
	break_it(ERR_RETRY);
	TAP_INT(lost, 1);
	TAP_INT(b->slots[0].state, EV_ACKED);
	CU_ASSERT_FALSE(b->slots[0].settling);
	batch_free(b);
	own();
	lane_close(l);
	lane_close(l);
	TAP_INT(lost, 1);
}

/* What was settled in the same round stays settled, though the claim cannot be used. */
static void
test_process_changed(void)
{
	struct batch *b = acked(true);

	own();
	claim(1, 5);
	batch_free(last.claimed);
	last.claimed = NULL;
	turn(b, 5);
	ANSWER(plain_result(), plain_result(), plain_result(), claim_result("4712", 1));
	TAP_INT(lost, 1);
	TAP_INT(lost_error.kind, ERR_CONFIG);
	TAP_INT(b->slots[0].state, EV_SETTLED);
	batch_free(b);
}

static void
test_settle_without_memory(void)
{
	struct batch *b = acked(false);

	own();
	realloc_fails = 1;
	turn(b, 0);
	realloc_fails = 0;
	TAP_STR(buf_str(&sent), "BEGIN spoiled settle_ids/# COMMIT sync");
	lane_close(l);
	TAP_INT(b->slots[0].state, EV_ACKED);
	batch_free(b);
}

/* The very first claim too: it is tried again, and nobody need mend anything. */
static void
test_claim_without_memory(void)
{
	own();
	realloc_fails = 1;
	turn(NULL, 5);
	realloc_fails = 0;
	TAP_HAS(buf_str(&sent), "spoiled BEGIN claim/");
	lane_close(l);
}

static void
test_park_without_memory(void)
{
	struct batch *b = acked(true);

	b->slots[0].state = EV_POISONED;
	b->counts[EV_ACKED] = 0;
	b->counts[EV_POISONED] = 1;
	own();
	realloc_fails = 1;
	turn(b, 0);
	realloc_fails = 0;
	TAP_HAS(buf_str(&sent), "spoiled park/");
	lane_close(l);
	batch_free(b);
}

static void
test_looks(void)
{
	own();
	CU_ASSERT_TRUE(lane_look_due(l, now_us));
	claim(1, 5);
	batch_free(last.claimed);
	last.claimed = NULL;
	CU_ASSERT_TRUE(last.looked_everywhere);
	CU_ASSERT_FALSE(lane_look_due(l, now_us));
	turn(NULL, 1);
	ANSWER(plain_result(), plain_result(), claim_result("4711", 1));
	CU_ASSERT_FALSE(last.looked_everywhere);
	CU_ASSERT_TRUE(last.more);
	batch_free(last.claimed);
	last.claimed = NULL;
	lane_look_everywhere(l);
	CU_ASSERT_TRUE(lane_look_due(l, now_us));
	/* met its limit: what lies beyond was not looked at */
	turn(NULL, 1);
	ANSWER(plain_result(), plain_result(), claim_result("4711", 1));
	CU_ASSERT_FALSE(last.looked_everywhere);
	lane_looked(l, 1000000, now_us);
	CU_ASSERT_FALSE(lane_look_due(l, now_us + 18000000));
	CU_ASSERT_TRUE(lane_look_due(l, now_us + 19000000));
	lane_put_look_off(l, now_us + 30000000);
	CU_ASSERT_FALSE(lane_look_due(l, now_us + 29999999));
	lane_put_look_off(l, now_us + 20000000);
	CU_ASSERT_FALSE(lane_look_due(l, now_us + 29999999));
	CU_ASSERT_TRUE(lane_look_due(l, now_us + 30000000));
	CU_ASSERT(lane_hint(l) == LADDER_BOTTOM);
}

/* Beyond what a turn takes anyway. */
static void
test_looks_by_what_they_add(void)
{
	own();
	claim(0, 5);
	CU_ASSERT_TRUE(last.from_bottom);
	now_us += 1000 * LADDER_LOOK_SHARE;
	CU_ASSERT_FALSE(lane_look_due(l, now_us)); /* it is due after LADDER_LOOK_MIN_US at the soonest */
	turn(NULL, 5);
	ANSWER(plain_result(), plain_result(), claim_result("4711", 0));
	CU_ASSERT_FALSE(last.from_bottom);
	lane_look_everywhere(l);
	answer_us = 101000;
	turn(NULL, 5);
	ANSWER(plain_result(), plain_result(), claim_result("4711", 0));
	CU_ASSERT_TRUE(last.from_bottom);
	CU_ASSERT_FALSE(lane_look_due(l, now_us + 100000 * LADDER_LOOK_SHARE - 1));
	CU_ASSERT_TRUE(lane_look_due(l, now_us + 100000 * LADDER_LOOK_SHARE));
	/* one that cost nothing */
	lane_look_everywhere(l);
	answer_us = 1000;
	turn(NULL, 5);
	ANSWER(plain_result(), plain_result(), claim_result("4711", 0));
	CU_ASSERT_TRUE(lane_look_due(l, now_us + LADDER_LOOK_MIN_US));
}

/* As when its session breaks, whatever it is doing; a closed one has nothing to lose. */
static void
test_dropped(void)
{
	struct error err;

	error_set(&err, ERR_RETRY, "the process slept");
	lane_drop(l, &err);
	TAP_INT(lost, 0);
	own();
	turn(NULL, 5);
	lane_drop(l, &err);
	TAP_INT(lost, 1);
	TAP_STR(lost_error.message, "the process slept");
	CU_ASSERT_FALSE(session.open);
	lane_drop(l, &err);
	TAP_INT(lost, 1);
	own();
	TAP_INT(owned, 2);
}

static void
test_claim_without_sense(void)
{
	own();
	turn(NULL, 5);
	ANSWER(plain_result(), text_result("no tail"));
	TAP_INT(lost, 1);
	CU_ASSERT_PTR_NULL(last.claimed);
}

int
main(void)
{
	tap_suite_fixture("lane", setup, teardown);
	tap_test("hand-shake", test_handshake);
	tap_test("without unique tids", test_handshake_without_tids);
	tap_test("refused", test_refused);
	tap_test("refused where the number of lanes has changed", test_refused_lanes_changed);
	tap_test("the hand-shake fails", test_handshake_fails);
	tap_test("turns", test_turns);
	tap_test("a backlog's end", test_looks_for_a_backlogs_end);
	tap_test("failed turns", test_failed_turns);
	tap_test("a row that somebody else has locked", test_locked_row);
	tap_test("locked otherwise", test_locked_otherwise);
	tap_test("lost in a turn", test_lost_in_turn);
	tap_test("the server process changed", test_process_changed);
	tap_test("settling without memory", test_settle_without_memory);
	tap_test("claiming without memory", test_claim_without_memory);
	tap_test("parking without memory", test_park_without_memory);
	tap_test("looks from the bottom", test_looks);
	tap_test("looks count by what they add to a turn", test_looks_by_what_they_add);
	tap_test("dropped", test_dropped);
	tap_test("a claim that makes no sense", test_claim_without_sense);
	return tap_run();
}
