/* siphash.h - SipHash-2-4 (Aumasson and Bernstein, 2012), of 64 and of 128 bits: a fast hash under a secret key.
 *
 * Nobody who does not know the key can make two texts that have the same hash, so a key that is drawn anew for each run will do
 * where nothing is kept. Not for what has to be compared later or elsewhere.
 */
#ifndef PGOUTBOX_BASE_SIPHASH_H
#define PGOUTBOX_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct siphash_key {
	uint64_t k0, k1; /* its sixteen bytes, as two numbers of little-endian order */
};

uint64_t siphash_64(const struct siphash_key *key, struct slice text);
void siphash_128(const struct siphash_key *key, struct slice text, uint64_t ret_hash[2]);

#endif
