/* flusher.c - see flusher.h. In: what was sent and reported; out: flushes. */
#include "sink/flusher.h"

#include <string.h>

#include "base/thread.h"

#define FEW 256

/* How long librdkafka takes what comes as to be sent at once: the shortest that it knows. A thread of its that does not
 * run in time misses the flush, and its messages linger. */
#define FLUSH_MS 1

static void *
run(void *ctx)
{
	struct flusher *f = ctx;

	pthread_mutex_lock(&f->lock);
	while (!f->stopping) {
		if (!f->rung) {
			pthread_cond_wait(&f->bell, &f->lock);
			continue;
		}
		f->rung = false;
		pthread_mutex_unlock(&f->lock);
		rd_kafka_flush(f->rk, FLUSH_MS);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int
flusher_start(struct flusher *f, rd_kafka_t *rk, struct error *err)
{
	int failed;

	*f = (struct flusher){.rk = rk};
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->bell, NULL);
	failed = thread_start(&f->thread, "flusher", run, f);
	if (failed == 0)
		return 0;
	pthread_cond_destroy(&f->bell);
	pthread_mutex_destroy(&f->lock);
	f->rk = NULL;
	return error_set(err, ERR_RETRY, "could not start a thread: %s", strerror(failed));
}

static void
ring(struct flusher *f, bool stop)
{
	pthread_mutex_lock(&f->lock);
	f->rung = true;
	f->stopping = stop;
	pthread_cond_signal(&f->bell);
	pthread_mutex_unlock(&f->lock);
}

void
flusher_stop(struct flusher *f)
{
	if (f->rk == NULL)
		return;
	ring(f, true);
	pthread_join(f->thread, NULL);
	pthread_cond_destroy(&f->bell);
	pthread_mutex_destroy(&f->lock);
	f->rk = NULL;
}

void
flusher_sent(struct flusher *f)
{
	f->sent = true;
}

void
flusher_reported(struct flusher *f)
{
	f->reported = true;
}

bool
flusher_due(const struct flusher *f)
{
	return f->rk != NULL && (f->sent || f->reported);
}

void
flusher_turn(struct flusher *f, size_t in_flight)
{
	bool pays = f->rk != NULL && in_flight > 0 && (f->sent || (f->reported && in_flight < FEW));

	f->sent = f->reported = false;
	if (pays)
		ring(f, false);
}
