/* table.h - rows for people, in columns as wide as they need to be. Whatever comes from the database is shown
 * harmlessly: control characters and invalid UTF-8 as \xNN, so that no key can move the cursor of a terminal.
 */
#ifndef PGOUTBOX_CTL_TABLE_H
#define PGOUTBOX_CTL_TABLE_H

#include <stdio.h>

#include "base/buf.h"

struct table {
	const char *const *titles; /* outlive the table */
	int columns;
	int rows;
	struct buf cells; /* each ends with a zero byte */
};

#define TABLE_INIT(titles) ((struct table){(titles), (int)(sizeof(titles) / sizeof((titles)[0])), 0, BUF_INIT})

#define TABLE_WIDTH_MAX 40 /* characters of a cell, but in the last column; the rest of it is "..." */

/* As many cells as columns; NULL shows as "-". */
void table_add(struct table *t, const char *const *cells);

/* The last column is not padded. -1: memory was out while rows were added, and nothing is printed. */
int table_print(const struct table *t, FILE *out) __attribute__((warn_unused_result));
void table_done(struct table *t); /* for cleanup attributes too */

void table_add_harmless(struct buf *out, const char *text);
int table_width(const char *text); /* in characters, each taken to be one column wide */

#endif
