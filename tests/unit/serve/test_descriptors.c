/* Tests of src/serve/descriptors.c. */
#include <sys/resource.h>

#include "serve/descriptors.h"
#include "support/tap.h"

static struct rlimit before;

static void
begin(rlim_t soft)
{
	struct rlimit limit;

	TAP_INT_FATAL(getrlimit(RLIMIT_NOFILE, &before), 0);
	CU_ASSERT_FATAL(before.rlim_max > 300);
	limit = (struct rlimit){.rlim_cur = soft, .rlim_max = before.rlim_max};
	TAP_INT_FATAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void
expect_soft(rlim_t soft)
{
	struct rlimit limit;

	TAP_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	TAP_INT(limit.rlim_cur, soft);
	TAP_INT(limit.rlim_max, before.rlim_max);
	setrlimit(RLIMIT_NOFILE, &before);
}

static void
enough_is_left_alone(void)
{
	begin(200);
	TAP_INT(descriptors_allow(200), 200);
	expect_soft(200);
}

static void
too_few_are_raised(void)
{
	begin(200);
	TAP_INT(descriptors_allow(201), before.rlim_max);
	expect_soft(before.rlim_max);
}

static void
the_hard_limit_is_the_end(void)
{
	begin(200);
	TAP_INT(descriptors_allow(before.rlim_max + 1), before.rlim_max);
	expect_soft(before.rlim_max);
}

int
main(void)
{
	tap_suite("descriptors");
	tap_test("enough is left alone", enough_is_left_alone);
	tap_test("too few are raised", too_few_are_raised);
	tap_test("the hard limit is the end", the_hard_limit_is_the_end);
	return tap_run();
}
