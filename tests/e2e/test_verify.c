/* test_verify.c - what is wrong in Kafka is named, one by one, and nothing else is; replay mends what is missing, which verify then says. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <jansson.h>

#include "support/env.h"
#include "support/tap.h"
#include "support/topic.h"

#define UNSENT "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"

enum { SOON_MS = 15000, EVENTS = 300, KEYS = 20 };

static struct env env;
static struct env_config cfg;
static const char *topic;
static json_t *said;

static void
end(void)
{
	json_decref(said);
	said = NULL;
	env_end(&env);
}

/* --- what somebody else writes into the topic --- */

static rd_kafka_t *
producer(const char *transactional_id)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256] = "";
	rd_kafka_t *rk;

	(void)rd_kafka_conf_set(conf, "bootstrap.servers", env.kafka, reason, sizeof(reason));
	(void)rd_kafka_conf_set(conf, "partitioner", "murmur2_random", reason, sizeof(reason)); /* the daemon's */
	if (transactional_id != NULL)
		(void)rd_kafka_conf_set(conf, "transactional.id", transactional_id, reason, sizeof(reason));
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (rk == NULL)
		CU_FAIL_FATAL("no producer");
	return rk;
}

static void
send_one(rd_kafka_t *rk, int partition, const char *key, const char *value, const char *event_id, int64_t timestamp_ms)
{
	CU_ASSERT_EQUAL_FATAL(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
	                                        RD_KAFKA_V_KEY(key, strlen(key)), RD_KAFKA_V_VALUE((void *)(uintptr_t)value, strlen(value)),
	                                        RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_HEADER("id", event_id, -1),
	                                        RD_KAFKA_V_HEADER("type", "t", -1), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
	                                        RD_KAFKA_V_END),
	                      RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void
inject(int partition, const char *key, const char *value, const char *event_id, int64_t timestamp_ms)
{
	rd_kafka_t *rk = producer(NULL);

	send_one(rk, partition, key, value, event_id, timestamp_ms);
	TAP_INT(rd_kafka_flush(rk, SOON_MS), 0);
	rd_kafka_destroy(rk);
}

static void
must(rd_kafka_error_t *error)
{
	if (error == NULL)
		return;
	printf("# %s\n", rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	CU_FAIL_FATAL("a transaction's call failed");
}

/* --- the tool --- */

/* The report stays until the next call. */
static void
verify(int status, ...)
{
	const char *argv[12] = {env_program("pgoutboxctl"), "-c", env_write_config(&env, "ctl", 1, &cfg), "verify", "--json"};
	char *output = NULL;
	const char *json;
	va_list ap;
	int n = 5;

	va_start(ap, status);
	while ((argv[n] = va_arg(ap, const char *)) != NULL)
		n++;
	va_end(ap);
	TAP_INT(proc_run(argv, 60000, &output), status);
	json_decref(said);
	json = strchr(output, '{'); /* behind what is told of the progress */
	said = json != NULL ? json_loads(json, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (said == NULL)
		printf("# %s\n", output);
	free(output);
	CU_ASSERT_PTR_NOT_NULL_FATAL(said);
}

static int64_t
count(const char *name)
{
	return json_integer_value(json_object_get(said, name));
}

static void
counts_are(int missing, int duplicate, int out_of_order, int split_key, int altered, int unknown)
{
	TAP_INT(count("missing"), missing);
	TAP_INT(count("duplicate"), duplicate);
	TAP_INT(count("out_of_order"), out_of_order);
	TAP_INT(count("split_key"), split_key);
	TAP_INT(count("altered"), altered);
	TAP_INT(count("unknown"), unknown);
}

/* A member of the only example of a kind. */
static json_t *
example(const char *kind, const char *member)
{
	json_t *list = json_object_get(json_object_get(said, "examples"), kind);

	TAP_INT(json_array_size(list), 1);
	return json_object_get(json_array_get(list, 0), member);
}

static void
replay(const char *file)
{
	char database[256], ids[256], *output = NULL;
	const char *argv[] = {env_program("pgoutboxctl"), "-c", env_write_config(&env, "ctl", 1, &cfg), database, "replay",
	                      "--yes", ids, NULL};

	snprintf(database, sizeof(database), "--database=%s", env.super);
	snprintf(ids, sizeof(ids), "--event-ids=%s", file);
	TAP_INT(proc_run(argv, 30000, &output), 0);
	TAP_HAS(output, "1 event unsent again");
	free(output);
}

/* --- the tests --- */

static char *
text(const char *sql, int64_t id)
{
	char id_text[24];
	const char *value = id_text;
	PGresult *res;
	char *copy;

	snprintf(id_text, sizeof(id_text), "%lld", (long long)id);
	res = PQexecParams(env.db, sql, 1, NULL, &value, NULL, NULL, 0);
	CU_ASSERT_EQUAL_FATAL(PQntuples(res), 1);
	copy = strdup(PQgetvalue(res, 0, 0));
	PQclear(res);
	return copy;
}

static char *
event_id(int64_t id)
{
	return text("SELECT event_id FROM outbox_events WHERE id = $1", id);
}

static int64_t
created_ms(int64_t id)
{
	return env_int(&env, "SELECT floor(extract(epoch FROM created_at) * 1000)::bigint FROM outbox_events WHERE id = %d", (int)id);
}

static void
publish(const char *outbox_lines, const char *unsent)
{
	cfg = (struct env_config){.outbox_lines = outbox_lines};
	topic = env_topic(&env, "account");
	env_init(&env, &cfg);
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, SOON_MS);
	env_exec(&env,
	         "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, headers)"
	         " SELECT 'account', 'k' || n %% %d, 't', jsonb_build_object('n', n), CASE WHEN n %% 2 = 0 THEN"
	         " jsonb_build_object('trace', n::text) END FROM generate_series(1, %d) n",
	         KEYS, EVENTS);
	env_wait_int(&env, 0, SOON_MS, "%s", unsent);
}

/* Rows and messages are cut at the same time, wherever it is. */
static void
halves_are_whole(void)
{
	char *middle = text("SELECT '--until=' || clock_timestamp() FROM outbox_events WHERE id = $1", 1), since[64];

	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, created_at)"
	               " SELECT 'account', 'k1', 't', '{}', '%s'::timestamptz + n * interval '100 us' FROM generate_series(-20, 20) n",
	         middle + strlen("--until="));
	/* Whose messages have another time. */
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, created_at)"
	               " VALUES ('account', 'k2', 't', '{}', '-infinity'), ('account', 'k2', 't', '{}', '1969-12-31'),"
	               " ('account', 'k2', 't', '{}', 'infinity')");
	env_wait_int(&env, 0, SOON_MS, UNSENT);
	snprintf(since, sizeof(since), "--since=%s", middle + strlen("--until="));
	verify(EX_OK, middle, NULL);
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(count("events"), count("messages"));
	CU_ASSERT(count("events") >= EVENTS);
	verify(EX_OK, since, NULL);
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(count("events"), count("messages"));
	CU_ASSERT(count("events") >= 20);
	free(middle);
}

static void
refuses(const char *outbox_lines, const char *option, const char *why)
{
	const struct env_config other = {.outbox_lines = outbox_lines};
	const char *argv[] = {env_program("pgoutboxctl"), "-c", env_write_config(&env, "other", 1, &other), "verify", option, NULL};
	char *output = NULL;

	TAP_INT(proc_run(argv, 30000, &output), EX_CONFIG);
	TAP_HAS(output, why);
	TAP_HAS(output, "hint: ");
	free(output);
}

static void
what_is_wrong_is_named(void)
{
	char *fifth, *seventh, *lost, *payload, file[192];
	int64_t lost_id;

	if (!env_begin(&env))
		return;
	publish(NULL, UNSENT);
	verify(EX_OK, NULL);
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(count("rows"), EVENTS);
	TAP_INT(count("messages"), EVENTS);
	TAP_INT(count("events"), EVENTS);
	TAP_INT(count("keys"), KEYS);

	verify(EX_OK, "--since=2030-01-01", NULL);
	TAP_INT(count("rows"), 0);
	TAP_INT(count("messages"), 0);
	halves_are_whole();

	fifth = event_id(5);
	payload = text("SELECT payload FROM outbox_events WHERE id = $1", 5);
	inject(RD_KAFKA_PARTITION_UA, "k5", payload, fifth, created_ms(5));
	verify(EX_DATAERR, NULL);
	counts_are(0, 1, 0, 0, 0, 0);
	TAP_INT(json_integer_value(example("duplicate", "row_id")), 5);
	TAP_STR(json_string_value(example("duplicate", "event_id")), fifth);
	TAP_STR(json_string_value(example("duplicate", "topic")), topic);

	inject(RD_KAFKA_PARTITION_UA, "k5", payload, "nobody-s", created_ms(EVENTS) + 60000);
	seventh = event_id(7);
	env_exec(&env, "UPDATE outbox_events SET payload = '{\"n\": 8}' WHERE id = 7");
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, sent_at)"
	               " VALUES ('account', 'k3', 't', '{}', now())");
	lost_id = env_int(&env, "SELECT max(id) FROM outbox_events");
	lost = event_id(lost_id);
	snprintf(file, sizeof(file), "%s/missing", env.dir);
	{
		char option[256];

		snprintf(option, sizeof(option), "--write-missing=%s", file);
		verify(EX_DATAERR, option, NULL);
	}
	counts_are(1, 1, 0, 0, 1, 1);
	TAP_INT(json_integer_value(example("missing", "row_id")), lost_id);
	TAP_STR(json_string_value(example("missing", "event_id")), lost);
	CU_ASSERT(json_is_null(example("missing", "offset")));
	TAP_INT(json_integer_value(example("altered", "row_id")), 7);
	TAP_STR(json_string_value(example("altered", "event_id")), seventh);
	TAP_STR(json_string_value(json_array_get(example("altered", "altered"), 0)), "payload");
	TAP_INT(json_array_size(example("altered", "altered")), 1);
	CU_ASSERT(json_is_null(example("unknown", "row_id")));
	CU_ASSERT(json_is_integer(example("unknown", "offset")));

	replay(file);
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	verify(EX_DATAERR, NULL);
	counts_are(0, 1, 0, 0, 1, 1);
	TAP_INT(count("replayed"), 1);

	/* Marked by hand. */
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, sent_at)"
	               " VALUES ('account', 'k3', 't', '{}', '-infinity'), ('account', 'k3', 't', '{}', 'infinity')");
	verify(EX_DATAERR, NULL);
	counts_are(1, 1, 0, 0, 1, 1);
	TAP_INT(count("recent"), 1);
	refuses(NULL, "--since=infinity", "is no time");
	env_daemon_stop(&env, 0);
	free(fifth);
	free(seventh);
	free(lost);
	free(payload);
}

/* As retention would: the first messages of each partition. */
static void
drop_messages(int64_t count)
{
	rd_kafka_t *rk = producer(NULL);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_topic_partition_list_t *before = rd_kafka_topic_partition_list_new(4);
	rd_kafka_DeleteRecords_t *request;
	rd_kafka_event_t *answer;

	for (int partition = 0; partition < 4; partition++)
		rd_kafka_topic_partition_list_add(before, topic, partition)->offset = count;
	request = rd_kafka_DeleteRecords_new(before);
	rd_kafka_DeleteRecords(rk, &request, 1, NULL, queue);
	answer = rd_kafka_queue_poll(queue, SOON_MS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	TAP_INT(rd_kafka_event_error(answer), RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_event_destroy(answer);
	rd_kafka_DeleteRecords_destroy(request);
	rd_kafka_topic_partition_list_destroy(before);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(rk);
}

/* What Kafka has dropped is not missing, whether rows tell where it was or not; with receipts it is known for certain. */
static void
what_is_dropped_is_not_missing(void)
{
	drop_messages(10);
	verify(EX_OK, NULL);
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(count("expired_rows"), 40);
	TAP_INT(count("events"), EVENTS + 3 - 40);
	env_exec(&env, "UPDATE outbox_events SET event_id = gen_random_uuid() WHERE id = %d", EVENTS + 2);
	verify(EX_DATAERR, NULL);
	counts_are(1, 0, 0, 0, 0, 1);
	TAP_INT(json_integer_value(example("missing", "row_id")), EVENTS + 2);
	cfg.outbox_lines = NULL;
	verify(EX_DATAERR, NULL);
	counts_are(0, 0, 0, 0, 0, 1);
	TAP_INT(count("expired_rows"), 41);
}

static void
only_what_is_committed_counts(void)
{
	rd_kafka_t *rk;

	if (!env_begin(&env))
		return;
	publish("  receipts: true\n", UNSENT);
	rk = producer(env.name);
	must(rd_kafka_init_transactions(rk, SOON_MS));
	must(rd_kafka_begin_transaction(rk));
	for (int partition = 0; partition < 4; partition++)
		send_one(rk, partition, "k1", "{}", "aborted", created_ms(EVENTS) + 60000);
	TAP_INT(rd_kafka_flush(rk, SOON_MS), 0);
	must(rd_kafka_abort_transaction(rk, SOON_MS));
	verify(EX_OK, NULL);
	TAP_INT(count("messages"), EVENTS);

	/* What is behind the beginning of one that goes on cannot be read: it is not called missing. */
	must(rd_kafka_begin_transaction(rk));
	for (int partition = 0; partition < 4; partition++)
		send_one(rk, partition, "k1", "{}", "open", created_ms(EVENTS) + 60000);
	TAP_INT(rd_kafka_flush(rk, SOON_MS), 0);
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	               " SELECT 'account', 'k1', 't', '{}' FROM generate_series(1, 3)");
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	verify(EX_TEMPFAIL, "--timeout=1s", NULL);
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(count("undecided"), 3);
	must(rd_kafka_abort_transaction(rk, SOON_MS));
	verify(EX_OK, NULL);
	TAP_INT(count("events"), EVENTS + 3);
	rd_kafka_destroy(rk);
	what_is_dropped_is_not_missing();
	env_daemon_stop(&env, 0);
}

/* Rows that were deleted are known by their receipts. */
static void
receipts_stand_for_rows(void)
{
	if (!env_begin(&env))
		return;
	publish("  settle: delete\n  receipts: true\n", "SELECT count(*) FROM outbox_events");
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	               " VALUES ('account', 'k1', 't', NULL), ('account', 'k1', 't', '{}')");
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events");
	verify(EX_OK, NULL);
	counts_are(0, 0, 0, 0, 0, 0);
	TAP_INT(count("events"), EVENTS + 2);
	TAP_INT(count("keys"), KEYS);

	env_exec(&env, "UPDATE pgoutbox.receipts SET event_id = 'gone' WHERE row_id = %d", EVENTS + 2);
	env_exec(&env, "UPDATE pgoutbox.receipts SET digest = sha256('x') WHERE row_id = 5");
	verify(EX_DATAERR, NULL);
	counts_are(1, 0, 0, 0, 1, 1);
	TAP_INT(json_integer_value(example("missing", "row_id")), EVENTS + 2);
	TAP_STR(json_string_value(example("missing", "event_id")), "gone");
	TAP_INT(json_integer_value(example("altered", "row_id")), 5);
	TAP_STR(json_string_value(json_array_get(example("altered", "altered"), 0)), "payload");
	env_daemon_stop(&env, 0);
	refuses("  settle: delete\n", NULL, "there is nothing to compare by");
	refuses("  settle: delete\n  receipts: true\n", "--since=today", "receipts do not tell when events were created");
}

int
main(void)
{
	tap_suite_fixture("verify", NULL, end);
	tap_test("what is wrong is named, and replay mends what is missing", what_is_wrong_is_named);
	tap_test("only what is committed counts", only_what_is_committed_counts);
	tap_test("receipts stand for rows", receipts_stand_for_rows);
	return tap_run();
}
