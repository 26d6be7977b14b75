/* parked_impl.h - what looking at parked events and deciding about them share. */
#ifndef PGOUTBOX_ADMIN_PARKED_IMPL_H
#define PGOUTBOX_ADMIN_PARKED_IMPL_H

#include "admin/parked.h"
#include "base/buf.h"

#define PARKED_PARAMS 4 /* of a choice */

/* " FROM pgoutbox.parked p WHERE ...", of parameters $1 to $4. */
void parked_add_choice(struct buf *sql, const struct layout *lo, const struct parked_choice *choice);

/* ret_array must outlive what is done with values. */
int parked_bind_choice(const struct parked_choice *choice, struct buf *ret_array, const char *values[PARKED_PARAMS],
                       struct error *err) __attribute__((warn_unused_result));

/* A column's bare name as a literal, as to_jsonb() has it. */
void parked_add_name(struct buf *sql, const struct layout *lo, enum event_column col);

/* The bare names of the table's columns of type json as an array. Their values are strings in a copy, of their texts, or what
 * a person made of them. */
void parked_add_json_names(struct buf *sql, const struct layout *lo);

/* Appends the text of an array. */
void parked_add_ids(struct buf *out, const int64_t *ids, size_t count);

#endif
