/* literal.h - a text as a literal of SQL. */
#ifndef PGOUTBOX_SOURCE_LITERAL_H
#define PGOUTBOX_SOURCE_LITERAL_H

#include "base/buf.h"

/* Under any setting of the session; NULL and "" as NULL. */
void literal_add(struct buf *sql, const char *text);

#endif
