/* test_statements.c - SQL for each kind of table, and parameters. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include "unit/failing_alloc.h"

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
	TAP_HAS(st.claim, "(t.\"aggregate_id\"::text = ANY ($7::text[])) IS NOT TRUE ORDER BY t.\"id\" LIMIT $2::bigint"
	                  " FOR UPDATE OF t NOWAIT");
	LACKS(st.claim, "seen");
	/* the second walk does not begin at the floor again */
	TAP_HAS(st.claim_sized, "min(v.id) AS first, coalesce(max(v.id), 0) AS last FROM (SELECT t.\"id\" AS id FROM");
	TAP_HAS(st.claim_sized, "t.\"id\" >= (SELECT first FROM seen)");
	TAP_HAS(st.claim_sized, "LIMIT $2::bigint FOR UPDATE OF t SKIP LOCKED");
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
	TAP_HAS(st.bell, "pgoutbox.lane(t.\"aggregate_id\", 4) = r.lane AND t.\"sent_at\" IS NULL AND t.\"id\" >= r.from_id");
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

/* --- memory --- */

static void
test_faults(void)
{
	static const char *const extra[] = {"tenant"};
	bool reached = true;

	opt.extra_columns = extra;
	opt.extra_count = 1;
	for (long n = 1; reached; n++) {
		allocs = 0;
		fails_at = n;
		if (statements_make(&lo, &opt, &st, &err) == 0) {
			CU_ASSERT_PTR_NOT_NULL(st.settle_tids);
			TAP_HAS(st.claim, ", t.\"tenant\"::text AS o_extra0");
			TAP_HAS(st.claim_sized, ", t.\"tenant\"::text AS o_extra0");
			statements_done(&st);
		} else
			TAP_INT(err.kind, ERR_RETRY);
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
	tap_test("each allocation fails once", test_faults);
	tap_test("arrays without memory", test_arrays_without_memory);
	return tap_run();
}
