/* test_claimed.c - batches made of fabricated results, and what their last row tells. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include "unit/failing_alloc.h"

#define malloc(size) try_malloc(size)
#define calloc(count, size) try_calloc(count, size)
#include "base/arena.c"
#include "model/batch.c"
#include "source/claimed.c"
#undef malloc
#undef calloc

#include "support/tap.h"

static const enum layout_type default_types[COL_COUNT] = {TYPE_INTEGER, TYPE_UUID, TYPE_TEXT, TYPE_TEXT, TYPE_TEXT, TYPE_JSONB,
                                                          TYPE_JSONB, TYPE_TEXT, TYPE_TIMESTAMPTZ, TYPE_TIMESTAMPTZ};

static struct layout lo;
static struct statements_options opt;
static struct ladder ladder;
static struct claimed_how how = {.layout = &lo, .options = &opt, .ladder = &ladder};
static struct claimed c;
static struct error err;

static void
setup(void)
{
	fails_at = allocs = 0;
	lo = (struct layout){.lanes = 4};
	for (int i = 0; i < COL_COUNT; i++)
		lo.columns[i].type = default_types[i];
	opt = (struct statements_options){.batch_bytes = 1000, .batch_rows = 10};
	ladder = (struct ladder){.count = 0};
	how.sized = false;
	how.limit = 10;
}

/* --- results --- */

#define COLUMNS (OUT_EXTRA + 1)

static void
set(PGresult *res, int row, int col, const char *bytes, int len)
{
	PQsetvalue(res, row, col, (char *)(uintptr_t)bytes, len);
}

static void
add_row(PGresult *res, int row)
{
	for (int i = 0; i < COLUMNS; i++)
		set(res, row, i, NULL, -1);
	set(res, row, OUT_ID, "\0\0\0\0\0\0\1\2", 8);
	set(res, row, OUT_TID, "\0\1\0\2\0\3", 6);
	set(res, row, OUT_XMIN, "\0\0\2\0", 4);
}

/* Rows of event 258 without a payload, and the last one; tail NULL: that is NULL. */
static PGresult *
result_of(int rows, const char *tail)
{
	PGresAttDesc attrs[COLUMNS];
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	for (int i = 0; i < COLUMNS; i++)
		attrs[i] = (PGresAttDesc){.name = (char *)(uintptr_t) "c", .format = 1, .typlen = -1, .atttypmod = -1};
	PQsetResultAttrs(res, COLUMNS, attrs);
	for (int row = 0; row < rows; row++)
		add_row(res, row);
	for (int i = 0; i < COLUMNS; i++)
		set(res, rows, i, NULL, -1);
	if (tail != NULL)
		set(res, rows, OUT_TAIL, tail, (int)strlen(tail));
	return res;
}

#define TAIL_BEFORE_SEEN "-9223372036854775807 4711 990:1000: 16/B374D848 A/00000001 "
#define TAIL TAIL_BEFORE_SEEN "0"

static int
read_it(PGresult **res)
{
	return claimed_read(&how, res, &c, &err);
}

/* A row that somebody else has locked is there to be claimed, but a claim by size does not bring it: it says so of all, or none comes. */
static void
test_skipped(void)
{
	static const struct {
		int rows, seen;
		bool sized, flag, skipped;
	} cases[] = {
		{2, 0, false, false, false}, {0, 0, false, false, false}, {2, 9, true, false, false},
		{2, 2, true, true, true},    {0, 1, true, false, true},   {0, 0, true, false, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char tail[128];
		PGresult *res;

		snprintf(tail, sizeof(tail), TAIL_BEFORE_SEEN "%d", cases[i].seen);
		res = result_of(cases[i].rows, tail);
		for (int row = 0; row < cases[i].rows && cases[i].flag; row++)
			set(res, row, OUT_TID, NULL, -1);
		how.sized = cases[i].sized;
		TAP_INT_FATAL(read_it(&res), 0);
		TAP_INT(c.skipped, cases[i].skipped);
		TAP_INT(c.batch->count, cases[i].skipped ? 0 : cases[i].rows);
		CU_ASSERT_FALSE(c.cut);
		batch_free(c.batch);
	}
}

static void
test_tail(void)
{
	PGresult *res = result_of(0, "-9223372036854775807 4711 991:1000:991,995,999 16/B374D848 A/00000001 7");

	ladder.count = 4;
	ladder.rungs[0].xmax = 991;
	ladder.rungs[1].xmax = 992;
	ladder.rungs[2].xmax = 999;
	ladder.rungs[3].xmax = UINT64_MAX;
	TAP_INT_FATAL(read_it(&res), 0);
	CU_ASSERT_PTR_NULL(res);
	CU_ASSERT(c.view.floor_id == LADDER_BOTTOM);
	TAP_INT(c.backend_pid, 4711);
	TAP_INT(c.view.xmax, 1000);
	TAP_INT(c.view.open, 3);
	TAP_INT(c.view.below[0], 0);
	TAP_INT(c.view.below[1], 1);
	TAP_INT(c.view.below[2], 2);
	TAP_INT(c.view.below[3], 3);
	CU_ASSERT(c.wal_insert_lsn == UINT64_C(0x16B374D848));
	CU_ASSERT(c.wal_flush_lsn == UINT64_C(0xA00000001));
	TAP_INT(c.seen_rows, 7);
	TAP_INT(c.batch->count, 0);
	CU_ASSERT_FALSE(c.cut || c.batch->full || c.view.full);
	batch_free(c.batch);
	/* nobody writes */
	res = result_of(0, TAIL);
	TAP_INT_FATAL(read_it(&res), 0);
	TAP_INT(c.view.open, 0);
	TAP_INT(c.view.below[3], 0);
	TAP_INT(c.seen_rows, 0);
	batch_free(c.batch);
}

/* Which transaction wrote the newest of the rows, with the epoch that its 32 bits lack. */
static void
test_xids(void)
{
	static const struct {
		const char *tail, *xids[2];
		uint64_t newest;
	} cases[] = {
		{"0 4711 1:1000: 0/1 0/1 0", {"\0\0\2\0", "\0\0\1\377"}, 512},
		{"0 4711 1:4294967301: 0/1 0/1 0", {"\0\0\0\3", "\0\0\0\3"}, UINT64_C(0x100000003)},
		{"0 4711 1:4294967301: 0/1 0/1 0", {"\0\0\0\12", "\377\377\377\376"}, UINT32_MAX - 1},
		{"0 4711 1:8589934597: 0/1 0/1 0", {"\0\0\0\12", "\0\0\0\12"}, UINT64_C(0x10000000a)},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		PGresult *res = result_of(2, cases[i].tail);

		for (int row = 0; row < 2; row++)
			set(res, row, OUT_XMIN, cases[i].xids[row], 4);
		TAP_INT_FATAL(read_it(&res), 0);
		CU_ASSERT(c.newest_xid == cases[i].newest);
		batch_free(c.batch);
	}
}

static void
test_bad_tails(void)
{
	static const char *const tails[] = {
		NULL, "", "x", "1 2 3", "1 2 3 0/4 0/5 6", "1 2 3: 0/4 0/5 6", "1 2 3:9 0/4 0/5 6", "1 2 :9: 0/4 0/5 6",
		"1 2 3:9:x 0/4 0/5 6", "1 2 3:9:4, 0/4 0/5 6", "1 2 3:9:4 0/4 0/5", "1 2 3:9:4",
	};

	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		PGresult *res = result_of(0, tails[i]);

		c.batch = NULL;
		TAP_INT(read_it(&res), -1);
		TAP_INT(err.kind, ERR_FATAL);
		CU_ASSERT_PTR_NULL(c.batch);
		CU_ASSERT_PTR_NOT_NULL(res);
		PQclear(res);
	}
}

static void
test_rows(void)
{
	PGresult *res = result_of(2, TAIL);
	const struct event *ev;

	opt.extra_count = 1;
	how.limit = 2;
	set(res, 0, OUT_EVENT_ID, "\x01\x23\x45\x67\x89\xab\xcd\xef\x00\x11\x22\x33\x44\x55\xfe\xff", 16);
	set(res, 0, OUT_TYPE, "order", 5);
	set(res, 0, OUT_KEY, "k\xc3\xa4", 3);
	set(res, 0, OUT_EVENT_TYPE, "", 0);
	set(res, 0, OUT_PAYLOAD, "\1{\"a\": 1}", 9);
	set(res, 0, OUT_CREATED, "\377\377\377\377\377\377\374\30", 8); /* 1 ms before 2000 */
	set(res, 0, OUT_EXTRA, "acme", 4);
	TAP_INT_FATAL(read_it(&res), 0);
	TAP_INT_FATAL(c.batch->count, 2);
	CU_ASSERT_TRUE(c.batch->full && c.view.full && c.batch->attached);
	TAP_INT(c.view.claimed, 2);
	TAP_INT(c.view.last_id, 258);
	ev = &c.batch->slots[0].ev;
	TAP_INT(ev->id, 258);
	CU_ASSERT(c.batch->slots[0].tid == (UINT64_C(0x10002) << 16 | 3));
	CU_ASSERT(slice_equal(ev->event_id, slice_from("01234567-89ab-cdef-0011-22334455feff")));
	CU_ASSERT(slice_equal(ev->aggregate_type, slice_from("order")));
	CU_ASSERT(slice_equal(ev->key, slice_from("k\xc3\xa4")));
	CU_ASSERT(slice_equal(ev->event_type, slice_from("")));
	CU_ASSERT(slice_equal(ev->payload, slice_from("{\"a\": 1}")));
	CU_ASSERT_TRUE(slice_is_null(ev->headers) && slice_is_null(ev->topic));
	TAP_INT(ev->created_at_ms, 946684799999);
	CU_ASSERT(slice_equal(ev->extra[0], slice_from("acme")));
	TAP_INT(c.batch->bytes, 3 + 8);
	ev = &c.batch->slots[1].ev;
	CU_ASSERT_TRUE(slice_is_null(ev->key) && slice_is_null(ev->payload) && slice_is_null(ev->event_id) && slice_is_null(ev->extra[0]));
	TAP_INT(ev->created_at_ms, -1);
	batch_free(c.batch);
}

/* Only jsonb travels with a version byte; an empty bytea is not NULL. */
static void
test_other_types(void)
{
	PGresult *res = result_of(1, TAIL);
	const struct event *ev;

	lo.columns[COL_PAYLOAD].type = TYPE_BYTEA;
	lo.columns[COL_EVENT_ID].type = TYPE_TEXT;
	set(res, 0, OUT_PAYLOAD, "", 0);
	set(res, 0, OUT_EVENT_ID, "plain", 5);
	TAP_INT_FATAL(read_it(&res), 0);
	ev = &c.batch->slots[0].ev;
	CU_ASSERT_FALSE(slice_is_null(ev->payload));
	TAP_INT(ev->payload.len, 0);
	CU_ASSERT(slice_equal(ev->event_id, slice_from("plain")));
	CU_ASSERT_FALSE(c.batch->full);
	batch_free(c.batch);
}

static void
test_cut(void)
{
	for (int large = 0; large < 3; large++) {
		PGresult *res = result_of(3, TAIL);

		for (int row = 0; row < 3; row++)
			if (row == large)
				set(res, row, OUT_TID, NULL, -1);
		TAP_INT_FATAL(read_it(&res), 0);
		TAP_INT(c.batch->count, large);
		CU_ASSERT_TRUE(c.cut && c.batch->full && c.view.full);
		TAP_INT(c.view.claimed, large);
		batch_free(c.batch);
	}
}

static void
test_one_event(void)
{
	PGresult *res = result_of(2, TAIL);
	struct arena arena = ARENA_INIT;
	struct event ev;

	set(res, 1, OUT_KEY, "k", 1);
	set(res, 1, OUT_EVENT_ID, "0123456789abcdef", 16);
	TAP_INT(claimed_width(&opt), OUT_EXTRA);
	TAP_INT_FATAL(claimed_read_event(&lo, &opt, res, 1, &arena, &ev, &err), 0);
	TAP_INT(ev.id, 258);
	CU_ASSERT(slice_equal(ev.key, slice_from("k")));
	TAP_INT(ev.event_id.len, 36);
	arena_done(&arena);
	PQclear(res);
}

static void
test_faults(void)
{
	bool reached = true;

	opt.extra_count = 1;
	for (long n = 1; reached; n++) {
		PGresult *res = result_of(1, TAIL);

		set(res, 0, OUT_EVENT_ID, "0123456789abcdef", 16);
		allocs = 0;
		fails_at = n;
		if (read_it(&res) == 0) {
			TAP_INT(c.batch->count, 1);
			CU_ASSERT_PTR_NULL(res);
			batch_free(c.batch);
		} else {
			TAP_INT(err.kind, ERR_RETRY);
			CU_ASSERT_PTR_NOT_NULL(res);
			PQclear(res);
		}
		reached = allocs >= n;
	}
}

int
main(void)
{
	tap_suite_fixture("claimed", setup, NULL);
	tap_test("the last row", test_tail);
	tap_test("bad last rows", test_bad_tails);
	tap_test("rows that could not be locked are noticed", test_skipped);
	tap_test("the newest writer of the rows", test_xids);
	tap_test("rows", test_rows);
	tap_test("other types", test_other_types);
	tap_test("cut by a large payload", test_cut);
	tap_test("one event", test_one_event);
	tap_test("each allocation fails once", test_faults);
	return tap_run();
}
