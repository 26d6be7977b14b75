/* crew.h - the pipes of one relay, taken together. */
#ifndef PGOUTBOX_RELAY_CREW_H
#define PGOUTBOX_RELAY_CREW_H

#include <stdbool.h>

#include "base/error.h"
#include "relay/pipe.h"
#include "relay/spread.h"

struct crew {
	struct pipe *pipes[LANES_MAX];
	int count; /* 0 until the table was accepted */
	struct spread spread;
};

struct crew_count {
	int owned;
	int detached;
	int busy;
};

void crew_init(struct crew *c);
void crew_done(struct crew *c); /* frees the pipes; no report may come any more */

/* A pipe for each lane. After a failure those that were made are there. */
int crew_make(struct crew *c, struct pipe_shared *shared, int lanes, struct error *err)
	__attribute__((warn_unused_result));

/* Takes what is free up to our share, gives up what is beyond it. */
void crew_spread(struct crew *c, const struct keeper_members *m, int64_t now_us);

/* Tells each of them the same: pipe_leave, pipe_retry, pipe_rebuilt, ... */
void crew_each(struct crew *c, void (*tell)(struct pipe *p));

void crew_drop(struct crew *c, const struct error *err); /* every session is as good as lost */

bool crew_quiet(const struct crew *c); /* nothing between claim and settle */
struct crew_count crew_count(const struct crew *c);
bool crew_closed(const struct crew *c); /* everything is settled and given up */

/* Where each lane may be looked at from. */
void crew_hints(const struct crew *c, int64_t ret_from_ids[LANES_MAX]);

#endif
