/* test_layout.c - the question's text and the answer's facts. What PostgreSQL makes of it is tested in tests/pg. */
#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#include "source/layout.h"
#include "support/tap.h"

static const char *const fields[] = {
	"quoted", "found", "type", "type_name", "not_null", "uniq", "immutable", "may_update", "oid", "relation",
		"kind",
	"persistence", "has_children", "hides_rows", "in_recovery", "role", "may_use_schema", "may_select", "may_lock",
		"may_delete",
	"schema_exists", "may_use_pgoutbox", "may_read_pgoutbox", "may_park", "may_call_lane", "readable", "version",
		"lanes",
	"claim_index", "index_valid", "index_fits", "notifies", "json_names", "holder_names", "holder_texts",
	"receipts_exist", "may_keep_receipts",
};
#define FIELDS ((int)(sizeof(fields) / sizeof(fields[0])))

static const char *const table_facts[] = {"16400", "public.outbox_events", "r", "p", "f", "f", "f", "relay", "t", "t",
                                          "t", "t",
                                          "t", "t", "t", "t", "t", "t", "3", "4", "outbox_events_lane4", "t", "t", "f",
                                          "'note'", "'note', 'x'", "t.note::text, t.x::text", "t", "f"};

/* quoted, found, type, type_name, not_null, uniq, immutable, may_update */
static const char *const columns[COL_COUNT + 1][8] = {
	{"id", "t", "20", "bigint", "t", "t", "t", "f"},
	{"event_id", "t", "2950", "uuid", "t", "f", "t", "f"},
	{"aggregate_type", "t", "25", "text", "t", "f", "t", "f"},
	{"\"Key\"", "t", "1043", "character varying(20)", "t", "f", "t", "f"},
	{"event_type", "t", "25", "text", "t", "f", "t", "f"},
	{"payload", "t", "17", "bytea", "f", "f", "t", "f"},
	{"headers", "t", "3802", "jsonb", "f", "f", "t", "f"},
	{NULL, "f", NULL, NULL, NULL, "f", NULL, NULL},
	{"created_at", "t", "1114", "timestamp without time zone", "f", "f", "t", "f"},
	{"sent_at", "t", "1184", "timestamp with time zone", "f", "f", "f", "t"},
	{"sent_partition", "t", "23", "integer", "f", "f", "t", "t"},
	{"sent_offset", "t", "20", "bigint", "f", "f", "t", "t"},
	{"tenant", "f", NULL, NULL, NULL, "f", NULL, NULL},
};

static const char *const extra[] = {"tenant"};
static const struct layout_request plain = {
	.table = "outbox_events",
	.columns = {"id", "event_id", "aggregate_type", "Key", "event_type", "payload", "headers", "", "created_at",
	            "sent_at"},
};

static void
put(PGresult *res, int row, int col, const char *value)
{
	char copy[64] = "";

	strncpy(copy, value != NULL ? value : "", sizeof(copy) - 1);
	CU_ASSERT_TRUE_FATAL(PQsetvalue(res, row, col, value != NULL ? copy : NULL,
	                                value != NULL ? (int)strlen(value) : -1) != 0);
}

static PGresult *
answer(int rows, const char *const facts[FIELDS - 8])
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attributes[FIELDS];

	memset(attributes, 0, sizeof(attributes));
	for (int i = 0; i < FIELDS; i++)
		attributes[i].name = (char *)(uintptr_t)fields[i];
	CU_ASSERT_TRUE_FATAL(PQsetResultAttrs(res, FIELDS, attributes) != 0);
	for (int row = 0; row < rows; row++)
		for (int i = 0; i < FIELDS; i++)
			put(res, row, i, i < 8 ? columns[row][i] : facts[i - 8]);
	return res;
}

static void
test_text(void)
{
	struct layout_request rq = plain;
	struct buf sql = BUF_INIT;

	rq.table = "it's \\ odd";
	rq.columns[COL_PAYLOAD] = "o'clock\\";
	rq.columns[COL_TOPIC] = NULL;
	rq.extra = extra;
	rq.extra_count = 1;
	layout_text(&rq, &sql);
	TAP_HAS(buf_str(&sql), "WITH rq(tbl, role, cols) AS (SELECT E'it''s \\\\ odd'::text, coalesce(NULL::name, "
	                       "current_user),"
	                       " ARRAY[E'id', E'event_id', E'aggregate_type', E'Key', E'event_type', E'o''clock\\\\', "
	                       "E'headers', NULL,"
	                       " E'created_at', E'sent_at', NULL, NULL, E'tenant']::text[])");
	buf_reset(&sql);
	rq.role = "re'lay";
	layout_text(&rq, &sql);
	TAP_HAS(buf_str(&sql), "coalesce(E're''lay'::name, current_user)");
	buf_done(&sql);
}

static void
test_take(void)
{
	PGresult *res = answer(COL_COUNT, table_facts);
	struct layout lo = LAYOUT_INIT;
	struct error err = {0};

	TAP_INT_FATAL(layout_take(&plain, res, &lo, &err), 0);
	PQclear(res);
	TAP_STR(lo.relation, "public.outbox_events");
	TAP_INT(lo.relation_oid, 16400);
	TAP_INT(lo.lanes, 4);
	TAP_STR(lo.claim_index, "outbox_events_lane4");
	CU_ASSERT_TRUE(lo.tids_unique);
	TAP_STR(lo.columns[COL_AGGREGATE_ID].quoted, "\"Key\"");
	TAP_INT(lo.columns[COL_AGGREGATE_ID].type, TYPE_VARCHAR);
	TAP_STR(lo.columns[COL_AGGREGATE_ID].type_name, "character varying(20)");
	TAP_INT(lo.columns[COL_ID].type, TYPE_INTEGER);
	CU_ASSERT_TRUE(lo.columns[COL_ID].unique);
	TAP_INT(lo.columns[COL_PAYLOAD].type, TYPE_BYTEA);
	TAP_INT(lo.columns[COL_CREATED_AT].type, TYPE_TIMESTAMP);
	CU_ASSERT_TRUE(lo.columns[COL_SENT_AT].may_update);
	CU_ASSERT_FALSE(lo.columns[COL_SENT_AT].text_immutable);
	CU_ASSERT_PTR_NULL(lo.columns[COL_TOPIC].quoted);
	TAP_INT(lo.columns[COL_TOPIC].type, TYPE_NONE);
	TAP_STR(lo.facts.role, "relay");
	TAP_INT(lo.facts.schema_version, 3);
	CU_ASSERT_TRUE(lo.facts.receipts_exist && !lo.facts.may_keep_receipts);
	CU_ASSERT_TRUE(lo.columns[COL_SENT_OFFSET].bigint && !lo.columns[COL_SENT_PARTITION].bigint);
	CU_ASSERT_TRUE(lo.facts.index_exists && lo.facts.index_valid && lo.facts.index_fits);
	CU_ASSERT_PTR_NULL(lo.facts.missing);
	TAP_STR(lo.json_names, "'note'");
	TAP_STR(lo.holder_names, "'note', 'x'");
	TAP_STR(lo.holder_texts, "t.note::text, t.x::text");
	layout_done(&lo);
	CU_ASSERT_PTR_NULL(lo.relation);
	layout_done(&lo);
}

static void
test_nothing_there(void)
{
	const char *facts[FIELDS - 8] = {[6] = "f", [7] = "relay"};
	PGresult *res = answer(COL_COUNT, facts);
	struct layout lo = LAYOUT_INIT;
	struct error err = {0};

	TAP_INT_FATAL(layout_take(&plain, res, &lo, &err), 0);
	CU_ASSERT_FALSE(lo.facts.exists);
	CU_ASSERT_FALSE(lo.facts.registered);
	CU_ASSERT_FALSE(lo.facts.index_exists);
	TAP_INT(lo.lanes, 0);
	layout_done(&lo);
	TAP_INT(layout_read(&plain, &res, 1, &lo, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, "there is no table \"outbox_events\"");
	CU_ASSERT_PTR_NULL(lo.facts.role);
	PQclear(res);
}

static void
test_extra(void)
{
	PGresult *res = answer(COL_COUNT + 1, table_facts);
	struct layout_request rq = plain;
	struct layout lo = LAYOUT_INIT;
	struct error err = {0};

	rq.extra = extra;
	rq.extra_count = 1;
	TAP_INT_FATAL(layout_take(&rq, res, &lo, &err), 0);
	TAP_STR(lo.facts.missing, "tenant");
	layout_done(&lo);
	PQclear(res);
}

static void
test_read(void)
{
	PGresult *res = answer(COL_COUNT, table_facts);
	struct layout lo = LAYOUT_INIT;
	struct error err = {0};

	TAP_INT(layout_read(&plain, &res, 1, &lo, &err), 0);
	TAP_INT(lo.lanes, 4);
	layout_done(&lo);
	put(res, 0, 3 + 8, "u");
	TAP_INT(layout_read(&plain, &res, 1, &lo, &err), -1);
	TAP_HAS(err.message, "unlogged");
	CU_ASSERT_PTR_NULL(lo.relation);
	PQclear(res);
}

static void
test_foreign_answers(void)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresult *short_one = answer(COL_COUNT - 1, table_facts);
	struct layout lo = LAYOUT_INIT;
	struct error err = {0};

	TAP_INT(layout_take(&plain, res, &lo, &err), -1);
	TAP_INT(err.kind, ERR_RETRY);
	TAP_INT(layout_take(&plain, short_one, &lo, &err), -1);
	PQclear(res);
	PQclear(short_one);
}

static void
test_quote(void)
{
	char *plain_name = layout_quote("a");
	char *odd = layout_quote("A \"b\"");

	TAP_STR(plain_name, "\"a\"");
	TAP_STR(odd, "\"A \"\"b\"\"\"");
	free(plain_name);
	free(odd);
}

int
main(void)
{
	tap_suite("layout");
	tap_test("names go into the question as literals", test_text);
	tap_test("facts are taken over", test_take);
	tap_test("a table that is not there is a fact", test_nothing_there);
	tap_test("columns of the topic template", test_extra);
	tap_test("reading judges", test_read);
	tap_test("an answer to something else", test_foreign_answers);
	tap_test("identifiers are quoted", test_quote);
	return tap_run();
}
