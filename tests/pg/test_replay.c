/* test_replay.c - pgoutboxctl replay and prune: what they choose, what they leave alone, and what they say. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "support/proc.h"
#include "support/sandbox.h"
#include "support/tap.h"

#define PROGRAM "./pgoutboxctl"

static char config_path[] = "/tmp/pgoutbox-replay.XXXXXX";
static char ids_path[] = "/tmp/pgoutbox-replay-ids.XXXXXX";
static char database[256];

static void
write_config(const struct sandbox *sb, const char *outbox)
{
	FILE *f = fopen(config_path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "database:\n  conninfo: \"%s\"\nkafka:\n  brokers: \"localhost:1\"\n  topic: \"app.${aggregate_type}\"\noutbox:\n%s",
	        sb->role, outbox);
	TAP_INT(fclose(f), 0);
	snprintf(database, sizeof(database), "--database=%s", sb->super);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char *
run(int status, const char *const *args)
{
	const char *argv[16] = {PROGRAM, "-c", config_path, database};
	char *output = NULL;
	int n = 4, got;

	while (*args != NULL && n < 15)
		argv[n++] = *args++;
	got = proc_run(argv, 60000, &output);
	if (got != status)
		tap_diag("%s", output);
	TAP_INT(got, status);
	return output;
}

static void
expect(int status, const char *text, const char *const *args)
{
	char *output = run(status, args);

	TAP_HAS(output, text);
	free(output);
}

static json_t *
run_json(const char *const *args)
{
	char *output = run(EX_OK, args);
	json_t *root = json_loads(output, 0, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	free(output);
	return root;
}

#define JSON_INT(root, name) json_integer_value(json_object_get((root), (name)))

/* Ten events that were sent, ids 1 to 10, of keys k0 to k4, an hour apart; 9 and 10 are for a topic of their own. */
static void
set_up(struct sandbox *sb, const char *outbox)
{
	write_config(sb, outbox);
	free(run(EX_OK, ARGS("init")));
	sandbox_exec(sb->db,
	             "INSERT INTO outbox_events (event_id, aggregate_type, aggregate_id, event_type, payload, headers, topic, created_at,"
	             " sent_at) SELECT ('00000000-0000-0000-0000-0000000000' || lpad(n::text, 2, 'a'))::uuid, 'order', 'k' || n %% 5, 't',"
	             " '{}', CASE n WHEN 1 THEN '{\"a\": \"b\"}'::jsonb WHEN 2 THEN 'null' END, CASE WHEN n > 8 THEN 'own' END,"
	             " '2026-01-01 00:00+00'::timestamptz + n * interval '1 hour', now() - n * interval '1 hour'"
	             " FROM generate_series(1, 10) n");
}

#define UNSENT(db) sandbox_int((db), "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL")
#define SENT_AGAIN(db) sandbox_text((db), "SELECT string_agg(id::text, ' ' ORDER BY id) FROM outbox_events WHERE sent_at IS NULL")

static void
check_unsent(struct sandbox *sb, const char *ids)
{
	char *text = SENT_AGAIN(sb->db);

	TAP_STR(text, ids);
	free(text);
	sandbox_exec(sb->db, "UPDATE outbox_events SET sent_at = now() WHERE sent_at IS NULL");
}

static void
test_choices(void)
{
	SANDBOX(sb);
	FILE *f;

	set_up(&sb, "  lanes: 2\n");
	expect(EX_OK, "1 event unsent again", ARGS("replay", "3"));
	check_unsent(&sb, "3");
	expect(EX_OK, "5 events unsent again", ARGS("replay", "--yes", "2-4", "3-5", "9"));
	check_unsent(&sb, "2 3 4 5 9");
	expect(EX_OK, "2 events unsent again", ARGS("replay", "--yes", "--key", "k1"));
	check_unsent(&sb, "1 6");
	expect(EX_OK, "2026-01-01T09:00:00Z  2026-01-01T10:00:00Z  own\n", ARGS("replay", "--dry-run", "--topic", "own"));
	expect(EX_OK, "2 events unsent again", ARGS("replay", "--yes", "--topic", "own"));
	check_unsent(&sb, "9 10");
	expect(EX_OK, "8       2026-01-01T01:00:00Z  2026-01-01T08:00:00Z  app.order\n", ARGS("replay", "--dry-run", "1-100"));
	expect(EX_OK, "unsent again", ARGS("replay", "--yes", "--since", "2026-01-01 03:00+00", "--until", "2026-01-01 05:00+00"));
	check_unsent(&sb, "3 4");
	f = fopen(ids_path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs("00000000-0000-0000-0000-0000000000a7\n\n  00000000-0000-0000-0000-0000000000A8 \r\nnowhere\n", f);
	fclose(f);
	expect(EX_OK, "1 that was named is not in the table", ARGS("replay", "--yes", "--event-ids", ids_path));
	check_unsent(&sb, "7 8");
	expect(EX_OK, "1 that was named is not in the table", ARGS("replay", "--yes", "5", "11"));
	check_unsent(&sb, "5");
	expect(EX_USAGE, "is neither an id nor a range", ARGS("replay", "5-3"));
	expect(EX_USAGE, "is neither an id nor a range", ARGS("replay", "5x"));
	expect(EX_USAGE, "nothing says which events", ARGS("replay"));
	expect(EX_USAGE, "could not open", ARGS("replay", "--event-ids", "/nonexistent"));
	expect(EX_CONFIG, "--since: \"never\" is no time", ARGS("replay", "--since", "never"));
	TAP_INT(UNSENT(sb.db), 0);
}

/* More than one is asked for; what is unsent or parked is left alone. */
static void
test_guards(void)
{
	SANDBOX(sb);
	json_t *root;

	set_up(&sb, "  lanes: 2\n");
	expect(EX_USAGE, "nothing was done: --yes is missing", ARGS("replay", "1-10"));
	TAP_INT(UNSENT(sb.db), 0);
	sandbox_exec(sb.db, "UPDATE outbox_events SET sent_at = NULL WHERE id = 4;"
	                    "INSERT INTO pgoutbox.parked (relation, event_row, key, reason, event)"
	                    " SELECT 'outbox_events'::regclass, id, aggregate_id, 'r', to_jsonb(t) FROM outbox_events t WHERE id = 1");
	root = run_json(ARGS("replay", "--json", "--dry-run", "1-10"));
	TAP_INT(JSON_INT(root, "would_replay"), 7);
	TAP_INT(JSON_INT(root, "unsent"), 1);
	TAP_INT(JSON_INT(root, "parked"), 2);
	TAP_INT(json_array_size(json_object_get(root, "topics")), 2);
	json_decref(root);
	root = run_json(ARGS("replay", "--json", "--yes", "--replay-id", "INC-17", "1-10"));
	TAP_INT(JSON_INT(root, "replayed"), 7);
	TAP_STR(json_string_value(json_object_get(root, "replay_id")), "INC-17");
	json_decref(root);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL AND headers ->> 'replay' = 'INC-17'"), 7);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL AND id IN (1, 6)"), 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.audit WHERE verb = 'replay' AND detail @> '{\"events\": 7,"
	                           " \"replay_id\": \"INC-17\", \"through_id\": 10, \"key\": null}'"), 1);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.audit WHERE verb = 'replay'"), 1);
	/* an event without a key is held by itself alone */
	sandbox_exec(sb.db, "UPDATE pgoutbox.parked SET key = NULL; UPDATE outbox_events SET sent_at = now() WHERE sent_at IS NULL");
	expect(EX_OK, "9 events would be offered again\n1 more left alone", ARGS("replay", "--dry-run", "1-10"));
}

static void
test_headers(void)
{
	SANDBOX(sb);

	set_up(&sb, "  lanes: 2\n");
	expect(EX_OK, "with the header replay: 2", ARGS("replay", "--yes", "1", "2", "3"));
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE id IN (1, 2, 3) AND headers ->> 'replay' ~ '^20[0-9]{6}T[0-9]{6}Z$'"),
	        3);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE headers ->> 'a' = 'b'"), 1);
	free(run(EX_OK, ARGS("replay", "--no-header", "8")));
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE id = 8 AND headers IS NULL AND sent_at IS NULL"), 1);
	expect(EX_USAGE, "is what --no-header leaves out", ARGS("replay", "--no-header", "--replay-id", "x", "8"));
	expect(EX_USAGE, "--replay-id: it has 1 to", ARGS("replay", "--replay-id", "", "8"));
	/* json has no operators to add to it */
	sandbox_exec(sb.db, "ALTER TABLE outbox_events ALTER headers TYPE json");
	free(run(EX_OK, ARGS("replay", "--replay-id", "y", "9")));
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE id = 9 AND headers ->> 'replay' = 'y'"), 1);
	write_config(&sb, "  columns: {headers: \"\"}\n");
	expect(EX_CONFIG, "has no column for headers", ARGS("replay", "10"));
	expect(EX_OK, "1 event unsent again\n", ARGS("replay", "--no-header", "10"));
	write_config(&sb, "  settle: delete\n");
	expect(EX_CONFIG, "rows leave the table when they are sent", ARGS("replay", "10"));
}

/* More rows than a step looks at, more ranges than it takes, and holes between the ids. */
static void
test_many(void)
{
	SANDBOX(sb);
	char *output = NULL;
	const char *argv[700] = {PROGRAM, "-c", config_path, database, "replay", "--yes"};
	char ids[600][16];

	write_config(&sb, "  lanes: 2\n");
	free(run(EX_OK, ARGS("init")));
	sandbox_exec(sb.db, "INSERT INTO outbox_events (id, aggregate_type, aggregate_id, event_type, sent_at) OVERRIDING SYSTEM VALUE"
	                    " SELECT n * 7, 'o', n::text, 't', now() FROM generate_series(1, 2500) n");
	expect(EX_OK, "2500 events unsent again", ARGS("replay", "--yes", "--since", "2000-01-01"));
	TAP_INT(UNSENT(sb.db), 2500);
	sandbox_exec(sb.db, "UPDATE outbox_events SET sent_at = now()");
	for (int i = 0; i < 600; i++) {
		snprintf(ids[i], sizeof(ids[i]), "%d", 7 * (2500 - 3 * i));
		argv[6 + i] = ids[i];
	}
	TAP_INT(proc_run(argv, 60000, &output), EX_OK);
	TAP_HAS(output, "600 events unsent again");
	free(output);
	TAP_INT(UNSENT(sb.db), 600);
}

static void
test_prune(void)
{
	SANDBOX(sb);
	json_t *root;

	set_up(&sb, "  retention: 330m\n");
	expect(EX_OK, "5 rows would be deleted", ARGS("prune", "--dry-run"));
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 10);
	sandbox_exec(sb.db, "UPDATE outbox_events SET sent_at = NULL WHERE id = 10;"
	                    "INSERT INTO pgoutbox.parked (relation, event_row, key, reason, event)"
	                    " SELECT 'outbox_events'::regclass, id, aggregate_id, 'r', to_jsonb(t) FROM outbox_events t WHERE id = 9");
	expect(EX_OK, "3 rows deleted: sent more than 5 h ago\n1 stays that old", ARGS("prune"));
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.audit WHERE verb = 'prune' AND detail @> '{\"rows\": 3,"
	                           " \"older_than_seconds\": 19800}'"), 1);
	root = run_json(ARGS("prune", "--older-than", "150m", "--json"));
	TAP_INT(JSON_INT(root, "deleted"), 3);
	TAP_INT(JSON_INT(root, "parked"), 1);
	TAP_INT(JSON_INT(root, "older_than_seconds"), 9000);
	json_decref(root);
	TAP_INT(sandbox_int(sb.db, "SELECT sum(id) FROM outbox_events"), 1 + 2 + 9 + 10);
	/* once it was decided about, it goes; what is unsent does not */
	sandbox_exec(sb.db, "UPDATE pgoutbox.parked SET state = 'skipped', resolved_at = now()");
	expect(EX_OK, "3 rows deleted", ARGS("prune", "--older-than", "1s"));
	TAP_INT(sandbox_int(sb.db, "SELECT sum(id) FROM outbox_events"), 10);
	expect(EX_USAGE, "--older-than: ", ARGS("prune", "--older-than", "x"));
	write_config(&sb, "  retention: never\n");
	expect(EX_USAGE, "so nothing says what is old", ARGS("prune"));
	/* more than a step looks at, young ones first */
	sandbox_exec(sb.db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, sent_at)"
	                    " SELECT 'o', n::text, 't', now() - CASE WHEN n > 2000 THEN interval '1 day' ELSE '0' END"
	                    " FROM generate_series(1, 3500) n");
	expect(EX_OK, "1500 rows deleted: sent more than 12 h ago\n", ARGS("prune", "--older-than", "12h"));
	sandbox_exec(sb.db, "REVOKE DELETE ON outbox_events FROM %s", sb.name);
	snprintf(database, sizeof(database), "--database=%s", sb.role);
	expect(EX_CONFIG, "permission denied", ARGS("prune", "--older-than", "1s"));
}

/* With deleted rows it is their receipts that grow old. */
static void
test_prune_receipts(void)
{
	SANDBOX(sb);
	json_t *root;

	write_config(&sb, "  settle: delete\n  receipts: true\n  retention: 1d\n");
	free(run(EX_OK, ARGS("init")));
	sandbox_exec(sb.db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type) VALUES ('o', '1', 't');"
	                    "INSERT INTO pgoutbox.receipts (outbox, row_id, topic, sent_at) SELECT 'public.outbox_events', n, 't',"
	                    " now() - n * interval '1 hour' FROM generate_series(1, 2500) n");
	expect(EX_OK, "2477 receipts would be deleted", ARGS("prune", "--dry-run"));
	expect(EX_OK, "2477 receipts deleted: sent more than 24 h ago\n", ARGS("prune"));
	TAP_INT(sandbox_int(sb.db, "SELECT sum(row_id) FROM pgoutbox.receipts"), 23 * 24 / 2);
	TAP_INT(sandbox_int(sb.db, "SELECT sum((detail ->> 'rows')::int) FROM pgoutbox.audit WHERE verb = 'prune'"), 2477);
	root = run_json(ARGS("prune", "--older-than", "150m", "--json"));
	TAP_INT(JSON_INT(root, "deleted"), 21);
	json_decref(root);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 1);
}

/* Fails a step as it commits, the second one: what it would have done is not counted. */
static void
test_lost_commit(void)
{
	SANDBOX(sb);
	char *output;

	write_config(&sb, "  lanes: 2\n");
	free(run(EX_OK, ARGS("init")));
	sandbox_exec(sb.db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, sent_at)"
	                    " SELECT 'o', n::text, 't', now() - interval '1 day' FROM generate_series(1, 2500) n;"
	                    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''too late''; END';"
	                    "CREATE CONSTRAINT TRIGGER late AFTER UPDATE OR DELETE ON outbox_events DEFERRABLE INITIALLY DEFERRED"
	                    " FOR EACH ROW WHEN (OLD.id = 1500) EXECUTE FUNCTION refuse()");
	output = run(EX_CONFIG, ARGS("replay", "--yes", "--since", "2000-01-01"));
	TAP_HAS(output, "too late");
	TAP_HAS(output, "1000 events were made unsent before this:\n");
	free(output);
	TAP_INT(UNSENT(sb.db), 1000);
	TAP_INT(sandbox_int(sb.db, "SELECT sum((detail ->> 'events')::int) FROM pgoutbox.audit WHERE verb = 'replay'"), 1000);
	sandbox_exec(sb.db, "UPDATE outbox_events SET sent_at = now() - interval '1 day' WHERE sent_at IS NULL");
	output = run(EX_CONFIG, ARGS("prune", "--older-than", "1h"));
	TAP_HAS(output, "1000 rows were deleted before this:\n");
	free(output);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 1500);
}

int
main(void)
{
	int fd = mkstemp(config_path), ids = mkstemp(ids_path);
	int status;

	if (fd < 0 || ids < 0 || access(PROGRAM, X_OK) != 0)
		return tap_skip_all("it runs where %s was built", PROGRAM);
	close(fd);
	close(ids);
	tap_suite("replay");
	tap_test("by ids, ranges, event ids, key, topic and time", test_choices);
	tap_test("several need --yes; unsent and parked ones are left alone", test_guards);
	tap_test("the header that marks them", test_headers);
	tap_test("many, step by step", test_many);
	tap_test("prune", test_prune);
	tap_test("prune receipts", test_prune_receipts);
	tap_test("a step that fails as it commits is not counted", test_lost_commit);
	status = tap_run();
	unlink(config_path);
	unlink(ids_path);
	return status;
}
