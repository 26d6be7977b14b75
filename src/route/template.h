/* template.h - literal text with "${column}" and "$$", compiled to a list of parts.
 *
 * Knows nothing of events or topics: who uses the template decides what a column means, and keeps that in slot.
 */
#ifndef PGOUTBOX_ROUTE_TEMPLATE_H
#define PGOUTBOX_ROUTE_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct template_part {
	bool is_column;
	const char *text; /* the literal, or the column's name; NUL-terminated */
	size_t len;
	size_t slot; /* the user's own, 0 at first */
};

struct template {
	struct template_part *parts; /* no two literals in a row, none of them empty */
	size_t count;
	char *text; /* what the parts point into */
};

#define TEMPLATE_INIT ((struct template){NULL, 0, NULL})

/* ERR_CONFIG, with the place and a hint, when the text is malformed; ERR_RETRY when memory is out. An empty text has no
 * parts. */
int template_parse(const char *text, struct template *ret_template, struct error *err)
	__attribute__((warn_unused_result));
void template_done(struct template *t);

#endif
