/* producer_impl.h - what producer.c and events.c share. Nobody else includes it. */
#ifndef PGOUTBOX_SINK_PRODUCER_IMPL_H
#define PGOUTBOX_SINK_PRODUCER_IMPL_H

#include <librdkafka/rdkafka.h>

#include "sink/producer.h"
#include "sink/reach.h"
#include "sink/topics.h"

enum producer_life {
	PRODUCER_LIVE,
	PRODUCER_DYING, /* of no more use; waits for the reports of what is on the wire */
	PRODUCER_DEAD,  /* fatal() was called */
};

struct producer {
	struct watch watch; /* over the bell: an eventfd that librdkafka's queue rings */
	struct producer_events events;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	struct topics topics;
	struct reach reach;
	enum producer_life life;
	int64_t dead_due_us; /* dying: when it ends at the latest */
	size_t in_flight;
	size_t message_max; /* the client's own */
	size_t batch_bytes; /* batch.size */
	size_t batch_bytes_next;
	bool compresses;
	char reason[512];       /* of the death */
	char broker_error[256]; /* the last that librdkafka complained of */
};

/* The watch's fire(). */
void producer_fire(struct watch *w, short revents, int64_t now_us);

/* When the watch has to fire without being rung. */
int64_t producer_deadline(const struct producer *p);

#endif
