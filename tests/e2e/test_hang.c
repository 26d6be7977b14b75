/* test_hang.c - a relay that hangs, or whose host vanishes, loses its lanes in time; when it wakes it does no harm. */
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "support/db.h"
#include "support/env.h"
#include "support/load.h"
#include "support/proxy.h"
#include "support/relays.h"
#include "support/servers.h"
#include "support/tap.h"

enum { LANES = 4, SESSION_MS = 3000, BATCH = 1000 };

/* The server ends the sessions within session_timeout, two looks of the other relay follow. What is asked of a busy
 * machine is less. */
enum { TAKEOVER_MS = SESSION_MS + 2000, TAKEOVER_LATEST_MS = SESSION_MS + 5000 };

#define DATABASE_LINES "  session_timeout: 3s\n"

static const int both[] = {0, 1};

static struct env env;
static struct load load;
static struct proxy *proxy;
static struct audit_report report;
static const char *topic;

static void
end(void)
{
	servers_heal();
	proxy_close(&proxy);
	env_end(&env);
}

static bool
begin(const struct env_config *cfg)
{
	if (!servers_ours() || !env_begin(&env))
		return false;
	env_init(&env, cfg);
	topic = env_topic(&env, "account");
	return true;
}

static void
write_for(double seconds)
{
	load.opt = WRITER_DEFAULTS;
	load.opt.conninfo = env.super;
	load.opt.events_per_second = 1500;
	load.opt.events = (int64_t)(seconds * load.opt.events_per_second);
	load_start(&load);
}

/* Few keys, so that what two relays send meets; a crowd, so that much is on its way. */
static void
write_crowd(int round)
{
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	    " SELECT 'account', 'crowd-' || %d || '-' || n %% 40, 'made', '{}' FROM generate_series(1, 20000) n",
	    round);
}

static void
wait_for_sent(int i, double more)
{
	double wanted = env_metric(&env, i, "pgoutbox_events_sent_total") + more;

	for (int ms = 0; ms < 10000 && env_metric(&env, i, "pgoutbox_events_sent_total") < wanted; ms += 5)
		proc_sleep_ms(5);
}

static void
finish(int64_t allowed_repeats)
{
	load_join(&load);
	env_wait_int(&env, 0, 60000,
	    "SELECT count(*) FROM (SELECT FROM outbox_events WHERE sent_at IS NULL LIMIT 1) r");
	for (int i = 0; i < 2; i++)
		env_daemon_stop(&env, i);
	env_audit_repeats(&env, topic, &report);
	tap_diag("%lld events, %lld repeated", (long long)report.committed, (long long)report.duplicates);
	CU_ASSERT(report.duplicates <= allowed_repeats);
}

static void
taken_over(const char *what, int64_t took_ms)
{
	tap_diag("%s: the other serves all lanes after %lld ms", what, (long long)took_ms);
	if (took_ms > TAKEOVER_MS)
		tap_diag("slower than %d ms: is the machine busy?", TAKEOVER_MS);
	CU_ASSERT(took_ms < TAKEOVER_LATEST_MS);
}

/* Stopped in the middle of something, and woken when the other has its lanes. */
static void
hang_while_kafka_serves(void)
{
	int64_t stopped_us;

	write_crowd(0);
	wait_for_sent(0, 3000);
	stopped_us = clock_mono_us();
	proc_stop(&env.daemons[0]);
	taken_over("stopped", relays_serve(&env, "stopped", stopped_us, 30000));
	proc_continue(&env.daemons[0]);
	tap_diag("awake: they share again after %lld ms", (long long)relays_wait_even(&env, both, 2, LANES));
}

/* The worst: Kafka stands still as well, so that the producer is full when the relay is stopped, and what the two of them
 * have sent and still want to send meets when all wake. */
static void
hang_while_kafka_stands(void)
{
	write_crowd(1);
	wait_for_sent(0, 1000);
	servers_kafka_signal(SIGSTOP);
	proc_sleep_ms(100);
	proc_stop(&env.daemons[0]);
	proc_sleep_ms(SESSION_MS + 1300);
	proc_continue(&env.daemons[0]);
	proc_sleep_ms(5);
	servers_kafka_signal(SIGCONT);
	relays_wait_even(&env, both, 2, LANES);
}

static void
a_hung_relay_does_no_harm(void)
{
	struct env_config cfg = {.database_lines = DATABASE_LINES};

	if (!begin(&cfg))
		return;
	relays_start(&env, 0, &cfg);
	relays_start(&env, 1, &cfg);
	relays_wait_even(&env, both, 2, LANES);
	write_for(11);
	hang_while_kafka_serves();
	CU_ASSERT(proc_log_has(&env.daemons[0], "id=relay-hung"));
	hang_while_kafka_stands();
	finish(2 * LANES * BATCH);
}

/* Nothing of a vanished host reaches PostgreSQL, not even its end. (Where TCP itself sees it, keepalives are quicker.) */
static void
a_vanished_host_loses_its_lanes(void)
{
	struct env_config cfg = {.database_lines = DATABASE_LINES}, far = cfg;
	char *host, *port, *conninfo, proxy_text[16];
	struct error err;
	int64_t vanished_us;

	if (!begin(&cfg))
		return;
	host = db_conninfo_get(env.conninfo, "host");
	port = db_conninfo_get(env.conninfo, "port");
	ENV_MUST(proxy_new(host, atoi(port), &proxy, &err), &err);
	snprintf(proxy_text, sizeof(proxy_text), "%d", proxy_port(proxy));
	conninfo = db_conninfo(env.conninfo, "host", "127.0.0.1", "port", proxy_text, NULL);
	far.conninfo = conninfo;
	relays_start(&env, 0, &far);
	relays_start(&env, 1, &cfg);
	relays_wait_even(&env, both, 2, LANES);
	write_for(5);
	proc_sleep_ms(500);
	vanished_us = clock_mono_us();
	proxy_set_mode(proxy, PROXY_DROP);
	taken_over("vanished", relays_serve(&env, "vanished", vanished_us, 30000));
	proxy_set_mode(proxy, PROXY_PASS);
	tap_diag("back: they share again after %lld ms", (long long)relays_wait_even(&env, both, 2, LANES));
	finish(LANES * BATCH);
	free(conninfo);
	free(host);
	free(port);
}

int
main(void)
{
	tap_suite_fixture("hang", NULL, end);
	tap_test("a hung relay loses its lanes and does no harm when it wakes", a_hung_relay_does_no_harm);
	tap_test("a vanished host loses its lanes", a_vanished_host_loses_its_lanes);
	return tap_run();
}
