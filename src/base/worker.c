/* worker.c - an owner's turns in; a thread that does them, and its end, out. Knows nothing of what is worked off. */
#include "base/worker.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"

static void
wait_until(pthread_cond_t *cond, struct worker *w, int64_t until_us)
{
	struct timespec t = {.tv_sec = (time_t)(until_us / 1000000), .tv_nsec = (long)(until_us % 1000000) * 1000};

	if (until_us == CLOCK_NEVER)
		pthread_cond_wait(cond, &w->lock);
	else
		pthread_cond_timedwait(cond, &w->lock, &t);
}

void
worker_await(struct worker *w, int64_t until_us)
{
	wait_until(&w->turned, w, until_us);
}

bool
worker_abandoned(struct worker *w)
{
	bool abandoned;

	pthread_mutex_lock(&w->lock);
	abandoned = w->abandoned;
	pthread_mutex_unlock(&w->lock);
	return abandoned;
}

void
worker_pause(struct worker *w, int64_t until_us)
{
	pthread_mutex_lock(&w->lock);
	while (!w->abandoned && clock_mono_us() < until_us)
		wait_until(&w->wake, w, until_us);
	pthread_mutex_unlock(&w->lock);
}

static void
init(struct worker *w)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_cond_init(&w->turned, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&w->lock, NULL);
}

static void
done(struct worker *w)
{
	pthread_cond_destroy(&w->turned);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
}

static void
destroy(struct worker *w)
{
	done(w);
	w->calls->destroy(w->owner);
}

/* With the lock held. */
static void
work(struct worker *w)
{
	while (!w->abandoned) {
		int64_t due_us = w->calls->turn(w->owner);

		pthread_cond_broadcast(&w->turned);
		if (due_us == CLOCK_NEVER && w->closing)
			return;
		if (due_us != 0)
			wait_until(&w->wake, w, due_us);
	}
}

static void *
run(void *ctx)
{
	struct worker *w = ctx;
	bool abandoned;

	pthread_mutex_lock(&w->lock);
	work(w);
	w->ended = true;
	abandoned = w->abandoned;
	pthread_cond_broadcast(&w->turned);
	pthread_mutex_unlock(&w->lock);
	if (abandoned)
		destroy(w);
	return NULL;
}

int
worker_start(struct worker *w, const char *name, const struct worker_calls *calls, void *owner, struct error *err)
{
	int failed;

	*w = (struct worker){.calls = calls, .owner = owner};
	init(w);
	failed = thread_start(&w->thread, name, run, w);
	if (failed == 0)
		return 0;
	done(w);
	return error_set(err, ERR_FATAL, "could not start the %s's thread: %s", name, strerror(failed));
}

bool
worker_end(struct worker *w, int64_t until_us)
{
	bool ended;

	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_signal(&w->wake);
	while (!w->ended && clock_mono_us() < until_us)
		worker_await(w, until_us);
	ended = w->ended;
	w->abandoned = !ended;
	if (!ended) {
		pthread_cond_signal(&w->wake);
		pthread_detach(w->thread);
	}
	pthread_mutex_unlock(&w->lock);
	if (ended) {
		pthread_join(w->thread, NULL);
		destroy(w);
	}
	return ended;
}
