/* test_sockets.c - sockets are remembered, set up, cut all at once, and not to be had afterwards. */
#include <stdlib.h>

static int realloc_fails;

#define realloc(p, size) (realloc_fails ? NULL : realloc(p, size))
#include "sink/sockets.c"
#undef realloc

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>

#include "support/tap.h"

enum { MANY = 20 };

static struct sockets s;
static int listener;
static struct sockaddr_in address;

static void
setup(void)
{
	socklen_t size = sizeof address;

	realloc_fails = 0;
	sockets_init(&s);
	address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	TAP_INT(bind(listener, (struct sockaddr *)&address, size), 0);
	TAP_INT(listen(listener, MANY), 0);
	TAP_INT(getsockname(listener, (struct sockaddr *)&address, &size), 0);
}

static void
teardown(void)
{
	close(listener);
	sockets_done(&s);
}

static int
open_one(void)
{
	return sockets_open(AF_INET, SOCK_STREAM, IPPROTO_TCP, &s);
}

static void
test_patience(void)
{
	int fd = open_one(), value = 0;
	socklen_t size = sizeof value;

	CU_ASSERT_FATAL(fd >= 0);
	TAP_INT(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &size), 0);
	TAP_INT(value, 15000);
	TAP_INT(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &size), 0);
	TAP_INT(value, 5);
	CU_ASSERT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	TAP_INT(sockets_close(fd, &s), 0);
	TAP_INT(fcntl(fd, F_GETFD), -1);
	TAP_INT(s.count, 0);
}

static void
test_refusals(void)
{
	TAP_INT(sockets_open(-1, SOCK_STREAM, 0, &s), -1);
	realloc_fails = 1;
	TAP_INT(open_one(), -1);
	TAP_INT(errno, ENOMEM);
	TAP_INT(s.count, 0);
	TAP_INT(sockets_close(-1, &s), -1);
}

static void
test_cut(void)
{
	int ours[MANY], theirs[MANY];
	char byte;

	for (int i = 0; i < MANY; i++) {
		ours[i] = open_one();
		CU_ASSERT_FATAL(ours[i] >= 0);
		TAP_INT_FATAL(connect(ours[i], (struct sockaddr *)&address, sizeof address), 0);
		theirs[i] = accept(listener, NULL, NULL);
		CU_ASSERT_FATAL(theirs[i] >= 0);
	}
	/* One that was closed before is nobody's: its number is somebody else's by now. */
	sockets_close(ours[3], &s);
	TAP_INT_FATAL(fcntl(listener, F_DUPFD_CLOEXEC, ours[3]), ours[3]);
	TAP_INT(send(ours[5], "x", 1, MSG_NOSIGNAL), 1);
	sockets_cut(&s);
	for (int i = 0; i < MANY; i++) {
		if (i == 3)
			continue;
		TAP_INT(send(ours[i], "y", 1, MSG_NOSIGNAL), -1);
		TAP_INT(errno, EPIPE);
		/* What was sent before arrives, and nothing else. */
		TAP_INT(recv(theirs[i], &byte, 1, 0), i == 5);
		TAP_INT(recv(theirs[i], &byte, 1, 0), 0);
	}
	CU_ASSERT_FATAL(open_one() == -1);
	TAP_INT(errno, ESHUTDOWN);
	TAP_INT(listen(ours[3], MANY), 0); /* not shut down */
	for (int i = 0; i < MANY; i++) {
		if (i == 3)
			close(ours[i]);
		else
			TAP_INT(sockets_close(ours[i], &s), 0);
		close(theirs[i]);
	}
	TAP_INT(s.count, 0);
}

/* A connection that is still being made must not come about later. */
static void
test_cut_connecting(void)
{
	struct sockaddr_in nowhere = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {.s_addr = inet_addr("192.0.2.1")}};
	int fd = open_one();
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};

	CU_ASSERT_FATAL(fd >= 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, (struct sockaddr *)&nowhere, sizeof nowhere) == 0 || errno != EINPROGRESS) {
		sockets_close(fd, &s);
		tap_skip("no way to a host that does not answer");
		return;
	}
	sockets_cut(&s);
	TAP_INT(poll(&pfd, 1, 1000), 1);
	CU_ASSERT(pfd.revents & (POLLHUP | POLLERR));
	sockets_close(fd, &s);
}

int
main(void)
{
	tap_suite_fixture("sockets", setup, teardown);
	tap_test("sockets notice a vanished host", test_patience);
	tap_test("what cannot be had or remembered is not opened", test_refusals);
	tap_test("a cut ends all, and lets none be opened", test_cut);
	tap_test("a cut ends what is being connected", test_cut_connecting);
	return tap_run();
}
