/* Tests of src/config/config_print.c: what is printed loads back, the example is complete, no secret is seen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/options.h"
#include "support/tap.h"

static void
parse(const char *text, struct config *ret_cfg)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	int rc = config_parse("f", slice_from(text), ret_cfg, &problems);

	config_problems_print(&problems, &said);
	config_problems_done(&problems);
	TAP_STR(buf_str(&said), "");
	TAP_INT_FATAL(rc, 0);
}

static void
print_parsed(const char *text, struct buf *out)
{
	struct config cfg = {0};

	parse(text, &cfg);
	config_print(&cfg, out);
	config_done(&cfg);
}

static const char awkward[] =
	"database:\n"
	"  conninfo: \"host=/run dbname='a \\\"b\\\" \\\\\\\\ c'\"\n"
	"  session_timeout: 90s\n"
	"outbox:\n"
	"  table: '\"My Schema\".\"Out\"\"box: #1\"'\n"
	"  batch_bytes: 65537B\n"
	"  settle: delete\n"
	"  retention: never\n"
	"  receipts: true\n"
	"  hold_max: 1001ms\n"
	"  notify: true\n"
	"  poison: skip\n"
	"  columns:\n"
	"    id: \"a: b\"\n"
	"    topic: \"\"\n"
	"    sent_at: ''\n"
	"    payload: \"- \xC3\xA9 \\\" \xE2\x82\xAC \"\n"
	"kafka:\n"
	"  brokers: a:1\n"
	"  topic: \"\\ttab\\n\\x01 \\u2028 \\uFEFF \\x85 #{}${aggregate_type}$$\"\n"
	"  properties:\n"
	"    linger.ms: 5\n"
	"    \"odd: \\\"name\\\"\": |\n"
	"      several\n"
	"      lines\n"
	"    'null': 'null'\n"
	"  property_files:\n"
	"    sasl.password: /run/a b\n"
	"queries:\n"
	"  sql:\n"
	"    a: |\n"
	"      SELECT 1 AS \"x\", '$$' AS y -- z\n"
	"      ;\n"
	"http:\n"
	"  listen: '[::1]:9921'\n"
	"log:\n"
	"  level: error\n"
	"  format: json\n";

static void
same_values(const struct config *a, const struct config *b)
{
	TAP_STR(b->database.conninfo, a->database.conninfo);
	TAP_INT(b->database.session_timeout_ms, a->database.session_timeout_ms);
	TAP_STR(b->outbox.table, a->outbox.table);
	TAP_INT(b->outbox.batch_bytes, a->outbox.batch_bytes);
	CU_ASSERT(b->outbox.retention_ms == a->outbox.retention_ms);
	CU_ASSERT(b->outbox.receipts && a->outbox.receipts);
	TAP_INT(b->outbox.hold_max_ms, a->outbox.hold_max_ms);
	for (int i = 0; i < COL_COUNT; i++)
		TAP_STR(b->outbox.columns[i], a->outbox.columns[i]);
	TAP_STR(b->kafka.topic, a->kafka.topic);
	TAP_INT_FATAL(b->kafka.properties.count, a->kafka.properties.count);
	for (size_t i = 0; i < a->kafka.properties.count; i++) {
		TAP_STR(b->kafka.properties.items[i].name, a->kafka.properties.items[i].name);
		TAP_STR(b->kafka.properties.items[i].value, a->kafka.properties.items[i].value);
	}
	TAP_INT_FATAL(b->kafka.property_files.count, 1);
	TAP_STR(b->kafka.property_files.items[0].name, "sasl.password");
	TAP_STR(b->kafka.property_files.items[0].value, "/run/a b");
	TAP_INT_FATAL(b->queries.sql.count, 1);
	TAP_STR(b->queries.sql.items[0].value, "SELECT 1 AS \"x\", '$' AS y -- z\n;\n");
	TAP_STR(b->http.listen, a->http.listen);
}

static void
test_round_trip(void)
{
	struct buf first __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf second __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config a = {0}, b = {0};

	parse(awkward, &a);
	config_print(&a, &first);
	parse(buf_str(&first), &b);
	same_values(&a, &b);
	config_print(&b, &second);
	TAP_STR(buf_str(&second), buf_str(&first));
	config_done(&a);
	config_done(&b);
}

static void
test_print(void)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	print_parsed("database: {conninfo: dbname=app}\nkafka: {brokers: 'a:9092', properties: {linger.ms: "
	             "5}}\n", &out);
	TAP_STR(buf_str(&out),
	        "database:\n"
	        "  conninfo: \"dbname=app\"\n"
	        "  password_file: \"\"\n"
	        "  sslpassword_file: \"\"\n"
	        "  connect_timeout: 10s\n"
	        "  statement_timeout: 30s\n"
	        "  session_timeout: 15s\n"
	        "outbox:\n"
	        "  table: \"outbox_events\"\n"
	        "  lanes: 4\n"
	        "  batch_rows: 1000\n"
	        "  batch_bytes: 8MiB\n"
	        "  settle: mark\n"
	        "  retention: 7d\n"
	        "  receipts: false\n"
	        "  hold_max: 2s\n"
	        "  poll_min: 2ms\n"
	        "  poll_max: 20ms\n"
	        "  notify: false\n"
	        "  stop_timeout: 25s\n"
	        "  poison: block_key\n"
	        "  columns:\n"
	        "    id: \"id\"\n"
	        "    event_id: \"event_id\"\n"
	        "    aggregate_type: \"aggregate_type\"\n"
	        "    aggregate_id: \"aggregate_id\"\n"
	        "    event_type: \"event_type\"\n"
	        "    payload: \"payload\"\n"
	        "    headers: \"headers\"\n"
	        "    topic: \"topic\"\n"
	        "    created_at: \"created_at\"\n"
	        "    sent_at: \"sent_at\"\n"
	        "    sent_partition: \"sent_partition\"\n"
	        "    sent_offset: \"sent_offset\"\n"
	        "kafka:\n"
	        "  brokers: \"a:9092\"\n"
	        "  topic: \"${aggregate_type}\"\n"
	        "  properties:\n"
	        "    \"linger.ms\": \"5\"\n"
	        "  property_files: {}\n"
	        "http:\n"
	        "  listen: \"127.0.0.1:9921\"\n"
	        "  ready_after: 10s\n"
	        "queries:\n"
	        "  reconciliation: false\n"
	        "  sql: {}\n"
	        "  interval: 30s\n"
	        "  timeout: 5s\n"
	        "webhook:\n"
	        "  url_file: \"\"\n"
	        "  secret_file: \"\"\n"
	        "  ca_file: \"\"\n"
	        "  timeout: 5s\n"
	        "  outages: true\n"
	        "  parked: true\n"
	        "  starts: false\n"
	        "log:\n"
	        "  level: info\n"
	        "  format: logfmt\n");
}

static void
hides(const char *conninfo, const char *expected)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_printf(&text, "database:\n  conninfo: %s\nkafka: {brokers: a}\n", conninfo);
	print_parsed(buf_str(&text), &out);
	TAP_HAS(buf_str(&out), expected);
	CU_ASSERT(strstr(buf_str(&out), "hunter") == NULL);
}

static void
test_redacted(void)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	hides("\"dbname=app password='hun\\\\'ter hunter2'\"", "conninfo: \"dbname=app password=***\"\n");
	hides("postgresql://me:hunter2@db/app", "conninfo: \"postgresql://me:***@db/app\"\n");
	print_parsed("database: {conninfo: dbname=app}\n"
	             "kafka: {brokers: a, properties: {sasl.username: me, sasl.password: hunter2, ssl.key.pem: "
	             "hunter3}}\n", &out);
	TAP_HAS(buf_str(&out), "    \"sasl.username\": \"me\"\n    \"sasl.password\": \"***\"\n    "
	                       "\"ssl.key.pem\": \"***\"\n");
	CU_ASSERT(strstr(buf_str(&out), "hunter") == NULL);
}

/* The example with both addresses filled in, and, if wanted, with every '#' before a name taken away. */
static void
fill_in(const char *example, bool uncomment, struct buf *out)
{
	while (*example != '\0') {
		size_t len = strcspn(example, "\n");

		if (strncmp(example, "  conninfo: \"\"", 14) == 0)
			buf_add_str(out, "  conninfo: \"dbname=app\"");
		else if (strncmp(example, "  brokers: \"\"", 13) == 0)
			buf_add_str(out, "  brokers: \"a:9092\"");
		else if (uncomment && strncmp(example, "  #", 3) == 0 && (example[3] != ' ' || example[4] == ' ')) {
			buf_add_str(out, "  ");
			buf_add(out, example + 3, len - 3);
		} else
			buf_add(out, example, len);
		buf_add_char(out, '\n');
		example += len + (example[len] == '\n');
	}
}

static void
test_example_loads(void)
{
	struct buf example __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf plain __attribute__((cleanup(buf_done))) = BUF_INIT;

	config_print_defaults(&example);
	print_parsed("database: {conninfo: dbname=app}\nkafka: {brokers: 'a:9092'}\n", &plain);
	for (int uncomment = 0; uncomment <= 1; uncomment++) {
		struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
		struct buf printed __attribute__((cleanup(buf_done))) = BUF_INIT;

		fill_in(buf_str(&example), uncomment, &text);
		print_parsed(buf_str(&text), &printed);
		TAP_STR(buf_str(&printed), buf_str(&plain));
	}
}

/* As it comes it asks for the two addresses, and for nothing else. */
static void
test_example_asks(void)
{
	struct buf example __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct config cfg;

	config_print_defaults(&example);
	TAP_INT(config_parse("f", slice_from(buf_str(&example)), &cfg, &problems), -1);
	TAP_INT_FATAL(problems.count, 2);
	TAP_HAS(problems.items[0].line_text, "database.conninfo: must not be empty");
	TAP_HAS(problems.items[1].line_text, "kafka.brokers: must not be empty");
	config_problems_done(&problems);
}

static void
test_example_is_complete(void)
{
	struct buf example __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf uncommented __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct config cfg = {0};
	size_t sections = options_sections_count;

	config_print_defaults(&example);
	fill_in(buf_str(&example), true, &uncommented);
	TAP_INT_FATAL(config_parse("f", slice_from(buf_str(&uncommented)), &cfg, &problems), 0);
	/* Each section and each option has been given, and nothing twice. */
	TAP_INT(cfg.places_count, sections + options_count);
	config_done(&cfg);
}

static void
test_committed_example(void)
{
	struct buf example __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *srcdir = getenv("srcdir");
	static char text[65536];
	char path[512];
	FILE *f;
	size_t len;

	(void)snprintf(path, sizeof(path), "%s/etc/pgoutboxd.yaml", srcdir == NULL ? "." : srcdir);
	f = fopen(path, "r");
	CU_ASSERT_FATAL(f != NULL);
	len = fread(text, 1, sizeof(text) - 1, f);
	text[len] = '\0';
	fclose(f);
	config_print_defaults(&example);
	TAP_STR(text, buf_str(&example));
}

static void
test_width(void)
{
	struct buf example __attribute__((cleanup(buf_done))) = BUF_INIT;

	config_print_defaults(&example);
	for (const char *p = buf_str(&example); *p != '\0'; p += strcspn(p, "\n") + 1) {
		size_t len = strcspn(p, "\n");

		CU_ASSERT(len <= 100);
		CU_ASSERT(len == 0 || p[len - 1] != ' ');
	}
}

int
main(void)
{
	tap_suite("config_print");
	tap_test("what is in force, option by option", test_print);
	tap_test("awkward values load back", test_round_trip);
	tap_test("no secret is shown", test_redacted);
	tap_test("the example is the defaults, commented or not", test_example_loads);
	tap_test("the example asks for two addresses", test_example_asks);
	tap_test("the example has every option", test_example_is_complete);
	tap_test("etc/pgoutboxd.yaml is the example", test_committed_example);
	tap_test("the example fits a screen", test_width);
	return tap_run();
}
