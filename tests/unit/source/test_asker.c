/* test_asker.c - the queries' session, scripted: what is asked when, one at a time, and what is told of answers and failures. */
#include "source/asker.c"

#include <stdlib.h>

#include "session_stand_in.h"

#define SECOND INT64_C(1000000)
#define INTERVAL_US (30 * SECOND)

static const struct asker_query queries[] = {{"stock", "SELECT kind, n FROM stock -- all\n; ;"}, {"other", "TABLE other"}};
static struct session_options options;
static struct asker *a;
static int answered, refused, opened, lost;
static size_t last;
static struct error failure;
static char first_cell[32];
static size_t answer_rows;

static void
on_answer(void *ctx, size_t query, const struct asker_answer *answer)
{
	(void)ctx;
	answered++;
	last = query;
	answer_rows = answer->rows;
	CU_ASSERT_FATAL(answer->columns == 2);
	TAP_STR(answer->names[0], "kind");
	CU_ASSERT(!answer->values[0] && answer->values[1]);
	snprintf(first_cell, sizeof(first_cell), "%s", answer->rows > 0 && answer->cells[0] != NULL ? answer->cells[0] : "NULL");
}

static void
on_refusal(void *ctx, size_t query, const struct error *err)
{
	(void)ctx;
	refused++;
	last = query;
	failure = *err;
}

static void
on_open(void *ctx)
{
	(void)ctx;
	opened++;
}

static void
on_loss(void *ctx, const struct error *err)
{
	(void)ctx;
	CU_ASSERT_FALSE(session.open);
	lost++;
	failure = *err;
}

static void
setup(void)
{
	struct asker_options opt = {.session = &options, .queries = queries, .count = 2, .interval_ms = 30000};
	struct asker_events events = {.answered = on_answer, .failed = on_refusal, .opened = on_open, .lost = on_loss};

	answered = refused = opened = lost = 0;
	now_us = 1000000;
	a = asker_new(&opt, &events);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	TAP_STR(session.name, "pgoutboxd queries");
	asker_open(a);
}

static void
teardown(void)
{
	asker_free(a);
}

/* Columns kind and n, of types text and bigint, and these rows of two cells each. */
static PGresult *
table(const char *const cells[])
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attrs[] = {{.name = (char *)(uintptr_t) "kind", .typid = 25, .typlen = -1, .atttypmod = -1},
	                        {.name = (char *)(uintptr_t) "n", .typid = TYPE_INT8, .typlen = 8, .atttypmod = -1}};

	PQsetResultAttrs(res, 2, attrs);
	for (int i = 0; cells[i] != NULL; i++)
		PQsetvalue(res, i / 2, i % 2, (char *)(uintptr_t)cells[i], cells[i][0] == '~' ? -1 : (int)strlen(cells[i]));
	return res;
}

#define TABLE(...) table((const char *const[]){__VA_ARGS__, NULL})
#define COLUMNS() table((const char *const[]){NULL})

static PGresult *
failed_result(void)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);

	return res;
}

static void
begin(void)
{
	connect_it();
	TAP_STR(buf_str(&sent), SETTINGS " " LIMITS " sync");
	/* a pooler would hand it on to the application */
	CU_ASSERT_PTR_NULL(strstr(buf_str(&sent), "read_only"));
	ANSWER(NO_ROWS(), NO_ROWS());
	TAP_INT(opened, 1);
}

/* The timer as the loop would have it. */
static void
fire(void)
{
	CU_ASSERT_FATAL(a->timer.deadline_us <= now_us);
	buf_reset(&sent);
	a->timer.fire(&a->timer, 0, now_us);
}

static void
asks_columns_then_rows(void)
{
	begin();
	fire();
	TAP_STR(buf_str(&sent), READ_ONLY " SELECT * FROM (\nSELECT kind, n FROM stock -- all\n) AS q LIMIT 0 sync");
	ANSWER(NO_ROWS(), COLUMNS());
	TAP_STR(buf_str(&sent), READ_ONLY " SELECT left(q.\"kind\"::text, 128) AS \"kind\", q.\"n\"::float8 AS \"n\" FROM (\n"
	                        "SELECT kind, n FROM stock -- all\n) AS q LIMIT 101 sync");
	TAP_INT(answered, 0);
	ANSWER(NO_ROWS(), TABLE("pear", "7", "~", "8"));
	TAP_INT(answered, 1);
	TAP_INT(last, 0);
	TAP_INT(answer_rows, 2);
	TAP_STR(first_cell, "pear");
	/* the other one is due since the beginning */
	fire();
	TAP_STR(buf_str(&sent), READ_ONLY " SELECT * FROM (\nTABLE other\n) AS q LIMIT 0 sync");
	ANSWER(NO_ROWS(), COLUMNS());
	ANSWER(NO_ROWS(), COLUMNS());
	TAP_INT(answered, 2);
	TAP_INT(last, 1);
	TAP_INT(answer_rows, 0);
	TAP_INT(a->timer.deadline_us, now_us + INTERVAL_US);
	/* its columns are known now */
	now_us += INTERVAL_US;
	fire();
	TAP_HAS(buf_str(&sent), "SELECT left(q.\"kind\"");
}

static void
runs_one_at_a_time(void)
{
	begin();
	fire();
	a->timer.fire(&a->timer, 0, now_us);
	TAP_HAS(buf_str(&sent), "LIMIT 0 sync");
	TAP_INT(a->timer.deadline_us, CLOCK_NEVER);
}

/* A round took 1 ms here by the stand-in; what takes 3 s is run a minute later, not after half of one. */
static void
rests_after_long_ones(void)
{
	struct round r = {.count = 2, .failed = -1, .elapsed_us = 3 * SECOND};

	begin();
	fire();
	ANSWER(NO_ROWS(), COLUMNS());
	r.results[0] = NO_ROWS();
	r.results[1] = TABLE("pear", "7");
	session.busy = false;
	session.events.round(session.events.ctx, &r);
	PQclear(r.results[0]);
	PQclear(r.results[1]);
	CU_ASSERT(a->questions[0].next_us >= now_us + 3 * SECOND * ASKER_SHARE);
	TAP_INT(a->timer.deadline_us, 0);
}

/* The other query comes next, and this one is asked for its columns again. */
static void
failures_are_told(void)
{
	begin();
	fire();
	ANSWER(NO_ROWS(), COLUMNS());
	answer_failed(1, NO_ROWS(), failed_result());
	TAP_INT(refused, 1);
	TAP_INT(last, 0);
	TAP_STR(failure.message, "query \"stock\" failed");
	fire();
	TAP_HAS(buf_str(&sent), "TABLE other");
	answer_failed(1, NO_ROWS(), failed_result());
	TAP_INT(refused, 2);
	TAP_INT(last, 1);
	TAP_INT(answered + lost, 0);
	CU_ASSERT_TRUE(session.ready);
	now_us += INTERVAL_US;
	fire();
	TAP_STR(buf_str(&sent), READ_ONLY " SELECT * FROM (\nSELECT kind, n FROM stock -- all\n) AS q LIMIT 0 sync");
}

static void
same_names_are_refused(void)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attrs[] = {{.name = (char *)(uintptr_t) "n", .typid = TYPE_INT8}, {.name = (char *)(uintptr_t) "n", .typid = TYPE_INT8}};

	begin();
	fire();
	PQsetResultAttrs(res, 2, attrs);
	ANSWER(NO_ROWS(), res);
	TAP_STR(failure.message, "two columns of query \"stock\" are named \"n\"");
	TAP_INT(refused, 1);
	CU_ASSERT_FALSE(session.busy);
}

static void
is_lost_and_comes_back(void)
{
	begin();
	fire();
	break_it(ERR_RETRY);
	TAP_INT(lost, 1);
	TAP_INT(a->timer.deadline_us, CLOCK_NEVER);
	asker_open(a);
	connect_it();
	ANSWER(NO_ROWS(), NO_ROWS());
	/* the one that it was lost over does not come first again */
	fire();
	TAP_HAS(buf_str(&sent), "TABLE other");
	break_it(ERR_RETRY);
	asker_open(a);
	connect_it();
	answer_failed(1, NO_ROWS(), failed_result());
	TAP_INT(lost, 3);
	TAP_STR(failure.message, "could not set up the session of the queries");
}

static void
column(const char *name, Oid type, const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	add_column(&out, name, type);
	TAP_STR(buf_str(&out), expected);
}

static void
kinds_of_columns(void)
{
	column("a\"b", 25, "left(q.\"a\"\"b\"::text, 128) AS \"a\"\"b\"");
	column("a", 2950, "left(q.\"a\"::text, 128) AS \"a\"");
	column("a", TYPE_BOOL, "q.\"a\"::int AS \"a\"");
	column("a", TYPE_NUMERIC, "q.\"a\"::float8 AS \"a\"");
	column("a", TYPE_TIMESTAMPTZ, "extract(epoch FROM q.\"a\")::float8 AS \"a\"");
	column("a", TYPE_INTERVAL, "extract(epoch FROM q.\"a\")::float8 AS \"a\"");
}

int
main(void)
{
	tap_suite_fixture("asker", setup, teardown);
	tap_test("a query is asked for its columns, then for its rows", asks_columns_then_rows);
	tap_test("one runs at a time", runs_one_at_a_time);
	tap_test("what takes long rests for longer", rests_after_long_ones);
	tap_test("a failure is told, and the next query has its turn", failures_are_told);
	tap_test("two columns of one name", same_names_are_refused);
	tap_test("a session that is lost", is_lost_and_comes_back);
	tap_test("kinds of columns", kinds_of_columns);
	return tap_run();
}
