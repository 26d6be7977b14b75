/* lanes.h - changes the number of lanes of an outbox that relays work on.
 *
 * The index for the new number is built concurrently, beside the old one; then the relays are asked to let their lanes
 * go (SHARE_SWITCH, source/share.h), all lane locks of both numbers are taken, and one transaction changes the
 * registration. At every moment pgoutbox.outbox names the index that is too many (spare_index), so that whatever
 * interrupts this, the next call finishes or undoes it. Prints nothing. Blocks.
 */
#ifndef PGOUTBOX_ADMIN_LANES_H
#define PGOUTBOX_ADMIN_LANES_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "admin/claim_index.h"
#include "admin/outbox.h"
#include "base/error.h"

enum lanes_step {
	LANES_DROPPING_SPARE, /* index = what an earlier change left behind */
	LANES_DROPPED_SPARE,
	LANES_BUILDING,
	LANES_BUILT,
	LANES_FOUND, /* the index was there: an earlier change was interrupted, or somebody built it */
	LANES_WAITING, /* for the relays to let their lanes go */
	LANES_SWITCHED,
	LANES_DROPPING_OLD,
	LANES_DROPPED_OLD,
};

/* How far a build is, as PostgreSQL tells. */
struct lanes_build {
	char phase[64];
	int64_t done, total; /* blocks or rows of the phase; total 0 = unknown */
	int waits_for;       /* the session whose transaction it waits for; 0 = none */
};

struct lanes_request {
	int lanes;
	int64_t timeout_ms; /* for the relays to let their lanes go */
	PGconn *watch;      /* another session, for the progress of the build; NULL = none is told */
	void (*step)(void *ctx, enum lanes_step step, const char *index);
	void (*build)(void *ctx, const struct lanes_build *build); /* a few times a second */
	void *ctx;
};

struct lanes_result {
	int from;      /* equal to the wanted number: there were at most leftovers to remove */
	bool leftover; /* an index of an earlier change was removed */
	int64_t switched_us; /* how long no lane could be owned */
};

/* ERR_RETRY where a session kept a lane for too long, named in the message; ERR_CONFIG where somebody must decide
 * first. After a failure the outbox has the old number of lanes or the new one, and works. */
int lanes_change(struct outbox *o, const struct lanes_request *rq, struct lanes_result *ret_result, struct error *err)
	__attribute__((warn_unused_result));

/* The index that is too many, "" when there is none. */
int lanes_spare(PGconn *conn, uint32_t relation_oid, char ret_name[CLAIM_INDEX_NAME_SIZE], struct error *err)
	__attribute__((warn_unused_result));

#endif
