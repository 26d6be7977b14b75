/* test_ladder.c - the floor against a model of PostgreSQL's snapshots: no claim may pass an unsent row that it could see. */
#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#include "source/ladder.h"
#include "support/tap.h"

#define ROWS_MAX 6000
#define WRITERS 12
#define STEP_US 3000

struct row {
	int writer_xid;
	bool visible;
	bool settled;
};

struct writer {
	int xid; /* 0 = no transaction */
	int64_t ends_us;
	int64_t draws_us; /* an id drawn, the row not inserted yet; 0 = none */
	int64_t drawn_id;
};

struct model {
	struct row rows[ROWS_MAX]; /* by id */
	int64_t next_id;
	int next_xid;
	struct writer writers[WRITERS];
	int64_t now_us;
	unsigned seed;
};

/* The low bits of such a generator are poor, so a number is made of the high halves of two. */
static unsigned
draw(struct model *m, unsigned below)
{
	unsigned high;

	m->seed = m->seed * 1103515245U + 12345U;
	high = m->seed & 0xffff0000U;
	m->seed = m->seed * 1103515245U + 12345U;
	return (high | m->seed >> 16) % below;
}

static void
commit(struct model *m, struct writer *w)
{
	for (int64_t id = 1; id < m->next_id; id++)
		if (m->rows[id].writer_xid == w->xid)
			m->rows[id].visible = true;
	*w = (struct writer){0};
}

/* Most transactions are short, some last for seconds, one in a while for most of the run. */
static int64_t
lifetime_us(struct model *m)
{
	unsigned kind = draw(m, 100);

	return kind < 90 ? draw(m, 8000) : kind < 98 ? draw(m, 1500000) : draw(m, 6000000);
}

static void
turn_writer(struct model *m, struct writer *w)
{
	if (w->xid != 0 && m->now_us >= w->ends_us) {
		commit(m, w);
		return;
	}
	if (w->drawn_id == 0) {
		if (m->next_id >= ROWS_MAX || draw(m, 10) != 0)
			return;
		w->drawn_id = m->next_id++;
		/* nextval() comes first, the xid a moment later */
		w->draws_us = m->now_us + (w->xid == 0 ? draw(m, LADDER_RUNG_AGE_US / 2) : 0);
	}
	if (m->now_us < w->draws_us)
		return;
	if (w->xid == 0) {
		w->xid = m->next_xid++;
		w->ends_us = m->now_us + lifetime_us(m);
	}
	m->rows[w->drawn_id].writer_xid = w->xid;
	w->drawn_id = 0;
}

static int
open_below(const struct model *m, uint64_t xmax)
{
	int n = 0;

	for (int i = 0; i < WRITERS; i++)
		n += m->writers[i].xid != 0 && (uint64_t)m->writers[i].xid < xmax;
	return n;
}

/* What the claim's statement does with the ladder. */
static struct ladder_view
look(const struct model *m, const struct ladder *ld)
{
	struct ladder_view v = {.floor_id = LADDER_BOTTOM, .xmax = (uint64_t)m->next_xid};

	v.open = open_below(m, UINT64_MAX);
	for (int i = 0; i < ld->count; i++) {
		v.below[i] = open_below(m, ld->rungs[i].xmax);
		if (v.below[i] == ld->rungs[i].open && ld->rungs[i].from_id > v.floor_id)
			v.floor_id = ld->rungs[i].from_id;
	}
	return v;
}

static int64_t
last_unsent(const struct model *m)
{
	int64_t id = m->next_id - 1;

	while (id > 0 && (!m->rows[id].visible || m->rows[id].settled))
		id--;
	return id;
}

/* Claims and settles; returns the number of visible unsent rows that lie below the floor, which must be none. */
static int
claim(struct model *m, struct ladder *ld, int limit)
{
	struct ladder_view v = look(m, ld);
	int missed = 0;

	for (int64_t id = 1; id < m->next_id; id++) {
		struct row *row = &m->rows[id];

		if (!row->visible || row->settled)
			continue;
		if (id < v.floor_id) {
			missed++;
			continue;
		}
		if (v.claimed == limit) {
			v.full = true;
			break;
		}
		row->settled = true;
		v.claimed++;
		v.last_id = id;
	}
	if (v.claimed == limit)
		v.full = true;
	if (ladder_wants_end(ld, m->now_us))
		ladder_saw(ld, last_unsent(m), m->now_us);
	ladder_learn(ld, &v, m->now_us);
	return missed;
}

static int64_t
simulate(unsigned seed, int *ret_missed)
{
	struct model *m = calloc(1, sizeof(*m));
	struct ladder ld;
	int64_t behind = 0;
	int looks = 0;

	m->seed = seed;
	m->next_id = 1;
	m->next_xid = 100;
	ladder_init(&ld, 0);
	for (m->now_us = 1; m->now_us < 12000000; m->now_us += STEP_US) {
		for (int i = 0; i < WRITERS; i++)
			turn_writer(m, &m->writers[i]);
		if (draw(m, 4) != 0)
			continue;
		*ret_missed += claim(m, &ld, 1 + (int)draw(m, draw(m, 3) == 0 ? 3 : 20));
		behind += m->next_id - 1 - (ld.count > 0 ? ld.rungs[ld.count - 1].from_id : 0);
		looks++;
	}
	free(m);
	return behind / looks;
}

static void
test_no_claim_passes_a_visible_row(void)
{
	int missed = 0;

	for (unsigned seed = 1; seed <= 150; seed++)
		simulate(seed, &missed);
	CU_ASSERT_EQUAL(missed, 0);
}

static void
test_floor_follows_though_writers_stay_open(void)
{
	int missed = 0;

	/* About 330 ids a second are drawn: the highest rung stays within a second of them. */
	for (unsigned seed = 1; seed <= 20; seed++)
		CU_ASSERT(simulate(seed, &missed) < 600);
}

static struct ladder_view
quiet_view(uint64_t xmax, int open, int64_t last_id, bool full)
{
	return (struct ladder_view){
		.floor_id = LADDER_BOTTOM, .xmax = xmax, .open = open, .last_id = last_id, .claimed = 10, .full = full};
}

static struct ladder
two_rungs(void)
{
	struct ladder ld;
	struct ladder_view v = quiet_view(50, 1, 100, true);

	ladder_init(&ld, 0);
	ladder_learn(&ld, &v, 10000);
	v = quiet_view(60, 1, 200, true);
	ladder_learn(&ld, &v, 150000);
	v = quiet_view(70, 1, 300, true);
	v.below[0] = 1;
	ladder_learn(&ld, &v, 300000);
	v = quiet_view(80, 2, 400, true);
	v.below[0] = v.below[1] = 1;
	ladder_learn(&ld, &v, 450000);
	return ld;
}

static void
test_rungs_are_old_enough(void)
{
	struct ladder ld = two_rungs();

	CU_ASSERT_EQUAL(ld.count, 2);
	CU_ASSERT_EQUAL(ld.rungs[0].from_id, 201);
	CU_ASSERT_EQUAL(ld.rungs[1].from_id, 301);
	CU_ASSERT_EQUAL(ld.rungs[1].open, 2);
	CU_ASSERT_EQUAL(ladder_hint(&ld), 301);
}

static void
test_a_rung_without_writers_replaces_those_below(void)
{
	struct ladder ld = two_rungs();
	struct ladder_view v = quiet_view(90, 0, 500, false);

	ladder_learn(&ld, &v, 460000);
	CU_ASSERT_EQUAL(ld.count, 1);
	CU_ASSERT_EQUAL(ld.rungs[0].from_id, 301);
	CU_ASSERT_EQUAL(ld.rungs[0].open, 0);
}

/* The end of a backlog is old when the claims get there: each of them leaves a rung, or its place. */
static void
test_in_a_backlog_the_floor_follows_at_once(void)
{
	struct ladder_view v = quiet_view(50, 3, 10, true);
	struct ladder ld;
	int64_t now_us = 0;

	ladder_init(&ld, now_us);
	ladder_learn(&ld, &v, now_us += 1000);
	CU_ASSERT_EQUAL(ladder_newest(&ld).from_id, LADDER_BOTTOM);
	CU_ASSERT_EQUAL(ladder_newest(&ld).open, 0);
	CU_ASSERT(!ladder_wants_end(&ld, now_us));
	for (int i = 0; i < 2; i++) {
		now_us += LADDER_RUNG_AGE_US;
		CU_ASSERT(ladder_wants_end(&ld, now_us));
		ladder_saw(&ld, 1000, now_us);
		CU_ASSERT(!ladder_wants_end(&ld, now_us));
		v.last_id += 10;
		ladder_learn(&ld, &v, now_us);
		CU_ASSERT_EQUAL(ladder_hint(&ld), i == 0 ? LADDER_BOTTOM : v.last_id + 1);
	}
	for (int i = 0; i < 4; i++) {
		v.last_id += 10;
		v.xmax++;
		ladder_learn(&ld, &v, now_us += 10);
		CU_ASSERT_EQUAL(ladder_hint(&ld), v.last_id + 1);
		CU_ASSERT_EQUAL(ladder_newest(&ld).from_id, v.last_id + 1);
		CU_ASSERT_EQUAL(ladder_newest(&ld).xmax, v.xmax);
		CU_ASSERT_EQUAL(ladder_newest(&ld).open, 3);
	}
	/* what comes behind the end is young */
	v.last_id = 1200;
	ladder_learn(&ld, &v, now_us += 10);
	CU_ASSERT_EQUAL(ladder_hint(&ld), 1001);
	v = quiet_view(60, 0, 1300, false);
	v.floor_id = 1001;
	ladder_learn(&ld, &v, now_us += 10);
	CU_ASSERT_EQUAL(ladder_hint(&ld), 1001);
	CU_ASSERT(!ladder_wants_end(&ld, now_us + LADDER_RUNG_AGE_US));
}

/* While writers stay open, one more each time, a rung is built every 100 ids. */
static struct ladder
many_rungs(int built)
{
	struct ladder ld;

	ladder_init(&ld, 0);
	for (int i = 1; i <= built + 1; i++) {
		struct ladder_view v = quiet_view((uint64_t)(50 + i), i, 100 * i, true);

		for (int k = 0; k < ld.count; k++)
			v.below[k] = ld.rungs[k].open;
		ladder_learn(&ld, &v, i * INT64_C(150000));
	}
	return ld;
}

/* The oldest and the newest stay; those between are the further apart the older they are, so that the end of a writer
 * lowers the floor to no more than a few times the writer's age. */
static void
test_rungs_are_spread_over_the_ages(void)
{
	for (int built = LADDER_RUNGS + 1; built < 100; built++) {
		struct ladder ld = many_rungs(built);
		int64_t newest = ld.rungs[LADDER_RUNGS - 1].from_id;

		CU_ASSERT_EQUAL_FATAL(ld.count, LADDER_RUNGS);
		CU_ASSERT_EQUAL(ld.rungs[0].from_id, 101);
		CU_ASSERT_EQUAL(newest, 100 * built + 1);
		for (int i = 1; i < LADDER_RUNGS - 1; i++) {
			const struct rung *r = &ld.rungs[i];

			CU_ASSERT(r[1].from_id - r[0].from_id <= r[0].from_id - r[-1].from_id);
			CU_ASSERT(newest - r[-1].from_id <= 9 * (newest - r[0].from_id));
		}
	}
}

/* A claim that met its limit below a rung has not looked at what lies between. */
static void
test_a_cut_claim_renews_only_what_it_reached(void)
{
	struct ladder ld = two_rungs();
	struct ladder_view v = quiet_view(90, 0, 220, true);

	ladder_learn(&ld, &v, 460000);
	CU_ASSERT_EQUAL(ld.count, 2);
	CU_ASSERT_EQUAL(ld.rungs[0].open, 0);
	CU_ASSERT_EQUAL(ld.rungs[1].open, 2);
	ladder_learn(&ld, &v, 900000);
	CU_ASSERT_EQUAL(ld.count, 2);
	CU_ASSERT_EQUAL(ladder_hint(&ld), 301);
}

static void
test_lower_moves_every_rung_down(void)
{
	struct ladder ld = two_rungs();
	struct ladder_view v;

	ladder_lower(&ld, 250);
	CU_ASSERT_EQUAL(ld.count, 2);
	CU_ASSERT_EQUAL(ld.rungs[0].from_id, 201);
	CU_ASSERT_EQUAL(ld.rungs[1].from_id, 250);
	CU_ASSERT(ld.through_id < 250);
	/* nor does a rung come to stand above it before a claim has been there */
	v = quiet_view(95, 0, 220, true);
	v.below[0] = v.below[1] = 9;
	ladder_learn(&ld, &v, 900000);
	CU_ASSERT_EQUAL(ladder_hint(&ld), 250);
	ladder_lower(&ld, 50);
	CU_ASSERT_EQUAL(ld.count, 1);
	CU_ASSERT_EQUAL(ld.rungs[0].from_id, 50);
	CU_ASSERT_EQUAL(ld.rungs[0].xmax, 70);
	ladder_lower(&ld, INT64_MAX);
	CU_ASSERT_EQUAL(ld.count, 1);
	ladder_lower(&ld, LADDER_BOTTOM);
	CU_ASSERT_EQUAL(ld.count, 0);
	CU_ASSERT_EQUAL(ladder_hint(&ld), LADDER_BOTTOM);
}

/* The claim under way saw nothing of what became unsent again below its floor. */
static void
test_lowered_during_a_claim(void)
{
	struct ladder ld = two_rungs();
	struct ladder_view v = quiet_view(90, 0, 500, false);

	ld.aged_id = 1000;
	v.floor_id = 301;
	ladder_lower(&ld, 250);
	ladder_learn(&ld, &v, 460000);
	CU_ASSERT_EQUAL(ladder_hint(&ld), 250);
	/* the next one begins there */
	v.floor_id = 201;
	ladder_learn(&ld, &v, 470000);
	CU_ASSERT_EQUAL(ladder_hint(&ld), 501);
}

static void
test_looks_take_a_share_of_the_time(void)
{
	struct ladder ld;

	ladder_init(&ld, 1000);
	CU_ASSERT(ladder_look_due(&ld, 1000));
	ladder_looked(&ld, 100, 2000);
	CU_ASSERT(!ladder_look_due(&ld, 2000 + LADDER_LOOK_MIN_US - 1));
	CU_ASSERT(ladder_look_due(&ld, 2000 + LADDER_LOOK_MIN_US));
	ladder_looked(&ld, 1000000, 0);
	CU_ASSERT(!ladder_look_due(&ld, 1000000 * LADDER_LOOK_SHARE - 1));
	CU_ASSERT(ladder_look_due(&ld, 1000000 * LADDER_LOOK_SHARE));
	ladder_looked(&ld, LADDER_LOOK_MAX_US, 0);
	CU_ASSERT(!ladder_look_due(&ld, LADDER_LOOK_MAX_US - 1));
	CU_ASSERT(ladder_look_due(&ld, LADDER_LOOK_MAX_US));
}

int
main(void)
{
	tap_suite("ladder");
	tap_test("no claim passes a visible row, in 150 histories", test_no_claim_passes_a_visible_row);
	tap_test("the floor follows though writers stay open", test_floor_follows_though_writers_stay_open);
	tap_test("rungs are built on ids of some age", test_rungs_are_old_enough);
	tap_test("in a backlog the floor follows at once", test_in_a_backlog_the_floor_follows_at_once);
	tap_test("a rung without writers replaces those below", test_a_rung_without_writers_replaces_those_below);
	tap_test("rungs are spread over the ages", test_rungs_are_spread_over_the_ages);
	tap_test("a cut claim renews only what it reached", test_a_cut_claim_renews_only_what_it_reached);
	tap_test("lower moves every rung down", test_lower_moves_every_rung_down);
	tap_test("lowered while a claim is under way", test_lowered_during_a_claim);
	tap_test("looks from the bottom take a share of the time", test_looks_take_a_share_of_the_time);
	return tap_run();
}
