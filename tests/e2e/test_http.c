/* test_http.c - the endpoint of a daemon that has done some work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/env.h"
#include "support/tap.h"

enum { EVENTS = 3000 };

static struct env env;

static void
end(void)
{
	env_end(&env);
}

static bool
begin(void)
{
	struct env_config cfg = {.conninfo = NULL};

	if (!env_begin(&env))
		return false;
	env_init(&env, &cfg);
	(void)env_topic(&env, "account");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 60000);
	env_exec(&env,
	    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	    " SELECT 'account', n %% 100, 'e', '{}' FROM generate_series(1, %d) n", EVENTS);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	return true;
}

static void
metrics_tell_what_was_done(void)
{
	if (!begin())
		return;
	TAP_INT((int)env_metric(&env, 0, "pgoutbox_events_sent_total"), EVENTS);
	TAP_INT((int)env_metric(&env, 0, "pgoutbox_in_flight_events"), 0);
	TAP_INT((int)env_metric(&env, 0, "pgoutbox_lanes_owned"), 4);
	TAP_INT((int)env_metric(&env, 0, "pgoutbox_up"), 2);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_batches_total") > 0);
	CU_ASSERT(env_metric(&env, 0, "process_resident_memory_bytes") > 1e6);
	env_daemon_stop(&env, 0);
}

static void
promtool_finds_nothing(void)
{
	char file[192], command[256], *body, *output;
	const char *const argv[] = {"sh", "-c", command, NULL};
	const char *const version[] = {"promtool", "--version", NULL};
	FILE *out;
	int rc = proc_run(version, 10000, &output);

	free(output);
	if (rc != 0) {
		tap_skip("promtool is not installed");
		return;
	}
	if (!begin())
		return;
	TAP_INT(env_get(&env, 0, "/metrics", &body), 200);
	snprintf(file, sizeof(file), "%s/metrics", env.dir);
	out = fopen(file, "we");
	CU_ASSERT_FATAL(out != NULL);
	fputs(body, out);
	fclose(out);
	free(body);
	snprintf(command, sizeof(command), "promtool check metrics <%s", file);
	TAP_INT(proc_run(argv, 20000, &output), 0);
	TAP_STR(output, "");
	free(output);
	env_daemon_stop(&env, 0);
}

static void
health_pages(void)
{
	static const struct {
		const char *path;
		int status;
	} pages[] = {{"/livez", 200}, {"/readyz", 200}, {"/readyz?verbose", 200}, {"/healthz", 200}, {"/metrics", 200},
	    {"/nothing", 404}, {"/../etc/passwd", 404}};

	if (!begin())
		return;
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		char *body;

		TAP_INT(env_get(&env, 0, pages[i].path, &body), pages[i].status);
		if (strstr(pages[i].path, "verbose") != NULL) {
			TAP_HAS(body, "kafka");
			TAP_HAS(body, "postgresql");
		}
		free(body);
	}
	env_daemon_stop(&env, 0);
}

static bool
ready_says(const char *text)
{
	char *body;
	bool says;

	(void)env_get(&env, 0, "/readyz?verbose", &body);
	says = strstr(body, text) != NULL;
	free(body);
	return says;
}

static void
wait_until_ready_says(const char *text)
{
	for (int i = 0; i < 1500 && !ready_says(text); i++)
		proc_sleep_ms(10);
	CU_ASSERT_TRUE(ready_says(text));
}

/* Both sides serve and the lanes are owned, but somebody has locked what should be sent. */
static void
a_standstill_is_not_ready(void)
{
	struct env_config cfg = {.http_lines = "  ready_after: 1s\n"};
	char *body;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	(void)env_topic(&env, "account");
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload) VALUES ('account', 'k', 'e', '{}')");
	env_exec(&env, "BEGIN; SELECT 1 FROM outbox_events FOR UPDATE");
	env_daemon_start(&env, 0, &cfg);
	wait_until_ready_says("[-]progress: events wait, and Kafka acknowledged none");
	TAP_INT(env_get(&env, 0, "/readyz", &body), 503);
	TAP_HAS(body, "[-]progress: ");
	CU_ASSERT_PTR_NULL(strstr(body, "kafka:"));
	CU_ASSERT_PTR_NULL(strstr(body, "lanes:"));
	free(body);
	TAP_INT(env_get(&env, 0, "/livez", &body), 200);
	free(body);
	env_exec(&env, "COMMIT");
	wait_until_ready_says("[+]progress ok\nready: yes");
	env_daemon_stop(&env, 0);
}

/* --- a loop that hangs --- */

/* systemd's side of the notify socket. */
static int
listen_as_systemd(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int len = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify", env.dir);

	CU_ASSERT_FATAL(fd >= 0 && len < (int)sizeof(addr.sun_path));
	CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
	setenv("WATCHDOG_USEC", "400000", 1);
	return fd;
}

/* Since the last call. */
static int
watchdog_pings(int fd)
{
	char text[512];
	int pings = 0;

	for (ssize_t n; (n = recv(fd, text, sizeof(text) - 1, 0)) >= 0;) {
		text[n] = '\0';
		pings += strstr(text, "WATCHDOG=1") != NULL;
	}
	return pings;
}

static int
status_of(const char *path)
{
	char *body;
	int status = env_get(&env, 0, path, &body);

	free(body);
	return status;
}

/* The endpoint's thread goes on, and tells; systemd hears no more, and would kill the daemon. */
static void
a_loop_that_hangs_is_not_live(void)
{
	struct env_config cfg = {.program = "tests/support/pgoutboxd-failpoints"};
	struct error err;
	int fd, pings = 0;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	(void)env_topic(&env, "account");
	fd = listen_as_systemd();
	setenv("PGOUTBOX_FAILPOINT", "claim_received:1:hang", 1);
	env_daemon_start(&env, 0, &cfg);
	unsetenv("PGOUTBOX_FAILPOINT");
	unsetenv("WATCHDOG_USEC");
	unsetenv("NOTIFY_SOCKET");
	env_daemon_ready(&env, 0, 15000);
	TAP_INT(status_of("/livez"), 200);
	for (int i = 0; i < 1500 && pings < 3; i++, proc_sleep_ms(10))
		pings += watchdog_pings(fd);
	CU_ASSERT(pings >= 3);
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload) VALUES ('account', 'k', 'e', '{}')");
	ENV_MUST(proc_wait_text(&env.daemons[0], "failpoint claim_received", 15000, &err), &err);
	(void)watchdog_pings(fd);
	for (int i = 0; i < 1500 && status_of("/livez") == 200; i++)
		proc_sleep_ms(10);
	TAP_INT(status_of("/livez"), 503);
	TAP_INT(status_of("/readyz"), 503);
	TAP_INT(watchdog_pings(fd), 0);
	close(fd);
	proc_kill(&env.daemons[0]);
}

int
main(void)
{
	tap_suite_fixture("http", NULL, end);
	tap_test("metrics tell what was done", metrics_tell_what_was_done);
	tap_test("promtool finds nothing to complain about", promtool_finds_nothing);
	tap_test("health pages and unknown paths", health_pages);
	tap_test("a standstill is not ready, and says so", a_standstill_is_not_ready);
	tap_test("a loop that hangs is not live, and the watchdog is not fed", a_loop_that_hangs_is_not_live);
	return tap_run();
}
