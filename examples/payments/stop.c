/* stop.c - the signals stay blocked and pending: whether one is there is all that anybody asks. */
#include "stop.h"

#include <signal.h>
#include <stddef.h>

void
stop_block(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
}

bool
stop_wanted(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}
