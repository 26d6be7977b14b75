/* claimed.h - reads what a claim brought: rows become a batch, the last row tells what the claim's snapshot saw.
 */
#ifndef PGOUTBOX_SOURCE_CLAIMED_H
#define PGOUTBOX_SOURCE_CLAIMED_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/batch.h"
#include "source/ladder.h"
#include "source/layout.h"
#include "source/statements.h"

/* Columns of a claim's result, in the order of statements.c. All rows but the last are events; in that only OUT_TAIL is not NULL. */
enum {
	OUT_TID, /* NULL: the payload is large and did not come; of claim_sized: rows were skipped */
	OUT_ID,
	OUT_XMIN,
	OUT_EVENT_ID,
	OUT_TYPE,
	OUT_KEY,
	OUT_TAIL = OUT_KEY, /* the same place, in the last row: text */
	OUT_EVENT_TYPE,
	OUT_PAYLOAD,
	OUT_HEADERS,
	OUT_TOPIC,
	OUT_CREATED,
	OUT_EXTRA
};

/* How the claim was made. */
struct claimed_how {
	const struct layout *layout;
	const struct statements_options *options;
	const struct ladder *ladder;
	bool sized;
	int64_t limit; /* of rows */
};

struct claimed {
	struct batch *batch; /* also where no row came: count 0 */
	bool cut;     /* a payload too large for this kind of claim ended the batch: claim the next with claim_sized */
	bool skipped; /* by a claim by size: somebody else has locked some of what was there. Nothing was read, since later events of their
	               * keys would pass them */
	struct ladder_view view;
	int backend_pid;
	uint64_t wal_insert_lsn; /* what the claim saw is durable once WAL is flushed up to here */
	uint64_t wal_flush_lsn;
	uint64_t newest_xid; /* of the writers of the rows that came; 0 = none came */
	int64_t seen_rows; /* by a claim by size: what was there to be claimed; 0 of a plain one */
};

/* The batch takes *res over (which becomes NULL) and is the caller's. ERR_FATAL: the result is not a claim's. ERR_RETRY: memory is out. */
int claimed_read(const struct claimed_how *how, PGresult **res, struct claimed *ret_claimed, struct error *err)
	__attribute__((warn_unused_result));

/* One event of a result that begins with the columns of statements_event_columns(), in binary; they are claimed_width(). The slices
 * point into res and into the arena. ERR_RETRY: memory is out. */
int claimed_read_event(const struct layout *layout, const struct statements_options *opt, const PGresult *res, int row,
                       struct arena *arena, struct event *ret_event, struct error *err) __attribute__((warn_unused_result));
int claimed_width(const struct statements_options *opt);

#endif
