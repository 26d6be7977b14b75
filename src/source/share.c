/* share.c - in: the announced relays; out: a number of lanes. */
#include "source/share.h"

#include <stdbool.h>

int
share_quota(const uint32_t *relays, size_t count, uint32_t self, int lanes)
{
	int total = 0;
	int rank = 0;
	bool seen = false;

	for (size_t i = 0; i < count; i++) {
		total++;
		if (relays[i] < self)
			rank++;
		if (relays[i] == self)
			seen = true;
	}
	if (!seen)
		total++;
	return lanes / total + (rank < lanes % total ? 1 : 0);
}
