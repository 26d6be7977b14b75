/* storm.h - carries out a plan on a stage, until it is over and all is undone. */
#ifndef PGOUTBOX_TESTS_STORM_H
#define PGOUTBOX_TESTS_STORM_H

#include <stdbool.h>
#include <stdint.h>

#include "chaos/plan.h"
#include "chaos/stage.h"

struct storm_counts {
	int64_t struck[FAULTS];
	int64_t missed[FAULTS]; /* could not be done at that moment */
};

/* Blocks for the plan's length and what its last strikes need. */
void storm_run(struct stage *s, const struct plan *plan, struct storm_counts *ret_counts);

#endif
