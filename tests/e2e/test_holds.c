/* test_holds.c - a topic, or a part of one, does not take events: it waits, everything else goes on, and when it is good again its events
 * come in order, once each, with none parked.
 */
#include <stdio.h>

#include "support/db.h"
#include "support/env.h"
#include "support/tap.h"
#include "support/topic.h"

enum { ROWS = 4000, SOON_MS = 20000 };

static struct env env;

static void
end(void)
{
	env_end(&env);
}

static bool
begin(void)
{
	return env_begin(&env);
}

/* Events in turn for the topics "good" and "bad", each with 50 keys of its own, in front of everything that follows. */
static void
insert(int count)
{
	env_exec(&env,
	         "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, created_at)"
	         " SELECT CASE WHEN n %% 2 = 0 THEN 'good' ELSE 'bad' END, 'k' || n %% 100, 'x', jsonb_build_object('n', n),"
	         " now() - CASE WHEN n %% 2 = 0 THEN interval '0' ELSE interval '1 hour' END FROM generate_series(1, %d) n",
	         count);
}

static void
wait_good_is_sent(int timeout_ms)
{
	env_wait_int(&env, 0, timeout_ms,
	             "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL AND aggregate_type = 'good'");
}

static int64_t
bad_unsent(void)
{
	return env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL AND aggregate_type = 'bad'");
}

static void
audit_both(const char *good, const char *bad)
{
	struct audit *a = NULL;
	struct audit_report r;
	struct error err;
	const char *topics[] = {good, bad};
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

/* While a setting of the topic "bad" keeps events out, and after it is put right. */
static void
trouble(const char *setting, const char *wrong, const char *right, const char *gauge)
{
	struct env_config cfg = {.outbox_lines = "  hold_max: 300ms\n  batch_rows: 200\n"};
	char name[128];
	const char *good, *bad;
	struct error err;

	if (!begin())
		return;
	env_init(&env, &cfg);
	good = env_topic(&env, "good");
	bad = name;
	snprintf(name, sizeof(name), "%s.bad", env.name);
	ENV_MUST(topic_create_with(env.kafka, bad, 4, setting, wrong, &err), &err);
	insert(ROWS);
	env_daemon_start(&env, 0, &cfg);
	wait_good_is_sent(SOON_MS);
	insert(ROWS);
	wait_good_is_sent(SOON_MS);
	TAP_INT(bad_unsent(), ROWS);
	env_daemon_ready(&env, 0, SOON_MS);
	CU_ASSERT(env_metric(&env, 0, gauge) >= 1);
	TAP_INT(env_int(&env, "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND now() - xact_start > interval '1 s'", env.name), 0);
	ENV_MUST(topic_set(env.kafka, bad, setting, right, &err), &err);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	CU_ASSERT(env_metric(&env, 0, gauge) == 0);
	TAP_INT(env_int(&env, "SELECT count(*) FROM pgoutbox.parked"), 0);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_overtaken_total") == 0);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_repeatable_total") == 0);
	env_daemon_stop(&env, 0);
	audit_both(good, bad);
}

/* The broker refuses each batch: events of that age are not wanted, for a while. */
static void
a_topic_refuses(void)
{
	trouble("message.timestamp.difference.max.ms", "60000", "9223372036854775807", "pgoutbox_held_topics");
}

int
main(void)
{
	tap_suite_fixture("holds", NULL, end);
	tap_test("a topic that refuses its events holds up no other", a_topic_refuses);
	return tap_run();
}
