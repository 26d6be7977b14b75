/* quote.h - text for people and for YAML: values in messages, scalars in printed files. */
#ifndef PGOUTBOX_CONFIG_QUOTE_H
#define PGOUTBOX_CONFIG_QUOTE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* Bytes that the character at text.data[at] takes, 0 when it is not UTF-8. */
size_t quote_decode(struct slice text, size_t at, uint32_t *ret_point);

/* Whether YAML 1.1 allows the character to stand in a file as it is. */
bool quote_is_printable(uint32_t point);

/* For messages: in double quotes, cut after some 60 characters, control characters escaped. */
void quote_value(struct buf *out, const char *text);

/* A double-quoted YAML scalar that reads back as the same bytes. text must be UTF-8. */
void quote_yaml(struct buf *out, const char *text);

#endif
