/* router.h - event -> message. Pure: no I/O, no clock, no state that changes after router_new().
 *
 * The topic is the row's own, or the template's: literal text with "${column}" for any column of the table, and "$$" for "$".
 * Headers are "id" (event_id), "type" (event_type), then the event's own flat JSON object: strings as they are,
 * numbers and booleans as their JSON text, null as a header without a value. Anything nested is poison, and so is
 * a name that repeats "id" or "type".  Topic names follow Kafka's rule: 1 to 249 of [a-zA-Z0-9._-], not "." or "..".
 */
#ifndef PGOUTBOX_ROUTE_ROUTER_H
#define PGOUTBOX_ROUTE_ROUTER_H

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/event.h"
#include "model/message.h"

struct router;

/* column_names[COL_x] is the table's name for the column, "" or NULL where the table has none.
 * ERR_CONFIG when the template is malformed, names a column twice mapped, uses the payload or the headers, or is empty.
 * The caller frees *ret_router. */
int router_new(const char *topic_template, const char *const column_names[COL_COUNT], struct router **ret_router,
               struct error *err) __attribute__((warn_unused_result));
void router_free(struct router *r);

/* Columns the template needs beyond the known ones; event.extra holds their values in this order. Stays r's. */
size_t router_extra_count(const struct router *r);
const char *router_extra_column(const struct router *r, size_t i);

/* Fills *ret_msg from ev. Whatever must be made anew (topic, header values) is taken from the arena; the rest is borrowed
 * from ev. ERR_POISON: this event can never be sent as it is, the message says why without quoting the payload.
 * ERR_RETRY: out of memory. */
int router_route(const struct router *r, const struct event *ev, struct arena *arena, struct message *ret_msg,
                 struct error *err) __attribute__((warn_unused_result));

#endif
