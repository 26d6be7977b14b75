/* test_progress.c - work without an acknowledgement stalls, after a while; anything else does not. */
#include "relay/progress.c"

#include "support/tap.h"

static struct progress p;

static void
setup(void)
{
	p = (struct progress){0};
}

static void
test_stalls(void)
{
	CU_ASSERT_FALSE(progress_stalls(&p, true, 0, 5000000));
	CU_ASSERT_FALSE(progress_stalls(&p, true, 0, 5000000 + PROGRESS_PATIENCE_US - 1));
	CU_ASSERT_TRUE(progress_stalls(&p, true, 0, 5000000 + PROGRESS_PATIENCE_US));
	CU_ASSERT_TRUE(progress_stalls(&p, true, 0, 90000000));
	CU_ASSERT_FALSE(progress_stalls(&p, true, 1, 90000001));
	CU_ASSERT_FALSE(progress_stalls(&p, true, 1, 90000002));
}

static void
test_rest_is_no_stall(void)
{
	CU_ASSERT_FALSE(progress_stalls(&p, true, 7, 5000000));
	CU_ASSERT_FALSE(progress_stalls(&p, false, 7, 90000000));
	CU_ASSERT_FALSE(progress_stalls(&p, true, 7, 90500000));
	CU_ASSERT_TRUE(progress_stalls(&p, true, 7, 91000000));
}

/* The first look is at a clock that started long ago. */
static void
test_first_look(void)
{
	CU_ASSERT_FALSE(progress_stalls(&p, true, 0, 77000000));
}

int
main(void)
{
	tap_suite_fixture("progress", setup, NULL);
	tap_test("work without an acknowledgement stalls", test_stalls);
	tap_test("a rest is no stall", test_rest_is_no_stall);
	tap_test("the first look", test_first_look);
	return tap_run();
}
