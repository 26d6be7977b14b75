/* message.h - what route makes of an event and sink hands to Kafka. Slices are borrowed. */
#ifndef PGOUTBOX_MODEL_MESSAGE_H
#define PGOUTBOX_MODEL_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct header {
	const char *name;   /* NUL-terminated */
	struct slice value; /* NULL = header without a value */
};

struct message {
	const char *topic; /* NUL-terminated, a legal Kafka topic name */
	struct slice key;  /* NULL = no key */
	struct slice value; /* NULL = tombstone */
	int64_t timestamp_ms; /* 0 = librdkafka takes the time of the call */
	const struct header *headers;
	size_t headers_count;
};

#endif
