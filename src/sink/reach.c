/* reach.c - see reach.h. */
#include "sink/reach.h"

#include "base/clock.h"

#define KNOCK_US 100000
#define GRACE_US 2000000

void
reach_init(struct reach *r, int64_t now_us)
{
	r->state = REACH_UNKNOWN;
	r->knock_due_us = now_us;
	r->down_due_us = CLOCK_NEVER;
}

void
reach_suspect(struct reach *r, int64_t now_us)
{
	if (r->state == REACH_DOWN || r->down_due_us != CLOCK_NEVER)
		return;
	r->down_due_us = now_us + GRACE_US;
	r->knock_due_us = now_us;
}

bool
reach_knocked(struct reach *r, bool there, int64_t now_us)
{
	enum reach_state old = r->state;

	if (there) {
		r->state = REACH_UP;
		r->knock_due_us = r->down_due_us = CLOCK_NEVER;
		return old != REACH_UP;
	}
	r->knock_due_us = now_us + KNOCK_US;
	if (now_us < r->down_due_us)
		return false;
	r->state = REACH_DOWN;
	r->down_due_us = CLOCK_NEVER;
	return true;
}
