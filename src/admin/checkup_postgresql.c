/* checkup_postgresql.c - in: a configuration; out: findings about the database, and the topics that unsent events are for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/checkup_impl.h"
#include "admin/conn.h"
#include "admin/inspect.h"
#include "admin/topic_sql.h"
#include "base/clock.h"
#include "source/statements.h"

#define LOOK_ROWS 1000 /* unsent events, over all lanes */
#define CLOCK_APART_US 2000000
#define SESSIONS_MORE 3 /* a relay has beside its lanes: bell, keeper, barrier */

#define LOOK_BEGIN                                                                                                    \
	"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10s';"                       \
	" SET LOCAL lock_timeout = '5s'; SET LOCAL jit = off; SET LOCAL enable_seqscan = off;"                        \
	" SET LOCAL enable_bitmapscan = off; SET LOCAL max_parallel_workers_per_gather = 0"

static int64_t
number(const PGresult *res, int row, int col)
{
	return strtoll(PQgetvalue(res, row, col), NULL, 10); /* NULL comes as "" */
}

static bool
is(const PGresult *res, int col, const char *text)
{
	return strcmp(PQgetvalue(res, 0, col), text) == 0;
}

/* --- the connection --- */

/* The server answered, and a person must act. */
static bool
is_refusal(const char *message)
{
	static const char *const parts[] = {"authentication failed", "no pg_hba.conf entry", "does not exist", "no password supplied",
	                                    "certificate verify failed", "does not support SSL", "is not permitted to log in"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strstr(message, parts[i]) != NULL)
			return true;
	return false;
}

static int
connect_to(const struct config *cfg, const char *database, const char *role, struct target *t, struct checkup *c)
{
	struct error err;

	if (target_open(cfg, database, role, t, &err) != 0) {
		if (err.kind == ERR_RETRY && is_refusal(err.message))
			err.kind = ERR_CONFIG;
		checkup_add_error(c, "postgresql", &err);
		return -1;
	}
	checkup_add(c, FINDING_OK, "postgresql", NULL, "connected to PostgreSQL %d as \"%s\"", PQserverVersion(t->conn) / 10000,
	            PQuser(t->conn));
	return 0;
}

/* A pooler that shares sessions gives the server's process of the first connection to the second, as soon as it is idle:
 * then the first meets another. What is left behind in a shared session is a variable that nobody reads. */
static int
ask_twice(PGconn *a, PGconn *b, PGresult **ret_res, struct error *err)
{
	if (conn_exec(a, "SELECT set_config('pgoutbox.check', pg_backend_pid()::text, false)", "could not look at the session", err) != 0 ||
	    conn_exec(b, "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'; SELECT pg_backend_pid()",
	              "could not look at the session", err) != 0)
		return -1;
	return conn_query(a, "SELECT coalesce(current_setting('pgoutbox.check', true), '') = pg_backend_pid()::text", 0, NULL,
	                  "could not look at the session", ret_res, err);
}

static void
judge_sessions(const struct config *cfg, const char *database, PGconn *conn, struct checkup *c)
{
	PGconn *other __attribute__((cleanup(conn_close))) = NULL;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	struct error err;
	int rc = database != NULL ? conn_open(database, NULL, NULL, &other, &err)
	                          : conn_open(cfg->database.conninfo, cfg->database.password, cfg->database.sslpassword, &other, &err);

	if (rc != 0 || ask_twice(conn, other, &res, &err) != 0)
		checkup_add_error(c, "sessions", &err);
	else if (!is(res, 0, "t"))
		checkup_add(c, FINDING_ERROR, "sessions", "connect directly, or through a pooler in session mode",
		            "a pooler shares sessions between transactions: advisory locks and prepared statements would not last");
	else
		checkup_add(c, FINDING_OK, "sessions", NULL, "sessions are the connection's own: advisory locks last");
}

/* --- the table, by the daemon's own rules --- */

static bool
judge_layout(const struct target *t, struct layout *lo, struct checkup *c)
{
	struct error problems[LAYOUT_PROBLEMS_MAX], err;
	size_t count;

	if (inspect_role(t->conn, t->role, &err) != 0 || inspect(t->conn, &t->request, lo, &err) != 0) {
		checkup_add_error(c, "table", &err);
		return false;
	}
	count = layout_problems(lo, &t->request, LAYOUT_ALL, problems, LAYOUT_PROBLEMS_MAX);
	for (size_t i = 0; i < count; i++)
		checkup_add_error(c, "table", &problems[i]);
	if (count > 0)
		return layout_problems(lo, &t->request, LAYOUT_TABLE | LAYOUT_INSTALL, problems, 1) == 0;
	checkup_add(c, FINDING_OK, "table", NULL, "table \"%s\" and its columns fit", lo->relation);
	checkup_add(c, FINDING_OK, "index", NULL, "index \"%s\" is valid and fits %d lanes", lo->claim_index, lo->lanes);
	checkup_add(c, FINDING_OK, "schema", NULL, "schema \"pgoutbox\" has version %d", lo->facts.schema_version);
	checkup_add(c, FINDING_OK, "rights", NULL, "role \"%s\" may do what the relay does", lo->facts.role);
	return true;
}

/* --- the server --- */

enum { S_FREE, S_OURS, S_ROLE_LIMIT, S_DATABASE_LIMIT, S_AUTOVACUUM, S_TRACK, S_FSYNC, S_TABLE_OFF };

#define SETTINGS                                                                                                              \
	"SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"             \
	" - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"                                   \
	" (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pgoutboxd %')," \
	" (SELECT rolconnlimit FROM pg_roles WHERE rolname = $1), (SELECT datconnlimit FROM pg_database"                      \
	"  WHERE datname = current_database()), current_setting('autovacuum'), current_setting('track_counts'),"              \
	" current_setting('fsync'), EXISTS (SELECT FROM pg_class WHERE oid = $2::oid"                                         \
	"  AND 'autovacuum_enabled=false' = ANY (reloptions))"

static void
judge_room(const PGresult *res, int64_t needed, struct checkup *c)
{
	int64_t room = number(res, 0, S_FREE) + number(res, 0, S_OURS);

	for (int col = S_ROLE_LIMIT; col <= S_DATABASE_LIMIT; col++)
		if (!PQgetisnull(res, 0, col) && number(res, 0, col) >= 0 && number(res, 0, col) < needed)
			checkup_add(c, FINDING_ERROR, "connections", "raise the connection limit: ALTER ROLE or ALTER DATABASE ... CONNECTION LIMIT",
			            "the %s takes %" PRId64 " connections, and a relay with all lanes needs %" PRId64,
			            col == S_ROLE_LIMIT ? "role" : "database", number(res, 0, col), needed);
	if (room < needed)
		checkup_add(c, FINDING_WARNING, "connections", "raise max_connections, or end sessions that nobody needs",
		            "the server has room for %" PRId64 " connections now, and a relay with all lanes needs %" PRId64, room, needed);
	else
		checkup_add(c, FINDING_OK, "connections", NULL, "the server has room for the %" PRId64 " connections of a relay", needed);
}

static void
judge_settings(const struct config *cfg, PGconn *conn, const char *role, const struct layout *lo, struct checkup *c)
{
	bool queries = cfg->queries.reconciliation || cfg->queries.sql.count > 0;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	char oid[16];
	const char *values[] = {role, oid};
	struct error err;

	snprintf(oid, sizeof(oid), "%" PRIu32, lo->relation_oid);
	if (conn_query(conn, SETTINGS, 2, values, "could not look at the server's settings", &res, &err) != 0) {
		checkup_add_error(c, "settings", &err);
		return;
	}
	if (lo->lanes > 0)
		judge_room(res, lo->lanes + SESSIONS_MORE + queries, c);
	if (!is(res, S_AUTOVACUUM, "on") || !is(res, S_TRACK, "on") || is(res, S_TABLE_OFF, "t"))
		checkup_add(c, FINDING_WARNING, "autovacuum", "switch autovacuum and track_counts on, for the table too: ALTER TABLE ... RESET (autovacuum_enabled)",
		            "autovacuum does not look after table \"%s\": dead rows slow claims down more and more",
		            lo->relation != NULL ? lo->relation : "");
	else
		checkup_add(c, FINDING_OK, "autovacuum", NULL, "autovacuum looks after the table");
	if (!is(res, S_FSYNC, "on"))
		checkup_add(c, FINDING_WARNING, "settings", "set fsync to on",
		            "fsync is off: a crash of the server can take back transactions whose events were sent");
	if (conn_exec(conn, "BEGIN; SET LOCAL idle_session_timeout = '15s'; SET LOCAL idle_in_transaction_session_timeout = '15s'; ROLLBACK",
	              "could not set the timeouts of a session", &err) != 0) {
		PQclear(PQexec(conn, "ROLLBACK"));
		checkup_add_error(c, "settings", &err);
	}
}

static void
judge_clock(PGconn *conn, struct checkup *c)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	int64_t before_us = clock_wall_us(), after_us, there_us, apart_us;
	struct error err;

	if (conn_query(conn, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", 0, NULL, "could not read the clock", &res,
	               &err) != 0) {
		checkup_add_error(c, "clock", &err);
		return;
	}
	after_us = clock_wall_us();
	there_us = number(res, 0, 0);
	apart_us = there_us < before_us ? before_us - there_us : there_us > after_us ? there_us - after_us : 0;
	if (apart_us > CLOCK_APART_US)
		checkup_add(c, FINDING_WARNING, "clock", "let NTP keep both: ages of events and timestamps in Kafka would mislead",
		            "the database's clock is %" PRId64 ".%" PRId64 " s %s this host's", apart_us / 1000000, apart_us / 100000 % 10,
		            there_us < before_us ? "behind" : "ahead of");
	else
		checkup_add(c, FINDING_OK, "clock", NULL, "the database's clock and this host's agree within %" PRId64 " ms",
		            (apart_us + after_us - before_us) / 1000 + 1);
}

/* --- what is unsent --- */

static void
note_topic(const PGresult *res, int row, struct checkup_topics *topics, struct checkup *c)
{
	const char *name = PQgetvalue(res, row, 0);
	struct error err;

	if (PQgetisnull(res, row, 0)) {
		checkup_add(c, FINDING_WARNING, "topic", "fill the columns that kafka.topic names, or name a topic in the rows",
		            "unsent events have no topic: they would be parked");
		return;
	}
	if (topic_check(slice_from(name), ERR_POISON, &err) != 0) {
		checkup_add(c, FINDING_WARNING, "topic", "correct the rows: they would be parked", "of unsent events, %s", err.message);
		return;
	}
	for (size_t i = 0; i < topics->count; i++)
		if (strcmp(topics->items[i].name, name) == 0) {
			topics->items[i].largest = number(res, row, 1);
			return;
		}
	if (topics->count == CHECKUP_TOPICS_MAX) {
		topics->more = true;
		return;
	}
	snprintf(topics->items[topics->count].name, sizeof(topics->items[0].name), "%s", name);
	topics->items[topics->count++].largest = number(res, row, 1);
}

static int
unsent_text(const struct layout *lo, const char *topic_template, struct buf *sql, struct error *err)
{
	buf_add_str(sql, "SELECT x.topic, max(x.bytes) FROM");
	buf_printf(sql, " generate_series(0, %d) u(lane) CROSS JOIN LATERAL (SELECT ", lo->lanes - 1);
	if (topic_sql(lo, topic_template, sql, err) != 0)
		return -1;
	buf_printf(sql, " AS topic, octet_length(t.%s%s)::bigint AS bytes FROM %s t WHERE ", lo->columns[COL_PAYLOAD].quoted,
	           lo->columns[COL_PAYLOAD].type == TYPE_BYTEA ? "" : "::text", lo->relation);
	statements_lane_condition(sql, lo, "u.lane");
	buf_printf(sql, " ORDER BY t.%s LIMIT %d) x GROUP BY 1 ORDER BY count(*) DESC LIMIT %d", lo->columns[COL_ID].quoted,
	           LOOK_ROWS / lo->lanes, CHECKUP_TOPICS_MAX + 1);
	return 0;
}

static void
look_at_unsent(const struct config *cfg, PGconn *conn, const struct layout *lo, struct checkup_topics *topics, struct checkup *c)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	struct error err;
	int rc = unsent_text(lo, cfg->kafka.topic, &sql, &err);

	if (rc == 0)
		rc = conn_exec(conn, LOOK_BEGIN, "could not begin", &err);
	if (rc == 0)
		rc = conn_ask(conn, &sql, 0, NULL, "could not look at what is unsent", &res, &err);
	PQclear(PQexec(conn, "ROLLBACK"));
	if (rc != 0) {
		checkup_add_error(c, "unsent", &err);
		return;
	}
	for (int row = 0; row < PQntuples(res); row++)
		note_topic(res, row, topics, c);
}

void
checkup_postgresql(const struct config *cfg, const char *database, const char *role, struct checkup_topics *topics,
                   struct checkup *c)
{
	struct target t __attribute__((cleanup(target_close))) = TARGET_INIT;
	struct layout lo __attribute__((cleanup(layout_done))) = LAYOUT_INIT;
	bool fits;

	if (connect_to(cfg, database, role, &t, c) != 0)
		return;
	judge_sessions(cfg, database, t.conn, c);
	fits = judge_layout(&t, &lo, c);
	judge_settings(cfg, t.conn, t.role, &lo, c);
	judge_clock(t.conn, c);
	checkup_queries(cfg, t.conn, t.role, c);
	if (fits && lo.facts.readable && lo.lanes > 0 && lo.facts.may_select)
		look_at_unsent(cfg, t.conn, &lo, topics, c);
}
