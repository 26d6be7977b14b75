/* proxy_sockets.h - the proxy's two ends: the port it listens at, and the server it connects to. Private to
 * proxy*.c. */
#ifndef PGOUTBOX_TESTS_PROXY_SOCKETS_H
#define PGOUTBOX_TESTS_PROXY_SOCKETS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

union proxy_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_un un;
};

/* False when host is no IPv4 address, "localhost" or the path of a directory. */
bool proxy_resolve(const char *host, int port, union proxy_address *ret_address);

/* Listens on 127.0.0.1 at the port, or, for 0, at one of ports.h's. The socket, or -1 and
 * errno; nothing of it blocks. */
int proxy_open_listener(int port, int *ret_port);
void proxy_close_door(int listener); /* keeps the port, refuses connections */
void proxy_open_door(int listener);

/* The next connection, or -1. */
int proxy_accept(int listener);

/* A socket that is connected, or connecting (*ret_connecting); -1 where there is no hope. */
int proxy_dial(const union proxy_address *address, bool *ret_connecting);

#endif
