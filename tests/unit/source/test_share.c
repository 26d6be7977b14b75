/* test_share.c - every relay computes its share from the same view: together they have each lane once. */
#include <CUnit/CUnit.h>

#include "source/share.h"
#include "support/tap.h"

#define N(number) (SHARE_RELAY_FLAG | (number))

static int
quota(const uint32_t *relays, size_t count, uint32_t self, int lanes)
{
	return share_of(relays, count, self, lanes).quota;
}

static void
test_alone(void)
{
	uint32_t me[] = {N(5)};

	TAP_INT(quota(me, 1, N(5), 4), 4);
	/* our own announcement may not be seen yet */
	TAP_INT(quota(me, 0, N(5), 4), 4);
}

static void
test_two(void)
{
	uint32_t both[] = {N(9), N(5)};

	TAP_INT(quota(both, 2, N(5), 4), 2);
	TAP_INT(quota(both, 2, N(9), 4), 2);
	TAP_INT(quota(both, 2, N(5), 5), 3);
	TAP_INT(quota(both, 2, N(9), 5), 2);
	/* a third that does not see itself */
	TAP_INT(quota(both, 2, N(7), 4), 1);
}

static void
test_sum(void)
{
	uint32_t relays[20];

	for (size_t count = 1; count <= 20; count++) {
		relays[count - 1] = N((uint32_t)(count * 7919 % 101));
		for (int lanes = 1; lanes <= 64; lanes++) {
			int sum = 0, most = 0, least = 64, takers[64] = {0};

			for (size_t i = 0; i < count; i++) {
				struct share share = share_of(relays, count, relays[i], lanes);

				sum += share.quota;
				most = share.quota > most ? share.quota : most;
				least = share.quota < least ? share.quota : least;
				CU_ASSERT(share.first >= 0);
				for (int n = 0; n < share.quota; n++)
					takers[(share.first + n) % lanes]++;
			}
			TAP_INT(sum, lanes);
			CU_ASSERT(most - least <= 1);
			for (int i = 0; i < lanes; i++)
				TAP_INT(takers[i], 1); /* nobody's range meets another's */
		}
	}
}

int
main(void)
{
	tap_suite("share");
	tap_test("alone", test_alone);
	tap_test("two", test_two);
	tap_test("all lanes, each once, evenly", test_sum);
	return tap_run();
}
