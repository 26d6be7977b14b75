/* lanes.c - in: an outbox, another number of lanes; out: its registration and its index changed. Knows relays by their
 * locks alone. */
#include "admin/lanes.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/audit.h"
#include "admin/conn.h"
#include "admin/inspect.h"
#include "admin/turn.h"
#include "base/clock.h"
#include "source/bell.h"
#include "source/session.h"
#include "source/share.h"

#define TURN_WAIT_S 10
#define LOOK_MS 100
#define BUILD_LOOK_MS 250

/* A build may take hours. When this program is killed, the server is to notice rather than to build on; not every
 * system can, where the build ends by itself. */
#define SESSION_SQL "SET lock_timeout = 0; SET statement_timeout = 0; SET idle_session_timeout = 0"
#define NOTICE_DEATH_SQL "SET client_connection_check_interval = '500ms'"
#define BEGIN_SQL                                                                        \
	"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '5s';" \
	" SET LOCAL statement_timeout = '30s'"

struct change {
	PGconn *conn;
	struct outbox *outbox;
	const struct lanes_request *rq;
	struct claim_index_table table;
	int from;
	char old_index[CLAIM_INDEX_NAME_SIZE], new_index[CLAIM_INDEX_NAME_SIZE], spare[CLAIM_INDEX_NAME_SIZE];
	int locks; /* lanes of the larger number: those are taken */
	bool held[LANES_MAX];
};

static void
step(const struct change *c, enum lanes_step what, const char *index)
{
	c->rq->step(c->rq->ctx, what, index);
}

static int
ask(const struct change *c, const struct buf *sql, const char *value, const char *doing, PGresult **ret_res,
    struct error *err)
{
	return conn_ask(c->conn, sql, value != NULL ? 1 : 0, &value, doing, ret_res, err);
}

/* --- the registration --- */

int
lanes_spare(PGconn *conn, uint32_t relation_oid, char ret_name[CLAIM_INDEX_NAME_SIZE], struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_printf(&sql, "SELECT spare_index FROM pgoutbox.outbox WHERE relation = %" PRIu32, relation_oid);
	if (conn_ask(conn, &sql, 0, NULL, "could not read pgoutbox.outbox", &res, err) != 0)
		return -1;
	snprintf(ret_name, CLAIM_INDEX_NAME_SIZE, "%s", PQntuples(res) == 1 ? PQgetvalue(res, 0, 0) : "");
	return 0;
}

/* Behind the administrators' lock: what was read before it may be old. */
static int
read_registration(struct change *c, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_printf(&sql, "SELECT lanes, claim_index FROM pgoutbox.outbox WHERE relation = %" PRIu32, c->table.oid);
	if (ask(c, &sql, NULL, "could not read pgoutbox.outbox", &res, err) != 0)
		return -1;
	if (PQntuples(res) != 1)
		return error_set(err, ERR_RETRY, "the table is no outbox any more");
	c->from = atoi(PQgetvalue(res, 0, 0));
	snprintf(c->old_index, sizeof(c->old_index), "%s", PQgetvalue(res, 0, 1));
	claim_index_name(c->table.name, c->rq->lanes, c->new_index);
	c->locks = c->from > c->rq->lanes ? c->from : c->rq->lanes;
	return lanes_spare(c->conn, c->table.oid, c->spare, err);
}

/* name "" = none */
static int
note_spare(struct change *c, const char *name, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_printf(&sql, "UPDATE pgoutbox.outbox SET spare_index = nullif($1, '') WHERE relation = %" PRIu32, c->table.oid);
	if (ask(c, &sql, name, "could not write pgoutbox.outbox", &res, err) != 0)
		return -1;
	snprintf(c->spare, sizeof(c->spare), "%s", name);
	return 0;
}

static int
drop_spare(struct change *c, enum lanes_step before, enum lanes_step after, struct error *err)
{
	char name[CLAIM_INDEX_NAME_SIZE];

	memcpy(name, c->spare, sizeof(name));
	step(c, before, name);
	/* A note that names the index in use is of no use, and must do no harm. */
	if (strcmp(name, c->old_index) != 0 && claim_index_drop(c->conn, &c->table, name, err) != 0)
		return -1;
	if (note_spare(c, "", err) != 0)
		return -1;
	step(c, after, name);
	return 0;
}

/* Its keys would be in other lanes, and relayed. */
static int
refuse_paused_lane(struct change *c, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_printf(&sql,
	           "SELECT value FROM pgoutbox.pause WHERE relation = %" PRIu32
	           " AND scope = 'lane' AND resumed_at IS NULL ORDER BY id LIMIT 1",
	           c->table.oid);
	if (ask(c, &sql, NULL, "could not look at what is paused", &res, err) != 0)
		return -1;
	if (PQntuples(res) == 0)
		return 0;
	error_set(err, ERR_CONFIG, "lane %s is paused, and with another number of lanes its keys would be in others",
	          PQgetvalue(res, 0, 0));
	return error_hint(err, "pgoutboxctl resume --lane=%s; a pause of everything or of a topic stays as it is",
	                  PQgetvalue(res, 0, 0));
}

/* --- the index --- */

static void
look_at_build(const struct change *c)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	struct lanes_build build = {.waits_for = 0};
	struct error ignored;
	char sql[384];

	if (c->rq->watch == NULL)
		return;
	snprintf(sql, sizeof(sql),
	         "SELECT phase, CASE WHEN blocks_total > 0 THEN blocks_done ELSE tuples_done END,"
	         " CASE WHEN blocks_total > 0 THEN blocks_total ELSE tuples_total END, current_locker_pid"
	         " FROM pg_catalog.pg_stat_progress_create_index WHERE pid = %d",
	         PQbackendPID(c->conn));
	if (conn_query(c->rq->watch, sql, 0, NULL, "could not look at the build", &res, &ignored) != 0 || PQntuples(res) == 0)
		return;
	snprintf(build.phase, sizeof(build.phase), "%s", PQgetvalue(res, 0, 0));
	build.done = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
	build.total = strtoll(PQgetvalue(res, 0, 2), NULL, 10);
	build.waits_for = atoi(PQgetvalue(res, 0, 3));
	c->rq->build(c->rq->ctx, &build);
}

/* The build takes as long as it takes; meanwhile another session tells how far it is. */
static int
run_build(const struct change *c, const char *sql, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	PGresult *rest;

	if (PQsendQuery(c->conn, sql) != 1)
		return error_set(err, ERR_RETRY, "could not build index \"%s\": %s", c->new_index, PQerrorMessage(c->conn));
	for (;;) {
		struct pollfd fd = {.fd = PQsocket(c->conn), .events = POLLIN};

		if (PQconsumeInput(c->conn) != 1 || !PQisBusy(c->conn))
			break;
		if (poll(&fd, 1, BUILD_LOOK_MS) == 0)
			look_at_build(c);
	}
	res = PQgetResult(c->conn);
	while ((rest = PQgetResult(c->conn)) != NULL)
		PQclear(rest);
	if (PQresultStatus(res) == PGRES_COMMAND_OK)
		return 0;
	(void)session_result_error(res, "could not build the index", err);
	if (err->hint[0] == '\0')
		error_hint(err, "run this again when that is mended; \"pgoutboxctl lanes %d\" removes what is left of it", c->from);
	return -1;
}

static int
refuse_partitioned(const struct change *c, struct error *err)
{
	error_set(err, ERR_CONFIG, "table \"%s\" is partitioned, and PostgreSQL builds no index of such a table concurrently",
	          c->outbox->layout.relation);
	return error_hint(err, "build \"%s\" yourself, ON ONLY the table, then concurrently for each partition and"
	                       " ATTACH PARTITION, and run this again: pgoutboxctl(8) shows how",
	                  c->new_index);
}

/* What somebody else built is used, but not noted: should the change not come about, it is not ours to drop. */
static int
have_index(struct change *c, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	enum claim_index_state state;

	if (claim_index_state(c->conn, &c->table, c->new_index, &state, err) != 0)
		return -1;
	if (state == CLAIM_INDEX_OTHER) {
		error_set(err, ERR_CONFIG, "\"%s\" exists in schema \"%s\", and is no index of the outbox", c->new_index,
		          c->table.schema);
		return error_hint(err, "rename it, and run this again");
	}
	if (state != CLAIM_INDEX_VALID && c->table.partitioned)
		return refuse_partitioned(c, err);
	if (state == CLAIM_INDEX_VALID) {
		step(c, LANES_FOUND, c->new_index);
		return 0;
	}
	if (strcmp(c->spare, c->new_index) != 0 && note_spare(c, c->new_index, err) != 0)
		return -1;
	if (state == CLAIM_INDEX_INVALID && claim_index_drop(c->conn, &c->table, c->new_index, err) != 0)
		return -1;
	step(c, LANES_BUILDING, c->new_index);
	if (claim_index_build_text(&c->table, &c->outbox->target.request, c->new_index, c->rq->lanes, &sql, err) != 0 ||
	    run_build(c, buf_str(&sql), err) != 0)
		return -1;
	step(c, LANES_BUILT, c->new_index);
	return 0;
}

/* --- the lanes --- */

static int
name_holder(const struct change *c, uint32_t lock, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	char what[32];

	if (lock == SHARE_SWITCH)
		snprintf(what, sizeof(what), "the change of lanes");
	else
		snprintf(what, sizeof(what), "lane %" PRIu32, lock);
	buf_printf(&sql,
	           "SELECT l.pid, a.application_name, coalesce(pg_catalog.host(a.client_addr), 'local'),"
	           " coalesce(a.state, 'hidden')"
	           " FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
	           " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = %" PRIu32
	           " AND l.objid = %" PRIu32 " AND l.database ="
	           " (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())",
	           c->table.oid, lock);
	if (ask(c, &sql, NULL, "could not look for the owner of a lane", &res, err) != 0)
		return -1;
	if (PQntuples(res) == 0) {
		error_set(err, ERR_RETRY, "%s was not to be had in time, and was let go just now", what);
		return error_hint(err, "run this again; the index that was built is kept");
	}
	error_set(err, ERR_RETRY, "session %s (\"%s\", %s, %s) still holds %s after %" PRId64 " s", PQgetvalue(res, 0, 0),
	          PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2), PQgetvalue(res, 0, 3), what, c->rq->timeout_ms / 1000);
	return error_hint(err, "relays let go what Kafka has acknowledged, so look at /readyz?verbose and the log there; the"
	                       " outbox works on with %d lanes and the new index is kept: run this again, or"
	                       " \"pgoutboxctl lanes %d\" to undo it",
	                  c->from, c->from);
}

static bool
lock_is_mine(const struct change *c, uint32_t lock, struct error *err, int *rc)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_printf(&sql, "SELECT pg_catalog.pg_try_advisory_lock(%" PRId32 ", %" PRId32 ")", (int32_t)c->table.oid,
	           (int32_t)lock);
	*rc = ask(c, &sql, NULL, "could not take a lane", &res, err);
	return *rc == 0 && PQgetvalue(res, 0, 0)[0] == 't';
}

/* Asks again and again: a statement that waits would have a snapshot, which other sessions' index builds wait for. */
static int
take_lock(const struct change *c, uint32_t lock, int64_t until_us, struct error *err)
{
	struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	int rc;

	while (!lock_is_mine(c, lock, err, &rc)) {
		if (rc != 0)
			return -1;
		if (clock_mono_us() >= until_us)
			return name_holder(c, lock, err);
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int
take_lanes(struct change *c, struct error *err)
{
	int64_t until_us = clock_mono_us() + c->rq->timeout_ms * 1000;

	step(c, LANES_WAITING, NULL);
	if (take_lock(c, SHARE_SWITCH, until_us, err) != 0)
		return -1;
	for (int lane = 0; lane < c->locks; lane++) {
		if (take_lock(c, (uint32_t)lane, until_us, err) != 0)
			return -1;
		c->held[lane] = true;
	}
	return 0;
}

/* The order to let go is the last to end. What fails here ends with the connection. */
static void
give_lanes(struct change *c)
{
	char sql[128];

	for (int lane = 0; lane < c->locks; lane++)
		if (c->held[lane]) {
			snprintf(sql, sizeof(sql), "SELECT pg_catalog.pg_advisory_unlock(%" PRId32 ", %d)", (int32_t)c->table.oid, lane);
			PQclear(PQexec(c->conn, sql));
			c->held[lane] = false;
		}
	snprintf(sql, sizeof(sql), "SELECT pg_catalog.pg_advisory_unlock(%" PRId32 ", %" PRId32 ")", (int32_t)c->table.oid,
	         (int32_t)SHARE_SWITCH);
	PQclear(PQexec(c->conn, sql));
}

/* --- the switch --- */

/* A pooler that gives each statement another session would make the locks worthless. */
static int
check_locks(const struct change *c, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_printf(&sql,
	           "SELECT count(*) FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2"
	           " AND l.pid = pg_catalog.pg_backend_pid() AND l.classid = %" PRIu32 " AND l.objid::bigint < %d",
	           c->table.oid, c->locks);
	if (ask(c, &sql, NULL, "could not look at the lanes' locks", &res, err) != 0)
		return -1;
	if (atoi(PQgetvalue(res, 0, 0)) == c->locks)
		return 0;
	error_set(err, ERR_CONFIG, "the locks of the lanes are not this session's: a pooler is in between");
	return error_hint(err, "connect to PostgreSQL itself, or through a pooler that keeps sessions: --database names the"
	                       " connection");
}

/* By the rules of the daemon, within the transaction: what it would refuse is not committed. */
static int
judge(const struct change *c, struct error *err)
{
	struct layout lo __attribute__((cleanup(layout_done))) = LAYOUT_INIT;
	struct error problem;

	if (inspect(c->conn, &c->outbox->target.request, &lo, err) != 0)
		return -1;
	if (layout_problems(&lo, &c->outbox->target.request, LAYOUT_TABLE | LAYOUT_INSTALL, &problem, 1) == 0)
		return 0;
	*err = problem;
	return error_hint(err, "drop index \"%s\" and run this again, which builds it", c->new_index);
}

static int
write_switch(const struct change *c, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
	char from[16], to[16];
	const struct audit_detail details[] = {{"from", from, true}, {"to", to, true}, {"claim_index", c->new_index, false}};

	snprintf(from, sizeof(from), "%d", c->from);
	snprintf(to, sizeof(to), "%d", c->rq->lanes);
	buf_printf(&sql,
	           "UPDATE pgoutbox.outbox SET lanes = %d, claim_index = $1, spare_index = claim_index"
	           " WHERE relation = %" PRIu32 " AND lanes = %d",
	           c->rq->lanes, c->table.oid, c->from);
	if (ask(c, &sql, c->new_index, "could not write pgoutbox.outbox", &res, err) != 0)
		return -1;
	if (strcmp(PQcmdTuples(res), "1") != 0)
		return error_set(err, ERR_RETRY, "somebody else changed the number of lanes meanwhile");
	return audit_add(c->conn, "lanes", c->table.oid, details, sizeof(details) / sizeof(details[0]), err);
}

/* Nobody begins a pause of a lane meanwhile. */
static int
switch_lanes(struct change *c, struct error *err)
{
	int rc = conn_exec(c->conn, BEGIN_SQL "; LOCK TABLE pgoutbox.pause IN SHARE MODE", "could not begin", err);

	if (rc == 0)
		rc = check_locks(c, err);
	if (rc == 0)
		rc = refuse_paused_lane(c, err);
	if (rc == 0)
		rc = write_switch(c, err);
	if (rc == 0)
		rc = judge(c, err);
	if (rc == 0)
		rc = conn_exec(c->conn, "COMMIT", "could not commit", err);
	if (rc != 0) {
		PQclear(PQexec(c->conn, "ROLLBACK"));
		return -1;
	}
	snprintf(c->spare, sizeof(c->spare), "%s", c->old_index);
	snprintf(c->old_index, sizeof(c->old_index), "%s", c->new_index);
	return 0;
}

static int
change(struct change *c, struct lanes_result *result, struct error *err)
{
	int64_t since_us;
	int rc;

	if (read_registration(c, err) != 0)
		return -1;
	result->from = c->from;
	result->leftover = c->spare[0] != '\0' && (c->from == c->rq->lanes || strcmp(c->spare, c->new_index) != 0);
	if (result->leftover && drop_spare(c, LANES_DROPPING_SPARE, LANES_DROPPED_SPARE, err) != 0)
		return -1;
	if (c->from == c->rq->lanes)
		return 0;
	if (refuse_paused_lane(c, err) != 0 || have_index(c, err) != 0)
		return -1;
	since_us = clock_mono_us();
	rc = take_lanes(c, err);
	if (rc == 0)
		rc = switch_lanes(c, err);
	give_lanes(c);
	if (rc != 0)
		return -1;
	result->switched_us = clock_mono_us() - since_us;
	step(c, LANES_SWITCHED, NULL);
	return drop_spare(c, LANES_DROPPING_OLD, LANES_DROPPED_OLD, err);
}

int
lanes_change(struct outbox *o, const struct lanes_request *rq, struct lanes_result *ret_result, struct error *err)
{
	struct change c = {.conn = o->target.conn, .outbox = o, .rq = rq};
	struct lanes_result result = {.from = 0};
	int rc;

	if (turn_take(c.conn, TURN_WAIT_S, err) != 0)
		return -1;
	PQclear(PQexec(c.conn, NOTICE_DEATH_SQL));
	rc = conn_exec(c.conn, SESSION_SQL, "could not lift timeouts", err);
	if (rc == 0)
		rc = claim_index_table(c.conn, o->layout.relation_oid, &c.table, err);
	if (rc == 0)
		rc = change(&c, &result, err);
	turn_give(c.conn);
	if (rc == 0)
		*ret_result = result;
	return rc;
}
