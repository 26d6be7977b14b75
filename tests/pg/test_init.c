/* test_init.c - "pgoutboxctl init" and "migrate" on a real PostgreSQL. */
#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/conn.h"
#include "admin/inspect.h"
#include "admin/install.h"
#include "admin/migrate.h"
#include "admin/texts.h"
#include "admin/turn.h"
#include "support/db.h"
#include "support/sandbox.h"
#include "support/tap.h"


static struct install_request
request(const struct sandbox *sb)
{
	return (struct install_request){
		.layout = {.table = "outbox_events",
	                   .columns = {"id", "event_id", "aggregate_type", "aggregate_id", "event_type", "payload",
	                               "headers", "topic",
	                               "created_at", "sent_at"},
	                   .role = sb->name,
	                   .prune = true},
		.lanes = 4,
	};
}

static void
install(const struct sandbox *sb, const struct install_request *rq, struct install_plan *ret_plan)
{
	struct install_plan plan = INSTALL_PLAN_INIT;
	struct error err;

	SANDBOX_MUST(install_run(sb->db, rq, &plan, &err), &err);
	if (ret_plan != NULL)
		*ret_plan = plan;
	else
		install_plan_done(&plan);
}

static size_t
steps_to_do(const struct install_plan *plan)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->count; i++)
		count += plan->steps[i].sql != NULL;
	return count;
}

/* Says what the daemon's role would find wrong, over its own connection. */
static size_t
problems(const char *conninfo, const struct install_request *rq)
{
	struct error found[LAYOUT_PROBLEMS_MAX], err;
	struct layout lo = LAYOUT_INIT;
	struct layout_request own = rq->layout;
	PGconn *db = sandbox_open(conninfo);
	size_t count;

	own.role = NULL;
	SANDBOX_MUST(inspect(db, &own, &lo, &err), &err);
	count = layout_problems(&lo, &own, LAYOUT_ALL, found, LAYOUT_PROBLEMS_MAX);
	for (size_t i = 0; i < count; i++)
		tap_diag("%s (%s)", found[i].message, found[i].hint);
	layout_done(&lo);
	db_close(&db);
	return count;
}

static void
expect_refusal(const struct sandbox *sb, const struct install_request *rq, const char *message, const char *hint)
{
	struct install_plan plan = INSTALL_PLAN_INIT;
	struct error err = {0};

	TAP_INT(install_run(sb->db, rq, &plan, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, message);
	TAP_HAS(err.hint, hint);
	install_plan_done(&plan);
}

/* --- new tables --- */

static void
test_fresh(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	struct install_plan plan;

	install(&sb, &rq, &plan);
	TAP_INT(steps_to_do(&plan), plan.count);
	TAP_INT(plan.lanes, 4);
	install_plan_done(&plan);
	TAP_INT(problems(sb.role, &rq), 0);
	sandbox_exec(sb.db, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type) VALUES ('a', 'b', "
	                    "'c')");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pg_index WHERE indrelid = 'outbox_events'::regclass AND "
	                           "indisvalid"), 2);
}

static void
test_twice(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	struct install_plan plan;

	rq.notify = true;
	install(&sb, &rq, NULL);
	install(&sb, &rq, &plan);
	TAP_INT(steps_to_do(&plan), 0);
	TAP_INT(plan.count, 7);
	install_plan_done(&plan);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.outbox"), 1);
}

static int64_t
is_left_half_empty(const struct sandbox *sb)
{
	return sandbox_int(sb->db, "SELECT count(*) FROM pg_class WHERE oid = 'outbox_events'::regclass AND 'fillfactor=50' = ANY(reloptions)");
}

/* Only marked rows have new versions. */
static void
test_fillfactor(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);

	install(&sb, &rq, NULL);
	TAP_INT(is_left_half_empty(&sb), 1);
	sandbox_exec(sb.db, "DROP SCHEMA pgoutbox CASCADE; DROP TABLE outbox_events");
	rq.layout.settle_delete = true;
	install(&sb, &rq, NULL);
	TAP_INT(is_left_half_empty(&sb), 0);
}

static void
test_keeps_lanes(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	struct install_plan plan;

	install(&sb, &rq, NULL);
	rq.lanes = 8;
	install(&sb, &rq, &plan);
	TAP_INT(plan.lanes, 4);
	TAP_INT(steps_to_do(&plan), 0);
	install_plan_done(&plan);
}

static void
test_restores_what_was_dropped(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	struct install_plan plan;

	install(&sb, &rq, NULL);
	sandbox_exec(sb.db, "DROP INDEX outbox_events_lane4; REVOKE ALL ON outbox_events FROM %s", sb.name);
	TAP_INT(problems(sb.role, &rq), 4);
	install(&sb, &rq, &plan);
	TAP_INT(steps_to_do(&plan), 3);
	install_plan_done(&plan);
	TAP_INT(problems(sb.role, &rq), 0);
}

static void
test_two_tables(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);

	sandbox_exec(sb.db, "CREATE SCHEMA \"Odd.Schema\"");
	install(&sb, &rq, NULL);
	rq.layout.table = "\"Odd.Schema\".\"Out \"\"Box\"";
	rq.lanes = 1;
	install(&sb, &rq, NULL);
	TAP_INT(problems(sb.role, &rq), 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.outbox"), 2);
	TAP_INT(sandbox_int(sb.db, "SELECT lanes FROM pgoutbox.outbox WHERE claim_index = 'Out \"Box_lane1'"), 1);
}

static void
test_long_name(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	char *index;

	/* 1 + 31 * 2 = 63 bytes: room for 56 of them, and the 56th is half a character */
	rq.layout.table = "xööööööööööööööööööööööööööööööö";
	rq.lanes = 64;
	install(&sb, &rq, NULL);
	index = sandbox_text(sb.db, "SELECT claim_index FROM pgoutbox.outbox");
	TAP_STR(index, "xööööööööööööööööööööööööööö_lane64");
	free(index);
	TAP_INT(problems(sb.role, &rq), 0);
}

/* --- tables that are there already --- */

static struct install_request
mapped(const struct sandbox *sb)
{
	return (struct install_request){
		.layout = {.table = "app.messages",
	                   .columns = {[COL_ID] = "Seq",
	                               [COL_AGGREGATE_ID] = "entity",
	                               [COL_PAYLOAD] = "body",
	                               [COL_CREATED_AT] = "at",
	                               [COL_SENT_AT] = "done at",
	                               [COL_TOPIC] = ""},
	                   .role = sb->name},
		.lanes = 3,
	};
}

static void
make_mapped(const struct sandbox *sb)
{
	sandbox_exec(sb->db,
	             "CREATE SCHEMA app; CREATE SEQUENCE app.ids; CREATE DOMAIN app.seq AS int; CREATE TABLE "
	             "app.messages"
	             " (\"Seq\" app.seq UNIQUE NOT NULL DEFAULT nextval('app.ids'), entity uuid, body bytea, at "
	             "timestamp, \"done at\" timestamptz, other text);"
	             " INSERT INTO app.messages (entity, body) SELECT gen_random_uuid(), '\\x00' FROM "
	             "generate_series(1, 100)");
}

static void
test_existing(void)
{
	SANDBOX(sb);
	struct install_request rq = mapped(&sb);
	struct install_plan plan;
	char *plan_text;

	make_mapped(&sb);
	TAP_INT(install_make_plan(sb.db, &rq, &plan, &(struct error){0}), 0);
	TAP_STR(plan.steps[3].what, "index \"messages_lane3\"");
	TAP_HAS(plan.steps[3].sql, "CREATE INDEX CONCURRENTLY");
	CU_ASSERT_TRUE(plan.steps[3].alone);
	install_plan_done(&plan);
	install(&sb, &rq, NULL);
	TAP_INT(problems(sb.role, &rq), 0);
	sandbox_exec(sb.db, "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off");
	plan_text = sandbox_text(sb.db, "EXPLAIN (FORMAT json) SELECT FROM app.messages WHERE "
	                                "pgoutbox.lane(entity::text, 3) = 1"
	                                " AND \"done at\" IS NULL AND \"Seq\" >= 5 ORDER BY \"Seq\" LIMIT 10 FOR "
	                                "UPDATE SKIP LOCKED");
	TAP_HAS(plan_text, "messages_lane3");
	TAP_HAS(plan_text, "hashtext");
	CU_ASSERT_PTR_NULL(strstr(plan_text, "Sort"));
	free(plan_text);
}

static void
test_delete_without_sent_at(void)
{
	SANDBOX(sb);
	struct install_request rq = mapped(&sb);

	make_mapped(&sb);
	sandbox_exec(sb.db, "ALTER TABLE app.messages DROP COLUMN \"done at\"");
	expect_refusal(&sb, &rq, "has no column \"done at\"", "outbox.columns.sent_at");
	rq.layout.columns[COL_SENT_AT] = "";
	expect_refusal(&sb, &rq, "no column for outbox.columns.sent_at", "set outbox.settle to delete");
	rq.layout.settle_delete = true;
	install(&sb, &rq, NULL);
	TAP_INT(problems(sb.role, &rq), 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pg_index WHERE indrelid = 'app.messages'::regclass AND "
	                           "indpred IS NOT NULL"), 0);
}

static void
test_interrupted_build(void)
{
	SANDBOX(sb);
	struct install_request rq = mapped(&sb);
	struct install_plan plan;

	make_mapped(&sb);
	install(&sb, &rq, NULL);
	sandbox_exec(sb.db, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.messages_lane3'::regclass");
	TAP_INT(problems(sb.role, &rq), 1);
	install(&sb, &rq, &plan);
	TAP_INT(steps_to_do(&plan), 2);
	install_plan_done(&plan);
	TAP_INT(problems(sb.role, &rq), 0);
}

static void
test_partitioned(void)
{
	SANDBOX(sb);
	struct install_request rq = mapped(&sb);

	sandbox_exec(sb.db,
	             "CREATE SCHEMA app; CREATE TABLE app.messages (\"Seq\" bigint GENERATED ALWAYS AS IDENTITY, "
	             "entity text, body text,"
	             " at timestamptz, \"done at\" timestamptz, day int NOT NULL, PRIMARY KEY (\"Seq\", day)) "
	             "PARTITION BY RANGE (day);"
	             " CREATE TABLE app.p1 PARTITION OF app.messages FOR VALUES FROM (0) TO (10);"
	             " INSERT INTO app.messages (entity, body, day) VALUES ('k', 'v', 1)");
	install(&sb, &rq, NULL);
	TAP_INT(problems(sb.role, &rq), 0);
}

static void
test_wrong_index(void)
{
	SANDBOX(sb);
	struct install_request rq = mapped(&sb);

	make_mapped(&sb);
	install(&sb, &rq, NULL);
	rq.layout.columns[COL_AGGREGATE_ID] = "other";
	expect_refusal(&sb, &rq, "is not over the 3 lanes of the configured columns", "drop the index");
	TAP_INT(problems(sb.role, &rq), 1);
}

/* --- refusals --- */

static void
test_bad_tables(void)
{
	static const struct {
		const char *sql;
		const char *message;
		const char *hint;
	} cases[] = {
		{"CREATE VIEW app.messages AS SELECT * FROM app.old", "is not a table", "name the table itself"},
		{"CREATE UNLOGGED TABLE app.messages (LIKE app.old INCLUDING ALL)", "is unlogged", "SET LOGGED"},
		{"ALTER TABLE app.old RENAME TO messages; CREATE TABLE app.child () INHERITS (app.messages)",
		 "inherit from", "without children"},
		{"CREATE TABLE app.messages (LIKE app.old)", "\"Seq\" of table \"app.messages\" is not unique",
		 "primary key"},
		{"ALTER TABLE app.old RENAME TO messages; ALTER TABLE app.messages ALTER \"Seq\" DROP NOT NULL",
	         "may be null", "SET NOT NULL"},
		{"ALTER TABLE app.old RENAME TO messages; ALTER TABLE app.messages ALTER \"Seq\" DROP DEFAULT, ALTER "
		 "\"Seq\" TYPE text",
	         "\"Seq\" of table \"app.messages\" has type text", "bigint"},
		{"ALTER TABLE app.old RENAME TO messages; ALTER TABLE app.messages ALTER body TYPE int[] USING NULL",
		 "has type integer[]",
	         "bytea"},
		{"ALTER TABLE app.old RENAME TO messages; CREATE TYPE app.colour AS ENUM ('red');"
	         " ALTER TABLE app.messages ALTER entity TYPE app.colour USING NULL",
	         "has type app.colour, whose text form depends on settings", "uuid"},
		{"ALTER TABLE app.old RENAME TO messages; DELETE FROM app.messages; ALTER TABLE app.messages ALTER "
		 "\"done at\" SET NOT NULL",
	         "may not be null", "DROP NOT NULL"},
		{"ALTER TABLE app.old RENAME TO messages; ALTER TABLE app.messages RENAME entity TO thing",
		 "no column \"entity\"",
	         "outbox.columns.aggregate_id"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SANDBOX(sb);
		struct install_request rq = mapped(&sb);

		make_mapped(&sb);
		sandbox_exec(sb.db, "ALTER TABLE app.messages RENAME TO old");
		sandbox_exec(sb.db, "%s", cases[i].sql);
		expect_refusal(&sb, &rq, cases[i].message, cases[i].hint);
		TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgoutbox'"), 0);
	}
}

static void
test_bad_requests(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	const char *extra = "tenant";

	rq.layout.role = "nobody of that name";
	expect_refusal(&sb, &rq, "no role \"nobody of that name\"", "CREATE ROLE");
	rq = request(&sb);
	rq.layout.table = "elsewhere.outbox_events";
	expect_refusal(&sb, &rq, "no schema \"elsewhere\"", "CREATE SCHEMA");
	rq.layout.table = "one.two.three";
	expect_refusal(&sb, &rq, "\"one.two.three\" is not the name of a table", "schema.table");
	rq = request(&sb);
	rq.layout.columns[COL_PAYLOAD] = "body";
	expect_refusal(&sb, &rq, "another name than init would", "create the table yourself");
	rq = request(&sb);
	rq.layout.extra = &extra;
	rq.layout.extra_count = 1;
	expect_refusal(&sb, &rq, "kafka.topic names a column that init would not give it: \"tenant\"", "kafka.topic");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgoutbox'"), 0);
}

/* The trigger needs a lock that a writer holds: init gives up and takes everything back. */
static void
test_lock_timeout(void)
{
	SANDBOX(sb);
	struct install_request rq = mapped(&sb);
	struct install_plan plan = INSTALL_PLAN_INIT;
	struct error err;
	PGconn *writer;

	make_mapped(&sb);
	rq.notify = true;
	writer = sandbox_open(sb.super);
	sandbox_exec(writer, "BEGIN; INSERT INTO app.messages (body) VALUES ('')");
	TAP_INT(install_run(sb.db, &rq, &plan, &err), -1);
	TAP_INT(err.kind, ERR_RETRY);
	TAP_HAS(err.message, "could not make trigger \"pgoutbox_notify\"");
	TAP_HAS(err.message, "55P03");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgoutbox'"), 0);
	db_close(&writer);
	install(&sb, &rq, NULL);
}

static void *
end_writer(void *writer)
{
	usleep(300000);
	PQclear(PQexec(writer, "COMMIT"));
	return NULL;
}

/* The index waits for old transactions, but no writer waits for the index. */
static void
test_index_waits(void)
{
	SANDBOX(sb);
	struct install_request rq = mapped(&sb);
	PGconn *writer;
	pthread_t thread;

	make_mapped(&sb);
	writer = sandbox_open(sb.super);
	sandbox_exec(writer, "BEGIN; INSERT INTO app.messages (body) VALUES ('')");
	sandbox_exec(sb.db, "SET lock_timeout = '50ms'");
	TAP_INT_FATAL(pthread_create(&thread, NULL, end_writer, writer), 0);
	install(&sb, &rq, NULL);
	pthread_join(thread, NULL);
	db_close(&writer);
	TAP_INT(problems(sb.role, &rq), 0);
}

static void
test_one_at_a_time(void)
{
	SANDBOX(sb);
	PGconn *other = sandbox_open(sb.super);
	struct error err;

	SANDBOX_MUST(turn_take(sb.db, 0, &err), &err);
	TAP_INT(turn_take(other, 0, &err), -1);
	TAP_INT(err.kind, ERR_RETRY);
	turn_give(sb.db);
	SANDBOX_MUST(turn_take(other, 0, &err), &err);
	db_close(&other);
	SANDBOX_MUST(turn_take(sb.db, 5, &err), &err);
}

/* --- the function and the trigger --- */

/* Applications evaluate the index when they insert, and have no rights on schema pgoutbox. */
static void
test_application_inserts(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	PGconn *app;

	sandbox_exec(sb.db, "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC");
	rq.layout.role = "postgres";
	rq.notify = true;
	install(&sb, &rq, NULL);
	sandbox_exec(sb.db, "GRANT INSERT ON outbox_events TO %s", sb.name);
	app = sandbox_open(sb.role);
	sandbox_exec(app, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type) VALUES ('a', 'b', "
	                  "'c')");
	db_close(&app);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 1);
}

static void
test_lane(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);

	install(&sb, &rq, NULL);
	TAP_INT(sandbox_int(sb.db, "SELECT pgoutbox.lane(NULL, 64)"), 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(DISTINCT pgoutbox.lane(i::text, 64)) FROM generate_series(1, 10000) "
	                           "i"), 64);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM generate_series(1, 10000) i WHERE pgoutbox.lane(i::text, 7) "
	                           "NOT BETWEEN 0 AND 6"), 0);
	/* no lane is starved: each has its share within a tenth */
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM (SELECT count(*) AS n FROM generate_series(1, 40000) i"
	                           " GROUP BY pgoutbox.lane(i::text, 4)) c WHERE n BETWEEN 9000 AND 11000"),
	        4);
	sandbox_exec(sb.db, "CREATE COLLATION fuzzy (provider = icu, locale = 'und', deterministic = false)");
	TAP_INT(sandbox_int(sb.db, "SELECT (pgoutbox.lane('k' COLLATE fuzzy, 64) = pgoutbox.lane('k', 64))::int"), 1);
}

static void
test_notify(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	PGnotify *note;
	char *oid;

	rq.notify = true;
	install(&sb, &rq, NULL);
	sandbox_exec(sb.db, "LISTEN pgoutbox");
	sandbox_exec(sb.db, "BEGIN; INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type) SELECT 'a', "
	                    "i::text, 'c' FROM"
	                    " generate_series(1, 10) i; INSERT INTO outbox_events (aggregate_type, aggregate_id, "
	                    "event_type)"
	                    " VALUES ('a', 'b', 'c'); COMMIT");
	oid = sandbox_text(sb.db, "SELECT 'outbox_events'::regclass::oid");
	note = PQnotifies(sb.db);
	CU_ASSERT_PTR_NOT_NULL_FATAL(note);
	TAP_STR(note->extra, oid);
	PQfreemem(note);
	CU_ASSERT_PTR_NULL(PQnotifies(sb.db));
	free(oid);
}

/* --- the same by other ways --- */

/* pg_dump refuses a server that is newer than itself. It is another version's where a server came without programs for clients. */
static bool
can_dump(const struct sandbox *sb)
{
	const char *args[] = {"--version", NULL};
	char *version = sandbox_program("pg_dump", args);
	int own = 0;

	TAP_INT(sscanf(version, "pg_dump (PostgreSQL) %d", &own), 1);
	free(version);
	if (own < PQserverVersion(sb->db) / 10000)
		tap_skip("pg_dump %d knows no PostgreSQL %d", own, PQserverVersion(sb->db) / 10000);
	return own >= PQserverVersion(sb->db) / 10000;
}

static char *
dump_schema(const char *conninfo)
{
	const char *args[] = {"--schema-only", "--no-owner", "-d", conninfo, NULL};
	char *text = sandbox_program("pg_dump", args);
	char *restrict_line;

	/* newer releases put a random word on two lines */
	while ((restrict_line = strstr(text, "restrict ")) != NULL)
		memmove(restrict_line, restrict_line + strcspn(restrict_line, "\n"),
		        strlen(restrict_line + strcspn(restrict_line, "\n")) + 1);
	return text;
}

static void
replace_all(char *text, const char *from, const char *to)
{
	for (char *p = text; (p = strstr(p, from)) != NULL; p += strlen(to)) {
		memmove(p + strlen(to), p + strlen(from), strlen(p + strlen(from)) + 1);
		memcpy(p, to, strlen(to));
	}
}

static void
expect_same_schema(const struct sandbox *one, const struct sandbox *two)
{
	char *a = dump_schema(one->super);
	char *b = dump_schema(two->super);
	char *row_a = sandbox_text(one->db, "SELECT o.relation || ' ' || o.lanes || ' ' || o.claim_index || ' ' || "
	                                    "m.version"
	                                    " FROM pgoutbox.outbox o, pgoutbox.meta m");
	char *row_b = sandbox_text(two->db, "SELECT o.relation || ' ' || o.lanes || ' ' || o.claim_index || ' ' || "
	                                    "m.version"
	                                    " FROM pgoutbox.outbox o, pgoutbox.meta m");

	replace_all(a, one->name, "R");
	replace_all(b, two->name, "R");
	TAP_STR(a, b);
	TAP_STR(row_a, row_b);
	free(a);
	free(b);
	free(row_a);
	free(row_b);
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	TAP_INT(fclose(f), 0);
}

static void
run_script(const struct sandbox *sb, const char *text)
{
	char path[] = "/tmp/pgoutbox-script.XXXXXX";
	const char *args[] = {"-X", "-v", "ON_ERROR_STOP=1", "-d", sb->super, "-f", path, NULL};
	int fd = mkstemp(path);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	close(fd);
	write_file(path, text);
	free(sandbox_program("psql", args));
	unlink(path);
}

static void
test_printed_script(void)
{
	SANDBOX(one);
	SANDBOX(two);
	struct install_request rq1 = request(&one), rq2 = request(&two);
	struct install_plan plan;
	struct buf script = BUF_INIT;
	struct error err;

	if (!can_dump(&one))
		return;
	rq1.notify = rq2.notify = true;
	install(&one, &rq1, NULL);
	SANDBOX_MUST(install_make_plan(two.db, &rq2, &plan, &err), &err);
	install_script(&plan, &script);
	install_plan_done(&plan);
	TAP_INT(sandbox_int(two.db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgoutbox'"), 0);
	run_script(&two, buf_str(&script));
	expect_same_schema(&one, &two);
	TAP_INT(problems(two.role, &rq2), 0);
	buf_reset(&script);
	SANDBOX_MUST(install_make_plan(two.db, &rq2, &plan, &err), &err);
	install_script(&plan, &script);
	TAP_STR(buf_str(&script), "");
	install_plan_done(&plan);
	buf_done(&script);
}

static void
test_printed_script_existing(void)
{
	SANDBOX(one);
	SANDBOX(two);
	struct install_request rq1 = mapped(&one), rq2 = mapped(&two);
	struct install_plan plan;
	struct buf script = BUF_INIT;
	struct error err;

	if (!can_dump(&one))
		return;
	make_mapped(&one);
	make_mapped(&two);
	install(&one, &rq1, NULL);
	SANDBOX_MUST(install_make_plan(two.db, &rq2, &plan, &err), &err);
	install_script(&plan, &script);
	install_plan_done(&plan);
	run_script(&two, buf_str(&script));
	buf_done(&script);
	expect_same_schema(&one, &two);
}

static void
test_psql_alone(void)
{
	SANDBOX(one);
	SANDBOX(two);
	struct install_request rq = request(&one);
	const char *srcdir = getenv("srcdir");
	char path[512], role[64];
	const char *args[] = {"-X", "-v", "ON_ERROR_STOP=1", "-v", role, "-d", two.super, "-f", path, NULL};

	if (!can_dump(&one))
		return;
	install(&one, &rq, NULL);
	snprintf(path, sizeof(path), "%s/sql/init.sql", srcdir != NULL ? srcdir : ".");
	snprintf(role, sizeof(role), "role=%s", two.name);
	free(sandbox_program("psql", args));
	expect_same_schema(&one, &two);
}

static void
test_dump_and_restore(void)
{
	SANDBOX(one);
	SANDBOX(two);
	struct install_request rq = request(&one);
	char path[] = "/tmp/pgoutbox-dump.XXXXXX";
	const char *dump[] = {"-Fc", "-d", one.super, "-f", path, NULL};
	const char *restore[] = {"--exit-on-error", "-d", two.super, path, NULL};
	char *parked;
	int fd = mkstemp(path);

	if (!can_dump(&one))
		return;
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	close(fd);
	/* later in the alphabet than pgoutbox, and out of the search path */
	sandbox_exec(one.db, "CREATE SCHEMA z_app");
	rq.layout.table = "z_app.outbox_events";
	rq.notify = true;
	install(&one, &rq, NULL);
	sandbox_exec(one.db, "INSERT INTO z_app.outbox_events (aggregate_type, aggregate_id, event_type) VALUES ('a', "
	                     "'b', 'c');"
	                     " INSERT INTO pgoutbox.parked (relation, event_row, reason, event) SELECT "
	                     "'z_app.outbox_events', id, 'r', to_jsonb(t)"
	                     " FROM z_app.outbox_events t");
	free(sandbox_program("pg_dump", dump));
	free(sandbox_program("pg_restore", restore));
	unlink(path);
	/* the role's rights came along: it is the same server */
	sandbox_exec(one.db, "GRANT CONNECT ON DATABASE %s TO %s", two.name, one.name);
	free(one.role);
	one.role = db_conninfo(two.super, "user", one.name, NULL);
	TAP_INT(problems(one.role, &rq), 0);
	parked = sandbox_text(two.db, "SELECT relation FROM pgoutbox.parked");
	TAP_STR(parked, "z_app.outbox_events");
	free(parked);
	sandbox_exec(two.db, "DROP OWNED BY %s", one.name);
	sandbox_exec(two.db, "REVOKE ALL ON DATABASE %s FROM %s", two.name, one.name);
}

/* --- migrate --- */

#define SHAPE                                                                                                       \
	"SELECT md5(string_agg(x, E'\\n' ORDER BY x)) FROM (SELECT format('%%s %%s %%s %%s', c.relname, a.attname,"      \
	"  format_type(a.atttypid, a.atttypmod), a.attnotnull) AS x FROM pg_class c JOIN pg_attribute a"            \
	"  ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'pgoutbox'::regnamespace"                  \
	" UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"     \
	"  WHERE c.relnamespace = 'pgoutbox'::regnamespace"                                                         \
	" UNION ALL SELECT c.relname || pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c"           \
	"  ON c.oid = k.conrelid WHERE c.relnamespace = 'pgoutbox'::regnamespace"                                   \
	" UNION ALL SELECT format('%%s %%s', c.relname, x) FROM pg_class c, aclexplode(c.relacl) x"                   \
	"  WHERE c.relnamespace = 'pgoutbox'::regnamespace AND x.grantee <> c.relowner) s"

/* A database as release 0.1 left it: the text of version 1 is still what init begins with. */
static void
make_version_1(struct sandbox *sb, const struct install_request *rq)
{
	install(sb, rq, NULL);
	sandbox_exec(sb->db, "DROP TABLE pgoutbox.pause, pgoutbox.audit;"
	                     " ALTER TABLE pgoutbox.outbox DROP COLUMN spare_index; DROP SCHEMA pgoutbox CASCADE");
	sandbox_exec(sb->db, "BEGIN; %s; COMMIT", text_schema);
	sandbox_exec(sb->db,
	             "INSERT INTO pgoutbox.outbox (relation, lanes, claim_index)"
	             " VALUES ('outbox_events', 4, 'outbox_events_lane4');"
	             " CREATE INDEX outbox_events_lane4 ON outbox_events (pgoutbox.lane(aggregate_id, 4), id)"
	             " WHERE sent_at IS NULL;"
	             " GRANT USAGE ON SCHEMA pgoutbox TO %s; GRANT SELECT ON pgoutbox.meta, pgoutbox.outbox TO %s;"
	             " GRANT SELECT, INSERT ON pgoutbox.parked TO %s",
	             sb->name, sb->name, sb->name);
}

static void
test_migrate(void)
{
	static const struct migration steps[] = {
		{4, "ALTER TABLE pgoutbox.outbox ADD paused boolean NOT NULL DEFAULT false"},
		{5, "CREATE TABLE pgoutbox.more (who text)"},
	};
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	struct migrate_result result;
	struct error err;
	char *fresh, *migrated;

	install(&sb, &rq, NULL);
	fresh = sandbox_text(sb.db, SHAPE);
	SANDBOX_MUST(migrate_run(sb.db, &result, &err), &err);
	TAP_INT(result.from, 3);
	TAP_INT(result.to, 3);
	TAP_INT(sandbox_int(sb.db, "SELECT count(migrated_at) FROM pgoutbox.meta"), 0);
	make_version_1(&sb, &rq);
	expect_refusal(&sb, &rq, "made by an older pgoutboxctl (schema version 1, this one needs 3)", "pgoutboxctl migrate");
	SANDBOX_MUST(migrate_run(sb.db, &result, &err), &err);
	TAP_INT(result.from, 1);
	TAP_INT(result.to, 3);
	migrated = sandbox_text(sb.db, SHAPE);
	TAP_STR(migrated, fresh);
	free(fresh);
	free(migrated);
	TAP_INT(problems(sb.role, &rq), 0);
	SANDBOX_MUST(migrate_steps(sb.db, 5, steps, 2, &result, &err), &err);
	TAP_INT(result.from, 3);
	TAP_INT(result.to, 5);
	TAP_INT(sandbox_int(sb.db, "SELECT version FROM pgoutbox.meta WHERE migrated_at IS NOT NULL"), 5);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.more"), 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.outbox WHERE NOT paused"), 1);
	TAP_INT(migrate_run(sb.db, &result, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_STR(err.message, "schema \"pgoutbox\" was made by a newer pgoutboxctl (schema version 5, this one knows "
	                     "3)");
	expect_refusal(&sb, &rq, "made by a newer pgoutboxctl", "install the version");
}

/* The relays read the table's receipts column by column, so what init adds is asked of it, in either mode. */
static void
test_receipts(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	struct install_plan plan;

	install(&sb, &rq, NULL);
	rq.layout.receipts = true;
	rq.layout.columns[COL_SENT_PARTITION] = "sent in";
	rq.layout.columns[COL_SENT_OFFSET] = "sent_offset";
	TAP_INT(problems(sb.role, &rq), 2);
	install(&sb, &rq, &plan);
	TAP_INT(steps_to_do(&plan), 2);
	install_plan_done(&plan);
	TAP_INT(problems(sb.role, &rq), 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'outbox_events'::regclass AND NOT atthasdef"
	                           " AND (attname = 'sent in' AND atttypid = 'int'::regtype OR attname = 'sent_offset' AND"
	                           " atttypid = 'bigint'::regtype)"), 2);
	sandbox_exec(sb.db, "REVOKE UPDATE (sent_offset) ON outbox_events FROM %s", sb.name);
	TAP_INT(problems(sb.role, &rq), 1);
	install(&sb, &rq, NULL);
	TAP_INT(problems(sb.role, &rq), 0);
	sandbox_exec(sb.db, "ALTER TABLE outbox_events DROP COLUMN sent_offset, ADD COLUMN sent_offset integer");
	expect_refusal(&sb, &rq, "column \"sent_offset\" of table \"public.outbox_events\" has type integer", "of type bigint");
	rq.layout.columns[COL_SENT_PARTITION] = rq.layout.columns[COL_SENT_OFFSET] = "";
	rq.layout.settle_delete = true;
	TAP_INT(problems(sb.role, &rq), 1);
	install(&sb, &rq, &plan);
	TAP_INT(steps_to_do(&plan), 1);
	install_plan_done(&plan);
	TAP_INT(problems(sb.role, &rq), 0);
}

static void
test_receipts_of_a_new_table(void)
{
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	struct install_plan plan;

	rq.layout.receipts = true;
	rq.layout.columns[COL_SENT_PARTITION] = "sent_partition";
	rq.layout.columns[COL_SENT_OFFSET] = "sent_offset";
	install(&sb, &rq, NULL);
	TAP_INT(problems(sb.role, &rq), 0);
	install(&sb, &rq, &plan);
	TAP_INT(steps_to_do(&plan), 0);
	install_plan_done(&plan);
}

static void
test_migrate_fails_whole(void)
{
	static const struct migration steps[] = {
		{4, "CREATE TABLE pgoutbox.more (who text)"},
		{5, "ALTER TABLE pgoutbox.nothing ADD x int"},
	};
	SANDBOX(sb);
	struct install_request rq = request(&sb);
	struct migrate_result result;
	struct error err;

	install(&sb, &rq, NULL);
	TAP_INT(migrate_steps(sb.db, 5, steps, 2, &result, &err), -1);
	TAP_HAS(err.message, "could not migrate schema \"pgoutbox\" to version 5");
	TAP_INT(sandbox_int(sb.db, "SELECT version FROM pgoutbox.meta"), 3);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pg_class WHERE relname = 'more'"), 0);
	/* the turn was given back */
	PGconn *other = sandbox_open(sb.super);
	SANDBOX_MUST(turn_take(other, 0, &err), &err);
	db_close(&other);
}

static void
test_migrate_nothing_there(void)
{
	SANDBOX(sb);
	struct migrate_result result;
	struct error err;

	TAP_INT(migrate_run(sb.db, &result, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.hint, "pgoutboxctl init");
}

int
main(void)
{
	tap_suite("init");
	tap_test("a fresh database gets everything", test_fresh);
	tap_test("twice does nothing more", test_twice);
	tap_test("pages are left half empty where rows are marked", test_fillfactor);
	tap_test("the number of lanes is kept", test_keeps_lanes);
	tap_test("what was dropped or revoked comes back", test_restores_what_was_dropped);
	tap_test("two tables, one with an odd name", test_two_tables);
	tap_test("a long name is cut between characters", test_long_name);
	tap_test("an existing table with other names", test_existing);
	tap_test("a table without sent_at is for delete", test_delete_without_sent_at);
	tap_test("an interrupted index build is repeated", test_interrupted_build);
	tap_test("a partitioned table", test_partitioned);
	tap_test("an index over other columns is refused", test_wrong_index);
	tap_test("unfit tables are refused before anything is made", test_bad_tables);
	tap_test("unfit requests are refused", test_bad_requests);
	tap_test("a writer's lock makes init give up and leave nothing", test_lock_timeout);
	tap_test("the index waits for old transactions", test_index_waits);
	tap_test("one administrator at a time", test_one_at_a_time);
	tap_test("an application needs nothing but INSERT", test_application_inserts);
	tap_test("lanes are even, and the same in every collation", test_lane);
	tap_test("the trigger notifies once a transaction", test_notify);
	tap_test("the printed script gives the same database", test_printed_script);
	tap_test("so does the one for an existing table", test_printed_script_existing);
	tap_test("so does psql with the files of sql/", test_psql_alone);
	tap_test("pg_dump and pg_restore keep it whole", test_dump_and_restore);
	tap_test("receipts of an existing table", test_receipts);
	tap_test("receipts of a new table", test_receipts_of_a_new_table);
	tap_suite("migrate");
	tap_test("older comes forward, newer is refused", test_migrate);
	tap_test("a failing step leaves everything as it was", test_migrate_fails_whole);
	tap_test("without init there is nothing to migrate", test_migrate_nothing_there);
	return tap_run();
}
