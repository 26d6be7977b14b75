/* test_sharing.c - several relays on one outbox: even shares, one that dies or hangs is replaced, coming and going
 * harms nothing. */
#include <stdlib.h>

#include "base/clock.h"
#include "support/env.h"
#include "support/load.h"
#include "support/tap.h"

enum { LANES = 4, SHARED_MS = 10000 };

static struct env env;
static struct load load;

static void
end(void)
{
	env_end(&env);
}

static int
owned(int i)
{
	return (int)env_metric(&env, i, "pgoutbox_lanes_owned");
}

/* Waits until each of the relays has lanes/count lanes or one more, all in all. Says how long it took. */
static int64_t
wait_shared(const int *relays, int count)
{
	int64_t start_us = clock_mono_us();
	bool even = false;

	while (!even && clock_mono_us() - start_us < (int64_t)SHARED_MS * 1000) {
		int sum = 0;

		even = true;
		for (int i = 0; i < count; i++) {
			int n = owned(relays[i]);

			sum += n;
			even = even && n >= LANES / count && n <= (LANES + count - 1) / count;
		}
		even = even && sum == LANES;
		if (!even)
			proc_sleep_ms(20);
	}
	for (int i = 0; i < count && !even; i++)
		tap_diag("daemon %d owns %d lanes", relays[i], owned(relays[i]));
	CU_ASSERT_FATAL(even);
	return (clock_mono_us() - start_us) / 1000;
}

static void
start(int i, const struct env_config *cfg)
{
	env_daemon_start(&env, i, cfg);
	env_daemon_ready(&env, i, 15000);
}

static void
write_at(double events_per_second, int64_t events)
{
	load.opt = WRITER_DEFAULTS;
	load.opt.conninfo = env.super;
	load.opt.events_per_second = events_per_second;
	load.opt.events = events;
	load_start(&load);
}

static void
finish(int count)
{
	load_join(&load);
	env_wait_int(&env, 0, 30000, "SELECT count(*) FROM (SELECT FROM outbox_events WHERE sent_at IS NULL LIMIT 1) r");
	for (int i = 0; i < count; i++)
		if (proc_running(&env.daemons[i]))
			env_daemon_stop(&env, i);
}

static void
relays_share_evenly_and_replace_a_dead_one(void)
{
	struct env_config cfg = {.conninfo = NULL};
	struct audit_report report;
	const char *topic;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	write_at(1500, 15000);
	start(0, &cfg);
	wait_shared((const int[]){0}, 1);
	start(1, &cfg);
	tap_diag("two share after %lld ms", (long long)wait_shared((const int[]){0, 1}, 2));
	start(2, &cfg);
	tap_diag("three share after %lld ms", (long long)wait_shared((const int[]){0, 1, 2}, 3));
	proc_kill(&env.daemons[1]);
	tap_diag("a dead one is replaced after %lld ms", (long long)wait_shared((const int[]){0, 2}, 2));
	finish(3);
	env_audit_repeats(&env, topic, &report);
	tap_diag("%lld repeated", (long long)report.duplicates);
	CU_ASSERT(report.duplicates <= (int64_t)LANES * 1000);
}

static void
a_hung_relay_loses_its_lanes(void)
{
	struct env_config cfg = {.database_lines = "  session_timeout: 3s\n"};
	struct audit_report report;
	const char *topic;
	int64_t took_ms;
	double sent;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	write_at(1500, 18000);
	start(0, &cfg);
	start(1, &cfg);
	wait_shared((const int[]){0, 1}, 2);
	sent = env_metric(&env, 0, "pgoutbox_events_sent_total");
	/* In the middle of something. */
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	               " SELECT 'account', 'more-' || n %% 100, 'made', '{}' FROM generate_series(1, 40000) n");
	while (env_metric(&env, 0, "pgoutbox_events_sent_total") < sent + 5000)
		proc_sleep_ms(5);
	proc_stop(&env.daemons[0]);
	took_ms = wait_shared((const int[]){1}, 1);
	tap_diag("the other has all lanes after %lld ms", (long long)took_ms);
	proc_sleep_ms(500);
	proc_continue(&env.daemons[0]);
	tap_diag("they share again after %lld ms", (long long)wait_shared((const int[]){0, 1}, 2));
	finish(2);
	env_audit_repeats(&env, topic, &report);
	tap_diag("%lld repeated", (long long)report.duplicates);
	CU_ASSERT(report.duplicates <= (int64_t)LANES * 1000);
}

static void
coming_and_going_repeats_nothing(void)
{
	struct env_config cfg = {.conninfo = NULL};
	struct audit_report report;
	const char *topic;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	write_at(2500, 30000);
	start(0, &cfg);
	for (int i = 0; i < 3; i++) {
		start(1, &cfg);
		wait_shared((const int[]){0, 1}, 2);
		env_daemon_stop(&env, 0);
		wait_shared((const int[]){1}, 1);
		start(0, &cfg);
		start(2, &cfg);
		wait_shared((const int[]){0, 1, 2}, 3);
		env_daemon_stop(&env, 1);
		env_daemon_stop(&env, 2);
	}
	finish(3);
	env_audit(&env, topic, false, &report);
	TAP_INT(report.committed, 30000);
}

int
main(void)
{
	tap_suite_fixture("sharing", NULL, end);
	tap_test("relays share evenly and replace a dead one", relays_share_evenly_and_replace_a_dead_one);
	tap_test("a hung relay loses its lanes", a_hung_relay_loses_its_lanes);
	tap_test("coming and going under load repeats nothing", coming_and_going_repeats_nothing);
	return tap_run();
}
