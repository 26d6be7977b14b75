/* test_pause.c - pauses under load: nothing passes one, no transaction stays open, and what waited comes in order, once each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/env.h"
#include "support/load.h"
#include "support/relays.h"
#include "support/tap.h"

enum { EVENTS = 3000, SOON_MS = 20000 };

#define PAUSED(scope) "pgoutbox_paused{outbox=\"outbox_events\",scope=\"" scope "\"}"

static struct env env;
static struct load load;

static void
end(void)
{
	env_end(&env);
}

/* Returns once the relays have taken notice. */
static void
order(const char *config, const char *verb, const char *topic, const char *reason)
{
	char *database = NULL, *output = NULL;
	const char *argv[] = {env_program("pgoutboxctl"), "-c", config, NULL, verb, topic, reason, NULL};

	if (topic == NULL) {
		argv[5] = reason;
		argv[6] = NULL;
	}
	CU_ASSERT_FATAL(asprintf(&database, "--database=%s", env.super) > 0);
	argv[3] = database;
	if (proc_run(argv, 30000, &output) != 0)
		tap_diag("%s: %s", verb, output);
	CU_ASSERT_PTR_NOT_NULL(strstr(output, strcmp(verb, "pause") == 0 ? "paused" : "resumed"));
	CU_ASSERT_PTR_NULL(strstr(output, "no relay runs"));
	free(output);
	free(database);
}

static double
sent(void)
{
	return env_metric(&env, 0, "pgoutbox_events_sent_total") + env_metric(&env, 1, "pgoutbox_events_sent_total");
}

static int64_t
written(void)
{
	return env_int(&env, "SELECT count(*) FROM outbox_events");
}

static void
write_more(void)
{
	load.opt = WRITER_DEFAULTS;
	load.opt.conninfo = env.super;
	load.opt.events = EVENTS;
	load.opt.keys = 100;
	load.opt.events_per_second = 1500;
	load_start(&load);
}

static int64_t
open_transactions(void)
{
	return env_int(&env, "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND now() - xact_start > interval '500 ms'",
	               env.name);
}

/* All is paused while writers write. */
static void
check_paused(void)
{
	double before;
	char *body;

	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND state LIKE 'idle in %%'", env.name);
	before = sent();
	for (int i = 0; i < 20; i++) {
		env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type) SELECT 'account', 'x' || n, 't'"
		               " FROM generate_series(1, 50) n");
		TAP_INT(open_transactions(), 0);
		proc_sleep_ms(50);
	}
	CU_ASSERT(sent() == before);
	CU_ASSERT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL") >= 1000);
	for (int i = 0; i < 2; i++) {
		TAP_INT(env_get(&env, i, "/readyz?verbose", &body), 200);
		TAP_HAS(body, "all is paused by \"");
		TAP_HAS(body, "a consumer is mended");
		free(body);
		CU_ASSERT(env_metric(&env, i, PAUSED("all")) == 1);
		CU_ASSERT(env_metric(&env, i, PAUSED("topic")) == 0);
	}
}

static void
all_is_paused_and_resumed(void)
{
	struct env_config cfg = {.outbox_lines = NULL};
	struct audit_report report;
	const char *topic, *config;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	config = env_write_config(&env, "ctl", 0, &cfg);
	relays_start(&env, 0, &cfg);
	relays_start(&env, 1, &cfg);
	write_more();
	env_wait_int(&env, 1, SOON_MS, "SELECT (count(*) > 300)::int FROM outbox_events WHERE sent_at IS NOT NULL");
	order(config, "pause", NULL, "--reason=a consumer is mended");
	check_paused();
	order(config, "resume", NULL, NULL);
	load_join(&load);
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	CU_ASSERT(env_metric(&env, 0, PAUSED("all")) == 0);
	env_daemon_stop(&env, 0);
	env_daemon_stop(&env, 1);
	env_audit(&env, topic, false, &report);
}

/* Each key has events in both topics, so they share their lanes. */
static void
insert(int count)
{
	env_exec(&env,
	         "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	         " SELECT CASE WHEN n %% 2 = 0 THEN 'flows' ELSE 'waits' END, 'k' || n / 2 %% 50, 'x', jsonb_build_object('n', n)"
	         " FROM generate_series(1, %d) n", count);
}

static void
audit_topics(const char *const topics[2])
{
	struct audit *a = NULL;
	struct audit_report r;
	struct error err;
	struct audit_read opt = {.brokers = env.kafka, .topics = topics, .topics_count = 2, .appear_ms = 30000, .idle_ms = 30000,
	                         .expected = written()};

	ENV_MUST(audit_new(stdout, &a, &err), &err);
	ENV_MUST(audit_consume(a, &opt, &err), &err);
	ENV_MUST(audit_judge_rows(a, env.super, "outbox_events", &r, &err), &err);
	CU_ASSERT_TRUE(audit_sound(&r));
	TAP_INT(r.duplicates, 0);
	TAP_INT(r.delivered, opt.expected);
	audit_free(&a);
}

#define UNSENT "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"

static void
a_topic_is_paused_and_resumed(void)
{
	struct env_config cfg = {.outbox_lines = NULL};
	char option[160], waits[128], flows[128];
	const char *const topics[2] = {waits, flows};
	const char *config;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	snprintf(waits, sizeof(waits), "%s", env_topic(&env, "waits"));
	snprintf(flows, sizeof(flows), "%s", env_topic(&env, "flows"));
	snprintf(option, sizeof(option), "--topic=%s", waits);
	config = env_write_config(&env, "ctl", 0, &cfg);
	relays_start(&env, 0, &cfg);
	relays_start(&env, 1, &cfg);
	insert(2000);
	order(config, "pause", option, "--reason=r");
	env_wait_int(&env, 0, SOON_MS, UNSENT " AND aggregate_type = 'flows'");
	insert(2000);
	env_wait_int(&env, 0, SOON_MS, UNSENT " AND aggregate_type = 'flows'");
	CU_ASSERT(env_int(&env, UNSENT " AND aggregate_type = 'waits'") >= 1000);
	TAP_INT(open_transactions(), 0);
	CU_ASSERT(env_metric(&env, 0, PAUSED("topic")) == 1);
	env_daemon_ready(&env, 0, SOON_MS);
	order(config, "resume", option, NULL);
	env_wait_int(&env, 0, SOON_MS, UNSENT);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_overtaken_total") == 0);
	env_daemon_stop(&env, 0);
	env_daemon_stop(&env, 1);
	audit_topics(topics);
}

int
main(void)
{
	tap_suite_fixture("pause", NULL, end);
	tap_test("all is paused while writers write, and resumed", all_is_paused_and_resumed);
	tap_test("a topic is paused, the others flow", a_topic_is_paused_and_resumed);
	return tap_run();
}
