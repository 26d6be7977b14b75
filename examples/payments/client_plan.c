/* client_plan.c - in: a seed and a number; out: a payment, and what goes wrong with its request. */
#include "client_plan.h"

#include <inttypes.h>
#include <stdio.h>

enum { TWIN_PERCENT = 5, AGAIN_PERCENT = 5, REUSED_PERCENT = 2, HURRIED_PERCENT = 3, DECLINED_PERCENT = 2 };

/* splitmix64 */
static uint64_t
next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool
chance(uint64_t *state, unsigned percent)
{
	return next(state) % 100 < percent;
}

void
plan_payment(int64_t seed, int64_t number, int64_t customers, struct plan *ret_plan)
{
	uint64_t state = (uint64_t)seed * UINT64_C(0xd1342543de82ef95) + (uint64_t)number;
	uint64_t customer = next(&state) % (uint64_t)customers;
	int64_t amount = 100 + (int64_t)(next(&state) % 4900);

	/* the provider does not like these */
	if (chance(&state, DECLINED_PERCENT))
		amount += 13 - amount % 100;
	*ret_plan = (struct plan){
		.amount = amount,
		.twin = chance(&state, TWIN_PERCENT),
		.again = chance(&state, AGAIN_PERCENT),
		.reused = chance(&state, REUSED_PERCENT),
		.hurried = chance(&state, HURRIED_PERCENT),
	};
	snprintf(ret_plan->key, sizeof(ret_plan->key), "%" PRId64 "-%" PRId64, seed, number);
	snprintf(ret_plan->customer, sizeof(ret_plan->customer), "c%" PRIu64, customer + 1);
}

void
plan_body(const struct plan *p, bool other, char ret_body[static PLAN_BODY_MAX])
{
	snprintf(ret_body, PLAN_BODY_MAX, "{\"customer\": \"%s\", \"amount\": %" PRId64 ", \"currency\": \"EUR\"}", p->customer,
	         p->amount + (other ? 1 : 0));
}
