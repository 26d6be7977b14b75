/* drain_run.h - one measured drain: a backlog that waits, the daemons that send it, what it cost.
 *
 * The clock starts at the first look (one every few milliseconds) that finds events acknowledged and all lanes owned, and ends at the
 * last settled row; what was acknowledged before the start does not count. So neither the start of the daemon nor that of its
 * sessions is in the figures. A backlog of less than DRAIN_TIMED events may be gone before the first look: then the clock starts with
 * the daemon, and the figures tell nothing.
 */
#ifndef PGOUTBOX_BENCH_DRAIN_RUN_H
#define PGOUTBOX_BENCH_DRAIN_RUN_H

#include "bench/say.h"
#include "bench/world.h"

#define DRAIN_TIMED 50000

struct drain_options {
	struct world_options world;
	struct world_fill fill;
	int relays; /* 0 = 1 */
	struct world_fill sent; /* rows that were there before the backlog; events 0 = none */
	bool relays_first;      /* the relays have their lanes before the rows are committed: where there are several */
	/* Called with the rows in place, before the daemons start, and after the last row is settled, when it returns how many events it
	 * had sent. May be NULL. */
	void (*before)(struct world *w, void *ctx);
	int64_t (*after)(struct world *w, void *ctx);
	void *ctx;
};

struct drain_result {
	double events_per_s;
	double postgres_us, broker_us, relay_us; /* CPU time an event */
	double wal_bytes;                        /* an event */
	double full_pages;                       /* of the WAL, an event: a checkpoint came between */
	double peak_bytes;
	double efficiency; /* events_per_s / (cores / the sum of the three) */
};

void drain_run(const struct drain_options *opt, struct drain_result *ret_result);

void drain_say(const struct say *say, const struct drain_result *r);

#endif
