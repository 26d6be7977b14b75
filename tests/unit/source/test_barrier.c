/* test_barrier.c - the barrier over a scripted session: when it has WAL flushed, and what it says is safe. */
#include "source/barrier.c"

#include "session_stand_in.h"

#define FLUSH "BEGIN SELECT pg_logical_emit_message(true, 'pgoutbox', ''), pg_snapshot_xmin(pg_current_snapshot()) COMMIT sync"

static struct session_options options = {.session_timeout_ms = 3000};
static struct barrier *b;
static int flushed, lost;
static uint64_t asks_when_lost; /* 0 = nobody does */
static uint64_t flushed_lsn, flushed_xid;
static struct error lost_error;

static void
on_test_flushed(void *ctx, uint64_t lsn, uint64_t xid)
{
	(void)ctx;
	flushed++;
	flushed_lsn = lsn;
	flushed_xid = xid;
}

static void
on_test_lost(void *ctx, const struct error *err)
{
	(void)ctx;
	CU_ASSERT_FALSE(session.open);
	lost++;
	lost_error = *err;
	if (asks_when_lost != 0)
		barrier_need(b, asks_when_lost, now_us);
}

static void
setup(void)
{
	struct barrier_events events = {.flushed = on_test_flushed, .lost = on_test_lost};

	flushed = lost = 0;
	asks_when_lost = 0;
	flushed_lsn = 0;
	now_us = 1000000;
	b = barrier_new(&options, &events);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	TAP_STR(session.name, "pgoutboxd barrier");
	barrier_open(b);
}

static void
teardown(void)
{
	barrier_free(b);
}

static void
need(uint64_t lsn)
{
	barrier_need(b, lsn, now_us);
}

static void
answer_flush(const char *lsn)
{
	ANSWER(NO_ROWS(), ROWS(2, lsn, "4294967301"), NO_ROWS());
}

static void
test_flushes(void)
{
	connect_it();
	TAP_STR(buf_str(&sent), "");
	need(0x20);
	TAP_STR(buf_str(&sent), FLUSH);
	TAP_INT(flushed, 0);
	answer_flush("0/30");
	TAP_INT(flushed, 1);
	TAP_INT(flushed_lsn, 0x30);
	CU_ASSERT(flushed_xid == UINT64_C(4294967301));
	TAP_STR(buf_str(&sent), "");
	/* safe already: nobody asks for it, and nothing is done */
	need(0x30);
	TAP_STR(buf_str(&sent), "");
	need(0x31);
	TAP_STR(buf_str(&sent), FLUSH);
}

/* One flush serves all that was needed when it began; what is needed meanwhile gets another only where it must. */
static void
test_one_serves_all(void)
{
	connect_it();
	need(0x20);
	buf_reset(&sent);
	need(0x25);
	need(0x22);
	TAP_STR(buf_str(&sent), "");
	answer_flush("0/28");
	TAP_INT(flushed_lsn, 0x28);
	TAP_STR(buf_str(&sent), "");
	need(0x30);
	need(0x40);
	answer_flush("0/38");
	TAP_INT(flushed_lsn, 0x38);
	TAP_STR(buf_str(&sent), FLUSH);
	answer_flush("1/0");
	CU_ASSERT(flushed_lsn == UINT64_C(0x100000000));
	TAP_INT(flushed, 3);
}

/* What was asked for before it was connected is done once it is. */
static void
test_needed_early(void)
{
	need(0x20);
	TAP_STR(buf_str(&sent), "");
	connect_it();
	TAP_STR(buf_str(&sent), FLUSH);
}

/* Positions of another timeline may be lower: nothing of before counts, neither what was safe nor what was needed. */
static void
test_forgets_with_its_session(void)
{
	connect_it();
	need(0x1000);
	answer_flush("0/2000");
	need(0x3000);
	break_it(ERR_RETRY);
	TAP_INT(lost, 1);
	barrier_open(b);
	connect_it();
	TAP_STR(buf_str(&sent), "");
	need(0x500);
	TAP_STR(buf_str(&sent), FLUSH);
	answer_flush("0/600");
	TAP_INT(flushed_lsn, 0x600);
}

/* A lane that has its session still does not wait for another lane to ask. */
static void
test_asked_for_between(void)
{
	connect_it();
	break_it(ERR_RETRY);
	need(0x3000);
	barrier_open(b);
	connect_it();
	TAP_STR(buf_str(&sent), FLUSH);
	answer_flush("0/600"); /* of another server, perhaps */
	TAP_INT(flushed_lsn, 0x600);
	TAP_STR(buf_str(&sent), "");
}

/* It is told of the loss, and asks at once. */
static void
test_asked_for_while_told(void)
{
	asks_when_lost = 0x40;
	connect_it();
	need(0x20);
	answer_failed(2, NO_ROWS(), ROWS(1, "0/30"), NO_ROWS());
	TAP_INT(lost, 1);
	barrier_open(b);
	connect_it();
	TAP_STR(buf_str(&sent), FLUSH);
}

static void
test_flush_fails(void)
{
	connect_it();
	need(0x20);
	answer_failed(2, NO_ROWS(), ROWS(1, "0/30"), NO_ROWS());
	TAP_INT(flushed, 0);
	TAP_INT(lost, 1);
	TAP_STR(lost_error.message, "could not flush WAL");
}

/* The commit came back without the standby's word. */
static void
test_standby_not_waited_for(void)
{
	connect_it();
	need(0x20);
	next_answer_warned = true;
	answer_flush("0/30");
	TAP_INT(flushed, 0);
	TAP_INT(lost, 1);
	TAP_INT(lost_error.kind, ERR_RETRY);
	TAP_HAS(lost_error.message, "synchronous standbys");
}

/* A flush that does not get where it was needed to says so, and is done again. */
static void
test_short_of_what_is_needed(void)
{
	connect_it();
	need(0x20);
	answer_flush("0/1F");
	TAP_INT(flushed_lsn, 0x1f);
	TAP_STR(buf_str(&sent), FLUSH);
}

static void
test_speaks_now_and_then(void)
{
	connect_it();
	need(0x20);
	answer_flush("0/20");
	now_us += 999999;
	barrier_tick(b, now_us);
	TAP_STR(buf_str(&sent), "");
	now_us++;
	barrier_tick(b, now_us);
	TAP_STR(buf_str(&sent), "SELECT 1 sync");
	/* needed while it speaks */
	need(0x21);
	now_us += 5000000;
	barrier_tick(b, now_us);
	TAP_STR(buf_str(&sent), "SELECT 1 sync");
	ANSWER(ROWS(1, "1"));
	TAP_INT(flushed, 1);
	TAP_STR(buf_str(&sent), FLUSH);
	barrier_close(b);
	now_us += 5000000;
	buf_reset(&sent);
	barrier_tick(b, now_us);
	TAP_STR(buf_str(&sent), "");
}

static void
test_positions(void)
{
	CU_ASSERT(barrier_parse_lsn("16/B374D848") == UINT64_C(0x16B374D848));
	CU_ASSERT(barrier_parse_lsn("FFFFFFFF/FFFFFFFF") == UINT64_MAX);
	TAP_INT(barrier_parse_lsn("0/0"), 0);
	TAP_INT(barrier_parse_lsn(""), 0);
	TAP_INT(barrier_parse_lsn("none"), 0);
}

int
main(void)
{
	tap_suite_fixture("barrier", setup, teardown);
	tap_test("flushes what is needed", test_flushes);
	tap_test("one flush serves all", test_one_serves_all);
	tap_test("needed before it is connected", test_needed_early);
	tap_test("forgets with its session", test_forgets_with_its_session);
	tap_test("asked for between two sessions", test_asked_for_between);
	tap_test("asked for while it is told of", test_asked_for_while_told);
	tap_test("a flush fails", test_flush_fails);
	tap_test("a standby is not waited for", test_standby_not_waited_for);
	tap_test("short of what is needed", test_short_of_what_is_needed);
	tap_test("speaks now and then", test_speaks_now_and_then);
	tap_test("positions", test_positions);
	return tap_run();
}
