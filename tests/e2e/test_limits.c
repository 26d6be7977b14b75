/* test_limits.c - the daemon's own limits: a standard error that takes no text, clients that hang on its endpoint,
 * descriptors that run out. None of it may stop an event, lose one, or repeat one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "support/env.h"
#include "support/load.h"
#include "support/ports.h"
#include "support/tap.h"

enum { EVENTS = 5000, SOON_MS = 20000, CROWD = 1000 };

/* What librdkafka has to say fills any buffer. */
#define TALKATIVE "  properties: {debug: \"all\"}\nlog:\n  level: debug\n"

static struct env env;
static char own_log[192]; /* where the daemon finds something else than a file to log to */
static struct load load;

static void
end(void)
{
	if (own_log[0] != '\0')
		unlink(own_log); /* it is not there to be read, whatever failed */
	own_log[0] = '\0';
	env_end(&env);
}

/* log: to be made by the caller there. */
static bool
begin(const struct env_config *cfg)
{
	if (!env_begin(&env))
		return false;
	snprintf(own_log, sizeof(own_log), "%s/daemon-0.log", env.dir);
	env_init(&env, cfg);
	return true;
}

static void
insert(int count)
{
	env_exec(&env,
	         "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	         " SELECT 'account', n %% 100, 'e', jsonb_build_object('n', n) FROM generate_series(1, %d) n",
	         count);
}

static void
wait_until_sent(void)
{
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
}

/* The session that sees to this need not be among the first that are back. */
static void
wait_until_up(void)
{
	int64_t end_us = clock_mono_us() + SOON_MS * INT64_C(1000);

	while (env_metric(&env, 0, "pgoutbox_up") != 2 && clock_mono_us() < end_us)
		proc_sleep_ms(20);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_up") == 2);
}

static void
stop_and_audit(const char *topic)
{
	struct audit_report report;

	env_daemon_stop(&env, 0);
	env_audit(&env, topic, false, &report);
}

/* Whoever waits for what does not come must not do it by turning in circles. */
static void
expect_quiet(void)
{
	clockid_t clock;
	struct timespec before, after;

	TAP_INT_FATAL(clock_getcpuclockid(env.daemons[0].pid, &clock), 0);
	TAP_INT_FATAL(clock_gettime(clock, &before), 0);
	proc_sleep_ms(1500);
	TAP_INT_FATAL(clock_gettime(clock, &after), 0);
	CU_ASSERT((double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec) < 0.5);
}

/* --- standard error --- */

/* Reads until there is a line that holds the text. */
static struct buf
read_line_with(int fd, const char *text)
{
	int64_t end_us = clock_mono_us() + SOON_MS * INT64_C(1000);
	struct buf line = BUF_INIT;
	char c;

	while (clock_mono_us() < end_us) {
		ssize_t n = read(fd, &c, 1);

		if (n != 1) {
			poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 100);
			continue;
		}
		if (c != '\n') {
			buf_add(&line, &c, 1);
			continue;
		}
		if (strstr(buf_str(&line), text) != NULL)
			return line;
		buf_done(&line);
	}
	buf_done(&line);
	CU_FAIL("the line does not come");
	return line;
}

static double
wait_for_drops(double before)
{
	int64_t end_us = clock_mono_us() + SOON_MS * INT64_C(1000);
	double dropped = before;

	while (dropped <= before && clock_mono_us() < end_us) {
		insert(200);
		proc_sleep_ms(20);
		dropped = env_metric(&env, 0, "pgoutbox_log_dropped_total");
	}
	CU_ASSERT_FATAL(dropped > before);
	return dropped;
}

static void
nobody_reads_the_log(void)
{
	struct env_config cfg = {.kafka_lines = TALKATIVE};
	const char *topic;
	struct buf line;
	double dropped;
	int64_t start_us;
	int fd, told = 0;

	if (!begin(&cfg))
		return;
	CU_ASSERT_FATAL(mkfifo(own_log, 0600) == 0);
	fd = open(own_log, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0);
	topic = env_topic(&env, "account");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, SOON_MS);
	dropped = wait_for_drops(0);
	start_us = clock_mono_us();
	insert(EVENTS);
	wait_until_sent();
	tap_diag("%d events in %lld ms, %.0f log entries dropped before", EVENTS,
	         (long long)(clock_mono_us() - start_us) / 1000, dropped);

	line = read_line_with(fd, "id=log-dropped");
	TAP_INT(sscanf(strstr(buf_str(&line), "msg=\"") + 5, "%d entries were lost here", &told), 1);
	CU_ASSERT(told > 0);
	buf_done(&line);
	proc_signal(&env.daemons[0], SIGUSR1);
	line = read_line_with(fd, "id=state-relay");
	buf_done(&line);

	(void)wait_for_drops(env_metric(&env, 0, "pgoutbox_log_dropped_total"));
	wait_until_sent();
	stop_and_audit(topic); /* of which nobody reads */
	close(fd);
}

static void
the_log_is_on_a_full_disk(void)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *topic;

	if (!begin(&cfg))
		return;
	CU_ASSERT_FATAL(symlink("/dev/full", own_log) == 0);
	topic = env_topic(&env, "account");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, SOON_MS);
	insert(EVENTS);
	wait_until_sent();
	expect_quiet();
	stop_and_audit(topic);
}

/* --- the endpoint --- */

struct crowd {
	int fds[CROWD];
	int made; /* over the time */
	atomic_bool leaves;
	pthread_t thread;
};

/* Half a request at most: some say nothing, some begin, some say a byte now and then. */
static void
crowd_comes(struct crowd *c, int i)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)env.ports[0]), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	static const char *const beginnings[] = {"", "GET /metr", "GET /metrics HTTP/1.1\r\nHost: x\r\n"};
	const char *text = beginnings[i % 3];

	c->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fds[i] < 0 || connect(c->fds[i], (struct sockaddr *)&a, sizeof(a)) != 0)
		return;
	(void)!send(c->fds[i], text, strlen(text), MSG_NOSIGNAL);
	c->made++;
}

/* Whoever is thrown out comes back. */
static void *
crowd_main(void *arg)
{
	struct crowd *c = arg;

	while (!c->leaves) {
		for (int i = 0; i < CROWD && !c->leaves; i++) {
			if (c->fds[i] >= 0 && recv(c->fds[i], &(char){0}, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN &&
			    (i % 3 == 0 || send(c->fds[i], "x", 1, MSG_NOSIGNAL) == 1))
				continue;
			if (c->fds[i] >= 0)
				close(c->fds[i]);
			crowd_comes(c, i);
		}
		proc_sleep_ms(200);
	}
	for (int i = 0; i < CROWD; i++)
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	return NULL;
}

static bool
allow_crowd(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < CROWD + 100)
		return false;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* EVENTS under load; says how long they took to be sent, and the longest that /metrics took. */
static int64_t
serve(const char *name)
{
	int64_t start_us = clock_mono_us(), slowest_us = 0, took_ms;

	load.opt = WRITER_DEFAULTS;
	load.opt.conninfo = env.super;
	load.opt.events = EVENTS;
	load.opt.events_per_second = 2500;
	load_start(&load);
	for (int i = 0; i < 10; i++) {
		int64_t asked_us = clock_mono_us();

		CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_sent_total") >= 0);
		asked_us = clock_mono_us() - asked_us;
		slowest_us = asked_us > slowest_us ? asked_us : slowest_us;
		proc_sleep_ms(100);
	}
	load_join(&load);
	wait_until_sent();
	took_ms = (clock_mono_us() - start_us) / 1000;
	tap_diag("%s: %lld events in %lld ms, /metrics took %lld us at the most", name, (long long)load.counts.committed,
	         (long long)took_ms, (long long)slowest_us);
	CU_ASSERT(slowest_us < 4500000);
	return took_ms;
}

static void
a_crowd_hangs_on_the_endpoint(void)
{
	static struct crowd crowd;
	struct env_config cfg = {.conninfo = NULL};
	const char *topic;
	int64_t quiet_ms, crowded_ms;

	if (!allow_crowd()) {
		tap_skip("this host does not allow %d sockets", CROWD);
		return;
	}
	if (!begin(&cfg))
		return;
	topic = env_topic(&env, "account");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, SOON_MS);
	quiet_ms = serve("nobody else");
	for (int i = 0; i < CROWD; i++)
		crowd_comes(&crowd, i);
	TAP_INT_FATAL(pthread_create(&crowd.thread, NULL, crowd_main, &crowd), 0);
	crowded_ms = serve("a crowd");
	CU_ASSERT(env_metric(&env, 0, "process_open_fds") < 100);
	crowd.leaves = true;
	pthread_join(crowd.thread, NULL);
	tap_diag("%d sockets came", crowd.made);
	CU_ASSERT(crowded_ms < 3 * quiet_ms + 5000);
	stop_and_audit(topic);
}

/* --- descriptors --- */

/* The daemon's hard limit, under which it cannot raise its own. */
static void
start_limited(const struct env_config *cfg, const char *limit)
{
	const char *argv[] = {"sh", "-c", "ulimit -n \"$1\" && shift && exec \"$@\"", "sh", limit, env_program("pgoutboxd"),
	                      "-c", NULL, NULL};
	struct error err;

	env.ports[0] = ports_take();
	argv[7] = env_write_config(&env, "daemon-0", env.ports[0], cfg);
	ENV_MUST(proc_start(&env.daemons[0], own_log, argv, &err), &err);
}

static void
wait_log(const char *text)
{
	struct error err;

	ENV_MUST(proc_wait_text(&env.daemons[0], text, SOON_MS, &err), &err);
}

static void
far_too_few_descriptors(void)
{
	struct env_config cfg = {.conninfo = NULL};
	char *body;

	if (!begin(&cfg))
		return;
	start_limited(&cfg, "15");
	wait_log("id=descriptors-few msg=\"only 15 files and sockets may be open at once, up to ");
	wait_log("Too many open files");
	expect_quiet();
	TAP_INT(env_get(&env, 0, "/livez", &body), 200);
	free(body);
	CU_ASSERT(env_metric(&env, 0, "process_max_fds") == 15);
	CU_ASSERT_TRUE(proc_running(&env.daemons[0]));
	env_daemon_stop(&env, 0);
}

static void
enough_descriptors(void)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *topic;

	if (!begin(&cfg))
		return;
	topic = env_topic(&env, "account");
	start_limited(&cfg, "40");
	env_daemon_ready(&env, 0, SOON_MS);
	insert(EVENTS);
	wait_until_sent();
	CU_ASSERT_TRUE(proc_log_has(&env.daemons[0], "id=descriptors-few"));
	CU_ASSERT_FALSE(proc_log_has(&env.daemons[0], "Too many open files"));
	stop_and_audit(topic);
}

static void
set_limit(rlim_t soft)
{
	struct rlimit limit;

	TAP_INT_FATAL(prlimit(env.daemons[0].pid, RLIMIT_NOFILE, NULL, &limit), 0);
	limit.rlim_cur = soft;
	TAP_INT_FATAL(prlimit(env.daemons[0].pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

/* As when something else of the process took them: an outage, which ends when there are some again. */
static void
descriptors_run_out(void)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *topic;

	if (!begin(&cfg))
		return;
	topic = env_topic(&env, "account");
	start_limited(&cfg, "250");
	env_daemon_ready(&env, 0, SOON_MS);
	env_wait_int(&env, 7, SOON_MS, "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s'", env.name);
	CU_ASSERT_FALSE(proc_log_has(&env.daemons[0], "id=descriptors-few"));
	set_limit(10);
	TAP_INT(env_int(&env, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '%s'",
	                env.name), 7);
	insert(EVENTS);
	wait_log("Too many open files");
	expect_quiet();
	set_limit(250);
	wait_until_sent();
	wait_until_up();
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_parked_total") == 0);
	stop_and_audit(topic);
}

int
main(void)
{
	tap_suite_fixture("limits", NULL, end);
	tap_test("nobody reads the log", nobody_reads_the_log);
	tap_test("the log is on a full disk", the_log_is_on_a_full_disk);
	tap_test("1,000 clients hang on the endpoint", a_crowd_hangs_on_the_endpoint);
	tap_test("far too few descriptors", far_too_few_descriptors);
	tap_test("just enough descriptors", enough_descriptors);
	tap_test("descriptors run out for a while", descriptors_run_out);
	return tap_run();
}
