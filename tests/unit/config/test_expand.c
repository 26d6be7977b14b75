/* Tests of src/config/expand.c, and of variables in a whole file. */
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/expand.h"
#include "support/tap.h"

static void
setup(void)
{
	setenv("PGOUTBOX_T", "value", 1);
	setenv("PGOUTBOX_EMPTY", "", 1);
	setenv("PGOUTBOX_BYTES", "hunter2\xff", 1);
	setenv("PGOUTBOX_LINE", "hunter2\x01", 1);
	setenv("PGOUTBOX_ROWS", "77", 1);
	setenv("PGOUTBOX_SECRET", "hunter2", 1);
	unsetenv("PGOUTBOX_NONE");
}

static void
gives(const char *text, const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct error err;

	TAP_INT(expand_variables(text, &out, &err), 0);
	TAP_STR(buf_str(&out), expected);
}

static void
refused(const char *text, const char *message)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct error err;

	TAP_INT(expand_variables(text, &out, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, message);
	CU_ASSERT_PTR_NULL(strstr(err.message, "hunter"));
	CU_ASSERT_PTR_NULL(strstr(err.hint, "hunter"));
}

static void
variables(void)
{
	gives("", "");
	gives("plain", "plain");
	gives("${PGOUTBOX_T}", "value");
	gives("a${PGOUTBOX_T}b${PGOUTBOX_T}", "avaluebvalue");
	gives("${PGOUTBOX_EMPTY}", "");
	gives("${PGOUTBOX_EMPTY:-d}", "d");
	gives("${PGOUTBOX_NONE:-a $b {c}", "a $b {c");
	gives("${PGOUTBOX_NONE:-}", "");
	gives("${PGOUTBOX_T:-d}${PGOUTBOX_T:?no}", "valuevalue");
	refused("${PGOUTBOX_NONE}", "\"PGOUTBOX_NONE\" is not set");
	refused("${PGOUTBOX_NONE:?ask the database team}", "\"PGOUTBOX_NONE\" is not set: ask the database team");
	refused("${PGOUTBOX_EMPTY:?}", "\"PGOUTBOX_EMPTY\" is not set");
	refused("${PGOUTBOX_BYTES}", "\"PGOUTBOX_BYTES\" is not printable");
	refused("${PGOUTBOX_LINE}", "\"PGOUTBOX_LINE\" is not printable");
}

static void
dollars(void)
{
	gives("$$", "$");
	gives("$${PGOUTBOX_T}", "${PGOUTBOX_T}");
	gives("$$${PGOUTBOX_T}", "$value");
	gives("a$b$", "a$b$");
	refused("${", "begins no environment variable");
	refused("${}", "begins no environment variable");
	refused("${1A}", "begins no environment variable");
	refused("${PGOUTBOX_T", "begins no environment variable");
	refused("${PGOUTBOX_T-x}", "begins no environment variable");
	refused("${PGOUTBOX_T:-x", "begins no environment variable");
}

static void
escapes(void)
{
	static const char *const texts[] = {"", "$", "$$", "${X}", "a$b$$${", "pl"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

		expand_escape(texts[i], &out);
		gives(buf_str(&out), texts[i]);
	}
}

static int
parse(const char *text, struct config *ret_cfg, struct buf *said)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	int rc = config_parse("f", slice_from(text), ret_cfg, &problems);

	config_problems_print(&problems, said);
	config_problems_done(&problems);
	return rc;
}

/* In strings, numbers, properties and entries of the list; a topic has columns instead. What is secret stays so. */
static void
in_a_file(void)
{
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0}, again = {0};

	TAP_INT_FATAL(parse("database:\n  conninfo: dbname=app password=${PGOUTBOX_SECRET}\n"
	                    "outbox:\n  batch_rows: ${PGOUTBOX_ROWS}\n  columns: {payload: \"b$${x}\"}\n"
	                    "outboxes:\n  - table: ${PGOUTBOX_T}\n    topic: \"${kind}.x\"\n"
	                    "kafka:\n  brokers: \"${PGOUTBOX_NONE:-a:1}\"\n"
	                    "  properties: {sasl.password: \"${PGOUTBOX_SECRET}\", client.rack: \"${PGOUTBOX_T}\"}\n",
	                    &cfg, &said), 0);
	TAP_STR(cfg.database.conninfo, "dbname=app password=hunter2");
	TAP_INT(config_outbox(&cfg, 0)->outbox.batch_rows, 77);
	TAP_STR(config_outbox(&cfg, 0)->outbox.table, "value");
	TAP_STR(config_outbox(&cfg, 0)->outbox.columns[COL_PAYLOAD], "b${x}");
	TAP_STR(config_outbox(&cfg, 0)->kafka.topic, "${kind}.x");
	TAP_STR(cfg.kafka.topic, "${aggregate_type}");
	TAP_STR(cfg.kafka.brokers, "a:1");
	TAP_STR(cfg.kafka.properties.items[1].value, "value");
	config_print(&cfg, &out);
	CU_ASSERT_PTR_NULL(strstr(buf_str(&out), "hunter"));
	TAP_HAS(buf_str(&out), "payload: \"b$${x}\"");
	TAP_HAS(buf_str(&out), "topic: \"${kind}.x\"");
	TAP_INT_FATAL(parse(buf_str(&out), &again, &said), 0);
	TAP_STR(again.outbox.columns[COL_PAYLOAD], "b${x}");
	config_done(&cfg);
	config_done(&again);
}

static void
faults_are_shown_where_they_stand(void)
{
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0};

	TAP_INT(parse("database:\n  conninfo: dbname=app\noutbox:\n  batch_rows: ${PGOUTBOX_T}\n  lanes: ${PGOUTBOX_NONE}\n"
	              "kafka:\n  brokers: a:1\n  properties:\n    linger.ms: \"${PGOUTBOX_NONE:?set it}\"\n", &cfg, &said), -1);
	TAP_STR(buf_str(&said),
	        "f:4:15: outbox.batch_rows: \"value\" is not a whole number\n"
	        "f:5:10: outbox.lanes: the environment variable \"PGOUTBOX_NONE\" is not set; set it where the program is started, "
	        "or write ${PGOUTBOX_NONE:-default}\n"
	        "f:9:16: kafka.properties.linger.ms: the environment variable \"PGOUTBOX_NONE\" is not set: set it; set it where the "
	        "program is started, or write ${PGOUTBOX_NONE:-default}\n");
}

int
main(void)
{
	tap_suite_fixture("expand", setup, NULL);
	tap_test("variables", variables);
	tap_test("dollar signs", dollars);
	tap_test("what is escaped comes back", escapes);
	tap_test("variables in a file", in_a_file);
	tap_test("faults are shown where they stand", faults_are_shown_where_they_stand);
	return tap_run();
}
