/* test_statements.c - SQL for each kind of table, parameters, and batches made of fabricated results. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

static long fails_at, allocs;

static inline bool
alloc_fails(void)
{
	return ++allocs == fails_at;
}

static inline void *
try_malloc(size_t size)
{
	return alloc_fails() ? NULL : malloc(size);
}

static inline void *
try_calloc(size_t count, size_t size)
{
	return alloc_fails() ? NULL : calloc(count, size);
}

static inline void *
try_realloc(void *p, size_t size)
{
	return alloc_fails() ? NULL : realloc(p, size);
}

#define malloc(size) try_malloc(size)
#define calloc(count, size) try_calloc(count, size)
#define realloc(p, size) try_realloc(p, size)
#include "base/arena.c"
#include "base/buf.c"
#include "model/batch.c"
#include "source/statements.c"
#undef malloc
#undef calloc
#undef realloc

#include "support/tap.h"

char *
layout_quote(const char *name)
{
	struct buf quoted = BUF_INIT;

	buf_add_char(&quoted, '"');
	for (; *name != '\0'; name++)
		buf_printf(&quoted, *name == '"' ? "\"\"" : "%c", *name);
	buf_add_char(&quoted, '"');
	return buf_take(&quoted);
}

static const char *const default_names[COL_COUNT] = {"\"id\"", "\"event_id\"", "\"aggregate_type\"", "\"aggregate_id\"", "\"event_type\"",
                                               "\"payload\"", "\"headers\"", "\"topic\"", "\"created_at\"", "\"sent_at\""};
static const enum layout_type default_types[COL_COUNT] = {TYPE_INTEGER, TYPE_UUID, TYPE_TEXT, TYPE_TEXT, TYPE_TEXT, TYPE_JSONB,
                                                          TYPE_JSONB, TYPE_TEXT, TYPE_TIMESTAMPTZ, TYPE_TIMESTAMPTZ};

static struct layout lo;
static struct statements_options opt;
static struct statements st;
static struct error err;

static void
setup(void)
{
	fails_at = allocs = 0;
	lo = (struct layout){.relation = (char *)(uintptr_t) "\"public\".\"outbox_events\"", .relation_oid = 4242, .lanes = 4,
	                     .tids_unique = true};
	for (int i = 0; i < COL_COUNT; i++)
		lo.columns[i] = (struct layout_column){.quoted = (char *)(uintptr_t)default_names[i], .type = default_types[i]};
	opt = (struct statements_options){.block_parked_keys = true, .batch_bytes = 1000, .batch_rows = 10};
	st = (struct statements){0};
}

static void
teardown(void)
{
	statements_done(&st);
}

static void
make(void)
{
	statements_done(&st);
	TAP_INT(statements_make(&lo, &opt, &st, &err), 0);
}

#define LACKS(text, part) CU_ASSERT_PTR_NULL(strstr((text), (part)))

static void
test_default_texts(void)
{
	make();
	TAP_HAS(st.claim, "pgoutbox.lane(t.\"aggregate_id\", 4) = $1::int AND t.\"sent_at\" IS NULL AND t.\"id\" >= (SELECT floor FROM base)");
	/* the second walk does not begin at the floor again */
	TAP_HAS(st.claim, "min(v.id) AS first, coalesce(max(v.id), 0) AS last FROM (SELECT t.\"id\" AS id FROM");
	TAP_HAS(st.claim, "t.\"id\" >= (SELECT first FROM seen)");
	TAP_HAS(st.claim_sized, "t.\"id\" >= (SELECT first FROM seen)");
	TAP_HAS(st.claim, "(t.\"aggregate_id\"::text = ANY ($7::text[])) IS NOT TRUE ORDER BY t.\"id\" LIMIT $2::bigint"
	                  " FOR UPDATE OF t SKIP LOCKED");
	TAP_HAS(st.claim, "-9223372036854775807");
	TAP_HAS(st.claim, "t.\"event_id\"::uuid AS o_event_id");
	TAP_HAS(st.claim, "t.\"payload\"::jsonb");
	TAP_HAS(st.claim_sized, "WHERE NOT cut");
	TAP_STR(st.settle_tids, "UPDATE \"public\".\"outbox_events\" t SET \"sent_at\" = statement_timestamp() WHERE t.ctid = ANY ($1::tid[])");
	TAP_STR(st.settle_ids, "UPDATE \"public\".\"outbox_events\" t SET \"sent_at\" = statement_timestamp() WHERE t.\"id\" = ANY"
	                       " ($1::bigint[]) AND t.\"sent_at\" IS NULL");
	TAP_HAS(st.park, "4242::regclass");
	TAP_HAS(st.park, "to_jsonb(t)");
	TAP_HAS(st.park, "t.\"id\" = u.id AND t.\"sent_at\" IS NULL");
	TAP_HAS(st.parked_keys, "WHERE true AND relation = 4242 AND state = 'parked' AND key IS NOT NULL AND pgoutbox.lane(key, 4) = $1::int");
	TAP_HAS(st.bell, "pgoutbox.lane(t.\"aggregate_id\", 4) = u.lane AND t.\"sent_at\" IS NULL AND t.\"id\" >= u.from_id");
	CU_ASSERT_TRUE(statements_renew(&st, &lo, &opt));
}

static void
test_park_json(void)
{
	char names[] = "'note', 'x'", texts[] = "t.note::text, t.x::text";

	make();
	lo.holder_names = names;
	lo.holder_texts = texts;
	CU_ASSERT_TRUE(statements_renew(&st, &lo, &opt)); /* and takes it over */
	TAP_HAS(st.park, "u.reason, to_jsonb(jsonb_populate_record(t, (SELECT jsonb_object_agg(n, NULL)"
	                 " FROM unnest(ARRAY['note', 'x']::text[]) n)))"
	                 " || jsonb_object(ARRAY['note', 'x']::text[], ARRAY[t.note::text, t.x::text]), session_user");
}

static void
test_delete_without_sent_at(void)
{
	lo.columns[COL_SENT_AT] = (struct layout_column){0};
	opt.settle_delete = true;
	opt.block_parked_keys = false;
	make();
	LACKS(st.claim, "sent_at");
	LACKS(st.bell, "sent_at");
	LACKS(st.park, "IS NULL");
	TAP_STR(st.settle_tids, "DELETE FROM \"public\".\"outbox_events\" t WHERE t.ctid = ANY ($1::tid[])");
	TAP_STR(st.settle_ids, "DELETE FROM \"public\".\"outbox_events\" t WHERE t.\"id\" = ANY ($1::bigint[])");
	TAP_HAS(st.parked_keys, "WHERE false AND");
}

static void
test_partitions_have_no_tids(void)
{
	make();
	lo.tids_unique = false;
	CU_ASSERT_FALSE(statements_renew(&st, &lo, &opt));
	make();
	CU_ASSERT_PTR_NULL(st.settle_tids);
	CU_ASSERT_TRUE(statements_renew(&st, &lo, &opt));
}

/* The lane's expression has to be the index's own, to the letter. */
static void
test_key_types(void)
{
	enum layout_type types[] = {TYPE_VARCHAR, TYPE_UUID, TYPE_INTEGER};

	for (size_t i = 0; i < 3; i++) {
		lo.columns[COL_AGGREGATE_ID].type = types[i];
		make();
		TAP_HAS(st.claim, "pgoutbox.lane(t.\"aggregate_id\"::text, 4)");
		TAP_HAS(st.bell, "pgoutbox.lane(t.\"aggregate_id\"::text, 4)");
	}
}

static void
test_payload_types(void)
{
	struct {
		enum layout_type type;
		const char *cast, *bytes;
	} kinds[] = {
		{TYPE_JSONB, "t.\"payload\"::jsonb", "ELSE octet_length(t.\"payload\"::text) END"},
		{TYPE_JSON, "t.\"payload\"::text", "octet_length(t.\"payload\"::text) AS o_bytes"},
		{TYPE_TEXT, "t.\"payload\"::text", "octet_length(t.\"payload\") AS o_bytes"},
		{TYPE_VARCHAR, "t.\"payload\"::text", "octet_length(t.\"payload\") AS o_bytes"},
		{TYPE_BYTEA, "t.\"payload\"::bytea", "octet_length(t.\"payload\") AS o_bytes"},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		lo.columns[COL_PAYLOAD].type = kinds[i].type;
		make();
		TAP_HAS(st.claim, kinds[i].cast);
		TAP_HAS(st.claim_sized, kinds[i].cast);
		TAP_HAS(st.claim_sized, kinds[i].bytes);
	}
}

static void
test_mapped_and_missing(void)
{
	static const char *const extra[] = {"tenant", "odd\"name"};

	lo.columns[COL_ID].quoted = (char *)(uintptr_t) "\"seq\"\"no\"";
	lo.columns[COL_EVENT_ID] = lo.columns[COL_HEADERS] = lo.columns[COL_TOPIC] = lo.columns[COL_CREATED_AT] = (struct layout_column){0};
	opt.extra_columns = extra;
	opt.extra_count = 2;
	make();
	TAP_HAS(st.claim, "ORDER BY t.\"seq\"\"no\"");
	TAP_HAS(st.claim, "NULL::text AS o_event_id");
	TAP_HAS(st.claim, "NULL::timestamptz AS o_created, t.\"tenant\"::text AS o_extra0, t.\"odd\"\"name\"::text AS o_extra1");
	TAP_HAS(st.claim_sized, "o_created, o_extra0, o_extra1 FROM");
}

static void
test_changed_table_does_not_fit(void)
{
	make();
	lo.relation_oid++;
	CU_ASSERT_FALSE(statements_renew(&st, &lo, &opt));
	lo.relation_oid--;
	make();
	lo.lanes = 8;
	CU_ASSERT_FALSE(statements_renew(&st, &lo, &opt));
}

/* --- parameters --- */

static void
test_bind_claim(void)
{
	struct claim_params p = {.from_ids = BUF_INIT, .xmaxes = BUF_INIT, .opens = BUF_INIT};
	struct ladder ladder;

	ladder_init(&ladder, 0);
	statements_bind_claim(&p, 3, 50, 999, &ladder, false, NULL);
	TAP_STR(p.values[0], "3");
	TAP_STR(p.values[1], "50");
	TAP_STR(p.values[2], "999");
	TAP_STR(p.values[3], "{}");
	TAP_STR(p.values[6], "{}");
	ladder.count = 2;
	ladder.rungs[0] = (struct rung){-5, 18446744073709551615U, 0};
	ladder.rungs[1] = (struct rung){INT64_MAX, 7, 2};
	statements_bind_claim(&p, 63, 1, 0, &ladder, false, "{\"k\"}");
	TAP_STR(p.values[3], "{-5,9223372036854775807}");
	TAP_STR(p.values[4], "{18446744073709551615,7}");
	TAP_STR(p.values[5], "{0,2}");
	TAP_STR(p.values[6], "{\"k\"}");
	statements_bind_claim(&p, 63, 1, 0, &ladder, true, NULL);
	TAP_STR(p.values[3], "{-9223372036854775807,-9223372036854775807}");
	TAP_STR(p.values[4], "{18446744073709551615,7}");
	buf_done(&p.from_ids);
	buf_done(&p.xmaxes);
	buf_done(&p.opens);
}

static void
test_arrays(void)
{
	static const char tids[] = "\0\0\0\1\0\0\0\0\0\0\0\33\0\0\0\1\0\0\0\1\0\0\0\6\200\0\0\1\377\376";
	static const char ids[] = "\0\0\0\1\0\0\0\0\0\0\0\24\0\0\0\1\0\0\0\1\0\0\0\10\377\377\377\377\377\377\377\376";
	struct batch *b = batch_new(2);
	struct buf out = BUF_INIT;

	batch_add(b)->ev.id = 1;
	*batch_add(b) = (struct slot){.batch = b, .ev = {.id = -2}, .tid = (uint64_t)0x80000001U << 16 | 0xfffe, .settling = true};
	statements_tids(b, 1, &out);
	TAP_INT(out.len, sizeof(tids) - 1);
	CU_ASSERT(memcmp(out.data, tids, out.len) == 0);
	buf_reset(&out);
	statements_ids(b, 1, &out);
	TAP_INT(out.len, sizeof(ids) - 1);
	CU_ASSERT(memcmp(out.data, ids, out.len) == 0);
	buf_done(&out);
	batch_free(b);
}

static void
test_park_arrays(void)
{
	struct batch *b = batch_new(4);
	struct buf ids = BUF_INIT, topics = BUF_INIT, reasons = BUF_INIT;

	for (int i = 0; i < 4; i++) {
		struct slot *slot = batch_add(b);

		slot->ev.id = i - 1;
		if (i != 1)
			batch_move(slot, EV_POISONED);
	}
	b->slots[0].reason = "a \"b\" \\, {NULL}";
	b->slots[2].topic = "NULL";
	batch_settle_begin(b);
	b->slots[3].settling = false;
	statements_park(b, &ids, &topics, &reasons);
	TAP_STR(buf_str(&ids), "{\"-1\",\"1\"}");
	TAP_STR(buf_str(&topics), "{NULL,\"NULL\"}");
	TAP_STR(buf_str(&reasons), "{\"a \\\"b\\\" \\\\, {NULL}\",\"unknown\"}");
	buf_done(&ids);
	buf_done(&topics);
	buf_done(&reasons);
	batch_free(b);
}

/* --- results --- */

#define COLUMNS (OUT_EXTRA + 1)

static PGresult *
result_of(const char *head)
{
	PGresAttDesc attrs[COLUMNS];
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	for (int i = 0; i < COLUMNS; i++)
		attrs[i] = (PGresAttDesc){.name = (char *)(uintptr_t) "c", .format = 1, .typlen = -1, .atttypmod = -1};
	PQsetResultAttrs(res, COLUMNS, attrs);
	for (int i = 0; i < COLUMNS; i++)
		PQsetvalue(res, 0, i, NULL, -1);
	if (head != NULL)
		PQsetvalue(res, 0, OUT_HEAD, (char *)(uintptr_t)head, (int)strlen(head));
	return res;
}

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

/* "@" stands for what was there to be claimed: decode() writes what fits the rows. */
#define HEAD "-9223372036854775807 4711 1000 3 16/B374D848 A/00000001 @"

static void
write_seen(PGresult *res, int rows, int last_id)
{
	const char *head = PQgetvalue(res, 0, OUT_HEAD);
	const char *at = strchr(head, '@');
	char text[256];

	if (at == NULL)
		return;
	snprintf(text, sizeof(text), "%.*s%d %d%s", (int)(at - head), head, rows, last_id, at + 1);
	set(res, 0, OUT_HEAD, text, (int)strlen(text));
}

static int
decode(PGresult **res, int64_t limit, struct claim_head *ret_head, struct batch **ret_b, bool *ret_cut)
{
	write_seen(*res, PQntuples(*res) - 1, PQntuples(*res) > 1 ? 258 : 0);
	return statements_read_claim(&lo, &opt, res, false, limit, ret_head, ret_b, ret_cut, &err);
}

/* A row that somebody else has locked is there to be claimed, but does not come: in the middle, at the end, or all of them. */
static void
test_decode_skipped(void)
{
	static const struct {
		int rows, seen, last;
		bool sized, flag, skipped;
	} cases[] = {
		{2, 2, 258, false, false, false}, {2, 3, 258, false, false, true}, {2, 2, 257, false, false, true},
		{0, 0, 0, false, false, false},   {0, 1, 258, false, false, true}, {2, 9, 999, true, false, false},
		{2, 2, 258, true, true, true},    {0, 1, 258, true, false, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		PGresult *res = result_of(HEAD);
		struct claim_head head;
		struct batch *b;
		bool cut;

		for (int row = 1; row <= cases[i].rows; row++) {
			add_row(res, row);
			set(res, row, OUT_FLAG, cases[i].flag ? "\1" : "\0", 1);
		}
		write_seen(res, cases[i].seen, cases[i].last);
		TAP_INT_FATAL(statements_read_claim(&lo, &opt, &res, cases[i].sized, 10, &head, &b, &cut, &err), 0);
		TAP_INT(head.skipped, cases[i].skipped);
		TAP_INT(b->count, cases[i].skipped ? 0 : cases[i].rows);
		batch_free(b);
	}
}

static void
test_decode_head(void)
{
	struct claim_head head;
	struct batch *b;
	bool cut;
	PGresult *res = result_of(HEAD " 2 1 0");

	TAP_INT_FATAL(decode(&res, 10, &head, &b, &cut), 0);
	CU_ASSERT_PTR_NULL(res);
	CU_ASSERT(head.view.floor_id == LADDER_BOTTOM);
	TAP_INT(head.backend_pid, 4711);
	TAP_INT(head.view.xmax, 1000);
	TAP_INT(head.view.open, 3);
	TAP_INT(head.view.below[0], 2);
	TAP_INT(head.view.below[1], 1);
	TAP_INT(head.view.below[2], 0);
	CU_ASSERT(head.wal_insert_lsn == UINT64_C(0x16B374D848));
	CU_ASSERT(head.wal_flush_lsn == UINT64_C(0xA00000001));
	TAP_INT(b->count, 0);
	CU_ASSERT_FALSE(cut || b->full || head.view.full);
	batch_free(b);
}

/* Which transaction wrote the newest of the rows, with the epoch that its 32 bits lack. */
static void
test_decode_xids(void)
{
	static const struct {
		const char *head, *xids[2];
		uint64_t newest;
	} cases[] = {
		{"0 4711 1000 3 0/1 0/1 @", {"\0\0\2\0", "\0\0\1\377"}, 512},
		{"0 4711 4294967301 3 0/1 0/1 @", {"\0\0\0\3", "\0\0\0\3"}, UINT64_C(0x100000003)},
		{"0 4711 4294967301 3 0/1 0/1 @", {"\0\0\0\12", "\377\377\377\376"}, UINT32_MAX - 1},
		{"0 4711 8589934597 3 0/1 0/1 @", {"\0\0\0\12", "\0\0\0\12"}, UINT64_C(0x10000000a)},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		PGresult *res = result_of(cases[i].head);
		struct claim_head head;
		struct batch *b;
		bool cut;

		for (int row = 1; row <= 2; row++) {
			add_row(res, row);
			set(res, row, OUT_XMIN, cases[i].xids[row - 1], 4);
		}
		TAP_INT_FATAL(decode(&res, 10, &head, &b, &cut), 0);
		CU_ASSERT(head.newest_xid == cases[i].newest);
		batch_free(b);
	}
}

static void
test_decode_bad_heads(void)
{
	static const char *const heads[] = {NULL, "", "x", "1 2 3", "1 2 3 4 5 6"};
	struct claim_head head;
	struct batch *b = NULL;
	bool cut;

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		PGresult *res = result_of(heads[i]);

		TAP_INT(decode(&res, 10, &head, &b, &cut), -1);
		CU_ASSERT_PTR_NULL(b);
		CU_ASSERT_PTR_NOT_NULL(res);
		PQclear(res);
	}
}

static void
test_decode_row(void)
{
	struct claim_head head;
	struct batch *b;
	bool cut;
	PGresult *res = result_of(HEAD);

	opt.extra_count = 1;
	add_row(res, 1);
	set(res, 1, OUT_EVENT_ID, "\x01\x23\x45\x67\x89\xab\xcd\xef\x00\x11\x22\x33\x44\x55\xfe\xff", 16);
	set(res, 1, OUT_TYPE, "order", 5);
	set(res, 1, OUT_KEY, "k\xc3\xa4", 3);
	set(res, 1, OUT_EVENT_TYPE, "", 0);
	set(res, 1, OUT_PAYLOAD, "\1{\"a\": 1}", 9);
	set(res, 1, OUT_CREATED, "\377\377\377\377\377\377\374\30", 8); /* 1 ms before 2000 */
	set(res, 1, OUT_EXTRA, "acme", 4);
	add_row(res, 2);
	TAP_INT_FATAL(decode(&res, 2, &head, &b, &cut), 0);
	TAP_INT_FATAL(b->count, 2);
	CU_ASSERT_TRUE(b->full && head.view.full && b->attached);
	TAP_INT(head.view.claimed, 2);
	TAP_INT(head.view.last_id, 258);
	const struct event *ev = &b->slots[0].ev;
	TAP_INT(ev->id, 258);
	CU_ASSERT(b->slots[0].tid == (UINT64_C(0x10002) << 16 | 3));
	CU_ASSERT(slice_equal(ev->event_id, slice_from("01234567-89ab-cdef-0011-22334455feff")));
	CU_ASSERT(slice_equal(ev->aggregate_type, slice_from("order")));
	CU_ASSERT(slice_equal(ev->key, slice_from("k\xc3\xa4")));
	CU_ASSERT(slice_equal(ev->event_type, slice_from("")));
	CU_ASSERT(slice_equal(ev->payload, slice_from("{\"a\": 1}")));
	CU_ASSERT_TRUE(slice_is_null(ev->headers) && slice_is_null(ev->topic));
	TAP_INT(ev->created_at_ms, 946684799999);
	CU_ASSERT(slice_equal(ev->extra[0], slice_from("acme")));
	TAP_INT(b->bytes, 3 + 8);
	ev = &b->slots[1].ev;
	CU_ASSERT_TRUE(slice_is_null(ev->key) && slice_is_null(ev->payload) && slice_is_null(ev->event_id) && slice_is_null(ev->extra[0]));
	TAP_INT(ev->created_at_ms, -1);
	batch_free(b);
}

/* Only jsonb travels with a version byte; an empty bytea is not NULL. */
static void
test_decode_other_types(void)
{
	struct claim_head head;
	struct batch *b;
	bool cut;
	PGresult *res = result_of(HEAD);

	lo.columns[COL_PAYLOAD].type = TYPE_BYTEA;
	lo.columns[COL_EVENT_ID].type = TYPE_TEXT;
	add_row(res, 1);
	set(res, 1, OUT_PAYLOAD, "", 0);
	set(res, 1, OUT_EVENT_ID, "plain", 5);
	TAP_INT_FATAL(decode(&res, 10, &head, &b, &cut), 0);
	CU_ASSERT_FALSE(slice_is_null(b->slots[0].ev.payload));
	TAP_INT(b->slots[0].ev.payload.len, 0);
	CU_ASSERT(slice_equal(b->slots[0].ev.event_id, slice_from("plain")));
	CU_ASSERT_FALSE(b->full);
	batch_free(b);
}

static void
test_decode_cut(void)
{
	struct claim_head head;
	struct batch *b;
	bool cut;

	for (int large = 1; large <= 3; large++) {
		PGresult *res = result_of(HEAD);

		for (int row = 1; row <= 3; row++) {
			add_row(res, row);
			set(res, row, OUT_FLAG, row == large ? "\1" : "\0", 1);
		}
		TAP_INT_FATAL(decode(&res, 10, &head, &b, &cut), 0);
		TAP_INT(b->count, large - 1);
		CU_ASSERT_TRUE(cut && b->full && head.view.full);
		TAP_INT(head.view.claimed, large - 1);
		batch_free(b);
	}
}

/* --- memory --- */

static void
test_faults(void)
{
	static const char *const extra[] = {"tenant"};
	bool reached = true;

	opt.extra_columns = extra;
	opt.extra_count = 1;
	for (long n = 1; reached; n++) {
		struct batch *b = NULL;
		struct claim_head head;
		bool cut;
		PGresult *res = result_of(HEAD);

		add_row(res, 1);
		set(res, 1, OUT_EVENT_ID, "0123456789abcdef", 16);
		allocs = 0;
		fails_at = n;
		if (statements_make(&lo, &opt, &st, &err) == 0) {
			CU_ASSERT_PTR_NOT_NULL(st.settle_tids);
			TAP_HAS(st.claim, ", t.\"tenant\"::text AS o_extra0");
			TAP_HAS(st.claim_sized, ", t.\"tenant\"::text AS o_extra0");
			statements_done(&st);
		} else
			TAP_INT(err.kind, ERR_RETRY);
		if (decode(&res, 10, &head, &b, &cut) == 0) {
			TAP_INT(b->count, 1);
			CU_ASSERT_PTR_NULL(res);
			batch_free(b);
		} else
			PQclear(res);
		reached = allocs >= n;
	}
}

/* Settling with too little memory must fail in the server rather than settle nothing and seem well. */
static void
test_arrays_without_memory(void)
{
	struct batch *b = batch_new(1);
	struct buf out = BUF_INIT;

	batch_add(b)->settling = true;
	allocs = 0;
	fails_at = 1;
	statements_tids(b, 1, &out);
	CU_ASSERT_TRUE(buf_failed(&out));
	CU_ASSERT_PTR_NOT_NULL(buf_str(&out));
	TAP_INT(out.len, 0);
	buf_done(&out);
	batch_free(b);
}

int
main(void)
{
	tap_suite_fixture("statements", setup, teardown);
	tap_test("the default table", test_default_texts);
	tap_test("delete, without sent_at", test_delete_without_sent_at);
	tap_test("json is parked as text", test_park_json);
	tap_test("partitions have no tids", test_partitions_have_no_tids);
	tap_test("types of keys", test_key_types);
	tap_test("types of payloads", test_payload_types);
	tap_test("mapped, missing and further columns", test_mapped_and_missing);
	tap_test("a changed table does not fit", test_changed_table_does_not_fit);
	tap_test("a claim's parameters", test_bind_claim);
	tap_test("arrays of tids and ids", test_arrays);
	tap_test("arrays of what is to be parked", test_park_arrays);
	tap_test("a claim's head", test_decode_head);
	tap_test("rows that could not be locked are noticed", test_decode_skipped);
	tap_test("a claim tells the newest writer of its rows", test_decode_xids);
	tap_test("bad heads", test_decode_bad_heads);
	tap_test("a claim's rows", test_decode_row);
	tap_test("other types", test_decode_other_types);
	tap_test("cut by a large payload", test_decode_cut);
	tap_test("each allocation fails once", test_faults);
	tap_test("arrays without memory", test_arrays_without_memory);
	return tap_run();
}
