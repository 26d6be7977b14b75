/* test_mapping.c - an outbox table that was there before, with names of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/env.h"
#include "support/tap.h"
#include "support/topic.h"

static struct env env;

static void
end(void)
{
	env_end(&env);
}

static const char mapped[] =
    "  table: 'shop.\"Outgoing Mail\"'\n"
    "  columns:\n"
    "    id: position\n"
    "    event_id: uid\n"
    "    aggregate_type: \"\"\n"
    "    aggregate_id: customer\n"
    "    event_type: what\n"
    "    payload: \"the body\"\n"
    "    headers: \"\"\n"
    "    topic: \"\"\n"
    "    created_at: happened\n"
    "    sent_at: Done\n";

static void
create_table(void)
{
	env_exec(&env,
	    "CREATE SCHEMA shop; CREATE TABLE shop.\"Outgoing Mail\" (position integer PRIMARY KEY, uid uuid NOT NULL DEFAULT"
	    " gen_random_uuid(), region text NOT NULL, customer bigint NOT NULL, what varchar(20), \"the body\" bytea,"
	    " happened timestamp NOT NULL DEFAULT '2024-02-29 12:34:56.789', \"Done\" timestamptz, unrelated int);"
	    "INSERT INTO shop.\"Outgoing Mail\" (position, region, customer, what, \"the body\")"
	    " SELECT n, CASE n %% 2 WHEN 0 THEN 'north' ELSE 'south' END, n %% 10, 'mailed',"
	    " convert_to('mail ' || n, 'UTF8')"
	    " FROM generate_series(1, 100) n");
}

static void
read_region(const char *region, int parity)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	const char *topic = env_topic(&env, region);
	int last[10] = {0}, seen = 0;
	rd_kafka_message_t *m;
	struct error err;

	ENV_MUST(topic_reader_open(env.kafka, &topic, 1, 10000, &reader, &err), &err);
	while (seen < 75 && (m = topic_reader_next(reader, 10000)) != NULL) {
		char value[32] = "", type[32] = "";
		int customer = topic_key(m).len == 1 ? topic_key(m).data[0] - '0' : -1, n;

		snprintf(value, sizeof(value), "%.*s", (int)topic_value(m).len, topic_value(m).data);
		snprintf(type, sizeof(type), "%.*s", (int)topic_header(m, "type").len, topic_header(m, "type").data);
		n = (int)strtol(value + 5, NULL, 10);
		TAP_INT_FATAL(customer, n % 10);
		TAP_INT(n % 2, parity);
		CU_ASSERT(n > last[customer]);
		last[customer] = n;
		TAP_STR(type, "mailed");
		TAP_INT(topic_header(m, "id").len, 36);
		TAP_INT(topic_header_count(m), 2);
		seen++;
		rd_kafka_message_destroy(m);
	}
	TAP_INT(seen, 75);
	CU_ASSERT(topic_reader_next(reader, 500) == NULL);
}

static void
an_existing_table(void)
{
	char topic[128];
	struct env_config cfg = {.outbox_lines = mapped, .topic = topic};

	if (!env_begin(&env))
		return;
	snprintf(topic, sizeof(topic), "%s.${region}", env.name);
	create_table();
	env_init(&env, &cfg);
	(void)env_topic(&env, "north");
	(void)env_topic(&env, "south");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 60000);
	env_exec(&env,
	    "INSERT INTO shop.\"Outgoing Mail\" (position, region, customer, what, \"the body\")"
	    " SELECT n, CASE n %% 2 WHEN 0 THEN 'north' ELSE 'south' END, n %% 10, 'mailed',"
	    " convert_to('mail ' || n, 'UTF8')"
	    " FROM generate_series(101, 150) n");
	env_wait_int(&env, 150, 60000, "SELECT count(*) FROM shop.\"Outgoing Mail\" WHERE \"Done\" IS NOT NULL");
	env_daemon_stop(&env, 0);
	read_region("north", 0);
	read_region("south", 1);
}

static void
topics_named_by_rows(void)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	struct env_config cfg = {.conninfo = NULL};
	const char *topics[2];
	rd_kafka_message_t *m;
	struct error err;
	int seen = 0;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topics[0] = env_topic(&env, "from-template");
	topics[1] = env_topic(&env, "from-row");
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, topic)"
	    " SELECT 'from-template', n, 'e', '{}', CASE WHEN n > 10 THEN '%s' END FROM generate_series(1, 20) n",
	    topics[1]);
	env_daemon_start(&env, 0, &cfg);
	env_wait_int(&env, 20, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NOT NULL");
	env_daemon_stop(&env, 0);
	ENV_MUST(topic_reader_open(env.kafka, topics, 2, 10000, &reader, &err), &err);
	while (seen < 20 && (m = topic_reader_next(reader, 10000)) != NULL) {
		char key[8];

		snprintf(key, sizeof(key), "%.*s", (int)topic_key(m).len, topic_key(m).data);
		TAP_STR(rd_kafka_topic_name(m->rkt), topics[strtol(key, NULL, 10) > 10]);
		seen++;
		rd_kafka_message_destroy(m);
	}
	TAP_INT(seen, 20);
}

int
main(void)
{
	tap_suite_fixture("mapping", NULL, end);
	tap_test("an existing table with its own names is relayed, its old rows too", an_existing_table);
	tap_test("a row may name its topic", topics_named_by_rows);
	return tap_run();
}
