/* test_relay_reload.c - other limits, and another route between batches. */
#include "test_relay_world.h"

/* Limits count at once, and nothing stops for them. */
static void
test_reload_limits(void)
{
	begin();
	cfg.outbox.hold_max_ms = 700;
	TAP_INT(relay_reload(r, &err), 0);
	heard("limits stall1400 retention rows");
	CU_ASSERT_FALSE(r->shared.rerouting);
}

/* The route changes between batches: one lane is still at it. */
static void
test_reload_route(void)
{
	static char other[] = "invoices";

	begin();
	pipes[2].busy = true;
	cfg.kafka.topic = other;
	TAP_INT(relay_reload(r, &err), 0);
	heard("limits stall4000 retention rows");
	CU_ASSERT_TRUE(r->shared.rerouting);
	turn();
	heard("");
	TAP_STR(r->plan.topic, "orders");
	CU_ASSERT_TRUE(r->shared.rerouting);
	pipes[2].busy = false;
	r->shared.changed(r->shared.ctx);
	turn();
	heard("route route-changed invoices rerouted");
	CU_ASSERT_FALSE(r->shared.rerouting);
	TAP_INT(relay_reload(r, &err), 0);
	CU_ASSERT_FALSE(r->shared.rerouting);
}

/* What Kafka keeps to itself holds the lanes up for so long, and not longer. */
static void
test_reload_route_kept(void)
{
	static char other[] = "invoices";
	int64_t begun_us;

	begin();
	pipes[2].busy = true;
	cfg.kafka.topic = other;
	TAP_INT(relay_reload(r, &err), 0);
	begun_us = now_us;
	heard("limits stall4000 retention rows");
	turn();
	turn();
	TAP_INT(now_us - begun_us, REROUTE_MAX_US);
	heard("route-kept rerouted");
	CU_ASSERT_FALSE(r->shared.rerouting);
	TAP_STR(r->plan.topic, "orders");
	pipes[2].busy = false;
	TAP_INT(relay_reload(r, &err), 0);
	turn();
	heard("limits stall4000 retention rows route route-changed invoices rerouted");
}

static void
test_reload_needs_restart(void)
{
	begin();
	route_needs_more = true;
	TAP_INT(relay_reload(r, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	heard("limits stall4000 retention rows");
	CU_ASSERT_FALSE(r->shared.rerouting);
}

int
main(void)
{
	tap_suite_fixture("relay_reload", setup, teardown);
	tap_test("a reload of limits", test_reload_limits);
	tap_test("a reload of the route", test_reload_route);
	tap_test("a route that cannot change", test_reload_route_kept);
	tap_test("a route that needs a restart", test_reload_needs_restart);
	return tap_run();
}
