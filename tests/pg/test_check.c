/* test_check.c - pgoutboxctl check --full and pgoutboxd --check-config=full: each finding about the database, and about a
 * Kafka that librdkafka's mock stands for. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "support/db.h"
#include "support/proc.h"
#include "support/sandbox.h"
#include "support/tap.h"

#define TOOL "./pgoutboxctl"
#define DAEMON "./pgoutboxd"

static char config_path[] = "/tmp/pgoutbox-check.XXXXXX";
static char database[256];
static rd_kafka_t *rk;
static rd_kafka_mock_cluster_t *mock;

static void
write_config(const char *conninfo, const char *brokers, const char *kafka, const char *rest)
{
	FILE *f = fopen(config_path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "database:\n  conninfo: \"%s\"\nkafka:\n  brokers: \"%s\"\n%s%s", conninfo, brokers, kafka, rest);
	TAP_INT(fclose(f), 0);
}

static char *
run(int status, const char *program, const char *a, const char *b, const char *c)
{
	const char *argv[] = {program, "-c", config_path, a, b, c, NULL};
	char *output = NULL;
	int got = proc_run(argv, 60000, &output);

	if (got != status)
		tap_diag("%s", output);
	TAP_INT(got, status);
	CU_ASSERT_PTR_NULL(strstr(output, "verysecret"));
	return output;
}

static void
expect(int status, const char *text)
{
	char *output = run(status, TOOL, "check", "--full", NULL);

	TAP_HAS(output, text);
	free(output);
}

static void
init(const struct sandbox *sb, const char *kafka)
{
	write_config(sb->role, rd_kafka_mock_cluster_bootstraps(mock), kafka, "");
	snprintf(database, sizeof(database), "--database=%s", sb->super);
	free(run(EX_OK, TOOL, "init", database, NULL));
}

static void
setup(void)
{
	char reason[256];

	rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), reason, sizeof(reason));
	CU_ASSERT_PTR_NOT_NULL_FATAL(rk);
	mock = rd_kafka_mock_cluster_new(rk, 3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mock);
}

static void
teardown(void)
{
	rd_kafka_mock_cluster_destroy(mock);
	rd_kafka_destroy(rk);
}

static void
test_good(void)
{
	SANDBOX(sb);
	char *output;
	json_t *root, *first;

	rd_kafka_mock_topic_create(mock, "events", 4, 3);
	init(&sb, "  topic: events\n");
	output = run(EX_OK, TOOL, "check", "--full", NULL);
	TAP_HAS(output, "ok       postgresql: connected to PostgreSQL ");
	TAP_HAS(output, "ok       sessions: ");
	TAP_HAS(output, "ok       table: table \"public.outbox_events\" and its columns fit\n");
	TAP_HAS(output, "ok       index: index \"outbox_events_lane4\" is valid and fits 4 lanes\n");
	TAP_HAS(output, "ok       schema: ");
	TAP_HAS(output, "ok       rights: ");
	TAP_HAS(output, "ok       connections: the server has room for the 7 connections");
	TAP_HAS(output, "ok       autovacuum: ");
	TAP_HAS(output, "ok       clock: ");
	TAP_HAS(output, "ok       kafka: connected to Kafka: 3 brokers\n");
	free(output);
	output = run(EX_OK, DAEMON, "--check-config=full", NULL, NULL);
	TAP_HAS(output, "ok       kafka: ");
	free(output);
	free(run(EX_USAGE, DAEMON, "--check-config=half", NULL, NULL));
	free(run(EX_USAGE, TOOL, "check", "--json", NULL));
	output = run(EX_OK, TOOL, "check", "--full", "--json");
	root = json_loads(output, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	first = json_array_get(json_object_get(root, "findings"), 0);
	TAP_STR(json_string_value(json_object_get(first, "level")), "ok");
	TAP_STR(json_string_value(json_object_get(first, "about")), "postgresql");
	json_decref(root);
	free(output);
}

/* Several at once, each with what to do. */
static void
test_database(void)
{
	SANDBOX(sb);
	char *output;

	init(&sb, "");
	sandbox_exec(sb.db,
	             "REVOKE INSERT ON pgoutbox.parked FROM %s; ALTER ROLE %s CONNECTION LIMIT 5;"
	             "ALTER TABLE outbox_events SET (autovacuum_enabled = false);"
	             "UPDATE pgoutbox.outbox SET lanes = 3", sb.name, sb.name);
	output = run(EX_CONFIG, TOOL, "check", "--full", NULL);
	TAP_HAS(output, "error    table: index \"outbox_events_lane4\" of table \"public.outbox_events\" is not over the 3 lanes");
	TAP_HAS(output, "         hint: drop the index");
	TAP_HAS(output, "error    table: role \"");
	TAP_HAS(output, "error    connections: the role takes 5 connections, and a relay with all lanes needs 6\n");
	TAP_HAS(output, "warning  autovacuum: ");
	TAP_HAS(output, "ok       kafka: ");
	free(output);
	sandbox_exec(sb.db, "DROP TABLE outbox_events");
	expect(EX_CONFIG, "error    table: there is no table \"outbox_events\"");
	sandbox_exec(sb.db, "DROP SCHEMA pgoutbox CASCADE; CREATE TABLE outbox_events (id int)");
	expect(EX_CONFIG, "has no schema \"pgoutbox\"");
	write_config("host=127.0.0.1 port=1 user=x dbname=y password=verysecret", rd_kafka_mock_cluster_bootstraps(mock), "", "");
	expect(EX_TEMPFAIL, "warning  postgresql: could not connect");
}

static void
test_topics(void)
{
	SANDBOX(sb);
	char *output;

	rd_kafka_mock_topic_create(mock, "there", 4, 3);
	init(&sb, "  topic: \"${aggregate_type}\"\n");
	expect(EX_OK, "ok       topic: no topic is known");
	sandbox_exec(sb.db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, topic) VALUES"
	                    " ('there', 'k', 't', '{}', NULL), ('x', 'k', 't', '{}', 'bad topic!')");
	rd_kafka_mock_topic_set_error(mock, "denied", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	rd_kafka_mock_topic_set_error(mock, "missing", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	sandbox_exec(sb.db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload) VALUES"
	                    " ('denied', 'k', 't', '{}'), ('missing', 'l', 't', '{}')");
	output = run(EX_CONFIG, TOOL, "check", "--full", NULL);
	TAP_HAS(output, "warning  topic: of unsent events, topic \"bad topic!\" is not a legal name");
	TAP_HAS(output, "error    topic: topic \"denied\" may not be written to");
	TAP_HAS(output, "error    topic: topic \"missing\" does not exist\n");
	TAP_HAS(output, "topic \"there\"");
	free(output);
	sandbox_exec(sb.db, "DELETE FROM outbox_events WHERE aggregate_type <> 'there'");
	write_config(sb.role, rd_kafka_mock_cluster_bootstraps(mock), "  topic: there\n  properties: {message.max.bytes: 2000}\n", "");
	sandbox_exec(sb.db, "UPDATE outbox_events SET payload = to_jsonb(repeat('x', 5000))");
	expect(EX_CONFIG, "error    topic: an unsent payload for topic \"there\" has 5002 bytes, more than message.max.bytes, 2000");
}

static void
test_kafka_away(void)
{
	SANDBOX(sb);

	init(&sb, "");
	write_config(sb.role, "127.0.0.1:1", "", "");
	expect(EX_TEMPFAIL, "warning  kafka: Kafka at \"127.0.0.1:1\" cannot be reached: ");
	/* a broker that speaks no TLS */
	write_config(sb.role, rd_kafka_mock_cluster_bootstraps(mock), "  properties: {security.protocol: ssl}\n", "");
	expect(EX_CONFIG, "error    kafka: Kafka at \"");
}

/* Judged by what the daemon's role may, whoever asks; and none is run, nor stops anything. */
static void
test_queries(void)
{
	SANDBOX(sb);
	char *output;

	init(&sb, "");
	sandbox_exec(sb.db, "CREATE TABLE public.hidden AS SELECT 1 AS n; CREATE TABLE public.seen AS SELECT 'a' AS kind, 1 AS n, 2 AS m;"
	                    "GRANT SELECT ON public.seen TO %s", sb.name);
	write_config(sb.role, rd_kafka_mock_cluster_bootstraps(mock), "",
	             "queries:\n  reconciliation: true\n  sql:\n    good: SELECT *, 1 / (n - 1) AS later FROM seen;\n    hidden: SELECT n FROM hidden\n"
	             "    unnamed: SELECT 1\n    several: SELECT 1 AS n) AS q; DROP TABLE public.seen; SELECT * FROM (SELECT 1 AS n\n");
	for (int i = 0; i < 2; i++) {
		output = run(EX_OK, TOOL, "check", "--full", i == 0 ? NULL : database);
		TAP_HAS(output, "ok       query: query \"good\" gives pgoutbox_query_good_n, pgoutbox_query_good_m, pgoutbox_query_good_later by kind\n");
		TAP_HAS(output, "warning  query: query \"hidden\" failed: permission denied for table hidden (SQLSTATE 42501)\n         hint: grant");
		TAP_HAS(output, "warning  query: query \"reconciliation\" failed: function pgoutbox.reconcile() does not exist (SQLSTATE 42883)\n");
		TAP_HAS(output, "warning  query: column 1 of query \"unnamed\" has a name that no metric can have\n         hint: name it by AS");
		TAP_HAS(output, "warning  query: query \"several\" failed: cannot insert multiple commands into a prepared statement (SQLSTATE 42601)\n");
		TAP_HAS(output, "room for the 8 connections");
		free(output);
	}
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM public.seen"), 1);
}

int
main(void)
{
	int fd = mkstemp(config_path);
	int status;

	if (fd < 0 || access(TOOL, X_OK) != 0)
		return tap_skip_all("it runs where %s was built", TOOL);
	close(fd);
	tap_suite_fixture("check", setup, teardown);
	tap_test("all is well", test_good);
	tap_test("the database", test_database);
	tap_test("topics of unsent events", test_topics);
	tap_test("queries of the operator", test_queries);
	tap_test("Kafka is not there", test_kafka_away);
	status = tap_run();
	unlink(config_path);
	return status;
}
