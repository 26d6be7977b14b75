/* events.c - in: a connection, a layout; out: the table's rows, one after the other. Knows no Kafka and no judgement. */
#include "admin/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/conn.h"
#include "admin/topic_sql.h"
#include "base/arena.h"
#include "base/be.h"
#include "source/claimed.h"
#include "source/literal.h"
#include "source/session.h"

#define PG_EPOCH_US INT64_C(946684800000000) /* 2000-01-01 in Unix time */
#define MICROSECONDS(time) "(extract(epoch FROM " time ") * 1000000)::bigint"

static int64_t
number(const PGresult *res, int row, int col)
{
	return strtoll(PQgetvalue(res, row, col), NULL, 10);
}

/* --- times --- */

int
events_time(PGconn *conn, const char *text, const char *option, struct events_time *ret_time, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	struct events_time t;

	if (conn_query(conn, "SELECT t, (extract(epoch FROM t) * 1000)::bigint FROM date_trunc('milliseconds', $1::timestamptz) t", 1,
	               &text, "could not read the time", &res, err) != 0) {
		/* Infinity is of another class, in PostgreSQL 14 to 16 */
		if (strstr(err->message, "(SQLSTATE 22") == NULL && strstr(err->message, "(SQLSTATE 0A000") == NULL)
			return -1;
		error_set(err, ERR_CONFIG, "%s: \"%s\" is no time", option, text);
		return error_hint(err, "write it as \"2026-11-21 09:30:00+00\"; PostgreSQL reads it");
	}
	snprintf(t.text, sizeof(t.text), "%s", PQgetvalue(res, 0, 0));
	t.ms = number(res, 0, 1);
	*ret_time = t;
	return 0;
}

int
events_now(PGconn *conn, int64_t *ret_us, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (conn_query(conn, "SELECT " MICROSECONDS("clock_timestamp()"), 0, NULL, "could not ask for the time", &res, err) != 0)
		return -1;
	*ret_us = number(res, 0, 0);
	return 0;
}

/* --- the snapshot --- */

/* A large table takes its time, and the daemon reads times and texts with these settings. */
int
events_begin(PGconn *conn, struct error *err)
{
	return conn_exec(conn,
	                 "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0;"
	                 " SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '5s'; SET LOCAL jit = off;"
	                 " SET LOCAL TimeZone = 'UTC'; SET LOCAL bytea_output = 'hex'",
	                 "could not begin", err);
}

int
events_end(PGconn *conn, struct error *err)
{
	return conn_exec(conn, "COMMIT", "could not end the transaction", err);
}

int
events_oldest(PGconn *conn, const struct layout *lo, const struct events_choice *choice, int64_t *ret_sent_us, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (choice->receipts) {
		buf_add_str(&sql, "SELECT " MICROSECONDS("min(sent_at)") " FROM pgoutbox.receipts WHERE outbox = ");
		literal_add(&sql, lo->relation);
	} else
		/* What people have marked by hand may have been sent at "-infinity". */
		buf_printf(&sql, "SELECT (extract(epoch FROM min(t.%s)::timestamptz) * 1000000)::bigint FROM %s t WHERE isfinite(t.%s)",
		           lo->columns[COL_SENT_AT].quoted, lo->relation, lo->columns[COL_SENT_AT].quoted);
	if (conn_ask(conn, &sql, 0, NULL, "could not look for the oldest row", &res, err) != 0)
		return -1;
	*ret_sent_us = PQgetisnull(res, 0, 0) ? INT64_MAX : number(res, 0, 0);
	return 0;
}

int
events_estimate(PGconn *conn, const struct layout *lo, int64_t *ret_rows, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	/* Those of a partitioned table are its partitions'. */
	buf_printf(&sql,
	           "SELECT coalesce(sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples END), -1)::bigint FROM pg_catalog.pg_class c"
	           " WHERE c.relkind = 'r' AND (c.oid = %" PRIu32 " OR c.oid IN (SELECT relid FROM pg_partition_tree(%" PRIu32 ")))",
	           lo->relation_oid, lo->relation_oid);
	if (conn_ask(conn, &sql, 0, NULL, "could not look at the table", &res, err) != 0)
		return -1;
	*ret_rows = number(res, 0, 0);
	return 0;
}

/* --- topics --- */

void
events_topics_done(char **topics, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(topics[i]);
	free(topics);
}

static int
copy_topics(const PGresult *res, char ***ret_topics, size_t *ret_count, struct error *err)
{
	size_t count = (size_t)PQntuples(res);
	char **topics = calloc(count + 1, sizeof(*topics));

	for (size_t i = 0; topics != NULL && i < count; i++) {
		topics[i] = strdup(PQgetvalue(res, (int)i, 0));
		if (topics[i] == NULL) {
			events_topics_done(topics, i);
			topics = NULL;
		}
	}
	if (topics == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	*ret_topics = topics;
	*ret_count = count;
	return 0;
}

/* Where rows name none, all come from the template, which may have no column in it. */
int
events_topics(PGconn *conn, const struct layout *lo, const struct events_choice *choice, char ***ret_topics, size_t *ret_count,
              struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (choice->topic != NULL)
		buf_add_str(&sql, "SELECT $1::text");
	else if (choice->receipts) {
		buf_printf(&sql, "SELECT DISTINCT topic FROM pgoutbox.receipts WHERE $1::text IS NULL AND outbox = ");
		literal_add(&sql, lo->relation);
	} else {
		buf_add_str(&sql, "SELECT DISTINCT ");
		if (topic_sql(lo, choice->topic_template, &sql, err) != 0)
			return -1;
		buf_printf(&sql, " FROM %s t WHERE t.%s IS NOT NULL AND $1::text IS NULL", lo->relation, lo->columns[COL_SENT_AT].quoted);
	}
	if (choice->topic == NULL)
		buf_printf(&sql, " LIMIT %d", EVENTS_TOPICS_MAX + 1);
	if (conn_ask(conn, &sql, 1, &choice->topic, "could not look for topics", &res, err) != 0)
		return -1;
	if (PQntuples(res) > EVENTS_TOPICS_MAX) {
		error_set(err, ERR_CONFIG, "the rows are for more than %d topics", EVENTS_TOPICS_MAX);
		return error_hint(err, "name one by --topic");
	}
	return copy_topics(res, ret_topics, ret_count, err);
}

/* --- rows --- */

static void
add_own_column(struct buf *sql, const struct layout *lo, enum event_column col, const char *type)
{
	if (lo->columns[col].quoted != NULL)
		buf_printf(sql, ", t.%s::%s", lo->columns[col].quoted, type);
	else
		buf_printf(sql, ", NULL::%s", type);
}

static int
make_text(const struct layout *lo, const struct statements_options *opt, const struct events_choice *choice, struct buf *sql,
          struct error *err)
{
	struct buf topic __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf undated __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *created = lo->columns[COL_CREATED_AT].quoted;

	if (topic_sql(lo, choice->topic_template, &topic, err) != 0)
		return -1;
	if (created != NULL)
		buf_printf(&undated, "t.%s IS NULL OR t.%s < '1970-01-01 00:00:00.001+00'::timestamptz", created, created);
	buf_add_str(sql, "SELECT ");
	statements_event_columns(sql, lo, opt);
	add_own_column(sql, lo, COL_SENT_AT, "timestamptz");
	buf_add_str(sql, ", p.aside");
	add_own_column(sql, lo, COL_SENT_PARTITION, "int");
	add_own_column(sql, lo, COL_SENT_OFFSET, "bigint");
	buf_printf(sql,
	           " FROM %s t LEFT JOIN (SELECT event_row, bool_or(state <> 'retried') AS aside"
	           " FROM pgoutbox.parked WHERE relation = %" PRIu32 " GROUP BY event_row) p ON p.event_row = t.%s"
	           " WHERE ($1::text IS NULL OR %s = $1)",
	           lo->relation, lo->relation_oid, lo->columns[COL_ID].quoted, buf_str(&topic));
	buf_add_str(sql, " AND ($2::timestamptz IS NULL OR ");
	/* Of a time before 1970, or none, the message has the relay's instead. */
	if (created != NULL)
		buf_printf(sql, "t.%s >= $2 OR %s) AND ($3::timestamptz IS NULL OR t.%s < $3 OR %s)", created, buf_str(&undated), created,
		           buf_str(&undated));
	else
		buf_add_str(sql, "false) AND ($3::timestamptz IS NULL OR false)");
	if (buf_failed(sql) || buf_failed(&topic) || buf_failed(&undated))
		return error_set(err, ERR_RETRY, "out of memory");
	return 0;
}

/* In binary; -1: NULL. */
static int64_t
bigint_of(const PGresult *res, int col)
{
	return PQgetisnull(res, 0, col) ? -1 : (int64_t)be64(PQgetvalue(res, 0, col));
}

static int32_t
int_of(const PGresult *res, int col)
{
	return PQgetisnull(res, 0, col) ? -1 : (int32_t)be32(PQgetvalue(res, 0, col));
}

/* 0: NULL; INT64_MAX: infinity, too. */
static int64_t
time_of(const PGresult *res, int col)
{
	int64_t us = bigint_of(res, col);

	if (PQgetisnull(res, 0, col))
		return 0;
	return us > INT64_MAX - PG_EPOCH_US ? INT64_MAX : us + PG_EPOCH_US;
}

static struct slice
text_of(const PGresult *res, int col)
{
	if (PQgetisnull(res, 0, col))
		return SLICE_NULL;
	return (struct slice){PQgetvalue(res, 0, col), (size_t)PQgetlength(res, 0, col)};
}

struct reading {
	const struct layout *lo;
	const struct statements_options *opt;
	int (*take)(struct reading *r, const PGresult *res, struct error *err);
	int (*row)(void *ctx, const struct events_row *row, struct error *err);
	int (*receipt)(void *ctx, const struct events_receipt *receipt, struct error *err);
	void *ctx;
	struct arena arena;
};

static int
take_row(struct reading *r, const PGresult *res, struct error *err)
{
	int col = claimed_width(r->opt);
	struct events_row row = {
		.sent_us = time_of(res, col),
		.late = !PQgetisnull(res, 0, col + 1),
		.partition = int_of(res, col + 2),
		.offset = bigint_of(res, col + 3),
	};

	row.aside = row.late && PQgetvalue(res, 0, col + 1)[0] != 0;
	arena_reset(&r->arena);
	if (claimed_read_event(r->lo, r->opt, res, 0, &r->arena, &row.ev, err) != 0)
		return -1;
	return r->row(r->ctx, &row, err);
}

/* After a failure of ours the rest is not wanted: the caller closes the connection. */
static int
take_rows(PGconn *conn, struct reading *r, struct error *err)
{
	for (;;) {
		PGresult *res __attribute__((cleanup(conn_clear))) = PQgetResult(conn);

		if (res == NULL)
			return 0;
		if (PQresultStatus(res) == PGRES_TUPLES_OK)
			continue;
		if (PQresultStatus(res) != PGRES_SINGLE_TUPLE)
			return session_result_error(res, "could not read the table", err);
		if (r->take(r, res, err) != 0)
			return -1;
	}
}

static int
read_all(PGconn *conn, const struct buf *sql, int count, const char *const *values, struct reading *r, struct error *err)
{
	if (buf_failed(sql))
		return error_set(err, ERR_RETRY, "out of memory");
	if (PQsendQueryParams(conn, buf_str(sql), count, NULL, values, NULL, NULL, 1) != 1 || PQsetSingleRowMode(conn) != 1)
		return error_set(err, ERR_RETRY, "could not read the table: %s", PQerrorMessage(conn));
	return take_rows(conn, r, err);
}

int
events_read(PGconn *conn, const struct layout *lo, const struct statements_options *opt, const struct events_choice *choice,
            int (*row)(void *ctx, const struct events_row *row, struct error *err), void *ctx, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct reading r = {.lo = lo, .opt = opt, .take = take_row, .row = row, .ctx = ctx, .arena = ARENA_INIT};
	const char *values[] = {choice->topic, choice->since, choice->until};
	int rc;

	if (make_text(lo, opt, choice, &sql, err) != 0)
		return -1;
	rc = read_all(conn, &sql, 3, values, &r, err);
	arena_done(&r.arena);
	return rc;
}

/* --- receipts --- */

static int
take_receipt(struct reading *r, const PGresult *res, struct error *err)
{
	const struct events_receipt receipt = {
		.row_id = bigint_of(res, 0),
		.sent_us = time_of(res, 1),
		.event_id = text_of(res, 2),
		.key = text_of(res, 3),
		.sha256 = text_of(res, 4),
		.topic = PQgetvalue(res, 0, 5),
		.partition = int_of(res, 6),
		.offset = bigint_of(res, 7),
	};

	return r->receipt(r->ctx, &receipt, err);
}

int
events_read_receipts(PGconn *conn, const struct layout *lo, const struct events_choice *choice,
                     int (*receipt)(void *ctx, const struct events_receipt *receipt, struct error *err), void *ctx, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct reading r = {.take = take_receipt, .receipt = receipt, .ctx = ctx};

	buf_add_str(&sql, "SELECT row_id, sent_at, event_id, key, digest, topic, kafka_partition, kafka_offset FROM pgoutbox.receipts"
	                  " WHERE ($1::text IS NULL OR topic = $1) AND outbox = ");
	literal_add(&sql, lo->relation);
	return read_all(conn, &sql, 1, &choice->topic, &r, err);
}

/* --- event ids --- */

static int
take_ids(const PGresult *res, char **ret_event_ids, struct error *err)
{
	for (int i = 0; i < PQntuples(res); i++) {
		int64_t at = number(res, i, 0) - 1;

		ret_event_ids[at] = PQgetisnull(res, i, 1) ? NULL : strdup(PQgetvalue(res, i, 1));
		if (ret_event_ids[at] == NULL && !PQgetisnull(res, i, 1))
			return error_set(err, ERR_RETRY, "out of memory");
	}
	return 0;
}

int
events_ids(PGconn *conn, const struct layout *lo, const struct events_choice *choice, const int64_t *row_ids, size_t count,
           char **ret_event_ids, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf ids __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	const char *value;

	for (size_t i = 0; i < count; i++) {
		buf_printf(&ids, "%c%" PRId64, i == 0 ? '{' : ',', row_ids[i]);
		ret_event_ids[i] = NULL;
	}
	buf_add_str(&ids, count == 0 ? "{}" : "}");
	if (choice->receipts) {
		buf_add_str(&sql, "SELECT u.n, t.event_id FROM unnest($1::bigint[]) WITH ORDINALITY u(id, n) JOIN pgoutbox.receipts t"
		                  " ON t.row_id = u.id WHERE t.outbox = ");
		literal_add(&sql, lo->relation);
	} else
		buf_printf(&sql, "SELECT u.n, t.%s::text FROM unnest($1::bigint[]) WITH ORDINALITY u(id, n) JOIN %s t ON t.%s = u.id",
		           lo->columns[COL_EVENT_ID].quoted, lo->relation, lo->columns[COL_ID].quoted);
	if (buf_failed(&ids))
		return error_set(err, ERR_RETRY, "out of memory");
	value = buf_str(&ids);
	if (conn_ask(conn, &sql, 1, &value, "could not look up event ids", &res, err) != 0)
		return -1;
	if (take_ids(res, ret_event_ids, err) == 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		free(ret_event_ids[i]);
		ret_event_ids[i] = NULL;
	}
	return -1;
}
