/* test_parked.c - the verbs "pgoutboxctl parked ...", on events that the test sets aside itself. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "support/db.h"
#include "support/proc.h"
#include "support/sandbox.h"
#include "support/tap.h"

#define PROGRAM "./pgoutboxctl"

static char config_path[] = "/tmp/pgoutbox-parked.XXXXXX";
static char database[256];

static void
write_config(const struct sandbox *sb, const char *rest)
{
	FILE *f = fopen(config_path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "database:\n  conninfo: \"%s\"\nkafka:\n  brokers: \"localhost:1\"\n%s", sb->role, rest);
	TAP_INT(fclose(f), 0);
	snprintf(database, sizeof(database), "--database=%s", sb->super);
}

/* "parked" and up to five words behind it; the output is the caller's. */
static char *
run(int status, const char *a, const char *b, const char *c, const char *d, const char *e)
{
	const char *argv[] = {PROGRAM, "-c", config_path, database, "parked", a, b, c, d, e, NULL};
	char *output = NULL;
	int got = proc_run(argv, 30000, &output);

	if (got != status)
		tap_diag("%s: %s", a, output);
	TAP_INT(got, status);
	return output;
}

static void
expect(int status, const char *text, const char *a, const char *b, const char *c, const char *d, const char *e)
{
	char *output = run(status, a, b, c, d, e);

	TAP_HAS(output, text);
	free(output);
}

static json_t *
run_json(const char *a, const char *b, const char *c, const char *d)
{
	char *output = run(EX_OK, a, "--json", b, c, d);
	json_t *root = json_loads(output, 0, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	free(output);
	return root;
}

/* Three events of key a, of which the first is parked, and one of key b, parked too: ids 1 to 4 in both tables. */
static void
set_up(struct sandbox *sb, const char *rest, bool deleted)
{
	const char *argv[] = {PROGRAM, "-c", config_path, database, "init", NULL};
	char *output = NULL;

	write_config(sb, rest);
	TAP_INT_FATAL(proc_run(argv, 30000, &output), 0);
	free(output);
	sandbox_exec(sb->db,
	             "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, topic) VALUES"
	             " ('order', 'a', 'made', '{\"pin\": \"1234-confidential\"}', 'bad topic!'),"
	             " ('order', 'a', 'paid', '{}', NULL), ('order', E'b\\x1b[31m', 'made', '{}', 'other'),"
	             " ('order', 'a', 'sent', '{}', NULL);"
	             "INSERT INTO pgoutbox.parked (relation, event_row, key, topic, reason, event)"
	             " SELECT 'outbox_events'::regclass, id, aggregate_id, topic, 'too large', to_jsonb(t)"
	             " FROM outbox_events t WHERE topic IS NOT NULL ORDER BY id");
	sandbox_exec(sb->db, deleted ? "DELETE FROM outbox_events WHERE topic IS NOT NULL"
	                             : "UPDATE outbox_events SET sent_at = now() WHERE topic IS NOT NULL");
}

static void
check_int(const struct sandbox *sb, long long wanted, const char *sql)
{
	struct error err;
	PGresult *res __attribute__((cleanup(db_clear))) = db_query(sb->db, &err, "%s", sql);

	CU_ASSERT_PTR_NOT_NULL_FATAL(res);
	TAP_INT(strtoll(PQgetvalue(res, 0, 0), NULL, 10), wanted);
}

#define UNSENT "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"
#define STATE(state) "SELECT count(*) FROM pgoutbox.parked WHERE resolved_by = session_user AND state = '" state "'"

static void
test_list(void)
{
	SANDBOX(sb);
	json_t *root, *first;

	set_up(&sb, "", false);
	expect(EX_OK, "ID  PARKED AT ", "list", NULL, NULL, NULL, NULL);
	expect(EX_OK, "parked  2        too large\n", "list", "--key", "a", NULL, NULL);
	expect(EX_OK, "b\\x1B[31m", "list", "--topic", "other", NULL, NULL);
	expect(EX_OK, "parked  0        too large\n", "list", "--topic", "other", NULL, NULL);
	expect(EX_OK, "too large", "list", "--reason-like", "too %", NULL, NULL);
	expect(EX_OK, "nothing is parked", "list", "--reason-like", "too", NULL, NULL);
	expect(EX_OK, "nothing is parked", "list", "--key", "nobody", NULL, NULL);
	expect(EX_OK, "there are more", "list", "--limit", "1", NULL, NULL);
	/* Another outbox's are none of ours. */
	sandbox_exec(sb.db, "INSERT INTO pgoutbox.parked (relation, event_row, key, topic, reason, event)"
	                    " VALUES ('pgoutbox.meta'::regclass, 1, 'a', 'elsewhere', 'r', '{}')");
	expect(EX_OK, "nothing is parked", "list", "--topic", "elsewhere", NULL, NULL);
	expect(EX_CONFIG, "there is no parked event 3", "show", "3", NULL, NULL, NULL);
	expect(EX_CONFIG, "3 (unknown)", "skip", "--yes", "3", NULL, NULL);
	expect(EX_OK, "nothing is parked", "retry", "--all", "--topic", "elsewhere", NULL);
	expect(EX_USAGE, "is no number from 1", "list", "--limit", "0", NULL, NULL);
	expect(EX_USAGE, "is no number from 1", "list", "--limit", "1x", NULL, NULL);
	root = run_json("list", "--limit", "1", NULL);
	first = json_array_get(json_object_get(root, "events"), 0);
	TAP_INT(json_array_size(json_object_get(root, "events")), 1);
	CU_ASSERT_TRUE(json_is_true(json_object_get(root, "more")));
	TAP_STR(json_string_value(json_object_get(root, "outbox")), "public.outbox_events");
	TAP_INT(json_integer_value(json_object_get(first, "id")), 1);
	TAP_STR(json_string_value(json_object_get(first, "key")), "a");
	TAP_STR(json_string_value(json_object_get(first, "state")), "parked");
	TAP_INT(strlen(json_string_value(json_object_get(first, "event_id"))), 36);
	TAP_INT(strlen(json_string_value(json_object_get(first, "parked_at"))), 20);
	TAP_INT(json_integer_value(json_object_get(first, "event_row")), 1);
	TAP_STR(json_string_value(json_object_get(first, "topic")), "bad topic!");
	TAP_STR(json_string_value(json_object_get(first, "reason")), "too large");
	TAP_INT(json_integer_value(json_object_get(first, "waiting")), 2);
	CU_ASSERT_TRUE(json_is_true(json_object_get(first, "waiting_exact")));
	CU_ASSERT_PTR_NULL(json_object_get(first, "event"));
	CU_ASSERT_TRUE(json_is_null(json_object_get(first, "resolved_at")));
	json_decref(root);
	free(run(EX_OK, "skip", "--yes", "2", NULL, NULL));
	root = run_json("list", NULL, NULL, NULL);
	TAP_INT(json_array_size(json_object_get(root, "events")), 1);
	json_decref(root);
	expect(EX_OK, "skipped  -        too large\n", "list", "--all", NULL, NULL, NULL);
}

/* What waits is looked for in a bounded part of the lane, and found by the claim's index. */
static void
test_waiting(void)
{
	SANDBOX(sb);
	json_t *root, *first;

	set_up(&sb, "", false);
	sandbox_exec(sb.db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type)"
	                    " SELECT 'order', 'a', 'x' FROM generate_series(1, 10500)");
	root = run_json("list", "--key", "a", NULL);
	first = json_array_get(json_object_get(root, "events"), 0);
	TAP_INT(json_integer_value(json_object_get(first, "waiting")), 10000);
	CU_ASSERT_TRUE(json_is_false(json_object_get(first, "waiting_exact")));
	json_decref(root);
	expect(EX_OK, "parked  10000+  ", "list", NULL, NULL, NULL, NULL);
	expect(EX_OK, "waiting     10000+ later events of its key\n", "show", "1", NULL, NULL, NULL);
	/* Two of a key: each has its own behind it. Sent ones and those of no key wait for nobody. */
	sandbox_exec(sb.db, "DELETE FROM outbox_events WHERE event_type = 'x';"
	                    "INSERT INTO pgoutbox.parked (relation, event_row, key, reason, event)"
	                    " VALUES ('outbox_events'::regclass, 2, 'a', 'r2', '{}'),"
	                    " ('outbox_events'::regclass, 2, NULL, 'r3', '{}')");
	expect(EX_OK, "parked  1        r2\n", "list", "--key", "a", NULL, NULL);
	expect(EX_OK, "parked  -        r3\n", "list", NULL, NULL, NULL, NULL);
	write_config(&sb, "outbox: {poison: skip}\n");
	expect(EX_OK, "parked  -        r2\n", "list", NULL, NULL, NULL, NULL);
}

static void
test_show(void)
{
	SANDBOX(sb);
	char *output;
	json_t *root;

	set_up(&sb, "", false);
	output = run(EX_OK, "show", "1", NULL, NULL, NULL);
	TAP_HAS(output, "waiting     2 later events of its key\n");
	TAP_HAS(output, "\n  aggregate_type order\n  aggregate_id   a\n");
	TAP_HAS(output, "bad topic!");
	CU_ASSERT_PTR_NULL(strstr(output, "confidential"));
	free(output);
	expect(EX_OK, "1234-confidential", "show", "--payload", "1", NULL, NULL);
	root = run_json("show", "1", NULL, NULL);
	TAP_INT(json_integer_value(json_object_get(root, "waiting")), 2);
	TAP_STR(json_string_value(json_object_get(root, "outbox")), "public.outbox_events");
	CU_ASSERT_PTR_NULL(json_object_get(json_object_get(root, "event"), "payload"));
	TAP_STR(json_string_value(json_object_get(json_object_get(root, "event"), "event_type")), "made");
	json_decref(root);
	/* Numbers that are larger or finer than a C program's stay as they are. */
	sandbox_exec(sb.db, "UPDATE pgoutbox.parked SET"
	                    " event = event || '{\"payload\": {\"n\": 123456789012345678901.10}}'");
	output = run(EX_OK, "show", "--json", "--payload", "1", NULL);
	TAP_HAS(output, "{\"n\": 123456789012345678901.10}");
	free(output);
	json_decref(run_json("show", "--payload", "1", NULL));
	expect(EX_CONFIG, "there is no parked event 99", "show", "99", NULL, NULL, NULL);
	expect(EX_USAGE, "takes the id of one event", "show", NULL, NULL, NULL, NULL);
	expect(EX_USAGE, "takes the id of one event", "show", "1", "2", NULL, NULL);
	expect(EX_USAGE, "takes the id of one event", "show", "one", NULL, NULL, NULL);
}

static void
test_retry(void)
{
	SANDBOX(sb);
	json_t *root;

	set_up(&sb, "", false);
	check_int(&sb, 2, UNSENT);
	expect(EX_OK, "1 event unsent again: 1\n", "retry", "1", NULL, NULL, NULL);
	check_int(&sb, 3, UNSENT);
	check_int(&sb, 1, STATE("retried"));
	expect(EX_CONFIG, "not parked, so nothing was done: 1 (retried)\n", "retry", "1", NULL, NULL, NULL);
	root = run_json("retry", "--all", NULL, NULL);
	TAP_INT(json_integer_value(json_array_get(json_object_get(root, "retried"), 0)), 2);
	TAP_INT(json_integer_value(json_object_get(root, "written_again")), 0);
	CU_ASSERT_TRUE(json_is_false(json_object_get(root, "late")));
	json_decref(root);
	check_int(&sb, 4, UNSENT);
	expect(EX_OK, "nothing is parked", "retry", "--all", NULL, NULL, NULL);
}

static void
test_retry_chosen(void)
{
	SANDBOX(sb);
	json_t *root;

	set_up(&sb, "outbox: {poison: skip}\n", false);
	sandbox_exec(sb.db, "UPDATE pgoutbox.parked SET reason = 'message takes 5000 bytes' WHERE id = 2");
	expect(EX_OK, "but late: later events of their keys did not wait", "retry", "--all", "--reason-like", "% bytes",
	       NULL);
	check_int(&sb, 2, "SELECT id FROM pgoutbox.parked WHERE state = 'retried'");
	root = run_json("retry", "--all", "--key", "a");
	CU_ASSERT_TRUE(json_is_true(json_object_get(root, "late")));
	TAP_INT(json_array_size(json_object_get(root, "retried")), 1);
	json_decref(root);
}

/* The row is gone: it is written anew as it was, under its own id. */
static void
test_retry_deleted(void)
{
	SANDBOX(sb);

	set_up(&sb, "outbox: {settle: delete}\n", true);
	sandbox_exec(sb.db, "ALTER TABLE outbox_events ADD twice bigint GENERATED ALWAYS AS (id * 2) STORED,"
	                    " ADD since text NOT NULL DEFAULT 'now';"
	                    "UPDATE pgoutbox.parked SET event = event || jsonb_build_object('twice', event_row * 2)");
	expect(EX_OK, "1 of them had left the table and was written again", "retry", "--all", "--topic", "other", NULL);
	check_int(&sb, 1, "SELECT count(*) FROM outbox_events t JOIN pgoutbox.parked p ON p.event_row = t.id"
	                  " AND t.twice = 6"
	                  " AND t.sent_at IS NULL AND since = 'now' AND (to_jsonb(t) - 'since') = p.event");
	check_int(&sb, 1, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
}

static void
test_skip(void)
{
	SANDBOX(sb);

	set_up(&sb, "", false);
	expect(EX_USAGE, "nothing was done: --yes is missing\nhint: ", "skip", "1", NULL, NULL, NULL);
	expect(EX_USAGE, "parked  2        too large\n", "skip", "1", NULL, NULL, NULL);
	expect(EX_USAGE, "\"would_skip\": [\n    {\n      \"id\": 2,", "skip", "--json", "2", NULL, NULL);
	expect(EX_CONFIG, "not parked, so nothing was done: 3 (unknown)", "skip", "1", "3", NULL, NULL);
	check_int(&sb, 2, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
	expect(EX_OK, "1 event given up: 1\n", "skip", "--yes", "1", NULL, NULL);
	check_int(&sb, 1, STATE("skipped"));
	check_int(&sb, 2, UNSENT);
	expect(EX_CONFIG, "1 (skipped), 9 (unknown)\n", "skip", "--yes", "9", "2", "1");
	expect(EX_OK, "1 event given up: 2\n", "skip", "--yes", "--all", NULL, NULL);
	expect(EX_OK, "nothing is parked", "skip", "--all", NULL, NULL, NULL);
}

/* All or nothing, and never a guess. */
static void
test_mistakes(void)
{
	SANDBOX(sb);

	set_up(&sb, "", false);
	expect(EX_CONFIG, "nothing was done: 7 (unknown), 8 (unknown)\nhint: ", "retry", "1", "7", "8", NULL);
	expect(EX_USAGE, "or --all", "retry", NULL, NULL, NULL, NULL);
	expect(EX_USAGE, "or --all", "retry", "--all", "1", NULL, NULL);
	expect(EX_USAGE, "go with --all", "retry", "--topic", "other", "1", NULL);
	expect(EX_USAGE, "\"2x\" is no id", "retry", "1", "2x", NULL, NULL);
	expect(EX_USAGE, "go with --all", "skip", "--reason-like", "x", "1", NULL);
	expect(EX_USAGE, "\"99999999999999999999\" is no id", "retry", "99999999999999999999", NULL, NULL, NULL);
	expect(EX_USAGE, "hint: there are parked list, parked show, parked retry, parked skip\n", "burn", NULL, NULL,
	       NULL, NULL);
	expect(EX_USAGE, "there is no verb \"parked\"\nhint: ", NULL, NULL, NULL, NULL, NULL);
	expect(EX_USAGE, "takes no option --payload", "retry", "--payload", "1", NULL, NULL);
	check_int(&sb, 2, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
	check_int(&sb, 2, UNSENT);
	/* the daemon's role may look, and decide nothing */
	snprintf(database, sizeof(database), "--database=%s", sb.role);
	expect(EX_OK, "too large", "list", NULL, NULL, NULL, NULL);
	expect(EX_CONFIG, "hint: connect by --database", "retry", "1", NULL, NULL, NULL);
	expect(EX_CONFIG, "hint: connect by --database", "skip", "--yes", "1", NULL, NULL);
}

static void
wait_for(const struct sandbox *sb, int count, int timeout_ms)
{
	for (int ms = 0; ms < timeout_ms; ms += 50) {
		if (sandbox_int(sb->db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
		                        " AND application_name = 'pgoutboxctl' AND wait_event_type = 'Lock'") >= count)
			return;
		proc_sleep_ms(50);
	}
}

/* Of two operators one decides, and the other, who waited for it, is told what became of the events. */
static void
test_two_operators(void)
{
	SANDBOX(sb);
	const char *argv[] = {PROGRAM, "-c", config_path, database, "parked", "retry", "1", "2", NULL};
	struct proc operators[2] = {PROC_NONE, PROC_NONE};
	char logs[2][64], *told;
	PGconn *other;
	struct error err;
	int statuses[2];

	set_up(&sb, "", false);
	sandbox_exec(sb.db, "ALTER DATABASE %s SET default_transaction_isolation = 'serializable'", sb.name);
	other = sandbox_open(sb.super);
	sandbox_exec(other, "BEGIN; SELECT FROM pgoutbox.parked WHERE id = 1 FOR UPDATE");
	for (int i = 0; i < 2; i++) {
		snprintf(logs[i], sizeof(logs[i]), "%s.log%d", config_path, i);
		SANDBOX_MUST(proc_start(&operators[i], logs[i], argv, &err), &err);
	}
	wait_for(&sb, 2, 30000);
	sandbox_exec(other, "COMMIT");
	for (int i = 0; i < 2; i++)
		statuses[i] = proc_wait(&operators[i], 30000);
	TAP_INT(statuses[0] + statuses[1], EX_CONFIG);
	told = proc_log_text(&operators[statuses[0] == EX_CONFIG ? 0 : 1]);
	TAP_HAS(told, "nothing was done: 1 (retried), 2 (retried)");
	free(told);
	check_int(&sb, 2, STATE("retried"));
	check_int(&sb, 4, UNSENT);
	PQfinish(other);
	unlink(logs[0]);
	unlink(logs[1]);
}

/* A lock is not waited for without end, and what cannot be done in full leaves nothing behind. */
static void
test_locked(void)
{
	SANDBOX(sb);
	PGconn *other;

	set_up(&sb, "", false);
	other = sandbox_open(sb.super);
	sandbox_exec(other, "BEGIN; SELECT FROM outbox_events WHERE id = 3 FOR UPDATE");
	expect(EX_TEMPFAIL, "could not make the events unsent", "retry", "1", "2", NULL, NULL);
	sandbox_exec(other, "COMMIT");
	check_int(&sb, 2, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
	check_int(&sb, 2, UNSENT);
	sandbox_exec(sb.db, "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
	                    " 'BEGIN RAISE EXCEPTION USING MESSAGE = ''no'', ERRCODE = ''23514''; END';"
	                    "CREATE TRIGGER no BEFORE UPDATE ON outbox_events FOR EACH ROW WHEN (OLD.id = 3)"
	                    " EXECUTE FUNCTION no()");
	free(run(EX_CONFIG, "retry", "1", "2", NULL, NULL));
	check_int(&sb, 2, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
	check_int(&sb, 2, UNSENT);
	PQfinish(other);
}

/* Rights as pgoutbox(7) tells an operator's role to have, and no more. */
static void
test_operator(void)
{
	SANDBOX(sb);
	char role[64], *conninfo;

	set_up(&sb, "", false);
	snprintf(role, sizeof(role), "%s_operator", sb.name);
	sandbox_exec(sb.db, "CREATE ROLE %s LOGIN", role);
	conninfo = db_conninfo(sb.role, "user", role, NULL);
	snprintf(database, sizeof(database), "--database=%s", conninfo);
	free(conninfo);
	expect(EX_CONFIG, "may not read schema \"pgoutbox\"\nhint: connect by --database", "list", NULL, NULL, NULL,
	       NULL);
	sandbox_exec(sb.db,
	             "GRANT USAGE ON SCHEMA pgoutbox TO %s; GRANT SELECT ON ALL TABLES IN SCHEMA pgoutbox TO %s;"
	             "GRANT UPDATE (state, resolved_at, resolved_by) ON pgoutbox.parked TO %s;"
	             "GRANT INSERT ON pgoutbox.audit TO %s;"
	             "GRANT SELECT, UPDATE (sent_at) ON outbox_events TO %s",
	             role, role, role, role, role);
	expect(EX_OK, "parked  2        too large\n", "list", NULL, NULL, NULL, NULL);
	expect(EX_OK, "bad topic!", "show", "1", NULL, NULL, NULL);
	expect(EX_OK, "1 event unsent again", "retry", "1", NULL, NULL, NULL);
	sandbox_exec(sb.db, "DELETE FROM outbox_events WHERE id = 3");
	expect(EX_CONFIG, "could not write the events again", "retry", "2", NULL, NULL, NULL);
	check_int(&sb, 1, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
	sandbox_exec(sb.db, "GRANT INSERT ON outbox_events TO %s", role);
	expect(EX_OK, "1 event unsent again", "retry", "2", NULL, NULL, NULL);
	check_int(&sb, 2, "SELECT count(*) FROM pgoutbox.parked WHERE resolved_by LIKE '%_operator'");
	/* what failed left no trace */
	check_int(&sb, 2, "SELECT count(*) FROM pgoutbox.audit WHERE who LIKE '%_operator' AND verb = 'parked retry'"
	                  " AND relation = 'outbox_events'::regclass AND detail IN ('{\"ids\": [1]}', '{\"ids\": [2]}')");
	sandbox_exec(sb.db, "UPDATE pgoutbox.parked SET state = 'parked', resolved_at = NULL");
	expect(EX_OK, "2 events given up: 1 2\n", "skip", "--yes", "--all", NULL, NULL);
	check_int(&sb, 1, "SELECT count(*) FROM pgoutbox.audit WHERE verb = 'parked skip' AND detail = '{\"ids\": [1, 2]}'");
	sandbox_exec(sb.db, "DROP OWNED BY %s; DROP ROLE %s", role, role);
}

/* Columns with names that need quotes, as an application may have them. */
static void
test_names(void)
{
	SANDBOX(sb);

	set_up(&sb, "", false);
	sandbox_exec(sb.db, "ALTER TABLE outbox_events RENAME sent_at TO \"Sent \"\"At\";"
	                    "ALTER TABLE outbox_events RENAME payload TO \"Body\";"
	                    "ALTER TABLE outbox_events RENAME event_id TO \"Event's Id\";"
	                    "UPDATE pgoutbox.parked p SET event = to_jsonb(t) FROM outbox_events t"
	                    " WHERE t.id = p.event_row");
	write_config(&sb, "outbox:\n  columns: {sent_at: 'Sent \"At', payload: Body, event_id: \"Event's Id\"}\n");
	expect(EX_OK, "\nevent id    ", "show", "1", NULL, NULL, NULL);
	expect(EX_OK, "\n  Event's Id     ", "show", "1", NULL, NULL, NULL);
	expect(EX_OK, "\n  Body           {\"pin\": \"1234-confidential\"}\n", "show", "--payload", "1", NULL, NULL);
	TAP_INT(sandbox_int(sb.db, "DELETE FROM outbox_events WHERE id = 3 RETURNING id"), 3);
	expect(EX_OK, "2 events unsent again: 1 2\n1 of them", "retry", "--all", NULL, NULL, NULL);
	check_int(&sb, 4, "SELECT count(*) FROM outbox_events WHERE \"Sent \"\"At\" IS NULL");
}

int
main(void)
{
	int fd = mkstemp(config_path), rc;

	if (fd >= 0)
		close(fd);
	tap_suite("parked");
	tap_test("list", test_list);
	tap_test("what waits behind", test_waiting);
	tap_test("show", test_show);
	tap_test("retry", test_retry);
	tap_test("retry of some", test_retry_chosen);
	tap_test("retry where rows are deleted", test_retry_deleted);
	tap_test("skip", test_skip);
	tap_test("mistakes do nothing", test_mistakes);
	tap_test("names of columns", test_names);
	tap_test("two operators", test_two_operators);
	tap_test("locked, or refused half-way", test_locked);
	tap_test("an operator's role", test_operator);
	rc = tap_run();
	unlink(config_path);
	return rc;
}
