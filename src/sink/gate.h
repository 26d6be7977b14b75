/* gate.h - lets the first message to a partition go alone, and keeps those behind it until it is acknowledged.
 *
 * A broker that has heard nothing of a producer on a partition takes whatever sequence number comes first (until Kafka
 * 4.5: KAFKA-15591). So where the first request fails for a moment, because the leader was just elected or replicas are
 * missing, and the next one on the wire does not, later messages are stored without the earlier ones, which then can
 * only follow them. Hence: until a partition has acknowledged something to this producer, and again when it has not for
 * an hour, one message of it goes alone (promise 2). The first of a topic also waits a moment for the topic's limit, so
 * that what is too large is known before anything is sent.
 *
 * One gate a topic. Messages without a key have no order and pass. Where the first message is refused, those that must
 * not pass it are given back with it. It must not know librdkafka's calls.
 */
#ifndef PGOUTBOX_SINK_GATE_H
#define PGOUTBOX_SINK_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "model/message.h"
#include "sink/producer.h"

struct waiting {
	struct waiting *next;
	void *opaque;
	struct message m;     /* key and headers are copies; the value is the caller's */
	enum send_class fate; /* SEND_OK: still to be sent */
	char *reason;         /* of another fate, malloc'd; NULL = that of those behind a refused first one */
};

struct gate {
	int64_t *until_us; /* by partition: open until then, 0 = shut, or its first message is on its way */
	int32_t partitions;
	char *scout;       /* key of the message that was sent to find the partitions; NULL = none is on its way */
	size_t scout_len;
	bool loose;        /* messages without a key were sent */
	int64_t shut_until_us; /* waits for the topic's limit */
	int64_t look_due_us, look_us; /* when to look for the partitions, and the pause that led to it */
	struct waiting *first, **end;
	struct waiting **at; /* where gate_take() stands; NULL = not under way */
	bool ripe;           /* some of those that wait may go, or have failed */
};

struct topic;

void gate_init(struct gate *g, int64_t shut_until_us);
void gate_done(struct gate *g);

/* May a message with that key go now? If so it is taken as sent. */
bool gate_admit(struct topic *t, struct slice key, int64_t now_us);

/* Keeps a message that was not admitted. -1: out of memory. */
int gate_keep(struct topic *t, const struct message *m, void *opaque) __attribute__((warn_unused_result));

/* Is this, just reported, the first message of its partition, so that it travelled alone? Before gate_reported(). */
bool gate_was_first(const struct topic *t, int32_t partition, struct slice key);

/* A message that was admitted came back, or could not be sent after all. */
void gate_reported(struct topic *t, int32_t partition, struct slice key, enum send_class class, int64_t now_us);

/* One that waits has failed, and what may not pass it fails with it. */
void gate_spoil(struct topic *t, struct waiting *w, enum send_class class, const char *reason);

/* The topic's limit is known, or will not be. */
void gate_limit_known(struct topic *t);

/* All that wait have failed. */
void gate_fail(struct topic *t, enum send_class class);

/* Looks whether those that wait may go for another reason than a report; when to look again, CLOCK_NEVER. */
int64_t gate_tick(struct topic *t, int64_t now_us);

/* The next one that may go (and is taken as sent) or has failed, taken out, to be released by waiting_free(). To be
 * called until it is NULL. */
struct waiting *gate_take(struct topic *t, int64_t now_us);
void waiting_free(struct waiting *w);

#endif
