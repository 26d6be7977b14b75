/* pruning.h - "pgoutboxctl prune": deletes sent rows that are old enough, by the daemon's rule (source/prune.h), in small
 * transactions with pauses between them. Prints nothing. Blocks.
 */
#ifndef PGOUTBOX_ADMIN_PRUNING_H
#define PGOUTBOX_ADMIN_PRUNING_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "source/layout.h"

struct pruning {
	int64_t deleted; /* or, dry, would be */
	int64_t spared;  /* old enough, but parked */
	int64_t looked;
};

struct pruning_request {
	int64_t age_ms;
	bool dry; /* only counts */
	bool receipts; /* those of deleted rows, instead of rows */
	/* After each step; may be NULL. */
	void (*progress)(void *ctx, const struct pruning *so_far);
	void *ctx;
};

/* *ret_done is filled on failure too, with what was done until then: each step is committed by itself. ERR_CONFIG where
 * the table has no sent_at, for then nothing sent is left in it. */
int pruning_run(PGconn *conn, const struct layout *lo, const struct pruning_request *rq, struct pruning *ret_done,
                struct error *err) __attribute__((warn_unused_result));

#endif
