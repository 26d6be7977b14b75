/* test_status.c - pgoutboxctl status from the database alone: each verdict, each figure, for people and for programs. */
#include <CUnit/CUnit.h>
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
#define EVENTS "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, created_at)" \
	" SELECT 'a', i::text, 't', '{}', now() - interval '1 hour' FROM generate_series(1, %d) i"

static char config_path[] = "/tmp/pgoutbox-status.XXXXXX";

/* Nothing listens on the port. */
static void
write_config(const char *conninfo)
{
	FILE *f = fopen(config_path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "database:\n  conninfo: \"%s\"\nkafka:\n  brokers: \"localhost:1\"\nhttp:\n  listen: \"127.0.0.1:1\"\n", conninfo);
	TAP_INT(fclose(f), 0);
}

static char *
run(int status, const char *option)
{
	const char *argv[] = {PROGRAM, "-c", config_path, "status", option, NULL};
	char *output = NULL;
	int got = proc_run(argv, 30000, &output);

	if (got != status)
		tap_diag("%s", output);
	TAP_INT(got, status);
	return output;
}

static void
expect(int status, const char *text)
{
	char *output = run(status, NULL);

	TAP_HAS(output, text);
	free(output);
}

static json_t *
ask(int status)
{
	char *output = run(status, "--json");
	json_error_t error;
	json_t *root = json_loads(output, 0, &error);

	if (root == NULL)
		tap_diag("%s: %s", error.text, output);
	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	free(output);
	return root;
}

/* The number at "pending.events", say. */
static json_int_t
number(const json_t *o, const char *member, const char *within)
{
	const json_t *value = json_object_get(o, member);

	if (within != NULL)
		value = json_object_get(value, within);
	CU_ASSERT(json_is_integer(value));
	return json_integer_value(value);
}

static void
begin(struct sandbox *sb)
{
	const char *argv[] = {PROGRAM, "-c", config_path, "init", NULL, NULL};
	char database[256];
	char *output = NULL;

	write_config(sb->role);
	snprintf(database, sizeof(database), "--database=%s", sb->super);
	argv[4] = database;
	TAP_INT_FATAL(proc_run(argv, 30000, &output), EX_OK);
	free(output);
}

/* What a relay holds: its announcement, and these lanes. */
static void
pose_as_relay(PGconn *db, int first, int last)
{
	sandbox_exec(db, "SELECT pg_advisory_lock('outbox_events'::regclass::oid::int, %d)", 0x40000000 | 77);
	sandbox_exec(db, "SELECT pg_advisory_lock('outbox_events'::regclass::oid::int, lane) FROM generate_series(%d, %d) lane", first,
	             last);
}

static void
test_verdicts(void)
{
	SANDBOX(sb);
	PGconn *relay __attribute__((cleanup(db_close))) = NULL;

	begin(&sb);
	expect(EX_UNAVAILABLE, "relay      daemon not running: nobody owns a lane, and http://127.0.0.1:1: connection refused\n"
	                       "           hint: start it: systemctl start pgoutboxd");
	relay = sandbox_open(sb.role);
	pose_as_relay(relay, 0, 1);
	expect(EX_TEMPFAIL, "lanes 2-3 without an owner, though 1 relay runs");
	pose_as_relay(relay, 2, 3);
	expect(EX_OK, "runs elsewhere: lanes 0-3 owned by ");
	expect(EX_OK, "\n\nLANE  OWNER");
	db_close(&relay);
	sandbox_exec(sb.db, "DROP SCHEMA pgoutbox CASCADE");
	expect(EX_CONFIG, "hint: run \"pgoutboxctl init\"");
}

static void
test_figures(void)
{
	SANDBOX(sb);
	json_t *root;

	begin(&sb);
	root = ask(EX_UNAVAILABLE);
	TAP_INT(number(root, "pending", "events"), 0);
	CU_ASSERT(json_is_null(json_object_get(json_object_get(root, "pending"), "oldest_created_at")));
	json_decref(root);
	sandbox_exec(sb.db, EVENTS, 30);
	sandbox_exec(sb.db, "UPDATE outbox_events SET sent_at = now() - interval '3 hours' WHERE id <= 10");
	sandbox_exec(sb.db, "INSERT INTO pgoutbox.parked (relation, event_row, key, reason, event)"
	                    " VALUES ('outbox_events', 1, 'k', 'r', '{}'), ('pg_class', 1, 'k', 'r', '{}')");
	root = ask(EX_UNAVAILABLE);
	TAP_STR(json_string_value(json_object_get(root, "outbox")), "public.outbox_events");
	TAP_STR(json_string_value(json_object_get(root, "verdict")), "not-running");
	TAP_INT(number(root, "pending", "events"), 20);
	CU_ASSERT(json_is_true(json_object_get(json_object_get(root, "pending"), "exact")));
	CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(json_object_get(root, "pending"), "oldest_age_seconds")), 3600, 300);
	TAP_INT(number(root, "parked", NULL), 1);
	CU_ASSERT(number(root, "table", "table_bytes") > 0 && number(root, "table", "index_bytes") > 0);
	TAP_INT(strlen(json_string_value(json_object_get(json_object_get(root, "table"), "oldest_row_sent_at"))), 20);
	TAP_INT(json_array_size(json_object_get(root, "lanes")), 4);
	CU_ASSERT(json_is_false(json_object_get(json_object_get(root, "endpoint"), "answers")));
	json_decref(root);
	expect(EX_UNAVAILABLE, "pending    20 events\noldest     60 min, created at ");
	expect(EX_UNAVAILABLE, "parked     1 event waits for a decision: pgoutboxctl parked list\n");
	sandbox_exec(sb.db, "UPDATE outbox_events SET sent_at = now() - interval '9 days' WHERE id = 1");
	expect(EX_UNAVAILABLE, "behind: the oldest row was sent 9 d ago, outbox.retention is 7 d, and no relay prunes");
	sandbox_exec(sb.db, EVENTS, 12000);
	root = ask(EX_UNAVAILABLE);
	CU_ASSERT(json_is_false(json_object_get(json_object_get(root, "pending"), "exact")));
	CU_ASSERT(number(root, "pending", "events") > 11500 && number(root, "pending", "events") < 12500);
	json_decref(root);
}

static void
test_owners(void)
{
	SANDBOX(sb);
	PGconn *relay __attribute__((cleanup(db_close))) = NULL;
	json_t *root, *owner;

	begin(&sb);
	relay = sandbox_open(sb.role);
	pose_as_relay(relay, 2, 2);
	root = ask(EX_TEMPFAIL);
	CU_ASSERT(json_is_null(json_array_get(json_object_get(root, "lanes"), 1)));
	owner = json_array_get(json_object_get(root, "lanes"), 2);
	TAP_INT(number(owner, "pid", NULL), PQbackendPID(relay));
	CU_ASSERT(json_is_string(json_object_get(owner, "host")) && json_is_string(json_object_get(owner, "since")));
	TAP_INT(json_array_size(json_object_get(root, "relays")), 1);
	TAP_STR(json_string_value(json_object_get(root, "message")), "lanes 0-1, 3 without an owner, though 1 relay runs");
	json_decref(root);
}

static void
test_pauses(void)
{
	SANDBOX(sb);
	PGconn *relay __attribute__((cleanup(db_close))) = NULL;
	json_t *root, *pause;

	begin(&sb);
	relay = sandbox_open(sb.role);
	pose_as_relay(relay, 0, 3);
	sandbox_exec(sb.db, "INSERT INTO pgoutbox.pause (relation, scope, value, reason)"
	                    " VALUES ('outbox_events', 'topic', E'a\033[1m', 'too loud')");
	expect(EX_OK, "\npaused     topic a\\x1B[1m, by ");
	sandbox_exec(sb.db, "INSERT INTO pgoutbox.pause (relation, scope, reason) VALUES ('outbox_events', 'all', 'upgrade')");
	root = ask(EX_TEMPFAIL);
	TAP_STR(json_string_value(json_object_get(root, "verdict")), "paused");
	TAP_INT(json_array_size(json_object_get(root, "pauses")), 2);
	pause = json_array_get(json_object_get(root, "pauses"), 0);
	TAP_STR(json_string_value(json_object_get(pause, "scope")), "all");
	TAP_STR(json_string_value(json_object_get(pause, "reason")), "upgrade");
	CU_ASSERT(json_is_null(json_object_get(pause, "value")));
	json_decref(root);
	sandbox_exec(sb.db, "UPDATE pgoutbox.pause SET resumed_at = now(), resumed_by = 'x'");
	expect(EX_OK, "runs elsewhere");
}

static void
test_old_snapshot(void)
{
	SANDBOX(sb);
	PGconn *holder __attribute__((cleanup(db_close))) = NULL;
	json_t *root, *oldest;

	begin(&sb);
	holder = sandbox_open(sb.role);
	sandbox_exec(holder, "SET application_name = 'report \033[1m'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
	root = ask(EX_UNAVAILABLE);
	oldest = json_object_get(root, "oldest_snapshot");
	TAP_STR(json_string_value(json_object_get(oldest, "kind")), "session");
	TAP_STR(json_string_value(json_object_get(oldest, "state")), "idle in transaction");
	TAP_INT(number(oldest, "pid", NULL), PQbackendPID(holder));
	json_decref(root);
	sandbox_exec(holder, "COMMIT");
	root = ask(EX_UNAVAILABLE);
	CU_ASSERT(number(root, "hidden_sessions", NULL) > 0); /* the superuser's */
	json_decref(root);
}

int
main(void)
{
	int fd = mkstemp(config_path);
	int status;

	if (fd < 0 || access(PROGRAM, X_OK) != 0)
		return tap_skip_all("it runs where %s was built", PROGRAM);
	close(fd);
	tap_suite("status");
	tap_test("nobody, some lanes, all lanes", test_verdicts);
	tap_test("what waits, and the table", test_figures);
	tap_test("who owns the lanes", test_owners);
	tap_test("what is paused", test_pauses);
	tap_test("what holds vacuum back", test_old_snapshot);
	status = tap_run();
	unlink(config_path);
	return status;
}
