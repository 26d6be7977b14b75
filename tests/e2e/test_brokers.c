/* test_brokers.c - one of several brokers goes away for good and takes the only copy of some partitions with it: their keys wait, all others go
 * on. Needs three nodes: with-kafka -n 3.
 */
#include <stdio.h>

#include "base/clock.h"
#include "support/env.h"
#include "support/servers.h"
#include "support/tap.h"

enum { NODES = 3, KEYS = 600, SOON_MS = 30000 };

static struct env env;

static void
end(void)
{
	servers_heal();
	env_end(&env);
}

static bool
begin(void)
{
	if (servers_ours() && servers_kafka_nodes() < NODES) {
		tap_skip("needs three brokers: with-kafka -n 3");
		return false;
	}
	return servers_kafka_nodes() >= NODES && env_begin(&env);
}

static void
insert(int count)
{
	env_exec(&env,
	         "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	         " SELECT 'account', 'k' || n %% %d, 'x', jsonb_build_object('n', n) FROM generate_series(1, %d) n",
	         KEYS, count);
}

/* Keys of which something is unsent; of those that are not stuck, everything is sent. */
static int64_t
waiting_keys(void)
{
	return env_int(&env, "SELECT count(DISTINCT aggregate_id) FROM outbox_events WHERE sent_at IS NULL");
}

/* New leaders take their time on a busy machine: until nothing has moved for five seconds. */
static int64_t
wait_until_still(int timeout_ms)
{
	int64_t start_us = clock_mono_us(), moved_us = start_us, keys = waiting_keys();

	while (clock_mono_us() - start_us < (int64_t)timeout_ms * 1000 && clock_mono_us() - moved_us < 5000000) {
		int64_t now = waiting_keys();

		if (now != keys)
			moved_us = clock_mono_us();
		keys = now;
		proc_sleep_ms(200);
	}
	return keys;
}

static int64_t
wait_for_others(int64_t most, int timeout_ms)
{
	int64_t start_us = clock_mono_us();

	while (waiting_keys() > most && clock_mono_us() - start_us < (int64_t)timeout_ms * 1000)
		proc_sleep_ms(100);
	return waiting_keys();
}

static void
partitions_without_a_leader(void)
{
	struct env_config cfg = {.outbox_lines = "  hold_max: 500ms\n  batch_rows: 300\n"};
	struct audit_report report;
	const char *topic;
	int64_t stuck;
	double sent, failed;

	if (!begin())
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account"); /* four partitions on three brokers, one copy of each */
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, SOON_MS);
	insert(KEYS);
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	/* A broker that has not heard of the new topic yet may have refused the first of them. */
	failed = env_metric(&env, 0, "pgoutbox_events_failed_total");
	servers_kafka_node("kill9", 2);
	insert(3 * KEYS);
	wait_for_others(KEYS * 2 / 3, 2 * SOON_MS);
	stuck = wait_until_still(2 * SOON_MS);
	CU_ASSERT(stuck > 0);
	CU_ASSERT(stuck <= KEYS * 2 / 3);
	tap_diag("%lld of %d keys wait", (long long)stuck, KEYS);
	/* what comes now for the others is sent at once, and for these not at all */
	insert(3 * KEYS);
	proc_sleep_ms(3000);
	TAP_INT(wait_for_others(stuck, SOON_MS), stuck);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_held_partitions") + env_metric(&env, 0, "pgoutbox_held_topics") >= 1);
	sent = env_metric(&env, 0, "pgoutbox_events_sent_total");
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NOT NULL"), sent);
	servers_kafka_node("start", 2);
	env_wait_int(&env, 0, 2 * SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_failed_total") == failed);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_overtaken_total") == 0);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_lanes_detached") == 0);
	TAP_INT(env_int(&env, "SELECT count(*) FROM pgoutbox.parked"), 0);
	env_daemon_stop(&env, 0);
	env_audit(&env, topic, false, &report);
}

int
main(void)
{
	tap_suite_fixture("brokers", NULL, end);
	tap_test("partitions without a leader hold only their own keys", partitions_without_a_leader);
	return tap_run();
}
