/* What a manager on a real unix datagram socket reads. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve/notify.h"
#include "support/tap.h"

static char directory[64];
static char path[96];
static int manager = -1;
static char datagram[1024];

static void
set_numbers(const char *usec, const char *pid)
{
	if (usec != NULL)
		setenv("WATCHDOG_USEC", usec, 1);
	if (pid != NULL)
		setenv("WATCHDOG_PID", pid, 1);
}

static void
manage(const char *name, bool abstract)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	memcpy(a.sun_path, name, len);
	if (abstract)
		a.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	TAP_INT_FATAL(bind(manager, (struct sockaddr *)&a, size), 0);
	setenv("NOTIFY_SOCKET", name, 1);
}

static void
setup(void)
{
	snprintf(directory, sizeof(directory), "/tmp/test_notify.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/notify", directory);
}

static void
teardown(void)
{
	if (manager >= 0)
		close(manager);
	manager = -1;
	unlink(path);
	rmdir(directory);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static struct notify *
open_notify(void)
{
	struct error err;
	struct notify *n = NULL;
	TAP_INT_FATAL(notify_new(&n, &err), 0);
	return n;
}

/* The next datagram, "" when there is none. */
static const char *
receive(void)
{
	ssize_t len = recv(manager, datagram, sizeof(datagram) - 1, 0);
	datagram[len < 0 ? 0 : len] = '\0';
	return datagram;
}

static void
states_by_path(void)
{
	manage(path, false);
	struct notify *n = open_notify();
	notify_ready(n);
	TAP_STR(receive(), "READY=1");
	notify_stopping(n);
	TAP_STR(receive(), "STOPPING=1");
	notify_watchdog(n);
	TAP_STR(receive(), "WATCHDOG=1");
	notify_extend_timeout(n, 2500000);
	TAP_STR(receive(), "EXTEND_TIMEOUT_USEC=2500000");
	TAP_STR(receive(), "");
	notify_free(n);
}

static void
states_by_abstract_address(void)
{
	char name[64];
	snprintf(name, sizeof(name), "@pgoutbox-test-notify-%d", (int)getpid());
	manage(name, true);
	struct notify *n = open_notify();
	notify_ready(n);
	TAP_STR(receive(), "READY=1");
	notify_free(n);
}

static void
reloading_carries_the_time(void)
{
	int64_t told_us = 0;
	manage(path, false);
	struct notify *n = open_notify();
	int64_t before_us = clock_mono_us();
	notify_reloading(n);
	TAP_INT(sscanf(receive(), "RELOADING=1\nMONOTONIC_USEC=%" SCNd64, &told_us), 1);
	CU_ASSERT(told_us >= before_us && told_us <= clock_mono_us());
	notify_free(n);
}

static void
status_is_one_line_and_sent_when_new(void)
{
	char expected[600] = "STATUS=", text[500];
	manage(path, false);
	struct notify *n = open_notify();
	notify_status(n, "4 lanes,\n1 \"pending\"\r");
	TAP_STR(receive(), "STATUS=4 lanes, 1 \"pending\" ");
	notify_status(n, "4 lanes,\n1 \"pending\"\r");
	TAP_STR(receive(), "");
	notify_status(n, "");
	TAP_STR(receive(), "STATUS=");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	notify_status(n, text);
	memcpy(expected + 7, text, 255);
	TAP_STR(receive(), expected);
	notify_free(n);
}

static void
nobody_listens(void)
{
	struct notify *n = open_notify();
	notify_ready(n);
	notify_status(n, "x");
	TAP_INT(notify_watchdog_interval_us(n), 0);
	notify_free(n);
	setenv("NOTIFY_SOCKET", "", 1);
	notify_free(open_notify());
	setenv("NOTIFY_SOCKET", path, 1); /* the manager is gone */
	n = open_notify();
	notify_ready(n);
	notify_status(n, "x");
	notify_free(n);
}

/* What was not sent is not taken for sent. */
static void
manager_that_does_not_read(void)
{
	manage(path, false);
	struct notify *n = open_notify();
	int64_t start_us = clock_mono_us();
	for (int i = 0; i < 10000; i++)
		notify_watchdog(n);
	CU_ASSERT(clock_mono_us() - start_us < 2000000);
	notify_status(n, "late");
	while (receive()[0] != '\0')
		TAP_STR(datagram, "WATCHDOG=1");
	notify_status(n, "late");
	TAP_STR(receive(), "STATUS=late");
	notify_free(n);
}

static int64_t
interval(const char *usec, const char *pid)
{
	setenv("NOTIFY_SOCKET", path, 1);
	set_numbers(usec, pid);
	struct notify *n = open_notify();
	int64_t us = notify_watchdog_interval_us(n);
	notify_free(n);
	return us;
}

static void
watchdog_interval(void)
{
	char own[32], other[32];
	snprintf(own, sizeof(own), "%d", (int)getpid());
	snprintf(other, sizeof(other), "%d", (int)getppid());
	TAP_INT(interval(NULL, NULL), 0);
	TAP_INT(interval("30000000", NULL), 15000000);
	TAP_INT(interval("30000000", own), 15000000);
	TAP_INT(interval("30000000", other), 0);
	TAP_INT(interval("1", own), 1);
}

static void
environment_is_cleared(void)
{
	interval("30000000", "1");
	CU_ASSERT_PTR_NULL(getenv("NOTIFY_SOCKET"));
	CU_ASSERT_PTR_NULL(getenv("WATCHDOG_USEC"));
	CU_ASSERT_PTR_NULL(getenv("WATCHDOG_PID"));
}

static void
refused(const char *address, const char *usec, const char *pid, const char *message)
{
	struct error err = {0};
	struct notify *n = NULL;
	setenv("NOTIFY_SOCKET", address, 1);
	set_numbers(usec, pid);
	TAP_INT(notify_new(&n, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_STR(err.message, message);
	CU_ASSERT_PTR_NULL(n);
}

static void
bad_environment(void)
{
	char longest[200] = "/";
	refused("vsock:2:1234", NULL, NULL, "NOTIFY_SOCKET \"vsock:2:1234\" is not the address of a unix socket");
	refused("/", NULL, NULL, "NOTIFY_SOCKET \"/\" is not the address of a unix socket");
	refused(path, "soon", NULL, "WATCHDOG_USEC \"soon\" is not a time in microseconds");
	refused(path, "-1", NULL, "WATCHDOG_USEC \"-1\" is not a time in microseconds");
	refused(path, "99999999999999999999", NULL,
	        "WATCHDOG_USEC \"99999999999999999999\" is not a time in microseconds");
	refused(path, "10", "me", "WATCHDOG_PID \"me\" is not a process id");
	memset(longest + 1, 'a', sizeof(longest) - 2);
	struct error err = {0};
	struct notify *n = NULL;
	setenv("NOTIFY_SOCKET", longest, 1);
	TAP_INT(notify_new(&n, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
}

int
main(void)
{
	tap_suite_fixture("notify", setup, teardown);
	tap_test("states, to a path", states_by_path);
	tap_test("states, to an abstract address", states_by_abstract_address);
	tap_test("reloading carries the time", reloading_carries_the_time);
	tap_test("status is one line, sent when it is new", status_is_one_line_and_sent_when_new);
	tap_test("nobody listens", nobody_listens);
	tap_test("a manager that does not read", manager_that_does_not_read);
	tap_test("the watchdog's interval", watchdog_interval);
	tap_test("the environment is cleared", environment_is_cleared);
	tap_test("a bad environment is an error", bad_environment);
	return tap_run();
}
