/* faults_postgres.c - what is done to PostgreSQL, from outside and by SQL, and what else goes on in the database. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "chaos/faults_impl.h"
#include "support/db.h"
#include "support/servers.h"
#include "support/tap.h"

enum { LATE_EVENTS = 5, STATEMENT_MS = 20000 };

static void
log_path(const struct stage *s, const char *name, char path[512])
{
	snprintf(path, 512, "%s/%s", s->opt.keep, name);
}

/* ---- the server ---- */

static void
postgres_verb(struct stage *s, struct blow *b, const char *verb, const char *mode)
{
	struct error err;
	char log[512];

	log_path(s, "verbs.log", log);
	ENV_MUST(servers_postgres_begin(&b->child, log, verb, mode, &err), &err);
}

bool
postgres_down(struct stage *s, struct blow *b)
{
	if (b->strike->fault == FAULT_POSTGRES_KILL)
		postgres_verb(s, b, "kill", NULL);
	else
		postgres_verb(s, b, "stop", b->strike->fault == FAULT_POSTGRES_CRASH ? "immediate" : "fast");
	return true;
}

bool
postgres_up(struct stage *s, struct blow *b)
{
	if (proc_running(&b->child))
		return false;
	if (b->step > 0 && b->child.status == 0)
		return true;
	if (b->step == 3)
		CU_FAIL_FATAL("PostgreSQL does not start");
	b->step++;
	postgres_verb(s, b, "start", NULL);
	return false;
}

/* ---- by SQL ---- */

/* A superuser's session that nothing here can keep waiting for long. */
static PGconn *
open_session(const struct stage *s)
{
	struct error err;
	char *conninfo = db_conninfo(s->env.super, "options",
	    "-c statement_timeout=20s -c default_transaction_read_only=off -c lock_timeout=3s", NULL);
	PGconn *conn = db_open(conninfo, &err);

	free(conninfo);
	return conn;
}

static bool
terminate_some(PGconn *conn, const struct stage *s, uint64_t draw)
{
	struct error err;

	return db_exec(conn, &err,
	    "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE usename = '%s'"
	    " AND application_name LIKE 'pgoutbox%%' ORDER BY md5(pid::text || '%llu') LIMIT %d) p",
	    s->env.name, (unsigned long long)draw, 1 + (int)(draw % 6)) == 0;
}

bool
sessions_terminate(struct stage *s, struct blow *b)
{
	PGconn *conn __attribute__((cleanup(db_close))) = open_session(s);

	return conn != NULL && terminate_some(conn, s, b->strike->draw);
}

bool
read_only_begin(struct stage *s, struct blow *b)
{
	PGconn *conn __attribute__((cleanup(db_close))) = open_session(s);
	struct error err;

	(void)b;
	return conn != NULL && db_exec(conn, &err, "ALTER SYSTEM SET default_transaction_read_only = on") == 0 &&
	    db_exec(conn, &err, "SELECT pg_reload_conf()") == 0;
}

/* The setting outlives a crash of the server. */
bool
read_only_end(struct stage *s, struct blow *b)
{
	PGconn *conn __attribute__((cleanup(db_close))) = open_session(s);
	struct error err;

	(void)b;
	return conn != NULL && db_exec(conn, &err, "ALTER SYSTEM RESET default_transaction_read_only") == 0 &&
	    db_exec(conn, &err, "SELECT pg_reload_conf()") == 0;
}

static void
fill_up(const struct stage *s, struct blow *b)
{
	struct error err;

	while (b->crowd_count < CROWD_MAX) {
		PGconn *conn = db_open(s->env.conninfo, &err);

		if (conn == NULL)
			return;
		b->crowd[b->crowd_count++] = conn;
	}
}

/* The relays feel it only where they connect. */
bool
crowd_begin(struct stage *s, struct blow *b)
{
	PGconn *conn __attribute__((cleanup(db_close))) = open_session(s);

	if (conn == NULL)
		return false;
	fill_up(s, b);
	(void)terminate_some(conn, s, b->strike->draw);
	fill_up(s, b);
	return true;
}

bool
crowd_end(struct stage *s, struct blow *b)
{
	(void)s;
	while (b->crowd_count > 0)
		db_close(&b->crowd[--b->crowd_count]);
	return true;
}

/* ---- sessions that stay ---- */

static bool
say(struct stage *s, struct blow *b, const char *sql)
{
	b->conn = open_session(s);
	if (b->conn != NULL && PQsendQuery(b->conn, sql) == 1)
		return true;
	db_close(&b->conn);
	return false;
}

bool
session_end(struct stage *s, struct blow *b)
{
	(void)s;
	db_close(&b->conn);
	return true;
}

bool
lock_begin(struct stage *s, struct blow *b)
{
	return say(s, b, b->strike->fault == FAULT_SQL_LOCK ? "BEGIN; LOCK TABLE outbox_events IN SHARE ROW EXCLUSIVE MODE"
	                                                    : "BEGIN; LOCK TABLE outbox_events IN ACCESS EXCLUSIVE MODE");
}

bool
snapshot_begin(struct stage *s, struct blow *b)
{
	return say(s, b, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM accounts");
}

/* Keys of their own, so that the writers need not wait for them; events as writer.h has them. */
bool
late_begin(struct stage *s, struct blow *b)
{
	bool commit = b->strike->draw % 4 != 0;
	int key = ++s->late_keys;
	char *sql = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&sql, &len);
	bool said;

	if (out == NULL)
		abort();
	fprintf(out, "BEGIN; INSERT INTO accounts (key) VALUES ('late-%d') ON CONFLICT DO NOTHING;", key);
	for (int i = 1; i <= LATE_EVENTS; i++) {
		fprintf(out, "UPDATE accounts SET events = events + 1 WHERE key = 'late-%d';"
		    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
		    " SELECT 'account', key, 'late', jsonb_build_object('key', key, 'seq', events, 'label', 'late.%d.%d',"
		    " 'fate', '%s') FROM accounts WHERE key = 'late-%d';",
		    key, key, i, commit ? "commit" : "rollback", key);
	}
	fclose(out);
	said = say(s, b, sql);
	free(sql);
	return said;
}

/* What was said may still wait for a lock. */
bool
late_end(struct stage *s, struct blow *b)
{
	bool stuck = clock_mono_us() - b->undoing_us > (int64_t)STATEMENT_MS * 1000;
	PGresult *res;

	while (!stuck && PQconsumeInput(b->conn) == 1 && PQstatus(b->conn) == CONNECTION_OK) {
		if (PQisBusy(b->conn))
			return false;
		res = PQgetResult(b->conn);
		if (res != NULL) {
			PQclear(res);
			continue;
		}
		if (b->step++ > 0)
			break;
		if (PQsendQuery(b->conn, b->strike->draw % 4 != 0 ? "COMMIT" : "ROLLBACK") != 1)
			break;
	}
	return session_end(s, b);
}
