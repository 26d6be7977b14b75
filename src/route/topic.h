/* topic.h - Kafka's rule for topic names: 1 to 249 of [a-zA-Z0-9._-], neither "." nor "..".
 *
 * The rule is org.apache.kafka.common.internals.Topic.validate(); 249 leaves room for "-<partition>" and a suffix in
 * the broker's directory names.
 */
#ifndef PGOUTBOX_ROUTE_TOPIC_H
#define PGOUTBOX_ROUTE_TOPIC_H

#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

#define TOPIC_MAX 249

/* Offset of the first byte that no topic name may have; name.len when there is none. */
size_t topic_bad_byte(struct slice name);

/* Fails with the given kind, the message names the topic and what is wrong with it. */
int topic_check(struct slice name, enum err_kind kind, struct error *err) __attribute__((warn_unused_result));

#endif
