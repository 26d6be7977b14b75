/* prune.h - which sent rows may be deleted, and the one statement that deletes some of them: the daemon's keeper and
 * "pgoutboxctl prune" share both.
 *
 * A row may go when it was sent longer ago than the given age. What is unsent stays, and so does the row of an event that
 * is parked, until somebody has decided about it. Rows are looked at once, in id order from a cursor, so that no index on
 * sent_at is needed. Pure.
 */
#ifndef PGOUTBOX_SOURCE_PRUNE_H
#define PGOUTBOX_SOURCE_PRUNE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "source/layout.h"

#define PRUNE_BATCH_ROWS 1000
#define PRUNE_BOTTOM (INT64_MIN + 1)

/* $1: only rows above this id; $2: how many are looked at; $3: the age in milliseconds. dry: they are only counted. The
 * table must have a column for sent_at. buf_failed() tells when memory is out. */
#define PRUNE_PARAMS 3
void prune_text(const struct layout *lo, bool dry, struct buf *sql);

struct prune_bound {
	char from[24], rows[24], age[24];
	const char *values[PRUNE_PARAMS];
};

void prune_bind(struct prune_bound *b, int64_t from_id, int64_t age_ms);

struct prune_seen {
	int64_t deleted; /* or would be */
	int64_t looked;  /* fewer than PRUNE_BATCH_ROWS: the end of the table */
	int64_t last_id; /* of those looked at; meaningless when none */
	int64_t old;     /* of those looked at, parked ones among them */
	bool settled;    /* they began with old rows, */
	int64_t settled_id; /* up to this one */
};

struct prune_seen prune_read(const PGresult *res);

#endif
