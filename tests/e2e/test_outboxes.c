/* test_outboxes.c - several outboxes in one daemon: what holds up one of them is not felt by another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/db.h"
#include "support/env.h"
#include "support/tap.h"
#include "support/topic.h"

enum { ROWS = 3000, SAMPLES = 40, SOON_MS = 20000 };

static struct env env;

static void
end(void)
{
	env_end(&env);
}

/* Two tables; what they have in common stands in the section outbox. */
static const char *
two_outboxes(void)
{
	static char lines[512];

	snprintf(lines, sizeof(lines),
	         "outboxes:\n  - table: quick\n    lanes: 2\n    topic: \"%s.quick\"\n  - table: stuck\n    topic: \"%s.stuck\"\n",
	         env.name, env.name);
	return lines;
}

/* So old that the topic refuses them, as long as it is told to. */
static void
fill_stuck(void)
{
	env_exec(&env,
	         "INSERT INTO stuck (aggregate_type, aggregate_id, event_type, payload, created_at)"
	         " SELECT 'a', 'k' || n %% 100, 'x', jsonb_build_object('n', n), now() - interval '1 hour'"
	         " FROM generate_series(1, %d) n", ROWS);
}

static int
by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The median of the times from the commit of one event until it is settled. */
static int64_t
quick_median_ms(void)
{
	int64_t took[SAMPLES];

	for (int i = 0; i < SAMPLES; i++) {
		int64_t since_us = clock_mono_us();

		env_exec(&env, "INSERT INTO quick (aggregate_type, aggregate_id, event_type, payload) VALUES ('a', 'k%d', 'x', '{}')", i % 7);
		while (env_int(&env, "SELECT count(*) FROM quick WHERE sent_at IS NULL") > 0) {
			if (clock_mono_us() - since_us > SOON_MS * INT64_C(1000))
				CU_FAIL_FATAL("an event of the quick outbox was not sent");
			proc_sleep_ms(2);
		}
		took[i] = (clock_mono_us() - since_us) / 1000;
	}
	qsort(took, SAMPLES, sizeof(took[0]), by_value);
	tap_diag("commit to settled: median %lld ms, worst %lld ms", (long long)took[SAMPLES / 2], (long long)took[SAMPLES - 1]);
	return took[SAMPLES / 2];
}

static void
audit(const char *table, const char *topic)
{
	struct audit *a = NULL;
	struct audit_report r;
	struct error err;
	struct audit_read opt = {.brokers = env.kafka, .topics = &topic, .topics_count = 1, .appear_ms = 30000, .idle_ms = 30000,
	                         .expected = env_int(&env, "SELECT count(*) FROM %s", table)};

	ENV_MUST(audit_new(stdout, &a, &err), &err);
	ENV_MUST(audit_consume(a, &opt, &err), &err);
	ENV_MUST(audit_judge_rows(a, env.super, table, &r, &err), &err);
	CU_ASSERT_TRUE(audit_sound(&r));
	TAP_INT(r.duplicates, 0);
	TAP_INT(r.delivered, opt.expected);
	audit_free(&a);
}

static int
tool(const char *table, char **ret_output)
{
	const char *path = env_write_config(&env, "tool", env.ports[0], &(struct env_config){.kafka_lines = two_outboxes()});
	const char *const argv[] = {env_program("pgoutboxctl"), "-c", path, "parked", "list", table == NULL ? NULL : "--outbox", table, NULL};

	return proc_run(argv, 30000, ret_output);
}

static void
tool_asks_which(void)
{
	char *output;

	TAP_INT(tool(NULL, &output), 64);
	TAP_HAS(output, "name one with --outbox: \"quick\", \"stuck\"");
	free(output);
	TAP_INT(tool("stuck", &output), 0);
	free(output);
}

static void
one_that_is_stuck_holds_up_no_other(void)
{
	struct env_config cfg;
	PGconn *holder __attribute__((cleanup(db_close))) = NULL;
	const char *quick;
	char stuck[128];
	struct error err;

	if (!env_begin(&env))
		return;
	cfg = (struct env_config){.outbox_lines = "  hold_max: 300ms\n  batch_rows: 200\n", .kafka_lines = two_outboxes()};
	env_init(&env, &cfg);
	TAP_INT(env_int(&env, "SELECT lanes FROM pgoutbox.outbox WHERE relation = 'quick'::regclass"), 2);
	quick = env_topic(&env, "quick");
	snprintf(stuck, sizeof(stuck), "%s.stuck", env.name);
	ENV_MUST(topic_create_with(env.kafka, stuck, 4, "message.timestamp.difference.max.ms", "60000", &err), &err);
	fill_stuck();
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, SOON_MS);
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND state = 'idle in transaction'", env.name);
	CU_ASSERT(quick_median_ms() < 500);
	TAP_INT(env_int(&env, "SELECT count(*) FROM stuck WHERE sent_at IS NOT NULL"), 0);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_sent_total{outbox=\"quick\"}") == SAMPLES);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_sent_total{outbox=\"stuck\"}") == 0);
	tool_asks_which();

	/* And by hand, in the database. */
	holder = db_open(env.super, &err);
	ENV_MUST(holder == NULL ? -1 : 0, &err);
	ENV_MUST(db_exec(holder, &err, "BEGIN; SELECT FROM stuck FOR UPDATE"), &err);
	ENV_MUST(topic_set(env.kafka, stuck, "message.timestamp.difference.max.ms", "9223372036854775807", &err), &err);
	CU_ASSERT(quick_median_ms() < 500);
	ENV_MUST(db_exec(holder, &err, "COMMIT"), &err);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM stuck WHERE sent_at IS NULL");
	env_daemon_stop(&env, 0);
	audit("quick", quick);
	audit("stuck", stuck);
}

int
main(void)
{
	tap_suite_fixture("outboxes", NULL, end);
	tap_test("one that is stuck holds up no other", one_that_is_stuck_holds_up_no_other);
	return tap_run();
}
