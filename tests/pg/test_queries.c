/* test_queries.c - the operator's own queries against a real PostgreSQL: what they become, and that none of them stops anything. */
#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/queries.h"
#include "support/db.h"
#include "support/kit.h"
#include "support/sandbox.h"
#include "support/tap.h"

#define PATIENCE_US 20000000
#define TICK_US 1000

static char log_path[] = "/tmp/pgoutbox-queries.XXXXXX";

struct rig {
	struct config cfg;
	struct loop *loop;
	struct log log;
	struct metrics *metrics;
	struct queries *queries;
	struct buf page, said;
	struct watch ticker; /* stands for the relay, which must not wait */
	int ticks;
};

static void
tick(struct watch *w, short revents, int64_t now_us)
{
	struct rig *rig = (struct rig *)(void *)((char *)w - offsetof(struct rig, ticker));

	(void)revents;
	rig->ticks++;
	w->deadline_us = now_us + TICK_US;
}

/* sql is what stands in the section queries, in lines of the file. */
static void
begin(struct rig *rig, const struct sandbox *sb, const char *section)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct asker_query list[CONFIG_QUERIES_MAX + 1];
	const char *names[CONFIG_QUERIES_MAX + 1];
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct metrics_labels labels = {.version = "1", .librdkafka = "2", .libpq = "3", .queries = names};
	struct queries_options opt = {.cfg = &rig->cfg, .log = &rig->log};
	struct error err;
	int fd = open(log_path, O_WRONLY | O_TRUNC | O_APPEND | O_CLOEXEC);

	buf_printf(&text, "database:\n  conninfo: \"%s\"\nkafka:\n  brokers: \"localhost:1\"\nqueries:\n%s", sb->role, section);
	if (config_parse("f", slice_from(buf_str(&text)), &rig->cfg, &problems) != 0) {
		config_problems_print(&problems, &rig->said);
		tap_diag("%s", buf_str(&rig->said));
		CU_FAIL_FATAL("the configuration");
	}
	config_problems_done(&problems);
	/* shorter than a file may have it, so that the test is short */
	if (rig->cfg.queries.interval_ms == 1000)
		rig->cfg.queries.interval_ms = 50;
	CU_ASSERT_FATAL(fd >= 0);
	log_init(&rig->log, fd, LOG_INFO, LOG_FORMAT_LOGFMT);
	SANDBOX_MUST(loop_new(&rig->loop, &err), &err);
	rig->ticker = (struct watch){.fd = -1, .fire = tick};
	SANDBOX_MUST(loop_add(rig->loop, &rig->ticker, &err), &err);
	labels.queries_count = queries_list(&rig->cfg, list);
	for (size_t i = 0; i < labels.queries_count; i++)
		names[i] = list[i].name;
	SANDBOX_MUST(metrics_new(&labels, &rig->metrics, &err), &err);
	opt.loop = rig->loop;
	opt.metrics = rig->metrics;
	SANDBOX_MUST(queries_new(&opt, &rig->queries, &err), &err);
}

static void
end(struct rig *rig)
{
	queries_free(rig->queries);
	metrics_free(rig->metrics);
	loop_free(rig->loop);
	if (rig->log.fd > 0)
		close(rig->log.fd);
	config_done(&rig->cfg);
	buf_done(&rig->page);
	buf_done(&rig->said);
}

#define RIG(rig, sb, section)                               \
	struct rig rig __attribute__((cleanup(end))) = {0}; \
	begin(&rig, &sb, section)

static const char *
page(struct rig *rig)
{
	buf_reset(&rig->page);
	metrics_render(rig->metrics, &rig->page);
	queries_render(rig->queries, &rig->page);
	return buf_str(&rig->page);
}

static const char *
said(struct rig *rig)
{
	FILE *f = fopen(log_path, "r");
	int c;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	buf_reset(&rig->said);
	while ((c = getc(f)) != EOF)
		buf_add_char(&rig->said, (char)c);
	fclose(f);
	return buf_str(&rig->said);
}

/* Turns the loop until the page has a text. */
static void
wait_for(struct rig *rig, const char *text)
{
	int64_t until_us = clock_mono_us() + PATIENCE_US;
	struct error err;

	while (strstr(page(rig), text) == NULL) {
		if (clock_mono_us() > until_us) {
			tap_diag("no %s; the log: %s", text, said(rig));
			CU_FAIL_FATAL("nothing comes");
		}
		SANDBOX_MUST(loop_once(rig->loop, 10000, &err), &err);
	}
}

static void
becomes_metrics(void)
{
	SANDBOX(sb);
	RIG(rig, sb,
	    "  sql:\n"
	    "    things: |\n"
	    "      SELECT 'a \"b\"' AS name, 7 AS n, 1.5::numeric AS part, 'NaN'::float4 AS odd, true AS good, NULL::int AS none,\n"
	    "             interval '90 s' AS age, timestamptz '2020-01-01 00:00:00.5+00' AS at, ARRAY[1, 2] AS list -- a comment;\n"
	    "      ;\n"
	    "    settings: |\n"
	    "      SELECT current_setting('enable_seqscan')::bool AS scan, current_setting('enable_bitmapscan')::bool AS bitmap,\n"
	    "             current_setting('enable_sort')::bool AS sort, current_setting('transaction_read_only')::bool AS read_only,\n"
	    "             current_setting('plan_cache_mode') AS plans, current_setting('idle_session_timeout') AS idle,\n"
	    "             current_setting('statement_timeout') AS timeout\n"
	    "    sorted: SELECT g AS n, g::text AS g FROM generate_series(3, 1, -1) g ORDER BY g\n");

	wait_for(&rig, "pgoutbox_query_sorted_n{g=\"3\"} 3\n");
	wait_for(&rig, "pgoutbox_query_things_n{name=\"a \\\"b\\\"\",list=\"{1,2}\"} 7\n");
	/* nothing of the claim's is pinned, and nothing can be changed */
	TAP_HAS(page(&rig), "settings_scan{plans=\"auto\",idle=\"0\",timeout=\"5s\"} 1\n");
	TAP_HAS(page(&rig), "settings_bitmap{plans=\"auto\",idle=\"0\",timeout=\"5s\"} 1\n");
	TAP_HAS(page(&rig), "settings_sort{plans=\"auto\",idle=\"0\",timeout=\"5s\"} 1\n");
	TAP_HAS(page(&rig), "settings_read_only{plans=\"auto\",idle=\"0\",timeout=\"5s\"} 1\n");
	TAP_HAS(page(&rig), "pgoutbox_query_sorted_n{g=\"1\"} 1\npgoutbox_query_sorted_n{g=\"2\"} 2\npgoutbox_query_sorted_n{g=\"3\"} 3\n");
	TAP_HAS(page(&rig), "\npgoutbox_query_things_part{name=\"a \\\"b\\\"\",list=\"{1,2}\"} 1.5\n");
	TAP_HAS(page(&rig), "_odd{name=\"a \\\"b\\\"\",list=\"{1,2}\"} NaN\n");
	TAP_HAS(page(&rig), "_good{name=\"a \\\"b\\\"\",list=\"{1,2}\"} 1\n");
	TAP_HAS(page(&rig), "_age{name=\"a \\\"b\\\"\",list=\"{1,2}\"} 90\n");
	TAP_HAS(page(&rig), "_at{name=\"a \\\"b\\\"\",list=\"{1,2}\"} 1577836800.5\n");
	CU_ASSERT_PTR_NULL(strstr(page(&rig), "things_none"));
	TAP_HAS(page(&rig), "pgoutbox_queries_failed_total{query=\"things\"} 0\n");
	TAP_HAS(page(&rig), "pgoutbox_queries_last_success_timestamp_seconds{query=\"things\"} 1");
	TAP_STR(said(&rig), "");
	/* all of it by one session */
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgoutboxd queries' AND datname = '%s'", sb.name), 1);
}

/* Each says why, once, and the good one beside them is shown all the same. What is mended is shown again. */
static void
bad_ones(void)
{
	SANDBOX(sb);
	const char *log;

	sandbox_exec(sb.db, "CREATE FUNCTION public.changes() RETURNS int LANGUAGE sql VOLATILE AS 'CREATE TABLE x (i int); SELECT 1';"
	                    "CREATE TABLE public.secret AS SELECT 1 AS n, 'hunter2' AS word");
	RIG(rig, sb,
	    "  interval: 1s\n"
	    "  sql:\n"
	    "    syntax: SELEC 1\n"
	    "    several: SELECT 1 AS n; DROP TABLE public.secret\n"
	    "    escape: SELECT 1 AS n) AS q; DROP TABLE public.secret; SELECT * FROM (SELECT 1 AS n\n"
	    "    missing: SELECT value FROM later()\n"
	    "    forbidden: SELECT n FROM secret\n"
	    "    changing: SELECT changes() AS n\n"
	    "    loosening: SELECT set_config('transaction_read_only', 'off', true) AS word, changes() AS n\n"
	    "    quoting: SELECT 'hunter2'::text::int AS n\n"
	    "    unnamed: SELECT 1, 2\n"
	    "    twice: SELECT 1 AS n FROM generate_series(1, 2)\n"
	    "    good: SELECT 5 AS n\n");

	wait_for(&rig, "pgoutbox_query_good_n 5\n");
	wait_for(&rig, "pgoutbox_queries_failed_total{query=\"missing\"} 2\n");
	log = said(&rig);
	TAP_HAS(log, "id=query-failed msg=\"query \\\"syntax\\\" failed: syntax error at or near \\\"1\\\" (SQLSTATE 42601)\"");
	TAP_HAS(log, "query \\\"several\\\" failed: syntax error at or near \\\";\\\" (SQLSTATE 42601)");
	TAP_HAS(log, "query \\\"escape\\\" failed: cannot insert multiple commands into a prepared statement (SQLSTATE 42601)");
	TAP_HAS(log, "query \\\"missing\\\" failed: function later() does not exist (SQLSTATE 42883)\" hint=\"is it installed");
	TAP_HAS(log, "query \\\"forbidden\\\" failed: permission denied for table secret (SQLSTATE 42501)\" hint=\"grant the relay");
	TAP_HAS(log, "query \\\"changing\\\" failed: cannot execute CREATE TABLE in a read-only transaction (SQLSTATE 25006)\" hint=\"the queries");
	TAP_HAS(log, "query \\\"loosening\\\" failed: transaction read-write mode must be set before any query (SQLSTATE 25001)\" hint=\"the queries");
	TAP_HAS(log, "query \\\"quoting\\\" failed: PostgreSQL could not make a value of what is in a row (SQLSTATE 22P02)");
	TAP_HAS(log, "two columns of query \\\"unnamed\\\" are named \\\"?column?\\\"");
	TAP_HAS(log, "rows 1 and 2 of query \\\"twice\\\" have the same labels");
	CU_ASSERT_PTR_NULL(strstr(log, "hunter2"));
	CU_ASSERT_PTR_NULL(strstr(strstr(log, "\\\"missing\\\"") + 1, "\\\"missing\\\""));
	CU_ASSERT_PTR_NULL(strstr(page(&rig), "last_success_timestamp_seconds{query=\"missing\"}"));
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM public.secret"), 1);
	sandbox_exec(sb.db, "CREATE FUNCTION public.later() RETURNS TABLE (value int) LANGUAGE sql AS 'SELECT 9'");
	wait_for(&rig, "pgoutbox_query_missing_value 9\n");
	TAP_HAS(said(&rig), "id=query-works msg=\"query \\\"missing\\\" gives metrics again\"");
	/* and what fails is not shown any more */
	sandbox_exec(sb.db, "DROP FUNCTION public.later()");
	wait_for(&rig, "pgoutbox_queries_failed_total{query=\"missing\"} 3\n");
	CU_ASSERT_PTR_NULL(strstr(page(&rig), "pgoutbox_query_missing_value"));
}

/* The relay goes on meanwhile, and the next query has its turn. */
static void
slow_one(void)
{
	SANDBOX(sb);
	RIG(rig, sb,
	    "  timeout: 300ms\n"
	    "  sql:\n"
	    "    slow: SELECT 1 AS n FROM pg_sleep(600)\n"
	    "    good: SELECT 5 AS n\n");
	int before;

	while (sandbox_int(sb.db, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%%pg_sleep(600)%%101' AND datname = '%s'",
	                   sb.name) == 0) {
		struct error err;

		SANDBOX_MUST(loop_once(rig.loop, 1000, &err), &err);
		CU_ASSERT_PTR_NULL_FATAL(strstr(page(&rig), "query_good_n 5"));
	}
	before = rig.ticks;
	wait_for(&rig, "pgoutbox_queries_failed_total{query=\"slow\"} 1\n");
	CU_ASSERT(rig.ticks - before > 3);
	wait_for(&rig, "pgoutbox_query_good_n 5\n");
	TAP_HAS(said(&rig), "query \\\"slow\\\" failed: canceling statement due to statement timeout (SQLSTATE 57014)\" hint=\"make it cheaper");
}

static void
too_many_rows(void)
{
	SANDBOX(sb);
	RIG(rig, sb,
	    "  sql:\n"
	    "    many: SELECT g::text AS g, 1 AS n FROM generate_series(1, 100000) g\n"
	    "    most: SELECT g::text AS g, 1 AS n FROM generate_series(1, 100) g\n"
	    "    wide: SELECT repeat('x', 10000000) AS g, 1 AS n\n");

	wait_for(&rig, "pgoutbox_query_wide_n");
	wait_for(&rig, "pgoutbox_query_most_n{g=\"100\"} 1\n");
	TAP_HAS(page(&rig), "pgoutbox_query_many_n{g=\"100\"} 1\n");
	CU_ASSERT_PTR_NULL(strstr(page(&rig), "g=\"101\""));
	TAP_HAS(page(&rig), "pgoutbox_queries_rows_dropped_total{query=\"many\"} 1\n");
	TAP_HAS(page(&rig), "pgoutbox_queries_rows_dropped_total{query=\"most\"} 0\n");
	TAP_HAS(said(&rig), "id=query-cut msg=\"query \\\"many\\\" gives more than 100 rows or 65536 bytes: the rest is not shown\"");
}

/* What was there is not shown while the session is gone, and comes again with it. */
static void
session_lost(void)
{
	SANDBOX(sb);
	RIG(rig, sb, "  interval: 1s\n  sql:\n    good: SELECT 5 AS n\n");

	wait_for(&rig, "pgoutbox_query_good_n 5\n");
	sandbox_exec(sb.db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgoutboxd queries' AND datname = '%s'",
	             sb.name);
	wait_for(&rig, "pgoutbox_queries_failed_total{query=\"good\"} 1\n");
	CU_ASSERT_PTR_NULL(strstr(page(&rig), "pgoutbox_query_good_n"));
	wait_for(&rig, "pgoutbox_query_good_n 5\n");
	TAP_HAS(said(&rig), "id=queries-away msg=\"the queries have no session: lost the connection to PostgreSQL");
}

/* The kit's own, by the role that its operator variable names. */
static void
reconciliation(void)
{
	SANDBOX(sb);
	RIG(rig, sb, "  reconciliation: true\n  interval: 1s\n");

	wait_for(&rig, "pgoutbox_queries_failed_total{query=\"reconciliation\"} 1\n");
	TAP_HAS(said(&rig), "pgoutbox.reconcile() comes with kit-reconcile.sql\"");
	kit_install(&sb, "kit-machine.sql");
	kit_install(&sb, "kit-reconcile.sql");
	sandbox_exec(sb.db, "GRANT pg_monitor TO %s; INSERT INTO pgoutbox.machine_states VALUES ('m', 'new', 1, true, '1 hour');"
	                    " SELECT pgoutbox.machine_start('m', 'i', 'new')", sb.name);
	wait_for(&rig, "pgoutbox_query_reconciliation_alarm{kit=\"machine\",name=\"stuck\",subject=\"m\"} 0\n");
	sandbox_exec(sb.db, "UPDATE pgoutbox.machine_items SET entered_at = now() - interval '2 hours', deadline = now() - interval '1 hour'");
	wait_for(&rig, "pgoutbox_query_reconciliation_alarm{kit=\"machine\",name=\"stuck\",subject=\"m\"} 1\n");
	TAP_HAS(page(&rig), "pgoutbox_query_reconciliation_value{kit=\"machine\",name=\"stuck\",subject=\"m\"} 1\n");
	/* so many others that not all are shown: what alarms still is */
	kit_install(&sb, "kit-ledger.sql");
	sandbox_exec(sb.db, "INSERT INTO pgoutbox.machine_states SELECT 'a' || g, 'new', 1, true, '1 hour' FROM generate_series(1, 60) g;"
	                    " SELECT pgoutbox.ledger_open('a', 'EUR'); INSERT INTO pgoutbox.ledger_operations VALUES ('o');"
	                    " INSERT INTO pgoutbox.ledger_entries (operation_id, account, amount) VALUES ('o', 'a', -1)");
	wait_for(&rig, "pgoutbox_query_reconciliation_alarm{kit=\"ledger\",name=\"deltas\",subject=\"currency\"} 1\n");
	wait_for(&rig, "pgoutbox_queries_rows_dropped_total{query=\"reconciliation\"} 1\n");
	TAP_HAS(page(&rig), "pgoutbox_query_reconciliation_alarm{kit=\"machine\",name=\"stuck\",subject=\"m\"} 1\n");
}

static void
none(void)
{
	SANDBOX(sb);
	RIG(rig, sb, "  sql: {}\n");

	CU_ASSERT_PTR_NULL(rig.queries);
	CU_ASSERT_PTR_NULL(strstr(page(&rig), "quer"));
}

int
main(void)
{
	int fd = mkstemp(log_path), rc;

	if (fd < 0)
		return 1;
	close(fd);
	tap_suite("queries");
	tap_test("rows become metrics, by the kinds of their columns", becomes_metrics);
	tap_test("bad ones say why, and no other waits for them", bad_ones);
	tap_test("a slow one ends, and the loop goes on meanwhile", slow_one);
	tap_test("too many rows, and too long ones", too_many_rows);
	tap_test("a session that is ended", session_lost);
	tap_test("reconciliation", reconciliation);
	tap_test("no query at all", none);
	rc = tap_run();
	unlink(log_path);
	return rc;
}
