/* verdict.h - what came of a run: each promise, how many events it was checked on, and whether it was kept. */
#ifndef PGOUTBOX_TESTS_VERDICT_H
#define PGOUTBOX_TESTS_VERDICT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "chaos/stage.h"
#include "chaos/storm.h"
#include "support/audit.h"

struct verdict {
	bool reached;           /* the run came so far that there is something to judge */
	struct audit_report audit;
	struct storm_counts storm;
	int64_t written;        /* events that the writers saw committed */
	int64_t undrained;      /* left unsent in the end */
	int64_t parked;         /* rows, and entries of logs */
	int64_t overtaken;      /* entries of logs */
	int64_t failed;         /* attempts that asked for parking, in the relays' last lives */
	int bad_ends;           /* of relays */
	/* How many duplicates there may be, and why. */
	int64_t kills, hangs, unclean_stops, rebuilds, lost_lanes;
	int64_t bound;
};

/* Before the relays' last stop, and after it. */
void verdict_ask_relays(struct stage *s, struct verdict *v);
void verdict_reach(struct stage *s, struct verdict *v);

/* As "# ..." lines. */
void verdict_tell(const struct stage_options *opt, const struct verdict *v);
int verdict_write_json(const char *path, const struct stage_options *opt, const struct verdict *v);

#endif
