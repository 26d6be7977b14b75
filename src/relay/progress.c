/* progress.c - in: is there work, and how much was acknowledged; out: does it stall. Knows no lanes. */
#include "relay/progress.h"

bool
progress_stalls(struct progress *p, bool work, uint64_t sent, int64_t now_us)
{
	if (!work || sent != p->sent || p->moved_us == 0)
		p->moved_us = now_us;
	p->sent = sent;
	return now_us - p->moved_us >= PROGRESS_PATIENCE_US;
}
