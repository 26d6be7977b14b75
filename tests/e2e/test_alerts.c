/* test_alerts.c - a real Prometheus reads the daemon's metrics and our rules while Kafka is away: the alert fires, and ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/env.h"
#include "support/ports.h"
#include "support/servers.h"
#include "support/tap.h"

/* Prometheus takes the place of a daemon, so that env_get() asks it. */
enum { DAEMON, PROMETHEUS };

#define FIRING "/api/v1/query?query=ALERTS%7Balertname%3D%22PgoutboxKafkaOutage%22%2Calertstate%3D%22firing%22%7D"
#define SCRAPED "/api/v1/query?query=pgoutbox_up%7Bjob%3D%22pgoutboxd%22%2Cside%3D%22kafka%22%7D%20%3D%3D%201"
#define HEALTHY "/api/v1/rules?type=alert"

static struct env env;
static struct proc prometheus;

static void
end(void)
{
	proc_kill(&prometheus);
	servers_heal();
	env_end(&env);
}

static bool
installed(const char *program)
{
	const char *const argv[] = {program, "--version", NULL};
	char *output;
	int rc = proc_run(argv, 20000, &output);

	free(output);
	return rc == 0;
}

/* Our rules with seconds in the place of minutes, and all that Prometheus needs beside them. */
static void
write_files(char *config, size_t size)
{
	const char *srcdir = getenv("srcdir");
	char command[1024], *output;
	const char *const argv[] = {"sh", "-c", command, NULL};
	FILE *out;

	snprintf(command, sizeof(command), "sed -E 's/^( *for: )[0-9]+m$/\\11s/; s/\\[[0-9]+[mh]\\]/[5s]/g' %s/etc/prometheus/pgoutbox.rules.yaml >%s/rules.yaml",
	         srcdir != NULL ? srcdir : ".", env.dir);
	TAP_INT_FATAL(proc_run(argv, 10000, &output), 0);
	free(output);
	snprintf(config, size, "%s/prometheus.yaml", env.dir);
	out = fopen(config, "we");
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	fprintf(out,
	        "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\n"
	        "rule_files: [rules.yaml]\n"
	        "scrape_configs:\n  - job_name: pgoutboxd\n    static_configs:\n      - targets: ['127.0.0.1:%d']\n", env.ports[DAEMON]);
	fclose(out);
}

static void
start_prometheus(void)
{
	char config[192], listen[64], storage[192], log[192];
	const char *const argv[] = {"prometheus", config, storage, listen, "--log.level=warn", NULL};
	struct error err;
	char path[160];

	write_files(path, sizeof(path));
	snprintf(config, sizeof(config), "--config.file=%s", path);
	snprintf(storage, sizeof(storage), "--storage.tsdb.path=%s/prometheus", env.dir);
	snprintf(log, sizeof(log), "%s/prometheus.log", env.dir);
	env.ports[PROMETHEUS] = ports_take();
	snprintf(listen, sizeof(listen), "--web.listen-address=127.0.0.1:%d", env.ports[PROMETHEUS]);
	ENV_MUST(proc_start(&prometheus, log, argv, &err), &err);
}

static bool
finds(const char *query)
{
	char *body;
	bool found = env_get(&env, PROMETHEUS, query, &body) == 200 && strstr(body, "\"status\":\"success\"") != NULL &&
	             strstr(body, "\"result\":[]") == NULL;

	free(body);
	return found;
}

static void
wait_until_it(bool wanted, const char *query)
{
	for (int i = 0; i < 600 && finds(query) != wanted; i++)
		proc_sleep_ms(50);
	if (finds(query) != wanted) {
		char *log = proc_log_text(&prometheus);

		tap_diag("%s: %s", query, log);
		free(log);
	}
	CU_ASSERT_FATAL(finds(query) == wanted);
}

static void
no_rule_fails(void)
{
	char *body;

	TAP_INT(env_get(&env, PROMETHEUS, HEALTHY, &body), 200);
	TAP_HAS(body, "\"name\":\"PgoutboxKafkaOutage\"");
	TAP_HAS(body, "\"health\":\"ok\"");
	CU_ASSERT_PTR_NULL(strstr(body, "\"health\":\"err\""));
	free(body);
}

static void
an_outage_of_kafka_fires_and_ends(void)
{
	struct env_config cfg = {.conninfo = NULL};

	if (!installed("prometheus")) {
		tap_skip("prometheus is not installed");
		return;
	}
	if (!servers_ours() || !env_begin(&env))
		return;
	env_init(&env, &cfg);
	env_daemon_start(&env, DAEMON, &cfg);
	env_daemon_ready(&env, DAEMON, 60000);
	start_prometheus();
	wait_until_it(true, SCRAPED);
	CU_ASSERT_FALSE(finds(FIRING));
	servers_kafka("stop");
	wait_until_it(true, FIRING);
	no_rule_fails();
	servers_kafka("start");
	wait_until_it(false, FIRING);
	wait_until_it(true, SCRAPED);
	env_daemon_stop(&env, DAEMON);
}

int
main(void)
{
	tap_suite_fixture("alerts", NULL, end);
	tap_test("an outage of Kafka fires, and ends", an_outage_of_kafka_fires_and_ends);
	return tap_run();
}
