/* test_plan.c - what each room is told of a configuration, and what is wrong with one beyond its own syntax. */
#include <stdlib.h>
#include <string.h>

static int calloc_fails_at, callocs;

#define calloc(count, size) (++callocs == calloc_fails_at ? NULL : calloc(count, size))
#include "relay/plan.c"
#undef calloc

#include <stdio.h>
#include <unistd.h>

#include "support/tap.h"

static char path[] = "/tmp/test_plan.XXXXXX";
static struct config cfg;
static struct plan plan;
static struct error err;
static struct buf said = BUF_INIT;

/* What config_load() and the plan's own check make of it. */
static int
load(const char *database, const char *outbox, const char *kafka)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	FILE *out = fopen(path, "we");
	int rc;

	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	fprintf(out, "database:\n  conninfo: host=/tmp dbname=app%s\n", database);
	fprintf(out, "outbox:\n  lanes: 4\n%skafka:\n  brokers: b:9092\n%s", outbox, kafka);
	fclose(out);
	buf_reset(&said);
	rc = config_load(path, plan_check_config, &cfg, &problems);
	config_problems_print(&problems, &said);
	config_problems_done(&problems);
	return rc;
}

static void
setup(void)
{
	callocs = calloc_fails_at = 0;
}

static void
make(const char *database, const char *outbox, const char *kafka)
{
	int rc = load(database, outbox, kafka);

	TAP_STR(buf_str(&said), "");
	TAP_INT_FATAL(rc, 0);
	TAP_INT_FATAL(plan_init(&plan, &cfg, &err), 0);
}

static void
drop(void)
{
	plan_done(&plan);
	plan_done(&plan); /* zeros are fine */
	config_done(&cfg);
}

static void
test_defaults(void)
{
	make("", "", "");
	TAP_STR(plan.session.conninfo, "host=/tmp dbname=app");
	CU_ASSERT_PTR_NULL(plan.session.password);
	CU_ASSERT_PTR_NULL(plan.session.sslpassword);
	TAP_INT(plan.session.session_timeout_ms, cfg.database.session_timeout_ms);
	TAP_INT(plan.session.statement_timeout_ms, cfg.database.statement_timeout_ms);
	TAP_INT(plan.session.connect_timeout_ms, cfg.database.connect_timeout_ms);
	TAP_STR(plan.producer.brokers, "b:9092");
	TAP_INT(plan.producer.properties_count, 0);
	/* promise 4 bounds what is in flight: the queue must never be the one to refuse */
	CU_ASSERT(plan.producer.queue_messages >= (size_t)(cfg.outbox.lanes * cfg.outbox.batch_rows));
	CU_ASSERT(plan.producer.queue_bytes >= (size_t)(cfg.outbox.lanes * cfg.outbox.batch_bytes));
	TAP_STR(plan.request.table, "outbox_events");
	TAP_INT(plan.request.extra_count, 0);
	CU_ASSERT_TRUE(plan.request.prune);
	CU_ASSERT_FALSE(plan.request.settle_delete || plan.statements.settle_delete);
	CU_ASSERT_TRUE(plan.statements.block_parked_keys);
	TAP_INT(plan.statements.batch_rows, cfg.outbox.batch_rows);
	TAP_INT(plan.statements.batch_bytes, cfg.outbox.batch_bytes);
	CU_ASSERT_FALSE(plan.request.receipts || plan.statements.receipts);
	for (int i = 0; i < COL_COUNT; i++)
		TAP_STR(plan.request.columns[i], i < COL_RECEIPTS ? cfg.outbox.columns[i] : "");
	drop();
}

static void
test_delete_and_skip(void)
{
	make("", "  settle: delete\n  poison: skip\n", "");
	CU_ASSERT_TRUE(plan.request.settle_delete && plan.statements.settle_delete);
	CU_ASSERT_FALSE(plan.request.prune || plan.statements.block_parked_keys);
	drop();
	make("", "  retention: never\n", "");
	CU_ASSERT_FALSE(plan.request.prune);
	drop();
}

/* A column that nothing keeps receipts in is the application's own, whatever its name. */
static void
test_receipts(void)
{
	make("", "  receipts: true\n  columns: {sent_offset: at}\n", "");
	CU_ASSERT_TRUE(plan.request.receipts && plan.statements.receipts);
	TAP_STR(plan.request.columns[COL_SENT_PARTITION], "sent_partition");
	TAP_STR(plan.request.columns[COL_SENT_OFFSET], "at");
	drop();
	make("", "  receipts: true\n  settle: delete\n", "");
	CU_ASSERT_TRUE(plan.request.receipts && plan.statements.receipts);
	TAP_STR(plan.request.columns[COL_SENT_PARTITION], "");
	TAP_STR(plan.request.columns[COL_SENT_OFFSET], "");
	drop();
	make("", "  settle: delete\n", "  topic: ${sent_partition}\n");
	TAP_INT(plan.request.extra_count, 1);
	drop();
}

static void
test_template_columns(void)
{
	make("", "", "  topic: ${aggregate_type}.${region}.${tenant}\n");
	TAP_INT(plan.request.extra_count, 2);
	TAP_INT(plan.statements.extra_count, 2);
	TAP_STR(plan.request.extra[0], "region");
	TAP_STR(plan.statements.extra_columns[1], "tenant");
	drop();
}

static void
test_properties(void)
{
	make("", "", "  properties:\n    linger.ms: 5\n    compression.codec: lz4\n");
	TAP_INT_FATAL(plan.producer.properties_count, 2);
	TAP_STR(plan.producer.properties[0].name, "linger.ms");
	TAP_STR(plan.producer.properties[0].value, "5");
	TAP_STR(plan.producer.properties[1].name, "compression.codec");
	drop();
}

/* All at once, each with its place. */
static void
test_problems(void)
{
	TAP_INT(load(" nosuchthing=1", "", "  topic: a.${\n  properties:\n    acks: 1\n    no.such: 1\n"), -1);
	TAP_HAS(buf_str(&said), "nosuchthing");
	TAP_HAS(buf_str(&said), "kafka.topic");
	TAP_HAS(buf_str(&said), "\"acks\" may not be \"1\"");
	TAP_HAS(buf_str(&said), "no.such");
	config_done(&cfg);
}

static void
test_memory_is_out(void)
{
	int all;

	TAP_INT(load("", "", "  topic: ${region}\n"), 0);
	callocs = 0;
	TAP_INT(plan_init(&plan, &cfg, &err), 0);
	all = callocs;
	plan_done(&plan);
	CU_ASSERT(all >= 2);
	for (int n = 1; n <= all; n++) {
		callocs = 0;
		calloc_fails_at = n;
		TAP_INT(plan_init(&plan, &cfg, &err), -1);
		TAP_INT(err.kind, ERR_FATAL);
		CU_ASSERT_PTR_NULL(plan.router);
	}
	config_done(&cfg);
}

/* The same columns, in another template: a new route; others: none. */
static void
test_reload(void)
{
	char same[] = "other.${region}", more[] = "${region}.${zone}", *topic;
	struct plan p = {.router = NULL};
	bool differs = true;
	struct error e;

	TAP_INT_FATAL(load("", "", "  topic: orders.${region}\n"), 0);
	topic = cfg.kafka.topic;
	TAP_INT_FATAL(plan_init(&p, &cfg, &e), 0);
	TAP_INT(plan_route_differs(&p, &cfg, &differs, &e), 0);
	CU_ASSERT_FALSE(differs);
	cfg.kafka.topic = same;
	cfg.outbox.batch_rows = 17;
	TAP_INT(plan_route_differs(&p, &cfg, &differs, &e), 0);
	CU_ASSERT_TRUE(differs);
	plan_reload_limits(&p, &cfg);
	TAP_INT(p.statements.batch_rows, 17);
	TAP_INT(plan_reload_route(&p, &cfg, &e), 0);
	TAP_STR(p.topic, same);
	TAP_STR(p.extra[0], "region");
	CU_ASSERT_PTR_EQUAL(p.extra[0], router_extra_column(p.router, 0));
	cfg.kafka.topic = more;
	TAP_INT(plan_route_differs(&p, &cfg, &differs, &e), -1);
	TAP_INT(e.kind, ERR_CONFIG);
	TAP_INT(plan_reload_route(&p, &cfg, &e), -1);
	TAP_STR(p.topic, same);
	cfg.kafka.topic = topic;
	plan_done(&p);
	config_done(&cfg);
}

int
main(void)
{
	int status, fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	tap_suite_fixture("plan", setup, NULL);
	tap_test("the defaults", test_defaults);
	tap_test("delete, skip, never prune", test_delete_and_skip);
	tap_test("columns of receipts where they are kept in the row", test_receipts);
	tap_test("columns of the topic template are asked for", test_template_columns);
	tap_test("properties reach the producer", test_properties);
	tap_test("what is wrong is said with all else", test_problems);
	tap_test("memory is out", test_memory_is_out);
	tap_test("another topic and other limits", test_reload);
	status = tap_run();
	unlink(path);
	buf_done(&said);
	return status;
}
