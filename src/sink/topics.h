/* topics.h - the topics that were produced to, by name: librdkafka's handle, and what is known of their limit.
 *
 * A topic stays until the producer goes. Its limit (max.message.bytes) is asked for in the background and is only
 * ever a help: without the right to read it, or on an old broker, it stays unknown and the broker judges.
 */
#ifndef PGOUTBOX_SINK_TOPICS_H
#define PGOUTBOX_SINK_TOPICS_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Without this, uthash calls exit() when memory is out. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/error.h"
#include "base/slice.h"
#include "sink/gate.h"

/* As librdkafka calls them. */
typedef int32_t (*partitioner)(const rd_kafka_topic_t *, const void *key, size_t key_bytes, int32_t partitions, void *, void *);

struct topic {
	rd_kafka_topic_t *handle;
	partitioner place;
	_Atomic int32_t partitions; /* when it was last produced to; 0 = never yet. librdkafka's threads set it */
	size_t in_flight;
	bool alone;         /* what is in flight is one message that has had no company */
	bool limit_asked;   /* an answer is due */
	bool limit_awaited; /* a message is to be judged by it */
	size_t limit_bytes; /* 0 = unknown */
	int64_t limit_us;   /* monotonic time of the last answer, or of the first question */
	int64_t ask_due_us; /* when to ask for its metadata again; CLOCK_NEVER = it answers, or librdkafka will */
	int64_t ask_wait_us;
	struct gate gate;
	bool *ripe; /* to be set with the gate's */
	UT_hash_handle hh;
	char name[];
};

struct topics {
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue; /* answers come there */
	struct topic *table;
	struct topic *last; /* messages come in runs */
	partitioner place;
	bool ripe;          /* some gate's is */
	int64_t due_us;     /* when topics_tick() is due, CLOCK_NEVER for never */
};

/* By its name, as librdkafka's property has it; NULL: it is not known, or draws partitions. */
partitioner topics_partitioner(const char *name);

/* name: the partitioner. */
void topics_init(struct topics *ts, rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name);

/* See producer_partition(). */
int32_t topics_partition(const struct topic *t, struct slice key);

/* Gives the handles back, so it comes before rd_kafka_destroy(). */
void topics_done(struct topics *ts);

/* NULL when the topic was never used. */
struct topic *topics_find(const struct topics *ts, const char *name);

/* Finds the topic; makes it known to librdkafka and asks about it where it is new. Does not wait. */
int topics_get(struct topics *ts, const char *name, struct topic **ret_topic, struct error *err)
	__attribute__((warn_unused_result));

/* Asks again about topics that have messages in flight but none acknowledged: one that the broker is just making is
 * found within milliseconds, where librdkafka would look once a second. Looks after the gates. */
void topics_tick(struct topics *ts, int64_t now_us);

/* A message is kept in the topic's gate. */
void topics_keep(struct topics *ts, struct topic *t, int64_t now_us);

/* The topic that a delivery report is about. */
struct topic *topics_of(const rd_kafka_message_t *report);

/* Does nothing while an answer is due. */
void topics_ask_limit(struct topics *ts, struct topic *t);

/* Takes the answer (RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT). NULL: the limit stays unknown, and *ret_reason says why
 * until the event is destroyed. */
struct topic *topics_take_limit(rd_kafka_event_t *event, int64_t now_us, const char **ret_reason);

#endif
