/* descriptors.c - a wish in, the limit in force out. Must not know what the descriptors are for. */
#include "serve/descriptors.h"

#include <sys/resource.h>

/* A soft limit is often low only for the sake of programs that use select(2); none of ours does. */
uint64_t
descriptors_allow(uint64_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return wanted;
	if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
		struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	return limit.rlim_cur;
}
