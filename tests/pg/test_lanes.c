/* test_lanes.c - the verb lanes, with no relay about: the list, the change, and the change that is killed at each of its
 * steps and run again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "source/share.h"
#include "support/proc.h"
#include "support/sandbox.h"
#include "support/tap.h"

enum { WAIT_MS = 20000 };

static char config_path[] = "/tmp/pgoutbox-lanes.XXXXXX";
static char log_path[] = "/tmp/pgoutbox-lanes-log.XXXXXX";
static char database[256];

static void
expect(int status, const char *text, const char *a, const char *b, const char *c)
{
	const char *argv[] = {"./pgoutboxctl", "-c", config_path, database, a, b, c, NULL};
	char *output = NULL;

	TAP_INT(proc_run(argv, 60000, &output), status);
	TAP_HAS(output, text);
	free(output);
}

static void
set_up(const struct sandbox *sb, const char *more)
{
	FILE *f = fopen(config_path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "database:\n  conninfo: \"%s\"\nkafka:\n  brokers: \"localhost:1\"\n%s", sb->role, more);
	TAP_INT(fclose(f), 0);
	snprintf(database, sizeof(database), "--database=%s", sb->super);
	expect(EX_OK, "done", "init", NULL, NULL);
}

/* Registration, the valid indexes of claims, and no leftover. */
static void
has_lanes(const struct sandbox *sb, int lanes)
{
	char *text = sandbox_text(sb->db, "SELECT lanes || ' ' || claim_index || ' ' || coalesce(spare_index, '-') FROM pgoutbox.outbox");
	char wanted[96];

	snprintf(wanted, sizeof(wanted), "%d outbox_events_lane%d -", lanes, lanes);
	CU_ASSERT_STRING_EQUAL(text, wanted);
	free(text);
	TAP_INT(sandbox_int(sb->db, "SELECT count(*) FROM pg_class WHERE relname ~ '^outbox_events_lane' AND relkind IN ('i', 'I')"), 1);
	TAP_INT(sandbox_int(sb->db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
	                            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"), 0);
	expect(EX_OK, "is ready", "check", NULL, NULL);
}

static void
wait_for(const struct sandbox *sb, const char *condition)
{
	for (int i = 0; i < WAIT_MS / 20; i++) {
		if (sandbox_int(sb->db, "SELECT (%s)::int", condition) == 1)
			return;
		proc_sleep_ms(20);
	}
	tap_diag("never came: %s", condition);
	CU_FAIL_FATAL("a condition that was waited for");
}

/* Starts the change, waits until it is where blocker holds it up, kills it, and waits until the server has noticed. */
static void
kill_at(const struct sandbox *sb, const char *lanes, const char *condition, PGconn *blocker)
{
	const char *argv[] = {"./pgoutboxctl", "-c", config_path, database, "lanes", lanes, NULL};
	struct proc verb __attribute__((cleanup(proc_kill))) = PROC_NONE;
	struct error err;

	SANDBOX_MUST(proc_start(&verb, log_path, argv, &err), &err);
	wait_for(sb, condition);
	proc_kill(&verb);
	wait_for(sb, "NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
	             " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))");
	PQfinish(blocker);
}

#define BUILD_WAITS "EXISTS (SELECT FROM pg_stat_progress_create_index WHERE datname = current_database() AND phase ~ 'waiting')"
#define INVALID(name) "EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('" name "') AND NOT indisvalid)"

static void
killed_in_build(const struct sandbox *sb, const char *lanes)
{
	PGconn *writer = sandbox_open(sb->super);

	sandbox_exec(writer, "BEGIN; INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	                     " VALUES ('a', 'k', 't', '{}')");
	kill_at(sb, lanes, BUILD_WAITS, writer);
}

static void
killed_at_lanes(const struct sandbox *sb, const char *lanes)
{
	PGconn *owner = sandbox_open(sb->super);
	char condition[256];

	snprintf(condition, sizeof(condition), "EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = %u"
	                                       " AND classid = 'outbox_events'::regclass)", SHARE_SWITCH);
	sandbox_exec(owner, "SELECT pg_advisory_lock('outbox_events'::regclass::oid::int, 3)");
	kill_at(sb, lanes, condition, owner);
}

static void
killed_in_switch(const struct sandbox *sb, const char *lanes)
{
	PGconn *other = sandbox_open(sb->super);

	sandbox_exec(other, "BEGIN; LOCK TABLE pgoutbox.audit");
	kill_at(sb, lanes, "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	                   " AND query ~ 'INSERT INTO pgoutbox.audit')", other);
}

static void
killed_in_drop(const struct sandbox *sb, const char *lanes)
{
	PGconn *reader = sandbox_open(sb->super);

	sandbox_exec(reader, "BEGIN; SELECT FROM outbox_events");
	kill_at(sb, lanes, "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	                   " AND query ~ 'DROP INDEX CONCURRENTLY')", reader);
}

static void
test_list(void)
{
	SANDBOX(sb);
	PGconn *owner;

	set_up(&sb, "");
	expect(EX_OK, "0     -    nobody", "lanes", NULL, NULL);
	owner = sandbox_open(sb.super);
	sandbox_exec(owner, "SET application_name = 'a relay'; SELECT pg_advisory_lock('outbox_events'::regclass::oid::int, 3)");
	expect(EX_OK, "a relay", "lanes", NULL, NULL);
	expect(EX_OK, "\"application\": \"a relay\"", "lanes", "--json", NULL);
	expect(EX_OK, "\"spare_index\": null", "lanes", "--json", NULL);
	expect(EX_OK, "is paused", "pause", "--lane=3", "--reason=r");
	expect(EX_OK, " lane\n", "lanes", NULL, NULL);
	PQfinish(owner);
	expect(EX_USAGE, "one number from 1 to 64", "lanes", "0", NULL);
	expect(EX_USAGE, "one number from 1 to 64", "lanes", "65", NULL);
	expect(EX_USAGE, "one number from 1 to 64", "lanes", "2", "3");
	expect(EX_USAGE, "without a number", "lanes", "2", "--json");
	/* Keys of the paused lane would be relayed. */
	expect(EX_CONFIG, "lane 3 is paused", "lanes", "7", NULL);
	has_lanes(&sb, 4);
}

static void
test_change(void)
{
	SANDBOX(sb);
	PGconn *owner;

	set_up(&sb, "");
	expect(EX_OK, "has 4 lanes already", "lanes", "4", NULL);
	expect(EX_OK, "all is paused", "pause", "--reason=r", NULL);
	expect(EX_OK, "7 lanes instead of 4", "lanes", "7", NULL);
	has_lanes(&sb, 7);
	expect(EX_OK, "1 lane instead of 7", "lanes", "1", NULL);
	has_lanes(&sb, 1);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.audit WHERE verb = 'lanes' AND who = session_user AND detail ="
	                           " '{\"from\": 7, \"to\": 1, \"claim_index\": \"outbox_events_lane1\"}'"), 1);
	/* The owner of a lane that is not let go is named, and all is as it was. */
	owner = sandbox_open(sb.super);
	sandbox_exec(owner, "SET application_name = 'a relay'; SELECT pg_advisory_lock('outbox_events'::regclass::oid::int, 0)");
	expect(EX_TEMPFAIL, "(\"a relay\", ", "lanes", "2", "--timeout=1s");
	TAP_INT(sandbox_int(sb.db, "SELECT lanes FROM pgoutbox.outbox"), 1);
	expect(EX_OK, "index \"outbox_events_lane2\" is left", "lanes", NULL, NULL);
	PQfinish(owner);
	expect(EX_OK, "what was left of another change is gone", "lanes", "1", NULL);
	has_lanes(&sb, 1);
	/* Something else of that name, and an index that is not what it is called. */
	sandbox_exec(sb.db, "CREATE TABLE outbox_events_lane5 (); CREATE INDEX outbox_events_lane6 ON outbox_events (id)");
	expect(EX_CONFIG, "is no index of the outbox", "lanes", "5", NULL);
	expect(EX_CONFIG, "outbox_events_lane6", "lanes", "6", NULL);
	TAP_INT(sandbox_int(sb.db, "SELECT lanes FROM pgoutbox.outbox WHERE spare_index IS NULL"), 1);
	/* The daemon's role may read, and no more. */
	snprintf(database, sizeof(database), "--database=%s", sb.role);
	expect(EX_CONFIG, "hint: connect by --database", "lanes", "3", NULL);
}

static void
test_killed(void)
{
	SANDBOX(sb);

	set_up(&sb, "");
	killed_in_build(&sb, "7");
	TAP_INT(sandbox_int(sb.db, "SELECT (" INVALID("outbox_events_lane7") ")::int"), 1);
	expect(EX_OK, "7 lanes instead of 4", "lanes", "7", NULL);
	has_lanes(&sb, 7);
	killed_in_build(&sb, "2");
	expect(EX_OK, "has 7 lanes already; what was left of another change is gone", "lanes", "7", NULL);
	has_lanes(&sb, 7);
	killed_in_build(&sb, "2");
	expect(EX_OK, "index \"outbox_events_lane2\": left of an earlier change", "lanes", "4", NULL);
	has_lanes(&sb, 4);

	killed_at_lanes(&sb, "7");
	TAP_INT(sandbox_int(sb.db, "SELECT lanes FROM pgoutbox.outbox"), 4);
	expect(EX_OK, "index \"outbox_events_lane7\": already there", "lanes", "7", NULL);
	has_lanes(&sb, 7);

	killed_in_switch(&sb, "5");
	TAP_INT(sandbox_int(sb.db, "SELECT lanes FROM pgoutbox.outbox"), 7);
	expect(EX_OK, "5 lanes instead of 7", "lanes", "5", NULL);
	has_lanes(&sb, 5);

	killed_in_drop(&sb, "4");
	TAP_INT(sandbox_int(sb.db, "SELECT lanes FROM pgoutbox.outbox"), 4);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.outbox WHERE spare_index = 'outbox_events_lane5'"), 1);
	expect(EX_OK, "has 4 lanes already; what was left of another change is gone", "lanes", "4", NULL);
	has_lanes(&sb, 4);
	/* The drop was done, and not noted. */
	sandbox_exec(sb.db, "UPDATE pgoutbox.outbox SET spare_index = 'outbox_events_lane5'");
	expect(EX_OK, "what was left of another change is gone", "lanes", "4", NULL);
	has_lanes(&sb, 4);
}

static void
test_partitioned(void)
{
	SANDBOX(sb);

	sandbox_exec(sb.db,
	             "CREATE TABLE outbox_events (id bigint GENERATED ALWAYS AS IDENTITY, event_id uuid NOT NULL DEFAULT gen_random_uuid(),"
	             " aggregate_type text NOT NULL, aggregate_id text, event_type text NOT NULL, payload jsonb, headers jsonb,"
	             " topic text, created_at timestamptz NOT NULL DEFAULT now(), sent_at timestamptz, PRIMARY KEY (id))"
	             " PARTITION BY RANGE (id); CREATE TABLE events_1 PARTITION OF outbox_events DEFAULT");
	set_up(&sb, "");
	expect(EX_CONFIG, "is partitioned", "lanes", "6", NULL);
	has_lanes(&sb, 4);
	sandbox_exec(sb.db, "CREATE INDEX outbox_events_lane6 ON ONLY outbox_events (pgoutbox.lane(aggregate_id, 6), id)"
	                    " WHERE sent_at IS NULL");
	sandbox_exec(sb.db, "CREATE INDEX CONCURRENTLY events_1_lane6 ON events_1 (pgoutbox.lane(aggregate_id, 6), id)"
	                    " WHERE sent_at IS NULL");
	expect(EX_CONFIG, "is partitioned", "lanes", "6", NULL);
	sandbox_exec(sb.db, "ALTER INDEX outbox_events_lane6 ATTACH PARTITION events_1_lane6");
	expect(EX_OK, "6 lanes instead of 4", "lanes", "6", NULL);
	has_lanes(&sb, 6);
}

int
main(void)
{
	int rc;

	close(mkstemp(config_path));
	close(mkstemp(log_path));
	tap_suite("lanes");
	tap_test("the lanes and their owners", test_list);
	tap_test("another number of lanes, and what stands in its way", test_change);
	tap_test("killed at each step, run again", test_killed);
	tap_test("a partitioned table", test_partitioned);
	rc = tap_run();
	unlink(config_path);
	unlink(log_path);
	return rc;
}
