/* test_upkeep.c - what the daemon does beside relaying: it prunes, counts what waits, is woken up, tells its state and
 * stops. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/env.h"
#include "support/load.h"
#include "support/ports.h"
#include "support/tap.h"
#include "support/topic.h"

static struct env env;
static struct load load;

static void
end(void)
{
	env_end(&env);
}

/* Nobody listens there: a Kafka that is away. */
static const char *
nowhere(void)
{
	static char brokers[32];

	snprintf(brokers, sizeof(brokers), "127.0.0.1:%d", ports_take());
	return brokers;
}

static void
wait_metric(int i, const char *name, double wanted, int timeout_ms)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
	double value;

	while ((value = env_metric(&env, i, name)) != wanted && clock_mono_us() < deadline_us)
		proc_sleep_ms(50);
	if (value != wanted)
		tap_diag("%s is %g, not %g", name, value, wanted);
	CU_ASSERT_FATAL(value == wanted);
}

/* So many events, the oldest of them first, sent so long ago; NULL = unsent. */
static void
insert(int count, const char *sent_ago)
{
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, sent_at)"
	    " SELECT 'account', 'key-' || n %% 100, 'made', '{}', now() - %s%s%s::interval FROM generate_series(1, %d) n",
	    sent_ago == NULL ? "" : "'", sent_ago == NULL ? "NULL" : sent_ago, sent_ago == NULL ? "" : "'", count);
}

/* Every statement that deletes from the outbox leaves the number of its rows behind. */
static void
watch_deletes(void)
{
	env_exec(&env,
	    "CREATE TABLE deletes (rows int8);"
	    "CREATE FUNCTION note_delete() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
	    " 'BEGIN INSERT INTO public.deletes SELECT count(*) FROM gone; RETURN NULL; END';"
	    "CREATE TRIGGER note_delete AFTER DELETE ON outbox_events REFERENCING OLD TABLE AS gone"
	    " FOR EACH STATEMENT EXECUTE FUNCTION note_delete()");
}

static void
old_sent_rows_are_pruned_by_one_relay(void)
{
	struct env_config cfg = {.outbox_lines = "  retention: 1h\n  stop_timeout: 1s\n", .brokers = nowhere()};
	double first, second;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	watch_deletes();
	insert(1, NULL);
	insert(1500, "2 hours");
	insert(700, "30 minutes");
	insert(2000, "61 minutes");
	insert(10, NULL);
	insert(5, "10 days");
	for (int i = 0; i < 2; i++)
		env_daemon_start(&env, i, &cfg);
	env_wait_int(&env, 11 + 700, 60000, "SELECT count(*) FROM outbox_events");
	tap_diag("first pass over");
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"), 11);
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at < now() - interval '1 hour'"), 0);
	TAP_INT(env_int(&env, "SELECT sum(rows)::int8 FROM deletes"), 3505);
	CU_ASSERT(env_int(&env, "SELECT max(rows) FROM deletes") <= 1000);
	/* A relay counts what it has deleted once it has heard of the commit. */
	for (int i = 0; i < 600; i++) {
		first = env_metric(&env, 0, "pgoutbox_events_pruned_total");
		second = env_metric(&env, 1, "pgoutbox_events_pruned_total");
		if (first + second >= 3505)
			break;
		proc_sleep_ms(50);
	}
	CU_ASSERT(first + second == 3505);
	CU_ASSERT(first == 0 || second == 0);
	/* What grows old later goes in a later pass. */
	env_exec(&env, "UPDATE outbox_events SET sent_at = sent_at - interval '1 hour' WHERE sent_at IS NOT NULL");
	env_wait_int(&env, 11, 60000, "SELECT count(*) FROM outbox_events");
	tap_diag("second pass over");
	for (int i = 0; i < 2; i++)
		env_daemon_stop(&env, i);
}

static void
retention_never_prunes_nothing(void)
{
	struct env_config cfg = {.outbox_lines = "  retention: never\n"};

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	insert(100, "1000 days");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 60000);
	proc_sleep_ms(2000);
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events"), 100);
	env_daemon_stop(&env, 0);
}

static void
drain(struct topic_reader *reader)
{
	rd_kafka_message_t *m;

	while ((m = topic_reader_next(reader, 200)) != NULL)
		rd_kafka_message_destroy(m);
}

static void
notification_wakes_a_slow_poller(void)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	struct env_config cfg = {.outbox_lines = "  notify: true\n  poll_min: 1m\n  poll_max: 1m\n"};
	struct error err;
	const char *topic;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg); /* as with --notify */
	TAP_INT(env_int(&env, "SELECT count(*) FROM pg_trigger WHERE tgname = 'pgoutbox_notify'"), 1);
	topic = env_topic(&env, "account");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 60000);
	ENV_MUST(topic_reader_open(env.kafka, &topic, 1, 10000, &reader, &err), &err);
	insert(400, NULL); /* of every lane, so that nothing is new to it */
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	drain(reader);
	for (int i = 0; i < 8; i++) {
		int64_t start_us = clock_mono_us(), took_ms;
		rd_kafka_message_t *m;

		insert(1, NULL);
		m = topic_reader_next(reader, 30000); /* half of what a poll would take */
		took_ms = (clock_mono_us() - start_us) / 1000;
		tap_diag("arrived after %lld ms", (long long)took_ms);
		CU_ASSERT_FATAL(m != NULL);
		rd_kafka_message_destroy(m);
		proc_sleep_ms(i * 50);
	}
	env_daemon_stop(&env, 0);
}

static void
pending_is_counted_then_estimated(void)
{
	struct env_config cfg = {.outbox_lines = "  stop_timeout: 1s\n", .brokers = nowhere()};
	double pending, oldest;
	int64_t oldest_db;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	env_daemon_start(&env, 0, &cfg);
	wait_metric(0, "pgoutbox_pending_events", 0, 60000);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_oldest_unsent_event_timestamp_seconds") == 0);
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, created_at)"
	    " VALUES ('account', 'key-1', 'made', '{}', '2024-02-29 12:00:00.25+00')");
	insert(6999, NULL);
	wait_metric(0, "pgoutbox_pending_events", 7000, 60000);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_pending_exact") == 1);
	oldest = env_metric(&env, 0, "pgoutbox_oldest_unsent_event_timestamp_seconds");
	oldest_db = env_int(&env, "SELECT extract(epoch FROM min(created_at))::int8 FROM outbox_events");
	CU_ASSERT(oldest > (double)oldest_db - 1 && oldest < (double)oldest_db + 1);
	insert(43000, NULL);
	wait_metric(0, "pgoutbox_pending_exact", 0, 60000);
	pending = env_metric(&env, 0, "pgoutbox_pending_events");
	tap_diag("50000 events pending are estimated as %.0f", pending);
	CU_ASSERT(pending >= 45000 && pending <= 60000);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_oldest_unsent_event_timestamp_seconds") == oldest);
	env_daemon_stop(&env, 0);
}

static void
sigusr1_logs_the_state(void)
{
	struct env_config cfg = {.outbox_lines = "  stop_timeout: 1s\n  hold_max: 200ms\n", .brokers = nowhere()};
	struct error err;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	insert(1000, NULL);
	env_daemon_start(&env, 0, &cfg);
	wait_metric(0, "pgoutbox_lanes_detached", 4, 60000);
	proc_signal(&env.daemons[0], SIGUSR1);
	ENV_MUST(proc_wait_text(&env.daemons[0], "state-relay", 60000, &err), &err);
	ENV_MUST(proc_wait_text(&env.daemons[0], "lane 3: ", 60000, &err), &err);
	CU_ASSERT(proc_log_has(&env.daemons[0], "200 events with Kafka"));
	CU_ASSERT(proc_log_has(&env.daemons[0], "1 batches stranded: 50 with Kafka"));
	CU_ASSERT(proc_running(&env.daemons[0]));
	env_daemon_stop(&env, 0);
}

/* The time that a SIGTERM takes, which must end well. */
static int64_t
stop_timed(int i)
{
	int64_t start_us = clock_mono_us();

	env_daemon_stop(&env, i);
	return (clock_mono_us() - start_us) / 1000;
}

static void
sigterm_without_kafka_ends_in_time(void)
{
	struct env_config away = {.outbox_lines = "  stop_timeout: 2s\n", .brokers = nowhere()};
	struct env_config cfg = {.conninfo = NULL};
	struct audit_report report;
	const char *topic;
	int64_t took_ms;

	if (!env_begin(&env))
		return;
	env_init(&env, &away);
	topic = env_topic(&env, "account");
	env_daemon_start(&env, 0, &away);
	env_daemon_ready(&env, 0, 60000);
	insert(5000, NULL);
	for (int i = 0; i < 600 && env_metric(&env, 0, "pgoutbox_in_flight_events") <= 0; i++)
		proc_sleep_ms(20);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_in_flight_events") > 0);
	took_ms = stop_timed(0); /* with the batch's transaction open */
	tap_diag("stopped after %lld ms", (long long)took_ms);
	CU_ASSERT(took_ms >= 1900 && took_ms < 2000 + 2000 + 500);
	env_daemon_start(&env, 0, &away);
	env_daemon_ready(&env, 0, 60000);
	wait_metric(0, "pgoutbox_lanes_detached", 4, 60000);
	took_ms = stop_timed(0); /* with nothing but messages in hand */
	tap_diag("stopped detached after %lld ms", (long long)took_ms);
	CU_ASSERT(took_ms >= 1900 && took_ms < 2000 + 2000 + 500);
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"), 5000);
	env_daemon_start(&env, 0, &cfg);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	env_daemon_stop(&env, 0);
	env_audit(&env, topic, false, &report);
}

static void
sigterm_under_full_load_repeats_nothing(void)
{
	struct env_config cfg = {.conninfo = NULL};
	struct audit_report report;
	const char *topic;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	insert(80000, NULL);
	load.opt = WRITER_DEFAULTS;
	load.opt.conninfo = env.super;
	load.opt.events = 20000;
	load_start(&load);
	for (int i = 0; i < 4; i++) {
		int64_t sent;

		env_daemon_start(&env, 0, &cfg);
		env_daemon_ready(&env, 0, 60000);
		proc_sleep_ms(100 + i * 150);
		sent = (int64_t)env_metric(&env, 0, "pgoutbox_events_sent_total");
		CU_ASSERT(stop_timed(0) < 5000);
		tap_diag("stopped after some %lld events", (long long)sent);
	}
	load_join(&load);
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 60000);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM (SELECT FROM outbox_events WHERE sent_at IS NULL LIMIT 1) r");
	env_daemon_stop(&env, 0);
	env_audit(&env, topic, false, &report);
	TAP_INT(report.committed, 100000);
}

#define ASLEEP \
	"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgoutboxd queries' AND wait_event = 'PgSleep' AND datname = current_database()"

/* The slow one runs for as long as events take to be relayed, and when the daemon is to stop. */
static void
queries_hold_up_nothing(void)
{
	struct env_config cfg = {.http_lines = "queries:\n  interval: 1s\n  timeout: 10m\n  sql:\n"
	                                       "    waiting: SELECT topic, count(*) AS n FROM outbox_events WHERE sent_at IS NULL GROUP BY topic\n"
	                                       "    slow: SELECT 1 AS n FROM pg_sleep(600)\n"};
	char *page = NULL;

	if (!env_begin(&env))
		return;
	(void)env_topic(&env, "account");
	env_init(&env, &cfg);
	env_daemon_start(&env, 0, &cfg);
	env_wait_int(&env, 1, 60000, ASLEEP);
	insert(500, NULL);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	env_daemon_ready(&env, 0, 60000);
	wait_metric(0, "pgoutbox_events_sent_total", 500, 60000);
	TAP_INT(env_int(&env, ASLEEP), 1);
	wait_metric(0, "pgoutbox_queries_failed_total{query=\"waiting\"}", 0, 1000);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_queries_last_success_timestamp_seconds{query=\"waiting\"}") > 0);
	TAP_INT(env_get(&env, 0, "/metrics", &page), 200);
	CU_ASSERT_PTR_NULL(strstr(page, "pgoutbox_query_slow"));
	free(page);
	env_daemon_stop(&env, 0);
	/* it does not outlive the daemon for long */
	env_wait_int(&env, 0, 60000, ASLEEP);
}

int
main(void)
{
	tap_suite_fixture("upkeep", NULL, end);
	tap_test("old sent rows are pruned in small batches by one relay", old_sent_rows_are_pruned_by_one_relay);
	tap_test("retention never prunes nothing", retention_never_prunes_nothing);
	tap_test("a notification wakes a slow poller", notification_wakes_a_slow_poller);
	tap_test("pending events are counted, above the cap estimated", pending_is_counted_then_estimated);
	tap_test("queries hold up nothing", queries_hold_up_nothing);
	tap_test("SIGUSR1 logs the state", sigusr1_logs_the_state);
	tap_test("SIGTERM without Kafka ends in time and loses nothing", sigterm_without_kafka_ends_in_time);
	tap_test("SIGTERM under full load repeats nothing", sigterm_under_full_load_repeats_nothing);
	return tap_run();
}
