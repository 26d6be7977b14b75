/* crew.c - in: what concerns all lanes; out: word to each pipe, and sums over them. */
#include "relay/crew.h"

void
crew_init(struct crew *c)
{
	*c = (struct crew){.count = 0};
	spread_init(&c->spread);
}

void
crew_done(struct crew *c)
{
	for (int i = 0; i < c->count; i++) {
		pipe_rebuilt(c->pipes[i]);
		pipe_free(c->pipes[i]);
	}
	c->count = 0;
}

int
crew_make(struct crew *c, struct pipe_shared *shared, int lanes, struct error *err)
{
	for (int i = 0; i < lanes; i++) {
		c->pipes[i] = pipe_new(shared, i, err);
		if (c->pipes[i] == NULL)
			return -1;
		c->count = i + 1;
	}
	return 0;
}

void
crew_spread(struct crew *c, const struct keeper_members *m, int64_t now_us)
{
	struct spread_lane lanes[LANES_MAX] = {{false, false}};
	enum spread_move moves[LANES_MAX];

	for (int i = 0; i < c->count; i++)
		lanes[i] = (struct spread_lane){.wanted = pipe_wanted(c->pipes[i]), .owned = pipe_owned(c->pipes[i])};
	spread_look(&c->spread, m, lanes, c->count, now_us, moves);
	for (int i = 0; i < c->count; i++)
		switch (moves[i]) {
		case SPREAD_STAY:
			break;
		case SPREAD_TAKE:
			pipe_take(c->pipes[i]);
			break;
		case SPREAD_LEAVE:
			pipe_leave(c->pipes[i]);
			break;
		}
}

void
crew_each(struct crew *c, void (*tell)(struct pipe *p))
{
	for (int i = 0; i < c->count; i++)
		tell(c->pipes[i]);
}

void
crew_drop(struct crew *c, const struct error *err)
{
	for (int i = 0; i < c->count; i++)
		pipe_drop(c->pipes[i], err);
}

struct crew_count
crew_count(const struct crew *c)
{
	struct crew_count n = {0, 0, 0};

	for (int i = 0; i < c->count; i++) {
		n.owned += pipe_owned(c->pipes[i]);
		n.detached += pipe_detached(c->pipes[i]);
		n.busy += pipe_busy(c->pipes[i]);
	}
	return n;
}

bool
crew_closed(const struct crew *c)
{
	for (int i = 0; i < c->count; i++)
		if (!pipe_closed(c->pipes[i]))
			return false;
	return true;
}

void
crew_hints(const struct crew *c, int64_t ret_from_ids[LANES_MAX])
{
	for (int i = 0; i < c->count; i++)
		ret_from_ids[i] = pipe_owned(c->pipes[i]) ? pipe_hint(c->pipes[i]) : LADDER_BOTTOM;
}

bool
crew_quiet(const struct crew *c)
{
	for (int i = 0; i < c->count; i++)
		if (!pipe_quiet(c->pipes[i]))
			return false;
	return true;
}
