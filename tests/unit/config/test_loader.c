/* Tests of src/config/loader.c: values reach their fields with their places, also where memory runs out. */
#include <stdlib.h>
#include <string.h>

static int allocations_left = -1; /* -1 = no limit */
static int allocations_failed;

static int
allocation_fails(void)
{
	if (allocations_left == 0) {
		allocations_failed++;
		return 1;
	}
	if (allocations_left > 0)
		allocations_left--;
	return 0;
}

static void *
failing_realloc(void *p, size_t size)
{
	return allocation_fails() ? NULL : realloc(p, size);
}

static char *
failing_strdup(const char *s)
{
	return allocation_fails() ? NULL : strdup(s);
}

#define realloc failing_realloc
#undef strdup
#define strdup failing_strdup
#include "../../../src/config/loader.c"
#undef realloc
#undef strdup

#include "support/tap.h"

static const char everything[] =
	"database:\n"
	"  conninfo: \"dbname=app\"\n"
	"  password_file: /run/password\n"
	"  sslpassword_file: /run/sslpassword\n"
	"  connect_timeout: 1s\n"
	"  statement_timeout: 2s\n"
	"  session_timeout: 3s\n"
	"outbox:\n"
	"  table: app.outbox\n"
	"  lanes: 5\n"
	"  batch_rows: 6\n"
	"  batch_bytes: 64KiB\n"
	"  settle: delete\n"
	"  retention: never\n"
	"  receipts: true\n"
	"  hold_max: 70ms\n"
	"  poll_min: 8ms\n"
	"  poll_max: 9ms\n"
	"  notify: true\n"
	"  stop_timeout: 10s\n"
	"  poison: skip\n"
	"  columns:\n"
	"    id: c0\n"
	"    event_id: c1\n"
	"    aggregate_type: c2\n"
	"    aggregate_id: c3\n"
	"    event_type: c4\n"
	"    payload: c5\n"
	"    headers: c6\n"
	"    topic: c7\n"
	"    created_at: c8\n"
	"    sent_at: c9\n"
	"    sent_partition: c10\n"
	"    sent_offset: c11\n"
	"kafka:\n"
	"  brokers: a:1,b:2\n"
	"  topic: x.${aggregate_type}.y\n"
	"  properties:\n"
	"    linger.ms: 5\n"
	"    'enable.x': true\n"
	"    empty: \"\"\n"
	"  property_files:\n"
	"    sasl.password: /run/sasl\n"
	"http:\n"
	"  listen: off\n"
	"  ready_after: 11s\n"
	"queries:\n"
	"  reconciliation: true\n"
	"  sql:\n"
	"    stock: |\n"
	"      SELECT kind, count(*) AS items -- all\n"
	"      FROM stock GROUP BY kind;\n"
	"  interval: 2m\n"
	"  timeout: 70ms\n"
	"webhook:\n"
	"  url_file: /run/url\n"
	"  secret_file: /run/secret\n"
	"  ca_file: /run/ca.pem\n"
	"  timeout: 3s\n"
	"  outages: false\n"
	"  parked: false\n"
	"  starts: true\n"
	"log:\n"
	"  level: debug\n"
	"  format: json\n";

static void
load(const char *text, struct config *cfg, struct config_problems *problems)
{
	struct document doc;

	*cfg = (struct config){.file = strdup("f")};
	*problems = CONFIG_PROBLEMS_INIT;
	CU_ASSERT_FATAL(loader_defaults(cfg) == 0);
	document_parse("f", slice_from(text), &doc, problems);
	loader_load(&doc, cfg, problems);
	document_done(&doc);
}

static void
says(const struct config_problems *problems, const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	config_problems_print(problems, &out);
	TAP_STR(buf_str(&out), expected);
}

static void
test_defaults(void)
{
	struct config cfg = {0};

	TAP_INT_FATAL(loader_defaults(&cfg), 0);
	TAP_STR(cfg.database.conninfo, "");
	TAP_STR(cfg.database.password, "");
	TAP_STR(cfg.database.password_file, "");
	TAP_INT(cfg.database.connect_timeout_ms, 10000);
	TAP_INT(cfg.database.statement_timeout_ms, 30000);
	TAP_INT(cfg.database.session_timeout_ms, 15000);
	TAP_STR(cfg.outbox.table, "outbox_events");
	TAP_INT(cfg.outbox.lanes, 4);
	TAP_INT(cfg.outbox.batch_rows, 1000);
	TAP_INT(cfg.outbox.batch_bytes, 8 << 20);
	TAP_INT(cfg.outbox.settle, SETTLE_MARK);
	TAP_INT(cfg.outbox.retention_ms, INT64_C(604800000));
	TAP_INT(cfg.outbox.hold_max_ms, 2000);
	TAP_INT(cfg.outbox.poll_min_ms, 2);
	TAP_INT(cfg.outbox.poll_max_ms, 20);
	CU_ASSERT(!cfg.outbox.notify);
	TAP_INT(cfg.outbox.stop_timeout_ms, 25000);
	TAP_INT(cfg.outbox.poison, POISON_BLOCK_KEY);
	TAP_STR(cfg.outbox.columns[COL_ID], "id");
	TAP_STR(cfg.outbox.columns[COL_SENT_AT], "sent_at");
	TAP_STR(cfg.kafka.brokers, "");
	TAP_STR(cfg.kafka.topic, "${aggregate_type}");
	TAP_INT(cfg.kafka.properties.count, 0);
	TAP_STR(cfg.http.listen, "127.0.0.1:9921");
	TAP_INT(cfg.log.level, LOG_INFO);
	TAP_INT(cfg.log.format, LOG_FORMAT_LOGFMT);
	config_done(&cfg);
}

static void
test_everything(void)
{
	struct config cfg;
	struct config_problems problems;

	load(everything, &cfg, &problems);
	says(&problems, "");
	TAP_STR(cfg.database.conninfo, "dbname=app");
	TAP_STR(cfg.database.password_file, "/run/password");
	TAP_STR(cfg.database.sslpassword_file, "/run/sslpassword");
	TAP_INT(cfg.database.connect_timeout_ms, 1000);
	TAP_INT(cfg.database.statement_timeout_ms, 2000);
	TAP_INT(cfg.database.session_timeout_ms, 3000);
	TAP_STR(cfg.outbox.table, "app.outbox");
	TAP_INT(cfg.outbox.lanes, 5);
	TAP_INT(cfg.outbox.batch_rows, 6);
	TAP_INT(cfg.outbox.batch_bytes, 65536);
	TAP_INT(cfg.outbox.settle, SETTLE_DELETE);
	CU_ASSERT(cfg.outbox.retention_ms == CONFIG_NEVER);
	CU_ASSERT(cfg.outbox.receipts);
	TAP_INT(cfg.outbox.hold_max_ms, 70);
	TAP_INT(cfg.outbox.poll_min_ms, 8);
	TAP_INT(cfg.outbox.poll_max_ms, 9);
	CU_ASSERT(cfg.outbox.notify);
	TAP_INT(cfg.outbox.stop_timeout_ms, 10000);
	TAP_INT(cfg.outbox.poison, POISON_SKIP);
	for (int i = 0; i < COL_COUNT; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "c%d", i);
		TAP_STR(cfg.outbox.columns[i], name);
	}
	TAP_STR(cfg.kafka.brokers, "a:1,b:2");
	TAP_STR(cfg.kafka.topic, "x.${aggregate_type}.y");
	TAP_INT_FATAL(cfg.kafka.properties.count, 3);
	TAP_STR(cfg.kafka.properties.items[0].name, "linger.ms");
	TAP_STR(cfg.kafka.properties.items[0].value, "5");
	TAP_STR(cfg.kafka.properties.items[1].value, "true");
	TAP_STR(cfg.kafka.properties.items[2].value, "");
	TAP_INT_FATAL(cfg.kafka.property_files.count, 1);
	TAP_STR(cfg.kafka.property_files.items[0].name, "sasl.password");
	TAP_STR(cfg.kafka.property_files.items[0].value, "/run/sasl");
	TAP_INT(cfg.kafka.secrets.count, 0);
	TAP_STR(cfg.http.listen, "off");
	CU_ASSERT(cfg.queries.reconciliation);
	TAP_INT_FATAL(cfg.queries.sql.count, 1);
	TAP_STR(cfg.queries.sql.items[0].name, "stock");
	TAP_STR(cfg.queries.sql.items[0].value, "SELECT kind, count(*) AS items -- all\nFROM stock GROUP BY kind;\n");
	TAP_INT(cfg.queries.interval_ms, 120000);
	TAP_INT(cfg.queries.timeout_ms, 70);
	TAP_STR(cfg.webhook.url_file, "/run/url");
	TAP_STR(cfg.webhook.secret_file, "/run/secret");
	TAP_STR(cfg.webhook.ca_file, "/run/ca.pem");
	TAP_INT(cfg.webhook.timeout_ms, 3000);
	CU_ASSERT(!cfg.webhook.outages && !cfg.webhook.parked && cfg.webhook.starts);
	CU_ASSERT_PTR_NULL(cfg.webhook.url);
	TAP_INT(cfg.log.level, LOG_DEBUG);
	TAP_INT(cfg.log.format, LOG_FORMAT_JSON);
	config_done(&cfg);
}

/* The file that gives everything does give everything, so that an option added later cannot be forgotten here. */
static void
test_everything_is_given(void)
{
	struct config cfg;
	struct config_problems problems;
	char path[128];

	load(everything, &cfg, &problems);
	for (size_t i = 0; i < options_count; i++) {
		(void)snprintf(path, sizeof(path), "%s.%s%s", options_all[i].section,
		               options_all[i].group == NULL ? "" : "columns.", options_all[i].name);
		if (find_place(&cfg, path) == NULL)
			TAP_STR(path, "given");
	}
	TAP_INT(find_place(&cfg, "kafka.properties.linger.ms")->line, 39);
	TAP_INT(find_place(&cfg, "kafka.properties.linger.ms")->column, 16);
	TAP_INT(find_place(&cfg, "kafka")->line, 35);
	config_done(&cfg);
}

static void
test_wrong_values_keep_defaults(void)
{
	struct config cfg;
	struct config_problems problems;

	load("outbox: {lanes: 99, batch_rows: 7}", &cfg, &problems);
	TAP_INT(problems.errors, 3);
	TAP_INT(cfg.outbox.lanes, 4);
	TAP_INT(cfg.outbox.batch_rows, 7);
	config_problems_done(&problems);
	config_done(&cfg);
}

static void
test_empty_sections(void)
{
	struct config cfg;
	struct config_problems problems;

	load("database: {conninfo: x=y}\noutbox:\nkafka: {brokers: a, properties: }\nhttp: ~\nlog: "
	     "{}\n", &cfg, &problems);
	says(&problems, "");
	config_done(&cfg);
}

/* The n-th allocation fails, for n = 0, 1, 2 ...: always an error, never a leak or a crash. */
static void
test_out_of_memory(void)
{
	int n;

	for (n = 0; n < 1000; n++) {
		struct config cfg = {.file = (strdup)("f")};
		struct config_problems problems = CONFIG_PROBLEMS_INIT;
		struct document doc;
		bool failed;

		document_parse("f", slice_from(everything), &doc, &problems);
		allocations_left = n;
		allocations_failed = 0;
		failed = loader_defaults(&cfg) < 0;
		if (!failed) {
			loader_load(&doc, &cfg, &problems);
			failed = problems.errors > 0;
		}
		if (failed != (allocations_failed > 0)) {
			tap_diag("allocation %d", n);
			CU_FAIL("a failed allocation goes unnoticed");
		}
		document_done(&doc);
		config_problems_done(&problems);
		config_done(&cfg);
		if (allocations_failed == 0)
			break;
	}
	allocations_left = -1;
	/* Where the loop ended, everything was had: the sweep was complete. */
	CU_ASSERT(n > 50 && n < 1000);
}

int
main(void)
{
	tap_suite("loader");
	tap_test("defaults", test_defaults);
	tap_test("every option reaches its field", test_everything);
	tap_test("every option is tried, and known by its place", test_everything_is_given);
	tap_test("a wrong value leaves the default", test_wrong_values_keep_defaults);
	tap_test("empty sections are fine", test_empty_sections);
	tap_test("memory runs out at each allocation", test_out_of_memory);
	return tap_run();
}
