/* test_link.c - pauses before a session is opened again: they grow, have a bound, and end with success. */
#include "relay/link.c"

#include "support/tap.h"

static int64_t now_us = 5000000;
static struct link link_;
static int opened;

int64_t
clock_mono_us(void)
{
	return now_us;
}

static void
on_open(void *ctx)
{
	CU_ASSERT_PTR_EQUAL(ctx, &opened);
	CU_ASSERT(link_.timer.deadline_us == CLOCK_NEVER); /* not twice */
	opened++;
}

static void
setup(void)
{
	opened = 0;
	link_init(&link_, on_open, &opened);
}

static int64_t
pause_after_down(void)
{
	link_down(&link_);
	CU_ASSERT_FATAL(link_.timer.deadline_us != CLOCK_NEVER);
	return link_.timer.deadline_us - now_us;
}

static void
test_opens_after_a_pause(void)
{
	CU_ASSERT(link_.timer.deadline_us == CLOCK_NEVER);
	CU_ASSERT(pause_after_down() >= LINK_MIN_MS * 1000 / 2);
	TAP_INT(opened, 0);
	link_.timer.fire(&link_.timer, 0, link_.timer.deadline_us);
	TAP_INT(opened, 1);
}

static void
test_pauses_grow(void)
{
	int64_t last = 0;

	for (int i = 0; i < 20; i++) {
		last = pause_after_down();
		CU_ASSERT(last <= LINK_MAX_MS * 1000);
		CU_ASSERT(i >= 4 || last <= (LINK_MIN_MS * 1000LL) << i);
	}
	CU_ASSERT(last >= LINK_MAX_MS * 1000 / 2);
	link_up(&link_);
	CU_ASSERT(pause_after_down() <= LINK_MIN_MS * 1000);
}

static void
test_stopped(void)
{
	pause_after_down();
	link_stop(&link_);
	CU_ASSERT(link_.timer.deadline_us == CLOCK_NEVER);
}

int
main(void)
{
	tap_suite_fixture("link", setup, NULL);
	tap_test("it opens after a pause, once", test_opens_after_a_pause);
	tap_test("pauses grow up to a bound, until it serves", test_pauses_grow);
	tap_test("stopped for good", test_stopped);
	return tap_run();
}
