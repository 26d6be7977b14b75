/* test_outage.c - Kafka, or sessions of PostgreSQL, go away under load and come back: nothing is lost, reordered, repeated or
 * parked. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "support/db.h"
#include "support/env.h"
#include "support/load.h"
#include "support/receiver.h"
#include "support/servers.h"
#include "support/tap.h"

enum { AWAY_MS = 8000, HOLD_MS = 500 };

#define UP_KAFKA "pgoutbox_up{outbox=\"outbox_events\",side=\"kafka\"}"
#define UP_POSTGRESQL "pgoutbox_up{outbox=\"outbox_events\",side=\"postgresql\"}"

static struct env env;
static struct load load;
static struct receiver receiver;

static void
end(void)
{
	servers_heal();
	receiver_stop(&receiver);
	env_end(&env);
}

static bool
begin(void)
{
	return servers_ours() && env_begin(&env);
}

static void
write_for(int seconds, double events_per_second)
{
	load.opt = WRITER_DEFAULTS;
	load.opt.conninfo = env.super;
	load.opt.reconnect_ms = 30000;
	load.opt.events_per_second = events_per_second;
	load.opt.events = (int64_t)(events_per_second * seconds);
	load_start(&load);
}

static void
wait_until_sent(int timeout_ms)
{
	env_wait_int(&env, 0, timeout_ms,
	    "SELECT count(*) FROM (SELECT FROM outbox_events WHERE sent_at IS NULL LIMIT 1) r");
}

/* Waits for a metric to be at least that. Says how long it took. */
static int64_t
wait_at_least(int i, const char *name, double value, int timeout_ms)
{
	int64_t start_us = clock_mono_us();

	while (env_metric(&env, i, name) < value && clock_mono_us() - start_us < (int64_t)timeout_ms * 1000)
		proc_sleep_ms(20);
	CU_ASSERT(env_metric(&env, i, name) >= value);
	return (clock_mono_us() - start_us) / 1000;
}

static void
check_nothing_blamed(int i)
{
	CU_ASSERT(env_metric(&env, i, "pgoutbox_events_failed_total") == 0);
	CU_ASSERT(env_metric(&env, i, "pgoutbox_events_parked_total") == 0);
	CU_ASSERT(env_metric(&env, i, "pgoutbox_events_repeatable_total") == 0);
	CU_ASSERT(env_metric(&env, i, "pgoutbox_events_overtaken_total") == 0);
	TAP_INT(env_int(&env, "SELECT count(*) FROM pgoutbox.parked"), 0);
}

/* Sessions of the daemon whose transaction is older than any it may hold. */
static int64_t
old_transactions(void)
{
	return env_int(&env,
	    "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND now() - xact_start > interval '%d ms'",
	    env.name, HOLD_MS * 3);
}

/* Kafka is away from here on: an outage like any other. */
static void
watch_outage(void)
{
	int64_t start_us = clock_mono_us(), sent;

	proc_sleep_ms(HOLD_MS * 5);
	sent = (int64_t)env_metric(&env, 0, "pgoutbox_events_sent_total");
	while (clock_mono_us() - start_us < (int64_t)AWAY_MS * 1000) {
		TAP_INT(old_transactions(), 0);
		proc_sleep_ms(100);
	}
	CU_ASSERT(env_metric(&env, 0, UP_KAFKA) == 0);
	CU_ASSERT(env_metric(&env, 0, UP_POSTGRESQL) == 1);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_lanes_detached") == 4);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_in_flight_events") <= 4 * 1000);
	TAP_INT(env_metric(&env, 0, "pgoutbox_events_sent_total"), sent);
	CU_ASSERT(proc_running(&env.daemons[0]));
}

#define SECRET "a secret of the test"

/* A path below the test's directory with this content, good until the next call. */
static const char *
put(const char *name, const char *text)
{
	static char path[256];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", env.dir, name);
	out = fopen(path, "we");
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	fprintf(out, "%s\n", text);
	fclose(out);
	CU_ASSERT_FATAL(chmod(path, 0640) == 0);
	return path;
}

/* A section behind the last of the file. */
static void
hook_lines(char *lines, size_t size)
{
	int len;

	receiver_start(&receiver);
	len = snprintf(lines, size, "webhook:\n  url_file: \"%s\"\n", put("url", receiver.url));
	snprintf(lines + len, size - (size_t)len, "  secret_file: \"%s\"\n", put("secret", SECRET));
}

static int
wait_posted(const char *event)
{
	char text[64];
	int first = -1;

	snprintf(text, sizeof(text), "\"event\":\"%s\"", event);
	for (int i = 0; i < 600 && receiver_count(&receiver, text, &first) == 0; i++)
		proc_sleep_ms(50);
	TAP_INT_FATAL(receiver_count(&receiver, text, NULL), 1);
	CU_ASSERT_TRUE(receiver_signed(&receiver, first, SECRET));
	return first;
}

/* One outage is told twice, and one event that was parked: without what is in it. */
static void
check_posts(void)
{
	int begin_post = wait_posted("outage-begin"), end_post = wait_posted("outage-end"), parked;
	const char *duration;

	CU_ASSERT(begin_post < end_post);
	TAP_HAS(receiver.kept[begin_post], "\"side\":\"kafka\"");
	TAP_HAS_FATAL(receiver.kept[end_post], "\"duration_ms\":");
	duration = strstr(receiver.kept[end_post], "\"duration_ms\":") + strlen("\"duration_ms\":");
	CU_ASSERT(strtoll(duration, NULL, 10) >= 1000);
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, topic)"
	               " VALUES ('account', 'a-key-of-ours', 'x', '{\"pin\": \"confidential\"}', 'no topic!')");
	parked = wait_posted("parked");
	TAP_HAS(receiver.kept[parked], "\"count\":1");
	TAP_INT(receiver_count(&receiver, "a-key-of-ours", NULL) + receiver_count(&receiver, "confidential", NULL), 0);
	env_exec(&env, "DELETE FROM outbox_events WHERE aggregate_id = 'a-key-of-ours'");
}

enum outage { STOPPED, KILLED, FROZEN };

static void
kafka_away(enum outage how)
{
	struct env_config cfg = {.outbox_lines = "  hold_max: 500ms\n"};
	struct audit_report report;
	char lines[600];
	const char *topic;
	double sent;

	if (!begin())
		return;
	if (how == FROZEN) {
		hook_lines(lines, sizeof(lines));
		cfg.http_lines = lines;
	}
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 60000);
	write_for(14, 1500);
	wait_at_least(0, "pgoutbox_events_sent_total", 1000, 60000);
	if (how == FROZEN)
		servers_kafka_signal(SIGSTOP);
	else
		servers_kafka(how == KILLED ? "kill9" : "stop");
	watch_outage();
	sent = env_metric(&env, 0, "pgoutbox_events_sent_total");
	if (how == FROZEN)
		servers_kafka_signal(SIGCONT);
	else
		servers_kafka("start");
	tap_diag("first delivery %lld ms after the return",
	    (long long)wait_at_least(0, "pgoutbox_events_sent_total", sent + 1, 60000));
	load_join(&load);
	wait_until_sent(60000);
	CU_ASSERT(env_metric(&env, 0, UP_KAFKA) == 1);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_outages_total{outbox=\"outbox_events\",side=\"kafka\"}") >= 1);
	check_nothing_blamed(0);
	if (how == FROZEN)
		check_posts();
	env_daemon_stop(&env, 0);
	env_audit(&env, topic, false, &report);
}

static void
kafka_is_stopped_and_started(void)
{
	kafka_away(STOPPED);
}

static void
kafka_is_killed_and_started(void)
{
	kafka_away(KILLED);
}

static void
kafka_freezes_and_thaws(void)
{
	kafka_away(FROZEN);
}

static void
start_two(const struct env_config *cfg)
{
	for (int i = 0; i < 2; i++)
		env_daemon_start(&env, i, cfg);
	for (int i = 0; i < 2; i++) {
		env_daemon_ready(&env, i, 60000);
		wait_at_least(i, "pgoutbox_lanes_owned", 2, 60000);
	}
}

static void
backends_are_killed_at_random(void)
{
	struct env_config cfg = {.conninfo = NULL};
	struct audit_report report;
	const char *topic;
	int64_t start_us, killed = 0;

	if (!begin())
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	start_two(&cfg);
	write_for(12, 2000);
	start_us = clock_mono_us();
	while (clock_mono_us() - start_us < 10000000) {
		killed += env_int(&env,
		    "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE usename = '%s'"
		    " ORDER BY random() LIMIT 1) r", env.name);
		proc_sleep_ms(150);
	}
	tap_diag("%lld sessions killed", (long long)killed);
	CU_ASSERT(killed > 20);
	load_join(&load);
	wait_until_sent(60000);
	for (int i = 0; i < 2; i++) {
		check_nothing_blamed(i);
		env_daemon_stop(&env, i);
	}
	env_audit(&env, topic, false, &report);
}

int
main(void)
{
	tap_suite_fixture("outage", NULL, end);
	tap_test("Kafka is stopped and started", kafka_is_stopped_and_started);
	tap_test("Kafka is killed and started", kafka_is_killed_and_started);
	tap_test("Kafka freezes and thaws", kafka_freezes_and_thaws);
	tap_test("backends are killed at random", backends_are_killed_at_random);
	return tap_run();
}
