/* pause.c - in: what to pause, why; out: rows in pgoutbox.pause and pgoutbox.audit, in one transaction. */
#include "admin/pause.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/audit.h"
#include "admin/conn.h"
#include "source/share.h"

#define BEGIN_SQL                                                                        \
	"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '5s';" \
	" SET LOCAL statement_timeout = '30s'"

static int
query(PGconn *conn, const char *sql, int count, const char *const *values, const char *doing, PGresult **ret_res,
      struct error *err)
{
	if (conn_query(conn, sql, count, values, doing, ret_res, err) == 0)
		return 0;
	if (strstr(err->message, "(SQLSTATE 42501)") != NULL)
		error_hint(err, "connect by --database as a role that may: RIGHTS in pgoutbox(7) tells what it needs");
	return -1;
}

/* The statement changes one row or none; the act is noted if it did. */
static int
act(PGconn *conn, const struct layout *lo, const char *verb, const char *sql, const struct pause_target *target,
    const char *reason, bool *ret_changed, struct error *err)
{
	struct audit_detail details[] = {{"scope", target->scope, false}, {"value", target->value, false}, {"reason", reason, false}};
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	char oid[16];
	const char *values[] = {oid, target->scope, target->value, reason};
	size_t count = reason != NULL ? 3 : 2;

	snprintf(oid, sizeof(oid), "%" PRIu32, lo->relation_oid);
	if (query(conn, sql, (int)count + 1, values, "could not write pgoutbox.pause", &res, err) != 0)
		return -1;
	*ret_changed = strcmp(PQcmdTuples(res), "0") != 0;
	return *ret_changed ? audit_add(conn, verb, lo->relation_oid, details, count, err) : 0;
}

static int
in_transaction(PGconn *conn, const struct layout *lo, const char *verb, const char *sql, const struct pause_target *target,
               const char *reason, bool *ret_changed, struct error *err)
{
	bool changed = false;
	int rc = conn_exec(conn, BEGIN_SQL, "could not begin", err);

	if (rc == 0)
		rc = act(conn, lo, verb, sql, target, reason, &changed, err);
	if (rc == 0)
		rc = conn_exec(conn, "COMMIT", "could not commit", err);
	if (rc != 0) {
		PQclear(PQexec(conn, "ROLLBACK"));
		return -1;
	}
	*ret_changed = changed;
	return 0;
}

int
pause_begin(PGconn *conn, const struct layout *lo, const struct pause_target *target, const char *reason,
            bool *ret_changed, struct error *err)
{
	return in_transaction(conn, lo, "pause",
	                      "INSERT INTO pgoutbox.pause (relation, scope, value, reason)"
	                      " VALUES ($1::oid::regclass, $2, $3, $4) ON CONFLICT DO NOTHING",
	                      target, reason, ret_changed, err);
}

int
pause_end(PGconn *conn, const struct layout *lo, const struct pause_target *target, bool *ret_changed, struct error *err)
{
	return in_transaction(conn, lo, "resume",
	                      "UPDATE pgoutbox.pause SET resumed_at = now(), resumed_by = session_user"
	                      " WHERE relation = $1::oid::regclass AND scope = $2 AND value IS NOT DISTINCT FROM $3::text"
	                      " AND resumed_at IS NULL",
	                      target, NULL, ret_changed, err);
}

int
pause_now(PGconn *conn, char *ret_text, size_t size, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (query(conn, "SELECT pg_catalog.clock_timestamp()", 0, NULL, "could not ask for the time", &res, err) != 0)
		return -1;
	snprintf(ret_text, size, "%s", PQgetvalue(res, 0, 0));
	return 0;
}

int
pause_look(PGconn *conn, const struct layout *lo, const char *since, struct pause_seen *ret_seen, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	char sql[640];

	snprintf(sql, sizeof(sql),
	         "SELECT count(*), count(*) FILTER (WHERE (a.query_start >= $1::timestamptz + interval '0.5 s') IS NOT TRUE)"
	         " FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
	         " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = %" PRIu32
	         " AND l.objid::bigint & %u <> 0 AND l.database ="
	         " (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())",
	         lo->relation_oid, SHARE_RELAY_FLAG);
	if (query(conn, sql, 1, &since, "could not look at the relays", &res, err) != 0)
		return -1;
	*ret_seen = (struct pause_seen){atoi(PQgetvalue(res, 0, 0)), atoi(PQgetvalue(res, 0, 1))};
	return 0;
}
