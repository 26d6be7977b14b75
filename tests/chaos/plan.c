/* plan.c - a seed in, a schedule out. Does nothing to anybody. */
#include "chaos/plan.h"

#include <stdlib.h>
#include <string.h>

/* The first seconds are for the topics to appear, the last for what was struck to be over. */
enum { FIRST_MS = 3000, LAST_MS = 2000, KILL_GAP_MS = 1500, KILL_DOWN_MS = 100 };

struct row {
	const char *name, *text;
	enum group group;
	int weight, min_ms, max_ms;
};

static const struct row rows[] = {
#define FAULT(id, group, weight, min_ms, max_ms, text) {#id, text, GROUP_##group, weight, min_ms, max_ms},
#include "chaos/faults.def"
};

static const char *const group_names[] = {"relay", "postgres", "sql", "visitors", "pgnet", "knet", "brokers"};

const char *
plan_fault_text(enum fault f)
{
	return rows[f].text;
}

const char *
plan_fault_name(enum fault f)
{
	return rows[f].name;
}

enum group
plan_fault_group(enum fault f)
{
	return rows[f].group;
}

const char *
plan_group_name(enum group g)
{
	return group_names[g];
}

int
plan_group_find(const char *name)
{
	for (int g = 0; g < GROUPS; g++) {
		if (strcmp(group_names[g], name) == 0)
			return g;
	}
	return -1;
}

/* splitmix64 */
static uint64_t
draw(uint64_t *state)
{
	uint64_t z = (*state += 0x9E3779B97F4A7C15ULL);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
	return z ^ (z >> 31);
}

static int64_t
between(uint64_t *state, int64_t low, int64_t high)
{
	return low + (int64_t)(draw(state) % (uint64_t)(high - low + 1));
}

/* Many short ones and a few that are long, up to four times the mean. */
static int64_t
pause_ms(uint64_t *state, int mean_ms)
{
	return between(state, 0, 2 * mean_ms) * between(state, 0, 2 * mean_ms) / mean_ms;
}

static int
weight_of(const struct plan_options *opt, enum fault f, enum group group)
{
	bool needs_copies = f == FAULT_BROKER_SHORT, needs_others = f == FAULT_BROKER_KILL_ALL || f == FAULT_BROKER_HANG_ALL;

	if (rows[f].group != group || (needs_copies && opt->nodes < 3) || (needs_others && opt->nodes < 2))
		return 0;
	return rows[f].weight;
}

static enum fault
choose(const struct plan_options *opt, enum group group, uint64_t *state)
{
	int sum = 0, at, f;

	for (f = 0; f < FAULTS; f++)
		sum += weight_of(opt, (enum fault)f, group);
	at = (int)between(state, 0, sum - 1);
	for (f = 0; at >= weight_of(opt, (enum fault)f, group); f++)
		at -= weight_of(opt, (enum fault)f, group);
	return (enum fault)f;
}

static void
add(struct line *l, struct strike strike)
{
	if ((l->count & (l->count - 1)) == 0) {
		l->strikes = reallocarray(l->strikes, l->count == 0 ? 1 : l->count * 2, sizeof(*l->strikes));
		if (l->strikes == NULL)
			abort();
	}
	l->strikes[l->count++] = strike;
}

static void
fill_line(const struct plan_options *opt, struct line *l, uint64_t state)
{
	int64_t pause = FIRST_MS + pause_ms(&state, opt->pause_ms), at_ms = pause;

	while (at_ms < opt->length_ms - LAST_MS) {
		struct strike strike = {.fault = choose(opt, l->group, &state), .pause_ms = pause, .draw = draw(&state)};

		strike.lasts_ms = between(&state, rows[strike.fault].min_ms, rows[strike.fault].max_ms);
		add(l, strike);
		pause = pause_ms(&state, opt->pause_ms);
		at_ms += strike.lasts_ms + pause;
	}
}

static int64_t
fill_kills(struct line *l, int kills, uint64_t state)
{
	int64_t length_ms = LAST_MS;

	for (int i = 0; i < kills; i++) {
		struct strike strike = {.fault = FAULT_RELAY_KILL, .draw = draw(&state)};

		strike.pause_ms = i == 0 ? FIRST_MS : between(&state, 1, KILL_GAP_MS);
		strike.lasts_ms = between(&state, 0, KILL_DOWN_MS);
		add(l, strike);
		length_ms += strike.pause_ms + strike.lasts_ms;
	}
	return length_ms;
}

static int
targets_of(const struct plan_options *opt, enum group group)
{
	return group == GROUP_RELAY || group == GROUP_PGNET || group == GROUP_KNET ? opt->relays : 1;
}

struct plan
plan_make(const struct plan_options *opt)
{
	struct plan p = {.length_ms = opt->length_ms, .whole = opt->kills > 0};

	p.lines = calloc(GROUPS * RELAYS_MAX, sizeof(*p.lines));
	if (p.lines == NULL)
		abort();
	for (int g = 0; g < GROUPS; g++) {
		for (int i = 0; opt->groups[g] && i < targets_of(opt, (enum group)g); i++) {
			struct line *l = &p.lines[p.count++];
			uint64_t state = opt->seed * 1000003 + (uint64_t)g * 101 + (uint64_t)i;
			int64_t length_ms;

			*l = (struct line){.group = (enum group)g, .target = i};
			if (opt->kills == 0) {
				fill_line(opt, l, state);
				continue;
			}
			length_ms = fill_kills(l, opt->kills / opt->relays + (i < opt->kills % opt->relays), state);
			if (i == 0 || length_ms > p.length_ms)
				p.length_ms = length_ms;
		}
	}
	return p;
}

void
plan_free(struct plan *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->lines[i].strikes);
	free(p->lines);
	*p = (struct plan){.count = 0};
}
