/* secret.h - what must not be shown, and how to show the rest. */
#ifndef PGOUTBOX_CONFIG_SECRET_H
#define PGOUTBOX_CONFIG_SECRET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

#define SECRET_SHOWN "***" /* in place of a secret */

/* Whether a connection parameter or a property of this name holds a secret. Paths of files that hold one are none. */
bool secret_name(struct slice name);

/* A property's value, or SECRET_SHOWN, or a URL without its password. */
void secret_property(struct buf *out, const char *name, const char *value);

/* A URI with the password in its authority and in its parameters replaced. Where it is unclear what is a password, more
 * is hidden rather than less. */
void secret_uri(struct buf *out, const char *uri);

/* Frees a secret after overwriting it. NULL is fine. */
void secret_wipe(char *text);

#endif
