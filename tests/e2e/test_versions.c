/* test_versions.c - the whole way once, quickly: what differs between versions of PostgreSQL and Kafka has to show here. */
#include <stdio.h>
#include <stdlib.h>

#include "support/env.h"
#include "support/load.h"
#include "support/proc.h"
#include "support/relays.h"
#include "support/sandbox.h"
#include "support/tap.h"

static struct env env;

static void
end(void)
{
	env_end(&env);
}

static void
tell_version(void)
{
	char *version = sandbox_text(env.db, "SHOW server_version");

	tap_diag("PostgreSQL %s", version);
	free(version);
}

/* The tool, with the daemon's configuration and a superuser's connection; it must exit with 0. */
static void
tool(const char *config, const char *a, const char *b, const char *c, const char *d)
{
	char database[512], *output = NULL;
	const char *const argv[] = {env_program("pgoutboxctl"), "-c", config, "--database", database, a, b, c, d, NULL};

	snprintf(database, sizeof(database), "%s", env.super);
	int status = proc_run(argv, 30000, &output);
	if (status != 0)
		tap_diag("%s: %s", a, output);
	free(output);
	TAP_INT(status, 0);
}

/* Two relays share the lanes while one of them is started again; then one event is parked, and given up. */
static void
events_arrive(const char *outbox_lines, bool by_accounts)
{
	static struct load load;
	struct env_config cfg = {.outbox_lines = outbox_lines};
	struct audit_report report;
	const char *topic;

	if (!env_begin(&env))
		return;
	tell_version();
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	load = (struct load){.opt = WRITER_DEFAULTS};
	load.opt.conninfo = env.super;
	load.opt.events = 3000;
	load.opt.events_per_second = 2000;
	relays_start(&env, 0, &cfg);
	relays_start(&env, 1, &cfg);
	load_start(&load);
	env_daemon_stop(&env, 0);
	relays_start(&env, 0, &cfg);
	relays_wait_even(&env, (const int[]){0, 1}, 2, 4);
	load_join(&load);
	env_wait_int(&env, 0, 60000, by_accounts ? "SELECT count(*) FROM outbox_events" :
	             "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	env_audit(&env, topic, by_accounts, &report);
	TAP_INT(report.committed, load.counts.committed);

	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, headers) VALUES ('account', 'x', 'e', '[1]')");
	env_wait_int(&env, 1, 60000, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
	const char *config = env_write_config(&env, "tool", 0, &cfg);
	tool(config, "check", NULL, NULL, NULL);
	tool(config, "parked", "list", "--json", NULL);
	tool(config, "parked", "skip", "--yes", "1");
	env_daemon_stop(&env, 0);
	env_daemon_stop(&env, 1);
}

static void
marked(void)
{
	events_arrive("", false);
}

static void
deleted(void)
{
	events_arrive("  settle: delete\n", true);
}

int
main(void)
{
	tap_suite_fixture("versions", NULL, end);
	tap_test("rows are marked", marked);
	tap_test("rows are deleted", deleted);
	return tap_run();
}
