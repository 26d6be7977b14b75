/* test_relay.c - making, sharing, stopping, failing and waking: what the relay tells whom, and in which order. */
#include "test_relay_world.h"

static void
test_begins(void)
{
	int64_t hints[LANES_MAX];

	begin();
	TAP_INT(gauges[METRIC_LANES], LANES);
	TAP_INT(gauges[METRIC_LANES_OWNED], LANES);
	TAP_INT(healths[HEALTH_LANES], HEALTH_OK);
	pipes[1].owned = false;
	pipes[2].detached = true;
	outlet.in_flight = 7;
	r->shared.changed(r->shared.ctx);
	turn();
	TAP_INT(gauges[METRIC_LANES_OWNED], LANES - 1);
	TAP_INT(gauges[METRIC_LANES_DETACHED], 1);
	TAP_INT(gauges[METRIC_IN_FLIGHT_EVENTS], 7);
	TAP_INT(healths[HEALTH_LANES], HEALTH_OUTAGE);
	events.hints(events.ctx, hints);
	TAP_INT(hints[0], 1000);
	TAP_INT(hints[1], LADDER_BOTTOM);
	relay_dump(r);
}

static void
look_after(int64_t us)
{
	now_us += us;
	r->shared.changed(r->shared.ctx);
	turn();
}

/* Events that could be sent are there, and nothing is acknowledged. */
static void
test_progress(void)
{
	struct keeper_members m = {.relays = 1, .quota = LANES};
	struct pauses pause = {calloc(1, sizeof(struct pause)), 1}, none = PAUSES_NONE;

	CU_ASSERT_PTR_NOT_NULL_FATAL(pause.list);
	pause.list[0] = (struct pause){.id = 1, .scope = PAUSE_LANE, .lane = 2};
	begin();
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	pipes[2].busy = true;
	look_after(0);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OUTAGE);
	events_sent++;
	look_after(10);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OUTAGE);
	held = true; /* what is in the way is known, and told elsewhere */
	look_after(10);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	held = pipes[2].busy = false;

	/* no lane knows of any, but the table has some */
	upkeep->pending = 3;
	upkeep->pending_after = events_sent;
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OUTAGE);
	upkeep->pending_after = events_sent - 1; /* before the last one was sent */
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	upkeep->pending_after = events_sent;
	m.parked = 1; /* they may be behind it */
	events.members(events.ctx, &m);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	m.parked = 0;
	events.members(events.ctx, &m);
	events.pauses(events.ctx, &pause); /* they may be what is paused */
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	pipes[2].busy = true; /* what the pause leaves alone has to go on */
	look_after(0);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OUTAGE);
	pipes[2].busy = false;
	look_after(10);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	events.pauses(events.ctx, &none);
	look_after(10);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OUTAGE);
	m.relays = 2; /* they may be the other's */
	events.members(events.ctx, &m);
	look_after(PROGRESS_PATIENCE_US);
	TAP_INT(healths[HEALTH_PROGRESS], HEALTH_OK);
}

static void
test_shares(void)
{
	begin();
	members(2, 2, "....");
	heard("leave2 leave3");
	pipes[2].owned = pipes[3].owned = false;
	members(2, 2, "..xx");
	heard("");
	members(1, 4, "....");
	heard("");
	members(1, 4, "....");
	heard("take2 take3");
}

/* PostgreSQL was away, for everybody perhaps: lanes that were not ours are somebody's who comes back. */
static void
test_returns(void)
{
	begin();
	members(2, 2, "....");
	pipes[2].owned = pipes[3].owned = false;
	members(2, 2, "..xx");
	trace[0] = '\0';
	pipes[0].owned = pipes[0].wanted = false;
	events.layout(events.ctx, &layout);
	for (int i = 0; i < GRACE_US / 500000; i++)
		members(1, 4, "....");
	heard("take0");
	members(1, 4, "....");
	heard("take2 take3");
}

static void
test_parked(void)
{
	struct keeper_members m = {.relays = 1, .quota = LANES, .lanes = LANES, .parked_sign = 5};

	begin();
	events.members(events.ctx, &m);
	heard("parked");
	events.members(events.ctx, &m);
	heard("");
}

static void
test_cannot_begin(void)
{
	statements_fail = true;
	events.layout(events.ctx, &layout);
	heard("upkeep-closed");
	turn();
	TAP_INT(end.kind, ERR_FATAL);
	relay_free(r);
	setup();
	pipe_fails_at = 2;
	events.layout(events.ctx, &layout);
	heard("upkeep-closed leave0 leave1");
	CU_ASSERT_FALSE(doorman.open && barrier.open);
	turn();
	TAP_INT(ends, 1);
	relay_free(r);
	setup();
	error_set(&err, ERR_CONFIG, "no such table");
	events.misfit(events.ctx, &err);
	turn();
	TAP_STR(end.message, "no such table");
}

/* Before anything ever worked a person must act; later it may be a change under way. */
static void
test_failures(void)
{
	begin();
	r->shared.proven = true;
	error_set(&err, ERR_CONFIG, "permission denied");
	r->shared.failed(r->shared.ctx, &err);
	heard("reopen");
	r->shared.failed(r->shared.ctx, &err);
	heard(""); /* not with each lane that fails */
	r->look_us = clock_mono_us();
	r->shared.failed(r->shared.ctx, &err);
	heard("reopen");
	r->shared.proven = false;
	r->shared.failed(r->shared.ctx, &err);
	heard("upkeep-closed leave0 leave1 leave2 leave3");
	error_set(&err, ERR_CONFIG, "another");
	r->shared.failed(r->shared.ctx, &err);
	heard("");
	close_lanes();
	turn();
	TAP_INT(ends, 1);
	TAP_STR(end.message, "permission denied");
}

static void
test_stops(void)
{
	begin();
	doorman.open = barrier.open = true;
	relay_stop(r);
	CU_ASSERT_TRUE(r->shared.stopping);
	/* the others need not wait for the last lane to take the first */
	heard("upkeep-closed leave0 leave1 leave2 leave3");
	relay_stop(r);
	heard("");
	turn();
	TAP_INT(ends, 0);
	CU_ASSERT_TRUE(barrier.open); /* a batch may still wait for its WAL */
	close_lanes();
	r->shared.changed(r->shared.ctx);
	turn();
	heard("");
	TAP_INT(ends, 1);
	CU_ASSERT_FALSE(has_end || doorman.open || barrier.open);
	CU_ASSERT(r->timer.deadline_us == CLOCK_NEVER);
	r->timer.fire(&r->timer, 0, now_us);
	TAP_INT(ends, 1);
}

static void
test_stop_purges(void)
{
	int64_t stopped_us;

	begin();
	outlet.in_flight = 12;
	stopped_us = now_us;
	relay_stop(r);
	trace[0] = '\0';
	turn();
	heard("");
	turn();
	TAP_INT(now_us, stopped_us + STOP_MS * 1000);
	heard("stop-purge purge");
	TAP_INT(repeatable, 12);
	/* its reports come, the lanes may settle what was acknowledged; not for ever */
	r->shared.changed(r->shared.ctx);
	turn();
	heard("");
	turn();
	TAP_INT(now_us, stopped_us + STOP_MS * 1000 + STOP_GRACE_US);
	heard("stop-unclean");
	TAP_INT(ends, 1);
	CU_ASSERT_FALSE(has_end);
}

static void
test_stop_with_nothing_to_purge(void)
{
	begin();
	relay_stop(r);
	trace[0] = '\0';
	turn();
	turn();
	heard("");
	turn();
	heard("stop-unclean");
	TAP_INT(repeatable, 0);
}

static void
test_stop_before_it_began(void)
{
	relay_stop(r);
	turn();
	TAP_INT(ends, 1);
	CU_ASSERT_FALSE(has_end);
}

static void
test_barrier(void)
{
	begin();
	r->shared.need_flush(r->shared.ctx, 55);
	TAP_INT(barrier.needed, 55);
	barrier.events.flushed(barrier.events.ctx, 60, 700);
	TAP_INT(r->shared.safe_lsn, 60);
	TAP_INT(r->shared.safe_xid, 700);
	heard("link-up flushed");
	error_set(&err, ERR_RETRY, "gone");
	barrier.events.lost(barrier.events.ctx, &err);
	TAP_INT(r->shared.safe_lsn, 0); /* of another server, perhaps, which has less */
	TAP_INT(r->shared.safe_xid, 0);
	heard("link-down barrier unflushed");
}

static void
test_outlet(void)
{
	struct batch b = {.owner = &pipes[2]};
	struct slot slot = {.batch = &b};
	struct report rep = {.class = SEND_OK};

	begin();
	outlet.events.report(outlet.events.ctx, &slot, &rep);
	heard("report2");
	outlet.events.rebuilt(outlet.events.ctx);
	heard("rebuilt");
	outlet.events.serves(outlet.events.ctx, false, "no broker");
	TAP_INT(healths[HEALTH_KAFKA], HEALTH_OUTAGE);
	heard("");
	outlet.events.serves(outlet.events.ctx, true, NULL);
	TAP_INT(healths[HEALTH_KAFKA], HEALTH_OK);
	heard("retry");
	/* told from the timer: it is a pipe that says so */
	r->holds.lifted(r->holds.ctx);
	heard("");
	turn();
	heard("lifted");
	outlet.events.drained(outlet.events.ctx);
	heard("");
	turn();
	heard("turn");
	r->shared.changed(r->shared.ctx);
	turn();
	heard("");
}

/* Nothing may leave any more before anything else is done, and whatever the sessions still bring counts no more. */
static void
test_wakes(void)
{
	begin();
	outlet.in_flight = 9;
	TAP_INT(gap, SESSION_MS * 1000 * 2 / 3);
	absent(r, 20000000);
	heard("restart relay-hung drop0 drop1 drop2 drop3");
	TAP_INT(repeatable, 9);
}

/* Reports must not reach pipes that are gone. */
static void
test_freed_in_order(void)
{
	begin();
	relay_free(r);
	heard("abandon rebuilt free0 free1 free2 free3");
	setup();
}

static void
test_cannot_be_made(void)
{
	struct relay *other = NULL;
	int all = steps;

	CU_ASSERT(all >= 8);
	for (int n = 1; n <= all; n++) {
		int made_before = made, freed_before = freed;

		steps = 0;
		fails_at = n;
		TAP_INT(relay_new(&opt, &other, &err), -1);
		CU_ASSERT_PTR_NULL(other);
		TAP_INT(made - made_before, freed - freed_before);
	}
	calloc_fails = 1;
	TAP_INT(relay_new(&opt, &other, &err), -1);
	TAP_INT(err.kind, ERR_FATAL);
	calloc_fails = fails_at = 0;
}

int
main(void)
{
	tap_suite_fixture("relay", setup, teardown);
	tap_test("it begins when the table is accepted", test_begins);
	tap_test("events that wait should make progress", test_progress);
	tap_test("lanes are shared", test_shares);
	tap_test("after an outage others' lanes are left to them", test_returns);
	tap_test("a change among the parked events is told", test_parked);
	tap_test("it cannot begin", test_cannot_begin);
	tap_test("failures count until something worked", test_failures);
	tap_test("a stop waits for the lanes, the others do not", test_stops);
	tap_test("a stop purges in the end, and gives up", test_stop_purges);
	tap_test("a stop with nothing to purge gives up too", test_stop_with_nothing_to_purge);
	tap_test("a stop before it began", test_stop_before_it_began);
	tap_test("the barrier's word goes to the lanes", test_barrier);
	tap_test("the outlet's word goes to the lanes", test_outlet);
	tap_test("it wakes after a hang", test_wakes);
	tap_test("it is freed in order", test_freed_in_order);
	tap_test("making one fails", test_cannot_be_made);
	return tap_run();
}
