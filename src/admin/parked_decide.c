/* parked_decide.c - in: a connection, which events, what about them; out: it is done, in one transaction, or nothing
 * is. */
#include "admin/parked_impl.h"

#include <inttypes.h>
#include <stdlib.h>

#include "admin/audit.h"
#include "admin/conn.h"

#define MISSING_SHOWN 20 /* of ids in a message */

/* Whoever waited for the locks must see what the other did: read committed, whatever the database's default is. */
#define DECIDE_BEGIN                                                                                   \
	"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '5s';"              \
	" SET LOCAL statement_timeout = '60s'"

void
parked_outcome_done(struct parked_outcome *o)
{
	free(o->ids);
	*o = PARKED_OUTCOME_INIT;
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

static int
lock(PGconn *conn, const struct layout *lo, const struct parked_choice *choice, struct parked_outcome *o,
     struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf array __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	const char *values[PARKED_PARAMS];

	buf_add_str(&sql, "SELECT p.id");
	parked_add_choice(&sql, lo, choice);
	buf_add_str(&sql, " ORDER BY p.id FOR UPDATE OF p");
	if (parked_bind_choice(choice, &array, values, err) != 0 ||
	    conn_ask(conn, &sql, PARKED_PARAMS, values, "could not lock the parked events", &res, err) != 0)
		return -1;
	return take_ids(res, o, err);
}

/* Those that were named but are not parked: all of them are said at once, with what became of them. */
static int
check_named(PGconn *conn, const struct layout *lo, const struct parked_choice *choice, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf array __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	const char *values[1];

	if (choice->ids == NULL)
		return 0;
	parked_add_ids(&array, choice->ids, choice->ids_count);
	values[0] = buf_str(&array);
	buf_printf(&sql,
	           "SELECT string_agg(CASE WHEN n <= %d THEN format('%%s (%%s)', id, state) ELSE '...' END,"
	           " ', ' ORDER BY n)"
	           " FILTER (WHERE n <= %d + 1) FROM (SELECT u.id, coalesce(p.state, 'unknown') AS state,"
	           " row_number() OVER (ORDER BY u.id) AS n FROM (SELECT DISTINCT unnest($1::bigint[]) AS id) u"
	           " LEFT JOIN pgoutbox.parked p ON p.id = u.id AND p.relation = %" PRIu32
	           " WHERE p.state IS DISTINCT FROM 'parked') m",
	           MISSING_SHOWN, MISSING_SHOWN, lo->relation_oid);
	sql.failed |= buf_failed(&array);
	if (conn_ask(conn, &sql, 1, values, "could not look for the parked events", &res, err) != 0)
		return -1;
	if (PQgetisnull(res, 0, 0))
		return 0;
	error_set(err, ERR_CONFIG, "not parked, so nothing was done: %s", PQgetvalue(res, 0, 0));
	return error_hint(err, "\"pgoutboxctl parked list\" shows the ids, with --all also of what is parked no more");
}

int
parked_check(PGconn *conn, const struct layout *lo, const struct parked_choice *choice, struct error *err)
{
	return check_named(conn, lo, choice, err);
}

/* Rows that are still there. Whoever prunes them meanwhile is waited for. */
static int
make_unsent(PGconn *conn, const struct layout *lo, const char *array, size_t *ret_count, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (lo->columns[COL_SENT_AT].quoted == NULL) {
		*ret_count = 0;
		return 0;
	}
	buf_printf(&sql,
	           "UPDATE %s t SET %s = NULL FROM pgoutbox.parked p WHERE p.id = ANY ($1::bigint[])"
	           " AND t.%s = p.event_row",
	           lo->relation, lo->columns[COL_SENT_AT].quoted, lo->columns[COL_ID].quoted);
	if (conn_ask(conn, &sql, 1, &array, "could not make the events unsent", &res, err) != 0)
		return -1;
	*ret_count = (size_t)strtoull(PQcmdTuples(res), NULL, 10);
	return 0;
}

/* The columns that the copies have, but for those that PostgreSQL computes by itself, and where their values come from: the
 * record r, or of type json the copy p. */
static int
writable_columns(PGconn *conn, const struct layout *lo, const char *array, struct buf *list, struct buf *values,
                 struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_add_str(&sql, "SELECT string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum),"
	                  " string_agg(pg_catalog.format(CASE WHEN a.attname = ANY (");
	parked_add_json_names(&sql, lo);
	buf_printf(&sql,
	           ") THEN '(p.event ->> %%L)::json' ELSE 'r.%%I' END, a.attname), ', ' ORDER BY a.attnum)"
	           " FROM pg_catalog.pg_attribute a WHERE a.attrelid = %" PRIu32
	           " AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND EXISTS"
	           " (SELECT FROM pgoutbox.parked p WHERE p.id = ANY ($1::bigint[]) AND p.event ? a.attname)",
	           lo->relation_oid);
	if (conn_ask(conn, &sql, 1, &array, "could not look at the table", &res, err) != 0)
		return -1;
	buf_add_str(list, PQgetvalue(res, 0, 0));
	buf_add_str(values, PQgetvalue(res, 0, 1));
	return 0;
}

/* Rows that were deleted when they were settled, or pruned since, are written again under their old ids. */
static int
write_again(PGconn *conn, const struct layout *lo, const char *array, size_t *ret_count, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf columns __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf sources __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (writable_columns(conn, lo, array, &columns, &sources, err) != 0)
		return -1;
	buf_printf(&sql,
	           "INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM pgoutbox.parked p"
	           " CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(NULL::%s, p.event - ",
	           lo->relation, buf_str(&columns), buf_str(&sources), lo->relation);
	parked_add_json_names(&sql, lo);
	if (lo->columns[COL_SENT_AT].quoted != NULL) {
		buf_add_str(&sql, " - ");
		parked_add_name(&sql, lo, COL_SENT_AT);
	}
	buf_printf(&sql,
	           ") r WHERE p.id = ANY ($1::bigint[])"
	           " AND NOT EXISTS (SELECT FROM %s t WHERE t.%s = p.event_row)",
	           lo->relation, lo->columns[COL_ID].quoted);
	sql.failed |= buf_failed(&columns) || buf_failed(&sources);
	if (conn_ask(conn, &sql, 1, &array, "could not write the events again", &res, err) != 0)
		return -1;
	*ret_count = (size_t)strtoull(PQcmdTuples(res), NULL, 10);
	return 0;
}

/* The right to insert is asked for only where it is needed. */
static int
offer_again(PGconn *conn, const struct layout *lo, const char *array, struct parked_outcome *o, struct error *err)
{
	size_t there = 0;

	if (make_unsent(conn, lo, array, &there, err) != 0)
		return -1;
	return there == o->count ? 0 : write_again(conn, lo, array, &o->again, err);
}

static int
resolve(PGconn *conn, const char *array, enum parked_decision decision, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_printf(&sql,
	           "UPDATE pgoutbox.parked SET state = '%s', resolved_at = now(), resolved_by = session_user"
	           " WHERE id = ANY ($1::bigint[])",
	           decision == PARKED_RETRY ? "retried" : "skipped");
	return conn_ask(conn, &sql, 1, &array, "could not note what was decided", &res, err);
}

static int
note(PGconn *conn, const struct layout *lo, const struct parked_outcome *o, enum parked_decision decision,
     struct error *err)
{
	struct buf ids __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct audit_detail details[1] = {{"ids", NULL, true}};

	for (size_t i = 0; i < o->count; i++)
		buf_printf(&ids, "%c%" PRId64, i == 0 ? '[' : ',', o->ids[i]);
	buf_add_char(&ids, ']');
	if (buf_failed(&ids))
		return error_set(err, ERR_RETRY, "out of memory");
	details[0].value = buf_str(&ids);
	return audit_add(conn, decision == PARKED_RETRY ? "parked retry" : "parked skip", lo->relation_oid, details, 1, err);
}

static int
decide(PGconn *conn, const struct layout *lo, const struct parked_choice *choice, enum parked_decision decision,
       struct parked_outcome *o, struct error *err)
{
	struct buf ids __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *array;

	if (lock(conn, lo, choice, o, err) != 0 || check_named(conn, lo, choice, err) != 0)
		return -1;
	if (o->count == 0)
		return 0;
	parked_add_ids(&ids, o->ids, o->count);
	if (buf_failed(&ids))
		return error_set(err, ERR_RETRY, "out of memory");
	array = buf_str(&ids);
	if (decision == PARKED_RETRY && offer_again(conn, lo, array, o, err) != 0)
		return -1;
	if (resolve(conn, array, decision, err) != 0)
		return -1;
	return note(conn, lo, o, decision, err);
}

int
parked_decide(PGconn *conn, const struct layout *lo, const struct parked_choice *choice, enum parked_decision decision,
              struct parked_outcome *ret_outcome, struct error *err)
{
	struct parked_outcome o = PARKED_OUTCOME_INIT;
	int rc = conn_exec(conn, DECIDE_BEGIN, "could not begin", err);

	if (rc == 0)
		rc = decide(conn, lo, choice, decision, &o, err);
	if (rc == 0)
		rc = conn_exec(conn, "COMMIT", "could not commit", err);
	if (rc != 0) {
		PQclear(PQexec(conn, "ROLLBACK"));
		parked_outcome_done(&o);
		return -1;
	}
	*ret_outcome = o;
	return 0;
}
