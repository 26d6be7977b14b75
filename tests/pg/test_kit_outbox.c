/* test_kit_outbox.c - sql/kit-outbox.sql: events that are written by one call, with the headers of the request. */
#include <CUnit/CUnit.h>
#include <stdlib.h>

#include "support/db.h"
#include "support/kit.h"
#include "support/tap.h"

static void
prepare(struct sandbox *sb, const char *payload_type)
{
	sandbox_exec(sb->db, "CREATE TABLE outbox_events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL DEFAULT"
	                     " gen_random_uuid(), aggregate_type text NOT NULL, aggregate_id text NOT NULL, event_type text NOT NULL,"
	                     " payload %s, headers jsonb, topic text, created_at timestamptz NOT NULL DEFAULT now(), sent_at timestamptz)",
	             payload_type);
	kit_install(sb, "kit-outbox.sql");
}

#define HEADERS "SELECT coalesce(headers::text, 'null') FROM outbox_events ORDER BY id DESC LIMIT 1"

static void
check_headers(struct sandbox *sb, const char *expected)
{
	char *headers = sandbox_text(sb->db, HEADERS);

	TAP_STR(headers, expected);
	free(headers);
}

static void
the_event_is_written(void)
{
	SANDBOX(sb);
	prepare(&sb, "jsonb");
	PGconn *app __attribute__((cleanup(db_close))) = sandbox_open(sb.role);

	char *id = sandbox_text(app, "SELECT pgoutbox.emit('order', '7', 'made', '{\"n\": 1}', '{\"a\": \"b\"}')");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE event_id = '%s' AND aggregate_type = 'order' AND"
	                           " aggregate_id = '7' AND event_type = 'made' AND payload = '{\"n\": 1}' AND sent_at IS NULL"
	                           " AND headers = '{\"a\": \"b\"}'", id), 1);
	free(id);
	sandbox_exec(app, "BEGIN; SELECT pgoutbox.emit('order', '8', 'made'); ROLLBACK");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 1);
	sandbox_exec(app, "SELECT pgoutbox.emit('order', '8', 'gone')");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE payload IS NULL AND headers IS NULL"), 1);
}

static void
headers_of_the_request(void)
{
	SANDBOX(sb);
	prepare(&sb, "jsonb");
	PGconn *app __attribute__((cleanup(db_close))) = sandbox_open(sb.role);

	sandbox_exec(app, "SET pgoutbox.request_id = 'r-1'; SET pgoutbox.traceparent = '00-ab-cd-01';"
	                  " SELECT pgoutbox.emit('order', '7', 'made', '{}', '{\"a\": 1}')");
	check_headers(&sb, "{\"a\": 1, \"request_id\": \"r-1\", \"traceparent\": \"00-ab-cd-01\"}");
	/* the caller knows better, and a null is a header without a value */
	sandbox_exec(app, "SELECT pgoutbox.emit('order', '7', 'made', '{}', '{\"request_id\": \"mine\", \"traceparent\": null}')");
	check_headers(&sb, "{\"request_id\": \"mine\", \"traceparent\": null}");
	/* what was set for one transaction is empty afterwards */
	sandbox_exec(app, "RESET ALL; BEGIN; SET LOCAL pgoutbox.request_id = 'r-2'; SELECT pgoutbox.emit('order', '7', 'made', '{}'); COMMIT");
	check_headers(&sb, "{\"request_id\": \"r-2\"}");
	sandbox_exec(app, "SELECT pgoutbox.emit('order', '7', 'made', '{}')");
	check_headers(&sb, "null");
}

static void
headers_that_cannot_be_sent(void)
{
	SANDBOX(sb);
	prepare(&sb, "jsonb");
	PGconn *app __attribute__((cleanup(db_close))) = sandbox_open(sb.role);
	static const char *const wrong[] = {"[]", "\"text\"", "null", "{\"a\": {}}", "{\"a\": []}", "{\"id\": \"x\"}", "{\"type\": \"x\"}"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		TAP_STR(sandbox_state(app, "SELECT pgoutbox.emit('order', '7', 'made', '{}', '%s')", wrong[i]), "22023");
	TAP_STR(sandbox_state(app, "SELECT pgoutbox.emit('order', NULL, 'made', '{}')"), "23502");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 0);
}

/* Whoever may call it has no other right, and cannot bend names or operators by a schema of his own. */
static void
rights(void)
{
	SANDBOX(sb);
	prepare(&sb, "jsonb");
	PGconn *app __attribute__((cleanup(db_close))) = sandbox_open(sb.role);

	TAP_STR(sandbox_state(app, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type) VALUES ('a', 'b', 'c')"), "42501");
	TAP_STR(sandbox_state(app, "SELECT pgoutbox.event_headers('{}')"), "42501");
	sandbox_exec(app, "CREATE TEMP TABLE outbox_events (aggregate_type text, aggregate_id text, event_type text, payload jsonb, headers"
	                  " jsonb, event_id uuid); SET search_path = pg_temp, public");
	sandbox_exec(app, "SELECT pgoutbox.emit('order', '7', 'made', '{}')");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 1);
	sandbox_exec(sb.db, "REVOKE ALL ON FUNCTION pgoutbox.emit FROM %s", sb.name);
	TAP_STR(sandbox_state(app, "SELECT pgoutbox.emit('order', '7', 'made', '{}')"), "42501");
}

static void
types_of_the_table(void)
{
	SANDBOX(sb);
	prepare(&sb, "bytea");
	PGconn *app __attribute__((cleanup(db_close))) = sandbox_open(sb.role);

	sandbox_exec(app, "SELECT pgoutbox.emit('order', '7', 'made', '\\x00ff'::bytea)");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE payload = '\\x00ff'"), 1);
}

/* Run once more it changes nothing; a newer kit is left alone. */
static void
run_again(void)
{
	SANDBOX(sb);
	prepare(&sb, "jsonb");

	kit_install(&sb, "kit-outbox.sql");
	TAP_INT(sandbox_int(sb.db, "SELECT version FROM pgoutbox.kit WHERE name = 'outbox'"), 1);
	sandbox_exec(sb.db, "UPDATE pgoutbox.kit SET version = 2");
	TAP_INT(kit_run(&sb, "kit-outbox.sql", NULL), 3);
	TAP_INT(sandbox_int(sb.db, "SELECT version FROM pgoutbox.kit WHERE name = 'outbox'"), 2);
}

int
main(void)
{
	tap_suite("outbox kit");
	tap_test("the event is written, in the caller's transaction", the_event_is_written);
	tap_test("headers of the request", headers_of_the_request);
	tap_test("headers that cannot be sent are refused", headers_that_cannot_be_sent);
	tap_test("the right to call it is no other right", rights);
	tap_test("payloads have the table's type", types_of_the_table);
	tap_test("the file is run again", run_again);
	return tap_run();
}
