/* test_parked.c - the verbs "pgoutboxctl parked ...", on events that the test sets aside itself. */
#include <jansson.h>
#include <pthread.h>
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
	             " ('order', 'a', 'made', '{\"pin\": \"1234-confidential\"}', 'bad topic!'), ('order', 'a', 'paid', '{}', NULL),"
	             " ('order', E'b\\x1b[31m', 'made', '{}', 'other'), ('order', 'a', 'sent', '{}', NULL);"
	             "INSERT INTO pgoutbox.parked (relation, event_row, key, topic, reason, event)"
	             " SELECT 'outbox_events'::regclass, id, aggregate_id, topic, 'too large', to_jsonb(t) FROM outbox_events t"
	             " WHERE topic IS NOT NULL ORDER BY id");
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
	expect(EX_OK, "too large", "list", NULL, NULL, NULL, NULL);
	expect(EX_OK, "b\\x1B[31m", "list", "--topic", "other", NULL, NULL);
	expect(EX_OK, "nothing is parked", "list", "--key", "nobody", NULL, NULL);
	expect(EX_OK, "there are more", "list", "--limit", "1", NULL, NULL);
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
	CU_ASSERT_TRUE(json_is_null(json_object_get(first, "resolved_at")));
	json_decref(root);
	free(run(EX_OK, "skip", "--yes", "2", NULL, NULL));
	root = run_json("list", NULL, NULL, NULL);
	TAP_INT(json_array_size(json_object_get(root, "events")), 1);
	json_decref(root);
	expect(EX_OK, "skipped", "list", "--all", NULL, NULL, NULL);
}

static void
test_show(void)
{
	SANDBOX(sb);
	char *output;
	json_t *root;

	set_up(&sb, "", false);
	output = run(EX_OK, "show", "1", NULL, NULL, NULL);
	TAP_HAS(output, "2 later events of its key are unsent");
	TAP_HAS(output, "bad topic!");
	CU_ASSERT_PTR_NULL(strstr(output, "confidential"));
	free(output);
	expect(EX_OK, "1234-confidential", "show", "--payload", "1", NULL, NULL);
	root = run_json("show", "1", NULL, NULL);
	TAP_INT(json_integer_value(json_object_get(root, "waiting")), 2);
	CU_ASSERT_TRUE(json_is_true(json_object_get(root, "waiting_exact")));
	CU_ASSERT_PTR_NULL(json_object_get(json_object_get(root, "event"), "payload"));
	TAP_STR(json_string_value(json_object_get(json_object_get(root, "event"), "event_type")), "made");
	json_decref(root);
	expect(EX_CONFIG, "there is no parked event 99", "show", "99", NULL, NULL, NULL);
	expect(EX_USAGE, "takes the id of one event", "show", NULL, NULL, NULL, NULL);
	expect(EX_USAGE, "takes the id of one event", "show", "1", "2", NULL, NULL);
	expect(EX_USAGE, "takes the id of one event", "show", "one", NULL, NULL, NULL);
	/* more than are looked at */
	sandbox_exec(sb.db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type) SELECT 'order', 'a', 'x' FROM"
	                    " generate_series(1, 10500)");
	expect(EX_OK, "10000 or more later events", "show", "1", NULL, NULL, NULL);
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
	expect(EX_CONFIG, "decided about already: 1; nothing was done", "retry", "1", NULL, NULL, NULL);
	root = run_json("retry", "--all", NULL, NULL);
	TAP_INT(json_integer_value(json_array_get(json_object_get(root, "retried"), 0)), 2);
	TAP_INT(json_integer_value(json_object_get(root, "written_again")), 0);
	json_decref(root);
	check_int(&sb, 4, UNSENT);
	expect(EX_OK, "nothing is parked", "retry", "--all", NULL, NULL, NULL);
}

/* The row is gone: it is written anew as it was, under its own id. */
static void
test_retry_deleted(void)
{
	SANDBOX(sb);

	set_up(&sb, "outbox: {settle: delete}\n", true);
	sandbox_exec(sb.db, "ALTER TABLE outbox_events ADD twice bigint GENERATED ALWAYS AS (id * 2) STORED");
	expect(EX_OK, "1 of them had left the table and were written again", "retry", "--all", "--topic", "other", NULL);
	check_int(&sb, 1, "SELECT count(*) FROM outbox_events t JOIN pgoutbox.parked p ON p.event_row = t.id AND t.twice = t.id * 2"
	                  " AND t.sent_at IS NULL AND (to_jsonb(t) - 'twice') = p.event");
	check_int(&sb, 1, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
}

static void
test_skip(void)
{
	SANDBOX(sb);

	set_up(&sb, "", false);
	expect(EX_USAGE, "Say --yes", "skip", "1", NULL, NULL, NULL);
	check_int(&sb, 2, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
	expect(EX_OK, "1 event given up: 1\n", "skip", "--yes", "1", NULL, NULL);
	check_int(&sb, 1, STATE("skipped"));
	check_int(&sb, 2, UNSENT);
	expect(EX_OK, "1 event given up: 2\n", "skip", "--yes", "--all", NULL, NULL);
}

/* All or nothing, and never a guess. */
static void
test_mistakes(void)
{
	SANDBOX(sb);

	set_up(&sb, "", false);
	expect(EX_CONFIG, "7, 8; nothing was done", "retry", "1", "7", "8", NULL);
	expect(EX_USAGE, "or --all", "retry", NULL, NULL, NULL, NULL);
	expect(EX_USAGE, "or --all", "retry", "--all", "1", NULL, NULL);
	expect(EX_USAGE, "go with --all", "retry", "--topic", "other", "1", NULL);
	expect(EX_USAGE, "\"2x\" is no id", "retry", "1", "2x", NULL, NULL);
	expect(EX_USAGE, "there is no verb \"parked", "burn", NULL, NULL, NULL, NULL);
	expect(EX_USAGE, "takes no option --payload", "retry", "--payload", "1", NULL, NULL);
	check_int(&sb, 2, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
	check_int(&sb, 2, UNSENT);
	/* the daemon's role may look, and decide nothing */
	snprintf(database, sizeof(database), "--database=%s", sb.role);
	expect(EX_OK, "too large", "list", NULL, NULL, NULL, NULL);
	expect(EX_CONFIG, "hint: connect by --database", "retry", "1", NULL, NULL, NULL);
	expect(EX_CONFIG, "hint: connect by --database", "skip", "--yes", "1", NULL, NULL);
}

static void *
retry_thread(void *ret_status)
{
	const char *argv[] = {PROGRAM, "-c", config_path, database, "parked", "retry", "1", "2", NULL};
	char *output = NULL;

	*(int *)ret_status = proc_run(argv, 30000, &output);
	free(output);
	return NULL;
}

/* Of two operators one decides, and the other is told so. */
static void
test_two_operators(void)
{
	SANDBOX(sb);
	pthread_t threads[2];
	int statuses[2];

	set_up(&sb, "", false);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, retry_thread, &statuses[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	TAP_INT(statuses[0] + statuses[1], EX_CONFIG);
	check_int(&sb, 2, STATE("retried"));
	check_int(&sb, 4, UNSENT);
}

int
main(void)
{
	int fd = mkstemp(config_path), rc;

	if (fd >= 0)
		close(fd);
	tap_suite("parked");
	tap_test("list", test_list);
	tap_test("show", test_show);
	tap_test("retry", test_retry);
	tap_test("retry where rows are deleted", test_retry_deleted);
	tap_test("skip", test_skip);
	tap_test("mistakes do nothing", test_mistakes);
	tap_test("two operators", test_two_operators);
	rc = tap_run();
	unlink(config_path);
	return rc;
}
