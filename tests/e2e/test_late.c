/* test_late.c - events that become visible under low ids, long after higher ones were sent. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/db.h"
#include "support/env.h"
#include "support/tap.h"
#include "support/topic.h"
#include "support/writer.h"

enum { OPEN_MS = 20000, SOON_MS = 1000, LATE_EVENTS = 5 };

static struct env env;

static void
end(void)
{
	env_end(&env);
}

/* Reads until as many messages with the key prefix came, and says how long the last of them took; -1: they did not. */
static int64_t
read_keys(struct topic_reader *reader, const char *prefix, int wanted, int timeout_ms)
{
	int64_t start_us = clock_mono_us();
	int seen = 0;

	while (seen < wanted && clock_mono_us() - start_us < (int64_t)timeout_ms * 1000) {
		rd_kafka_message_t *m = topic_reader_next(reader, 100);

		if (m == NULL)
			continue;
		if (topic_key(m).len >= strlen(prefix) && memcmp(topic_key(m).data, prefix, strlen(prefix)) == 0)
			seen++;
		rd_kafka_message_destroy(m);
	}
	return seen == wanted ? (clock_mono_us() - start_us) / 1000 : -1;
}

static void
drain(struct topic_reader *reader)
{
	rd_kafka_message_t *m;

	while ((m = topic_reader_next(reader, 200)) != NULL)
		rd_kafka_message_destroy(m);
}

static const char *
start(struct topic_reader **ret_reader)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *topic;
	struct error err;

	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 60000);
	ENV_MUST(topic_reader_open(env.kafka, &topic, 1, 10000, ret_reader, &err), &err);
	return topic;
}

static void
commit_after_twenty_seconds(void)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	PGconn *late __attribute__((cleanup(db_close))) = NULL;
	struct writer_options opt = WRITER_DEFAULTS;
	int64_t begun_us, took_ms, highest_late, lowest_sent;
	struct writer_counts counts;
	struct audit_report report;
	const char *topic;
	struct error err;

	if (!env_begin(&env))
		return;
	topic = start(&reader);
	late = db_open(env.super, &err);
	env_must(late == NULL ? -1 : 0, &err, "connect");
	begun_us = clock_mono_us();
	ENV_MUST(db_exec(late, &err,
	             "BEGIN; INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	             " SELECT 'account', 'late-' || n, 'late', '{}' FROM generate_series(1, %d) n", LATE_EVENTS), &err);
	opt.conninfo = env.super;
	opt.events = 15000;
	opt.events_per_second = 1000;
	ENV_MUST(writer_prepare(&opt, &err), &err);
	ENV_MUST(writer_run(&opt, &counts, &err), &err);
	while (clock_mono_us() - begun_us < (int64_t)OPEN_MS * 1000)
		proc_sleep_ms(10);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	drain(reader);
	ENV_MUST(db_exec(late, &err, "COMMIT"), &err);
	took_ms = read_keys(reader, "late-", LATE_EVENTS, 10000);
	tap_diag("arrived %lld ms after the commit", (long long)took_ms);
	CU_ASSERT(took_ms >= 0 && took_ms <= SOON_MS);
	highest_late = env_int(&env, "SELECT max(id) FROM outbox_events WHERE event_type = 'late'");
	lowest_sent = env_int(&env, "SELECT min(id) FROM outbox_events WHERE event_type <> 'late'");
	CU_ASSERT(highest_late < lowest_sent);
	env_daemon_stop(&env, 0);
	env_audit(&env, topic, false, &report);
}

static void
ids_drawn_in_blocks(void)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	struct audit_report report;
	int64_t block[4], took_ms;
	const char *topic;

	if (!env_begin(&env))
		return;
	topic = start(&reader);
	for (int i = 0; i < 4; i++)
		block[i] = env_int(&env,
		    "SELECT min(nextval(pg_get_serial_sequence('outbox_events', 'id'))) FROM generate_series(1, 50)");
	/* The highest block first, with seconds between them, so that the relay is long past the lower ones. */
	for (int i = 3; i >= 0; i--) {
		env_exec(&env,
		    "INSERT INTO outbox_events (id, aggregate_type, aggregate_id, event_type, payload) OVERRIDING SYSTEM VALUE"
		    " SELECT n, 'account', 'block-%d-' || n %% 7, 'blocked', '{}' FROM generate_series(%lld, %lld) n",
		    i, (long long)block[i], (long long)block[i] + 49);
		took_ms = read_keys(reader, "block-", 50, 10000);
		tap_diag("block %d arrived after %lld ms", i, (long long)took_ms);
		CU_ASSERT(took_ms >= 0 && took_ms <= 2 * SOON_MS);
		proc_sleep_ms(2500);
	}
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	env_daemon_stop(&env, 0);
	env_audit(&env, topic, false, &report);
	TAP_INT(report.committed, 200);
}

int
main(void)
{
	tap_suite_fixture("late", NULL, end);
	tap_test("a commit after 20 s under low ids arrives within a second", commit_after_twenty_seconds);
	tap_test("ids drawn in blocks and inserted out of order arrive", ids_drawn_in_blocks);
	return tap_run();
}
