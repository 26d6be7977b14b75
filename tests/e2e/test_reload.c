/* test_reload.c - SIGHUP under load: limits, the level and the route change, and nothing is lost, repeated or reordered. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/env.h"
#include "support/load.h"
#include "support/tap.h"

enum { SOON_MS = 20000, EVENTS = 12000 };

static struct env env;
static struct load load;

static void
end(void)
{
	env_end(&env);
}

/* Writes the file anew, has it read, and waits until that has had the wanted end. */
static void
reload(const struct env_config *cfg, const char *result, double wanted)
{
	char sample[96];
	int64_t until_us = clock_mono_us() + SOON_MS * INT64_C(1000);

	snprintf(sample, sizeof(sample), "pgoutbox_config_reloads_total{result=\"%s\"}", result);
	env_write_config(&env, "daemon-0", env.ports[0], cfg);
	proc_signal(&env.daemons[0], SIGHUP);
	while (env_metric(&env, 0, sample) < wanted && clock_mono_us() < until_us)
		proc_sleep_ms(20);
	CU_ASSERT(env_metric(&env, 0, sample) == wanted);
}

/* The daemon is in the midst of it. */
static void
under_way(double sent)
{
	int64_t until_us = clock_mono_us() + SOON_MS * INT64_C(1000);

	while (env_metric(&env, 0, "pgoutbox_events_sent_total") < sent && clock_mono_us() < until_us)
		proc_sleep_ms(20);
}

static void
says(const char *text)
{
	struct error err;

	ENV_MUST(proc_wait_text(&env.daemons[0], text, SOON_MS, &err), &err);
}

static void
audit_all(const char *const topics[2])
{
	struct audit *a = NULL;
	struct audit_report r;
	struct error err;
	struct audit_read opt = {.brokers = env.kafka, .topics = topics, .topics_count = 2, .appear_ms = 30000, .idle_ms = 30000,
	                         .expected = env_int(&env, "SELECT count(*) FROM outbox_events")};

	ENV_MUST(audit_new(stdout, &a, &err), &err);
	ENV_MUST(audit_consume(a, &opt, &err), &err);
	ENV_MUST(audit_judge_rows(a, env.super, "outbox_events", &r, &err), &err);
	CU_ASSERT_TRUE(audit_sound(&r));
	TAP_INT(r.duplicates, 0);
	TAP_INT(r.delivered, opt.expected);
	audit_free(&a);
}

static void
nothing_is_lost_or_reordered(void)
{
	struct env_config cfg = {.conninfo = NULL}, changed;
	const char *topics[2];
	char other[160];

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topics[0] = env_topic(&env, "account");
	topics[1] = env_topic(&env, "other.account");
	snprintf(other, sizeof(other), "%s.other.${aggregate_type}", env.name);
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, SOON_MS);
	load = (struct load){.opt = WRITER_DEFAULTS};
	load.opt.conninfo = env.super;
	load.opt.events = EVENTS;
	load.opt.events_per_second = EVENTS / 4;
	load_start(&load);
	under_way(EVENTS / 6);

	changed = (struct env_config){.outbox_lines = "  batch_rows: 20\n  lanes: 7\n  hold_max: 500ms\n  poll_max: 5ms\n", .topic = other};
	reload(&changed, "ok", 1);
	says("outbox.batch_rows=20, outbox.hold_max=500ms, outbox.poll_max=5ms, kafka.topic=");
	says("take effect only at the next start: outbox.lanes");
	says("from here on the topic is");
	under_way(EVENTS / 3);
	changed.outbox_lines = "  batch_rows: 0\n";
	reload(&changed, "failed", 1);
	says("outbox.batch_rows: 0 is outside 1..100000 rows");
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_config_last_reload_successful") == 0);
	changed.outbox_lines = "  batch_rows: 2000\n";
	changed.topic = NULL;
	under_way(EVENTS / 2);
	reload(&changed, "ok", 2);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_config_last_reload_successful") == 1);
	under_way(EVENTS * 2 / 3);
	changed.topic = "${fresh}";
	reload(&changed, "ok", 3);
	says("kafka.topic (the topic is made of other columns than the relay reads)");

	load_join(&load);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	TAP_INT(env_int(&env, "SELECT count(*) FROM pgoutbox.parked"), 0);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_sent_total") == (double)env_int(&env, "SELECT count(*) FROM outbox_events"));
	env_daemon_stop(&env, 0);
	audit_all(topics);
}

int
main(void)
{
	tap_suite_fixture("reload", NULL, end);
	tap_test("nothing is lost or reordered by a reload under load", nothing_is_lost_or_reordered);
	return tap_run();
}
