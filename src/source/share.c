/* share.c - in: the announced relays; out: a number of lanes, and where to look for them. */
#include "source/share.h"

#include <stdbool.h>

struct share
share_of(const uint32_t *relays, size_t count, uint32_t self, int lanes)
{
	struct share share;
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
	share.quota = lanes / total + (rank < lanes % total ? 1 : 0);
	share.first = rank * (lanes / total) + (rank < lanes % total ? rank : lanes % total);
	return share;
}
