/* ladder.c - in: what claims saw; out: rungs for the next claim. Knows neither SQL nor sessions. */
#include "source/ladder.h"

#include <string.h>

void
ladder_init(struct ladder *ld, int64_t now_us)
{
	memset(ld, 0, sizeof(*ld));
	ld->through_id = LADDER_BOTTOM;
	ld->aged_id = ld->seen_id = LADDER_BOTTOM;
	ld->seen_us = now_us;
	ld->look_next_us = now_us;
}

/* The claim looked at everything visible from its floor up to id. */
static bool
complete_to(const struct ladder_view *view, int64_t id)
{
	return !view->full || (view->claimed > 0 && view->last_id >= id);
}

static void
drop(struct ladder *ld, int i)
{
	memmove(&ld->rungs[i], &ld->rungs[i + 1], (size_t)(ld->count - i - 1) * sizeof(ld->rungs[0]));
	ld->count--;
}

/* Rungs above a claim's floor did not hold; the claim looked there, so they hold again with today's count. */
static void
renew_rungs(struct ladder *ld, const struct ladder_view *view)
{
	for (int i = 0; i < ld->count; i++)
		if (ld->rungs[i].from_id > view->floor_id && complete_to(view, ld->rungs[i].from_id - 1))
			ld->rungs[i].open = view->below[i];
}

/* A rung that rests on no open writer always holds: those below it serve no more. */
static void
drop_outgrown(struct ladder *ld)
{
	for (int i = ld->count - 1; i > 0; i--)
		if (ld->rungs[i].open == 0) {
			while (i-- > 0)
				drop(ld, 0);
			return;
		}
}

/* Keeps the rungs spread over the ages: drops the inner one whose neighbours are nearest to each other, in ids,
 * relative to their distance from the newest. The lowest and the newest stay. */
static void
make_room(struct ladder *ld)
{
	int64_t newest = ld->rungs[ld->count - 1].from_id;
	double best = -1;
	int victim = ld->count - 2;

	for (int i = 1; i < ld->count - 1; i++) {
		double gap = (double)(ld->rungs[i + 1].from_id - ld->rungs[i - 1].from_id);
		double ratio = gap / (1.0 + (double)(newest - ld->rungs[i - 1].from_id));

		if (best < 0 || ratio < best) {
			best = ratio;
			victim = i;
		}
	}
	drop(ld, victim);
}

static void
add_rung(struct ladder *ld, int64_t through_id, const struct ladder_view *view)
{
	if (through_id == LADDER_BOTTOM || !complete_to(view, through_id))
		return;
	if (ld->count > 0 && ld->rungs[ld->count - 1].from_id > through_id)
		return;
	if (ld->count == LADDER_RUNGS)
		make_room(ld);
	ld->rungs[ld->count++] = (struct rung){.from_id = through_id + 1, .xmax = view->xmax, .open = view->open};
}

void
ladder_learn(struct ladder *ld, const struct ladder_view *view, int64_t now_us)
{
	/* It was lowered while the claim was under way, which began above: what lies between was not looked at. */
	if (view->floor_id - 1 > ld->through_id)
		return;
	renew_rungs(ld, view);
	drop_outgrown(ld);
	if (view->claimed > 0 && view->last_id > ld->through_id)
		ld->through_id = view->last_id;
	ladder_saw(ld, ld->through_id, now_us);
	add_rung(ld, ld->through_id < ld->aged_id ? ld->through_id : ld->aged_id, view);
	drop_outgrown(ld);
	ld->full = view->full;
}

bool
ladder_wants_end(const struct ladder *ld, int64_t now_us)
{
	return ld->full && now_us - ld->seen_us >= LADDER_RUNG_AGE_US;
}

void
ladder_saw(struct ladder *ld, int64_t id, int64_t now_us)
{
	if (now_us - ld->seen_us < LADDER_RUNG_AGE_US)
		return;
	ld->aged_id = ld->seen_id;
	if (id > ld->seen_id)
		ld->seen_id = id;
	ld->seen_us = now_us;
}

void
ladder_lower(struct ladder *ld, int64_t id)
{
	if (id == INT64_MAX)
		return;
	/* A lower start is always safe, so a rung keeps its condition and moves down; equal ones fall together. */
	while (ld->count > 0 && ld->rungs[ld->count - 1].from_id > id) {
		if (ld->count > 1 && ld->rungs[ld->count - 2].from_id >= id) {
			ld->count--;
			continue;
		}
		ld->rungs[ld->count - 1].from_id = id;
		break;
	}
	if (id == LADDER_BOTTOM) {
		ld->through_id = LADDER_BOTTOM;
		ld->count = 0;
		return;
	}
	if (ld->through_id >= id)
		ld->through_id = id - 1;
}

struct rung
ladder_rung_at(int64_t from_id)
{
	return (struct rung){.from_id = from_id, .xmax = 1, .open = 0};
}

struct rung
ladder_newest(const struct ladder *ld)
{
	return ld->count > 0 ? ld->rungs[ld->count - 1] : ladder_rung_at(LADDER_BOTTOM);
}

int64_t
ladder_hint(const struct ladder *ld)
{
	return ladder_newest(ld).from_id;
}

bool
ladder_look_due(const struct ladder *ld, int64_t now_us)
{
	return now_us >= ld->look_next_us;
}

void
ladder_looked(struct ladder *ld, int64_t duration_us, int64_t now_us)
{
	int64_t rest = duration_us * LADDER_LOOK_SHARE;

	if (rest < LADDER_LOOK_MIN_US)
		rest = LADDER_LOOK_MIN_US;
	ld->look_next_us = now_us + (rest < LADDER_LOOK_MAX_US ? rest : LADDER_LOOK_MAX_US);
}
