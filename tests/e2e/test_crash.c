/* test_crash.c - PostgreSQL stops, and PostgreSQL crashes again and again while writers commit without waiting for the
 * disk. What a crash takes back was never published, and what is written anew under an id that it gave back arrives like
 * any other event. */
#include <stdlib.h>

#include "support/away.h"
#include "support/servers.h"
#include "support/tap.h"

enum { ROUNDS = 8, RATE = 1500 };

static struct env env;
static struct load load;

static void
end(void)
{
	servers_heal();
	if (env.db != NULL) {
		PQreset(env.db);
		env_exec(&env, "ALTER SYSTEM RESET wal_writer_delay");
	}
	env_end(&env);
}

/* Our own session died with the server, too. */
static void
connect_again(void)
{
	PQreset(env.db);
	CU_ASSERT_FATAL(PQstatus(env.db) == CONNECTION_OK);
}

static void
restarts(void)
{
	static const char *const modes[] = {"fast", "immediate"};
	struct env_config cfg = {.conninfo = NULL};
	const char *topic;

	if (!servers_ours() || !env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	for (int i = 0; i < 2; i++)
		env_daemon_start(&env, i, &cfg);
	for (int i = 0; i < 2; i++)
		away_wait_least(&env, i, LANES_OWNED, 2);
	away_write(&load, env.super, RATE, 3);
	away_wait_least(&env, 0, EVENTS_SENT, 100);
	for (int round = 0; round < 2; round++) {
		away_wait_more_sent(&env, 0);
		servers_postgres("stop", modes[round]);
		away_expect(&env, 0, 500);
		servers_postgres("start", NULL);
		connect_again();
		for (int i = 0; i < 2; i++)
			away_back(&env, i, 2);
	}
	load_join(&load);
	away_finish(&env, 2, topic);
}

static void
crash(void)
{
	proc_sleep_ms(300);
	servers_postgres("restart", "immediate");
	connect_again();
	away_wait_more_sent(&env, 0);
}

/* Nothing but what somebody waits for is flushed, and one lane settles alone, so that a commit stays in danger for long. */
static void
crashes(void)
{
	struct env_config cfg = {.outbox_lines = "  lanes: 1\n"};
	struct audit_report report;
	const char *topic;
	int64_t lost;

	if (!servers_ours() || !env_begin(&env))
		return;
	env_exec(&env, "ALTER SYSTEM SET wal_writer_delay = '10s'");
	env_exec(&env, "SELECT pg_reload_conf()");
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	env_exec(&env, "ALTER DATABASE %s SET synchronous_commit = off", env.name);
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, AWAY_HEAL_MS);
	away_write(&load, env.super, RATE, 11);
	away_wait_least(&env, 0, EVENTS_SENT, 100);
	for (int round = 0; round < ROUNDS; round++)
		crash();
	load_join(&load);
	away_settled(&env, 1);
	CU_ASSERT(env_metric(&env, 0, EVENTS_REPEATABLE) == 0);
	env_daemon_stop(&env, 0);
	env_audit(&env, topic, false, &report);
	/* What writers were told is committed. Without a loss the test has shown nothing. */
	lost = load.counts.committed - env_int(&env, "SELECT count(*) FROM outbox_events WHERE aggregate_id LIKE 'acct-%%'");
	tap_diag("%lld events kept, %lld or more lost in %d crashes", (long long)report.committed, (long long)lost, (int)ROUNDS);
	CU_ASSERT(lost > 0);
	tap_diag("%lld ids were never used, or used by what was lost",
	         (long long)env_int(&env, "SELECT max(id) - count(*) FROM outbox_events"));
}

int
main(void)
{
	tap_suite_fixture("crash", NULL, end);
	tap_test("restarts", restarts);
	tap_test("what a crash takes back was not published", crashes);
	return tap_run();
}
