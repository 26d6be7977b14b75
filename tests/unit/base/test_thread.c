/* Tests of src/base/thread.c. */
#include <signal.h>
#include <string.h>

#include "base/thread.h"
#include "support/tap.h"

static sigset_t blocked;

static void *
look(void *ctx)
{
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	return ctx;
}

static void
all_signals_are_blocked(void)
{
	int here;
	void *result = NULL;
	pthread_t thread;
	sigset_t before, after;

	sigemptyset(&blocked);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	TAP_INT_FATAL(thread_start(&thread, "looks", look, &here), 0);
	TAP_INT(pthread_join(thread, &result), 0);
	CU_ASSERT_PTR_EQUAL(result, &here);
	TAP_INT(sigismember(&blocked, SIGTERM), 1);
	TAP_INT(sigismember(&blocked, SIGUSR1), 1);
	TAP_INT(sigismember(&blocked, SIGALRM), 1);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	TAP_INT(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
	TAP_INT(sigismember(&after, SIGALRM), 0);
}

static void *
tell_name(void *ctx)
{
	char name[16];

	pthread_getname_np(pthread_self(), name, sizeof(name));
	strcpy(ctx, name);
	return NULL;
}

static void
has_a_name(void)
{
	char name[16] = "";
	pthread_t thread;

	for (int i = 0; i < 100 && strcmp(name, "named") != 0; i++) { /* it may begin before it is named */
		TAP_INT_FATAL(thread_start(&thread, "named", tell_name, name), 0);
		pthread_join(thread, NULL);
	}
	TAP_STR(name, "named");
}

int
main(void)
{
	tap_suite("thread");
	tap_test("all signals are blocked", all_signals_are_blocked);
	tap_test("a thread has its name", has_a_name);
	return tap_run();
}
