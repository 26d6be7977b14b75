/* test_tool.c - what pgoutboxctl says of a daemon that runs, that runs but is not ready, that runs elsewhere, and that is away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "support/env.h"
#include "support/tap.h"

static struct env env;

static void
end(void)
{
	env_end(&env);
}

/* The exit status; what it said. */
static int
run(const char *config, const char *verb, const char *option, char **ret_output)
{
	const char *argv[] = {env_program("pgoutboxctl"), "-c", config, verb, option, NULL};

	return proc_run(argv, 60000, ret_output);
}

static void
expect(int status, const char *text, const char *config, const char *verb, const char *option)
{
	char *output;
	int got = run(config, verb, option, &output);

	if (got != status)
		tap_diag("%s: %s", verb, output);
	TAP_INT(got, status);
	TAP_HAS(output, text);
	free(output);
}

static void
here_elsewhere_and_away(void)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *here, *elsewhere;
	char address[64];

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	(void)env_topic(&env, "account");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 60000);
	here = env_write_config(&env, "here", env.ports[0], &cfg);
	elsewhere = env_write_config(&env, "elsewhere", 1, &cfg);
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	               " SELECT 'account', n %% 100, 'e', '{}' FROM generate_series(1, 3000) n");
	expect(EX_OK, "nothing unsent is left", here, "drain", "--timeout=60s");
	TAP_INT(env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"), 0);
	snprintf(address, sizeof(address), "relay      ready: http://127.0.0.1:%d\n", env.ports[0]);
	expect(EX_OK, address, here, "status", NULL);
	expect(EX_OK, "\"events_sent_total\": 3000", here, "status", "--json");
	expect(EX_OK, " lanes=4/4 relay=ready\n", here, "top", "--count=1");
	expect(EX_OK, "runs elsewhere: lanes 0-3 owned by ", elsewhere, "status", NULL);
	env_daemon_stop(&env, 0);
	expect(EX_UNAVAILABLE, "daemon not running: ", here, "status", NULL);
}

static void
not_ready(void)
{
	struct env_config cfg = {.conninfo = NULL};
	int64_t deadline_us = clock_mono_us() + INT64_C(60000000);
	const char *config;
	char *output = NULL;
	int status;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	cfg.brokers = "127.0.0.1:1";
	cfg.http_lines = "  ready_after: 1s\n";
	env_daemon_start(&env, 0, &cfg);
	config = env_write_config(&env, "here", env.ports[0], &cfg);
	do {
		free(output);
		status = run(config, "status", NULL, &output);
	} while (clock_mono_us() < deadline_us && strstr(output, "not ready, because kafka: ") == NULL);
	TAP_HAS(output, "running but not ready, because kafka: ");
	TAP_INT(status, EX_TEMPFAIL);
	free(output);
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload) VALUES ('account', 'k', 'e', '{}')");
	expect(EX_TEMPFAIL, "pgoutboxctl: running but not ready, because kafka: ", config, "drain", "--timeout=0s");
	env_daemon_stop(&env, 0);
}

int
main(void)
{
	tap_suite_fixture("tool", NULL, end);
	tap_test("a daemon that runs here, elsewhere, and no more", here_elsewhere_and_away);
	tap_test("a daemon that is not ready", not_ready);
	return tap_run();
}
