/* backoff.h - exponential waits with jitter, so that many relays do not come back in step.
 *
 * The n-th wait is drawn evenly from the upper half of min(max_ms, initial_ms * 2^n).
 */
#ifndef PGOUTBOX_BASE_BACKOFF_H
#define PGOUTBOX_BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
	uint32_t initial_ms;
	uint32_t max_ms;
	uint32_t step;
	uint64_t rng;
};

void backoff_init(struct backoff *b, uint32_t initial_ms, uint32_t max_ms, uint64_t seed);
uint32_t backoff_next_ms(struct backoff *b); /* also counts the step */
void backoff_reset(struct backoff *b);

#endif
