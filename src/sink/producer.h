/* producer.h - all of librdkafka: messages in, delivery reports out.
 *
 * An idempotent producer with acks=all and no message timeout: a message is delivered, refused by the broker for good,
 * or purged by us; it is never given up, so none can be overtaken by a later one of its key. Nothing here blocks:
 * librdkafka works in threads of its own and rings a file descriptor (the watch) when there is something to read.
 * Memory of the value stays the caller's until the report comes (no copy is made); key, headers and topic are copied.
 */
#ifndef PGOUTBOX_SINK_PRODUCER_H
#define PGOUTBOX_SINK_PRODUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/watch.h"
#include "model/message.h"
#include "sink/statistics.h"

/* What a failed report, or a failed send, asks for. */
enum send_class {
	SEND_OK,
	SEND_OUTAGE, /* Kafka does not serve: no fault of the event, nothing counted against it */
	/* This topic does not take it now (unknown, not authorised, policy, too few replicas): hold and retry. Retry with
	 * one event at first: where the broker refused a batch for one of its records, only an event that was sent alone
	 * turns to poison. */
	SEND_TOPIC,
	SEND_POISON, /* this event unchanged can never be stored: park it */
	SEND_FATAL,  /* the producer itself is broken: make a new one, whatever it had in flight is to be sent again */
};

struct report {
	void *opaque; /* as given to producer_send */
	enum send_class class;
	int32_t partition;  /* receipt; -1 when unknown */
	int64_t offset;     /* receipt; -1 when unknown */
	const char *reason; /* NULL when SEND_OK; valid during the callback */
	int64_t wall_us;    /* when it was read: Unix time, with other reports that were read together */
};

struct producer_events {
	/* Once for each accepted message, in the loop's thread, from within the watch's fire(). */
	void (*report)(void *ctx, const struct report *r);
	/* All brokers have been unreachable for two seconds (up = false, with the reason), or one answers, for the first
	 * time or again (up = true, reason NULL). Called on changes only; nothing is known before the first call. */
	void (*reachable)(void *ctx, bool up, const char *reason);
	/* The producer is of no more use: free it and make a new one. What it had in flight has had up to a second to be
	 * reported (SEND_FATAL where it was not acknowledged); no report follows for the rest. It may be freed from within
	 * this call. */
	void (*fatal)(void *ctx, const char *reason);
	/* librdkafka's own log lines, syslog priority. */
	void (*log)(void *ctx, int priority, const char *text);
	/* Every statistics.interval.ms, five seconds unless the user set another. NULL = not wanted. */
	void (*statistics)(void *ctx, const struct statistics *st);
	void *ctx;
};

struct producer_property {
	const char *name;
	const char *value;
};

struct producer_options {
	const char *brokers;
	const char *client_id;
	const struct producer_property *properties; /* the user's own, applied last but never against a promise */
	size_t properties_count;
	size_t queue_messages; /* the most that will ever be in flight */
	size_t queue_bytes;
	/* The most that may travel in one batch; 0 = librdkafka's or the user's batch.size. A producer made in place of a
	 * failed one gets producer_batch_bytes() of that one: a topic may take less at a time. */
	size_t batch_bytes;
};

struct producer;

/* Checks one of the user's properties alone, without a producer, so that --check-config can say all that is wrong.
 * ERR_CONFIG for a property that breaks a promise (acks, enable.idempotence, message.timeout.ms, ...), says which and
 * why, or that librdkafka does not know or refuses. */
int producer_check_property(const char *name, const char *value, struct error *err)
	__attribute__((warn_unused_result));

/* ERR_CONFIG on bad properties, ERR_RETRY when librdkafka cannot start (threads, memory). Does not wait for a broker.
 * The options are copied. */
int producer_new(const struct producer_options *opt, const struct producer_events *events,
                 struct producer **ret_producer, struct error *err) __attribute__((warn_unused_result));

/* Purges what is in flight without reports and stops librdkafka's threads. May take a second. NULL is fine. Not
 * from within a callback other than fatal(). */
void producer_free(struct producer *p);

/* To be added to the loop. */
struct watch *producer_watch(struct producer *p);

/* Hands one message over; its report will carry opaque. On -1 nothing was taken, there will be no report, and
 * *ret_class tells the kind of failure (a full local queue is SEND_OUTAGE); the error is ERR_POISON or ERR_RETRY.
 * It may be kept for a moment, because the first message to a partition goes alone (see gate.h): what would have failed
 * here then fails in its report. Where that first message fails, those that must not pass it are reported with it, never
 * sent.
 * A timestamp before 1970 is sent as the time of the call, because brokers refuse it. */
int producer_send(struct producer *p, const struct message *m, void *opaque, enum send_class *ret_class,
                  struct error *err) __attribute__((warn_unused_result));

/* Makes librdkafka learn about the topic, so that the first message need not wait for its once-a-second refresh, and
 * asks for the topic's max.message.bytes. Does not wait for the answers. Idempotent, cheap when the topic is known. */
void producer_warm_topic(struct producer *p, const char *topic);

/* Bytes of key, value and headers (names and values) above which a message is surely refused: by the topic's
 * max.message.bytes where it is known, else by the client's own limit. With compression the broker judges the
 * compressed batch, so only the latter counts. producer_send() checks it too, and asks for the topic's limit anew
 * (SEND_TOPIC in the meantime) before it calls an event poison by an answer that is more than some seconds old. */
size_t producer_message_max(const struct producer *p, const char *topic);

/* The partition that messages of the key go to, as the topic's partitions were when it was last produced to. -1: not known yet, or
 * drawn anew for each message. */
int32_t producer_partition(const struct producer *p, const char *topic, struct slice key);

/* What a next producer should have as batch_bytes. */
size_t producer_batch_bytes(const struct producer *p);

/* Messages handed over whose report has not been read. */
size_t producer_in_flight(const struct producer *p);

/* Drops what has not been sent and gives up on what has: every message in flight gets a report, SEND_OUTAGE unless it
 * was acknowledged in time. From the call on nothing leaves any more, so what the brokers have is in order; the producer
 * takes no messages then, and is to be freed once the reports are read. Does not block. */
void producer_purge(struct producer *p);

const char *producer_library_version(void); /* librdkafka's, as it runs */

#endif
