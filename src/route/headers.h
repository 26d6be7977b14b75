/* headers.h - the headers of a message: "id", "type", then the event's own from the JSON text of a flat object.
 *
 * Strings come out unescaped, numbers and booleans as their JSON text byte for byte, null as a header without a
 * value. Kafka's headers are an ordered list: names may be empty and may repeat ("json" columns keep repeated names),
 * the order stays. JSON's null in place of the object means no headers, as ORMs like to write it. The grammar is
 * RFC 8259's, strictly; whether the bytes are good UTF-8 is the database's business.
 */
#ifndef PGOUTBOX_ROUTE_HEADERS_H
#define PGOUTBOX_ROUTE_HEADERS_H

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/event.h"
#include "model/message.h"

#define HEADERS_MAX 1000              /* of the event's own */
#define HEADERS_BYTES_MAX (1U << 20) /* of their JSON text */

/* A NULL event_id or event_type leaves its header out. Names and unescaped values are taken from the arena, the rest is
 * borrowed from ev. ERR_POISON when the text is no flat object, a header is named "id" or "type", a name has a NUL, or
 * there are too many; the message quotes no value. ERR_RETRY: out of memory. */
int headers_build(const struct event *ev, struct arena *arena, const struct header **ret_headers, size_t *ret_count,
                  struct error *err) __attribute__((warn_unused_result));

#endif
