/* upkeep.h - the keeper and what it tells: whether PostgreSQL serves, whether the table fits, figures for the metrics.
 *
 * Opens the keeper's session again whenever it was lost. What concerns the lanes goes on to the relay.
 */
#ifndef PGOUTBOX_RELAY_UPKEEP_H
#define PGOUTBOX_RELAY_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/link.h"
#include "relay/plan.h"
#include "relay/relay.h"
#include "source/keeper.h"

struct upkeep_events {
	void (*layout)(void *ctx, const struct layout *lo); /* at each connect; the keeper's until the next */
	void (*misfit)(void *ctx, const struct error *err); /* a person must act: the table has never been accepted */
	void (*pauses)(void *ctx, struct pauses *p); /* as the keeper's */
	void (*members)(void *ctx, const struct keeper_members *m);
	/* PostgreSQL is away, and why; NULL = it is back. The first time that it is there is no end of an outage. */
	void (*serves)(void *ctx, const struct error *err);
	void (*hints)(void *ctx, int64_t ret_from_ids[LANES_MAX]);
	void *ctx;
};

struct upkeep {
	const struct relay_options *opt;
	struct upkeep_events events;
	struct keeper *keeper;
	struct link link;
	bool accepted; /* the table, once */
	int64_t pending;        /* when statistics were last taken */
	uint64_t pending_after; /* so many events had been sent then */
	bool joined;   /* the loop */
};

/* opt and plan outlive it. After a failure upkeep_done() takes back what was made. */
int upkeep_init(struct upkeep *u, const struct relay_options *opt, const struct plan *plan,
                const struct upkeep_events *events, struct error *err) __attribute__((warn_unused_result));
void upkeep_done(struct upkeep *u); /* zeros are fine */

void upkeep_open(struct upkeep *u);
void upkeep_reload(struct upkeep *u); /* the configuration has other values */
void upkeep_reopen(struct upkeep *u); /* soon: for layout() to tell what the table is like now */
void upkeep_close(struct upkeep *u); /* for good; this relay counts no more for the others */

#endif
