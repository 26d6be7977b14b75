/* link.c - in: up and down; out: open() in time. Knows no session. */
#include "relay/link.h"

#include <stdint.h>

#include "base/clock.h"

#define LINK_MIN_MS 100

static void
fire(struct watch *w, short revents, int64_t now_us)
{
	struct link *link = (struct link *)w;

	(void)revents;
	(void)now_us;
	w->deadline_us = CLOCK_NEVER;
	link->open(link->ctx);
}

void
link_init(struct link *link, void (*open)(void *ctx), void *ctx)
{
	link->timer = (struct watch){.fd = -1, .deadline_us = CLOCK_NEVER, .fire = fire};
	backoff_init(&link->backoff, LINK_MIN_MS, LINK_MAX_MS, (uint64_t)clock_mono_us() ^ (uint64_t)(uintptr_t)link);
	link->open = open;
	link->ctx = ctx;
}

void
link_up(struct link *link)
{
	backoff_reset(&link->backoff);
}

void
link_down(struct link *link)
{
	link->timer.deadline_us = clock_mono_us() + backoff_next_ms(&link->backoff) * 1000LL;
}

void
link_stop(struct link *link)
{
	link->timer.deadline_us = CLOCK_NEVER;
}
