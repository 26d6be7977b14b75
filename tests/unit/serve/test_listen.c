/* Addresses as people write them. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/listen.h"
#include "support/tap.h"

static void
refused(const char *address, const char *message, const char *hint)
{
	struct error err = {0};
	int fd = -7;
	uint16_t port = 7;
	TAP_INT(listen_open(address, &fd, &port, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_STR(err.message, message);
	TAP_HAS(err.hint, hint);
	TAP_INT(fd, -7);
	TAP_INT(port, 7);
}

static void
malformed_one(const char *address)
{
	char message[400];
	snprintf(message, sizeof(message), "http.listen \"%s\" is not an address of the form host:port", address);
	refused(address, message, "\"127.0.0.1:9921\"");
}

static void
malformed_addresses(void)
{
	char longest[300];
	malformed_one("");
	malformed_one("localhost");
	malformed_one("127.0.0.1:");
	malformed_one("127.0.0.1:http");
	malformed_one("127.0.0.1:65536");
	malformed_one("127.0.0.1:4294977217"); /* 9921 in 32 bits */
	malformed_one("127.0.0.1:-1");
	malformed_one("127.0.0.1: 80");
	malformed_one("::1:9921");
	malformed_one("[]:9921");
	malformed_one("[::1]");
	memset(longest, 'a', sizeof(longest));
	memcpy(longest + 290, ":9921", 6);
	malformed_one(longest);
}

static int
reach(int family, uint16_t port)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
	int result = family == AF_INET ? connect(fd, (struct sockaddr *)&four, sizeof(four))
	                               : connect(fd, (struct sockaddr *)&six, sizeof(six));
	close(fd);
	return result;
}

static int
open_listener(const char *address, uint16_t *ret_port)
{
	struct error err = {0};
	int fd = -1;
	TAP_INT_FATAL(listen_open(address, &fd, ret_port, &err), 0);
	CU_ASSERT(*ret_port != 0);
	CU_ASSERT(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CU_ASSERT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	return fd;
}

static void
ipv4(void)
{
	uint16_t port;
	int fd = open_listener("127.0.0.1:0", &port);
	TAP_INT(reach(AF_INET, port), 0);
	close(fd);
}

static void
a_name(void)
{
	uint16_t port;
	int fd = open_listener("localhost:0", &port);
	CU_ASSERT(reach(AF_INET, port) == 0 || reach(AF_INET6, port) == 0);
	close(fd);
}

static bool
have_ipv6(void)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool have = fd >= 0 && bind(fd, (struct sockaddr *)&six, sizeof(six)) == 0;
	if (fd >= 0)
		close(fd);
	return have;
}

static void
ipv6(void)
{
	uint16_t port;
	if (!have_ipv6()) {
		tap_skip("this host has no IPv6");
		return;
	}
	int fd = open_listener("[::1]:0", &port);
	TAP_INT(reach(AF_INET6, port), 0);
	TAP_INT(reach(AF_INET, port), -1);
	close(fd);
}

static void
every_address(void)
{
	static const char *const spellings[] = {":0", "*:0"};
	for (int i = 0; i < 2; i++) {
		uint16_t port;
		int fd = open_listener(spellings[i], &port);
		TAP_INT(reach(AF_INET, port), 0);
		if (have_ipv6())
			TAP_INT(reach(AF_INET6, port), 0);
		close(fd);
	}
}

static void
port_in_use(void)
{
	char address[64], message[200];
	uint16_t port;
	int fd = open_listener("127.0.0.1:0", &port);
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	snprintf(message, sizeof(message), "could not listen on \"%s\": Address already in use", address);
	refused(address, message, "another program has it");
	close(fd);
}

/* A port that served connections a moment ago is no reason to refuse a restart. */
static void
port_just_left(void)
{
	char address[64];
	uint16_t port, again;
	int fd = open_listener("127.0.0.1:0", &port);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	TAP_INT_FATAL(connect(client, (struct sockaddr *)&four, sizeof(four)), 0);
	int server = accept(fd, NULL, NULL);
	CU_ASSERT_FATAL(server >= 0);
	close(server); /* the side that closes first keeps the port in TIME_WAIT */
	close(client);
	close(fd);
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	fd = open_listener(address, &again);
	TAP_INT(again, port);
	close(fd);
}

static void
not_of_this_host(void)
{
	refused("192.0.2.1:9921", "could not listen on \"192.0.2.1:9921\": Cannot assign requested address",
	        "none of this host's");
}

static void
unknown_name(void)
{
	struct error err = {0};
	int fd = -1;
	uint16_t port;
	TAP_INT(listen_open("no-such-host.invalid:9921", &fd, &port, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, "could not resolve \"no-such-host.invalid\" of http.listen: ");
	TAP_HAS(err.hint, "\"127.0.0.1:9921\"");
}

int
main(void)
{
	tap_suite("listen");
	tap_test("malformed addresses", malformed_addresses);
	tap_test("IPv4", ipv4);
	tap_test("IPv6", ipv6);
	tap_test("a name", a_name);
	tap_test("every address", every_address);
	tap_test("a port in use", port_in_use);
	tap_test("a port just left", port_just_left);
	tap_test("an address that is not of this host", not_of_this_host);
	tap_test("a name that nobody knows", unknown_name);
	return tap_run();
}
