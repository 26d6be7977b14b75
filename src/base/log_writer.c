/* log_writer.c - two halves of a buffer: callers fill one, the thread writes out the other, then they change places.
 *
 * Knows nothing of what the lines say. No memory is asked for after the beginning.
 */
#include "base/log_writer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/worker.h"

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
	struct worker worker;
	struct half halves[2];
	struct half *filling;
	uint64_t lines_in, lines_out;
	uint64_t dropped;
	int64_t hurry_until_us; /* nobody waits before */
};

/* A full disk may have room in a while, a pipe may find a new reader. */
static void
pause_after(struct log_writer *w, int reason)
{
	if (reason == EAGAIN) /* somebody else has made the descriptor non-blocking */
		poll(&(struct pollfd){.fd = w->opt.fd, .events = POLLOUT}, 1, RETRY_MS);
	else
		worker_pause(&w->worker, clock_mono_us() + RETRY_US);
}

static void
write_line(struct log_writer *w, const char *line, size_t len)
{
	for (size_t done = 0; done < len && !worker_abandoned(&w->worker);) {
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

	pthread_mutex_lock(&w->worker.lock);
	if (!w->worker.abandoned)
		len = w->opt.tell_dropped(w->opt.ctx, dropped, ret_line, size);
	pthread_mutex_unlock(&w->worker.lock);
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
	pthread_mutex_unlock(&w->worker.lock);
	write_half(w, full);
	pthread_mutex_lock(&w->worker.lock);
	full->len = 0;
	full->dropped = 0;
	w->lines_out = lines;
}

static int64_t
turn(void *owner)
{
	struct log_writer *w = owner;

	if (w->filling->len == 0)
		return CLOCK_NEVER;
	write_what_is_there(w);
	return 0;
}

static const struct worker_calls calls = {.turn = turn, .destroy = free};

int
log_writer_new(const struct log_writer_options *opt, struct log_writer **ret_writer, struct error *err)
{
	struct log_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	w->opt = *opt;
	w->filling = &w->halves[0];
	if (worker_start(&w->worker, "log", &calls, w, err) != 0) {
		free(w);
		return -1;
	}
	*ret_writer = w;
	return 0;
}

bool
log_writer_free(struct log_writer *w, int64_t wait_us)
{
	return worker_end(&w->worker, clock_mono_us() + wait_us);
}

static void
await_line(struct log_writer *w, uint64_t line)
{
	int64_t start_us = clock_mono_us(), now_us = start_us;

	if (w->lines_out != line - 1 || start_us < w->hurry_until_us)
		return;
	while (w->lines_out < line && now_us < start_us + HANDOFF_US) {
		worker_await(&w->worker, start_us + HANDOFF_US);
		now_us = clock_mono_us();
	}
	w->hurry_until_us = now_us + HANDOFF_SHARE * (now_us - start_us);
}

void
log_writer_put(struct log_writer *w, const char *line, size_t len)
{
	struct half *half;

	assert(len > 0 && len <= LOG_WRITER_LINE_MAX && line[len - 1] == '\n');
	pthread_mutex_lock(&w->worker.lock);
	half = w->filling;
	if (half->dropped > 0 || len > sizeof(half->text) - half->len) {
		half->dropped++;
		w->dropped++;
	} else {
		memcpy(half->text + half->len, line, len);
		half->len += len;
		w->lines_in++;
		pthread_cond_signal(&w->worker.wake);
		await_line(w, w->lines_in);
	}
	pthread_mutex_unlock(&w->worker.lock);
}

uint64_t
log_writer_dropped(struct log_writer *w)
{
	uint64_t dropped;

	pthread_mutex_lock(&w->worker.lock);
	dropped = w->dropped;
	pthread_mutex_unlock(&w->worker.lock);
	return dropped;
}
