/* syntax.h - what the text of an option must look like, as far as it can be told without a server.
 * ERR_CONFIG with a message that follows "option: ", and a hint. */
#ifndef PGOUTBOX_CONFIG_SYNTAX_H
#define PGOUTBOX_CONFIG_SYNTAX_H

#include <stdbool.h>

#include "base/error.h"

/* host:port, [ipv6]:port, *:port for every address, or off. */
int syntax_listen(const char *text, struct error *err) __attribute__((warn_unused_result));
int syntax_brokers(const char *text, struct error *err) __attribute__((warn_unused_result));
int syntax_path(const char *text, struct error *err) __attribute__((warn_unused_result)); /* absolute, or "" */

/* A name as the catalog has it, or "". At most 63 bytes, as PostgreSQL is built. */
int syntax_column(const char *text, struct error *err) __attribute__((warn_unused_result));

/* [schema.]table by SQL's rules for identifiers. */
int syntax_table(const char *text, struct error *err) __attribute__((warn_unused_result));

/* Whether two such names are the same to PostgreSQL, as far as the text tells. */
bool syntax_same_table(const char *a, const char *b);

#endif
