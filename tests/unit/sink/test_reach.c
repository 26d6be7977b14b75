/* test_reach.c - the timeline of knocks and suspicions, without a broker. */
#include "sink/reach.h"

#include "base/clock.h"
#include "support/tap.h"

#define S 1000000

static struct reach r;

static void
test_first_answer_is_news(void)
{
	reach_init(&r, 5 * S);
	TAP_INT(r.state, REACH_UNKNOWN);
	TAP_INT(r.knock_due_us, 5 * S);
	CU_ASSERT_FALSE(reach_knocked(&r, false, 5 * S));
	CU_ASSERT(r.knock_due_us > 5 * S && r.knock_due_us <= 6 * S);
	CU_ASSERT_TRUE(reach_knocked(&r, true, 6 * S));
	TAP_INT(r.state, REACH_UP);
	TAP_INT(r.knock_due_us, CLOCK_NEVER);
	CU_ASSERT_FALSE(reach_knocked(&r, true, 7 * S));
}

/* Nobody said that the brokers are down: connecting may just take long. */
static void
test_silence_is_not_down(void)
{
	reach_init(&r, 0);
	CU_ASSERT_FALSE(reach_knocked(&r, false, 60 * S));
	TAP_INT(r.state, REACH_UNKNOWN);
}

static void
test_down_after_the_grace(void)
{
	reach_init(&r, 0);
	CU_ASSERT_TRUE(reach_knocked(&r, true, 0));
	reach_suspect(&r, 10 * S);
	TAP_INT(r.knock_due_us, 10 * S);
	TAP_INT(r.state, REACH_UP);
	CU_ASSERT_FALSE(reach_knocked(&r, false, 10 * S));
	reach_suspect(&r, 11 * S);
	CU_ASSERT_FALSE(reach_knocked(&r, false, 12 * S - 1));
	CU_ASSERT_TRUE(reach_knocked(&r, false, 12 * S));
	TAP_INT(r.state, REACH_DOWN);
	/* Told once, and knocked on. */
	reach_suspect(&r, 13 * S);
	CU_ASSERT_FALSE(reach_knocked(&r, false, 20 * S));
	CU_ASSERT(r.knock_due_us > 20 * S && r.knock_due_us <= 21 * S);
	CU_ASSERT_TRUE(reach_knocked(&r, true, 21 * S));
	TAP_INT(r.state, REACH_UP);
}

static void
test_blink(void)
{
	reach_init(&r, 0);
	CU_ASSERT_TRUE(reach_knocked(&r, true, 0));
	reach_suspect(&r, S);
	CU_ASSERT_FALSE(reach_knocked(&r, true, S + 1));
	TAP_INT(r.state, REACH_UP);
	TAP_INT(r.down_due_us, CLOCK_NEVER);
}

static void
test_never_up(void)
{
	reach_init(&r, 0);
	reach_suspect(&r, 0);
	CU_ASSERT_TRUE(reach_knocked(&r, false, 2 * S));
	TAP_INT(r.state, REACH_DOWN);
}

int
main(void)
{
	tap_suite("reach");
	tap_test("the first answer is news", test_first_answer_is_news);
	tap_test("silence is not down", test_silence_is_not_down);
	tap_test("down after the grace, told once", test_down_after_the_grace);
	tap_test("a blink is not news", test_blink);
	tap_test("down from the start", test_never_up);
	return tap_run();
}
