/* listen.c - an address as people write it in, a listening socket out. Must not know what is served on it. */
#include "serve/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 }; /* the kernel drops what comes beyond it, and the client tries again only a second later */

static int
malformed(const char *address, struct error *err)
{
	error_set(err, ERR_CONFIG, "http.listen \"%s\" is not an address of the form host:port", address);
	error_hint(err, "write for example \"127.0.0.1:9921\", \"[::1]:9921\" or \"off\"");
	return -1;
}

static bool
valid_port(const char *port)
{
	size_t len = strlen(port);
	return len >= 1 && len <= 5 && strspn(port, "0123456789") == len && atoi(port) <= UINT16_MAX;
}

/* host is "" for every address. */
static int
split(const char *address, char host[static 256], const char **ret_port, struct error *err)
{
	const char *colon = strrchr(address, ':');
	if (colon == NULL || !valid_port(colon + 1))
		return malformed(address, err);
	const char *start = address;
	size_t len = (size_t)(colon - address);
	bool bracketed = len >= 2 && start[0] == '[' && start[len - 1] == ']';
	if (bracketed) {
		start++;
		len -= 2;
	}
	if (len >= 256 || (!bracketed && memchr(start, ':', len) != NULL) || (bracketed && len == 0))
		return malformed(address, err);
	if (len == 1 && start[0] == '*')
		len = 0;
	memcpy(host, start, len);
	host[len] = '\0';
	*ret_port = colon + 1;
	return 0;
}

/* -1 with errno. */
static int
bind_one(const struct addrinfo *a)
{
	int on = 1, off = 0;
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int reason = errno;
	close(fd);
	errno = reason;
	return -1;
}

static int
cannot_bind(const char *address, int reason, struct error *err)
{
	error_set(err, ERR_CONFIG, "could not listen on \"%s\": %s", address, strerror(reason));
	if (reason == EADDRINUSE)
		return error_hint(err, "another program has it: stop that, or set http.listen to another port or to \"off\"");
	if (reason == EADDRNOTAVAIL)
		return error_hint(err, "the address is none of this host's: set http.listen to one that is");
	if (reason == EACCES)
		return error_hint(err, "ports below 1024 need a privilege: set http.listen to a higher one");
	return error_hint(err, "set http.listen to another address or to \"off\"");
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return 0;
	if (a.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

/* Without a host, IPv6 is tried first: its socket takes IPv4 too, where the host has IPv6 at all. */
static int
bind_any(const struct addrinfo *list, bool every)
{
	int fd = -1, reason = EADDRNOTAVAIL;
	for (int pass = every ? 0 : 1; pass < 2 && fd < 0; pass++) {
		for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
			if (pass == 0 && a->ai_family != AF_INET6)
				continue;
			fd = bind_one(a);
			reason = errno;
		}
	}
	errno = reason;
	return fd;
}

int
listen_open(const char *address, int *ret_fd, uint16_t *ret_port, struct error *err)
{
	char host[256];
	const char *port;
	struct addrinfo *list = NULL;
	struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	if (split(address, host, &port, err) < 0)
		return -1;
	int failed = getaddrinfo(host[0] == '\0' ? NULL : host, port, &wanted, &list);
	if (failed != 0) {
		error_set(err, ERR_CONFIG, "could not resolve \"%s\" of http.listen: %s", host, gai_strerror(failed));
		return error_hint(err, "set http.listen to an address of this host, for example \"127.0.0.1:%s\"", port);
	}
	int fd = bind_any(list, host[0] == '\0');
	int reason = errno;
	freeaddrinfo(list);
	if (fd < 0)
		return cannot_bind(address, reason, err);
	*ret_fd = fd;
	*ret_port = port_of(fd);
	return 0;
}
