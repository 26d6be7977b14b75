/* adopt.h - "pgoutboxctl adopt": a table that another outbox tool made, and what it lacks to be relayed.
 *
 * First it is recognised by looking (known.h). Then, if asked to, the columns that it lacks are added, in one
 * transaction that shuts the table for as long as that takes, and waits at most five seconds for the lock. Rows are
 * never changed, deleted or put into an order by guess: where some would have to be, it refuses. Prints nothing. Blocks.
 */
#ifndef PGOUTBOX_ADMIN_ADOPT_H
#define PGOUTBOX_ADMIN_ADOPT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "admin/known.h"
#include "base/buf.h"
#include "base/error.h"

struct adopt_plan {
	const struct known_layout *layout;
	char *relation; /* as SQL takes it */
	bool lacks[KNOWN_ADDED_MAX]; /* which of layout->added are not there yet */
	size_t lacks_count;
	bool leftover; /* rows are there that must be gone before anything is added */
};

#define ADOPT_PLAN_INIT ((struct adopt_plan){.layout = NULL})

/* Looks only. table as in outbox.table; layout NULL = to be recognised. ERR_CONFIG where the table has not that layout,
 * or none that is known, or is none that can be adopted. The caller ends *ret_plan. */
int adopt_make_plan(PGconn *conn, const char *table, const char *layout, struct adopt_plan *ret_plan, struct error *err)
	__attribute__((warn_unused_result));

/* Adds what the plan says is lacking, or nothing. ERR_CONFIG where leftover rows are in the table, as seen behind the
 * lock; ERR_RETRY where the lock was not to be had. */
int adopt_run(PGconn *conn, const struct adopt_plan *plan, struct error *err) __attribute__((warn_unused_result));

/* The same as a script for psql; nothing where nothing is lacking. */
void adopt_script(const struct adopt_plan *plan, struct buf *out);

void adopt_plan_done(struct adopt_plan *plan); /* for cleanup attributes too */

#endif
