/* backoff.c - a count of failures in, the next wait out. Knows no clock. */
#include "base/backoff.h"

/* splitmix64: any seed will do, zero included. */
static uint64_t
next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void
backoff_init(struct backoff *b, uint32_t initial_ms, uint32_t max_ms, uint64_t seed)
{
	*b = (struct backoff){.initial_ms = initial_ms, .max_ms = max_ms, .step = 0, .rng = seed};
}

uint32_t
backoff_next_ms(struct backoff *b)
{
	uint64_t full = b->step < 32 ? (uint64_t)b->initial_ms << b->step : b->max_ms;
	uint64_t half;

	if (full > b->max_ms)
		full = b->max_ms;
	if (b->step < UINT32_MAX)
		b->step++;
	half = full / 2;
	return (uint32_t)(full - half + next_random(&b->rng) % (half + 1));
}

void
backoff_reset(struct backoff *b)
{
	b->step = 0;
}
