/* test_flow.c - the main path on real servers: what is committed arrives once and in order, the rest never. */
#include <pthread.h>
#include <stdlib.h>

#include "support/env.h"
#include "support/tap.h"
#include "support/writer.h"

static struct env env;

static void
end(void)
{
	env_end(&env);
}

static struct writer_options
application(void)
{
	struct writer_options opt = WRITER_DEFAULTS;

	opt.conninfo = env.super;
	return opt;
}

static void
wait_until_sent(int timeout_ms)
{
	env_wait_int(&env, 0, timeout_ms,
	    "SELECT count(*) FROM (SELECT FROM outbox_events WHERE sent_at IS NULL LIMIT 1) r");
}

static void
two_daemons_relay_what_eight_writers_commit(void)
{
	struct env_config cfg = {.conninfo = NULL};
	struct writer_options opt;
	struct writer_counts counts;
	struct audit_report report;
	const char *topic;
	struct error err;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	opt = application();
	opt.events = 200000;
	opt.keys = 10000;
	for (int i = 0; i < 2; i++)
		env_daemon_start(&env, i, &cfg);
	for (int i = 0; i < 2; i++)
		env_daemon_ready(&env, i, 15000);
	ENV_MUST(writer_prepare(&opt, &err), &err);
	ENV_MUST(writer_run(&opt, &counts, &err), &err);
	TAP_INT(counts.committed, 200000);
	CU_ASSERT(counts.rolled_back > 1000);
	wait_until_sent(60000);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_sent_total") > 0);
	CU_ASSERT(env_metric(&env, 1, "pgoutbox_events_sent_total") > 0);
	for (int i = 0; i < 2; i++)
		env_daemon_stop(&env, i);
	env_audit(&env, topic, false, &report);
	TAP_INT(report.compared, 200000);
	tap_diag("%lld events written in %.1f s, %lld rolled back", (long long)counts.committed, counts.seconds,
	    (long long)counts.rolled_back);
}

static void
settling_by_delete_empties_the_table(void)
{
	struct env_config cfg = {.outbox_lines = "  settle: delete\n"};
	struct writer_options opt;
	struct writer_counts counts;
	struct audit_report report;
	const char *topic;
	struct error err;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 15000);
	opt = application();
	opt.events = 20000;
	ENV_MUST(writer_prepare(&opt, &err), &err);
	ENV_MUST(writer_run(&opt, &counts, &err), &err);
	env_wait_int(&env, 0, 30000, "SELECT count(*) FROM outbox_events");
	env_daemon_stop(&env, 0);
	env_audit(&env, topic, true, &report);
	TAP_INT(report.committed, 20000);
}

struct run {
	struct writer_options opt;
	struct writer_counts counts;
	struct error err;
	int rc;
};

static void *
write_in_background(void *arg)
{
	struct run *run = arg;

	run->rc = writer_run(&run->opt, &run->counts, &run->err);
	return NULL;
}

static void
restarts_send_nothing_twice(void)
{
	struct env_config cfg = {.conninfo = NULL};
	struct audit_report report;
	struct run run;
	const char *topic;
	pthread_t thread;
	struct error err;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	run = (struct run){.opt = application()};
	run.opt.events = 40000;
	run.opt.events_per_second = 4000;
	ENV_MUST(writer_prepare(&run.opt, &err), &err);
	env_daemon_start(&env, 0, &cfg);
	TAP_INT_FATAL(pthread_create(&thread, NULL, write_in_background, &run), 0);
	for (int i = 0; i < 5; i++) {
		proc_sleep_ms(1500);
		env_daemon_stop(&env, 0);
		env_daemon_start(&env, 0, &cfg);
	}
	pthread_join(thread, NULL);
	ENV_MUST(run.rc, &run.err);
	wait_until_sent(30000);
	env_daemon_stop(&env, 0);
	env_audit(&env, topic, false, &report);
	TAP_INT(report.committed, 40000);
}

int
main(void)
{
	tap_suite_fixture("flow", NULL, end);
	tap_test("two daemons relay what eight writers commit", two_daemons_relay_what_eight_writers_commit);
	tap_test("settling by delete empties the table", settling_by_delete_empties_the_table);
	tap_test("restarts in the middle send nothing twice", restarts_send_nothing_twice);
	return tap_run();
}
