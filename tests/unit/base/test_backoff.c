/* Tests of src/base/backoff.c. */
#include "base/backoff.h"

#include "support/tap.h"

static void
test_waits_double_to_the_limit(void)
{
	static const uint32_t full[] = {100, 200, 400, 800, 1000, 1000, 1000};

	for (uint64_t seed = 0; seed < 500; seed++) {
		struct backoff b;

		backoff_init(&b, 100, 1000, seed);
		for (size_t i = 0; i < sizeof full / sizeof full[0]; i++) {
			uint32_t wait = backoff_next_ms(&b);

			CU_ASSERT_FATAL(wait >= full[i] / 2);
			CU_ASSERT_FATAL(wait <= full[i]);
		}
	}
}

/* Each of the eleven values of 10..20 ought to come up about 1,000 times. */
static void
test_spread_is_even(void)
{
	unsigned int seen[21] = {0};
	struct backoff b;

	backoff_init(&b, 20, 20, 7);
	for (int i = 0; i < 11000; i++) {
		uint32_t wait = backoff_next_ms(&b);

		CU_ASSERT_FATAL(wait <= 20);
		seen[wait]++;
	}
	for (size_t i = 0; i < 10; i++)
		TAP_INT(seen[i], 0);
	for (size_t i = 10; i <= 20; i++) {
		CU_ASSERT(seen[i] > 800);
		CU_ASSERT(seen[i] < 1200);
	}
}

static void
test_seeds_differ(void)
{
	unsigned int same = 0;
	struct backoff a, b;

	backoff_init(&a, 1 << 30, 1 << 30, 0);
	backoff_init(&b, 1 << 30, 1 << 30, 1);
	for (int i = 0; i < 100; i++)
		same += backoff_next_ms(&a) == backoff_next_ms(&b);
	CU_ASSERT(same < 5);
}

static void
test_reset_starts_again(void)
{
	struct backoff b;

	backoff_init(&b, 100, 100000, 3);
	for (int i = 0; i < 8; i++)
		(void)backoff_next_ms(&b);
	TAP_INT(b.step, 8);
	backoff_reset(&b);
	TAP_INT(b.step, 0);
	CU_ASSERT(backoff_next_ms(&b) <= 100);
}

static void
test_reset_does_not_repeat_the_waits(void)
{
	unsigned int same = 0;
	struct backoff b;
	uint32_t first;

	backoff_init(&b, 1 << 30, 1 << 30, 3);
	first = backoff_next_ms(&b);
	for (int i = 0; i < 20; i++) {
		backoff_reset(&b);
		same += backoff_next_ms(&b) == first;
	}
	CU_ASSERT(same < 3);
}

static void
test_days_of_failures(void)
{
	struct backoff b;

	backoff_init(&b, 1, 30000, 9);
	for (int i = 0; i < 100000; i++) {
		uint32_t wait = backoff_next_ms(&b);

		CU_ASSERT_FATAL(i < 15 || (wait >= 15000 && wait <= 30000));
	}
	b.step = UINT32_MAX;
	CU_ASSERT(backoff_next_ms(&b) >= 15000);
	TAP_INT(b.step, UINT32_MAX);
}

static void
test_extremes(void)
{
	struct backoff b;

	backoff_init(&b, UINT32_MAX, UINT32_MAX, 1);
	for (int i = 0; i < 40; i++)
		CU_ASSERT_FATAL(backoff_next_ms(&b) >= UINT32_MAX / 2);
	backoff_init(&b, 1, 1, 1);
	TAP_INT(backoff_next_ms(&b), 1);
	backoff_init(&b, 5000, 1000, 1);
	CU_ASSERT(backoff_next_ms(&b) <= 1000);
}

int
main(void)
{
	tap_suite("backoff");
	tap_test("waits double up to the limit", test_waits_double_to_the_limit);
	tap_test("waits are spread evenly", test_spread_is_even);
	tap_test("two seeds give two series", test_seeds_differ);
	tap_test("reset starts from the first wait", test_reset_starts_again);
	tap_test("reset does not repeat the same waits", test_reset_does_not_repeat_the_waits);
	tap_test("days of failures do not overflow", test_days_of_failures);
	tap_test("extreme limits", test_extremes);
	return tap_run();
}
