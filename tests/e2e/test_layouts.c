/* test_layouts.c - the outbox tables of four other tools, taken over by "pgoutboxctl adopt" and relayed by one
 * daemon. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/env.h"
#include "support/foreign.h"
#include "support/tap.h"
#include "support/topic.h"

enum { EVENTS = 60, KEYS = 5, SOON_MS = 20000 };

static struct env env;

static void
end(void)
{
	env_end(&env);
}

static const char *const tables[] = {"debezium_outbox", "openoutbox_events", "harvest_outbox", "message"};

enum { TABLES = 4 };

static const char named_only[] = "outboxes:\n  - table: debezium_outbox\n  - table: openoutbox_events\n"
                                 "  - table: harvest_outbox\n  - table: message\n";

static void
create_tables(void)
{
	env_exec(&env, "%s", FOREIGN_DEBEZIUM("debezium_outbox"));
	env_exec(&env, "%s", FOREIGN_OPEN_OUTBOX("openoutbox_events"));
	env_exec(&env, "%s", FOREIGN_GOHARVEST("harvest_outbox"));
	env_exec(&env, "%s", FOREIGN_EVENTUATE("message"));
	/* What Open Outbox has sent stays, and is not sent again. */
	env_exec(&env, "INSERT INTO openoutbox_events (event_id, event_type, partition_key, payload, status, delivered_at)"
	               " VALUES (gen_random_uuid(), '%s.open', 'k0', 'sent before', 'DELIVERED', now())", env.name);
}

/* Events of goharvest that nobody has sent yet, before the table is taken over. */
static void
insert_harvest(int from, int to)
{
	env_exec(&env,
	         "INSERT INTO harvest_outbox (create_time, kafka_topic, kafka_key, kafka_value, kafka_header_keys,"
	         " kafka_header_values) SELECT now(), '%s.harvest', 'k' || n %% %d, 'n' || n, '{kind,trace}', ARRAY['mailed', 't' || n]"
	         " FROM generate_series(%d, %d) n", env.name, KEYS, from, to);
}

static void
insert_events(void)
{
	env_exec(&env,
	         "INSERT INTO debezium_outbox (id, aggregatetype, aggregateid, type, payload)"
	         " SELECT gen_random_uuid(), '%s.orders', 'k' || n %% %d, 'created', jsonb_build_object('n', n)"
	         " FROM generate_series(1, %d) n", env.name, KEYS, EVENTS);
	env_exec(&env,
	         "INSERT INTO openoutbox_events (event_id, event_type, partition_key, payload, headers)"
	         " SELECT gen_random_uuid(), '%s.open', 'k' || n %% %d, convert_to('n' || n, 'UTF8'),"
	         " jsonb_build_object('trace', 't' || n)"
	         " FROM generate_series(1, %d) n", env.name, KEYS, EVENTS);
	insert_harvest(EVENTS / 2 + 1, EVENTS);
	env_exec(&env,
	         "INSERT INTO message (id, destination, headers, payload, creation_time)"
	         " SELECT 'm-' || n, '%s.tram', json_build_object('ID', 'm-' || n, 'PARTITION_ID', 'k' || n %% %d)::text,"
	         " json_build_object('n', n)::text, 1700000000000 + n FROM generate_series(1, %d) n",
	         env.name, KEYS, EVENTS);
}

/* Has each table adopted; what adopt prints are the entries of the list. */
static void
adopt(char *lines, size_t size)
{
	struct env_config cfg = {.kafka_lines = named_only};
	const char *path = env_write_config(&env, "adopt", env.ports[0], &cfg);
	size_t used = (size_t)snprintf(lines, size, "outboxes:\n");

	for (int i = 0; i < TABLES; i++) {
		const char *const argv[] = {env_program("pgoutboxctl"), "-c", path, "adopt", "--yes", "--outbox",
		                            tables[i], "--database", env.super, NULL};
		char *output, *entry;

		TAP_INT_FATAL(proc_run(argv, 30000, &output), 0);
		entry = strstr(output, "outboxes:\n");
		CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
		used += (size_t)snprintf(lines + used, size - used, "%s", entry + strlen("outboxes:\n"));
		CU_ASSERT_FATAL(used < size);
		free(output);
	}
}

struct expected {
	const char *topic;
	const char *value;      /* "#" stands for the number, "@" for its key's */
	const char *trace;      /* the header that has "t" and the number; NULL = none */
	size_t headers;
	const char *type;       /* NULL = no header */
	int64_t timestamp_ms;   /* the number is added; 0 = any */
};

static void
expand(char *out, size_t size, const char *text, int n)
{
	size_t used = 0;

	out[0] = '\0';
	for (; *text != '\0' && used < size; text++)
		if (*text == '#' || *text == '@')
			used += (size_t)snprintf(out + used, size - used, "%d", *text == '#' ? n : n % KEYS);
		else
			used += (size_t)snprintf(out + used, size - used, "%c", *text);
}

static void
check_message(const rd_kafka_message_t *m, const struct expected *x, int n)
{
	char wanted[128], got[128], key[8];

	snprintf(wanted, sizeof(wanted), "t%d", n);
	if (x->trace != NULL) {
		snprintf(got, sizeof(got), "%.*s", (int)topic_header(m, x->trace).len, topic_header(m, x->trace).data);
		TAP_STR(got, wanted);
	}
	if (x->type != NULL) {
		snprintf(got, sizeof(got), "%.*s", (int)topic_header(m, "type").len, topic_header(m, "type").data);
		TAP_STR(got, x->type);
	}
	TAP_INT(topic_header_count(m), x->headers);
	snprintf(key, sizeof(key), "k%d", n % KEYS);
	snprintf(got, sizeof(got), "%.*s", (int)topic_key(m).len, topic_key(m).data);
	TAP_STR(got, key);
	if (x->timestamp_ms != 0)
		CU_ASSERT(rd_kafka_message_timestamp(m, NULL) == x->timestamp_ms + n);
}

/* The first number in the value, by which each event is known. */
static int
number_of(const rd_kafka_message_t *m)
{
	char value[192];
	const char *p;

	snprintf(value, sizeof(value), "%.*s", (int)topic_value(m).len, topic_value(m).data);
	p = strpbrk(value, "0123456789");
	return p != NULL ? (int)strtol(p, NULL, 10) : -1;
}

static void
read_topic(const struct expected *x)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	int last[KEYS] = {0}, seen = 0;
	rd_kafka_message_t *m;
	struct error err;

	ENV_MUST(topic_reader_open(env.kafka, &x->topic, 1, 10000, &reader, &err), &err);
	while (seen < EVENTS && (m = topic_reader_next(reader, 10000)) != NULL) {
		int n = number_of(m);
		char wanted[160], got[160];

		CU_ASSERT_FATAL(n >= 1 && n <= EVENTS);
		CU_ASSERT(n > last[n % KEYS]);
		last[n % KEYS] = n;
		expand(wanted, sizeof(wanted), x->value, n);
		snprintf(got, sizeof(got), "%.*s", (int)topic_value(m).len, topic_value(m).data);
		TAP_STR(got, wanted);
		check_message(m, x, n);
		seen++;
		rd_kafka_message_destroy(m);
	}
	TAP_INT(seen, EVENTS);
	CU_ASSERT_PTR_NULL(topic_reader_next(reader, 300));
}

static void
four_tables_of_other_tools(void)
{
	static char lines[8192];
	struct env_config cfg = {.kafka_lines = lines};
	char orders[128], open[128], harvest[128], tram[128];
	struct error err;

	if (!env_begin(&env))
		return;
	create_tables();
	insert_harvest(1, EVENTS / 2);
	adopt(lines, sizeof(lines));
	env_init(&env, &cfg);
	snprintf(orders, sizeof(orders), "outbox.event.%s.orders", env.name);
	snprintf(open, sizeof(open), "%s.open", env.name);
	snprintf(harvest, sizeof(harvest), "%s.harvest", env.name);
	snprintf(tram, sizeof(tram), "%s.tram", env.name);
	ENV_MUST(topic_create(env.kafka, orders, 2, &err), &err);
	ENV_MUST(topic_create(env.kafka, open, 2, &err), &err);
	ENV_MUST(topic_create(env.kafka, harvest, 2, &err), &err);
	ENV_MUST(topic_create(env.kafka, tram, 2, &err), &err);
	insert_events();
	env_daemon_start(&env, 0, &cfg);
	env_wait_int(&env, 0, SOON_MS,
	             "SELECT (SELECT count(*) FROM debezium_outbox) + (SELECT count(*) FROM harvest_outbox)"
	             " + (SELECT count(*) FROM message) + (SELECT count(*) FROM openoutbox_events WHERE delivered_at IS NULL)");
	env_daemon_stop(&env, 0);
	TAP_INT(env_int(&env, "SELECT count(*) FROM openoutbox_events"), EVENTS + 1);
	read_topic(&(struct expected){orders, "{\"n\": #}", NULL, 2, "created", 0});
	read_topic(&(struct expected){open, "n#", "trace", 3, open, 0});
	read_topic(&(struct expected){harvest, "n#", "trace", 2, NULL, 0});
	read_topic(&(struct expected){tram,
	                              "{\"headers\": {\"ID\": \"m-#\", \"PARTITION_ID\": \"k@\"}, "
	                              "\"payload\": \"{\\\"n\\\" : #}\"}", NULL, 1,
	                              NULL, INT64_C(1700000000000)});
}

int
main(void)
{
	tap_suite_fixture("layouts", NULL, end);
	tap_test("four tables of other tools are relayed by one daemon, in order", four_tables_of_other_tools);
	return tap_run();
}
