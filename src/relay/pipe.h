/* pipe.h - one lane's way from claim to settle: what a batch needs next, and when.
 *
 * A pipe joins a lane (PostgreSQL), the router and the outlet (Kafka). At most one batch is between claim and settle, so
 * order within a key needs no further thought, and the bound on repeats is lanes x batch. Where Kafka keeps a part of a batch without an
 * answer, that batch is stranded and the lane goes on with other keys and partitions (stranded.h, holds.h), within the same bound. Everything
 * happens in pipe_step(), which looks at the whole state and does the one thing that is due.
 */
#ifndef PGOUTBOX_RELAY_PIPE_H
#define PGOUTBOX_RELAY_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "config/config.h"
#include "hook/webhook.h"
#include "metrics/metrics.h"
#include "relay/holds.h"
#include "relay/outlet.h"
#include "route/router.h"
#include "serve/loop.h"
#include "source/lane.h"

/* What all pipes of one outbox share; outlives them. */
struct pipe_shared {
	const struct outbox_config *cfg;
	int64_t session_timeout_ms;
	struct lane_shared lanes;
	const struct router *router;
	struct outlet *outlet;
	struct holds *holds;
	struct loop *loop;
	const struct log *log;
	struct metrics_scope *metrics;
	struct webhook *webhook; /* NULL = none */
	bool stopping; /* claim no more */
	bool rerouting; /* claim nothing for a moment: the route is to change */
	/* A pipe became idle, or has been given up, or was lost: the relay looks at it anew. */
	void (*changed)(void *ctx);
	void (*failed)(void *ctx, const struct error *err); /* a person must act */
	void *ctx;
	int64_t busy_us; /* when events were last claimed by any pipe */
	int64_t acked_us; /* when one was last acknowledged, while anything is held */
	bool proven;     /* a lane's turn has succeeded: the table, the rights and the way to them are good */
	uint64_t safe_lsn; /* WAL is known to be flushed up to here, */
	uint64_t safe_xid; /* with all that transactions below this one have committed */
	void (*need_flush)(void *ctx, uint64_t lsn); /* pipe_flushed() is to follow */
};

struct pipe;

struct pipe *pipe_new(struct pipe_shared *shared, int lane, struct error *err) __attribute__((warn_unused_result));
void pipe_free(struct pipe *p); /* with no event in flight */

void pipe_take(struct pipe *p);  /* wants its lane */
void pipe_leave(struct pipe *p); /* finishes what it holds, then gives the lane up */
void pipe_drop(struct pipe *p, const struct error *err); /* its session is as good as lost: what it still brings is void */
void pipe_pause(struct pipe *p, bool paused); /* claims no more, and says a word now and then; or goes on */
bool pipe_wanted(const struct pipe *p);
bool pipe_owned(const struct pipe *p);
bool pipe_detached(const struct pipe *p);
bool pipe_busy(const struct pipe *p); /* owns its lane, and has events in hand or knows of some to claim */
bool pipe_closed(const struct pipe *p); /* not wanted, nothing in hand, no session */

/* The doorbell: there is something to claim. everywhere: it was found below the floor. */
void pipe_ring(struct pipe *p, bool everywhere);
bool pipe_may_ring(const struct pipe *p); /* idle, and free to claim */
bool pipe_look_due(const struct pipe *p, int64_t now_us);
int64_t pipe_hint(const struct pipe *p); /* where a look may start */
struct rung pipe_newest_rung(const struct pipe *p);
void pipe_looked(struct pipe *p, int64_t elapsed_us); /* the bell looked from the bottom for this lane */
const struct keyset *pipe_held(const struct pipe *p);

void pipe_parked_changed(struct pipe *p);

/* From the outlet; in publish.c. */
void pipe_report(struct pipe *p, struct slot *slot, const struct report *r);
void pipe_rebuilt(struct pipe *p); /* no report will come for what is in flight */

void pipe_retry(struct pipe *p);   /* Kafka serves again: refused events need not wait out their pause */
void pipe_limits_changed(struct pipe *p); /* the configuration has other values */
bool pipe_quiet(const struct pipe *p); /* nothing between claim and settle */
void pipe_rerouted(struct pipe *p); /* shared->rerouting is over: what waited for its topic may have another now */
void pipe_holds_lifted(struct pipe *p);

void pipe_turn(struct pipe *p); /* nothing is in flight: whoever waits may publish */
void pipe_flushed(struct pipe *p); /* shared->safe_lsn has moved */
void pipe_unflushed(struct pipe *p); /* the barrier is lost: what waits for it is claimed anew */

void pipe_describe(const struct pipe *p, struct buf *out);

#endif
