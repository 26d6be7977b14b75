/* Tests of src/base/clock.c. */
#include "base/clock.h"

#include <time.h>

#include "support/tap.h"

static void
test_mono_goes_forward(void)
{
	struct timespec pause = {0, 2000000};
	int64_t before = clock_mono_us();
	int64_t after;

	CU_ASSERT(before >= 0);
	nanosleep(&pause, NULL);
	after = clock_mono_us();
	CU_ASSERT(after - before >= 2000);
	CU_ASSERT(after - before < 60 * INT64_C(1000000));
}

static void
test_mono_is_the_monotonic_clock(void)
{
	struct timespec ts;
	int64_t us = clock_mono_us();

	clock_gettime(CLOCK_MONOTONIC, &ts);
	CU_ASSERT(ts.tv_sec - us / 1000000 >= 0);
	CU_ASSERT(ts.tv_sec - us / 1000000 < 60);
}

/* CLOCK_MONOTONIC and the time that the machine was suspended. */
static void
test_boot_counts_suspension(void)
{
	struct timespec ts;
	int64_t before = clock_mono_us(), us = clock_boot_us();

	clock_gettime(CLOCK_BOOTTIME, &ts);
	CU_ASSERT(us >= before);
	CU_ASSERT(ts.tv_sec - us / 1000000 >= 0);
	CU_ASSERT(ts.tv_sec - us / 1000000 < 60);
}

static void
test_wall_is_now(void)
{
	int64_t before = time(NULL);
	int64_t us = clock_wall_us();
	int64_t after = time(NULL);

	/* time() may be some milliseconds behind */
	CU_ASSERT(us / 1000000 >= before);
	CU_ASSERT(us / 1000000 <= after + 1);
}

static void
test_never_is_later_than_all(void)
{
	CU_ASSERT(CLOCK_NEVER > clock_mono_us());
}

int
main(void)
{
	tap_suite("clock");
	tap_test("mono goes forward in microseconds", test_mono_goes_forward);
	tap_test("mono is the monotonic clock", test_mono_is_the_monotonic_clock);
	tap_test("boot counts suspension too", test_boot_counts_suspension);
	tap_test("wall is the time of day", test_wall_is_now);
	tap_test("never is later than all", test_never_is_later_than_all);
	return tap_run();
}
