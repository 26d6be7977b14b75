/* failpoint.c - ends the daemon, stops it, or has its loop hang, at a point of base/failpoint.def.
 *
 *   PGOUTBOX_FAILPOINT=NAME:N        SIGKILL at the N-th arrival
 *   PGOUTBOX_FAILPOINT=NAME:N:stop   SIGSTOP there
 *   PGOUTBOX_FAILPOINT=NAME:N:hang   this thread stays there for good, the others go on
 *
 * Only in tests/support/pgoutboxd-failpoints, never in the product.
 */
#include "base/failpoint.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const struct {
	const char *name, *sentence;
} points[FAILPOINTS] = {
#define FAILPOINT_ROW(name, sentence) {#name, sentence},
#include "base/failpoint.def"
#undef FAILPOINT_ROW
};

static struct {
	enum failpoint point;
	unsigned long arrivals_left; /* 0 = not armed */
	int signo;
	bool hangs;
} armed;

/* A test that arms what is not there would wait in vain. */
static _Noreturn void
misspelt(const char *text)
{
	fprintf(stderr, "PGOUTBOX_FAILPOINT=\"%s\" is not NAME:N, NAME:N:stop or NAME:N:hang with a name of failpoint.def\n", text);
	_exit(EX_USAGE);
}

static void __attribute__((constructor))
arm(void)
{
	const char *text = getenv("PGOUTBOX_FAILPOINT");
	const char *colon = text != NULL ? strchr(text, ':') : NULL;
	char *end;

	if (text == NULL)
		return;
	if (colon == NULL)
		misspelt(text);
	for (armed.point = 0; armed.point < FAILPOINTS; armed.point++)
		if (strlen(points[armed.point].name) == (size_t)(colon - text) &&
		    strncmp(points[armed.point].name, text, (size_t)(colon - text)) == 0)
			break;
	armed.arrivals_left = strtoul(colon + 1, &end, 10);
	armed.signo = strcmp(end, ":stop") == 0 ? SIGSTOP : SIGKILL;
	armed.hangs = strcmp(end, ":hang") == 0;
	if (armed.point == FAILPOINTS || armed.arrivals_left == 0 || (*end != '\0' && armed.signo == SIGKILL && !armed.hangs))
		misspelt(text);
}

void
failpoint_reached(enum failpoint point)
{
	if (armed.arrivals_left == 0 || point != armed.point || --armed.arrivals_left > 0)
		return;
	/* Nothing that this process had in mind may reach a log or a socket any more. */
	dprintf(STDERR_FILENO, "failpoint %s: %s\n", points[point].name, points[point].sentence);
	while (armed.hangs)
		pause();
	kill(getpid(), armed.signo);
}
