/* ports.c - ports that nobody else takes. Knows nothing of who listens there. */
#include "support/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { TRIES = 1000, LOWEST_PORT = 10000, USUAL_RANGE = 32768 };

/* Where the ports begin that the kernel hands out. */
static int
range_begin(void)
{
	FILE *in = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	int low = USUAL_RANGE;

	if (in == NULL)
		return low;
	if (fscanf(in, "%d", &low) != 1 || low < LOWEST_PORT * 2)
		low = USUAL_RANGE;
	fclose(in);
	return low;
}

int
ports_bind(int fd)
{
	static unsigned int calls;
	unsigned int state = (unsigned int)(clock_mono_us() ^ ((int64_t)getpid() << 12)) + __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int low = range_begin();

	for (int i = 0; i < TRIES; i++) {
		int port = LOWEST_PORT + rand_r(&state) % (low - LOWEST_PORT);

		addr.sin_port = htons((uint16_t)port);
		if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
			return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0 ? port : -1;
	}
	return -1;
}

int
ports_take(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int port = fd == -1 ? -1 : ports_bind(fd);

	if (port == -1 && fd != -1)
		close(fd);
	return port;
}
