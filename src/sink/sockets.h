/* sockets.h - the sockets that librdkafka opens, so that all of them can be cut at once.
 *
 * A purge alone leaves a moment in which one thread drops an event and another still sends a later one of its key. Once
 * the sockets are cut nothing more leaves: what the brokers have is a beginning of what they would have had, and so is in
 * order.
 */
#ifndef PGOUTBOX_SINK_SOCKETS_H
#define PGOUTBOX_SINK_SOCKETS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct sockets {
	pthread_mutex_t lock;
	int *fds;
	size_t count;
	size_t capacity;
	bool cut;
};

void sockets_init(struct sockets *s);
void sockets_done(struct sockets *s); /* when librdkafka's threads have ended */

/* librdkafka's socket_cb and closesocket_cb, from any of its threads; opaque is the sockets. */
int sockets_open(int domain, int type, int protocol, void *opaque);
int sockets_close(int fd, void *opaque);

/* From now on nothing is sent or received, and none is opened. */
void sockets_cut(struct sockets *s);

#endif
