/* away.c - looks at a daemon from outside while PostgreSQL is away. Knows not why it is. */
#include "support/away.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/tap.h"

enum { PAGE_MS = 30000, CHEAP_SHARE = 4 };

static void
wait_metric(const struct env *env, int i, const char *name, bool at_least, double value)
{
	int64_t start_us = clock_mono_us();
	double now;

	while (now = env_metric(env, i, name), at_least ? now < value : now > value) {
		if (clock_mono_us() - start_us > (int64_t)AWAY_HEAL_MS * 1000) {
			tap_diag("daemon %d: %s is %g, not at %s %g", i, name, now, at_least ? "least" : "most", value);
			CU_FAIL_FATAL("the metric never came to that");
		}
		proc_sleep_ms(20);
	}
}

void
away_wait_least(const struct env *env, int i, const char *name, double value)
{
	wait_metric(env, i, name, true, value);
}

void
away_wait_most(const struct env *env, int i, const char *name, double value)
{
	wait_metric(env, i, name, false, value);
}

void
away_wait_more_sent(struct env *env, int i)
{
	double sent = env_metric(env, i, EVENTS_SENT);

	env_exec(env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	              " SELECT 'account', 'more-' || n, 'made', '{}' FROM generate_series(1, 32) n");
	away_wait_least(env, i, EVENTS_SENT, sent + 1);
}

void
away_page(const struct env *env, int i, const char *part)
{
	int64_t start_us = clock_mono_us();
	char *body;

	while ((void)env_get(env, i, "/readyz?verbose", &body), strstr(body, part) == NULL) {
		if (clock_mono_us() - start_us > (int64_t)PAGE_MS * 1000) {
			TAP_HAS(body, part);
			break;
		}
		free(body);
		proc_sleep_ms(20);
	}
	free(body);
}

void
away_said(struct env *env, int i, const char *text)
{
	struct error err;

	ENV_MUST(proc_wait_text(&env->daemons[i], text, AWAY_HEAL_MS, &err), &err);
}

/* User and system time of the process. */
static int64_t
cpu_ms(const struct proc *p)
{
	unsigned long user = 0, system = 0;
	char path[64];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)p->pid);
	in = fopen(path, "re");
	TAP_INT(in == NULL ? -1 : fscanf(in, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
	if (in != NULL)
		fclose(in);
	return (int64_t)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
}

void
away_cheap(const struct env *env, int i, int ms)
{
	int64_t cpu = cpu_ms(&env->daemons[i]);

	proc_sleep_ms(ms);
	cpu = cpu_ms(&env->daemons[i]) - cpu;
	tap_diag("%lld ms of CPU in %d ms", (long long)cpu, ms);
	CU_ASSERT(cpu <= ms / CHEAP_SHARE);
}

void
away_expect(const struct env *env, int i, int ms)
{
	away_wait_most(env, i, UP_POSTGRESQL, 0);
	CU_ASSERT(env_metric(env, i, POSTGRESQL_SINCE) > 1e9);
	away_page(env, i, "postgresql ok, but");
	away_cheap(env, i, ms);
	CU_ASSERT(env_metric(env, i, UP_POSTGRESQL) == 0);
}

void
away_back(const struct env *env, int i, int lanes)
{
	away_wait_least(env, i, UP_POSTGRESQL, 1);
	away_wait_least(env, i, LANES_OWNED, lanes);
	CU_ASSERT(env_metric(env, i, POSTGRESQL_SINCE) == 0);
	CU_ASSERT(env_metric(env, i, POSTGRESQL_OUTAGES) >= 1);
	away_page(env, i, "[+]postgresql ok\n");
}

void
away_write(struct load *load, const char *conninfo, double events_per_second, double seconds)
{
	load->opt = WRITER_DEFAULTS;
	load->opt.conninfo = conninfo;
	load->opt.reconnect_ms = 30000;
	load->opt.events_per_second = events_per_second;
	load->opt.events = (int64_t)(events_per_second * seconds);
	load_start(load);
}

void
away_settled(struct env *env, int daemons)
{
	env_wait_int(env, 0, AWAY_HEAL_MS, "SELECT count(*) FROM (SELECT FROM outbox_events WHERE sent_at IS NULL LIMIT 1) r");
	for (int i = 0; i < daemons; i++) {
		CU_ASSERT(env_metric(env, i, "pgoutbox_events_failed_total") == 0);
		CU_ASSERT(env_metric(env, i, "pgoutbox_events_parked_total") == 0);
		CU_ASSERT(env_metric(env, i, "pgoutbox_events_overtaken_total") == 0);
	}
	TAP_INT(env_int(env, "SELECT count(*) FROM pgoutbox.parked"), 0);
}

void
away_finish(struct env *env, int daemons, const char *topic)
{
	struct audit_report report;

	away_settled(env, daemons);
	for (int i = 0; i < daemons; i++) {
		CU_ASSERT(env_metric(env, i, EVENTS_REPEATABLE) == 0);
		env_daemon_stop(env, i);
	}
	env_audit(env, topic, false, &report);
	tap_diag("%lld events", (long long)report.committed);
}
