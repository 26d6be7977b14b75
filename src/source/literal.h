/* literal.h - a text as a literal of SQL. */
#ifndef PGOUTBOX_SOURCE_LITERAL_H
#define PGOUTBOX_SOURCE_LITERAL_H

#include "base/buf.h"

/* Under any setting of the session; NULL and "" as NULL. */
void literal_add(struct buf *sql, const char *text);

/* What stands within the quotes, and they: a backslash is doubled, so that a text with one wants an E in front. */
void literal_add_quoted(struct buf *sql, const char *text);

#endif
