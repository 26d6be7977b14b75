/* Tests of src/config/outboxes.c and loader_outboxes.c: a list of outboxes, what its entries take over, what is refused. */
#include <string.h>

#include "config/config.h"
#include "support/tap.h"

#define ADDRESSES "database: {conninfo: \"dbname=app\"}\nkafka: {brokers: \"a:1\", topic: common}\n"

static int
parse(const char *text, struct config *ret_cfg, struct buf *said)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	int rc = config_parse("f", slice_from(text), ret_cfg, &problems);

	config_problems_print(&problems, said);
	config_problems_done(&problems);
	return rc;
}

static void
good(const char *text, struct config *ret_cfg)
{
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	int rc = parse(text, ret_cfg, &said);

	TAP_STR(buf_str(&said), "");
	TAP_INT_FATAL(rc, 0);
}

static void
refused(const char *text, const char *expected)
{
	struct buf said __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0};

	TAP_INT(parse(text, &cfg, &said), -1);
	TAP_STR(buf_str(&said), expected);
	config_done(&cfg);
}

static void
one_without_a_list(void)
{
	struct config cfg = {0};

	good(ADDRESSES "outbox: {table: mine}\n", &cfg);
	TAP_INT(config_outboxes(&cfg), 1);
	CU_ASSERT_PTR_EQUAL(config_outbox(&cfg, 0), &cfg);
	CU_ASSERT_PTR_EQUAL(config_find_outbox(&cfg, "\"mine\""), &cfg);
	CU_ASSERT_PTR_NULL(config_find_outbox(&cfg, "\"Mine\""));
	config_done(&cfg);
}

/* The section may stand behind the list, and still be what its entries begin with. */
static void
entries_take_over_what_they_leave_out(void)
{
	struct config cfg = {0};
	const struct config *a, *b;

	good("outboxes:\n"
	     "  - table: a\n"
	     "    lanes: 8\n"
	     "    columns: {payload: body}\n"
	     "  - {table: app.b, topic: \"x.${kind}\"}\n"
	     ADDRESSES
	     "outbox:\n"
	     "  lanes: 2\n"
	     "  batch_rows: 7\n"
	     "  columns: {id: nr}\n", &cfg);
	TAP_INT_FATAL(config_outboxes(&cfg), 2);
	a = config_outbox(&cfg, 0);
	b = config_outbox(&cfg, 1);
	TAP_STR(a->outbox.table, "a");
	TAP_INT(a->outbox.lanes, 8);
	TAP_INT(a->outbox.batch_rows, 7);
	TAP_STR(a->outbox.columns[COL_ID], "nr");
	TAP_STR(a->outbox.columns[COL_PAYLOAD], "body");
	TAP_STR(a->kafka.topic, "common");
	TAP_STR(b->outbox.table, "app.b");
	TAP_INT(b->outbox.lanes, 2);
	TAP_STR(b->outbox.columns[COL_PAYLOAD], "payload");
	TAP_STR(b->kafka.topic, "x.${kind}");
	TAP_STR(cfg.kafka.topic, "common");
	CU_ASSERT_PTR_EQUAL(a->kafka.brokers, cfg.kafka.brokers);
	CU_ASSERT_PTR_EQUAL(b->database.conninfo, cfg.database.conninfo);
	TAP_INT(config_outboxes(a), 1);
	CU_ASSERT_PTR_EQUAL(config_outbox(a, 0), a);
	CU_ASSERT_PTR_EQUAL(config_find_outbox(&cfg, "APP.B"), b);
	CU_ASSERT_PTR_NULL(config_find_outbox(&cfg, "b"));
	config_done(&cfg);
}

static void
what_is_printed_loads_back(void)
{
	struct buf first __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf second __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0}, again = {0};

	good(ADDRESSES "outboxes:\n  - {table: a, settle: delete, columns: {topic: \"\"}}\n  - {table: b, topic: t, poison: skip}\n", &cfg);
	config_print(&cfg, &first);
	good(buf_str(&first), &again);
	config_print(&again, &second);
	TAP_STR(buf_str(&second), buf_str(&first));
	TAP_HAS(buf_str(&first), "outboxes:\n  - table: \"a\"\n    lanes: 4\n");
	TAP_HAS(buf_str(&first), "      sent_offset: \"sent_offset\"\n    topic: \"t\"\n");
	TAP_INT(config_outbox(&again, 0)->outbox.settle, SETTLE_DELETE);
	TAP_STR(config_outbox(&again, 0)->outbox.columns[COL_TOPIC], "");
	TAP_INT(config_outbox(&again, 1)->outbox.poison, POISON_SKIP);
	config_done(&cfg);
	config_done(&again);
}

static void
faults_are_shown_where_they_stand(void)
{
	refused(ADDRESSES "outboxes:\n"
	                  "  - table: Aa\n"
	                  "    hold_max: 30s\n"
	                  "  - table: '\"aa\"'\n"
	                  "    lanez: 3\n"
	                  "    brokers: b\n"
	                  "  - columns: {id: payload}\n"
	                  "  - 5\n",
	        "f:5:15: outboxes[0].hold_max: 30s is not shorter than database.session_timeout, which is 15s\n"
	        "f:6:12: outboxes[1].table: \"\"aa\"\" is the table of outboxes[0] already; name another\n"
	        "f:7:5: outboxes[1]: unknown option \"lanez\", did you mean \"lanes\"?\n"
	        "f:8:5: outboxes[1]: unknown option \"brokers\"; it belongs to kafka\n"
	        "f:9:19: outboxes[2].columns.id: \"payload\" is the column of payload already; name another, or \"\" if the "
	        "table has none\n"
	        "f:10:5: outboxes[3]: is a single value, but should hold options; write them below it, indented\n"
	        "f:10:5: outboxes[3].table: \"outbox_events\" is the table of outboxes[2] already; name another\n");
}

/* What the section says is of all entries, and is wrong once. */
static void
a_fault_of_all_is_said_once(void)
{
	refused(ADDRESSES "outbox: {poll_min: 50s}\noutboxes: [{table: a}, {table: b}, {table: c, poll_max: 1m}]\n",
	        "f:3:20: outbox.poll_min: 50s is longer than poll_max, which is 20ms\n");
}

static void
a_list_is_a_list_of_something(void)
{
	refused(ADDRESSES "outboxes:\n",
	        "f:3:10: outboxes: names no outbox; write one entry for each table, beginning with \"- table:\", or remove the "
	        "line\n");
	refused(ADDRESSES "outboxes: []\n",
	        "f:3:11: outboxes: names no outbox; write one entry for each table, beginning with \"- table:\", or remove the "
	        "line\n");
	refused(ADDRESSES "outboxes: {table: a}\n",
	        "f:3:11: outboxes: is a map, but should be a list; begin each entry with \"- table:\"\n");
	refused(ADDRESSES "outboxs: [{table: a}]\n", "f:3:1: unknown section \"outboxs\", did you mean \"outboxes\"?\n");
}

static void
a_list_ends_somewhere(void)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0};

	buf_add_str(&text, ADDRESSES "outboxes:\n");
	for (int i = 0; i < CONFIG_OUTBOXES_MAX; i++)
		buf_printf(&text, "  - table: t%d\n", i);
	good(buf_str(&text), &cfg);
	TAP_INT(config_outboxes(&cfg), 64);
	TAP_STR(config_outbox(&cfg, 63)->outbox.table, "t63");
	config_done(&cfg);
	buf_add_str(&text, "  - table: more\n");
	refused(buf_str(&text), "f:68:5: outboxes: has more than 64 entries; let another daemon relay the others\n");
}

int
main(void)
{
	tap_suite("outboxes");
	tap_test("without a list there is one", one_without_a_list);
	tap_test("an entry has what the section says where it is silent", entries_take_over_what_they_leave_out);
	tap_test("what is printed loads back", what_is_printed_loads_back);
	tap_test("faults are shown where they stand", faults_are_shown_where_they_stand);
	tap_test("a fault of all is said once", a_fault_of_all_is_said_once);
	tap_test("a list has entries", a_list_is_a_list_of_something);
	tap_test("a list has 64 entries at the most", a_list_ends_somewhere);
	return tap_run();
}
