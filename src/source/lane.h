/* lane.h - one lane: its session, its advisory lock, its open transaction, its floor.
 *
 *   CLOSED --open--> OPENING --lock--> IDLE <--turn--> TURNING <--turn--> HOLDING (a batch under row locks)
 *      ^------------- refused, lost, closed: from anywhere -------------------'
 *
 * A turn is one round trip: settle what was published, commit, begin, claim the next. Lock, claim and settle live on the same session and
 * die with it (PostgreSQL aborts the transaction before it frees session locks), so whoever gets the lock finds every row either
 * settled or claimable. A failed turn ends the session: there is one way back, through open, and what is to be settled then is
 * settled by id before anything is claimed. Never blocks.
 */
#ifndef PGOUTBOX_SOURCE_LANE_H
#define PGOUTBOX_SOURCE_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/watch.h"
#include "model/batch.h"
#include "source/session.h"
#include "source/statements.h"

enum lane_state { LANE_CLOSED, LANE_OPENING, LANE_IDLE, LANE_TURNING, LANE_HOLDING, LANE_STATES };

/* What all lanes of one outbox share; outlives them. */
struct lane_shared {
	const struct session_options *session;
	const struct layout *layout;
	const struct statements *statements;
	const struct statements_options *options;
};

struct lane_turn {
	struct batch *settle;  /* reported in full; attached: the open transaction's; else by id, in one of its own. NULL = none */
	int64_t claim_rows;    /* 0 = do not claim */
	bool probe;            /* claim from the row probe_from rather than from the floor, which learns nothing by it */
	int64_t probe_from;
	const char *held_keys; /* keys not to be claimed, as a PostgreSQL array literal; NULL = none */
	bool read_parked;      /* read anew which keys parked events hold back */
};

struct lane_result {
	bool settled;           /* turn.settle's rows are settled and committed */
	size_t asked_rows;      /* as many were to be settled, */
	size_t settled_rows;    /* as many were by the database's count; fewer: another relay settled some, or a trigger keeps them */
	bool blocked;           /* another session has locked rows that were to be claimed; nothing was claimed */
	struct batch *claimed;  /* the caller's from now on; NULL = did not claim, or nothing was there */
	bool more;              /* the claim met a limit: claim again */
	bool from_bottom;       /* the claim started there, */
	bool looked_everywhere; /* and met no limit */
	bool parked_read;
	const PGresult *parked; /* one text column: keys; when parked_read; during the callback */
	uint64_t wal_insert_lsn, wal_flush_lsn; /* of the claim */
	uint64_t newest_xid;                    /* of the writers of the claimed rows */
	int64_t elapsed_us;
};

struct lane;

struct lane_events {
	void (*owned)(void *ctx, struct lane *l);   /* locked: IDLE */
	void (*refused)(void *ctx, struct lane *l); /* another session holds the lock, or the number of lanes is not the statements' any more: CLOSED */
	void (*turned)(void *ctx, struct lane *l, const struct lane_result *r); /* HOLDING after a claim, even an empty one; else IDLE */
	void (*lost)(void *ctx, struct lane *l, const struct error *err);       /* CLOSED; the batch in settle may or may not be settled */
	void *ctx;
};

struct lane *lane_new(const struct lane_shared *shared, int number, const struct lane_events *events)
	__attribute__((warn_unused_result));
void lane_free(struct lane *l);

int lane_number(const struct lane *l);
enum lane_state lane_state(const struct lane *l);
struct watch *lane_watch(struct lane *l);

void lane_open(struct lane *l);                                              /* CLOSED only */
void lane_turn(struct lane *l, const struct lane_turn *turn, int64_t now_us); /* IDLE or HOLDING only */
void lane_drop(struct lane *l, const struct error *err); /* as if its session were lost: calls lost(), unless CLOSED */
void lane_close(struct lane *l); /* gives the lock up; an open transaction is rolled back. No callback */

/* Rows from id on may be unsent again though they were claimed through: the next claim looks there. */
void lane_look_from(struct lane *l, int64_t id);

/* The next claim starts from the bottom; or none does before a time, for all that was found there has to wait. */
void lane_look_everywhere(struct lane *l);
void lane_put_look_off(struct lane *l, int64_t until_us);

/* The doorbell looked from the bottom on the lane's behalf. */
void lane_looked(struct lane *l, int64_t duration_us, int64_t now_us);

/* Where the doorbell may look from, and whether a look from the bottom is due. */
int64_t lane_hint(const struct lane *l);
struct rung lane_newest_rung(const struct lane *l);
bool lane_look_due(const struct lane *l, int64_t now_us);

/* The server ends a session that is silent for too long: since when it is. */
int64_t lane_silent_since(const struct lane *l);

#endif
