/* Tests of src/relay/budget.c. */
#include "relay/budget.h"
#include "source/bell.h"
#include "support/tap.h"

static void
counts_brokers(void)
{
	uint64_t one = budget_descriptors("localhost:9092", 1);

	CU_ASSERT(one > LANES_MAX);
	CU_ASSERT(one < 256); /* what the smallest soft limits of today allow */
	TAP_INT(budget_descriptors("a:1,b:2, c:3", 1) - one, 2 * (budget_descriptors("a,b", 1) - one));
	CU_ASSERT(budget_descriptors("a,b", 1) >= one + 2);
	CU_ASSERT(budget_descriptors("a", 3) > one + 2 * LANES_MAX);
	TAP_INT(budget_descriptors("a", 3) - budget_descriptors("a", 2), budget_descriptors("a", 2) - one);
}

int
main(void)
{
	tap_suite("budget");
	tap_test("brokers are counted", counts_brokers);
	return tap_run();
}
