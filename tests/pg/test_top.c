/* test_top.c - pgoutboxctl top where it is no terminal: a line for each look, through a lost session too. */
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "support/proc.h"
#include "support/sandbox.h"
#include "support/tap.h"

#define PROGRAM "./pgoutboxctl"

static char config_path[] = "/tmp/pgoutbox-top.XXXXXX";
static char log_path[] = "/tmp/pgoutbox-top-log.XXXXXX";

static char *
run(int status, const char *verb, const char *a, const char *b)
{
	const char *argv[] = {PROGRAM, "-c", config_path, verb, a, b, NULL};
	char *output = NULL;
	int got = proc_run(argv, 30000, &output);

	if (got != status)
		tap_diag("%s", output);
	TAP_INT(got, status);
	return output;
}

static void
begin(struct sandbox *sb)
{
	char database[256];
	FILE *f = fopen(config_path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "database:\n  conninfo: \"%s\"\nkafka:\n  brokers: \"localhost:1\"\nhttp:\n  listen: \"127.0.0.1:1\"\n", sb->role);
	TAP_INT(fclose(f), 0);
	snprintf(database, sizeof(database), "--database=%s", sb->super);
	free(run(EX_OK, "init", database, NULL));
	sandbox_exec(sb->db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	                     " SELECT 'a', i::text, 't', '{}' FROM generate_series(1, 7) i");
}

static void
test_lines(void)
{
	SANDBOX(sb);
	char *output;

	begin(&sb);
	output = run(EX_OK, "top", "--count=1", NULL);
	TAP_INT(strncmp(output, "time=20", 7), 0);
	TAP_HAS(output, " in=");
	TAP_HAS(output, " pending=7 exact=true oldest_s=");
	TAP_HAS(output, " p50_ms= p99_ms= parked=0 lanes=0/4 relay=not-running\n");
	TAP_INT(strchr(output, '\n')[1], '\0');
	CU_ASSERT_PTR_NULL(strchr(output, '\033'));
	free(output);
	output = run(EX_USAGE, "top", "-i0", NULL);
	TAP_HAS(output, "--interval: \"0\" is no number from 1 to 3600");
	free(output);
	output = run(EX_USAGE, "top", "--count", "-1");
	TAP_HAS(output, "--count: ");
	free(output);
}

static void
test_lost_session(void)
{
	SANDBOX(sb);
	const char *argv[] = {PROGRAM, "-c", config_path, "top", NULL};
	struct proc top __attribute__((cleanup(proc_kill))) = PROC_NONE;
	struct error err;

	begin(&sb);
	SANDBOX_MUST(proc_start(&top, log_path, argv, &err), &err);
	SANDBOX_MUST(proc_wait_text(&top, "pending=7 ", 20000, &err), &err);
	sandbox_exec(sb.db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
	                    " WHERE application_name = 'pgoutboxctl' AND datname = current_database()");
	SANDBOX_MUST(proc_wait_text(&top, "pgoutboxctl: ", 20000, &err), &err);
	sandbox_exec(sb.db, "DELETE FROM outbox_events WHERE id = 1");
	SANDBOX_MUST(proc_wait_text(&top, "pending=6 ", 20000, &err), &err);
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
	tap_suite("top");
	tap_test("lines", test_lines);
	tap_test("a session that is lost", test_lost_session);
	status = tap_run();
	unlink(config_path);
	unlink(log_path);
	return status;
}
