/* notify.c - states in, sd_notify(3) datagrams out.
 *
 * What could not be sent is dropped: the next state or watchdog ping says it again.
 * Must not know what the states mean to the daemon.
 */
#include "serve/notify.h"

#include <errno.h>
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

struct notify {
	int fd; /* -1 = nobody listens */
	struct sockaddr_un address;
	socklen_t address_len;
	int64_t watchdog_interval_us;
	char status[256]; /* as last sent */
};

static int
parse_address(struct notify *n, const char *text, struct error *err)
{
	size_t len = strlen(text);
	if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof(n->address.sun_path)) {
		error_set(err, ERR_CONFIG, "NOTIFY_SOCKET \"%s\" is not the address of a unix socket", text);
		return error_hint(err, "start pgoutboxd from systemd with Type=notify, or unset the variable");
	}
	n->address.sun_family = AF_UNIX;
	memcpy(n->address.sun_path, text, len);
	if (text[0] == '@')
		n->address.sun_path[0] = '\0';
	n->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (text[0] == '/'));
	return 0;
}

static bool
parse_number(const char *text, int64_t *ret_number)
{
	char *end;
	errno = 0;
	long long number = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || number <= 0)
		return false;
	*ret_number = number;
	return true;
}

static int
parse_watchdog(struct notify *n, struct error *err)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	int64_t allowed_us, watched_pid;
	if (usec == NULL)
		return 0;
	if (!parse_number(usec, &allowed_us))
		return error_set(err, ERR_CONFIG, "WATCHDOG_USEC \"%s\" is not a time in microseconds", usec);
	if (pid != NULL && !parse_number(pid, &watched_pid))
		return error_set(err, ERR_CONFIG, "WATCHDOG_PID \"%s\" is not a process id", pid);
	if (pid == NULL || watched_pid == getpid())
		n->watchdog_interval_us = allowed_us > 1 ? allowed_us / 2 : 1;
	return 0;
}

static int
open_socket(struct notify *n, struct error *err)
{
	const char *text = getenv("NOTIFY_SOCKET");
	if (text == NULL || text[0] == '\0')
		return 0;
	if (parse_address(n, text, err) < 0 || parse_watchdog(n, err) < 0)
		return -1;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		return error_set(err, ERR_FATAL, "could not create a socket: %s", strerror(errno));
	return 0;
}

int
notify_new(struct notify **ret_notify, struct error *err)
{
	struct notify *n = calloc(1, sizeof(*n));
	if (n == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	n->fd = -1;
	int result = open_socket(n, err);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (result < 0) {
		notify_free(n);
		return -1;
	}
	*ret_notify = n;
	return 0;
}

void
notify_free(struct notify *n)
{
	if (n == NULL)
		return;
	if (n->fd >= 0)
		close(n->fd);
	free(n);
}

int64_t
notify_watchdog_interval_us(const struct notify *n)
{
	return n->watchdog_interval_us;
}

static bool
tell(struct notify *n, const char *text)
{
	if (n->fd < 0)
		return false;
	return sendto(n->fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&n->address, n->address_len) >= 0;
}

void
notify_ready(struct notify *n)
{
	tell(n, "READY=1");
}

/* systemd matches the answer to its own request by the time, so it must be taken when the reload begins. */
void
notify_reloading(struct notify *n)
{
	char text[64];
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_us());
	tell(n, text);
}

void
notify_stopping(struct notify *n)
{
	tell(n, "STOPPING=1");
}

void
notify_watchdog(struct notify *n)
{
	tell(n, "WATCHDOG=1");
}

void
notify_status(struct notify *n, const char *text)
{
	char line[sizeof(n->status)];
	snprintf(line, sizeof(line), "%s", text);
	for (char *c = line; *c != '\0'; c++) {
		if (*c == '\n' || *c == '\r')
			*c = ' ';
	}
	char datagram[sizeof(line) + 8];
	snprintf(datagram, sizeof(datagram), "STATUS=%s", line);
	if (strcmp(line, n->status) != 0 && tell(n, datagram))
		memcpy(n->status, line, sizeof(line));
}

void
notify_extend_timeout(struct notify *n, int64_t us)
{
	char text[64];
	snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%" PRId64, us);
	tell(n, text);
}
