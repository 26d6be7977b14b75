/* Tests of src/config/reload.c: what a file read again changes at once, and what waits for a restart. */
#include <string.h>

#include "config/config.h"
#include "config/options.h"
#include "config/value.h"
#include "support/tap.h"

#define ADDRESSES "database: {conninfo: \"dbname=app\"}\nkafka: {brokers: \"a:1\"}\n"

static struct config cfg;

static void
parse(const char *text, struct config *ret_cfg)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;

	TAP_INT_FATAL(config_parse("f", slice_from(text), ret_cfg, &problems), 0);
	config_problems_done(&problems);
}

static void
reload(const char *text, const char *taken, const char *waiting)
{
	struct buf t __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf w __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config next = {0};

	parse(text, &next);
	config_reload(&cfg, &next, &t, &w);
	config_done(&next);
	TAP_STR(buf_str(&t), taken);
	TAP_STR(buf_str(&w), waiting);
}

static void
teardown(void)
{
	config_done(&cfg);
}

static void
what_may_change_changes(void)
{
	parse(ADDRESSES, &cfg);
	reload(ADDRESSES, "", "");
	reload(ADDRESSES "outbox: {batch_rows: 5, batch_bytes: 1MiB, retention: never, hold_max: 1s, poll_min: 3ms, poll_max: 4ms,"
	                 " stop_timeout: 9s}\nlog: {level: debug}\n",
	       "log.level=debug, outbox.batch_rows=5, outbox.batch_bytes=1MiB, outbox.retention=never, outbox.hold_max=1s, "
	       "outbox.poll_min=3ms, outbox.poll_max=4ms, outbox.stop_timeout=9s", "");
	TAP_INT(cfg.outbox.batch_rows, 5);
	TAP_INT(cfg.outbox.batch_bytes, 1 << 20);
	CU_ASSERT(cfg.outbox.retention_ms == CONFIG_NEVER);
	TAP_INT(cfg.log.level, LOG_DEBUG);
	reload("database: {conninfo: \"dbname=app\"}\nkafka: {brokers: \"a:1\", topic: \"x.${kind}\"}\n",
	       "log.level=info, outbox.batch_rows=1000, outbox.batch_bytes=8MiB, outbox.retention=7d, outbox.hold_max=2s, "
	       "outbox.poll_min=2ms, outbox.poll_max=20ms, outbox.stop_timeout=25s, kafka.topic=x.${kind}", "");
	TAP_STR(cfg.kafka.topic, "x.${kind}");
}

/* Whatever others borrow stays where it is, and no value that may be a secret is named. */
static void
what_takes_a_restart_stays(void)
{
	const char *conninfo, *table;

	parse(ADDRESSES "outbox: {columns: {id: nr}}\n", &cfg);
	conninfo = cfg.database.conninfo;
	table = cfg.outbox.table;
	reload("database: {conninfo: \"dbname=app password=hunter2\"}\n"
	       "kafka: {brokers: \"a:1\", properties: {sasl.password: hunter2}}\n"
	       "outbox: {table: t, lanes: 5, columns: {id: other}}\n",
	       "", "database.conninfo, kafka.properties, outbox.table, outbox.lanes, outbox.columns.id");
	CU_ASSERT_PTR_EQUAL(cfg.database.conninfo, conninfo);
	CU_ASSERT_PTR_EQUAL(cfg.outbox.table, table);
	TAP_STR(table, "outbox_events");
	TAP_INT(cfg.outbox.lanes, 4);
	TAP_INT(cfg.kafka.properties.count, 0);
}

static void
outboxes_are_known_by_their_tables(void)
{
	parse(ADDRESSES "outboxes: [{table: a}, {table: b, topic: t}, {table: c}]\n", &cfg);
	reload("database: {conninfo: \"dbname=app\"}\nkafka: {brokers: \"a:1\"}\nlog: {level: error}\n"
	       "outboxes: [{table: \"B\", topic: u, lanes: 9}, {table: d}, {table: a, batch_rows: 3}]\n",
	       "log.level=error, outboxes[0].batch_rows=3, outboxes[1].topic=u",
	       "outboxes[1].table, outboxes[1].lanes, the outbox \"c\" is to go, the outbox \"d\" is new");
	TAP_INT(config_outbox(&cfg, 0)->outbox.batch_rows, 3);
	TAP_STR(config_outbox(&cfg, 1)->kafka.topic, "u");
	TAP_INT(config_outbox(&cfg, 1)->outbox.lanes, 4);
	TAP_INT(config_outboxes(&cfg), 3);
	TAP_INT(config_outbox(&cfg, 2)->log.level, LOG_ERR);
	TAP_STR(cfg.kafka.topic, "${aggregate_type}");
}

/* A list of one is what the section was. */
static void
one_outbox_may_be_written_in_two_ways(void)
{
	parse(ADDRESSES, &cfg);
	reload(ADDRESSES "outboxes: [{table: outbox_events, topic: t}]\n", "kafka.topic=t", "");
	TAP_STR(cfg.kafka.topic, "t");
	reload(ADDRESSES "outboxes: [{table: x}, {table: outbox_events, hold_max: 1s, topic: t}]\n", "outbox.hold_max=1s",
	       "the outbox \"x\" is new");
}

/* Each option that says RELOAD is taken by a value of its own, and no other. */
static void
each_option_does_as_it_says(void)
{
	for (size_t i = 0; i < options_count; i++) {
		const struct option *opt = &options_all[i];
		struct buf t __attribute__((cleanup(buf_done))) = BUF_INIT;
		struct buf w __attribute__((cleanup(buf_done))) = BUF_INIT;
		struct config next = {0};
		char *base;

		/* There is no room for another text in an empty one. */
		if (opt->kind == OPTION_COLUMNS || opt->kind == OPTION_PROPERTIES ||
		    (opt->kind == OPTION_STRING && opt->fallback[0] == '\0' && !opt->required))
			continue;
		parse(ADDRESSES, &cfg);
		parse(ADDRESSES, &next);
		base = (char *)&next + options_find_section(opt->section)->offset + opt->offset;
		if (opt->kind == OPTION_STRING)
			(*(char **)(void *)base)[0] = '#';
		else if (opt->kind == OPTION_BOOLEAN)
			*(bool *)(void *)base = !*(bool *)(void *)base;
		else if (opt->kind == OPTION_CHOICE)
			*(int *)(void *)base = *(int *)(void *)base == opt->choices[0].value ? opt->choices[1].value : opt->choices[0].value;
		else
			++*(int64_t *)(void *)base;
		config_reload(&cfg, &next, &t, &w);
		TAP_HAS(opt->when == OPTION_RELOAD ? buf_str(&t) : buf_str(&w), opt->name);
		TAP_STR(opt->when == OPTION_RELOAD ? buf_str(&w) : buf_str(&t), "");
		config_done(&next);
		config_done(&cfg);
	}
}

int
main(void)
{
	tap_suite_fixture("reload", NULL, teardown);
	tap_test("what may change at once does", what_may_change_changes);
	tap_test("what takes a restart stays", what_takes_a_restart_stays);
	tap_test("outboxes are known by their tables", outboxes_are_known_by_their_tables);
	tap_test("one outbox may be written in two ways", one_outbox_may_be_written_in_two_ways);
	tap_test("each option does as options.def says", each_option_does_as_it_says);
	return tap_run();
}
