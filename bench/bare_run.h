/* bare_run.h - the benchmark's peer: bench/bare as a process of its own beside the measured servers, and how far it is.
 *
 * bench/bare is a relay that does what the design cannot do without, and nothing else (see bare.c). It is run and measured as the
 * daemon is, on the same servers in the same round, so what the machine gives in that hour is in both figures.
 */
#ifndef PGOUTBOX_BENCH_BARE_RUN_H
#define PGOUTBOX_BENCH_BARE_RUN_H

#include <stdatomic.h>
#include <stdint.h>

#include "bench/world.h"

/* In a file that both map, so that a look costs the relay nothing. */
struct bare_counters {
	_Atomic int64_t lanes, lanes_begun;
	_Atomic int64_t sent; /* and acknowledged */
	_Atomic int64_t claimed_batches, settled_batches;
};

/* The file's counters; dies where it cannot be mapped. Never unmapped but by bare_forget(). */
struct bare_counters *bare_map(const char *path);

/* Starts bench/bare as the world's only daemon. */
void bare_launch(struct world *w, const char *program);
struct world_progress bare_progress(struct world *w);
void bare_forget(struct world *w);

#endif
