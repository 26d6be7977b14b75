/* document.h - YAML text -> a tree in which everything knows where it stands. All of libyaml is behind this.
 *
 * The configuration uses the plain part of YAML: one document of maps, lists and scalars. Anchors, aliases, tags and
 * further documents are refused where they stand, and so is what is not UTF-8. Depth and number of nodes are bounded.
 */
#ifndef PGOUTBOX_CONFIG_DOCUMENT_H
#define PGOUTBOX_CONFIG_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/slice.h"
#include "config/config.h"

enum node_kind {
	NODE_SCALAR,
	NODE_MAP,
	NODE_LIST,
	NODE_REFUSED, /* complained about already: to be passed over in silence */
};

struct node {
	enum node_kind kind;
	unsigned line; /* from 1 */
	unsigned column;
	unsigned last_line;
	const char *text; /* of a scalar: UTF-8 without NUL */
	bool plain;       /* a scalar without quotes */
	bool doubtful;    /* a scalar behind which the text broke off: it may be more or less than was meant */
	struct node *key; /* what stands before the colon, for a child of a map */
	struct node *first; /* child */
	struct node *next;  /* sibling */
};

struct document {
	struct arena arena;
	struct node *root; /* NULL = nothing in it */
	bool complete;     /* false: the text broke off at an error, the tree ends there */
};

/* Adds whatever is wrong to problems. The document must be ended with document_done() in any case. */
void document_parse(const char *file, struct slice text, struct document *ret_doc, struct config_problems *problems);
void document_done(struct document *doc);

/* A plain scalar that YAML reads as null: nothing, "~" or "null". */
bool node_is_null(const struct node *n);

#endif
