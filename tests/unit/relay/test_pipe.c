/* test_pipe.c - one pipe between a small PostgreSQL and a small Kafka: each path by script, then all of them at random. */
#include "test_pipe_world.h"

#define RANDOM_STEPS 10000
#define RANDOM_SEEDS 40
#define CALM_STEPS 20000

static void
open_lane(void)
{
	pipe_take(world.pipe);
	lane_is_owned();
}

static void
begin(enum poison_policy poison)
{
	world_begin(poison, 1000, 1);
	open_lane();
}

/* Answers until the lane asks nothing more; no time passes. */
static void
settle_down(void)
{
	for (int i = 0; i < 1000 && world.lane.state == LANE_TURNING; i++)
		lane_answers();
	MUST(world.lane.state != LANE_TURNING);
}

/* The same with reports for all that moves, and time for whatever timer is set. */
static void
run_ms(int64_t ms)
{
	int64_t until_us = world.now_us + ms * 1000;

	for (int i = 0; i < 100000; i++) {
		settle_down();
		report_all_moving();
		if (world.lane.state == LANE_TURNING)
			continue;
		bell();
		lifted();
		if (world.lane.state == LANE_TURNING)
			continue;
		if (world.pipe->timer.deadline_us > until_us)
			break;
		world.now_us = world.pipe->timer.deadline_us > world.now_us ? world.pipe->timer.deadline_us : world.now_us;
		fire_timer();
	}
	world.now_us = until_us;
}

static void
stop(void)
{
	world.shared.stopping = true;
	pipe_leave(world.pipe);
}

/* --- the usual way --- */

static void
test_full_ack(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(60, 1);
	TAP_INT(world.lane.state, LANE_TURNING);
	TAP_INT(world.lane.turn.claim_rows, ROWS_MIN);
	lane_answers();
	TAP_INT(world.flying_count, ROWS_MIN);
	TAP_INT(world.lane.state, LANE_HOLDING);
	report_all(SEND_OK);
	/* settle and the next claim in one turn */
	TAP_INT(world.lane.state, LANE_TURNING);
	CU_ASSERT_PTR_NOT_NULL(world.lane.turn.settle);
	TAP_INT(world.lane.turn.claim_rows, 2 * ROWS_MIN);
	lane_answers();
	TAP_INT(unsent(), 10);
	TAP_INT(world.flying_count, 10);
	report_all(SEND_OK);
	/* also where the claim met no limit: there may be more by now */
	CU_ASSERT_PTR_NOT_NULL(world.lane.turn.settle);
	TAP_INT(world.lane.turn.claim_rows, 4 * ROWS_MIN);
	lane_answers();
	/* nothing: from here on the bell is asked */
	TAP_INT(world.lane.state, LANE_TURNING);
	TAP_INT(world.lane.turn.claim_rows, 0);
	lane_answers();
	TAP_INT(world.lane.state, LANE_IDLE);
	TAP_INT(unsent(), 0);
	TAP_INT(world.counted[METRIC_EVENTS_SENT], 60);
	TAP_INT(world.counted[METRIC_BATCHES], 2);
	CU_ASSERT_TRUE(pipe_may_ring(world.pipe));
	world_end();
}

/* Fewer rows than were asked for: a person is told, and the batch is done with. */
static void
test_settle_falls_short(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(10, 1);
	lane_answers();
	report_all(SEND_OK);
	lane_executes();
	world.lane.result.asked_rows = 10;
	world.lane.result.settled_rows = 9;
	world.logged[LOG_WARNING] = 0;
	lane_answers();
	TAP_INT(world.logged[LOG_WARNING], 1);
	TAP_STR(world.last_log, "settle-short");
	CU_ASSERT_PTR_NULL(world.pipe->batch);
	world_end();
}

/* What is under way is finished; then no claim and no transaction, however often it rings, but a word now and then. */
static void
test_paused(void)
{
	int64_t claims, turns;

	begin(POISON_BLOCK_KEY);
	insert_many(60, 1);
	lane_answers();
	TAP_INT(world.lane.state, LANE_HOLDING);
	pipe_pause(world.pipe, true);
	CU_ASSERT_TRUE(pipe_busy(world.pipe));
	claims = world.claims;
	report_all(SEND_OK);
	TAP_INT(world.lane.turn.claim_rows, 0);
	lane_answers();
	TAP_INT(world.lane.state, LANE_IDLE);
	TAP_INT(unsent(), 60 - ROWS_MIN);
	CU_ASSERT_FALSE(world.lane.open_transaction);
	turns = world.turns;
	pipe_ring(world.pipe, false);
	run_ms(4 * SESSION_MS);
	TAP_INT(world.claims, claims);
	TAP_INT(unsent(), 60 - ROWS_MIN);
	CU_ASSERT(world.turns > turns + 4);
	CU_ASSERT_FALSE(pipe_busy(world.pipe));
	pipe_pause(world.pipe, false);
	CU_ASSERT(world.lane.turn.claim_rows > 0);
	run_ms(10);
	TAP_INT(unsent(), 0);
	world_end();
}

/* Also where there was nothing to do when the pause began, and its lane is taken only during it. */
static void
test_paused_from_the_start(void)
{
	world_begin(POISON_BLOCK_KEY, 1000, 1);
	pipe_pause(world.pipe, true);
	open_lane();
	insert_many(10, 1);
	run_ms(1000);
	TAP_INT(unsent(), 10);
	TAP_INT(world.claims, 0);
	pipe_pause(world.pipe, false);
	run_ms(10);
	TAP_INT(unsent(), 0);
	world_end();
}

/* A topic's events wait, in order; the others of the lane flow. */
static void
test_topic_paused(void)
{
	begin(POISON_BLOCK_KEY);
	holds_pause(&world.holds, "t1", world.now_us);
	for (int i = 0; i < 100; i++) {
		insert_many(1, 1);
		insert_many(1, 2);
	}
	run_ms(20000);
	TAP_INT(unsent(), 100);
	CU_ASSERT_FALSE(pipe_busy(world.pipe));
	holds_resume(&world.holds, "t1");
	run_ms(10);
	TAP_INT(unsent(), 0);
	TAP_INT(world.counted[METRIC_EVENTS_OVERTAKEN], 0);
	world_end();
}

static const char *
described(struct buf *text)
{
	buf_reset(text);
	pipe_describe(world.pipe, text);
	return buf_str(text);
}

static void
test_described(void)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;

	begin(POISON_BLOCK_KEY);
	insert_many(10, 1);
	TAP_STR(described(&text), "lane 3: turning, claims 50 rows, 0 keys held");
	lane_answers();
	TAP_STR(described(&text), "lane 3: holding, claims 50 rows, 0 keys held; batch of 10: 10 with Kafka, 0 acknowledged, 0 refused,"
	                          " 0 held, 0 to be parked, 0 settled");
	world_end();
}

static void
test_empty_claim(void)
{
	begin(POISON_BLOCK_KEY);
	lane_answers();
	/* the empty claim's transaction is ended */
	TAP_INT(world.lane.state, LANE_TURNING);
	TAP_INT(world.lane.turn.claim_rows, 0);
	CU_ASSERT_PTR_NULL(world.lane.turn.settle);
	lane_answers();
	TAP_INT(world.lane.state, LANE_IDLE);
	TAP_INT(world.counted[METRIC_CLAIMS_EMPTY], 1);
	TAP_INT(world.claims, 1);
	world_end();
}

/* A claim cut short by a large payload brings nothing and says that there is more. */
static void
test_cut_claim(void)
{
	begin(POISON_BLOCK_KEY);
	lane_executes();
	world.lane.result.more = true;
	lane_answers();
	TAP_INT(world.claims, 2);
	TAP_INT(world.lane.state, LANE_TURNING);
	world_end();
}

static void
test_pings(void)
{
	begin(POISON_BLOCK_KEY);
	lane_answers();
	lane_answers();
	TAP_INT(world.lane.state, LANE_IDLE);
	pass_ms(SESSION_MS / PINGS_A_TIMEOUT - 1);
	TAP_INT(world.lane.state, LANE_IDLE);
	pass_ms(2);
	TAP_INT(world.lane.state, LANE_TURNING);
	TAP_INT(world.lane.turn.claim_rows, 0);
	lane_answers();
	CU_ASSERT(world.pipe->timer.deadline_us > world.now_us);
	world_end();
}

/* --- Kafka is slow, or gone --- */

static void
test_detach(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(5, 1);
	lane_answers();
	report_first(SEND_OK);
	report_first(SEND_OK);
	pass_ms(HOLD_MS - 1);
	TAP_INT(world.lane.state, LANE_HOLDING);
	pass_ms(1);
	TAP_INT(world.lane.state, LANE_TURNING);
	CU_ASSERT_TRUE(world.lane.turn.settle->attached);
	TAP_INT(world.lane.turn.claim_rows, 0);
	lane_executes();
	TAP_INT(unsent(), 3);
	/* a report comes while the settle is under way: it is not part of it */
	report_first(SEND_OK);
	TAP_INT(unsent(), 3);
	lane_answers();
	CU_ASSERT_TRUE(pipe_detached(world.pipe));
	CU_ASSERT(world.pipe->rows <= ROWS_MIN);
	/* the lane goes on: a claim with nothing to find but what Kafka has */
	TAP_INT(world.lane.state, LANE_TURNING);
	CU_ASSERT(world.lane.turn.claim_rows > 0);
	settle_down();
	TAP_INT(world.lane.state, LANE_IDLE);
	CU_ASSERT_TRUE(pipe_detached(world.pipe));
	report_all(SEND_OK);
	TAP_INT(world.lane.state, LANE_TURNING);
	CU_ASSERT_FALSE(world.lane.turn.settle->attached);
	settle_down();
	TAP_INT(unsent(), 0);
	TAP_INT(world.sends, 5);
	TAP_INT(world.receipts, 5);
	CU_ASSERT_FALSE(pipe_detached(world.pipe));
	world_end();
}

/* A detached lane speaks often enough, and settles what is reported during a ping. */
static void
test_report_during_ping(void)
{
	begin(POISON_BLOCK_KEY);
	insert(1, FATE_GOOD);
	lane_answers();
	pass_ms(HOLD_MS);
	settle_down();
	pass_ms(SESSION_MS);
	TAP_INT(world.lane.state, LANE_TURNING);
	CU_ASSERT_PTR_NULL(world.lane.turn.settle);
	report_all(SEND_OK);
	lane_answers();
	TAP_INT(world.lane.state, LANE_TURNING);
	CU_ASSERT_PTR_NOT_NULL(world.lane.turn.settle);
	lane_answers();
	TAP_INT(unsent(), 0);
	world_end();
}

static void
test_outage_at_send(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(10, 1);
	world.send_class = SEND_OUTAGE;
	world.send_after = 4;
	lane_answers();
	TAP_INT(world.flying_count, 4);
	report_all(SEND_OK);
	world.send_class = SEND_OK;
	TAP_INT(world.lane.turn.claim_rows, 0);
	lane_answers();
	TAP_INT(unsent(), 6);
	TAP_INT(world.lane.state, LANE_IDLE);
	/* a pause first, then again from the first of them */
	CU_ASSERT(world.pipe->timer.deadline_us > world.now_us);
	CU_ASSERT(world.pipe->timer.deadline_us <= world.now_us + RETRY_MIN_MS * 1000);
	TAP_INT(world.lane.floor, 5);
	pass_ms(RETRY_MIN_MS);
	lane_answers();
	TAP_INT(world.flying_count, 6);
	for (int i = 0; i < 8; i++) {
		report_all(SEND_OK);
		lane_answers();
	}
	TAP_INT(unsent(), 0);
	world_end();
}

/* The pauses grow, and a batch that went well ends them. */
static void
test_backoff(void)
{
	int64_t pause_us = 0;

	begin(POISON_BLOCK_KEY);
	insert(1, FATE_GOOD);
	world.send_class = SEND_OUTAGE;
	for (int i = 0; i < 20; i++) {
		lane_answers();
		lane_answers();
		TAP_INT_FATAL(world.lane.state, LANE_IDLE);
		pause_us = world.pipe->timer.deadline_us - world.now_us;
		while (world.lane.state == LANE_IDLE) {
			CU_ASSERT_FATAL(world.pipe->timer.deadline_us > world.now_us);
			world.now_us = world.pipe->timer.deadline_us;
			fire_timer();
			if (world.lane.turn.claim_rows == 0)
				lane_answers();
		}
	}
	CU_ASSERT(pause_us >= SESSION_MS * 1000 / PINGS_A_TIMEOUT);
	world.send_class = SEND_OK;
	lane_answers();
	report_all(SEND_OK);
	lane_answers();
	TAP_INT(unsent(), 0);
	TAP_INT(world.pipe->retry.step, 0);
	world_end();
}

/* Producers turn fatal and are made anew: what was with them is claimed again, in order. */
static void
test_rebuilt(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(6, 1);
	lane_answers();
	report_first(SEND_OK);
	world.pipe->rows = 800;
	producer_is_rebuilt();
	TAP_INT(world.lane.state, LANE_TURNING);
	TAP_INT(world.lane.turn.claim_rows, 0);
	lane_answers();
	TAP_INT(world.lane.floor, 2);
	TAP_INT(world.counted[METRIC_EVENTS_REPEATABLE], 5);
	CU_ASSERT(world.pipe->rows <= ROWS_MIN);
	pass_ms(RETRY_MIN_MS);
	lane_answers();
	CU_ASSERT(world.flying_count > 0);
	/* detached, too */
	pass_ms(HOLD_MS);
	settle_down();
	CU_ASSERT_TRUE(pipe_detached(world.pipe));
	producer_is_rebuilt();
	TAP_INT(world.lane.floor, 2);
	CU_ASSERT_FALSE(pipe_detached(world.pipe));
	world_end();
}

/* A refused claim of thousands must not come back in one piece, nor be larger than the configuration allows. */
static void
test_rows_grow_and_shrink(void)
{
	world_begin(POISON_BLOCK_KEY, 120, 1);
	open_lane();
	insert_many(1000, 1);
	TAP_INT(world.lane.turn.claim_rows, 50);
	lane_answers();
	report_all(SEND_OK);
	TAP_INT(world.lane.turn.claim_rows, 100);
	lane_answers();
	report_all(SEND_OK);
	TAP_INT(world.lane.turn.claim_rows, 113);
	lane_answers();
	world.now_us += ACK_QUICK_US + 1;
	report_all(SEND_OK);
	TAP_INT(world.lane.turn.claim_rows, 113);
	lane_answers();
	world.now_us += ACK_SLOW_US + 1;
	report_all(SEND_OK);
	TAP_INT(world.lane.turn.claim_rows, 56);
	lane_answers();
	world.now_us += ACK_SLOW_US + 1;
	report_all(SEND_OK);
	TAP_INT(world.lane.turn.claim_rows, 28);
	world_end();
}

static void
test_rows_never_beyond_configured(void)
{
	world_begin(POISON_BLOCK_KEY, 7, 1);
	open_lane();
	insert_many(30, 1);
	lane_answers();
	report_all(SEND_OUTAGE);
	lane_answers();
	CU_ASSERT(world.pipe->rows <= 7);
	pass_ms(RETRY_MIN_MS);
	lane_answers();
	pass_ms(HOLD_MS);
	CU_ASSERT(world.pipe->rows <= 7);
	world_end();
}

/* --- a part of Kafka is away --- */

/* A topic refuses: its events wait, tried one at a time after pauses that grow; others go on as if nothing were. */
static void
test_topic_held(void)
{
	unsigned long sends;

	begin(POISON_BLOCK_KEY);
	insert_many(200, 1);
	insert_many(10, 2);
	lane_answers();
	while (world.flying_count > 0)
		report_first(SEND_TOPIC);
	TAP_INT(world.gauges[METRIC_TOPICS_HELD], 1);
	world.refused_topic = 1;
	run_ms(50);
	TAP_INT(unsent(), 200);
	TAP_INT(world.pipe->retry.step, 0);
	sends = world.sends;
	run_ms(60000);
	CU_ASSERT(world.sends > sends + 5);
	CU_ASSERT(world.sends < sends + 20);
	insert_many(1, 2);
	run_ms(10);
	TAP_INT(unsent(), 200);
	TAP_INT(world.counted[METRIC_EVENTS_OVERTAKEN], 0);
	world.refused_topic = -1;
	run_ms(31000);
	TAP_INT(unsent(), 0);
	TAP_INT(world.gauges[METRIC_TOPICS_HELD], 0);
	CU_ASSERT_FALSE(holds_any(&world.holds));
	world_end();
}

/* Later events of a held topic are claimed once, however often it is tried: what waits costs nothing. */
static void
test_held_backlog_is_passed_by_once(void)
{
	int64_t claims;

	begin(POISON_BLOCK_KEY);
	world.refused_topic = 1;
	insert_many(3000, 1);
	run_ms(1000);
	claims = world.claims;
	run_ms(60000);
	CU_ASSERT(world.claims < claims + 20);
	world.refused_topic = -1;
	run_ms(60000);
	TAP_INT(unsent(), 0);
	world_end();
}

/* The event that a probe would send is gone: the next one is looked for; none left ends the hold. */
static void
test_probe_finds_nothing(void)
{
	begin(POISON_BLOCK_KEY);
	world.refused_topic = 1;
	insert_many(200, 1);
	run_ms(50);
	for (int id = 1; id <= 199; id++)
		world.rows[id].sent = true;
	world.refused_topic = -1;
	run_ms(2000);
	TAP_INT(unsent(), 0);
	TAP_INT(world.sends, 2);
	world.refused_topic = 1;
	insert_many(1, 1);
	run_ms(10);
	world.rows[201].sent = true;
	run_ms(2000);
	CU_ASSERT_FALSE(holds_any(&world.holds));
	world_end();
}

static void
until_probe(void)
{
	for (int i = 0; i < 1000 && !(world.lane.state == LANE_TURNING && world.lane.turn.probe); i++) {
		settle_down();
		world.now_us = world.pipe->timer.deadline_us;
		fire_timer();
	}
	CU_ASSERT_TRUE_FATAL(world.lane.state == LANE_TURNING && world.lane.turn.probe);
}

/* The row that is to be tried is locked by somebody, or Kafka is away, or the session goes: tried again. */
static void
test_probe_is_hindered(void)
{
	begin(POISON_BLOCK_KEY);
	world.refused_topic = 1;
	insert_many(3, 1);
	run_ms(10);
	world.refused_topic = -1;
	until_probe();
	lane_executes();
	batch_free(world.lane.result.claimed);
	world.lane.result.claimed = NULL;
	world.lane.result.blocked = true;
	lane_answers();
	TAP_INT(unsent(), 3);
	until_probe();
	world.send_class = SEND_OUTAGE;
	lane_answers();
	world.send_class = SEND_OK;
	TAP_INT(unsent(), 3);
	until_probe();
	lane_is_lost(ERR_RETRY);
	pass_ms(REOPEN_MAX_MS);
	lane_is_owned();
	run_ms(2000);
	TAP_INT(unsent(), 0);
	world_end();
}

/* One partition has no leader: only its keys wait, in order, and each event goes out once. */
static void
test_stuck_partition(void)
{
	begin(POISON_BLOCK_KEY);
	world.stuck[1][0] = true; /* of keys 1, 7 and 13 */
	for (int i = 0; i < 1000; i++)
		insert(1 + i % 13, FATE_GOOD);
	run_ms(3000);
	TAP_INT(unsent(), 230);
	CU_ASSERT(world.flying_count > 0);
	TAP_INT(world.gauges[METRIC_PARTITIONS_HELD], 1);
	CU_ASSERT_TRUE(pipe_detached(world.pipe));
	for (int i = 0; i < 130; i++)
		insert(1 + i % 13, FATE_GOOD);
	run_ms(3000);
	TAP_INT(unsent(), 230 + 30);
	world.stuck[1][0] = false;
	run_ms(1000);
	TAP_INT(unsent(), 0);
	TAP_INT(world.sends, 1130);
	TAP_INT(world.gauges[METRIC_PARTITIONS_HELD], 0);
	CU_ASSERT_FALSE(pipe_detached(world.pipe));
	world_end();
}

/* A whole topic keeps what it gets, and fills the lane's share of events in flight: others still find room. */
static void
test_stuck_topic_leaves_room(void)
{
	world_begin(POISON_BLOCK_KEY, 64, 1);
	open_lane();
	world.stuck[1][0] = world.stuck[1][1] = true;
	for (int i = 0; i < 500; i++)
		insert(i % 2 == 0 ? 1 : 4, FATE_GOOD);
	insert_many(500, 2);
	run_ms(10000);
	TAP_INT(unsent(), 500);
	CU_ASSERT(world.flying_count >= 50);
	world.stuck[1][0] = world.stuck[1][1] = false;
	run_ms(1000);
	TAP_INT(unsent(), 0);
	TAP_INT(world.sends, 1000);
	world_end();
}

/* No broker at all: the lane claims nothing behind what it has out. With one that answers nothing, it looks on, ever more slowly. */
static void
test_stranded_in_an_outage(void)
{
	int64_t claims;

	begin(POISON_BLOCK_KEY);
	memset(world.stuck, 1, sizeof(world.stuck));
	for (int i = 0; i < 5000; i++)
		insert(i % WORLD_KEYS, FATE_GOOD);
	world.silent = world.unreachable = true;
	run_ms(3600000);
	TAP_INT(world.claims, 1);
	TAP_INT(world.flying_count, ROWS_MIN);
	world.unreachable = false;
	claims = world.claims;
	run_ms(600000);
	CU_ASSERT(world.claims > claims);
	CU_ASSERT(world.claims < claims + 100);
	CU_ASSERT(world.flying_count <= 1000);
	world.silent = false;
	memset(world.stuck, 0, sizeof(world.stuck));
	pipe_retry(world.pipe);
	run_ms(3000);
	TAP_INT(unsent(), 0);
	TAP_INT(world.sends, 5000);
	world_end();
}

/* What is stranded outlives the session, and is settled first when there is another. */
static void
test_stranded_and_lost(void)
{
	begin(POISON_BLOCK_KEY);
	world.stuck[1][0] = true;
	insert_many(3, 1);
	insert_many(3, 2);
	run_ms(3000);
	TAP_INT(unsent(), 3);
	lane_is_lost(ERR_RETRY);
	report_first(SEND_OK);
	pass_ms(REOPEN_MAX_MS);
	report_first(SEND_OK);
	TAP_INT(world.lane.state, LANE_OPENING);
	lane_is_owned();
	run_ms(100);
	TAP_INT(unsent(), 1);
	world.stuck[1][0] = false;
	run_ms(100);
	TAP_INT(unsent(), 0);
	TAP_INT(world.sends, 6);
	world_end();
}

/* Parts of a stranded batch are settled as they come, and let the events behind them go. */
static void
test_stranded_in_parts(void)
{
	begin(POISON_BLOCK_KEY);
	world.stuck[1][0] = world.stuck[2][0] = true;
	insert_many(2, 1);
	insert_many(2, 2);
	run_ms(3000);
	insert_many(2, 1);
	insert_many(2, 2);
	run_ms(3000);
	TAP_INT(unsent(), 8);
	world.stuck[1][0] = false;
	run_ms(1000);
	TAP_INT(unsent(), 4);
	CU_ASSERT_TRUE(pipe_detached(world.pipe));
	world.stuck[2][0] = false;
	run_ms(1000);
	TAP_INT(unsent(), 0);
	TAP_INT(world.sends, 8);
	TAP_INT(world.receipts, 8);
	world_end();
}

/* The broker refuses in the end what it kept: held, and tried again. */
static void
test_stranded_is_refused(void)
{
	begin(POISON_BLOCK_KEY);
	world.stuck[1][0] = true;
	insert_many(4, 1);
	run_ms(3000);
	world.stuck[1][0] = false;
	while (world.flying_count > 0)
		report_first(SEND_TOPIC);
	TAP_INT(world.gauges[METRIC_TOPICS_HELD], 1);
	run_ms(3000);
	TAP_INT(unsent(), 0);
	TAP_INT(world.sends, 8);
	world.stuck[1][0] = true;
	insert_many(4, 1);
	run_ms(3000);
	producer_is_rebuilt();
	world.stuck[1][0] = false;
	run_ms(3000);
	TAP_INT(unsent(), 0);
	CU_ASSERT_FALSE(holds_any(&world.holds));
	world_end();
}

static void
test_stop_with_stranded(void)
{
	begin(POISON_BLOCK_KEY);
	world.stuck[1][0] = true;
	insert_many(4, 1);
	run_ms(3000);
	stop();
	CU_ASSERT_FALSE(pipe_closed(world.pipe));
	report_first(SEND_OK);
	while (world.flying_count > 0)
		report_first(SEND_OUTAGE);
	run_ms(100);
	CU_ASSERT_TRUE(pipe_closed(world.pipe));
	TAP_INT(unsent(), 3);
	world_end();
}

/* Another relay took the lane of a stranded batch: its reports find it, and nothing more is done. */
static void
test_stranded_and_refused_the_lane(void)
{
	begin(POISON_BLOCK_KEY);
	world.stuck[1][0] = true;
	insert_many(4, 1);
	run_ms(3000);
	lane_is_lost(ERR_RETRY);
	world.foreign_owner = true;
	report_first(SEND_OK);
	for (int i = 0; i < 100 && !pipe_closed(world.pipe); i++) {
		pass_ms(REOPEN_MAX_MS);
		if (world.lane.state == LANE_OPENING)
			lane_is_refused();
		if (i == 50)
			report_all(SEND_OUTAGE);
	}
	CU_ASSERT_TRUE(pipe_closed(world.pipe));
	TAP_INT(world.counted[METRIC_EVENTS_REPEATABLE], 1);
	TAP_INT(world.live, 0);
	world_end();
}

/* --- events that can never be sent --- */

static void
poisoned_in_the_middle(enum poison_policy poison, enum fate fate)
{
	begin(poison);
	insert(1, FATE_GOOD);
	insert(1, fate);
	insert(2, FATE_GOOD);
	insert(1, FATE_GOOD);
	lane_answers();
	report_all(SEND_OK);
	settle_down();
}

static void
test_poison_blocks_key(void)
{
	enum fate fates[] = {FATE_POISON_ROUTE, FATE_POISON_SEND};

	for (size_t i = 0; i < 2; i++) {
		poisoned_in_the_middle(POISON_BLOCK_KEY, fates[i]);
		CU_ASSERT_TRUE(world.rows[2].parked);
		CU_ASSERT_FALSE(world.rows[4].acked);
		TAP_INT(unsent(), 1);
		TAP_INT(world.counted[METRIC_EVENTS_PARKED], 1);
		TAP_STR(keyset_literal(&world.pipe->held), "{\"k1\"}");
		/* refused for no fault of Kafka's: no pause */
		TAP_INT(world.pipe->not_before_us, 0);
		operator_resolves(true);
		pipe_parked_changed(world.pipe);
		CU_ASSERT_TRUE_FATAL(world.lane.turn.read_parked);
		lane_answers();
		TAP_INT(keyset_count(&world.pipe->held), 0);
		lane_answers();
		TAP_INT(world.flying_count, 2);
		report_all(SEND_OK);
		lane_answers();
		TAP_INT(unsent(), 0);
		world_end();
	}
}

static void
test_poison_skips(void)
{
	enum fate fates[] = {FATE_POISON_ROUTE, FATE_POISON_SEND, FATE_POISON_REPORT};

	for (size_t i = 0; i < 3; i++) {
		poisoned_in_the_middle(POISON_SKIP, fates[i]);
		CU_ASSERT_TRUE(world.rows[2].parked);
		CU_ASSERT_TRUE(world.rows[4].acked);
		TAP_INT(unsent(), 0);
		world_end();
	}
}

/* The one case where an event may have passed an earlier one of its key is counted. */
static void
test_poison_in_report_is_overtaken(void)
{
	world_begin(POISON_BLOCK_KEY, 1000, 1);
	world.broker_refused = true;
	open_lane();
	insert(1, FATE_POISON_REPORT);
	insert(0, FATE_POISON_REPORT);
	insert(1, FATE_GOOD);
	insert(0, FATE_GOOD);
	insert(2, FATE_GOOD);
	lane_answers();
	report_all(SEND_OK);
	TAP_INT(world.counted[METRIC_EVENTS_OVERTAKEN], 1);
	TAP_STR(world.last_log, "events-overtaken");
	lane_answers();
	TAP_INT(unsent(), 0);
	CU_ASSERT_TRUE(keyset_has(&world.pipe->held, slice_from("k1")));
	world_end();
}

/* A partial settle and a later one: each parked event counts once. */
static void
test_parked_count(void)
{
	begin(POISON_BLOCK_KEY);
	insert(1, FATE_POISON_ROUTE);
	insert(2, FATE_GOOD);
	insert(3, FATE_POISON_ROUTE);
	lane_answers();
	pass_ms(HOLD_MS);
	settle_down();
	report_all(SEND_OK);
	settle_down();
	TAP_INT(unsent(), 0);
	TAP_INT(world.counted[METRIC_EVENTS_PARKED], 2);
	TAP_INT(world.counted[METRIC_BATCHES], 1);
	world_end();
}

/* A key stays held while its poisoned event is still on its way to the table of parked events. */
static void
test_held_before_parked(void)
{
	begin(POISON_BLOCK_KEY);
	insert(1, FATE_POISON_ROUTE);
	lane_answers();
	TAP_INT(world.lane.state, LANE_TURNING);
	insert(1, FATE_GOOD);
	lane_is_lost(ERR_RETRY);
	pass_ms(REOPEN_MIN_MS);
	lane_is_owned(); /* reads the parked keys, which k1 is not among yet */
	lane_answers();
	CU_ASSERT_TRUE(world.rows[1].parked);
	lane_answers();
	lane_answers();
	TAP_INT(world.flying_count, 0);
	CU_ASSERT_TRUE(keyset_has(&world.pipe->held, slice_from("k1")));
	world_end();
}

/* The operator acts between the reading of the parked keys and its answer: read them again. */
static void
test_parked_changes_during_read(void)
{
	poisoned_in_the_middle(POISON_BLOCK_KEY, FATE_POISON_ROUTE);
	pipe_parked_changed(world.pipe);
	lane_executes();
	operator_resolves(false);
	pipe_parked_changed(world.pipe);
	for (int i = 0; i < 4; i++)
		lane_answers();
	TAP_INT(keyset_count(&world.pipe->held), 0);
	TAP_INT(world.flying_count, 1);
	world_end();
}

/* --- sessions come and go --- */

static void
test_lost_while_holding(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(4, 1);
	lane_answers();
	report_first(SEND_OK);
	lane_is_lost(ERR_RETRY);
	TAP_INT(world.lane.state, LANE_CLOSED);
	pass_ms(REOPEN_MIN_MS);
	lane_is_owned();
	/* nothing is claimed while three are with Kafka */
	TAP_INT(world.lane.state, LANE_IDLE);
	report_all(SEND_OK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(world.lane.turn.settle);
	CU_ASSERT_FALSE(world.lane.turn.settle->attached);
	lane_answers();
	TAP_INT(unsent(), 0);
	TAP_INT(world.sends, 4);
	world_end();
}

/* As when the session is lost: what is with Kafka stays there, and is settled by the next one. */
static void
test_dropped(void)
{
	struct error err;

	begin(POISON_BLOCK_KEY);
	insert_many(4, 1);
	lane_answers();
	error_set(&err, ERR_RETRY, "the process slept");
	pipe_drop(world.pipe, &err);
	TAP_INT(world.lane.state, LANE_CLOSED);
	report_all(SEND_OK);
	pass_ms(REOPEN_MIN_MS);
	lane_is_owned();
	CU_ASSERT_PTR_NOT_NULL_FATAL(world.lane.turn.settle);
	lane_answers();
	TAP_INT(unsent(), 0);
	TAP_INT(world.sends, 4);
	world_end();
}

static void
test_lost_around_the_commit(bool committed)
{
	begin(POISON_BLOCK_KEY);
	insert(1, FATE_GOOD);
	insert(2, FATE_POISON_ROUTE);
	lane_answers();
	report_all(SEND_OK);
	if (committed)
		lane_executes();
	lane_is_lost(ERR_RETRY);
	TAP_INT(world.counted[METRIC_SETTLES_FAILED], 1);
	pass_ms(REOPEN_MIN_MS);
	lane_is_owned();
	CU_ASSERT_PTR_NOT_NULL_FATAL(world.lane.turn.settle);
	TAP_INT(world.lane.turn.claim_rows, 0);
	lane_answers();
	TAP_INT(unsent(), 0);
	TAP_INT(world.rows[2].parked_times, 1);
	world_end();
}

static void
test_lost_before_commit(void)
{
	test_lost_around_the_commit(false);
}

static void
test_lost_after_commit(void)
{
	test_lost_around_the_commit(true);
}

/* A session that breaks right after each hand-shake is opened again and again, but ever more slowly. */
static void
test_reopen_backs_off(void)
{
	int64_t pause_us = 0;

	begin(POISON_BLOCK_KEY);
	for (int i = 0; i < 12; i++) {
		lane_is_lost(ERR_RETRY);
		pause_us = world.pipe->timer.deadline_us - world.now_us;
		CU_ASSERT(pause_us > 0 && pause_us <= REOPEN_MAX_MS * 1000);
		world.now_us = world.pipe->timer.deadline_us;
		fire_timer();
		lane_is_owned();
		TAP_INT_FATAL(world.lane.state, LANE_TURNING);
	}
	CU_ASSERT(pause_us >= REOPEN_MAX_MS * 1000 / 2);
	lane_answers();
	TAP_INT(world.pipe->reopen.step, 0);
	world_end();
}

static void
test_config_error_is_told(void)
{
	begin(POISON_BLOCK_KEY);
	lane_is_lost(ERR_CONFIG);
	TAP_INT(world.failed.kind, ERR_CONFIG);
	world_end();
}

/* The server may still think that our dead session lives: what was acknowledged is not given up for that. */
static void
test_refused_by_own_ghost(void)
{
	begin(POISON_BLOCK_KEY);
	insert(1, FATE_GOOD);
	lane_answers();
	report_all(SEND_OK);
	lane_is_lost(ERR_RETRY);
	for (int i = 0; i < 3; i++) {
		pass_ms(REOPEN_MAX_MS);
		TAP_INT_FATAL(world.lane.state, LANE_OPENING);
		lane_is_refused();
		CU_ASSERT_FALSE(pipe_closed(world.pipe));
	}
	pass_ms(REOPEN_MAX_MS);
	lane_is_owned();
	lane_answers();
	TAP_INT(unsent(), 0);
	TAP_INT(world.counted[METRIC_EVENTS_REPEATABLE], 0);
	world_end();
}

static void
test_refused_by_another_relay(void)
{
	begin(POISON_BLOCK_KEY);
	insert(1, FATE_GOOD);
	lane_answers();
	report_all(SEND_OK);
	lane_is_lost(ERR_RETRY);
	world.foreign_owner = true;
	for (int i = 0; i < 100 && world.live > 0; i++) {
		pass_ms(REOPEN_MAX_MS);
		if (world.lane.state == LANE_OPENING)
			lane_is_refused();
	}
	TAP_INT(world.live, 0);
	CU_ASSERT_TRUE(pipe_closed(world.pipe));
	CU_ASSERT_FALSE(pipe_wanted(world.pipe));
	TAP_INT(world.counted[METRIC_EVENTS_REPEATABLE], 1);
	CU_ASSERT(world.now_us < 3 * SESSION_MS * 1000);
	world_end();
}

/* Refused while Kafka still has a part: the reports find the batch. */
static void
test_refused_with_events_in_flight(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(2, 1);
	lane_answers();
	lane_is_lost(ERR_RETRY);
	world.foreign_owner = true;
	pass_ms(REOPEN_MAX_MS);
	lane_is_refused();
	CU_ASSERT_FALSE(pipe_closed(world.pipe));
	report_all(SEND_OUTAGE);
	CU_ASSERT_TRUE(pipe_closed(world.pipe));
	world_end();
}

/* --- waves --- */

static void
test_waits_for_its_turn(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(2, 1);
	world.busy = true;
	lane_answers();
	TAP_INT(world.sends, 0);
	TAP_INT(world.lane.state, LANE_HOLDING);
	pass_ms(TURN_MAX_US / 1000 - 1);
	TAP_INT(world.sends, 0);
	world.busy = false;
	pipe_turn(world.pipe);
	TAP_INT(world.sends, 2);
	pipe_turn(world.pipe); /* nothing waits */
	TAP_INT(world.sends, 2);
	report_all(SEND_OK);
	lane_answers();
	TAP_INT(unsent(), 0);
	world_end();
}

/* What takes long may be stuck, and nothing that it has to do with this lane. */
static void
test_waits_no_longer(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(2, 1);
	world.busy = true;
	lane_answers();
	pass_ms(TURN_MAX_US / 1000);
	TAP_INT(world.sends, 2);
	report_all(SEND_OK);
	lane_answers();
	TAP_INT(unsent(), 0);
	world_end();
}

static void
test_lost_while_waiting_for_its_turn(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(2, 1);
	world.busy = true;
	lane_answers();
	lane_is_lost(ERR_RETRY);
	pipe_turn(world.pipe);
	TAP_INT(world.sends, 0);
	TAP_INT(world.live, 0);
	pass_ms(REOPEN_MAX_MS);
	lane_is_owned();
	world.busy = false;
	pass_ms(RETRY_MIN_MS);
	settle_down();
	TAP_INT(world.sends, 2);
	world_end();
}

/* The WAL first, then the others. */
static void
test_wal_then_turn(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(2, 1);
	world.next_lsn = 20;
	world.busy = true;
	lane_answers();
	pipe_turn(world.pipe);
	TAP_INT(world.sends, 0);
	wal_is_flushed();
	TAP_INT(world.sends, 0);
	pipe_unflushed(world.pipe); /* it is safe, whatever becomes of the barrier */
	pipe_turn(world.pipe);
	TAP_INT(world.sends, 2);
	report_all(SEND_OK);
	lane_answers();
	TAP_INT(unsent(), 0);
	world_end();
}

/* --- WAL --- */

static void
test_waits_for_wal(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(2, 1);
	world.next_lsn = 20;
	lane_answers();
	TAP_INT(world.needed_lsn, 20);
	TAP_INT(world.sends, 0);
	world.shared.safe_lsn = 19;
	pipe_flushed(world.pipe);
	TAP_INT(world.sends, 0);
	wal_is_flushed();
	TAP_INT(world.sends, 2);
	report_all(SEND_OK);
	lane_answers();
	TAP_INT(unsent(), 0);
	world_end();
}

/* Rows that are older than what is known to be safe need not wait for the WAL of others. */
static void
test_old_rows_wait_for_no_wal(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(2, 1);
	world.next_lsn = 20;
	world.newest_xid = 700;
	world.shared.safe_xid = 700;
	lane_answers();
	TAP_INT(world.needed_lsn, 20);
	TAP_INT(world.sends, 0);
	wal_is_flushed();
	world.needed_lsn = 0;
	world.next_lsn = 30;
	world.newest_xid = 699;
	insert_many(2, 1);
	report_all(SEND_OK);
	lane_answers();
	pipe_ring(world.pipe, false);
	lane_answers();
	TAP_INT(world.needed_lsn, 0);
	TAP_INT(world.sends, 4);
	report_all(SEND_OK);
	lane_answers();
	TAP_INT(unsent(), 0);
	lane_is_lost(ERR_RETRY);
	pass_ms(REOPEN_MAX_MS);
	lane_is_owned();
	TAP_INT(world.shared.safe_xid, 0);
	world_end();
}

static void
test_wal_comes_too_late(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(2, 1);
	world.next_lsn = 20;
	lane_answers();
	pass_ms(HOLD_MS);
	TAP_INT(world.sends, 0);
	TAP_INT(world.lane.state, LANE_TURNING);
	wal_is_flushed(); /* too late: nothing must be published now */
	TAP_INT(world.sends, 0);
	lane_answers();
	TAP_INT(world.live, 0);
	TAP_INT(world.lane.floor, 1);
	pass_ms(RETRY_MIN_MS);
	lane_answers();
	TAP_INT(world.sends, 2);
	world_end();
}

/* The barrier's session is gone: what waits for it is given back, and another server's positions prove nothing. */
static void
test_barrier_lost(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(2, 1);
	world.next_lsn = 20;
	lane_answers();
	pipe_unflushed(world.pipe);
	world.shared.safe_lsn = 1000;
	pipe_flushed(world.pipe);
	TAP_INT(world.sends, 0);
	TAP_INT(world.lane.state, LANE_TURNING);
	lane_answers();
	world.shared.safe_lsn = 0;
	pass_ms(RETRY_MIN_MS);
	lane_answers();
	TAP_INT(world.needed_lsn, 20);
	wal_is_flushed();
	TAP_INT(world.sends, 2);
	report_all(SEND_OK);
	lane_answers();
	pipe_unflushed(world.pipe); /* nothing waits */
	TAP_INT(unsent(), 0);
	world.shared.safe_lsn = 1000;
	lane_is_lost(ERR_RETRY);
	pass_ms(REOPEN_MAX_MS);
	lane_is_owned();
	TAP_INT(world.shared.safe_lsn, 0);
	world_end();
}

static void
test_lost_while_waiting_for_wal(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(2, 1);
	world.next_lsn = 20;
	lane_answers();
	lane_is_lost(ERR_RETRY);
	wal_is_flushed();
	TAP_INT(world.sends, 0);
	TAP_INT(world.live, 0);
	world_end();
}

/* --- stopping --- */

static void
test_stop_closed_opening_idle(void)
{
	world_begin(POISON_BLOCK_KEY, 1000, 1);
	CU_ASSERT_TRUE(pipe_closed(world.pipe));
	pipe_take(world.pipe);
	stop();
	CU_ASSERT_FALSE(pipe_closed(world.pipe));
	lane_is_owned();
	CU_ASSERT_TRUE(pipe_closed(world.pipe));
	world_end();
	begin(POISON_BLOCK_KEY);
	lane_answers();
	lane_answers();
	TAP_INT(world.lane.state, LANE_IDLE);
	stop();
	CU_ASSERT_TRUE(pipe_closed(world.pipe));
	world_end();
}

static void
test_stop_turning_holding(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(100, 1);
	stop();
	lane_answers();
	report_all(SEND_OK);
	TAP_INT(world.lane.turn.claim_rows, 0);
	lane_answers();
	CU_ASSERT_TRUE(pipe_closed(world.pipe));
	TAP_INT(unsent(), 50);
	world_end();
}

static void
test_stop_detached_and_lost(void)
{
	begin(POISON_BLOCK_KEY);
	insert_many(2, 1);
	lane_answers();
	pass_ms(HOLD_MS);
	lane_answers();
	stop();
	CU_ASSERT_FALSE(pipe_closed(world.pipe));
	lane_is_lost(ERR_RETRY);
	pass_ms(REOPEN_MAX_MS);
	report_all(SEND_OK);
	TAP_INT(world.lane.state, LANE_OPENING); /* for what Kafka has is settled before we go */
	lane_is_owned();
	lane_answers();
	TAP_INT(unsent(), 0);
	CU_ASSERT_TRUE(pipe_closed(world.pipe));
	world_end();
}

/* The outlet's purge at the end of a stop: everything is reported, and the lane closes without a claim. */
static void
test_stop_purge(void)
{
	int64_t claims;

	begin(POISON_BLOCK_KEY);
	insert_many(3, 1);
	lane_answers();
	report_first(SEND_OK);
	stop();
	claims = world.claims;
	report_all(SEND_OUTAGE);
	lane_answers();
	CU_ASSERT_TRUE(pipe_closed(world.pipe));
	TAP_INT(unsent(), 2);
	TAP_INT(world.claims, claims);
	world_end();
}

/* --- at random --- */

static void
some_reports(void)
{
	static const enum send_class troubles[] = {SEND_OUTAGE, SEND_TOPIC, SEND_FATAL};
	unsigned count = draw(20);

	while (count-- > 0 && world.flying_count > 0) {
		size_t i = draw((unsigned)world.flying_count);
		struct slot *slot;
		int key = world.rows[world.flying[i]->ev.id].key;

		/* Kafka answers for a key in order. */
		for (size_t j = 0; j < i; j++)
			if (world.rows[world.flying[j]->ev.id].key == key)
				i = j;
		if (is_stuck(key))
			continue;
		if (draw(100) != 0) {
			slot = take_flying(i);
			report(slot, world.rows[slot->ev.id].fate == FATE_POISON_REPORT ? SEND_POISON : SEND_OK);
			continue;
		}
		/* What fails takes all behind it along: idempotence leaves no gap. */
		for (; i < world.flying_count;)
			if (world.rows[world.flying[i]->ev.id].key == key)
				report(take_flying(i), troubles[draw(3)]);
			else
				i++;
	}
}

static void
random_rows(void)
{
	unsigned count = draw(10) == 0 ? draw(120) : draw(6);

	while (count-- > 0 && world.last_id + 1 < WORLD_ROWS) {
		unsigned fate = draw(400);

		insert((int)draw(WORLD_KEYS), fate == 0 ? FATE_POISON_ROUTE : fate == 1 ? FATE_POISON_SEND : FATE_GOOD);
	}
}

static void
random_lane(void)
{
	switch (world.lane.state) {
	case LANE_OPENING:
		if (draw(6) == 0)
			lane_is_lost(ERR_RETRY);
		else if (world.now_us < world.lost_us + SESSION_MS * 1000 && draw(2) == 0)
			lane_is_refused();
		else
			lane_is_owned();
		break;
	case LANE_TURNING:
		if (draw(40) == 0)
			lane_is_lost(ERR_RETRY);
		else if (draw(3) == 0)
			lane_executes();
		else
			lane_answers();
		break;
	case LANE_IDLE:
	case LANE_HOLDING:
		if (draw(60) == 0)
			lane_is_lost(ERR_RETRY);
		break;
	default:
		break;
	}
}

static void
random_step(void)
{
	world.send_class = draw(50) == 0 ? (draw(2) == 0 ? SEND_OUTAGE : SEND_TOPIC) : SEND_OK;
	world.send_after = (int)draw(30);
	world.route_fails = draw(200) == 0;
	world.refused_topic = draw(30) == 0 ? (int)draw(WORLD_TOPICS) : draw(10) == 0 ? -1 : world.refused_topic;
	if (draw(100) == 0)
		world.stuck[draw(WORLD_TOPICS)][draw(WORLD_PARTITIONS)] = draw(2) == 0;
	if (draw(200) == 0)
		world.silent = world.unreachable = !world.silent;
	lifted();
	world.busy = draw(4) == 0;
	if (!world.busy)
		pipe_turn(world.pipe);
	switch (draw(14)) {
	case 0:
		random_rows();
		break;
	case 1:
		pass_ms(draw(20) == 0 ? draw(40000) : draw(300));
		break;
	case 2:
		if (draw(8) == 0)
			producer_is_rebuilt();
		break;
	case 3:
		if (draw(3) == 0)
			world.next_lsn++;
		break;
	case 4:
		wal_is_flushed();
		break;
	case 5:
		if (operator_resolves(draw(2) == 0))
			pipe_parked_changed(world.pipe);
		break;
	case 6:
		if (draw(10) == 0)
			pipe_leave(world.pipe);
		break;
	case 7:
		pipe_take(world.pipe);
		break;
	case 8:
	case 9:
		some_reports();
		break;
	case 10:
		bell();
		break;
	default:
		random_lane();
		break;
	}
}

/* All is well again: with nothing but its own timers, the bell and the answers of both sides the pipe must get through. */
static void
calm_down(void)
{
	world.send_class = SEND_OK;
	world.route_fails = world.silent = world.unreachable = false;
	world.refused_topic = -1;
	memset(world.stuck, 0, sizeof(world.stuck));
	pipe_take(world.pipe);
	pipe_retry(world.pipe);
	for (int i = 0; i < CALM_STEPS && (unsent() > 0 || world.live > 0); i++) {
		wal_is_flushed();
		report_all(SEND_OK);
		lifted();
		if (world.lane.state == LANE_OPENING)
			lane_is_owned();
		else if (world.lane.state == LANE_TURNING)
			lane_answers();
		else if (world.pipe->timer.deadline_us != CLOCK_NEVER && world.pipe->timer.deadline_us > world.now_us)
			world.now_us = world.pipe->timer.deadline_us;
		fire_timer();
		bell();
		if (operator_resolves(true))
			pipe_parked_changed(world.pipe);
		pipe_take(world.pipe);
	}
	if (unsent() > 0) {
		struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;

		pipe_describe(world.pipe, &text);
		holds_describe(&world.holds, &text);
		tap_diag("%lld unsent; floor %lld; %s", (long long)unsent(), (long long)world.lane.floor, buf_str(&text));
	}
	MUST(unsent() == 0);
}

static void
random_run(enum poison_policy poison)
{
	for (unsigned seed = 1; seed <= RANDOM_SEEDS; seed++) {
		world_begin(poison, seed % 3 == 0 ? 8 : seed % 3 == 1 ? 60 : 500, seed);
		pipe_take(world.pipe);
		for (int i = 0; i < RANDOM_STEPS; i++)
			random_step();
		calm_down();
		for (const struct row *row = &world.rows[1]; row <= &world.rows[world.last_id]; row++)
			MUST(row->acked || row->parked_times > 0);
		CU_ASSERT(world.last_id > 500);
		world_end();
	}
}

static void
test_random_block(void)
{
	random_run(POISON_BLOCK_KEY);
}

static void
test_random_skip(void)
{
	random_run(POISON_SKIP);
}

/* --- memory --- */

static void
faulty_run(void)
{
	random_rows();
	for (int i = 0; i < 40; i++) {
		insert(1 + (int)draw(4), i == 7 ? FATE_POISON_ROUTE : i == 11 ? FATE_POISON_SEND : FATE_GOOD);
		if (i == 20)
			world.send_class = SEND_TOPIC;
	}
	for (int i = 0; i < 6; i++) {
		world.send_class = i == 1 ? SEND_TOPIC : SEND_OK;
		if (world.lane.state == LANE_OPENING)
			lane_is_owned();
		lane_answers();
		report_all(SEND_OK);
		/* the parked keys are read anew, with a batch in hand that has such events, and after it was settled */
		if ((i == 0 || i == 3) && world.lane.state != LANE_CLOSED)
			lane_is_lost(ERR_RETRY);
		lane_answers();
		pass_ms(i == 0 || i == 3 ? REOPEN_MIN_MS : RETRY_MIN_MS);
		bell();
	}
}

/* Each allocation fails once: nothing is lost, and no event passes an earlier one of its key. */
static void
test_faults(void)
{
	long n = 1;
	bool reached = true;

	for (; reached && n < 2000; n++) {
		world_begin(POISON_BLOCK_KEY, 1000, 5);
		pipe_take(world.pipe);
		fails_at = n + allocs;
		faulty_run();
		reached = allocs >= fails_at;
		fails_at = 0;
		calm_down();
		world_end();
	}
	CU_ASSERT(n > 20);
	CU_ASSERT_FALSE(reached);
}

static void
test_no_memory_for_a_pipe(void)
{
	struct error err;

	world_begin(POISON_BLOCK_KEY, 10, 1);
	pipe_free(world.pipe);
	fails_at = allocs + 1;
	CU_ASSERT_PTR_NULL(pipe_new(&world.shared, 3, &err));
	TAP_INT(err.kind, ERR_FATAL);
}

int
main(void)
{
	tap_suite("pipe");
	tap_test("acknowledged in full: settle and claim in one turn", test_full_ack);
	tap_test("fewer rows settled than asked for", test_settle_falls_short);
	tap_test("described", test_described);
	tap_test("an empty claim ends its transaction", test_empty_claim);
	tap_test("a claim that was cut is followed by another", test_cut_claim);
	tap_test("an idle session speaks", test_pings);
	tap_test("a slow Kafka detaches the batch", test_detach);
	tap_test("reports during a ping are settled", test_report_during_ping);
	tap_test("an outage at the send refuses the rest", test_outage_at_send);
	tap_test("pauses grow and end", test_backoff);
	tap_test("paused by an operator", test_paused);
	tap_test("paused before the lane is taken", test_paused_from_the_start);
	tap_test("a topic is paused by an operator", test_topic_paused);
	tap_test("a new producer: claimed again", test_rebuilt);
	tap_test("claims grow and shrink", test_rows_grow_and_shrink);
	tap_test("a topic that refuses: the others go on", test_topic_held);
	tap_test("a held topic's backlog is passed by once", test_held_backlog_is_passed_by_once);
	tap_test("a probe that finds nothing", test_probe_finds_nothing);
	tap_test("a probe that is hindered", test_probe_is_hindered);
	tap_test("a partition without a leader", test_stuck_partition);
	tap_test("a topic that keeps what it gets leaves room", test_stuck_topic_leaves_room);
	tap_test("stranded, in an outage", test_stranded_in_an_outage);
	tap_test("stranded, and the session lost", test_stranded_and_lost);
	tap_test("stranded, settled in parts", test_stranded_in_parts);
	tap_test("stranded, then refused", test_stranded_is_refused);
	tap_test("stop: stranded", test_stop_with_stranded);
	tap_test("stranded, and the lane taken", test_stranded_and_refused_the_lane);
	tap_test("claims stay below the configured size", test_rows_never_beyond_configured);
	tap_test("poison blocks its key", test_poison_blocks_key);
	tap_test("poison is skipped where that is wanted", test_poison_skips);
	tap_test("what a refused event was passed by is counted", test_poison_in_report_is_overtaken);
	tap_test("parked events count once", test_parked_count);
	tap_test("a key is held before its event is parked", test_held_before_parked);
	tap_test("parked keys that change while they are read", test_parked_changes_during_read);
	tap_test("session lost while holding", test_lost_while_holding);
	tap_test("session given up", test_dropped);
	tap_test("session lost before the commit", test_lost_before_commit);
	tap_test("session lost after the commit", test_lost_after_commit);
	tap_test("a session that never works is opened slowly", test_reopen_backs_off);
	tap_test("a configuration error is told", test_config_error_is_told);
	tap_test("refused by the ghost of our own session", test_refused_by_own_ghost);
	tap_test("refused by another relay", test_refused_by_another_relay);
	tap_test("refused with events in flight", test_refused_with_events_in_flight);
	tap_test("a batch waits for its turn", test_waits_for_its_turn);
	tap_test("and no longer than that", test_waits_no_longer);
	tap_test("the lane is lost before its turn", test_lost_while_waiting_for_its_turn);
	tap_test("WAL first, then the turn", test_wal_then_turn);
	tap_test("waits for WAL", test_waits_for_wal);
	tap_test("rows that are older than what is safe wait for no WAL", test_old_rows_wait_for_no_wal);
	tap_test("WAL comes too late", test_wal_comes_too_late);
	tap_test("the barrier is lost while a batch waits", test_barrier_lost);
	tap_test("lost while waiting for WAL", test_lost_while_waiting_for_wal);
	tap_test("stop: closed, opening, idle", test_stop_closed_opening_idle);
	tap_test("stop: turning, holding", test_stop_turning_holding);
	tap_test("stop: detached and lost", test_stop_detached_and_lost);
	tap_test("stop: purged", test_stop_purge);
	tap_test("at random, keys blocked", test_random_block);
	tap_test("at random, poison skipped", test_random_skip);
	tap_test("each allocation fails once", test_faults);
	tap_test("no memory for a pipe", test_no_memory_for_a_pipe);
	return tap_run();
}
