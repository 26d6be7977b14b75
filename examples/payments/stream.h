/* stream.h - a topic as one member of a consumer group sees it: messages out, and offsets back once their work is done.
 *
 * Offsets are committed to Kafka after the database has committed, never before, and not one by one: whoever is killed
 * in between gets the last messages once more, and knows them by their ids.
 */
#ifndef PAYMENTS_STREAM_H
#define PAYMENTS_STREAM_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct stream;

/* As pgoutboxd writes it. All of it belongs to the stream, until stream_release(). */
struct message {
	const char *id;      /* header "id", the same for each copy of an event */
	const char *type;    /* header "type" */
	struct slice key;
	struct slice value;
	rd_kafka_message_t *raw;
};

/* instance names this member of the group: after a crash the next one of that name goes on at once. From the beginning
 * of the topic where the group has no offsets. Does not wait for Kafka. */
int stream_open(const char *brokers, const char *group, const char *instance, const char *topic, struct stream **ret_stream,
                struct error *err) __attribute__((warn_unused_result));
void stream_close(struct stream **s); /* commits what is done; for cleanup attributes too */

bool stream_assigned(const struct stream *s); /* the group has given it a part of the topic */

/* The next message: 1, or 0 when none came within that time. -1, ERR_RETRY: what Kafka says is wrong, call again.
 * ERR_POISON: a message without id and type, which is nobody's of ours; release it. */
int stream_next(struct stream *s, int timeout_ms, struct message *ret_msg, struct error *err)
	__attribute__((warn_unused_result));

/* The database has committed all that the message asked for. */
void stream_done(struct stream *s, const struct message *msg);
void stream_release(struct message *msg);

#endif
