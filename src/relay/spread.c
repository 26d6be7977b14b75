/* spread.c - in: who is there, which lanes are taken; out: a move for each lane. Knows neither sessions nor pipes. */
#include "relay/spread.h"

#include "base/clock.h"

#define PATIENCE_US 400000 /* a little less than from one look to the next */

void
spread_init(struct spread *s)
{
	*s = (struct spread){.gone_us = -PATIENCE_US};
	for (int i = 0; i < LANES_MAX; i++)
		s->free_since_us[i] = CLOCK_NEVER;
}

void
spread_returned(struct spread *s, int64_t now_us, int64_t grace_us)
{
	for (int i = 0; i < LANES_MAX; i++)
		s->free_since_us[i] = CLOCK_NEVER;
	s->grace_until_us = now_us + grace_us;
}

/* Takes in what is seen now, and says whether every other relay has its lanes. Whoever joins cannot know who was there a
 * moment ago. */
static bool
learn(struct spread *s, const struct keeper_members *m, const struct spread_lane *lanes, int count, int64_t now_us)
{
	bool gone = m->relays < s->relays || (s->relays == 0 && m->relays > 1);
	int others = 0;

	for (int i = 0; i < count; i++) {
		bool elsewhere = m->taken[i] && !lanes[i].owned;

		others += elsewhere;
		if (elsewhere || lanes[i].wanted)
			s->free_since_us[i] = CLOCK_NEVER;
		else if (gone || s->free_since_us[i] == CLOCK_NEVER)
			s->free_since_us[i] = now_us; /* whoever is gone may have had it since the last look */
	}
	if (gone)
		s->gone_us = now_us;
	s->relays = m->relays;
	return others >= count - m->quota && now_us - s->gone_us >= PATIENCE_US;
}

static bool
may_take(const struct spread *s, int lane, bool others_full, int64_t now_us)
{
	if (s->ours[lane])
		return true;
	if (now_us < s->grace_until_us)
		return false;
	return others_full || now_us - s->free_since_us[lane] >= PATIENCE_US;
}

static int
take(const struct spread *s, const struct keeper_members *m, bool others_full, int wanted, int count, int64_t now_us,
     enum spread_move *moves)
{
	for (int n = 0; n < count && wanted < m->quota; n++) {
		int i = (m->first + n) % count;

		if (s->free_since_us[i] == CLOCK_NEVER || !may_take(s, i, others_full, now_us))
			continue;
		moves[i] = SPREAD_TAKE;
		wanted++;
	}
	return wanted;
}

/* Rather one that we only hope for than one that we have; the last of our range comes last. */
static void
leave(const struct keeper_members *m, const struct spread_lane *lanes, int wanted, int count, enum spread_move *moves)
{
	for (int owned = 0; owned <= 1; owned++)
		for (int n = count - 1; n >= 0 && wanted > m->quota; n--) {
			int i = (m->first + n) % count;

			if (!lanes[i].wanted || lanes[i].owned != (owned == 1) || moves[i] == SPREAD_LEAVE)
				continue;
			moves[i] = SPREAD_LEAVE;
			wanted--;
		}
}

void
spread_look(struct spread *s, const struct keeper_members *m, const struct spread_lane *lanes, int count,
            int64_t now_us, enum spread_move *ret_moves)
{
	bool others_full = learn(s, m, lanes, count, now_us);
	int wanted = 0;

	for (int i = 0; i < count; i++) {
		ret_moves[i] = SPREAD_STAY;
		wanted += lanes[i].wanted;
	}
	wanted = take(s, m, others_full, wanted, count, now_us, ret_moves);
	leave(m, lanes, wanted, count, ret_moves);
	for (int i = 0; i < count && now_us >= s->grace_until_us; i++)
		s->ours[i] = lanes[i].owned && ret_moves[i] != SPREAD_LEAVE;
}
