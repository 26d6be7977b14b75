/* test_parked.c - events that can never be sent as they are: set aside with the whole row and a reason, their key held
 * back or not, and let go by an operator.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/db.h"
#include "support/env.h"
#include "support/tap.h"
#include "support/topic.h"

enum { SOON_MS = 10000, FEW_MS = 1500 };

static struct env env;
static struct topic_reader *reader;

static void
end(void)
{
	topic_reader_close(&reader);
	env_end(&env);
}

static void
begin_with(const struct env_config *cfg, const char *topic)
{
	struct error err;

	env_init(&env, cfg);
	ENV_MUST(topic_reader_open(env.kafka, &topic, 1, 10000, &reader, &err), &err);
	env_daemon_start(&env, 0, cfg);
	env_daemon_ready(&env, 0, 60000);
}

static void
begin(const struct env_config *cfg)
{
	begin_with(cfg, env_topic(&env, "account"));
}

/* An event whose type tells it from the others; topic NULL = by the template. Returns its id. */
static int64_t
insert(const char *key, const char *type, const char *topic)
{
	return env_int(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, topic)"
	    " VALUES ('account', '%s', '%s', '{\"pin\": \"1234-confidential\"}', %s%s%s) RETURNING id",
	    key, type, topic == NULL ? "" : "'", topic == NULL ? "NULL" : topic, topic == NULL ? "" : "'");
}

/* The types of the next count messages, in the order of their arrival, separated by spaces; fewer when no more come. */
static const char *
arrived(int count, int timeout_ms)
{
	static char types[512];
	size_t len = 0;

	types[0] = '\0';
	for (int i = 0; i < count; i++) {
		rd_kafka_message_t *m = topic_reader_next(reader, timeout_ms);
		struct slice type = m == NULL ? SLICE_NULL : topic_header(m, "type");

		if (m == NULL)
			break;
		len += (size_t)snprintf(types + len, sizeof(types) - len, "%s%.*s", i == 0 ? "" : " ", (int)type.len,
		    type.data);
		rd_kafka_message_destroy(m);
	}
	return types;
}

static void
wait_parked(int count)
{
	env_wait_int(&env, count, SOON_MS, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
}

/* The event of that id is set aside with its row as it was, and says why. */
static void
check_parked(int64_t id, const char *reason)
{
	struct error err;
	PGresult *res __attribute__((cleanup(db_clear))) = db_query(env.db, &err,
	    "SELECT p.reason, p.key IS NOT DISTINCT FROM t.aggregate_id, p.event - 'sent_at' = to_jsonb(t) - 'sent_at',"
	    " p.relation = 'outbox_events'::regclass, p.resolved_at IS NULL, p.parked_by = '%s',"
	    " p.event->'sent_at' = 'null' FROM pgoutbox.parked p JOIN outbox_events t ON t.id = p.event_row"
	    " WHERE p.event_row = %lld AND p.state = 'parked'",
	    env.name, (long long)id);

	env_must(res == NULL ? -1 : 0, &err, "parked");
	TAP_INT_FATAL(PQntuples(res), 1);
	tap_diag("parked: %s", PQgetvalue(res, 0, 0));
	TAP_HAS(PQgetvalue(res, 0, 0), reason);
	CU_ASSERT(strstr(PQgetvalue(res, 0, 0), "confidential") == NULL);
	for (int i = 1; i < PQnfields(res); i++)
		TAP_STR(PQgetvalue(res, 0, i), "t");
}

/* Its name as an SQL literal. */
static void
make_small_topic(const char *suffix, char *ret_sql, size_t size)
{
	char name[80];
	struct error err;

	snprintf(name, sizeof(name), "%s.%s", env.name, suffix);
	snprintf(ret_sql, size, "'%s'", name);
	ENV_MUST(topic_create_with(env.kafka, name, 1, "max.message.bytes", "2000", &err), &err);
}

static void
every_kind_is_parked_with_its_reason(void)
{
	static const char many[] =
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, headers, topic)"
	    " VALUES (%s, '%s', 'made', jsonb_build_object('pin', '1234-confidential', 'pad', repeat('x', %d)), %s, %s)"
	    " RETURNING id";
	struct env_config cfg = {.conninfo = NULL};
	char small_sql[96], smaller_sql[96];
	int64_t bad_topic, long_topic, nested, taken, large, unforeseen, no_type;

	if (!env_begin(&env))
		return;
	begin(&cfg);
	make_small_topic("small", small_sql, sizeof(small_sql));
	make_small_topic("smaller", smaller_sql, sizeof(smaller_sql));
	env_exec(&env, "ALTER TABLE outbox_events ALTER aggregate_type DROP NOT NULL");
	/* The first event makes the producer ask for the topic's limit, and anew with smaller batches; the second makes
	 * the new one ask. */
	for (int i = 0; i < 2; i++) {
		(void)env_int(&env, many, "'account'", "k0", 10, "NULL", small_sql);
		env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
		proc_sleep_ms(1000);
	}
	bad_topic = env_int(&env, many, "'account'", "k1", 10, "NULL", "'bad topic!'");
	long_topic = env_int(&env, many, "'account'", "k2", 10, "NULL", "repeat('t', 250)");
	nested = env_int(&env, many, "'account'", "k3", 10, "'{\"a\": {\"b\": \"1234-confidential\"}}'", "NULL");
	taken = env_int(&env, many, "'account'", "k4", 10, "'{\"id\": \"1234-confidential\"}'", "NULL");
	large = env_int(&env, many, "'account'", "k5", 5000, "NULL", small_sql);
	no_type = env_int(&env, many, "NULL", "k6", 10, "NULL", "NULL");
	(void)env_int(&env, many, "'account'", "k5", 500, "NULL", small_sql); /* waits */
	insert("k7", "good", NULL);
	TAP_STR(arrived(1, SOON_MS), "good");
	wait_parked(6);
	/* Its topic's limit may not be known yet: the broker refuses it then. */
	unforeseen = env_int(&env, many, "'account'", "k8", 5000, "NULL", smaller_sql);
	wait_parked(7);
	check_parked(bad_topic, "bad topic!");
	check_parked(long_topic, "topic");
	check_parked(nested, "header \"a\"");
	check_parked(taken, "\"id\"");
	check_parked(large, "allows 2000");
	check_parked(unforeseen, "");
	check_parked(no_type, "aggregate_type");
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_parked_total") == 7);
	CU_ASSERT(!proc_log_has(&env.daemons[0], "confidential"));
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"), 1);
	env_daemon_stop(&env, 0);
	TAP_INT(env_int(&env, "SELECT count(*) FROM pgoutbox.parked"), 7);
}

/* The copy of a parked row names columns: lanes learn what the table is like now, and nobody has to start the daemon again. */
static void
column_is_dropped(void)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *topic;
	struct error err;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	env_exec(&env, "ALTER TABLE outbox_events ADD gone json");
	topic = env_topic(&env, "account");
	ENV_MUST(topic_reader_open(env.kafka, &topic, 1, 10000, &reader, &err), &err);
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 60000);
	insert("k1", "good", NULL);
	TAP_STR(arrived(1, SOON_MS), "good");
	env_exec(&env, "ALTER TABLE outbox_events DROP gone");
	insert("k2", "bad", "bad topic!");
	wait_parked(1);
	insert("k1", "again", NULL);
	TAP_STR(arrived(1, SOON_MS), "again");
	env_daemon_stop(&env, 0);
}

/* Of so many keys some share a lane with the blocked one, and some do not. */
static void
check_blocked(const struct env_config *cfg, int keys)
{
	begin(cfg);
	insert("blocked", "a1", NULL);
	TAP_STR(arrived(1, SOON_MS), "a1");
	insert("blocked", "a2", "bad topic!");
	insert("blocked", "a3", NULL);
	insert("blocked", "a4", NULL);
	wait_parked(1);
	for (int i = 0; i < keys; i++) {
		char key[16];

		snprintf(key, sizeof(key), "free-%d", i);
		insert(key, "b", NULL);
	}
	for (int i = 0; i < keys; i++)
		TAP_STR(arrived(1, SOON_MS), "b");
	TAP_STR(arrived(1, FEW_MS), "");
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"), 2);
}

static void
a_blocked_key_waits_and_flows_when_skipped(void)
{
	struct env_config cfg = {.outbox_lines = "  poison: block_key\n"};

	if (!env_begin(&env))
		return;
	check_blocked(&cfg, 12);
	/* Another relay, and a restart, hold it back too. */
	env_daemon_stop(&env, 0);
	env_daemon_start(&env, 1, &cfg);
	env_daemon_ready(&env, 1, 60000);
	insert("blocked", "a5", NULL);
	insert("free-0", "b", NULL);
	TAP_STR(arrived(1, SOON_MS), "b");
	TAP_STR(arrived(1, FEW_MS), "");
	env_exec(&env, "UPDATE pgoutbox.parked SET state = 'skipped', resolved_at = now(), resolved_by = 'test'");
	TAP_STR(arrived(3, SOON_MS), "a3 a4 a5");
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	insert("blocked", "a6", NULL);
	TAP_STR(arrived(1, SOON_MS), "a6");
	env_daemon_stop(&env, 1);
}

static void
a_repaired_event_arrives_before_its_successors(void)
{
	struct env_config cfg = {.conninfo = NULL};

	if (!env_begin(&env))
		return;
	check_blocked(&cfg, 3);
	insert("blocked", "a5", "bad topic, too!");
	insert("blocked", "a6", NULL);
	env_exec(&env,
	    "BEGIN; UPDATE outbox_events SET topic = NULL, sent_at = NULL WHERE event_type = 'a2';"
	    " UPDATE pgoutbox.parked SET state = 'retried', resolved_at = now(), resolved_by = 'test'; COMMIT");
	TAP_STR(arrived(3, SOON_MS), "a2 a3 a4");
	wait_parked(1); /* now a5 */
	TAP_STR(arrived(1, FEW_MS), "");
	env_exec(&env,
	    "BEGIN; UPDATE outbox_events SET topic = NULL, sent_at = NULL WHERE event_type = 'a5';"
	    " UPDATE pgoutbox.parked SET state = 'retried', resolved_at = now(), resolved_by = 'test' WHERE state = 'parked';"
	    " COMMIT");
	TAP_STR(arrived(2, SOON_MS), "a5 a6");
	TAP_STR(arrived(1, FEW_MS), "");
	env_daemon_stop(&env, 0);
}

static void
two_parked_events_of_a_key_must_both_be_decided(void)
{
	struct env_config cfg = {.conninfo = NULL};

	if (!env_begin(&env))
		return;
	begin(&cfg);
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, topic)"
	    " SELECT 'account', 'k', 'a' || n, '{}', CASE WHEN n IN (2, 4) THEN 'bad topic!' END"
	    " FROM generate_series(1, 5) n ORDER BY n");
	TAP_STR(arrived(1, SOON_MS), "a1");
	wait_parked(1); /* what is behind a2 is not even looked at */
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"), 3);
	env_exec(&env, "UPDATE pgoutbox.parked SET state = 'skipped', resolved_at = now()");
	TAP_STR(arrived(1, SOON_MS), "a3");
	wait_parked(1);
	TAP_STR(arrived(1, FEW_MS), "");
	env_exec(&env, "UPDATE pgoutbox.parked SET state = 'skipped', resolved_at = now() WHERE state = 'parked'");
	TAP_STR(arrived(1, SOON_MS), "a5");
	env_daemon_stop(&env, 0);
}

/* "pgoutboxctl parked ..." as an administrator, on all that is parked. */
static void
tool(const struct env_config *cfg, int status, const char *verb, const char *yes)
{
	char database[256], *output = NULL;
	const char *argv[] = {env_program("pgoutboxctl"), "-c", env_write_config(&env, "ctl", 1, cfg), database,
	                      "parked", verb, "--all", yes, NULL};

	snprintf(database, sizeof(database), "--database=%s", env.super);
	TAP_INT(proc_run(argv, 15000, &output), status);
	tap_diag("%s", output);
	free(output);
}

static void
skip_lets_later_events_pass(void)
{
	struct env_config cfg = {.outbox_lines = "  poison: skip\n"};

	if (!env_begin(&env))
		return;
	begin(&cfg);
	for (int i = 0; i < 3; i++) {
		insert("k", "a1", NULL);
		insert("k", "a2", "bad topic!");
		insert("k", "a3", NULL);
	}
	TAP_STR(arrived(6, SOON_MS), "a1 a3 a1 a3 a1 a3");
	wait_parked(3);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_overtaken_total") == 0);
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	/* Mended and offered again they come late. */
	env_exec(&env, "UPDATE outbox_events SET topic = NULL WHERE event_type = 'a2'");
	tool(&cfg, 0, "retry", NULL);
	TAP_STR(arrived(3, SOON_MS), "a2 a2 a2");
	env_daemon_stop(&env, 0);
}

/* The first of three events is larger than its topic takes, and parked before there are others: whether the relay or the
 * broker finds that out makes no difference then. Returns the topic's name. */
static const char *
park_a_large_one(const struct env_config *cfg)
{
	static char topic[80];
	struct error err;

	snprintf(topic, sizeof(topic), "%s.small", env.name);
	ENV_MUST(topic_create_with(env.kafka, topic, 1, "max.message.bytes", "2000", &err), &err);
	begin_with(cfg, topic);
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	    " VALUES ('small', 'k', 'a1', to_jsonb(repeat('x', 5000)))");
	wait_parked(1);
	insert("k", "a2", topic);
	insert("k", "a3", topic);
	insert("free", "b1", topic);
	TAP_STR(arrived(1, SOON_MS), "b1");
	TAP_STR(arrived(1, FEW_MS), "");
	return topic;
}

/* The broker's word that it is done comes a little before it is. */
static void
mend(const char *topic)
{
	struct error err;

	ENV_MUST(topic_set(env.kafka, topic, "max.message.bytes", "100000", &err), &err);
	proc_sleep_ms(2000);
}

static void
the_tool_offers_again_and_gives_up(void)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *topic;

	if (!env_begin(&env))
		return;
	topic = park_a_large_one(&cfg);
	mend(topic);
	tool(&cfg, 0, "retry", NULL);
	TAP_STR(arrived(3, SOON_MS), "a1 a2 a3");
	insert("k", "c1", "bad topic!");
	insert("k", "c2", topic);
	insert("k", "c3", topic);
	wait_parked(1);
	/* The cause is still there: it is parked again, and what is behind it still waits. */
	tool(&cfg, 0, "retry", NULL);
	env_wait_int(&env, 3, SOON_MS, "SELECT count(*) FROM pgoutbox.parked");
	tool(&cfg, 64, "skip", NULL);
	TAP_STR(arrived(1, FEW_MS), "");
	tool(&cfg, 0, "skip", "--yes");
	TAP_STR(arrived(2, SOON_MS), "c2 c3");
	TAP_INT(env_int(&env,
	            "SELECT count(*) FROM pgoutbox.parked WHERE resolved_by = session_user AND resolved_at IS NOT NULL"
	            " AND state = CASE id WHEN 3 THEN 'skipped' ELSE 'retried' END"), 3);
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	TAP_STR(arrived(1, FEW_MS), "");
	env_daemon_stop(&env, 0);
}

/* Its row left the table when it was parked. */
static void
the_tool_writes_a_deleted_row_again(void)
{
	struct env_config cfg = {.outbox_lines = "  settle: delete\n"};

	if (!env_begin(&env))
		return;
	mend(park_a_large_one(&cfg));
	tool(&cfg, 0, "retry", NULL);
	TAP_STR(arrived(3, SOON_MS), "a1 a2 a3");
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events");
	env_daemon_stop(&env, 0);
}

static void
settling_by_delete_parks_the_whole_row(void)
{
	struct env_config cfg = {.outbox_lines = "  settle: delete\n"};

	if (!env_begin(&env))
		return;
	begin(&cfg);
	insert("k", "a1", "bad topic!");
	insert("k", "a2", NULL);
	wait_parked(1);
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events"), 1);
	TAP_INT(env_int(&env,
	            "SELECT count(*) FROM pgoutbox.parked"
	            " WHERE event->>'event_type' = 'a1' AND event->>'topic' = 'bad topic!'"
	            " AND event->'payload' = '{\"pin\": \"1234-confidential\"}' AND event->>'event_id' IS NOT NULL"), 1);
	/* The operator writes the row anew, under its own id. */
	env_exec(&env,
	    "BEGIN; INSERT INTO outbox_events OVERRIDING SYSTEM VALUE"
	    " SELECT (jsonb_populate_record(NULL::outbox_events, event - 'topic')).* FROM pgoutbox.parked;"
	    " UPDATE pgoutbox.parked SET state = 'retried', resolved_at = now(); COMMIT");
	TAP_STR(arrived(2, SOON_MS), "a1 a2");
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events");
	env_daemon_stop(&env, 0);
}

int
main(void)
{
	tap_suite_fixture("parked", NULL, end);
	tap_test("every kind is parked with its row and a reason", every_kind_is_parked_with_its_reason);
	tap_test("a column is dropped", column_is_dropped);
	tap_test("a blocked key waits, and flows when the event is skipped", a_blocked_key_waits_and_flows_when_skipped);
	tap_test("a repaired event arrives before its successors", a_repaired_event_arrives_before_its_successors);
	tap_test("two parked events of a key must both be decided", two_parked_events_of_a_key_must_both_be_decided);
	tap_test("poison skip lets later events pass", skip_lets_later_events_pass);
	tap_test("the tool offers events again, and gives them up", the_tool_offers_again_and_gives_up);
	tap_test("the tool writes a deleted row again", the_tool_writes_a_deleted_row_again);
	tap_test("settling by delete parks the whole row", settling_by_delete_parks_the_whole_row);
	return tap_run();
}
