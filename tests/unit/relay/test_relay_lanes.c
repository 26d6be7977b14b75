/* test_relay_lanes.c - what is paused, and another number of lanes. */
#include "test_relay_world.h"

/* A lane is paused before it is taken; whoever pauses twice tells once. */
static void
test_paused(void)
{
	struct pauses two = {calloc(2, sizeof(struct pause)), 2}, none = PAUSES_NONE;

	CU_ASSERT_PTR_NOT_NULL_FATAL(two.list);
	two.list[0] = (struct pause){.id = 1, .scope = PAUSE_LANE, .lane = 2, .who = "a", .reason = "b"};
	two.list[1] = (struct pause){.id = 2, .scope = PAUSE_TOPIC, .topic = "t"};
	begin();
	events.pauses(events.ctx, &two);
	CU_ASSERT_PTR_NULL(two.list);
	heard("hold pause2");
	TAP_HAS(r->pausing.remark, "lane 2 is paused by \"a\": b; topic \"t\"");
	events.pauses(events.ctx, &none);
	heard("let-go");
	TAP_STR(r->pausing.remark, "");
}

/* While the number of lanes changes none is kept; with another number all is made anew, once nothing is left of the old. */
static void
test_lanes_change(void)
{
	struct keeper_members m = {.relays = 1, .quota = LANES, .lanes = LANES, .switching = true};

	begin();
	events.members(events.ctx, &m);
	heard("leave0 leave1 leave2 leave3");
	m = (struct keeper_members){.relays = 1, .quota = LANES, .lanes = LANES - 1};
	events.members(events.ctx, &m);
	heard("leave0 leave1 leave2 leave3");
	close_lanes();
	events.members(events.ctx, &m);
	heard("leave0 leave1 leave2 leave3 reopen");
	layout.lanes = LANES - 1;
	events.layout(events.ctx, &layout);
	heard("rebuilt free0 free1 free2 free3 doorman");
	TAP_INT(r->crew.count, LANES - 1);
	m.quota = LANES - 1;
	events.members(events.ctx, &m);
	heard("take0 take1 take2");
}

static void
test_table_changed(void)
{
	begin();
	fits = false;
	events.layout(events.ctx, &layout);
	heard("upkeep-closed leave0 leave1 leave2 leave3");
	close_lanes();
	turn();
	TAP_INT(ends, 1);
	CU_ASSERT_TRUE(has_end);
	TAP_INT(end.kind, ERR_RETRY);
	TAP_HAS(end.message, "changed while the relay ran");
}

int
main(void)
{
	tap_suite_fixture("relay_lanes", setup, teardown);
	tap_test("what is paused", test_paused);
	tap_test("the number of lanes changes", test_lanes_change);
	tap_test("a table that changed ends it", test_table_changed);
	return tap_run();
}
