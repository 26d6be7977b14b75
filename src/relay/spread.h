/* spread.h - which lanes a relay takes and which it leaves, from one look at all to the next. Decides; does no I/O.
 *
 * Promise 5 makes it wait: a relay whose session was lost may have events to settle that Kafka has acknowledged, and is
 * back within a moment, where it finds its lane only if nobody else was quicker. So a free lane that was not ours is taken
 *   at once, where all others are there as before and have what they should have: then it is nobody's;
 *   when it was still free at the next look, where another relay lacks a lane or is gone;
 *   and later, when we were without PostgreSQL ourselves: then so was everybody, perhaps.
 */
#ifndef PGOUTBOX_RELAY_SPREAD_H
#define PGOUTBOX_RELAY_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "source/keeper.h"

struct spread {
	int relays; /* when last looked at; 0 = never */
	int64_t gone_us; /* one was seen to be gone, or may have been */
	int64_t grace_until_us;
	bool ours[LANES_MAX]; /* the last that we knew while all was well */
	int64_t free_since_us[LANES_MAX]; /* CLOCK_NEVER = it was not */
};

struct spread_lane {
	bool wanted; /* by this relay */
	bool owned;
};

enum spread_move { SPREAD_STAY, SPREAD_TAKE, SPREAD_LEAVE };

void spread_init(struct spread *s);

/* This relay had no view of the others for a while: what it saw is forgotten, and lanes that were not its own are left to
 * whom they were for so long. */
void spread_returned(struct spread *s, int64_t now_us, int64_t grace_us);

/* One look. Writes a move for each of the count lanes. */
void spread_look(struct spread *s, const struct keeper_members *m, const struct spread_lane *lanes, int count,
                 int64_t now_us, enum spread_move *ret_moves);

#endif
