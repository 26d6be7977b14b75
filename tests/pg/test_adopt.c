/* test_adopt.c - "pgoutboxctl adopt" on a real PostgreSQL: the tables of other tools, recognised, mapped, and given
 * what they lack. */
#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "admin/adopt.h"
#include "support/db.h"
#include "support/foreign.h"
#include "support/proc.h"
#include "support/sandbox.h"
#include "support/tap.h"

static char config_path[] = "/tmp/pgoutbox-adopt.XXXXXX";

/* The lines of adopt's output that are about Kafka go into the section that has the brokers. */
static void
write_config(const struct sandbox *sb, const char *lines)
{
	const char *kafka = strstr(lines, "kafka:\n");
	int len = kafka != NULL ? (int)(kafka - lines) : (int)strlen(lines);
	FILE *f = fopen(config_path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "database:\n  conninfo: \"%s\"\n%.*skafka:\n  brokers: \"localhost:1\"\n%s", sb->role, len, lines,
	        kafka != NULL ? kafka + strlen("kafka:\n") : "");
	TAP_INT(fclose(f), 0);
}

/* Runs the tool as an administrator; what it said, malloc'd. */
static char *
run(const struct sandbox *sb, int status, const char *verb, const char *a, const char *b)
{
	char database[512];
	const char *argv[] = {"./pgoutboxctl", "-c", config_path, verb, database, a, b, NULL};
	char *output = NULL;
	int got;

	snprintf(database, sizeof(database), "--database=%s", sb->super);
	got = proc_run(argv, 30000, &output);
	if (got != status)
		tap_diag("%s: %s", verb, output);
	TAP_INT(got, status);
	return output;
}

static void
expect(const struct sandbox *sb, int status, const char *text, const char *verb, const char *a, const char *b)
{
	char *output = run(sb, status, verb, a, b);

	TAP_HAS(output, text);
	free(output);
}

static int64_t
columns_added(const struct sandbox *sb)
{
	return sandbox_int(sb->db, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'foreign_one'::regclass"
	                           " AND attname LIKE 'pgoutbox%%'");
}

/* From a table as its tool made it to one that "check" is content with: adopt, paste, init. */
static void
take_over(const char *create, const char *layout, int added, const char *first_line)
{
	SANDBOX(sb);
	char *lines, *script;

	sandbox_exec(sb.db, "%s", create);
	write_config(&sb, "outbox:\n  table: foreign_one\n");
	expect(&sb, EX_CONFIG, layout, "init", NULL, NULL);
	expect(&sb, EX_OK, "# nothing was changed", "adopt", NULL, NULL);
	script = run(&sb, EX_OK, "adopt", "--print-sql", "--yes");
	TAP_INT(columns_added(&sb), 0);
	lines = run(&sb, EX_OK, "adopt", "--yes", layout);
	TAP_HAS(lines, first_line);
	TAP_HAS(lines, "# what the table lacked was added");
	TAP_INT(columns_added(&sb), added);
	write_config(&sb, lines);
	expect(&sb, EX_OK, "# the table has all it needs", "adopt", NULL, NULL);
	expect(&sb, EX_OK, "done", "init", NULL, NULL);
	expect(&sb, EX_OK, "is ready for role", "check", NULL, NULL);

	/* The script does the same. */
	sandbox_exec(sb.db, "DROP TABLE foreign_one");
	sandbox_exec(sb.db, "%s", create);
	sandbox_exec(sb.db, "%s", script);
	TAP_INT(columns_added(&sb), added);
	free(lines);
	free(script);
}

static void
test_debezium(void)
{
	take_over(FOREIGN_DEBEZIUM("foreign_one"), "debezium", 2,
	          "# table public.foreign_one has layout \"debezium\", that of Debezium's outbox event router\n"
	          "# it lacks pgoutbox_id: ");
}

static void
test_open_outbox(void)
{
	take_over(FOREIGN_OPEN_OUTBOX("foreign_one"), "open-outbox", 1, "sent_at: \"delivered_at\"");
}

static void
test_goharvest(void)
{
	take_over(FOREIGN_GOHARVEST("foreign_one"), "goharvest", 1, "topic: \"${kafka_topic}\"");
}

static void
test_eventuate(void)
{
	take_over(FOREIGN_EVENTUATE("foreign_one"), "eventuate-tram", 4, "topic: \"${destination}\"");
}

/* The variant whose headers and payload are json. */
static void
test_eventuate_json(void)
{
	SANDBOX(sb);
	char *value;

	sandbox_exec(sb.db, "%s", FOREIGN_EVENTUATE("foreign_one"));
	sandbox_exec(sb.db, "ALTER TABLE foreign_one ALTER headers TYPE json USING headers::json,"
	                    " ALTER payload TYPE json USING payload::json");
	write_config(&sb, "outbox:\n  table: foreign_one\n");
	expect(&sb, EX_OK, "was added", "adopt", "--yes", NULL);
	sandbox_exec(sb.db, "INSERT INTO foreign_one (id, destination, headers, payload, creation_time)"
	                    " VALUES ('0-1', 'd', '{\"ID\": \"0-1\"}', '{\"n\": \"\\u00fc\"}', 1700000000123)");
	value = sandbox_text(sb.db, "SELECT pgoutbox_key || ' ' || pgoutbox_value || ' ' || extract(epoch FROM "
	                            "pgoutbox_created_at) FROM foreign_one");
	TAP_STR(value, "0-1 {\"headers\": {\"ID\": \"0-1\"}, "
	               "\"payload\": \"{\\\"n\\\": \\\"\\\\u00fc\\\"}\"} 1700000000.123000");
	free(value);
}

/* --- rows that are there --- */

static void
test_rows_of_unknown_order(void)
{
	SANDBOX(sb);
	char *script;

	sandbox_exec(sb.db, "%s", FOREIGN_OPEN_OUTBOX("foreign_one"));
	write_config(&sb, "outbox:\n  table: foreign_one\n");
	sandbox_exec(sb.db, "INSERT INTO foreign_one (event_id, event_type, payload, status, delivered_at)"
	                    " SELECT gen_random_uuid(), 'e', '', s, CASE s WHEN 'DELIVERED' THEN now() END"
	                    " FROM unnest('{DELIVERED,DEAD}'::text[]) s");
	expect(&sb, EX_OK, "# nothing was changed, and nothing can be yet: the table holds events without delivered_at",
	       "adopt", NULL, NULL);
	expect(&sb, EX_CONFIG, "hint: let the old relay send them", "adopt", "--yes", NULL);
	script = run(&sb, EX_OK, "adopt", "--print-sql", NULL);
	TAP_STR(sandbox_state(sb.db, "%s", script), "P0001");
	sandbox_exec(sb.db, "ROLLBACK");
	TAP_INT(columns_added(&sb), 0);
	sandbox_exec(sb.db, "DELETE FROM foreign_one WHERE status = 'DEAD'");
	expect(&sb, EX_OK, "was added", "adopt", "--yes", NULL);
	TAP_INT(columns_added(&sb), 1);
	free(script);
}

/* goharvest's rows have an order of their own, and stay. */
static void
test_rows_in_order(void)
{
	SANDBOX(sb);

	sandbox_exec(sb.db, "%s", FOREIGN_GOHARVEST("foreign_one"));
	write_config(&sb, "outbox:\n  table: foreign_one\n");
	sandbox_exec(sb.db, "INSERT INTO foreign_one (create_time, kafka_topic, kafka_key, kafka_header_keys,"
	                    " kafka_header_values) VALUES (now(), 't', 'k', '{a,b}', '{1,NULL}')");
	expect(&sb, EX_OK, "was added", "adopt", "--yes", NULL);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM foreign_one"
	                           " WHERE pgoutbox_headers = '{\"a\": \"1\", \"b\": null}'"), 1);
}

/* Commits once somebody waits for a lock. */
static void *
commit_when_waited_for(void *conn)
{
	for (int i = 0; i < 3000 && sandbox_int(conn, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation ="
	                                              " 'foreign_one'::regclass") == 0; i++)
		proc_sleep_ms(10);
	sandbox_exec(conn, "COMMIT");
	return NULL;
}

/* One that is not committed yet could become such a row: the lock waits for its writer. */
static void
test_writer_at_work(void)
{
	pthread_t thread;
	SANDBOX(sb);
	struct adopt_plan plan __attribute__((cleanup(adopt_plan_done))) = ADOPT_PLAN_INIT;
	PGconn *writer __attribute__((cleanup(db_close))) = sandbox_open(sb.super);
	struct error err = {0};

	sandbox_exec(sb.db, "%s", FOREIGN_DEBEZIUM("foreign_one"));
	sandbox_exec(writer, "BEGIN; INSERT INTO foreign_one VALUES (gen_random_uuid(), 'a', 'b', 'c', '{}')");
	SANDBOX_MUST(adopt_make_plan(sb.db, "foreign_one", NULL, &plan, &err), &err);
	CU_ASSERT_FALSE(plan.leftover);
	TAP_INT_FATAL(pthread_create(&thread, NULL, commit_when_waited_for, writer), 0);
	TAP_INT(adopt_run(sb.db, &plan, &err), -1);
	pthread_join(thread, NULL);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, "holds rows, and nothing in them tells");
	TAP_INT(columns_added(&sb), 0);
	sandbox_exec(sb.db, "DELETE FROM foreign_one");
	SANDBOX_MUST(adopt_run(sb.db, &plan, &err), &err);
	TAP_INT(columns_added(&sb), 2);
}

/* --- tables that are not taken --- */

static void
test_role_that_may_not(void)
{
	SANDBOX(sb);
	struct adopt_plan plan __attribute__((cleanup(adopt_plan_done))) = ADOPT_PLAN_INIT;
	PGconn *role __attribute__((cleanup(db_close))) = sandbox_open(sb.role);
	struct error err = {0};

	sandbox_exec(sb.db, "%s; GRANT SELECT ON foreign_one TO %s", FOREIGN_DEBEZIUM("foreign_one"), sb.name);
	SANDBOX_MUST(adopt_make_plan(role, "foreign_one", NULL, &plan, &err), &err);
	TAP_INT(adopt_run(role, &plan, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_STR(err.hint, "connect by --database as the table's owner or a superuser");
	sandbox_exec(sb.db, "GRANT UPDATE ON foreign_one TO %s", sb.name);
	TAP_INT(adopt_run(role, &plan, &err), -1);
	TAP_HAS(err.message, "must be owner of table foreign_one");
	TAP_STR(err.hint, "connect by --database as the table's owner or a superuser");
}

static void
test_refusals(void)
{
	SANDBOX(sb);

	write_config(&sb, "outbox:\n  table: foreign_one\n");
	expect(&sb, EX_CONFIG, "there is no table \"foreign_one\"", "adopt", NULL, NULL);
	expect(&sb, EX_USAGE, "adopt takes no \"goharvest\"", "adopt", "debezium", "goharvest");
	sandbox_exec(sb.db, "%s", FOREIGN_DEBEZIUM("foreign_one"));
	expect(&sb, EX_CONFIG, "hint: there are debezium, open-outbox, goharvest and eventuate-tram", "adopt", "other",
	       NULL);
	expect(&sb, EX_CONFIG, "has no column \"create_time\", which layout \"goharvest\" has", "adopt", "goharvest",
	       NULL);
	sandbox_exec(sb.db, "ALTER TABLE foreign_one ALTER id TYPE bytea USING '\\x00'");
	expect(&sb, EX_CONFIG, "column \"id\" of table \"public.foreign_one\" has type bytea", "adopt", NULL, NULL);
	sandbox_exec(sb.db, "DROP TABLE foreign_one; CREATE TABLE foreign_one (id bigint, note text)");
	expect(&sb, EX_CONFIG, "has no layout that is known", "adopt", NULL, NULL);
	sandbox_exec(sb.db, "DROP TABLE foreign_one; CREATE VIEW foreign_one AS SELECT 1 AS id");
	expect(&sb, EX_CONFIG, "\"foreign_one\" is not a table", "adopt", NULL, NULL);
	sandbox_exec(sb.db, "DROP VIEW foreign_one; CREATE TABLE foreign_one (id uuid) PARTITION BY HASH (id)");
	expect(&sb, EX_CONFIG, "\"foreign_one\" is a partitioned table", "adopt", NULL, NULL);
}

/* What is printed is read back as the table that it is about, whatever its name. */
static void
test_odd_name(void)
{
	SANDBOX(sb);
	char *lines;

	sandbox_exec(sb.db, "%s", "CREATE SCHEMA \"Old\"; " FOREIGN_DEBEZIUM("\"Old\".\"out ${HOME} \"\"box\""));
	write_config(&sb, "outbox:\n  table: '\"Old\".\"out $${HOME} \"\"box\"'\n");
	lines = run(&sb, EX_OK, "adopt", "--yes", NULL);
	write_config(&sb, lines);
	expect(&sb, EX_OK, "# the table has all it needs", "adopt", NULL, NULL);
	expect(&sb, EX_OK, "done", "init", NULL, NULL);
	expect(&sb, EX_OK, "is ready for role", "check", NULL, NULL);
	free(lines);
}

static void
test_domains(void)
{
	SANDBOX(sb);

	sandbox_exec(sb.db, "CREATE DOMAIN kind AS varchar(20)");
	sandbox_exec(sb.db, "%s", FOREIGN_DEBEZIUM("foreign_one"));
	sandbox_exec(sb.db, "ALTER TABLE foreign_one ALTER type TYPE kind");
	write_config(&sb, "outbox:\n  table: foreign_one\n");
	expect(&sb, EX_OK, "has layout \"debezium\"", "adopt", NULL, NULL);
}

int
main(void)
{
	int fd = mkstemp(config_path), status;

	if (fd < 0)
		return EXIT_FAILURE;
	close(fd);
	tap_suite("adopt");
	tap_test("Debezium's outbox event router", test_debezium);
	tap_test("Open Outbox", test_open_outbox);
	tap_test("goharvest", test_goharvest);
	tap_test("Eventuate Tram", test_eventuate);
	tap_test("Eventuate Tram, with json", test_eventuate_json);
	tap_test("rows that nothing puts into an order are not numbered", test_rows_of_unknown_order);
	tap_test("rows with an order of their own stay", test_rows_in_order);
	tap_test("a writer at work is waited for", test_writer_at_work);
	tap_test("a role that may not is told which may", test_role_that_may_not);
	tap_test("other tables, other names, other types", test_refusals);
	tap_test("a name that needs quotes", test_odd_name);
	tap_test("a domain counts as what it is made of", test_domains);
	status = tap_run();
	unlink(config_path);
	return status;
}
