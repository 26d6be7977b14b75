/* Tests of ports that are held for a server that comes, goes and comes again. */
#include "support/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/tap.h"

static int
bound(int port, int reuse)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_FATAL(fd >= 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	TAP_INT(errno, EADDRINUSE);
	close(fd);
	return -1;
}

static int
heard(int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	close(fd);
	return rc == 0;
}

static void
server_comes_and_goes(int port)
{
	for (int i = 0; i < 3; i++) {
		int server = bound(port, 1);

		CU_ASSERT_FATAL(server >= 0);
		CU_ASSERT(!heard(port));
		TAP_INT(listen(server, 5), 0);
		CU_ASSERT(heard(port));
		TAP_INT(bound(port, 0), -1);
		TAP_INT(bound(port, 1), -1);
		close(server);
		CU_ASSERT(!heard(port));
		TAP_INT(bound(port, 0), -1);
	}
}

static void
test_take(void)
{
	int port = ports_take();

	CU_ASSERT_FATAL(port >= 10000);
	TAP_INT(bound(port, 0), -1);
	server_comes_and_goes(port);
}

static void
test_all_differ(void)
{
	enum { COUNT = 200 };
	int ports[COUNT];

	for (int i = 0; i < COUNT; i++) {
		ports[i] = ports_take();
		CU_ASSERT_FATAL(ports[i] > 0);
		for (int j = 0; j < i; j++)
			CU_ASSERT(ports[j] != ports[i]);
	}
}

/* The same for scripts, until the directory is gone. */
static void
test_script(void)
{
	char dir[] = "/tmp/pgoutbox-ports.XXXXXX", command[512];
	const char *srcdir = getenv("srcdir");
	int ports[2], fd = -1;
	FILE *in;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(command, sizeof(command), "%s/tests/support/hold-ports %s 2", srcdir == NULL ? "." : srcdir, dir);
	in = popen(command, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(in);
	TAP_INT(fscanf(in, "%d %d", &ports[0], &ports[1]), 2);
	TAP_INT(pclose(in), 0);
	for (int i = 0; i < 2; i++)
		server_comes_and_goes(ports[i]);
	TAP_INT(rmdir(dir), 0);
	for (int i = 0; i < 600 && (fd = bound(ports[0], 0)) == -1; i++)
		usleep(50000);
	CU_ASSERT(fd >= 0);
	close(fd);
}

int
main(void)
{
	tap_suite("ports");
	tap_test("a port is a server's alone, whether it listens or not", test_take);
	tap_test("each is another one", test_all_differ);
	tap_test("scripts hold them until a directory is gone", test_script);
	return tap_run();
}
