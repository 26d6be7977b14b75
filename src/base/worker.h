/* worker.h - a thread that works off what its owner has for it, and whose end nobody waits for longer than he wants to.
 *
 * The owner embeds the worker, and guards its own queue with the worker's lock. A thread that is stuck when the time of worker_end()
 * is over is left to itself: it is abandoned, may touch nothing any more that is not the owner's own, and frees the owner if it
 * ever comes to an end.
 */
#ifndef PGOUTBOX_BASE_WORKER_H
#define PGOUTBOX_BASE_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct worker_calls {
	/* In the thread, with the lock held. Returns when there is something to do, by the monotonic clock: CLOCK_NEVER = not before
	 * somebody signals wake, which ends a worker that is closing. 0 = at once, also where the lock was given up for what may block. */
	int64_t (*turn)(void *owner);
	void (*destroy)(void *owner); /* the worker in it is nothing any more */
};

struct worker {
	pthread_mutex_t lock;  /* never held while anything blocks */
	pthread_cond_t wake;   /* for the thread: there is something to do */
	pthread_cond_t turned; /* for the others: a turn is over */
	bool closing, abandoned, ended; /* under lock. closing: what is there shall be worked off */
	const struct worker_calls *calls;
	void *owner;
	pthread_t thread;
};

/* ERR_FATAL: no thread, and nothing is left of the worker. name: of the thread, at most 15 bytes. */
int worker_start(struct worker *w, const char *name, const struct worker_calls *calls, void *owner, struct error *err)
	__attribute__((warn_unused_result));

/* Waits until everything is worked off, and has the owner destroyed. False: it was not by that time of the monotonic clock, and the
 * thread is abandoned. CLOCK_NEVER waits for as long as it takes. */
bool worker_end(struct worker *w, int64_t until_us);

/* With the lock held: waits for the end of a turn until that time of the monotonic clock. May return early. */
void worker_await(struct worker *w, int64_t until_us);

/* In the thread, without the lock. A pause lasts until that time, or until the thread is abandoned. */
bool worker_abandoned(struct worker *w);
void worker_pause(struct worker *w, int64_t until_us);

#endif
