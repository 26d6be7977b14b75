/* survey.c - in: a connection, a layout; out: what the database says of the outbox. Changes nothing, judges nothing. */
#include "admin/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/conn.h"
#include "source/share.h"
#include "source/statements.h"

/* One snapshot with an end, and the plans that the relay has, whatever the statistics say. */
#define LOOK_BEGIN                                                                              \
	"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10s';" \
	" SET LOCAL lock_timeout = '5s'; SET LOCAL jit = off"
#define LOOK_PIN                                                                     \
	"SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;"         \
	" SET LOCAL enable_sort = off; SET LOCAL max_parallel_workers_per_gather = 0"

#define US(column) "(extract(epoch FROM " column ") * 1000000)::bigint"

#define BLOCKED_LOOK 1000 /* rows of each lane that are looked at */

static int64_t
number(const PGresult *res, int row, int col)
{
	return strtoll(PQgetvalue(res, row, col), NULL, 10); /* NULL comes as "" */
}

static void
text(const PGresult *res, int row, int col, char *ret_text, size_t size)
{
	snprintf(ret_text, size, "%s", PQgetvalue(res, row, col));
}

static int
query(PGconn *conn, const struct buf *sql, int count, const char *const *values, const char *doing, PGresult **ret_res,
      struct error *err)
{
	if (buf_failed(sql))
		return error_set(err, ERR_RETRY, "out of memory");
	return conn_query(conn, buf_str(sql), count, values, doing, ret_res, err);
}

/* --- what waits --- */

static int
ask_waiting(PGconn *conn, const struct layout *lo, int64_t up_to_id, struct stats *ret_stats, struct error *err)
{
	struct stats_params params __attribute__((cleanup(stats_params_done))) = STATS_PARAMS_INIT;
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	char limit[24];
	bool all = up_to_id == INT64_MAX;

	if (!stats_bind(&params, lo, NULL))
		return error_set(err, ERR_RETRY, "out of memory");
	snprintf(limit, sizeof(limit), "%" PRId64, up_to_id);
	params.values[STATS_PARAMS] = limit;
	if (all)
		stats_text(lo, &sql);
	else
		stats_text_up_to(lo, &sql);
	if (query(conn, &sql, all ? STATS_PARAMS : STATS_PARAMS + 1, params.values, "could not look at what waits", &res, err) != 0)
		return -1;
	*ret_stats = stats_read(lo, res);
	return 0;
}

/* Within the pinned transaction, which ends whatever happens. */
static int
pinned(PGconn *conn, int rc, struct error *err)
{
	struct error ignored;

	return conn_exec(conn, "COMMIT", "could not end the look", rc == 0 ? err : &ignored) != 0 ? -1 : rc;
}

int
survey_waiting(PGconn *conn, const struct layout *lo, int64_t up_to_id, struct stats *ret_stats, struct error *err)
{
	if (conn_exec(conn, LOOK_BEGIN ";" LOOK_PIN, "could not look at the outbox", err) != 0)
		return -1;
	return pinned(conn, ask_waiting(conn, lo, up_to_id, ret_stats, err), err);
}

static int
ask_blocked(PGconn *conn, const struct layout *lo, int64_t up_to_id, bool *ret_blocked, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	const char *id = lo->columns[COL_ID].quoted;

	buf_printf(&sql,
	           "SELECT NOT EXISTS (SELECT FROM generate_series(0, %d) u(lane), LATERAL (SELECT t.%s::text AS key FROM %s t WHERE ",
	           lo->lanes - 1, lo->columns[COL_AGGREGATE_ID].quoted, lo->relation);
	statements_lane_condition(&sql, lo, "u.lane");
	buf_printf(&sql,
	           " AND t.%s <= %" PRId64 " ORDER BY t.%s LIMIT %d) x WHERE NOT EXISTS (SELECT FROM pgoutbox.parked p"
	           " WHERE p.relation = %" PRIu32 " AND p.key = x.key AND p.state = 'parked'))",
	           id, up_to_id, id, BLOCKED_LOOK, lo->relation_oid);
	if (query(conn, &sql, 0, NULL, "could not look at what waits behind parked events", &res, err) != 0)
		return -1;
	*ret_blocked = PQgetvalue(res, 0, 0)[0] == 't';
	return 0;
}

int
survey_blocked(PGconn *conn, const struct layout *lo, int64_t up_to_id, bool *ret_blocked, struct error *err)
{
	if (conn_exec(conn, LOOK_BEGIN ";" LOOK_PIN, "could not look at the outbox", err) != 0)
		return -1;
	return pinned(conn, ask_blocked(conn, lo, up_to_id, ret_blocked, err), err);
}

/* --- the table --- */

static int
ask_table(PGconn *conn, const struct layout *lo, struct survey *s, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_printf(&sql,
	           "SELECT " US("clock_timestamp()") ", sum(pg_table_size(r.oid))::bigint, sum(pg_indexes_size(r.oid))::bigint,"
	           " sum(s.n_live_tup)::bigint, sum(s.n_dead_tup)::bigint, " US("max(greatest(s.last_vacuum, s.last_autovacuum))") ","
	           " sum(s.n_tup_ins)::bigint, sum(s.n_tup_upd)::bigint, sum(s.n_tup_del)::bigint,"
	           " (SELECT count(*) FROM pgoutbox.parked p WHERE p.relation = %" PRIu32 " AND p.state = 'parked')"
	           " FROM (SELECT %" PRIu32 "::oid AS oid UNION SELECT relid FROM pg_partition_tree(%" PRIu32 ")) r"
	           " LEFT JOIN pg_stat_all_tables s ON s.relid = r.oid",
	           lo->relation_oid, lo->relation_oid, lo->relation_oid);
	if (query(conn, &sql, 0, NULL, "could not look at the table's size", &res, err) != 0)
		return -1;
	s->now_us = number(res, 0, 0);
	s->table_bytes = number(res, 0, 1);
	s->index_bytes = number(res, 0, 2);
	s->live_rows = number(res, 0, 3);
	s->dead_rows = number(res, 0, 4);
	s->vacuumed_us = number(res, 0, 5);
	s->inserted = number(res, 0, 6);
	s->updated = number(res, 0, 7);
	s->deleted = number(res, 0, 8);
	s->parked = number(res, 0, 9);
	return 0;
}

static int
ask_oldest_sent(PGconn *conn, const struct layout *lo, struct survey *s, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	const char *sent = lo->columns[COL_SENT_AT].quoted;
	const char *id = lo->columns[COL_ID].quoted;

	s->oldest_sent_us = -1;
	if (sent == NULL)
		return 0;
	buf_printf(&sql, "SELECT (extract(epoch FROM t.%s::timestamptz) * 1000000)::bigint FROM %s t ORDER BY t.%s LIMIT 1", sent,
	           lo->relation, id);
	if (query(conn, &sql, 0, NULL, "could not look at the oldest row", &res, err) != 0)
		return -1;
	s->oldest_sent_us = PQntuples(res) > 0 ? number(res, 0, 0) : 0;
	return 0;
}

/* --- who is there --- */

static void
take_session(struct survey *s, uint32_t lock, const struct survey_session *session)
{
	if (lock < (uint32_t)s->lanes)
		s->owners[lock] = *session;
	else if (lock == SHARE_KEEPER)
		s->pruner = *session;
	else if ((lock & SHARE_RELAY_FLAG) != 0) {
		if (s->relays < SURVEY_RELAYS_MAX)
			s->relay[s->relays] = *session;
		s->relays++;
	}
}

static int
ask_sessions(PGconn *conn, const struct layout *lo, struct survey *s, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_printf(&sql,
	           "SELECT l.objid::bigint, l.pid, CASE WHEN a.client_port = -1 THEN 'local' ELSE host(a.client_addr) END,"
	           " " US("a.backend_start") ", a.application_name FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)"
	           " WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted AND l.classid = %" PRIu32
	           " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY l.objid",
	           lo->relation_oid);
	if (query(conn, &sql, 0, NULL, "could not see the relays", &res, err) != 0)
		return -1;
	for (int row = 0; row < PQntuples(res); row++) {
		struct survey_session session = {.pid = (int)number(res, row, 1), .since_us = number(res, row, 3)};

		text(res, row, 2, session.host, sizeof(session.host));
		text(res, row, 4, session.application, sizeof(session.application));
		take_session(s, (uint32_t)number(res, row, 0), &session);
	}
	return 0;
}

/* Slots hold back the whole cluster by xmin; their catalog_xmin concerns no table of ours. */
#define HORIZON                                                                                                               \
	"SELECT h.* FROM (SELECT 'session' AS kind, application_name AS name, state, pid, " US("xact_start") " AS since,"               \
	" age(backend_xmin) AS age FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_xmin IS NOT NULL"          \
	" AND (datname = current_database() OR backend_type = 'walsender')"                                                   \
	" UNION ALL SELECT 'replication slot', slot_name, NULL, active_pid, NULL, age(xmin) FROM pg_replication_slots"        \
	" WHERE xmin IS NOT NULL"                                                                                             \
	" UNION ALL SELECT 'prepared transaction', gid, NULL, NULL, " US("prepared") ", age(transaction) FROM pg_prepared_xacts" \
	" WHERE database = current_database()) h ORDER BY age DESC, since LIMIT 1"
#define HIDDEN "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_start IS NULL"

static int
ask_horizon(PGconn *conn, struct survey *s, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	PGresult *hidden __attribute__((cleanup(conn_clear))) = NULL;
	struct survey_horizon *h = &s->horizon;

	if (conn_query(conn, HORIZON, 0, NULL, "could not look for old snapshots", &res, err) != 0 ||
	    conn_query(conn, HIDDEN, 0, NULL, "could not look at the sessions", &hidden, err) != 0)
		return -1;
	s->hidden = (int)number(hidden, 0, 0);
	if (PQntuples(res) == 0)
		return 0;
	text(res, 0, 0, h->kind, sizeof(h->kind));
	text(res, 0, 1, h->name, sizeof(h->name));
	text(res, 0, 2, h->state, sizeof(h->state));
	h->pid = (int)number(res, 0, 3);
	h->since_us = PQgetisnull(res, 0, 4) ? -1 : number(res, 0, 4);
	h->transactions = number(res, 0, 5);
	return 0;
}

/* --- what is paused --- */

static int
ask_pauses(PGconn *conn, const struct layout *lo, struct survey *s, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_printf(&sql,
	           "SELECT scope, value, paused_by, reason, " US("paused_at") " FROM pgoutbox.pause WHERE relation = %" PRIu32
	           " AND resumed_at IS NULL ORDER BY scope, id",
	           lo->relation_oid);
	if (query(conn, &sql, 0, NULL, "could not look at what is paused", &res, err) != 0)
		return -1;
	s->pauses = PQntuples(res);
	for (int row = 0; row < s->pauses && row < SURVEY_PAUSES_MAX; row++) {
		struct survey_pause *p = &s->pause[row];

		text(res, row, 0, p->scope, sizeof(p->scope));
		text(res, row, 1, p->value, sizeof(p->value));
		text(res, row, 2, p->by, sizeof(p->by));
		text(res, row, 3, p->reason, sizeof(p->reason));
		p->since_us = number(res, row, 4);
	}
	for (int row = 0; row < s->pauses; row++) {
		int64_t lane = number(res, row, 1);

		if (strcmp(PQgetvalue(res, row, 0), "lane") == 0 && lane >= 0 && lane < LANES_MAX)
			s->lane_paused[lane] = true;
	}
	return 0;
}

const struct survey_pause *
survey_paused(const struct survey *s)
{
	return s->pauses > 0 && strcmp(s->pause[0].scope, "all") == 0 ? &s->pause[0] : NULL;
}

/* --- all of it --- */

static int
ask_all(PGconn *conn, const struct layout *lo, struct survey *s, struct error *err)
{
	if (ask_sessions(conn, lo, s, err) != 0 || ask_pauses(conn, lo, s, err) != 0 || ask_horizon(conn, s, err) != 0 || ask_table(conn, lo, s, err) != 0 ||
	    conn_exec(conn, LOOK_PIN, "could not look at the outbox", err) != 0)
		return -1;
	return ask_oldest_sent(conn, lo, s, err) != 0 ? -1 : ask_waiting(conn, lo, INT64_MAX, &s->stats, err);
}

int
survey_take(PGconn *conn, const struct layout *lo, struct survey *ret_survey, struct error *err)
{
	struct survey s = {.lanes = lo->lanes};

	if (conn_exec(conn, LOOK_BEGIN, "could not look at the outbox", err) != 0 ||
	    pinned(conn, ask_all(conn, lo, &s, err), err) != 0)
		return -1;
	*ret_survey = s;
	return 0;
}

int
survey_sessions(PGconn *conn, const struct layout *lo, struct survey *ret_survey, struct error *err)
{
	struct survey s = {.lanes = lo->lanes};
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (ask_sessions(conn, lo, &s, err) != 0 || ask_pauses(conn, lo, &s, err) != 0 ||
	    conn_query(conn, "SELECT " US("clock_timestamp()"), 0, NULL, "could not ask for the time", &res, err) != 0)
		return -1;
	s.now_us = number(res, 0, 0);
	*ret_survey = s;
	return 0;
}

int
survey_owned(const struct survey *s)
{
	int n = 0;

	for (int i = 0; i < s->lanes; i++)
		n += s->owners[i].pid != 0;
	return n;
}
