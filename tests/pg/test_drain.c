/* test_drain.c - pgoutboxctl drain, with the test in the relay's place: it holds the locks and marks events as sent. */
#include <CUnit/CUnit.h>
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

static char config_path[] = "/tmp/pgoutbox-drain.XXXXXX";
static char log_path[] = "/tmp/pgoutbox-drain-log.XXXXXX";

static void
begin(struct sandbox *sb)
{
	char database[256];
	const char *argv[] = {PROGRAM, "-c", config_path, "init", database, NULL};
	char *output = NULL;
	FILE *f = fopen(config_path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "database:\n  conninfo: \"%s\"\nkafka:\n  brokers: \"localhost:1\"\nhttp:\n  listen: \"127.0.0.1:1\"\n", sb->role);
	TAP_INT(fclose(f), 0);
	snprintf(database, sizeof(database), "--database=%s", sb->super);
	TAP_INT_FATAL(proc_run(argv, 30000, &output), EX_OK);
	free(output);
}

static void
insert(PGconn *db, int count)
{
	sandbox_exec(db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	                 " SELECT 'a', i::text, 't', '{}' FROM generate_series(1, %d) i", count);
}

static void
pose_as_relay(PGconn *db)
{
	sandbox_exec(db, "SELECT pg_advisory_lock('outbox_events'::regclass::oid::int, lane) FROM generate_series(0, 3) lane");
}

static void
expect(int status, const char *text, const char *a, const char *b)
{
	const char *argv[] = {PROGRAM, "-c", config_path, "drain", a, b, NULL};
	char *output = NULL;
	int got = proc_run(argv, 30000, &output);

	if (got != status)
		tap_diag("%s", output);
	TAP_INT(got, status);
	TAP_HAS(output, text);
	free(output);
}

static void
test_at_once(void)
{
	SANDBOX(sb);
	PGconn *relay __attribute__((cleanup(db_close))) = NULL;

	begin(&sb);
	expect(EX_OK, "nothing unsent is left, after 0 s\n", NULL, NULL);
	insert(sb.db, 20);
	expect(EX_UNAVAILABLE, "pgoutboxctl: daemon not running: ", NULL, NULL);
	expect(EX_USAGE, "--timeout: \"10\" is no duration\nhint: write", "--timeout", "10");
	relay = sandbox_open(sb.role);
	pose_as_relay(relay);
	expect(EX_TEMPFAIL, "pgoutboxctl: timed out while 20 events were unsent\nhint: give it more", "--timeout", "0s");
	expect(EX_TEMPFAIL, "drain: 0%, 0 of 20 events", "--timeout", "1200ms");
}

static void
test_blocked(void)
{
	SANDBOX(sb);
	PGconn *relay __attribute__((cleanup(db_close))) = NULL;

	begin(&sb);
	relay = sandbox_open(sb.role);
	pose_as_relay(relay);
	insert(sb.db, 3);
	sandbox_exec(sb.db, "INSERT INTO pgoutbox.parked (relation, event_row, key, reason, event)"
	                    " SELECT 'outbox_events', 1, key, 'r', '{}' FROM unnest('{1,2}'::text[]) key");
	expect(EX_TEMPFAIL, "3 events were unsent", "--timeout", "0s");
	sandbox_exec(sb.db, "UPDATE outbox_events SET sent_at = now() WHERE aggregate_id = '3'");
	expect(EX_CONFIG, "what is left waits behind parked events of its keys\nhint: decide about them", "--timeout", "0s");
	sandbox_exec(sb.db, "UPDATE pgoutbox.parked SET state = 'skipped', resolved_at = now() WHERE key = '2'");
	expect(EX_TEMPFAIL, "2 events were unsent", "--timeout", "0s");
}

static void
test_paused(void)
{
	SANDBOX(sb);
	PGconn *relay __attribute__((cleanup(db_close))) = NULL;

	begin(&sb);
	relay = sandbox_open(sb.role);
	pose_as_relay(relay);
	insert(sb.db, 3);
	sandbox_exec(sb.db, "INSERT INTO pgoutbox.pause (relation, scope, value, reason) VALUES ('outbox_events', 'lane', '1', 'r')");
	expect(EX_TEMPFAIL, "pgoutboxctl: a part of the outbox is paused", "--timeout", "0s");
	sandbox_exec(sb.db, "INSERT INTO pgoutbox.pause (relation, scope, reason) VALUES ('outbox_events', 'all', 'upgrade')");
	expect(EX_TEMPFAIL, "upgrade\nhint: \"pgoutboxctl resume\" ends the pause", NULL, NULL);
}

/* Events that came later are waited for, or not. */
static void
test_waiting(void)
{
	SANDBOX(sb);
	PGconn *relay __attribute__((cleanup(db_close))) = NULL;
	const char *argv[] = {PROGRAM, "-c", config_path, "drain", "--timeout=60s", NULL, NULL};
	struct proc all __attribute__((cleanup(proc_kill))) = PROC_NONE;
	struct proc some __attribute__((cleanup(proc_kill))) = PROC_NONE;
	struct error err;

	begin(&sb);
	relay = sandbox_open(sb.role);
	pose_as_relay(relay);
	insert(sb.db, 10);
	SANDBOX_MUST(truncate(log_path, 0) != 0 ? error_set(&err, ERR_FATAL, "truncate") : 0, &err);
	argv[5] = "--through-now";
	SANDBOX_MUST(proc_start(&some, log_path, argv, &err), &err);
	SANDBOX_MUST(proc_wait_text(&some, "drain: 0%, 0 of 10 events", 20000, &err), &err);
	insert(sb.db, 5);
	sandbox_exec(sb.db, "UPDATE outbox_events SET sent_at = now() WHERE id <= 10");
	TAP_INT(proc_wait(&some, 20000), EX_OK);
	CU_ASSERT(proc_log_has(&some, "what was there at the start is sent, after "));
	argv[5] = NULL;
	SANDBOX_MUST(proc_start(&all, log_path, argv, &err), &err);
	SANDBOX_MUST(proc_wait_text(&all, "drain: 0%, 0 of 5 events", 20000, &err), &err);
	insert(sb.db, 7);
	sandbox_exec(sb.db, "UPDATE outbox_events SET sent_at = now() WHERE id <= 15");
	CU_ASSERT(proc_running(&all));
	sandbox_exec(sb.db, "UPDATE outbox_events SET sent_at = now() WHERE sent_at IS NULL");
	TAP_INT(proc_wait(&all, 20000), EX_OK);
	CU_ASSERT(proc_log_has(&all, "nothing unsent is left, after "));
}

int
main(void)
{
	int fd = mkstemp(config_path), log = mkstemp(log_path);
	int status;

	if (fd < 0 || log < 0 || access(PROGRAM, X_OK) != 0)
		return tap_skip_all("it runs where %s was built", PROGRAM);
	close(fd);
	close(log);
	tap_suite("drain");
	tap_test("what is known at once", test_at_once);
	tap_test("behind parked events", test_blocked);
	tap_test("paused", test_paused);
	tap_test("until all is sent, or what was there", test_waiting);
	status = tap_run();
	unlink(config_path);
	unlink(log_path);
	return status;
}
