/* producer_impl.h - what producer.c, send.c and events.c share. Nobody else includes it. */
#ifndef PGOUTBOX_SINK_PRODUCER_IMPL_H
#define PGOUTBOX_SINK_PRODUCER_IMPL_H

#include <librdkafka/rdkafka.h>

#include "sink/flusher.h"
#include "sink/producer.h"
#include "sink/reach.h"
#include "sink/redact.h"
#include "sink/sockets.h"
#include "sink/topics.h"

enum producer_life {
	PRODUCER_LIVE,
	PRODUCER_DYING, /* of no more use; waits for the reports of what is on the wire */
	PRODUCER_DEAD,  /* fatal() was called */
};

struct producer {
	struct watch watch; /* over the bell: an eventfd that librdkafka's queue rings */
	struct producer_events events;
	struct sockets sockets; /* librdkafka's, from its threads too */
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	struct topics topics;
	struct reach reach;
	struct redact redact; /* of all that librdkafka says */
	enum producer_life life;
	int64_t dead_due_us; /* dying: when it ends at the latest */
	bool purged; /* nothing goes out any more */
	size_t in_flight;
	struct flusher flusher;
	size_t message_max; /* the client's own */
	size_t batch_bytes; /* batch.size */
	size_t batch_bytes_next;
	bool compresses;
	char partitioner[32];
	char reason[512];       /* of the death */
	char broker_error[256]; /* the last that librdkafka complained of */
};

/* The watch's fire(). */
void producer_fire(struct watch *w, short revents, int64_t now_us);

/* Sends what waits in gates that let it, and reports what will not be sent. */
void send_waiting(struct producer *p, int64_t now_us);

/* What the message that came back takes in a batch of its own, uncompressed. */
size_t send_bytes_of(const rd_kafka_message_t *m);

/* When the watch has to fire without being rung. */
int64_t producer_deadline(const struct producer *p);

#endif
