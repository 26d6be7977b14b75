/* thread.c - a function in, a thread that runs it out. */
#include "base/thread.h"

#include <signal.h>

int
thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *ctx), void *ctx)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(ret_thread, NULL, run, ctx);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed == 0)
		pthread_setname_np(*ret_thread, name);
	return failed;
}
