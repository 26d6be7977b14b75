/* link.h - when to open a session again that was lost: after a pause that grows, until it was up again. */
#ifndef PGOUTBOX_RELAY_LINK_H
#define PGOUTBOX_RELAY_LINK_H

#include "base/backoff.h"
#include "base/watch.h"

#define LINK_MAX_MS 2000 /* the longest pause */

struct link {
	struct watch timer; /* to be added to the loop by whoever embeds the link */
	struct backoff backoff;
	void (*open)(void *ctx);
	void *ctx;
};

void link_init(struct link *link, void (*open)(void *ctx), void *ctx);
void link_up(struct link *link);   /* the session serves */
void link_down(struct link *link); /* it was lost: open() will be called after a pause */
void link_stop(struct link *link); /* no more open() */

#endif
