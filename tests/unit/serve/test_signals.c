/* Signals arrive through the loop, and nowhere else. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "serve/loop.h"
#include "serve/signals.h"
#include "support/tap.h"

static int seen[8];
static int seen_count;

static void
on_signal(void *ctx, int signo)
{
	(void)ctx;
	if (seen_count < 8)
		seen[seen_count++] = signo;
}

static struct loop *l;
static struct signals *s;

static void
setup(void)
{
	struct error err;
	seen_count = 0;
	TAP_INT_FATAL(loop_new(&l, &err), 0);
	TAP_INT_FATAL(signals_new(on_signal, NULL, &s, &err), 0);
	TAP_INT_FATAL(loop_add(l, signals_watch(s), &err), 0);
}

static void
teardown(void)
{
	loop_remove(l, signals_watch(s));
	signals_free(s);
	loop_free(l);
}

static void
turn(int64_t max_wait_us)
{
	struct error err;
	TAP_INT_FATAL(loop_once(l, max_wait_us, &err), 0);
}

static void
each_is_delivered(void)
{
	static const int all[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
	for (int i = 0; i < 4; i++) {
		seen_count = 0;
		TAP_INT(kill(getpid(), all[i]), 0);
		turn(900000);
		TAP_INT(seen_count, 1);
		TAP_INT(seen[0], all[i]);
	}
	turn(0);
	TAP_INT(seen_count, 1);
}

static void
several_at_once(void)
{
	int hups = 0, terms = 0;
	kill(getpid(), SIGHUP);
	kill(getpid(), SIGHUP);
	kill(getpid(), SIGTERM);
	for (int i = 0; i < 4; i++)
		turn(0);
	for (int i = 0; i < seen_count; i++) {
		hups += seen[i] == SIGHUP;
		terms += seen[i] == SIGTERM;
	}
	TAP_INT(hups, 1);
	TAP_INT(terms, 1);
}

static void *
send_oneself_hup(void *ctx)
{
	(void)ctx;
	kill(getpid(), SIGHUP);
	return NULL;
}

static void
threads_inherit_the_mask(void)
{
	pthread_t thread;
	TAP_INT_FATAL(pthread_create(&thread, NULL, send_oneself_hup, NULL), 0);
	pthread_join(thread, NULL);
	turn(900000);
	TAP_INT(seen_count, 1);
	TAP_INT(seen[0], SIGHUP);
}

static void
broken_pipe_is_ignored(void)
{
	int fds[2];
	TAP_INT_FATAL(pipe(fds), 0);
	close(fds[0]);
	TAP_INT(write(fds[1], "x", 1), -1);
	close(fds[1]);
}

static void
free_within_callback(void *ctx, int signo)
{
	(void)signo;
	struct signals **held = ctx;
	loop_remove(l, signals_watch(*held));
	signals_free(*held);
	*held = NULL;
}

static void
callback_may_free(void)
{
	struct error err;
	struct signals *own;
	loop_remove(l, signals_watch(s));
	TAP_INT_FATAL(signals_new(free_within_callback, &own, &own, &err), 0);
	TAP_INT_FATAL(loop_add(l, signals_watch(own), &err), 0);
	kill(getpid(), SIGUSR1);
	turn(900000);
	CU_ASSERT_PTR_NULL(own);
}

int
main(void)
{
	signals_block();
	tap_suite_fixture("signals", setup, teardown);
	tap_test("each of the four is delivered", each_is_delivered);
	tap_test("several at once, equal ones as one", several_at_once);
	tap_test("threads inherit the mask", threads_inherit_the_mask);
	tap_test("a broken pipe is ignored", broken_pipe_is_ignored);
	tap_test("the callback may free the signals", callback_may_free);
	return tap_run();
}
