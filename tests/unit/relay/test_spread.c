/* test_spread.c - which lanes are taken and left, look by look; and whole worlds of relays that come, go, vanish and
 * blink. */
#include "relay/spread.c"

#include <string.h>

#include "source/share.h"
#include "support/tap.h"

#define LOOK_US 500000
#define GRACE_US 3000000

static struct spread s;
static struct keeper_members m;
static struct spread_lane lanes[LANES_MAX];
static enum spread_move moves[LANES_MAX];
static int64_t now_us;
static int count;

static void
setup(void)
{
	spread_init(&s);
	memset(&m, 0, sizeof(m));
	memset(lanes, 0, sizeof(lanes));
	now_us = 0;
	count = 4;
}

/* One look; what it moves comes about at once. '+' taken, '-' left, '.' neither. */
static const char *
look(int relays, int quota, const char *taken)
{
	static char text[LANES_MAX + 1];

	m.relays = relays;
	m.quota = quota;
	for (int i = 0; i < count; i++)
		m.taken[i] = taken[i] == 'x' || lanes[i].owned;
	spread_look(&s, &m, lanes, count, now_us, moves);
	for (int i = 0; i < count; i++) {
		text[i] = moves[i] == SPREAD_TAKE ? '+' : moves[i] == SPREAD_LEAVE ? '-' : '.';
		if (moves[i] != SPREAD_STAY)
			lanes[i].wanted = lanes[i].owned = moves[i] == SPREAD_TAKE;
	}
	text[count] = '\0';
	now_us += LOOK_US;
	return text;
}

/* We have the first two, another relay the others. */
static void
share_with_one(void)
{
	look(2, 2, "..xx");
	TAP_STR(look(2, 2, "..xx"), "++..");
	TAP_STR(look(2, 2, "..xx"), "....");
}

static void
test_alone(void)
{
	TAP_STR(look(1, 4, "...."), "++++");
	TAP_STR(look(1, 4, "...."), "....");
}

static void
test_joining(void)
{
	/* the other still has all */
	m.first = 2;
	TAP_STR(look(2, 2, "xxxx"), "....");
	/* it lets two go, and has what it should have: they are nobody's */
	TAP_STR(look(2, 2, "xx.."), "..++");
}

static void
test_giving_way(void)
{
	TAP_STR(look(1, 4, "...."), "++++");
	TAP_STR(look(2, 2, "...."), "..--");
	TAP_STR(look(2, 2, "..x."), "....");
	/* out of our own range first: another relay's number is lower than ours now */
	setup();
	TAP_STR(look(1, 4, "...."), "++++");
	m.first = 2;
	TAP_STR(look(2, 2, "...."), "--..");
}

/* A lane that is only hoped for goes first. */
static void
test_leaves_what_it_has_not(void)
{
	TAP_STR(look(1, 4, "...."), "++++");
	lanes[0].owned = false;
	TAP_STR(look(2, 3, "x..."), "-...");
}

static void
test_dead(void)
{
	share_with_one();
	/* gone with its lanes: it may be back in a moment */
	TAP_STR(look(1, 4, "...."), "....");
	TAP_STR(look(1, 4, "...."), "..++");
}

static void
test_back_in_time(void)
{
	share_with_one();
	TAP_STR(look(1, 4, "...."), "....");
	TAP_STR(look(2, 2, "..xx"), "....");
	/* and gone again: the wait begins anew */
	TAP_STR(look(1, 4, "...."), "....");
	TAP_STR(look(2, 2, "..xx"), "....");
}

/* Whoever joins while another is away for a moment sees neither it nor its lanes. */
static void
test_joining_in_a_bad_moment(void)
{
	m.first = 2;
	TAP_STR(look(2, 2, "xx.."), "....");
	TAP_STR(look(3, 1, "xxxx"), "....");
	setup();
	m.first = 2;
	TAP_STR(look(2, 2, "xx.."), "....");
	TAP_STR(look(2, 2, "xx.."), "..++");
}

/* The others are all there, a lane of theirs is not: it will be back, unless it stays free. */
static void
test_lane_alone_lost(void)
{
	TAP_STR(look(2, 2, "xxxx"), "....");
	TAP_STR(look(2, 2, "x..."), "....");
	TAP_STR(look(2, 2, "x.x."), ".+.+");
	/* our own comes back by itself */
	lanes[1].owned = false;
	TAP_STR(look(2, 2, "x.x."), "....");
}

/* As long as the lane is with somebody, it counts as nobody's only from then on. */
static void
test_free_again(void)
{
	count = 2;
	TAP_STR(look(3, 1, "xx"), "..");
	TAP_STR(look(3, 1, ".."), "..");
	TAP_STR(look(3, 1, "xx"), "..");
	TAP_STR(look(3, 1, ".."), "..");
	TAP_STR(look(3, 1, ".."), "+.");
}

static void
test_grace(void)
{
	share_with_one();
	/* PostgreSQL restarts: all lanes are free, and the other is not yet back */
	lanes[1].owned = lanes[1].wanted = false;
	spread_returned(&s, now_us, GRACE_US);
	TAP_STR(look(1, 4, "...."), ".+..");
	for (int i = 1; i < GRACE_US / LOOK_US; i++)
		TAP_STR(look(1, 4, "...."), "....");
	TAP_STR(look(1, 4, "...."), "..++");
}

/* --- worlds --- */

enum { RELAYS = 7, DOWN_MS = 200 };

struct relay {
	uint32_t number;
	bool there;
	int64_t back_us; /* its sessions are lost until then; 0 = they are not */
	int64_t next_us;
	struct spread spread;
	struct spread_lane lanes[LANES_MAX];
	bool unsettled[LANES_MAX]; /* had them when its sessions were lost */
};

static struct relay relays[RELAYS];
static uint64_t seed;

static unsigned
draw(unsigned below)
{
	seed = seed * 6364136223846793005U + 1442695040888963407U;
	return (unsigned)(seed >> 33) % below;
}

static struct relay *
owner(int lane)
{
	for (int i = 0; i < RELAYS; i++)
		if (relays[i].there && relays[i].lanes[lane].owned)
			return &relays[i];
	return NULL;
}

static void
act(struct relay *r)
{
	struct keeper_members seen = {0};
	uint32_t numbers[RELAYS];
	size_t n = 0;
	struct share share;
	bool unaware;

	for (int i = 0; i < RELAYS; i++)
		if (relays[i].there && relays[i].back_us == 0)
			numbers[n++] = relays[i].number;
	share = share_of(numbers, n, r->number, count);
	seen.relays = (int)n;
	seen.quota = share.quota;
	seen.first = share.first;
	for (int i = 0; i < count; i++)
		seen.taken[i] = owner(i) != NULL;
	/* Who sees nobody at his first look takes everything, though all others may be away for a moment just then. */
	unaware = r->spread.relays == 0 && n == 1;
	spread_look(&r->spread, &seen, r->lanes, count, now_us, moves);
	for (int i = 0; i < count; i++) {
		bool takes = moves[i] == SPREAD_TAKE;

		if (moves[i] == SPREAD_STAY)
			continue;
		if (takes)
			CU_ASSERT_PTR_NULL_FATAL(owner(i));
		/* Promise 5: nobody takes a lane whose relay is back within a moment. */
		for (int other = 0; other < RELAYS && takes && !unaware; other++)
			CU_ASSERT_FALSE_FATAL(relays[other].there && relays[other].unsettled[i]);
		r->lanes[i].owned = r->lanes[i].wanted = takes;
	}
}

/* All sessions of one are lost; it is back soon, and then has its lanes again. */
static void
blink(struct relay *r)
{
	if (!r->there || r->back_us != 0)
		return;
	r->back_us = now_us + DOWN_MS * 1000;
	for (int i = 0; i < count; i++) {
		r->unsettled[i] = r->lanes[i].owned;
		r->lanes[i].owned = false;
	}
}

static void
come_back(struct relay *r)
{
	r->back_us = 0;
	for (int i = 0; i < count; i++) {
		if (r->unsettled[i])
			r->lanes[i].owned = r->lanes[i].wanted = owner(i) == NULL;
		r->unsettled[i] = false;
	}
	spread_returned(&r->spread, now_us, GRACE_US);
	r->next_us = now_us;
}

static void
toggle(struct relay *r)
{
	r->there = !r->there;
	r->number = SHARE_RELAY_FLAG | (draw(1U << 29) << 1);
	spread_init(&r->spread);
	memset(r->lanes, 0, sizeof(r->lanes));
	memset(r->unsettled, 0, sizeof(r->unsettled));
	r->back_us = 0;
	r->next_us = now_us + draw(LOOK_US);
}

static void
run(int64_t until_us)
{
	for (; now_us < until_us; now_us += 1000)
		for (int i = 0; i < RELAYS; i++) {
			struct relay *r = &relays[i];

			if (r->back_us != 0 && now_us >= r->back_us)
				come_back(r);
			if (!r->there || r->back_us != 0 || now_us < r->next_us)
				continue;
			act(r);
			r->next_us = now_us + LOOK_US + draw(20000);
		}
}

static void
must_be_even(void)
{
	int there = 0, owned = 0;

	for (int i = 0; i < RELAYS; i++)
		there += relays[i].there;
	for (int i = 0; i < RELAYS; i++) {
		int n = 0;

		for (int lane = 0; lane < count; lane++)
			n += relays[i].lanes[lane].owned;
		if (relays[i].there)
			CU_ASSERT_FATAL(n >= count / there && n <= (count + there - 1) / there);
		owned += n;
	}
	TAP_INT_FATAL(owned, there > 0 ? count : 0);
}

static void
test_worlds(void)
{
	for (seed = 1; seed <= 60; seed++) {
		uint64_t number = seed;

		memset(relays, 0, sizeof(relays));
		now_us = 0;
		count = (int[]){4, 1, 8, 5}[number % 4];
		for (int round = 0; round < 12; round++) {
			/* A crowd at times. */
			for (unsigned n = draw(3) == 0 ? 3 : 1; n > 0; n--)
				toggle(&relays[draw(RELAYS)]);
			run(now_us + draw(1500000));
			if (draw(2) == 0)
				blink(&relays[draw(RELAYS)]);
			run(now_us + 200000 + draw(5000000));
			if (draw(3) > 0)
				continue;
			run(now_us + GRACE_US + 4 * LOOK_US);
			must_be_even();
		}
		seed = number;
	}
}

int
main(void)
{
	tap_suite_fixture("spread", setup, NULL);
	tap_test("alone: all at once", test_alone);
	tap_test("joining: what others need not is taken at once", test_joining);
	tap_test("giving way: out of our range first", test_giving_way);
	tap_test("what is only hoped for is left first", test_leaves_what_it_has_not);
	tap_test("a dead relay's lanes are taken at the second look", test_dead);
	tap_test("a relay that is back in time finds its lanes", test_back_in_time);
	tap_test("joining while another is away for a moment", test_joining_in_a_bad_moment);
	tap_test("a lane that somebody lost waits for him", test_lane_alone_lost);
	tap_test("free again counts from then on", test_free_again);
	tap_test("after an outage of our own others' lanes wait", test_grace);
	tap_test("worlds of relays end up even and take nothing away", test_worlds);
	return tap_run();
}
