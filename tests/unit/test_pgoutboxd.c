/* The daemon as a service manager sees it, with neither a PostgreSQL nor a Kafka in reach. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/proc.h"
#include "support/tap.h"

static char directory[64], socket_path[96], config_path[96], log_path[96];
static int manager = -1;
static struct proc daemon_proc;

static void
setup(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(directory, sizeof(directory), "/tmp/test_pgoutboxd.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(socket_path, sizeof(socket_path), "%s/notify", directory);
	snprintf(config_path, sizeof(config_path), "%s/config.yaml", directory);
	snprintf(log_path, sizeof(log_path), "%s/log", directory);
	memcpy(a.sun_path, socket_path, strlen(socket_path));
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	TAP_INT_FATAL(bind(manager, (struct sockaddr *)&a, sizeof(a)), 0);
	setenv("NOTIFY_SOCKET", socket_path, 1);
	setenv("WATCHDOG_USEC", "30000000", 1);
	daemon_proc = PROC_NONE;
}

static void
teardown(void)
{
	proc_kill(&daemon_proc);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	close(manager);
	unlink(socket_path);
	unlink(config_path);
	unlink(log_path);
	rmdir(directory);
}

static void
write_file(const char *more_lines)
{
	FILE *f = fopen(config_path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "database:\n  conninfo: \"host=%s dbname=app user=pgoutboxd\"\nkafka:\n  brokers: \"127.0.0.1:1\"\n"
	        "http:\n  listen: off\n%s", directory, more_lines);
	fclose(f);
}

static void
start_daemon(const char *more_lines, const char *argument)
{
	const char *const argv[] = {"./pgoutboxd", "-c", config_path, argument, NULL};
	struct error err;

	write_file(more_lines);
	TAP_INT_FATAL(proc_start(&daemon_proc, log_path, argv, &err), 0);
}

/* Waits for a datagram that begins like this; others are passed by. False: it has not come. */
static bool
told(const char *start, char ret_text[static 512])
{
	int64_t until_us = clock_mono_us() + 30000000;
	struct pollfd p = {.fd = manager, .events = POLLIN};

	while (clock_mono_us() < until_us) {
		if (poll(&p, 1, 100) <= 0)
			continue;
		ssize_t len = recv(manager, ret_text, 511, 0);
		ret_text[len < 0 ? 0 : len] = '\0';
		if (strncmp(ret_text, start, strlen(start)) == 0)
			return true;
	}
	return false;
}

static void
says_how_it_is(void)
{
	char text[512];

	start_daemon("", NULL);
	CU_ASSERT_FATAL(told("READY=1", text));
	CU_ASSERT(told("WATCHDOG=1", text));
	CU_ASSERT_FATAL(told("STATUS=", text));
	TAP_HAS(text, "PostgreSQL ");
	TAP_HAS(text, "Kafka ");
	TAP_INT(proc_terminate(&daemon_proc, 30000), 0);
}

/* As long as the drain may take, whatever TimeoutStopSec says. */
static void
asks_for_the_time_to_drain(void)
{
	char text[512];

	start_daemon("outbox:\n  stop_timeout: 7m\n", NULL);
	CU_ASSERT_FATAL(told("READY=1", text));
	proc_signal(&daemon_proc, SIGTERM);
	CU_ASSERT_FATAL(told("STOPPING=1", text));
	CU_ASSERT_FATAL(told("EXTEND_TIMEOUT_USEC=", text));
	TAP_STR(text, "EXTEND_TIMEOUT_USEC=430000000");
	TAP_INT(proc_wait(&daemon_proc, 30000), 0);
}

/* What came within the time; the manager's queue is emptied first, of what came before. */
static int
pings_within(int ms)
{
	int64_t until_us;
	char text[512];
	int pings = 0;

	while (recv(manager, text, sizeof(text), MSG_DONTWAIT) >= 0)
		;
	for (until_us = clock_mono_us() + ms * 1000LL; clock_mono_us() < until_us;) {
		struct pollfd p = {.fd = manager, .events = POLLIN};

		if (poll(&p, 1, 10) > 0 && recv(manager, text, sizeof(text), 0) > 0)
			pings += strncmp(text, "WATCHDOG=1", 10) == 0;
	}
	return pings;
}

/* The loop's thread is stopped, and no other: whoever speaks for it now would hide that it hangs. */
static void
a_loop_that_hangs_pings_no_more(void)
{
	char text[512];
	int status;

	setenv("WATCHDOG_USEC", "100000", 1);
	start_daemon("", NULL);
	CU_ASSERT_FATAL(told("READY=1", text));
	CU_ASSERT_FATAL(told("WATCHDOG=1", text));
	if (ptrace(PTRACE_SEIZE, daemon_proc.pid, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, daemon_proc.pid, NULL, NULL) != 0) {
		tap_skip("ptrace(2) is not allowed here");
		return;
	}
	TAP_INT_FATAL(waitpid(daemon_proc.pid, &status, __WALL), daemon_proc.pid);
	TAP_INT(pings_within(700), 0);
	TAP_INT(ptrace(PTRACE_DETACH, daemon_proc.pid, NULL, NULL), 0);
	CU_ASSERT(told("WATCHDOG=1", text));
	TAP_INT(proc_terminate(&daemon_proc, 30000), 0);
}

/* One line says what runs; its form is the command line's to choose. */
static void
says_what_runs(void)
{
	char wanted[64];
	char *text;
	struct error err;

	start_daemon("log:\n  format: logfmt\n", "--log-format=json");
	TAP_INT_FATAL(proc_wait_text(&daemon_proc, "http on off: ", 30000, &err), 0);
	snprintf(wanted, sizeof(wanted), ",\"pid\":%d,\"version\":\"", (int)daemon_proc.pid);
	TAP_INT(proc_terminate(&daemon_proc, 30000), 0);
	text = proc_log_text(&daemon_proc);
	TAP_HAS(text, "{\"ts\":\"");
	TAP_HAS(text, "\"level\":\"notice\",\"id\":\"started\",\"msg\":\"pgoutboxd ");
	TAP_HAS(text, "\\\"outbox_events\\\" (batches of 1000 rows or 8388608 bytes, held for 2000 ms at most, settles by mark; at most 1000 events ");
	TAP_HAS(text, wanted);
	TAP_HAS(text, "\"id\":\"stopped\"");
	CU_ASSERT_PTR_NULL(strstr(text, "level="));
	free(text);
}

/* The file's format does not count where the command line has one, whatever it was or becomes. */
static void
a_reload_leaves_the_form_alone(void)
{
	char text[512];
	char *log;
	struct error err;

	start_daemon("log:\n  format: logfmt\n", "--log-format=json");
	CU_ASSERT_FATAL(told("READY=1", text));
	proc_signal(&daemon_proc, SIGHUP);
	TAP_INT_FATAL(proc_wait_text(&daemon_proc, "nothing has changed that could at once", 30000, &err), 0);
	write_file("log:\n  format: json\n  level: warning\n");
	proc_signal(&daemon_proc, SIGHUP);
	TAP_INT_FATAL(proc_wait_text(&daemon_proc, "read again: log.level=warning", 30000, &err), 0);
	TAP_INT(proc_terminate(&daemon_proc, 30000), 0);
	log = proc_log_text(&daemon_proc);
	CU_ASSERT_PTR_NULL(strstr(log, "reload-needs-restart"));
	free(log);
}

/* Without one it counts. */
static void
a_reload_tells_of_another_form(void)
{
	char text[512];
	struct error err;

	start_daemon("", NULL);
	CU_ASSERT_FATAL(told("READY=1", text));
	write_file("log:\n  format: json\n");
	proc_signal(&daemon_proc, SIGHUP);
	TAP_INT_FATAL(proc_wait_text(&daemon_proc, "at the next start: log.format", 30000, &err), 0);
	TAP_INT(proc_terminate(&daemon_proc, 30000), 0);
}

static void
knows_two_forms(void)
{
	static const char *const argv[] = {"./pgoutboxd", "--log-format=xml", NULL};
	char *text;

	TAP_INT(proc_run(argv, 30000, &text), 64);
	TAP_HAS(text, "\"xml\" is no format of a log");
	free(text);
}

/* systemd waits for the second READY=1, and knows by the time which request it answers. */
static void
says_that_it_reloads(void)
{
	char text[512];

	start_daemon("", NULL);
	CU_ASSERT_FATAL(told("READY=1", text));
	proc_signal(&daemon_proc, SIGHUP);
	CU_ASSERT_FATAL(told("RELOADING=1\nMONOTONIC_USEC=", text));
	CU_ASSERT(strtoll(strrchr(text, '=') + 1, NULL, 10) > 0);
	CU_ASSERT_FATAL(told("READY=1", text));
	TAP_INT(proc_terminate(&daemon_proc, 30000), 0);
}

int
main(void)
{
	tap_suite_fixture("pgoutboxd", setup, teardown);
	tap_test("tells the service manager how it is", says_how_it_is);
	tap_test("tells the service manager that it reloads", says_that_it_reloads);
	tap_test("asks for the time that a drain may take", asks_for_the_time_to_drain);
	tap_test("a loop that hangs pings the watchdog no more", a_loop_that_hangs_pings_no_more);
	tap_test("says what runs, as the command line wants it", says_what_runs);
	tap_test("a reload leaves the command line's form of the log alone", a_reload_leaves_the_form_alone);
	tap_test("a reload tells of another form of the log", a_reload_tells_of_another_form);
	tap_test("knows two forms of the log", knows_two_forms);
	return tap_run();
}
