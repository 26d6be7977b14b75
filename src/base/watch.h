/* watch.h - one thing a loop waits for: a file descriptor, a deadline, or both.
 *
 * The owner embeds a struct watch and changes its fields whenever it likes, from within the loop's thread;
 * the loop reads them afresh before each poll(2). So rooms that know nothing of the loop can be driven by it.
 */
#ifndef PGOUTBOX_BASE_WATCH_H
#define PGOUTBOX_BASE_WATCH_H

#include <stdint.h>

struct watch {
	int fd;              /* -1 = none */
	short events;        /* POLLIN, POLLOUT */
	int64_t deadline_us; /* monotonic; CLOCK_NEVER = none. fire() moves it on, or it fires again at once */
	/* revents as poll(2) gave them, 0 when only the deadline passed. Must not block. */
	void (*fire)(struct watch *w, short revents, int64_t now_us);
};

#endif
