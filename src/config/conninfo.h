/* conninfo.h - libpq's connection strings, as far as one must read them to hide a password.
 *
 * Two forms (PostgreSQL manual, "Connection Strings"): words of key = value, where single quotes hold spaces and a
 * backslash keeps the next character; and URIs that begin with postgresql:// or postgres://.
 */
#ifndef PGOUTBOX_CONFIG_CONNINFO_H
#define PGOUTBOX_CONFIG_CONNINFO_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* ERR_CONFIG when it cannot be read; whether the keys exist is libpq's to say. Never quotes the text, which may hold a
 * password where its quotes went wrong. */
int conninfo_check(const char *text, struct error *err) __attribute__((warn_unused_result));

/* The text with passwords replaced, or nothing but the replacement when it cannot be read. */
void conninfo_redact(struct buf *out, const char *text);

bool conninfo_has_password(const char *text);

#endif
