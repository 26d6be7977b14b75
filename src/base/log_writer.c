/* log_writer.c - two halves of a buffer: callers fill one, the thread writes out the other, then they change places.
 *
 * Knows nothing of what the lines say. No memory is asked for after the beginning.
 */
#include "base/log_writer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

#define HALF_BYTES 131072
#define HANDOFF_US 10000  /* the longest that a caller waits for its line */
#define HANDOFF_SHARE 20  /* and after that, so many times as long nobody does */
#define RETRY_US 1000000  /* after a write that failed */
#define RETRY_MS ((int)(RETRY_US / 1000))

_Static_assert(LOG_WRITER_LINE_MAX <= HALF_BYTES, "a line fits into an empty half");

struct half {
	char text[HALF_BYTES];
	size_t len;
	uint64_t dropped; /* after the text: once one line did not fit, none does, or the order would be lost */
};

struct log_writer {
	struct log_writer_options opt;
	pthread_t thread;
	pthread_mutex_t lock; /* never held during a write */
	pthread_cond_t wake;  /* for the thread: there are lines, or it is to end */
	pthread_cond_t out;   /* for the others: lines are out */
	struct half halves[2];
	struct half *filling;
	uint64_t lines_in, lines_out;
	uint64_t dropped;
	int64_t hurry_until_us; /* nobody waits before */
	bool closing;           /* ends when everything is out */
	bool abandoned;         /* ends as soon as it can, and frees */
	bool ended;
};

/* Waits no longer than until that time of the monotonic clock; may wake early. */
static void
wait_until(pthread_cond_t *cond, struct log_writer *w, int64_t until_us)
{
	struct timespec t = {.tv_sec = (time_t)(until_us / 1000000), .tv_nsec = (long)(until_us % 1000000) * 1000};

	pthread_cond_timedwait(cond, &w->lock, &t);
}

static bool
is_abandoned(struct log_writer *w)
{
	bool abandoned;

	pthread_mutex_lock(&w->lock);
	abandoned = w->abandoned;
	pthread_mutex_unlock(&w->lock);
	return abandoned;
}

/* A full disk may have room in a while, a pipe may find a new reader. */
static void
pause_after(struct log_writer *w, int reason)
{
	int64_t until_us = clock_mono_us() + RETRY_US;

	if (reason == EAGAIN) { /* somebody else has made the descriptor non-blocking */
		poll(&(struct pollfd){.fd = w->opt.fd, .events = POLLOUT}, 1, RETRY_MS);
		return;
	}
	pthread_mutex_lock(&w->lock);
	while (!w->abandoned && clock_mono_us() < until_us)
		wait_until(&w->wake, w, until_us);
	pthread_mutex_unlock(&w->lock);
}

static void
write_line(struct log_writer *w, const char *line, size_t len)
{
	for (size_t done = 0; done < len && !is_abandoned(w);) {
		ssize_t n = write(w->opt.fd, line + done, len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			pause_after(w, n == 0 ? 0 : errno);
	}
}

/* Once abandoned, nothing that is not the writer's own may be touched. */
static size_t
tell_dropped(struct log_writer *w, uint64_t dropped, char *ret_line, size_t size)
{
	size_t len = 0;

	pthread_mutex_lock(&w->lock);
	if (!w->abandoned)
		len = w->opt.tell_dropped(w->opt.ctx, dropped, ret_line, size);
	pthread_mutex_unlock(&w->lock);
	return len;
}

/* One write(2) a line: what others write to the same place comes between lines, not into one. */
static void
write_half(struct log_writer *w, const struct half *half)
{
	char told[512];
	size_t len;

	for (const char *line = half->text, *end = half->text + half->len; line < end; line += len) {
		len = (size_t)((const char *)memchr(line, '\n', (size_t)(end - line)) - line) + 1;
		write_line(w, line, len);
	}
	len = half->dropped > 0 ? tell_dropped(w, half->dropped, told, sizeof(told)) : 0;
	write_line(w, told, len);
}

/* With the lock held, but for the writing itself. */
static void
write_what_is_there(struct log_writer *w)
{
	struct half *full = w->filling;
	uint64_t lines = w->lines_in;

	w->filling = full == &w->halves[0] ? &w->halves[1] : &w->halves[0];
	pthread_mutex_unlock(&w->lock);
	write_half(w, full);
	pthread_mutex_lock(&w->lock);
	full->len = 0;
	full->dropped = 0;
	w->lines_out = lines;
	pthread_cond_broadcast(&w->out);
}

static void
destroy(struct log_writer *w)
{
	pthread_cond_destroy(&w->out);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static void *
run(void *ctx)
{
	struct log_writer *w = ctx;
	bool abandoned;

	pthread_mutex_lock(&w->lock);
	while (!w->abandoned && (w->filling->len > 0 || !w->closing)) {
		if (w->filling->len > 0)
			write_what_is_there(w);
		else
			pthread_cond_wait(&w->wake, &w->lock);
	}
	w->ended = true;
	abandoned = w->abandoned;
	pthread_cond_broadcast(&w->out);
	pthread_mutex_unlock(&w->lock);
	if (abandoned)
		destroy(w);
	return NULL;
}

static void
init_conditions(struct log_writer *w)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_cond_init(&w->out, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&w->lock, NULL);
}

int
log_writer_new(const struct log_writer_options *opt, struct log_writer **ret_writer, struct error *err)
{
	struct log_writer *w = calloc(1, sizeof(*w));
	int failed;

	if (w == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	w->opt = *opt;
	w->filling = &w->halves[0];
	init_conditions(w);
	failed = thread_start(&w->thread, "log", run, w);
	if (failed != 0) {
		destroy(w);
		return error_set(err, ERR_FATAL, "could not start the log's thread: %s", strerror(failed));
	}
	*ret_writer = w;
	return 0;
}

bool
log_writer_free(struct log_writer *w, int64_t wait_us)
{
	int64_t until_us = clock_mono_us() + wait_us;
	bool ended;

	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_signal(&w->wake);
	while (!w->ended && clock_mono_us() < until_us)
		wait_until(&w->out, w, until_us);
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

static void
await_line(struct log_writer *w, uint64_t line)
{
	int64_t start_us = clock_mono_us(), now_us = start_us;

	if (w->lines_out != line - 1 || start_us < w->hurry_until_us)
		return;
	while (w->lines_out < line && now_us < start_us + HANDOFF_US) {
		wait_until(&w->out, w, start_us + HANDOFF_US);
		now_us = clock_mono_us();
	}
	w->hurry_until_us = now_us + HANDOFF_SHARE * (now_us - start_us);
}

void
log_writer_put(struct log_writer *w, const char *line, size_t len)
{
	struct half *half;

	assert(len > 0 && len <= LOG_WRITER_LINE_MAX && line[len - 1] == '\n');
	pthread_mutex_lock(&w->lock);
	half = w->filling;
	if (half->dropped > 0 || len > sizeof(half->text) - half->len) {
		half->dropped++;
		w->dropped++;
	} else {
		memcpy(half->text + half->len, line, len);
		half->len += len;
		w->lines_in++;
		pthread_cond_signal(&w->wake);
		await_line(w, w->lines_in);
	}
	pthread_mutex_unlock(&w->lock);
}

uint64_t
log_writer_dropped(struct log_writer *w)
{
	uint64_t dropped;

	pthread_mutex_lock(&w->lock);
	dropped = w->dropped;
	pthread_mutex_unlock(&w->lock);
	return dropped;
}
