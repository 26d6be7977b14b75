/* doorman.h - asks the bell on behalf of all pipes that wait, and rings those that have something to claim.
 *
 * While events come it asks every poll_min; in quiet times ever less often, down to poll_max, so that an idle database costs
 * almost nothing. Where a pipe's look from the bottom is due, it is asked for from there.
 */
#ifndef PGOUTBOX_RELAY_DOORMAN_H
#define PGOUTBOX_RELAY_DOORMAN_H

#include "base/error.h"
#include "relay/pipe.h"

struct doorman;

/* Calls shared->failed() when a person must act for the bell to work. Pipes are looked at from pipes[0] to pipes[*count - 1]. */
struct doorman *doorman_new(struct pipe_shared *shared, struct pipe *const *pipes, const int *count, struct error *err)
	__attribute__((warn_unused_result));
void doorman_free(struct doorman *d);
void doorman_open(struct doorman *d);
void doorman_close(struct doorman *d);
void doorman_wake(struct doorman *d); /* pipes changed: look again soon, not from within this call */
int64_t doorman_poll_us(const struct doorman *d); /* how often it asks now */

#endif
