/* test_lanes.c - "pgoutboxctl lanes N" under load, with two relays: nothing is lost, repeated or reordered, beside a reload
 * and a pause too. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "support/env.h"
#include "support/load.h"
#include "support/relays.h"
#include "support/tap.h"

static const int both[] = {0, 1};

static struct env env;
static struct load load;

static void
end(void)
{
	env_end(&env);
}

static void
ctl(const char *config, const char *verb, const char *operand, const char *text)
{
	char database[256];
	const char *argv[] = {env_program("pgoutboxctl"), "-c", config, database, verb, operand, NULL};
	char *output = NULL;

	snprintf(database, sizeof(database), "--database=%s", env.super);
	TAP_INT(proc_run(argv, 60000, &output), 0);
	TAP_HAS(output, text);
	free(output);
}

static void
change(const char *config, int lanes)
{
	int64_t since_us = clock_mono_us();
	char number[16], text[32];

	snprintf(number, sizeof(number), "%d", lanes);
	snprintf(text, sizeof(text), "all %d lanes are owned", lanes);
	ctl(config, "lanes", number, text);
	tap_diag("%d lanes after %lld ms", lanes, (long long)(clock_mono_us() - since_us) / 1000);
	relays_wait_even(&env, both, 2, lanes);
}

static void
the_number_changes_under_load(void)
{
	struct env_config cfg = {.conninfo = NULL};
	struct audit_report report;
	const char *topic, *config;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	config = env_write_config(&env, "tool", 0, &cfg);
	relays_start(&env, 0, &cfg);
	relays_start(&env, 1, &cfg);
	relays_wait_even(&env, both, 2, 4);
	load.opt = WRITER_DEFAULTS;
	load.opt.conninfo = env.super;
	load.opt.keys = 200;
	load.opt.events_per_second = 2000;
	load.opt.events = 20000;
	load_start(&load);
	env_wait_int(&env, 1, 60000, "SELECT count(*) FROM (SELECT FROM outbox_events WHERE sent_at IS NOT NULL LIMIT 1) r");
	change(config, 7);
	change(config, 2);
	/* While all is paused, and while the relays read their files again. */
	ctl(config, "pause", "--reason=a change of lanes", "2 relays have taken notice");
	proc_signal(&env.daemons[0], SIGHUP);
	proc_signal(&env.daemons[1], SIGHUP);
	change(config, 5);
	TAP_INT(env_metric(&env, 0, "pgoutbox_config_reloads_total{result=\"ok\"}"), 1);
	ctl(config, "resume", NULL, "all is resumed");
	load_join(&load);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM (SELECT FROM outbox_events WHERE sent_at IS NULL LIMIT 1) r");
	env_daemon_stop(&env, 0);
	env_daemon_stop(&env, 1);
	env_audit(&env, topic, false, &report);
	TAP_INT(report.committed, load.counts.committed);
}

int
main(void)
{
	tap_suite_fixture("lanes", NULL, end);
	tap_test("4, 7, 2 and 5 lanes under load", the_number_changes_under_load);
	return tap_run();
}
