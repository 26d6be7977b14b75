/* test_grants.c - the daemon's role can do what the daemon does, and nothing more. */
#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#include "admin/inspect.h"
#include "admin/install.h"
#include "source/statements.h"
#include "support/db.h"
#include "support/sandbox.h"
#include "support/tap.h"

#define DENIED "42501"

static struct install_request
request(const struct sandbox *sb)
{
	return (struct install_request){
		.layout = {.table = "outbox_events",
	                   .columns = {"id", "event_id", "aggregate_type", "aggregate_id", "event_type", "payload",
	                               "headers", "topic",
	                               "created_at", "sent_at"},
	                   .role = sb->name},
		.lanes = 1,
	};
}

static void
install(const struct sandbox *sb, const struct install_request *rq)
{
	struct install_plan plan = INSTALL_PLAN_INIT;
	struct error err;

	SANDBOX_MUST(install_run(sb->db, rq, &plan, &err), &err);
	install_plan_done(&plan);
	sandbox_exec(sb->db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	                     " SELECT 't', i::text, 'e', '{}' FROM generate_series(1, 4) i");
}

static void
prepare_and_run(PGconn *db, const char *what, const char *sql, int count, const char *const *values, int rows)
{
	PGresult *res = PQexecParams(db, sql, count, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(res);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		tap_diag("%s: %s", what, PQerrorMessage(db));
	CU_ASSERT_TRUE(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK);
	TAP_INT(atoi(PQcmdTuples(res)), rows);
	PQclear(res);
}

/* The texts that lanes run, in a lane's order. Ids are 1 to 4. */
static void
relay(PGconn *db, const struct install_request *rq)
{
	struct statements_options opt = {.settle_delete = rq->layout.settle_delete, .block_parked_keys = true,
	                                 .batch_rows = 10};
	struct layout_request own = rq->layout;
	struct layout lo = LAYOUT_INIT;
	struct statements st = {0};
	struct claim_params claim = {.from_ids = BUF_INIT, .xmaxes = BUF_INIT, .opens = BUF_INIT};
	struct ladder ladder;
	struct error err;
	const char *by_tid[] = {"{\"(0,1)\"}"}, *by_id[] = {"{2,3}"}, *parked[] = {"{4}", "{t}", "{too large}"};
	const char *lane[] = {"0"}, *bell[] = {"{0}", "{-1}", "{}", "{1}", "{0}"};

	own.role = NULL;
	SANDBOX_MUST(inspect(db, &own, &lo, &err), &err);
	TAP_INT_FATAL(layout_problems(&lo, &own, LAYOUT_ALL, &err, 1), 0);
	SANDBOX_MUST(statements_make(&lo, &opt, &st, &err), &err);
	ladder_init(&ladder, 0);
	statements_bind_claim(&claim, 0, 10, 1 << 20, &ladder, true, NULL);
	sandbox_exec(db, "BEGIN");
	prepare_and_run(db, "claim", st.claim, CLAIM_PARAMS, claim.values, 5);
	prepare_and_run(db, "claim, sized", st.claim_sized, CLAIM_PARAMS, claim.values, 5);
	prepare_and_run(db, "park", st.park, 3, parked, 1);
	prepare_and_run(db, "settle by tid", st.settle_tids, 1, by_tid, 1);
	prepare_and_run(db, "settle by id", st.settle_ids, 1, by_id, 2);
	prepare_and_run(db, "parked keys", st.parked_keys, 1, lane, 1);
	sandbox_exec(db, "COMMIT");
	prepare_and_run(db, "bell", st.bell, 5, bell, 2); /* the lane, and the snapshot */
	statements_done(&st);
	layout_done(&lo);
	buf_done(&claim.from_ids);
	buf_done(&claim.xmaxes);
	buf_done(&claim.opens);
}

static void
expect_denied(PGconn *db, const char *const statements[])
{
	for (size_t i = 0; statements[i] != NULL; i++) {
		const char *state = sandbox_state(db, "%s", statements[i]);

		if (strcmp(state, DENIED) != 0)
			tap_diag("\"%s\" was not denied", statements[i]);
		TAP_STR(state, DENIED);
	}
}

/* What no daemon's role may do, whatever the settings. */
static const char *const never[] = {
	"INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type) VALUES ('a', 'b', 'c')",
	"UPDATE outbox_events SET payload = NULL",
	"UPDATE outbox_events SET aggregate_id = 'x'",
	"UPDATE outbox_events SET headers = '{}'",
	"UPDATE outbox_events SET topic = 'x'",
	"TRUNCATE outbox_events",
	"ALTER TABLE outbox_events ADD x int",
	"DROP TABLE outbox_events",
	"DROP INDEX outbox_events_lane1",
	"CREATE INDEX ON outbox_events (topic)",
	"CREATE TRIGGER t AFTER INSERT ON outbox_events EXECUTE FUNCTION pgoutbox.notify()",
	"SELECT * FROM secrets",
	"UPDATE pgoutbox.meta SET version = 2",
	"INSERT INTO pgoutbox.pause (relation, scope, reason) VALUES ('outbox_events', 'all', 'r')",
	"UPDATE pgoutbox.pause SET resumed_at = now(), resumed_by = 'me'",
	"INSERT INTO pgoutbox.audit (verb, relation) VALUES ('v', 'outbox_events')",
	"SELECT FROM pgoutbox.audit",
	"UPDATE pgoutbox.outbox SET lanes = 2",
	"INSERT INTO pgoutbox.outbox VALUES ('secrets', 1, 'x')",
	"DELETE FROM pgoutbox.outbox",
	"UPDATE pgoutbox.parked SET state = 'skipped'",
	"DELETE FROM pgoutbox.parked",
	"TRUNCATE pgoutbox.parked",
	"CREATE TABLE pgoutbox.mine (x int)",
	"CREATE OR REPLACE FUNCTION pgoutbox.lane(key text, lanes integer) RETURNS integer LANGUAGE sql RETURN 0",
	"DROP FUNCTION pgoutbox.lane(text, integer) CASCADE",
	"SELECT pg_reload_conf()",
	NULL,
};

static PGconn *
open_role(const struct sandbox *sb)
{
	sandbox_exec(sb->db, "CREATE TABLE secrets (x int)");
	return sandbox_open(sb->role);
}

static void
test_mark(void)
{
	static const char *const deletes[] = {"DELETE FROM outbox_events", "UPDATE outbox_events SET id = DEFAULT",
	                                      NULL};
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	PGconn *db;

	install(&sb, &rq);
	db = open_role(&sb);
	relay(db, &rq);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE sent_at IS NOT NULL"), 3);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.parked WHERE key = '4' AND event ->> 'event_type' = "
	                           "'e'"), 1);
	expect_denied(db, never);
	expect_denied(db, deletes);
	db_close(&db);
}

static void
test_prune(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	PGconn *db;

	rq.layout.prune = true;
	install(&sb, &rq);
	db = open_role(&sb);
	relay(db, &rq);
	sandbox_exec(db, "DELETE FROM outbox_events WHERE sent_at < now()");
	expect_denied(db, never);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 1);
	db_close(&db);
}

static void
test_delete(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	PGconn *db;

	rq.layout.settle_delete = true;
	install(&sb, &rq);
	db = open_role(&sb);
	relay(db, &rq);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 1);
	expect_denied(db, never);
	db_close(&db);
}

/* Row locks need the right to update something: the id is what cannot be set at will. */
static void
test_delete_without_sent_at(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	struct install_plan plan = INSTALL_PLAN_INIT;
	struct error err;
	PGconn *db;

	sandbox_exec(sb.db, "CREATE TABLE outbox_events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id "
	                    "uuid DEFAULT"
	                    " gen_random_uuid(), aggregate_type text, aggregate_id text, event_type text, payload "
	                    "jsonb, headers jsonb,"
	                    " topic text, created_at timestamptz DEFAULT now())");
	rq.layout.settle_delete = true;
	rq.layout.columns[COL_SENT_AT] = "";
	SANDBOX_MUST(install_run(sb.db, &rq, &plan, &err), &err);
	install_plan_done(&plan);
	install(&sb, &rq);
	db = open_role(&sb);
	relay(db, &rq);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 1);
	TAP_STR(sandbox_state(db, "UPDATE outbox_events SET id = 7"), "428C9");
	expect_denied(db, never);
	/* and it is the least: without it there are no row locks */
	sandbox_exec(sb.db, "REVOKE UPDATE (id) ON outbox_events FROM %s", sb.name);
	TAP_STR(sandbox_state(db, "SELECT FROM outbox_events FOR UPDATE"), DENIED);
	db_close(&db);
}

/* A role that is granted each right in turn: the check names what is missing, and none is superfluous. */
static void
test_each_right_is_needed(void)
{
	static const struct {
		const char *revoke;
		const char *message;
	} cases[] = {
		{"USAGE ON SCHEMA pgoutbox", "may not use schema \"pgoutbox\""},
		{"SELECT ON pgoutbox.meta", "may not read tables \"pgoutbox.meta\" and \"pgoutbox.outbox\""},
		{"SELECT ON pgoutbox.outbox", "may not read tables \"pgoutbox.meta\" and \"pgoutbox.outbox\""},
		{"SELECT ON pgoutbox.pause", "or not \"pgoutbox.pause\""},
		{"SELECT ON pgoutbox.parked", "may not read and insert into table \"pgoutbox.parked\""},
		{"INSERT ON pgoutbox.parked", "may not read and insert into table \"pgoutbox.parked\""},
		{"SELECT ON outbox_events", "may not read every column of table \"public.outbox_events\""},
		{"UPDATE (sent_at) ON outbox_events", "may not update column \"sent_at\" of table "
		                                      "\"public.outbox_events\""},
		{"DELETE ON outbox_events", "may not delete from table \"public.outbox_events\""},
	};
	SANDBOX(sb);
	struct install_request rq = request(&sb);

	rq.layout.prune = true;
	install(&sb, &rq);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct layout lo = LAYOUT_INIT;
		struct layout_request own = rq.layout;
		struct error err = {0};
		PGconn *db;

		sandbox_exec(sb.db, "REVOKE %s FROM %s", cases[i].revoke, sb.name);
		db = sandbox_open(sb.role);
		own.role = NULL;
		SANDBOX_MUST(inspect(db, &own, &lo, &err), &err);
		TAP_INT(layout_problems(&lo, &own, LAYOUT_ALL, &err, 1), 1);
		TAP_HAS(err.message, cases[i].message);
		TAP_HAS(err.hint, "pgoutboxctl init");
		layout_done(&lo);
		db_close(&db);
		sandbox_exec(sb.db, "GRANT %s TO %s", cases[i].revoke, sb.name);
	}
}

static void
test_row_security(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	struct layout lo = LAYOUT_INIT;
	struct error err = {0};

	install(&sb, &rq);
	sandbox_exec(sb.db, "ALTER TABLE outbox_events ENABLE ROW LEVEL SECURITY");
	SANDBOX_MUST(inspect(sb.db, &rq.layout, &lo, &err), &err);
	TAP_INT(layout_problems(&lo, &rq.layout, LAYOUT_ALL, &err, 1), 1);
	TAP_HAS(err.message, "row-level security may hide rows");
	TAP_HAS(err.hint, "BYPASSRLS");
	layout_done(&lo);
	sandbox_exec(sb.db, "ALTER ROLE %s BYPASSRLS", sb.name);
	SANDBOX_MUST(inspect(sb.db, &rq.layout, &lo, &err), &err);
	TAP_INT(layout_problems(&lo, &rq.layout, LAYOUT_ALL, &err, 1), 0);
	layout_done(&lo);
}

int
main(void)
{
	tap_suite("grants");
	tap_test("mark without pruning", test_mark);
	tap_test("mark with pruning", test_prune);
	tap_test("delete", test_delete);
	tap_test("delete from a table without sent_at", test_delete_without_sent_at);
	tap_test("each right is needed and named", test_each_right_is_needed);
	tap_test("row-level security is no way to hide events", test_row_security);
	return tap_run();
}
