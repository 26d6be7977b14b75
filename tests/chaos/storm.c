/* storm.c - a plan in, blows out, each at its time. One thread, which nothing holds up for long. */
#include "chaos/storm.h"

#include <stdlib.h>

#include "base/clock.h"
#include "chaos/faults.h"
#include "support/tap.h"

enum { TICK_MS = 5, NEWS_MS = 15000, UNDO_MS = 240000 };

/* How far a line is. */
struct place {
	const struct line *line;
	size_t next;
	struct blow *blow; /* that is going on; NULL */
	int64_t over_us;   /* when the last one was */
};

static void
strike(struct stage *s, struct place *at, int64_t now_us, struct storm_counts *counts)
{
	const struct strike *k = &at->line->strikes[at->next++];
	struct blow *b = calloc(1, sizeof(*b));

	if (b == NULL)
		abort();
	b->strike = k;
	b->target = at->line->target;
	b->over_us = now_us + k->lasts_ms * 1000;
	b->child = PROC_NONE;
	if (fault_begin(s, b)) {
		counts->struck[k->fault]++;
		stage_note(s, "[%s %d] %s; for %lld ms", plan_group_name(at->line->group), b->target, plan_fault_text(k->fault),
		           (long long)k->lasts_ms);
		at->blow = b;
		return;
	}
	counts->missed[k->fault]++;
	stage_note(s, "[%s %d] could not be done: %s", plan_group_name(at->line->group), b->target, plan_fault_text(k->fault));
	at->over_us = now_us;
	free(b);
}

static void
undo(struct stage *s, struct place *at)
{
	struct blow *b = at->blow;

	if (fault_end(s, b)) {
		stage_note(s, "[%s %d] over", plan_group_name(at->line->group), b->target);
		free(b);
		at->blow = NULL;
		at->over_us = clock_mono_us();
	} else if (clock_mono_us() - b->undoing_us > (int64_t)UNDO_MS * 1000) {
		tap_diag("could not be undone: %s", plan_fault_text(b->strike->fault));
		CU_FAIL_FATAL("chaos stays");
	}
}

/* False when there is nothing more to do in this line. What could not begin in time, since others took longer, is left
 * out. */
static bool
advance(struct stage *s, struct place *at, int64_t last_us, struct storm_counts *counts)
{
	int64_t now_us = clock_mono_us();

	if (at->blow != NULL) {
		if (now_us >= at->blow->over_us)
			undo(s, at);
		return true;
	}
	if (at->next == at->line->count || now_us > last_us)
		return false;
	if (now_us >= at->over_us + at->line->strikes[at->next].pause_ms * 1000)
		strike(s, at, now_us, counts);
	return true;
}

static void
tell_news(const struct stage *s, const struct storm_counts *counts)
{
	int64_t struck = 0;

	for (int f = 0; f < FAULTS; f++)
		struck += counts->struck[f];
	tap_diag("%5lld s: %lld events written, %lld times something was done to a part",
	         (long long)((clock_mono_us() - s->start_us) / 1000000), (long long)stage_written(s), (long long)struck);
}

void
storm_run(struct stage *s, const struct plan *plan, struct storm_counts *ret_counts)
{
	struct place *places = calloc(plan->count + 1, sizeof(*places));
	int64_t end_us = s->start_us + plan->length_ms * 1000, last_us = plan->whole ? CLOCK_NEVER : end_us;
	int64_t news_us = s->start_us;
	bool busy = true;

	if (places == NULL)
		abort();
	*ret_counts = (struct storm_counts){.struck = {0}};
	for (size_t i = 0; i < plan->count; i++)
		places[i] = (struct place){.line = &plan->lines[i], .over_us = s->start_us};
	while (busy || clock_mono_us() < end_us) {
		busy = false;
		for (size_t i = 0; i < plan->count; i++)
			busy |= advance(s, &places[i], last_us, ret_counts);
		stage_look_after_relays(s);
		if (clock_mono_us() - news_us > (int64_t)NEWS_MS * 1000) {
			tell_news(s, ret_counts);
			news_us = clock_mono_us();
		}
		proc_sleep_ms(TICK_MS);
	}
	free(places);
}
