/* flusher.c - see flusher.h. In: what was sent and reported; out: flushes. */
#include "sink/flusher.h"

#include "base/clock.h"

#define FEW 256

/* How long librdkafka takes what comes as to be sent at once: the shortest that it knows. A thread of its that does not
 * run in time misses the flush, and its messages linger. */
#define FLUSH_MS 1

static int64_t
turn(void *owner)
{
	struct flusher *f = owner;

	if (!f->rung)
		return CLOCK_NEVER;
	f->rung = false;
	pthread_mutex_unlock(&f->worker.lock);
	rd_kafka_flush(f->rk, FLUSH_MS);
	pthread_mutex_lock(&f->worker.lock);
	return 0;
}

static void
destroy(void *owner)
{
	struct flusher *f = owner;

	f->rk = NULL;
}

static const struct worker_calls calls = {.turn = turn, .destroy = destroy};

int
flusher_start(struct flusher *f, rd_kafka_t *rk, struct error *err)
{
	*f = (struct flusher){.rk = rk};
	if (worker_start(&f->worker, "flusher", &calls, f, err) == 0)
		return 0;
	f->rk = NULL;
	err->kind = ERR_RETRY;
	return -1;
}

void
flusher_stop(struct flusher *f)
{
	if (f->rk != NULL)
		worker_end(&f->worker, CLOCK_NEVER);
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
	if (!pays)
		return;
	pthread_mutex_lock(&f->worker.lock);
	f->rung = true;
	pthread_cond_signal(&f->worker.wake);
	pthread_mutex_unlock(&f->worker.lock);
}
