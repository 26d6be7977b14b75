/* test_network.c - what lies between the daemon and PostgreSQL fails in every way that a network has: nothing is lost,
 * reordered or published twice, and the daemon comes back by itself. */
#include <stdlib.h>

#include "support/away.h"
#include "support/db.h"
#include "support/proxy.h"
#include "support/tap.h"

enum { RATE = 800, CUTS = 12, CUT_MS = 2000 };

static struct env env;
static struct load load;
static struct proxy *proxy;

static void
end(void)
{
	env_end(&env);
	proxy_close(&proxy);
}

static void
back(int lanes)
{
	proxy_set_mode(proxy, PROXY_PASS);
	away_back(&env, 0, lanes);
	away_wait_more_sent(&env, 0);
}

/* In the middle of messages, either way. */
static void
cut(void)
{
	unsigned seed = 7;

	for (int i = 0; i < CUTS; i++) {
		int64_t cuts = proxy_counts(proxy).cuts;

		proxy_cut_after(proxy, i % 2 == 0 ? PROXY_REQUESTS : PROXY_ANSWERS, 1 + rand_r(&seed) % 6000);
		for (int ms = 0; ms < CUT_MS && proxy_counts(proxy).cuts == cuts; ms += 20)
			proc_sleep_ms(20);
	}
	proxy_cut_after(proxy, PROXY_BOTH, -1);
	tap_diag("%lld sessions were cut", (long long)proxy_counts(proxy).cuts);
	CU_ASSERT(proxy_counts(proxy).cuts > CUTS / 2);
	away_wait_more_sent(&env, 0);
}

/* Settles reach the server, and their answers are lost. */
static void
lose_answers(void)
{
	for (int i = 0; i < 4; i++) {
		away_wait_more_sent(&env, 0);
		proxy_set_mode(proxy, PROXY_ONE_WAY);
		proc_sleep_ms(150);
		proxy_reset_all(proxy);
		proxy_set_mode(proxy, PROXY_PASS);
	}
	away_wait_more_sent(&env, 0);
}

static void
refuse(void)
{
	proxy_set_mode(proxy, PROXY_REFUSE);
	away_expect(&env, 0, 500);
	back(4);
}

/* Connections look good and bring nothing. Another relay leaves the lanes where they are: the server still has those
 * sessions. */
static void
half_open(void)
{
	proxy_set_mode(proxy, PROXY_BLACKHOLE);
	away_expect(&env, 0, 500);
	CU_ASSERT(env_metric(&env, 1, LANES_OWNED) == 2);
	back(2);
}

static void
slow(void)
{
	proxy_set_delay(proxy, 20, 20);
	proxy_set_mode(proxy, PROXY_DELAY);
	for (int i = 0; i < 3; i++)
		away_wait_more_sent(&env, 0);
	proxy_set_mode(proxy, PROXY_PASS);
}

static void
network_fails(void)
{
	struct env_config cfg = {.database_lines = "  statement_timeout: 300ms\n  connect_timeout: 1s\n"};
	const char *topic;
	struct error err;
	char *host, *port, by_proxy[8], *conninfo;

	if (!env_begin(&env))
		return;
	host = db_conninfo_get(env.super, "host");
	port = db_conninfo_get(env.super, "port");
	ENV_MUST(proxy_new(host, atoi(port), &proxy, &err), &err);
	free(host);
	free(port);
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	snprintf(by_proxy, sizeof(by_proxy), "%d", proxy_port(proxy));
	conninfo = db_conninfo(env.conninfo, "host", "127.0.0.1", "port", by_proxy, NULL);
	cfg.conninfo = conninfo;
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, AWAY_HEAL_MS);
	away_write(&load, env.super, RATE, 14);
	away_wait_more_sent(&env, 0);
	cut();
	lose_answers();
	refuse();
	slow();
	cfg.conninfo = NULL;
	env_daemon_start(&env, 1, &cfg);
	away_wait_least(&env, 1, LANES_OWNED, 2);
	half_open();
	load_join(&load);
	away_finish(&env, 2, topic);
	free(conninfo);
}

int
main(void)
{
	tap_suite_fixture("network", NULL, end);
	tap_test("the network to PostgreSQL fails in every way", network_fails);
	return tap_run();
}
