/* parked.c - in: a connection, which events; out: what is known of them. Changes nothing. */
#include "admin/parked_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/conn.h"
#include "admin/script.h"
#include "source/statements.h"

/* One snapshot for all that is shown, with an end. The plans are pinned as the relay's are: what waits is found by the
 * claim's index, whatever the statistics say. */
#define LOOK_BEGIN                                                                                       \
	"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '30s';"          \
	" SET LOCAL lock_timeout = '5s'; SET LOCAL jit = off; SET LOCAL enable_seqscan = off;"           \
	" SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;"                               \
	" SET LOCAL max_parallel_workers_per_gather = 0"

#define ISO(column) "pg_catalog.to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

/* --- what deciding needs too --- */

void
parked_add_name(struct buf *sql, const struct layout *lo, enum event_column col)
{
	buf_add_str(sql, "(pg_catalog.parse_ident(");
	script_add_literal(sql, lo->columns[col].quoted);
	buf_add_str(sql, "))[1]");
}

void
parked_add_json_names(struct buf *sql, const struct layout *lo)
{
	buf_printf(sql, "ARRAY[%s]::pg_catalog.text[]", lo->json_names != NULL ? lo->json_names : "");
}

void
parked_add_choice(struct buf *sql, const struct layout *lo, const struct parked_choice *choice)
{
	buf_printf(sql,
	           " FROM pgoutbox.parked p WHERE p.relation = %" PRIu32 "%s AND ($1::text IS NULL OR p.key = $1)"
	           " AND ($2::text IS NULL OR p.topic = $2) AND ($3::text IS NULL OR p.reason LIKE $3)"
	           " AND ($4::bigint[] IS NULL OR p.id = ANY ($4))",
	           lo->relation_oid, choice->resolved ? "" : " AND p.state = 'parked'");
}

void
parked_add_ids(struct buf *out, const int64_t *ids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%c%" PRId64, i == 0 ? '{' : ',', ids[i]);
	buf_add_str(out, count == 0 ? "{}" : "}");
}

int
parked_bind_choice(const struct parked_choice *choice, struct buf *ret_array, const char *values[PARKED_PARAMS],
                   struct error *err)
{
	if (choice->ids != NULL)
		parked_add_ids(ret_array, choice->ids, choice->ids_count);
	if (buf_failed(ret_array))
		return error_set(err, ERR_RETRY, "out of memory");
	values[0] = choice->key;
	values[1] = choice->topic;
	values[2] = choice->reason_like;
	values[3] = choice->ids != NULL ? buf_str(ret_array) : NULL;
	return 0;
}

/* --- rows --- */

const char *
parked_value(const struct parked_rows *rows, int row, enum parked_column col)
{
	return PQgetisnull(rows->res, row, (int)col) ? NULL : PQgetvalue(rows->res, row, (int)col);
}

void
parked_rows_done(struct parked_rows *rows)
{
	conn_clear(&rows->res);
	rows->count = 0;
}

static void
add_chosen(struct buf *sql, const struct layout *lo, const struct parked_choice *choice, int64_t limit)
{
	buf_add_str(sql, "WITH p AS MATERIALIZED (SELECT p.id, p.event_row, ");
	if (lo->columns[COL_EVENT_ID].quoted != NULL) {
		buf_add_str(sql, "p.event ->> ");
		parked_add_name(sql, lo, COL_EVENT_ID);
	} else
		buf_add_str(sql, "NULL::text");
	buf_add_str(sql, " AS event_id, p.parked_at, p.key, p.topic, p.reason, p.state, p.resolved_at, p.resolved_by");
	parked_add_choice(sql, lo, choice);
	buf_printf(sql, " ORDER BY p.id LIMIT %" PRId64 ")", limit);
}

/* The unsent events of each lane behind its first parked one, so many and no more; those of a parked key are counted
 * among them. */
static void
add_waiting(struct buf *sql, const struct layout *lo, bool waiting)
{
	const char *id = lo->columns[COL_ID].quoted;

	buf_printf(sql,
	           ", b AS MATERIALIZED (SELECT pgoutbox.lane(p.key, %d) AS lane, min(p.event_row) AS from_row FROM p"
	           " WHERE %s AND p.state = 'parked' AND p.key IS NOT NULL GROUP BY 1),"
	           " w AS MATERIALIZED (SELECT b.lane, x.id, x.key, count(*) OVER (PARTITION BY b.lane) >= %d AS cut"
	           " FROM b CROSS JOIN LATERAL (SELECT t.%s AS id, t.%s::text AS key FROM %s t WHERE ",
	           lo->lanes, waiting ? "true" : "false", PARKED_LOOK, id, lo->columns[COL_AGGREGATE_ID].quoted,
	           lo->relation);
	statements_lane_condition(sql, lo, "b.lane");
	buf_printf(sql,
	           " AND t.%s > b.from_row ORDER BY t.%s LIMIT %d) x),"
	           " n AS (SELECT p.id, count(*) AS waiting FROM p JOIN w ON w.key = p.key AND w.id > p.event_row"
	           " WHERE p.state = 'parked' GROUP BY p.id), c AS (SELECT DISTINCT lane FROM w WHERE cut)",
	           id, id, PARKED_LOOK);
}

static int
query_rows(PGconn *conn, const struct layout *lo, const struct parked_choice *choice, int64_t limit, bool waiting,
           struct parked_rows *ret_rows, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf array __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *values[PARKED_PARAMS];

	add_chosen(&sql, lo, choice, limit);
	add_waiting(&sql, lo, waiting);
	buf_printf(&sql,
	           " SELECT p.id, p.event_row, p.event_id, " ISO("p.parked_at") ", p.key, p.topic, p.reason, p.state, "
	           ISO("p.resolved_at") ", p.resolved_by,"
	           " CASE WHEN %s AND p.state = 'parked' AND p.key IS NOT NULL THEN coalesce(n.waiting, 0) END,"
	           " c.lane IS NOT NULL FROM p LEFT JOIN n ON n.id = p.id"
	           " LEFT JOIN c ON c.lane = pgoutbox.lane(p.key, %d) ORDER BY p.id",
	           waiting ? "true" : "false", lo->lanes);
	if (parked_bind_choice(choice, &array, values, err) != 0 ||
	    conn_ask(conn, &sql, PARKED_PARAMS, values, "could not read the parked events", &ret_rows->res,
	                 err) != 0)
		return -1;
	ret_rows->count = PQntuples(ret_rows->res);
	return 0;
}

int
parked_list(PGconn *conn, const struct layout *lo, const struct parked_choice *choice, int64_t limit, bool waiting,
            struct parked_rows *ret_rows, struct error *err)
{
	struct parked_rows rows = PARKED_ROWS_INIT;
	int rc = conn_exec(conn, LOOK_BEGIN, "could not begin", err);

	if (rc == 0)
		rc = query_rows(conn, lo, choice, limit + 1, waiting, &rows, err);
	PQclear(PQexec(conn, "ROLLBACK"));
	if (rc == 0)
		*ret_rows = rows;
	return rc;
}

/* --- one of them --- */

void
parked_event_done(struct parked_event *e)
{
	parked_rows_done(&e->rows);
	parked_rows_done(&e->fields);
	free(e->json);
	e->json = NULL;
}

const char *
parked_field_name(const struct parked_event *e, int field)
{
	return PQgetvalue(e->fields.res, field, 0);
}

const char *
parked_field_value(const struct parked_event *e, int field)
{
	return PQgetisnull(e->fields.res, field, 1) ? NULL : PQgetvalue(e->fields.res, field, 1);
}

static void
add_event(struct buf *sql, const struct layout *lo, bool payload)
{
	buf_add_str(sql, "(SELECT p.relation, p.event");
	if (!payload && lo->columns[COL_PAYLOAD].quoted != NULL) {
		buf_add_str(sql, " - ");
		parked_add_name(sql, lo, COL_PAYLOAD);
	}
	buf_add_str(sql, " AS event FROM pgoutbox.parked p WHERE p.id = $1::bigint) p");
}

static int
read_event(PGconn *conn, const struct layout *lo, const char *id, bool payload, struct parked_event *e,
           struct error *err)
{
	static const char doing[] = "could not read the event";
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_add_str(&sql, "SELECT (SELECT pg_catalog.json_object_agg(e.key, CASE WHEN pg_catalog.jsonb_typeof(e.value) = 'string'"
	                  " AND e.key = ANY (");
	parked_add_json_names(&sql, lo);
	buf_add_str(&sql, ") THEN (e.value #>> '{}')::json ELSE e.value::json END) FROM pg_catalog.jsonb_each(p.event) e)::text FROM ");
	add_event(&sql, lo, payload);
	if (conn_ask(conn, &sql, 1, &id, doing, &res, err) != 0)
		return -1;
	e->json = strdup(PQgetvalue(res, 0, 0));
	if (e->json == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	buf_reset(&sql);
	buf_add_str(&sql, "SELECT e.key, e.value FROM ");
	add_event(&sql, lo, payload);
	buf_add_str(&sql, " CROSS JOIN LATERAL pg_catalog.jsonb_each_text(p.event) e"
	                  " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = p.relation"
	                  " AND a.attname = e.key AND a.attnum > 0 ORDER BY a.attnum NULLS LAST, e.key");
	if (conn_ask(conn, &sql, 1, &id, doing, &e->fields.res, err) != 0)
		return -1;
	e->fields.count = PQntuples(e->fields.res);
	return 0;
}

static int
show(PGconn *conn, const struct layout *lo, int64_t id, bool payload, bool waiting, struct parked_event *e,
     struct error *err)
{
	struct parked_choice choice = {.ids = &id, .ids_count = 1, .resolved = true};

	if (query_rows(conn, lo, &choice, 1, waiting, &e->rows, err) != 0)
		return -1;
	if (e->rows.count == 0) {
		error_set(err, ERR_CONFIG, "there is no parked event %" PRId64 " of table \"%s\"", id, lo->relation);
		return error_hint(err, "see \"pgoutboxctl parked list --all\"");
	}
	return read_event(conn, lo, parked_value(&e->rows, 0, PARKED_ID), payload, e, err);
}

int
parked_show(PGconn *conn, const struct layout *lo, int64_t id, bool payload, bool waiting,
            struct parked_event *ret_event, struct error *err)
{
	struct parked_event e = PARKED_EVENT_INIT;
	int rc = conn_exec(conn, LOOK_BEGIN, "could not begin", err);

	if (rc == 0)
		rc = show(conn, lo, id, payload, waiting, &e, err);
	PQclear(PQexec(conn, "ROLLBACK"));
	if (rc == 0)
		*ret_event = e;
	else
		parked_event_done(&e);
	return rc;
}
