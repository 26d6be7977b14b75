/* topic.h - a topic as a consumer sees it: made, and read from its beginning: all partitions, committed only. */
#ifndef PGOUTBOX_TESTS_TOPIC_H
#define PGOUTBOX_TESTS_TOPIC_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/* A topic that exists already is fine, as is a broker that cannot be asked to make one and makes it on sight. Here and below
 * the cluster is asked for up to a minute, as long as it answers what it may answer while it finds together. */
int topic_create(const char *brokers, const char *topic, int partitions, struct error *err)
    __attribute__((warn_unused_result));

/* The same with one setting of the topic's own, "max.message.bytes" for example. */
int topic_create_with(const char *brokers, const char *topic, int partitions, const char *name, const char *value,
                      struct error *err) __attribute__((warn_unused_result));

/* The same with so many copies of each partition. */
int topic_create_copies(const char *brokers, const char *topic, int partitions, int copies, struct error *err)
    __attribute__((warn_unused_result));

/* Gives an existing topic one setting of its own, instead of whatever it had. */
int topic_set(const char *brokers, const char *topic, const char *name, const char *value, struct error *err)
    __attribute__((warn_unused_result));

/* Allows one thing to a principal ("User:relay"). Where there is an authorizer, what nobody has been allowed on this
 * topic is denied to all from the first call on. */
int topic_allow(const char *brokers, const char *topic, const char *principal, rd_kafka_AclOperation_t operation,
                struct error *err) __attribute__((warn_unused_result));

struct topic_reader;

/* Waits up to timeout_ms for the topics to be there. */
int topic_reader_open(const char *brokers, const char *const *topics, size_t count, int timeout_ms,
                      struct topic_reader **ret_reader, struct error *err) __attribute__((warn_unused_result));
void topic_reader_close(struct topic_reader **r); /* for cleanup attributes too */

/* The next message, to be destroyed by the caller; NULL when none came in time. */
rd_kafka_message_t *topic_reader_next(struct topic_reader *r, int timeout_ms);
bool topic_reader_at_end(const struct topic_reader *r); /* since the last message, every partition's end was seen */

/* A header's value by name, the first of that name; SLICE_NULL when there is none or it has no value. */
struct slice topic_header(const rd_kafka_message_t *m, const char *name);
size_t topic_header_count(const rd_kafka_message_t *m);
struct slice topic_key(const rd_kafka_message_t *m);
struct slice topic_value(const rd_kafka_message_t *m);

#endif
