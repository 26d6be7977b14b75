/* parked.c - in: a connection, what is wanted; out: parked events, or decisions about them. Knows no Kafka, prints nothing. */
#include "admin/parked.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/conn.h"
#include "admin/script.h"
#include "base/buf.h"

static int
query(PGconn *conn, struct buf *sql, int count, const char *const *values, const char *doing, PGresult **ret_res, struct error *err)
{
	if (buf_failed(sql))
		return error_set(err, ERR_RETRY, "out of memory");
	if (conn_query(conn, buf_str(sql), count, values, doing, ret_res, err) == 0)
		return 0;
	if (strstr(err->message, "permission denied") != NULL)
		error_hint(err, "connect by --database as a role that may change the outbox table and pgoutbox.parked");
	return -1;
}

/* A column's bare name, as to_jsonb() has it. */
static void
add_name(struct buf *sql, const struct layout *lo, enum event_column col)
{
	buf_add_str(sql, "(parse_ident(");
	script_add_literal(sql, lo->columns[col].quoted);
	buf_add_str(sql, "))[1]");
}

static void
add_columns(struct buf *sql, const struct layout *lo)
{
	buf_add_str(sql, "p.id, p.event_row, ");
	if (lo->columns[COL_EVENT_ID].quoted != NULL) {
		buf_add_str(sql, "p.event ->> ");
		add_name(sql, lo, COL_EVENT_ID);
	} else
		buf_add_str(sql, "NULL::text");
	buf_add_str(sql, ", to_char(p.parked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), p.key, p.topic, p.reason, p.state,"
	                 " to_char(p.resolved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), p.resolved_by");
}

/* $1 is the key, $2 the topic. */
static void
add_filter(struct buf *sql, const struct layout *lo, const struct parked_filter *filter)
{
	buf_printf(sql, " FROM pgoutbox.parked p WHERE p.relation = %" PRIu32 "%s AND ($1::text IS NULL OR p.key = $1)"
	           " AND ($2::text IS NULL OR p.topic = $2)",
	           lo->relation_oid, filter->resolved ? "" : " AND p.state = 'parked'");
}

const char *
parked_value(const struct parked_rows *rows, int row, enum parked_column col)
{
	return PQgetisnull(rows->res, row, (int)col) ? NULL : PQgetvalue(rows->res, row, (int)col);
}

void
parked_rows_done(struct parked_rows *rows)
{
	conn_clear(&rows->res);
}

static int
query_rows(PGconn *conn, struct buf *sql, int count, const char *const *values, struct parked_rows *ret_rows, struct error *err)
{
	if (query(conn, sql, count, values, "could not read the parked events", &ret_rows->res, err) != 0)
		return -1;
	ret_rows->count = PQntuples(ret_rows->res);
	return 0;
}

int
parked_list(PGconn *conn, const struct layout *lo, const struct parked_filter *filter, int64_t limit,
            struct parked_rows *ret_rows, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *values[] = {filter->key, filter->topic};

	buf_add_str(&sql, "SELECT ");
	add_columns(&sql, lo);
	add_filter(&sql, lo, filter);
	buf_printf(&sql, " ORDER BY p.id LIMIT %" PRId64, limit + 1);
	return query_rows(conn, &sql, 2, values, ret_rows, err);
}

/* --- one of them --- */

void
parked_event_done(struct parked_event *e)
{
	parked_rows_done(&e->rows);
	free(e->json);
	e->json = NULL;
}

static int
read_event(PGconn *conn, const struct layout *lo, const char *id, bool payload, struct parked_event *e, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	const char *values[] = {id};

	buf_add_str(&sql, "SELECT (p.event");
	if (!payload && lo->columns[COL_PAYLOAD].quoted != NULL) {
		buf_add_str(&sql, " - ");
		add_name(&sql, lo, COL_PAYLOAD);
	}
	buf_add_str(&sql, ")::text FROM pgoutbox.parked p WHERE p.id = $1::bigint");
	if (query(conn, &sql, 1, values, "could not read the event", &res, err) != 0)
		return -1;
	e->json = strdup(PQgetvalue(res, 0, 0));
	return e->json != NULL ? 0 : error_set(err, ERR_RETRY, "out of memory");
}

/* The backlog is never counted: so many of the lane's next unsent rows are looked at, and no more. */
static int
count_waiting(PGconn *conn, const struct layout *lo, const char *id, struct parked_event *e, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	const char *values[] = {id}, *key = lo->columns[COL_AGGREGATE_ID].quoted, *row = lo->columns[COL_ID].quoted;

	buf_printf(&sql,
	           "SELECT count(*) FILTER (WHERE x.key = p.key), count(*) < %d FROM pgoutbox.parked p CROSS JOIN LATERAL"
	           " (SELECT t.%s::text AS key FROM %s t WHERE pgoutbox.lane(t.%s%s, %d) = pgoutbox.lane(p.key, %d) AND t.%s > p.event_row",
	           PARKED_LOOK, key, lo->relation, key, lo->columns[COL_AGGREGATE_ID].type == TYPE_TEXT ? "" : "::text", lo->lanes, lo->lanes,
	           row);
	if (lo->columns[COL_SENT_AT].quoted != NULL)
		buf_printf(&sql, " AND t.%s IS NULL", lo->columns[COL_SENT_AT].quoted);
	buf_printf(&sql, " ORDER BY t.%s LIMIT %d) x WHERE p.id = $1::bigint AND p.state = 'parked'", row, PARKED_LOOK);
	if (query(conn, &sql, 1, values, "could not look behind the event", &res, err) != 0)
		return -1;
	e->waiting = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	e->waiting_all = PQgetvalue(res, 0, 1)[0] == 't';
	return 0;
}

int
parked_show(PGconn *conn, const struct layout *lo, int64_t id, bool payload, struct parked_event *ret_event, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct parked_event e __attribute__((cleanup(parked_event_done))) = PARKED_EVENT_INIT;
	char text[24];
	const char *values[] = {text};

	snprintf(text, sizeof(text), "%" PRId64, id);
	buf_add_str(&sql, "SELECT ");
	add_columns(&sql, lo);
	buf_printf(&sql, " FROM pgoutbox.parked p WHERE p.relation = %" PRIu32 " AND p.id = $1::bigint", lo->relation_oid);
	if (query_rows(conn, &sql, 1, values, &e.rows, err) != 0)
		return -1;
	if (e.rows.count == 0) {
		error_set(err, ERR_CONFIG, "there is no parked event %" PRId64 " of this outbox", id);
		return error_hint(err, "see \"pgoutboxctl parked list\"");
	}
	if (read_event(conn, lo, text, payload, &e, err) != 0 || count_waiting(conn, lo, text, &e, err) != 0)
		return -1;
	*ret_event = e;
	e = PARKED_EVENT_INIT;
	return 0;
}

/* --- decisions --- */

void
parked_outcome_done(struct parked_outcome *o)
{
	free(o->ids);
	*o = PARKED_OUTCOME_INIT;
}

static char *
id_array(const int64_t *ids, size_t count)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < count; i++)
		buf_printf(&text, "%c%" PRId64, i == 0 ? '{' : ',', ids[i]);
	buf_add_str(&text, count == 0 ? "{}" : "}");
	return buf_take(&text);
}

static int
take_ids(const PGresult *res, struct parked_outcome *o, struct error *err)
{
	o->count = (size_t)PQntuples(res);
	o->ids = calloc(o->count + 1, sizeof(*o->ids));
	if (o->ids == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	for (size_t i = 0; i < o->count; i++)
		o->ids[i] = strtoll(PQgetvalue(res, (int)i, 0), NULL, 10);
	return 0;
}

static bool
has(const struct parked_outcome *o, int64_t id)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->ids[i] == id)
			return true;
	return false;
}

/* Those that were named but are not parked: all of them are said at once. */
static int
check_all_there(const int64_t *ids, size_t count, const struct parked_outcome *o, struct error *err)
{
	struct buf missing __attribute__((cleanup(buf_done))) = BUF_INIT;

	for (size_t i = 0; i < count; i++)
		if (!has(o, ids[i]))
			buf_printf(&missing, "%s%" PRId64, missing.len > 0 ? ", " : "", ids[i]);
	if (missing.len == 0)
		return 0;
	error_set(err, ERR_CONFIG, "not parked, or decided about already: %s; nothing was done", buf_str(&missing));
	return error_hint(err, "see \"pgoutboxctl parked list --all\"");
}

/* Locks what is to be decided about. */
static int
lock(PGconn *conn, const struct layout *lo, const int64_t *ids, size_t count, const struct parked_filter *filter,
     struct parked_outcome *o, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	char *array = id_array(ids, count);
	const char *values[] = {filter->key, filter->topic, array};
	int rc;

	buf_add_str(&sql, "SELECT p.id");
	add_filter(&sql, lo, filter);
	buf_printf(&sql, " AND (%s OR p.id = ANY ($3::bigint[])) ORDER BY p.id FOR UPDATE", ids == NULL ? "true" : "false");
	rc = array == NULL ? error_set(err, ERR_RETRY, "out of memory")
	                   : query(conn, &sql, 3, values, "could not lock the parked events", &res, err);
	free(array);
	if (rc != 0 || take_ids(res, o, err) != 0)
		return -1;
	return check_all_there(ids, count, o, err);
}

/* $1: the ids. Those whose rows are still there. */
static int
make_unsent(PGconn *conn, const struct layout *lo, const char *array, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (lo->columns[COL_SENT_AT].quoted == NULL)
		return 0;
	buf_printf(&sql, "UPDATE %s t SET %s = NULL FROM pgoutbox.parked p WHERE p.id = ANY ($1::bigint[]) AND t.%s = p.event_row",
	           lo->relation, lo->columns[COL_SENT_AT].quoted, lo->columns[COL_ID].quoted);
	return query(conn, &sql, 1, &array, "could not make the events unsent", &res, err);
}

/* Columns that PostgreSQL computes by itself cannot be written. */
static int
writable_columns(PGconn *conn, const struct layout *lo, struct buf *list, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_printf(&sql,
	           "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = %" PRIu32
	           " AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
	           lo->relation_oid);
	if (query(conn, &sql, 0, NULL, "could not look at the table", &res, err) != 0)
		return -1;
	buf_add_str(list, PQgetvalue(res, 0, 0));
	return 0;
}

/* Rows that were deleted when they were settled, or pruned since, are written again under their old ids. */
static int
write_again(PGconn *conn, const struct layout *lo, const char *array, size_t *ret_count, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf columns __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (writable_columns(conn, lo, &columns, err) != 0)
		return -1;
	buf_printf(&sql,
	           "INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM (SELECT (jsonb_populate_record(NULL::%s, p.event",
	           lo->relation, buf_str(&columns), buf_str(&columns), lo->relation);
	if (lo->columns[COL_SENT_AT].quoted != NULL) {
		buf_add_str(&sql, " - ");
		add_name(&sql, lo, COL_SENT_AT);
	}
	buf_printf(&sql,
	           ")).* FROM pgoutbox.parked p WHERE p.id = ANY ($1::bigint[]) AND NOT EXISTS (SELECT FROM %s t WHERE t.%s = p.event_row)) r",
	           lo->relation, lo->columns[COL_ID].quoted);
	sql.failed |= buf_failed(&columns);
	if (query(conn, &sql, 1, &array, "could not write the events again", &res, err) != 0)
		return -1;
	*ret_count = (size_t)strtoull(PQcmdTuples(res), NULL, 10);
	return 0;
}

static int
resolve(PGconn *conn, const char *array, const char *state, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	const char *values[] = {array, state};

	buf_add_str(&sql, "UPDATE pgoutbox.parked SET state = $2, resolved_at = now(), resolved_by = session_user WHERE id = ANY ($1::bigint[])");
	return query(conn, &sql, 2, values, "could not resolve the parked events", &res, err);
}

static int
decide_locked(PGconn *conn, const struct layout *lo, bool retry, struct parked_outcome *o, struct error *err)
{
	char *array = id_array(o->ids, o->count);
	int rc = array == NULL ? error_set(err, ERR_RETRY, "out of memory") : 0;

	if (rc == 0 && retry)
		rc = make_unsent(conn, lo, array, err);
	if (rc == 0 && retry)
		rc = write_again(conn, lo, array, &o->again, err);
	if (rc == 0)
		rc = resolve(conn, array, retry ? "retried" : "skipped", err);
	free(array);
	return rc;
}

static int
decide(PGconn *conn, const struct layout *lo, const int64_t *ids, size_t count, const struct parked_filter *filter, bool retry,
       struct parked_outcome *ret_outcome, struct error *err)
{
	struct parked_outcome o __attribute__((cleanup(parked_outcome_done))) = PARKED_OUTCOME_INIT;
	struct error ignored;

	if (conn_exec(conn, "BEGIN", "could not begin", err) != 0)
		return -1;
	if (lock(conn, lo, ids, count, filter, &o, err) != 0 || decide_locked(conn, lo, retry, &o, err) != 0) {
		(void)!conn_exec(conn, "ROLLBACK", "could not roll back", &ignored);
		return -1;
	}
	if (conn_exec(conn, "COMMIT", "could not commit", err) != 0)
		return -1;
	*ret_outcome = o;
	o = PARKED_OUTCOME_INIT;
	return 0;
}

int
parked_retry(PGconn *conn, const struct layout *lo, const int64_t *ids, size_t count, const struct parked_filter *filter,
             struct parked_outcome *ret_outcome, struct error *err)
{
	return decide(conn, lo, ids, count, filter, true, ret_outcome, err);
}

int
parked_skip(PGconn *conn, const struct layout *lo, const int64_t *ids, size_t count, const struct parked_filter *filter,
            struct parked_outcome *ret_outcome, struct error *err)
{
	return decide(conn, lo, ids, count, filter, false, ret_outcome, err);
}
