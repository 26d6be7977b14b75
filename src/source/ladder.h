/* ladder.h - the floor: the id from which a lane's claim may start looking. Pure arithmetic.
 *
 * Settled rows leave dead index entries behind, and a claim that starts at the bottom walks over them all. A claim may start
 * higher only where no unsent row can be visible below, or it would let later events of a key pass an earlier one.
 * What may appear below an id that was claimed through: rows of writers that were open then. So each rung says
 *
 *     "below from_id everything was claimed, but for `open` writers with an xid below xmax that had not ended",
 *
 * and a claim may use it exactly if, in its own snapshot, as many xids below xmax are still open: since none can join, equal
 * counts mean that none has ended. The claim's statement decides that itself, in the snapshot it reads with, by
 * taking the highest rung that holds. Old writers therefore stop nothing while they stay open, and the first claim
 * after one has ended looks as far down as that writer can have written. xids come from pg_current_snapshot(), which
 * read-only transactions do not enter (PostgreSQL documentation, "Transaction ID and Snapshot Information Functions").
 *
 * The rule cannot see an id drawn from the sequence well before its writer got an xid. LADDER_RUNG_AGE_US covers the usual
 * gap of microseconds; a look from the very bottom, at a bounded share of the time, finds the rest. An id's age is how long ago it, or a
 * higher one, was seen. So in a backlog, whose end was seen long before the claims get there, the floor follows each claim at once.
 */
#ifndef PGOUTBOX_SOURCE_LADDER_H
#define PGOUTBOX_SOURCE_LADDER_H

#include <stdbool.h>
#include <stdint.h>

#define LADDER_RUNGS 6
#define LADDER_BOTTOM (INT64_MIN + 1) /* the lowest that SQL can write as a literal */
#define LADDER_RUNG_AGE_US 100000   /* an id is this old before a rung is built on it, and up to twice that: so many rows' dead entries are walked over */
#define LADDER_LOOK_MIN_US 250000   /* looks from the bottom are at least this far apart, */
#define LADDER_LOOK_SHARE 19        /* and this many times their own duration: 5% of the time; */
#define LADDER_LOOK_MAX_US 300000000 /* but one that was slow for other reasons puts the next off no further than that */

struct rung {
	int64_t from_id;
	uint64_t xmax;
	int32_t open;
};

struct ladder {
	struct rung rungs[LADDER_RUNGS]; /* oldest first; from_id and xmax ascend */
	int count;
	int64_t through_id; /* every visible row up to here was claimed: settled, under way, or passed by for a hold */
	int64_t aged_id;    /* ids up to here are old enough to carry a rung */
	int64_t seen_id;    /* the highest that was seen at seen_us: the next aged_id */
	int64_t seen_us;
	bool full;          /* the last claim met its limit */
	int64_t look_next_us; /* when the next look from the bottom is due */
};

/* What a claim's own snapshot said. */
struct ladder_view {
	int64_t floor_id;            /* where the claim started; LADDER_BOTTOM */
	uint64_t xmax;               /* pg_snapshot_xmax */
	int32_t open;                /* xids in progress */
	int32_t below[LADDER_RUNGS]; /* of these, below rung i's xmax */
	int64_t last_id;             /* last claimed id; meaningless when none */
	int claimed;                 /* rows */
	bool full;                   /* the claim met its limit: rows beyond last_id were not looked at */
};

void ladder_init(struct ladder *ld, int64_t now_us);

/* Takes in what a claim saw. */
void ladder_learn(struct ladder *ld, const struct ladder_view *view, int64_t now_us);

/* In a backlog its end should be seen now and then: the row with that id is there. */
bool ladder_wants_end(const struct ladder *ld, int64_t now_us);
void ladder_saw(struct ladder *ld, int64_t id, int64_t now_us);

/* The row id is, or may become, unsent again: no rung may stand above it. */
void ladder_lower(struct ladder *ld, int64_t id);

/* Where a look that need not be exact (the doorbell) may start. */
int64_t ladder_hint(const struct ladder *ld);

/* The newest rung, or one at the bottom, which always holds. While it holds nothing that is unsent can be below it. */
struct rung ladder_newest(const struct ladder *ld);
struct rung ladder_rung_at(int64_t from_id); /* one that always holds */

/* Whether a look from the bottom is due, and how long the last one took, beyond what its turn would have taken anyway. */
bool ladder_look_due(const struct ladder *ld, int64_t now_us);
void ladder_looked(struct ladder *ld, int64_t duration_us, int64_t now_us);

#endif
