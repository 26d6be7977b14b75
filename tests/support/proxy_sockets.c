/* proxy_sockets.c - the proxy's two ends. Knows no modes and no connections in the making. */
#include "support/proxy_sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/ports.h"

enum { BACKLOG = 512 };

bool
proxy_resolve(const char *host, int port, union proxy_address *ret_address)
{
	union proxy_address address = {.any.sa_family = AF_UNSPEC};
	int len;

	if (host[0] == '/') {
		address.un.sun_family = AF_UNIX;
		len = snprintf(address.un.sun_path, sizeof(address.un.sun_path), "%s/.s.PGSQL.%d", host, port);
		if (len < 0 || (size_t)len >= sizeof(address.un.sun_path))
			return false;
	} else {
		address.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
		if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &address.in.sin_addr) != 1)
			return false;
	}
	*ret_address = address;
	return true;
}

static bool
bind_port(int fd, int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0 &&
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
}

int
proxy_open_listener(int port, int *ret_port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), bound;

	if (fd == -1)
		return -1;
	if (port > 0)
		bound = bind_port(fd, port) ? port : -1;
	else
		bound = ports_bind(fd);
	if (bound == -1 || listen(fd, BACKLOG) == -1) {
		close(fd);
		return -1;
	}
	*ret_port = bound;
	return fd;
}

/* On Linux a listening socket that is shut down keeps its port, and may listen again. */
void
proxy_close_door(int listener)
{
	(void)shutdown(listener, SHUT_RDWR);
}

void
proxy_open_door(int listener)
{
	(void)listen(listener, BACKLOG);
}

static void
send_at_once(int fd)
{
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

int
proxy_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0)
		send_at_once(fd);
	return fd;
}

/* A connection to a port of this host where nobody listens may find itself as its peer. */
static bool
met_itself(int fd)
{
	struct sockaddr_in own, peer;
	socklen_t own_len = sizeof(own), peer_len = sizeof(peer);

	return getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 && own.sin_family == AF_INET &&
	    getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 && own.sin_port == peer.sin_port &&
	    own.sin_addr.s_addr == peer.sin_addr.s_addr;
}

int
proxy_dial(const union proxy_address *address, bool *ret_connecting)
{
	bool tcp = address->any.sa_family == AF_INET;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc = fd == -1 ? -1 : connect(fd, &address->any, tcp ? sizeof(address->in) : sizeof(address->un));

	if (fd != -1 && (rc == 0 || errno == EINPROGRESS) && !met_itself(fd)) {
		if (tcp)
			send_at_once(fd);
		*ret_connecting = rc != 0;
		return fd;
	}
	if (fd != -1)
		close(fd);
	return -1;
}
