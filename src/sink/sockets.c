/* sockets.c - librdkafka's wish for a socket comes in, a socket goes out, as long as there may be any.
 *
 * It must not know what travels over them.
 */
#include "sink/sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void
sockets_init(struct sockets *s)
{
	*s = (struct sockets){.count = 0};
	pthread_mutex_init(&s->lock, NULL);
}

void
sockets_done(struct sockets *s)
{
	pthread_mutex_destroy(&s->lock);
	free(s->fds);
}

/* A broker's host that vanished is noticed by unacknowledged data, and an idle connection by its keepalives, within
 * about 15 s instead of the kernel's quarter of an hour. Failing to set that costs only time. */
static void
set_patience(int fd)
{
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &(unsigned){15000}, sizeof(unsigned));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){5}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){5}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){2}, sizeof(int));
}

static int
remember(struct sockets *s, int fd)
{
	if (s->count == s->capacity) {
		size_t capacity = s->capacity == 0 ? 8 : 2 * s->capacity;
		int *fds = realloc(s->fds, capacity * sizeof *fds);

		if (fds == NULL)
			return -1;
		s->fds = fds;
		s->capacity = capacity;
	}
	s->fds[s->count++] = fd;
	return 0;
}

/* A socket that could not be cut later must not be: librdkafka will ask again. */
int
sockets_open(int domain, int type, int protocol, void *opaque)
{
	struct sockets *s = opaque;
	int fd = -1;

	pthread_mutex_lock(&s->lock);
	if (s->cut)
		errno = ESHUTDOWN;
	else
		fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	if (fd != -1 && remember(s, fd) != 0) {
		close(fd);
		fd = -1;
		errno = ENOMEM;
	}
	pthread_mutex_unlock(&s->lock);
	if (fd != -1)
		set_patience(fd);
	return fd;
}

/* Closed under the lock: the number may be somebody else's right after. */
int
sockets_close(int fd, void *opaque)
{
	struct sockets *s = opaque;
	int rc;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->count; i++)
		if (s->fds[i] == fd) {
			s->fds[i] = s->fds[--s->count];
			break;
		}
	rc = close(fd);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void
sockets_cut(struct sockets *s)
{
	pthread_mutex_lock(&s->lock);
	s->cut = true;
	for (size_t i = 0; i < s->count; i++)
		shutdown(s->fds[i], SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
}
