/* install.h - "pgoutboxctl init": what a database needs beside and around an outbox table.
 *
 * First a plan is made by looking, then it is carried out; what is there already is left alone, so that init may be
 * repeated. Everything happens in one transaction that waits at most INSTALL_LOCK_WAIT for a lock, so that it never
 * makes the application queue behind it; but an index on a table that exists is built concurrently, afterwards.
 * Prints nothing. Blocks.
 */
#ifndef PGOUTBOX_ADMIN_INSTALL_H
#define PGOUTBOX_ADMIN_INSTALL_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "source/layout.h"

#define INSTALL_LOCK_WAIT "5s"
#define INSTALL_TURN_WAIT_S 10 /* for another init to end */
#define INSTALL_STEPS_MAX 16

struct install_request {
	struct layout_request layout; /* its role is who is granted what the daemon needs; never NULL */
	int lanes;   /* for a table that has none yet */
	bool notify; /* the trigger that wakes the relay up */
};

struct install_step {
	char *what; /* "table \"public.outbox_events\"" */
	char *sql;  /* NULL = it is there already */
	bool alone; /* outside of the transaction, after it */
};

struct install_plan {
	struct install_step steps[INSTALL_STEPS_MAX];
	size_t count;
	int lanes; /* as they are, or will be */
};

#define INSTALL_PLAN_INIT ((struct install_plan){.count = 0})

/* Looks only. ERR_CONFIG where the table or the database cannot be made to serve. */
int install_make_plan(PGconn *conn, const struct install_request *rq, struct install_plan *ret_plan, struct error *err)
	__attribute__((warn_unused_result));

/* Makes the plan and carries it out. On failure either nothing is done, or all but the index, and init may be
 * repeated. */
int install_run(PGconn *conn, const struct install_request *rq, struct install_plan *ret_plan, struct error *err)
	__attribute__((warn_unused_result));

/* What is left to do, as a script for psql. */
void install_script(const struct install_plan *plan, struct buf *out);

void install_plan_done(struct install_plan *plan);

#endif
