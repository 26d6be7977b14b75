/* budget.c - the configuration in, a number of descriptors out. Opens none. */
#include "relay/budget.h"

#include <string.h>

#include "source/bell.h"

#define OWN 20
#define SESSIONS_BESIDE_LANES 3 /* bell, keeper and barrier */
#define A_BROKER 3              /* a socket, and the pipe that wakes its thread */
#define BROKERS_UNLISTED 16     /* a cluster has more than those that lead to it */

uint64_t
budget_descriptors(const char *brokers, size_t outboxes)
{
	uint64_t listed = 1;

	while ((brokers = strchr(brokers, ',')) != NULL) {
		brokers++;
		listed++;
	}
	return OWN + outboxes * (LANES_MAX + SESSIONS_BESIDE_LANES + A_BROKER * (listed + BROKERS_UNLISTED));
}
