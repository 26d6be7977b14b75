/* loop.c - watches in, calls of fire() out.
 *
 * Watches sit in slots that do not move during a round: removing empties a slot, adding appends one beyond those
 * that were polled, and the gaps are closed before the next poll(2). So a round meets no watch that it should not.
 * Must not know what the watches are about.
 */
#include "serve/loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

struct loop {
	struct watch **slots; /* NULL = removed */
	struct pollfd *polled; /* parallel to slots */
	size_t count;
	size_t capacity;
	bool in_round;
	bool stopping;
	int64_t round_us; /* start of the round under way, or of the last one; 0 = none yet */
	struct loop_stats stats;
	void (*late)(void *ctx, int64_t lag_us);
	void *late_ctx;
	int64_t awake_us; /* the thread last looked at the clock, which counts suspension */
	struct loop_gap *gaps;
	_Atomic int64_t last_turn_us;
};

int
loop_new(struct loop **ret_loop, struct error *err)
{
	struct loop *l = calloc(1, sizeof(*l));
	if (l == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	l->awake_us = clock_boot_us();
	atomic_init(&l->last_turn_us, clock_mono_us());
	*ret_loop = l;
	return 0;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	free(l->slots);
	free(l->polled);
	free(l);
}

static int
grow(struct loop *l)
{
	size_t capacity = l->capacity == 0 ? 16 : 2 * l->capacity;
	struct watch **slots = realloc(l->slots, capacity * sizeof(struct watch *));
	if (slots == NULL)
		return -1;
	l->slots = slots;
	struct pollfd *polled = realloc(l->polled, capacity * sizeof(*polled));
	if (polled == NULL)
		return -1;
	l->polled = polled;
	l->capacity = capacity;
	return 0;
}

static bool
find(const struct loop *l, const struct watch *w, size_t *ret_slot)
{
	for (size_t i = 0; i < l->count; i++) {
		if (l->slots[i] == w) {
			*ret_slot = i;
			return true;
		}
	}
	return false;
}

int
loop_add(struct loop *l, struct watch *w, struct error *err)
{
	size_t slot;
	assert(w != NULL && w->fire != NULL && !find(l, w, &slot));
	if (l->count == l->capacity && grow(l) < 0)
		return error_set(err, ERR_FATAL, "out of memory");
	l->slots[l->count++] = w;
	return 0;
}

void
loop_remove(struct loop *l, struct watch *w)
{
	size_t slot;
	if (w != NULL && find(l, w, &slot))
		l->slots[slot] = NULL;
}

static void
close_gaps(struct loop *l)
{
	size_t kept = 0;
	for (size_t i = 0; i < l->count; i++) {
		if (l->slots[i] != NULL)
			l->slots[kept++] = l->slots[i];
	}
	l->count = kept;
}

/* Reads the watches' wishes afresh; returns the time to wait. What is to be polled comes without gaps: poll(2) refuses
 * more entries than descriptors may be open, though most watches are timers. */
static int64_t
prepare(struct loop *l, int64_t max_wait_us, int64_t now_us, size_t *ret_asked)
{
	size_t asked = 0;
	int64_t wait_us = max_wait_us < LOOP_TURN_MAX_US ? max_wait_us : LOOP_TURN_MAX_US;
	for (size_t i = 0; i < l->count; i++) {
		const struct watch *w = l->slots[i];
		if (w->fd >= 0)
			l->polled[asked++] = (struct pollfd){.fd = w->fd, .events = w->events};
		if (w->deadline_us <= now_us)
			wait_us = 0;
		else if (w->deadline_us < CLOCK_NEVER && w->deadline_us - now_us < wait_us)
			wait_us = w->deadline_us - now_us;
	}
	*ret_asked = asked;
	return wait_us < 0 ? 0 : wait_us;
}

/* Puts what was polled beside its slot again; from the end, so that nothing is overwritten before it is read. */
static void
spread(struct loop *l, size_t asked)
{
	for (size_t i = l->count; i-- > 0;)
		l->polled[i] = l->slots[i]->fd >= 0 ? l->polled[--asked] : (struct pollfd){.fd = -1};
}

/* What was polled counts only as far as the watch still asks for it. */
static short
still_wanted(const struct watch *w, const struct pollfd *polled)
{
	if (w->fd < 0 || w->fd != polled->fd)
		return 0;
	return (short)(polled->revents & (w->events | POLLERR | POLLHUP | POLLNVAL));
}

/* Before any watch fires, for the thread may be stopped anywhere: what comes after must not act on what was true before. */
static void
look_at_clock(struct loop *l)
{
	int64_t now_us = clock_boot_us(), away_us = now_us - l->awake_us;

	l->awake_us = now_us;
	for (struct loop_gap *g = l->gaps; g != NULL; g = g->next)
		if (away_us >= g->gap_us)
			g->absent(g->ctx, away_us);
}

static bool
has_reason(const struct watch *w, const struct pollfd *polled, int64_t now_us)
{
	return w != NULL && (w->deadline_us <= now_us || still_wanted(w, polled) != 0);
}

static void
fire_round(struct loop *l, int64_t previous_round_us)
{
	int64_t lag_us = -1, now_us;
	size_t polled = l->count;
	l->in_round = true;
	look_at_clock(l);
	now_us = clock_mono_us();
	for (size_t i = 0; i < polled; i++) {
		if (!has_reason(l->slots[i], &l->polled[i], now_us))
			continue;
		look_at_clock(l);
		struct watch *w = l->slots[i];
		now_us = clock_mono_us();
		if (!has_reason(w, &l->polled[i], now_us))
			continue;
		if (w->deadline_us <= now_us) {
			int64_t since_us = w->deadline_us > previous_round_us ? w->deadline_us : previous_round_us;
			if (now_us - since_us > lag_us)
				lag_us = now_us - since_us;
		}
		l->stats.fires++;
		w->fire(w, still_wanted(w, &l->polled[i]), now_us);
		now_us = clock_mono_us();
	}
	l->in_round = false;
	if (lag_us > l->stats.lag_max_us)
		l->stats.lag_max_us = lag_us;
	if (lag_us >= 0 && l->late != NULL)
		l->late(l->late_ctx, lag_us);
}

int
loop_once(struct loop *l, int64_t max_wait_us, struct error *err)
{
	assert(!l->in_round);
	close_gaps(l);
	int64_t before_us = clock_mono_us();
	size_t asked;
	int64_t wait_us = prepare(l, max_wait_us, before_us, &asked);
	struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = (long)(wait_us % 1000000) * 1000};
	int polled = ppoll(l->polled, asked, &wait, NULL);
	if (polled < 0 && errno != EINTR)
		return error_set(err, ERR_FATAL, "could not poll %zu file descriptors: %s", asked, strerror(errno));
	spread(l, asked);
	int64_t previous_round_us = l->round_us == 0 ? before_us : l->round_us;
	l->round_us = clock_mono_us();
	atomic_store_explicit(&l->last_turn_us, l->round_us, memory_order_relaxed);
	l->stats.turns++;
	fire_round(l, previous_round_us);
	return 0;
}

int
loop_run(struct loop *l, struct error *err)
{
	while (!l->stopping) {
		if (loop_once(l, LOOP_TURN_MAX_US, err) < 0)
			return -1;
	}
	l->stopping = false;
	return 0;
}

void
loop_stop(struct loop *l)
{
	l->stopping = true;
}

void
loop_on_lag(struct loop *l, void (*late)(void *ctx, int64_t lag_us), void *ctx)
{
	l->late = late;
	l->late_ctx = ctx;
}

void
loop_on_gap(struct loop *l, struct loop_gap *gap)
{
	gap->next = l->gaps;
	l->gaps = gap;
}

void
loop_off_gap(struct loop *l, struct loop_gap *gap)
{
	struct loop_gap **at = &l->gaps;

	while (*at != NULL && *at != gap)
		at = &(*at)->next;
	if (*at != NULL)
		*at = gap->next;
}

struct loop_stats
loop_stats(const struct loop *l)
{
	return l->stats;
}

int64_t
loop_last_turn_us(const struct loop *l)
{
	return atomic_load_explicit(&l->last_turn_us, memory_order_relaxed);
}
