/* properties.h - which librdkafka properties are whose: ours that keep a promise, and the user's own.
 *
 * A property that would break a promise is refused with the reason. Values are compared as librdkafka understands them,
 * so "all" and "-1" are the same acks. Secrets never come back in a message.
 */
#ifndef PGOUTBOX_SINK_PROPERTIES_H
#define PGOUTBOX_SINK_PROPERTIES_H

#include <librdkafka/rdkafka.h>

#include "base/error.h"
#include "sink/producer.h"

/* Checks one of the user's properties and sets it. ERR_CONFIG, and conf may hold the refused value then. */
int properties_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *err)
	__attribute__((warn_unused_result));

/* Ours first, then the user's. The caller gives *ret_conf to rd_kafka_new() or destroys it. */
int properties_build(const struct producer_options *opt, rd_kafka_conf_t **ret_conf, struct error *err)
	__attribute__((warn_unused_result));

/* The same for a consumer that belongs to no group, commits nothing and says where partitions end. isolation: "read_committed". */
int properties_build_consumer(const struct producer_options *opt, const char *isolation, rd_kafka_conf_t **ret_conf,
                              struct error *err) __attribute__((warn_unused_result));

/* A number as librdkafka has it now; 0 where the property is none. */
long long properties_number(const rd_kafka_conf_t *conf, const char *name);

#endif
