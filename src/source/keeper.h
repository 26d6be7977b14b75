/* keeper.h - the relay's housekeeping session: who else is there, how much is pending, what may be pruned.
 *
 * It reads and checks the table's layout first, announces this relay by an advisory lock, then looks at pg_locks twice a second (who owns
 * which lane, see share.h), takes statistics every few seconds, and prunes sent rows in small batches if no other relay does.
 * No duty counts the whole backlog; statistics and pruning take a bounded share of the time.
 */
#ifndef PGOUTBOX_SOURCE_KEEPER_H
#define PGOUTBOX_SOURCE_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/watch.h"
#include "source/bell.h"
#include "source/lane.h"
#include "source/pauses.h"
#include "source/stats.h"

struct keeper_options {
	const struct session_options *session;
	const struct layout_request *request; /* which table, which columns, what the daemon will do with it */
	int64_t retention_ms;                 /* -1 = never prune */
	uint32_t relay_number;                /* random, see share.h */
};

struct keeper_members {
	int relays;           /* announced ones, this one included */
	int quota;            /* lanes that this relay should own, */
	int first;            /* and from which one on it looks for them: see share.h */
	bool taken[LANES_MAX]; /* by whomever */
	int lanes;            /* of the outbox now: another number than the layout's after "pgoutboxctl lanes"; 0 = it is none */
	bool switching;       /* somebody changes the number of lanes, and waits for all of them to be let go */
	int64_t parked;       /* events now in pgoutbox.parked */
	uint64_t parked_sign; /* changes when the set of parked events does */
};

struct keeper_events {
	void (*layout)(void *ctx, const struct layout *lo); /* checked; belongs to the keeper until the next open */
	void (*misfit)(void *ctx, const struct error *err); /* the table or the rights do not fit; the session is closed */
	void (*pauses)(void *ctx, struct pauses *p); /* before members(); what is not taken is freed */
	void (*members)(void *ctx, const struct keeper_members *m);
	void (*stats)(void *ctx, const struct stats *st);
	void (*pruned)(void *ctx, int64_t rows);
	/* It is this relay that prunes from now on, or nothing is left to prune for now. Until lost(). */
	void (*pruned_up)(void *ctx);
	void (*lost)(void *ctx, const struct error *err);
	/* Statistics or pruning failed and will be tried again; all else goes on. */
	void (*put_off)(void *ctx, const struct error *err);
	/* Asked before statistics: where each lane may be looked at from. */
	void (*hints)(void *ctx, int64_t ret_from_ids[LANES_MAX]);
	void *ctx;
};

struct keeper;

struct keeper *keeper_new(const struct keeper_options *opt, const struct keeper_events *events) __attribute__((warn_unused_result));
void keeper_free(struct keeper *k);
struct watch *keeper_watch(struct keeper *k); /* its session */
struct watch *keeper_timer(struct keeper *k);
void keeper_open(struct keeper *k);
void keeper_close(struct keeper *k);

/* In place of the options' own; counts from the next pass of pruning on. */
void keeper_set_retention(struct keeper *k, int64_t retention_ms);

#endif
