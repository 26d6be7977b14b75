/* clock.c - the kernel's clocks in, microseconds out. */
#include "base/clock.h"

#include <assert.h>
#include <time.h>

static int64_t
now_us(clockid_t id)
{
	struct timespec ts;
	int rc = clock_gettime(id, &ts);

	assert(rc == 0);
	(void)rc;
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
	return now_us(CLOCK_MONOTONIC);
}

int64_t
clock_coarse_us(void)
{
	return now_us(CLOCK_MONOTONIC_COARSE);
}

int64_t
clock_boot_us(void)
{
	return now_us(CLOCK_BOOTTIME);
}

int64_t
clock_wall_us(void)
{
	return now_us(CLOCK_REALTIME);
}
