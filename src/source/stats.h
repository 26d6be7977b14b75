/* stats.h - what waits in an outbox table: one statement that the daemon and pgoutboxctl share, and how its answer is read.
 *
 * It never counts the whole backlog: each lane's unsent rows are counted up to a cap, along the claim's index. Pure.
 */
#ifndef PGOUTBOX_SOURCE_STATS_H
#define PGOUTBOX_SOURCE_STATS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "source/layout.h"

#define STATS_COUNT_CAP 10001 /* pending events are counted up to this over all lanes, and estimated beyond */
#define STATS_BOTTOM (INT64_MIN + 1)

struct stats {
	int64_t pending;
	bool pending_exact;       /* else an upper bound: some ids up to the highest may be sent already, or were never used */
	int64_t oldest_unsent_us; /* created_at of the oldest unsent event by id, Unix time; 0 = none, -1 = the table does not tell */
	int64_t table_bytes;      /* with indexes and TOAST */
	int64_t dead_rows, live_rows; /* as PostgreSQL's own statistics estimate them */
	int64_t last_id;          /* the highest in the table; 0 = it is empty */
};

/* Its parameters are those of stats_bind(). buf_failed() tells when memory is out. */
void stats_text(const struct layout *lo, struct buf *sql);

/* The same for rows up to an id alone, which is a fourth parameter. last_id is not above it then. */
void stats_text_up_to(const struct layout *lo, struct buf *sql);

#define STATS_PARAMS 3
struct stats_params {
	struct buf lanes, ids;
	char cap[24];
	const char *values[STATS_PARAMS + 1];
};
#define STATS_PARAMS_INIT ((struct stats_params){.lanes = BUF_INIT, .ids = BUF_INIT})

/* from_ids: where each lane may be looked at from; NULL = from the bottom. false: memory is out. */
bool stats_bind(struct stats_params *p, const struct layout *lo, const int64_t *from_ids);
void stats_params_done(struct stats_params *p); /* for cleanup attributes too */

struct stats stats_read(const struct layout *lo, const PGresult *res);

#endif
