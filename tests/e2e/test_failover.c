/* test_failover.c - the primary dies and its synchronous standby takes over: the daemons move there by themselves, and
 * nothing is lost, reordered or published twice; nor published that only the dead one knew. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/away.h"
#include "support/db.h"
#include "support/servers.h"
#include "support/tap.h"

enum { RATE = 1000 };

static struct env env;
static struct load load;

/* The two clusters, the first of which is the primary at the beginning. */
static struct {
	char dir[256];
	int ports[2];
	char *shared; /* PGOUTBOX_TEST_PG as it was */
	char *both;   /* a superuser's conninfo that finds whichever is the primary */
	char *daemons;
} pair;

static char *
run_pair(const char *verb)
{
	const char *srcdir = getenv("srcdir");
	char script[512], *output;
	const char *const argv[] = {"sh", script, verb, pair.dir, NULL};
	int rc;

	snprintf(script, sizeof(script), "%s/tests/support/pair.sh", srcdir == NULL ? "." : srcdir);
	rc = proc_run(argv, 60000, &output);
	if (rc != 0)
		tap_diag("pair.sh %s: %d %s", verb, rc, output);
	TAP_INT(rc, 0);
	return output;
}

static void
pair_do(const char *verb)
{
	free(run_pair(verb));
}

static char *
text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *
text(const char *fmt, ...)
{
	va_list args;
	char *out = NULL;

	va_start(args, fmt);
	if (vasprintf(&out, fmt, args) < 0)
		abort();
	va_end(args);
	return out;
}

/* From here on the surroundings are that cluster's. */
static void
use_cluster(int i)
{
	char *conninfo = text("host=%s/%c port=%d dbname=postgres user=postgres", pair.dir, "ab"[i], pair.ports[i]);

	setenv("PGOUTBOX_TEST_PG", conninfo, 1);
	free(conninfo);
}

static void
make_pair(void)
{
	char *output;

	pair.shared = strdup(getenv("PGOUTBOX_TEST_PG"));
	/* Within the shared server's directory: with it they go in any case. */
	snprintf(pair.dir, sizeof(pair.dir), "%s/pair", getenv("PGOUTBOX_TEST_PGSTATE"));
	output = run_pair("make");
	TAP_INT_FATAL(sscanf(output, "%d %d", &pair.ports[0], &pair.ports[1]), 2);
	free(output);
	use_cluster(0);
}

static void
end(void)
{
	env_end(&env);
	if (pair.shared == NULL)
		return;
	pair_do("remove");
	setenv("PGOUTBOX_TEST_PG", pair.shared, 1);
	free(pair.shared);
	free(pair.both);
	free(pair.daemons);
	memset(&pair, 0, sizeof(pair));
}

static char *
conninfo_of_both(const char *user)
{
	return text("host=%s/a,%s/b port=%d,%d dbname=%s user=%s target_session_attrs=read-write", pair.dir, pair.dir,
	            pair.ports[0], pair.ports[1], env.name, user);
}

static const char *
begin(struct env_config *cfg)
{
	const char *topic;

	if (!servers_ours())
		return NULL;
	make_pair();
	if (!env_begin(&env))
		return NULL;
	env_init(&env, cfg);
	topic = env_topic(&env, "account");
	pair.both = conninfo_of_both("postgres");
	pair.daemons = conninfo_of_both(env.name);
	cfg->conninfo = pair.daemons;
	for (int i = 0; i < 2; i++)
		env_daemon_start(&env, i, cfg);
	for (int i = 0; i < 2; i++) {
		env_daemon_ready(&env, i, AWAY_HEAL_MS);
		away_wait_least(&env, i, LANES_OWNED, 2);
	}
	return topic;
}

/* The second cluster is what the test looks at from now on. */
static void
fail_over(void)
{
	struct error err;

	pair_do("crash");
	for (int i = 0; i < 2; i++)
		away_expect(&env, i, 100);
	pair_do("promote");
	use_cluster(1);
	free(env.super);
	env.super = db_conninfo(getenv("PGOUTBOX_TEST_PG"), "dbname", env.name, NULL);
	db_close(&env.db);
	env.db = db_open(env.super, &err);
	env_must(env.db == NULL ? -1 : 0, &err, "connect");
}

static void
finish(const char *topic)
{
	for (int i = 0; i < 2; i++) {
		away_back(&env, i, 2);
		CU_ASSERT(env_metric(&env, i, POSTGRESQL_OUTAGES) == 1);
	}
	away_finish(&env, 2, topic);
}

/* Whoever asks the standby alone learns what it is, and that it is no mistake of the table's. */
static void
check_the_standby(void)
{
	char *conninfo = text("host=%s/b port=%d dbname=%s user=%s", pair.dir, pair.ports[1], env.name, env.name);
	struct env_config cfg = {.conninfo = conninfo};
	const char *argv[] = {env_program("pgoutboxctl"), "-c", env_write_config(&env, "standby", 1, &cfg), "check", "--full", NULL};
	char *output;

	TAP_INT(proc_run(argv, 30000, &output), 75);
	TAP_HAS(output, "warning  table: the server is a standby\n");
	CU_ASSERT_PTR_NULL(strstr(output, "error "));
	free(output);
	free(conninfo);
}

static void
standby_takes_over(void)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *topic = begin(&cfg);

	if (topic == NULL)
		return;
	away_write(&load, pair.both, RATE, 5);
	away_wait_least(&env, 0, EVENTS_SENT, 500);
	check_the_standby();
	fail_over();
	load_join(&load);
	finish(topic);
	CU_ASSERT(load.counts.committed <= env_int(&env, "SELECT count(*) FROM outbox_events"));
}

/* The standby lags, and commits that do not wait for it are on the primary's disk alone. */
static void
what_the_standby_lacks_was_not_published(void)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *topic = begin(&cfg);
	int64_t kept, lost;

	if (topic == NULL)
		return;
	env_exec(&env, "ALTER DATABASE %s SET synchronous_commit = local", env.name);
	away_write(&load, pair.both, RATE, 1);
	load_join(&load);
	away_settled(&env, 2);
	kept = load.counts.committed;
	pair_do("part");
	/* the lanes are idle and can claim these; whatever they settle waits for the standby in vain */
	load_start(&load);
	load_join(&load);
	proc_sleep_ms(4000);
	fail_over();
	finish(topic);
	lost = kept + load.counts.committed - env_int(&env, "SELECT count(*) FROM outbox_events");
	tap_diag("%lld events or more were lost with the primary", (long long)lost);
	CU_ASSERT(lost > 0);
}

int
main(void)
{
	tap_suite_fixture("failover", NULL, end);
	tap_test("a synchronous standby takes over", standby_takes_over);
	tap_test("what the standby lacks was not published", what_the_standby_lacks_was_not_published);
	return tap_run();
}
