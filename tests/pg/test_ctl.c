/* test_ctl.c - pgoutboxctl as people and scripts run it: what it prints, and its exit status. */
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

static char config_path[] = "/tmp/pgoutbox-ctl.XXXXXX";

static void
write_config(const char *conninfo, const char *rest)
{
	FILE *f = fopen(config_path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs("database:\n  conninfo: \"", f);
	for (const char *p = conninfo; *p != '\0'; p++)
		fprintf(f, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
	fprintf(f, "\"\nkafka:\n  brokers: \"localhost:1\"\n%s", rest);
	TAP_INT(fclose(f), 0);
}

/* Up to four arguments behind -c FILE; the output must hold the text. */
static void
expect(int status, const char *text, const char *a, const char *b, const char *c, const char *d)
{
	const char *argv[] = {PROGRAM, "-c", config_path, a, b, c, d, NULL};
	char *output = NULL;
	int got = proc_run(argv, 30000, &output);

	if (got != status)
		tap_diag("%s %s: %s", a, b != NULL ? b : "", output);
	TAP_INT(got, status);
	TAP_HAS(output, text);
	CU_ASSERT_PTR_NULL(strstr(output, "verysecret"));
	free(output);
}

static void
test_life(void)
{
	SANDBOX(sb);
	char database[256];

	write_config(sb.role, "");
	snprintf(database, sizeof(database), "--database=%s", sb.super);
	expect(EX_CONFIG, "there is no table \"outbox_events\"", "check", NULL, NULL, NULL);
	expect(EX_CONFIG, "permission denied", "init", NULL, NULL, NULL);
	expect(EX_CONFIG, "hint: run \"pgoutboxctl init\" with an administrator's connection", "init", NULL, NULL,
	       NULL);
	expect(EX_OK, "CREATE TABLE \"public\".\"outbox_events\"", "init", database, "--print-sql", NULL);
	expect(EX_CONFIG, "there is no table", "check", database, NULL, NULL);
	expect(EX_OK, "index \"outbox_events_lane4\": done\n", database, "init", NULL, NULL);
	expect(EX_OK, "index \"outbox_events_lane4\": already there\n", "init", database, NULL, NULL);
	expect(EX_OK, "trigger \"pgoutbox_notify\": done\n", "init", database, "--notify", NULL);
	expect(EX_OK, "table \"public.outbox_events\" with 4 lanes is ready for role \"sandbox", "check", NULL, NULL,
	       NULL);
	expect(EX_OK, "is ready for role \"sandbox", "check", database, NULL, NULL);
	expect(EX_CONFIG, "there is no role \"nobody here\"", "check", "--role", "nobody here", NULL);
	expect(EX_OK, "version 3 already", "migrate", database, NULL, NULL);
	sandbox_exec(sb.db, "UPDATE pgoutbox.meta SET version = 9");
	expect(EX_CONFIG, "made by a newer pgoutboxctl (schema version 9, this one knows 3)", "migrate", database, NULL,
	       NULL);
}

static void
test_topic_columns(void)
{
	SANDBOX(sb);
	char database[256];

	write_config(sb.role, "  topic: \"${tenant}.events\"\n");
	snprintf(database, sizeof(database), "--database=%s", sb.super);
	expect(EX_CONFIG, "kafka.topic names a column that init would not give it: \"tenant\"", "init", database, NULL,
	       NULL);
	write_config(sb.role, "");
	expect(EX_OK, "done", "init", database, NULL, NULL);
	write_config(sb.role, "  topic: \"${tenant}.events\"\n");
	expect(EX_CONFIG, "has no column tenant", "check", NULL, NULL, NULL);
	sandbox_exec(sb.db, "ALTER TABLE outbox_events ADD tenant text");
	expect(EX_OK, "is ready", "check", NULL, NULL, NULL);
}

static void
test_nobody_there(void)
{
	write_config("host=127.0.0.1 port=1 user=x dbname=y password=verysecret", "");
	expect(EX_TEMPFAIL, "could not connect to PostgreSQL", "check", NULL, NULL, NULL);
	expect(EX_TEMPFAIL, "hint: ", "init", NULL, NULL, NULL);
}

static void
test_arguments(void)
{
	write_config("host=127.0.0.1 port=1 user=x dbname=y", "");
	expect(EX_USAGE, "there is no verb \"initialise\"", "initialise", NULL, NULL, NULL);
	expect(EX_USAGE, "usage: pgoutboxctl", "init", "more", NULL, NULL);
	expect(EX_USAGE, "usage: pgoutboxctl", NULL, NULL, NULL, NULL);
	expect(EX_USAGE, "check takes no option --notify", "check", "--notify", NULL, NULL);
	expect(EX_USAGE, "migrate takes no option --role", "migrate", "--role=x", "--database=y", NULL);
	expect(EX_USAGE, "hint: \"pgoutboxctl --help\", or --help behind a verb, lists the options", "check", "--nonsense",
	       NULL, NULL);
	expect(EX_USAGE, "hint: there are parked list, parked show, parked retry, parked skip\n", "parked", NULL, NULL,
	       NULL);
	expect(EX_OK, "  parked skip   give parked events up", "parked", "--help", NULL, NULL);
	expect(EX_OK, "--print-sql", "init", "--help", NULL, NULL);
	expect(EX_OK, "usage: pgoutboxctl", "--help", NULL, NULL, NULL);
	expect(EX_OK, "pgoutboxctl ", "version", NULL, NULL, NULL);
	expect(EX_OK, "pgoutboxctl ", "--version", NULL, NULL, NULL);
	unlink(config_path);
	expect(EX_CONFIG, config_path, "check", NULL, NULL, NULL);
}

int
main(void)
{
	int fd = mkstemp(config_path);
	int status;

	if (fd < 0 || access(PROGRAM, X_OK) != 0)
		return tap_skip_all("it runs where %s was built", PROGRAM);
	close(fd);
	tap_suite("pgoutboxctl");
	tap_test("init, check and migrate over a database's life", test_life);
	tap_test("columns that the topic names", test_topic_columns);
	tap_test("no server", test_nobody_there);
	tap_test("arguments", test_arguments);
	status = tap_run();
	unlink(config_path);
	return status;
}
