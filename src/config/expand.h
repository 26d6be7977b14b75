/* expand.h - environment variables in the values of the file: ${NAME}, ${NAME:-default}, ${NAME:?message}; $$ is a dollar
 * sign, and so is a $ before anything else. */
#ifndef PGOUTBOX_CONFIG_EXPAND_H
#define PGOUTBOX_CONFIG_EXPAND_H

#include "base/buf.h"
#include "base/error.h"

/* Appends the text with its variables filled in. With :- and :? an empty variable counts as none. The default is taken as
 * it stands, up to the next "}". ERR_CONFIG: a variable that is not set, or is not UTF-8; the message never tells a value. */
int expand_variables(const char *text, struct buf *out, struct error *err) __attribute__((warn_unused_result));

/* The other way: appends a text that is expanded to this one. */
void expand_escape(const char *text, struct buf *out);

#endif
