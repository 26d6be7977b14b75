/* failpoint.h - places where a test may end the daemon, listed in failpoint.def.
 *
 * The product knows nothing of them: without PGOUTBOX_FAILPOINTS, which only a variant of the daemon for tests is built
 * with, they are no code at all. There, tests/support/failpoint.c decides what happens. The condition must have no side
 * effects.
 */
#ifndef PGOUTBOX_BASE_FAILPOINT_H
#define PGOUTBOX_BASE_FAILPOINT_H

#ifdef PGOUTBOX_FAILPOINTS

enum failpoint {
#define FAILPOINT_ROW(name, sentence) FAILPOINT_##name,
#include "base/failpoint.def"
#undef FAILPOINT_ROW
	FAILPOINTS
};

void failpoint_reached(enum failpoint point);

#define FAILPOINT(name) failpoint_reached(FAILPOINT_##name)
#define FAILPOINT_IF(condition, name)                \
	do {                                         \
		if (condition)                       \
			FAILPOINT(name);             \
	} while (0)

#else

#define FAILPOINT(name) ((void)0)
#define FAILPOINT_IF(condition, name) ((void)0)

#endif

#endif
