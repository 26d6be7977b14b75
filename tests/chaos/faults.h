/* faults.h - one thing that is done to one part, and its undoing. Nothing here waits for long: what takes time is asked
 * again. */
#ifndef PGOUTBOX_TESTS_FAULTS_H
#define PGOUTBOX_TESTS_FAULTS_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "chaos/plan.h"
#include "chaos/stage.h"
#include "support/proc.h"

enum { CROWD_MAX = 120 };

/* A strike that is going on. */
struct blow {
	const struct strike *strike;
	int target;
	int64_t over_us;    /* when to begin with the undoing */
	int64_t undoing_us; /* since when; 0 = not yet */
	int step;           /* of the undoing */
	struct proc child;
	PGconn *conn;
	PGconn *crowd[CROWD_MAX];
	int crowd_count;
	pthread_t thread;   /* an errand, which must not hold up the rest */
	atomic_bool errand_done;
	bool errand_runs;
	const char *topic, *brokers, *value;
};

/* Strikes. False: it could not be done, because something else is away; there is nothing to undo. */
bool fault_begin(struct stage *s, struct blow *b) __attribute__((warn_unused_result));

/* Undoes it, or the next bit of it: true when all is as it was. */
bool fault_end(struct stage *s, struct blow *b) __attribute__((warn_unused_result));

#endif
