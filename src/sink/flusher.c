/* flusher.c - see flusher.h. In: what was sent, and reports that were read; out: flushes. */
#include "sink/flusher.h"

#include "base/clock.h"

#define FEW 16
#define MANY 256        /* a batch that was handed over as a whole */
#define CALM_US 50000   /* so long after more than a few were in flight they linger still */
#define OPEN_MS 20
#define BRIEF_MS 1      /* the shortest that librdkafka knows: what comes after the batch shall linger */
#define KEPT_MAX 8      /* messages of a report that is kept */
#define KEPT_US 100000  /* so long after the last report */

static int64_t
turn(void *owner)
{
	struct flusher *f = owner;
	int flush_ms = f->brief ? BRIEF_MS : OPEN_MS;

	if (!f->rung)
		return CLOCK_NEVER;
	f->rung = false;
	f->flushing = true;
	pthread_mutex_unlock(&f->worker.lock);
	rd_kafka_flush(f->rk, flush_ms);
	pthread_mutex_lock(&f->worker.lock);
	f->flushing = false;
	return 0;
}

static void
let_go_kept(struct flusher *f)
{
	if (f->kept != NULL)
		rd_kafka_event_destroy(f->kept);
	f->kept = NULL;
	f->kept_until_us = CLOCK_NEVER;
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
	*f = (struct flusher){.rk = rk, .kept_until_us = CLOCK_NEVER};
	if (worker_start(&f->worker, "flusher", &calls, f, err) == 0)
		return 0;
	f->rk = NULL;
	err->kind = ERR_RETRY;
	return -1;
}

void
flusher_stop(struct flusher *f)
{
	if (f->rk == NULL)
		return;
	let_go_kept(f);
	worker_end(&f->worker, CLOCK_NEVER);
}

void
flusher_sent(struct flusher *f)
{
	f->sent = true;
}

/* The one before goes after that, so that there is always one. */
void
flusher_reported(struct flusher *f, rd_kafka_event_t *reports, size_t count, int64_t now_us)
{
	rd_kafka_event_t *done = reports;

	f->reported = true;
	if (f->rk != NULL && count <= KEPT_MAX) {
		done = f->kept;
		f->kept = reports;
		f->kept_until_us = now_us + KEPT_US;
	}
	if (done != NULL)
		rd_kafka_event_destroy(done);
}

int64_t
flusher_deadline(const struct flusher *f)
{
	if (f->rk == NULL)
		return CLOCK_NEVER;
	return f->sent || f->reported ? 0 : f->kept_until_us;
}

static void
ring(struct flusher *f, bool brief)
{
	pthread_mutex_lock(&f->worker.lock);
	f->rung = true;
	f->brief = brief;
	if (!f->flushing)
		pthread_cond_signal(&f->worker.wake);
	pthread_mutex_unlock(&f->worker.lock);
}

void
flusher_turn(struct flusher *f, size_t in_flight, int64_t now_us)
{
	bool calm;

	if (f->rk == NULL)
		return;
	if (in_flight >= FEW)
		f->calm_us = now_us + CALM_US;
	calm = now_us >= f->calm_us;
	if (!calm || now_us >= f->kept_until_us)
		let_go_kept(f);
	if (calm && in_flight > 0 && (f->sent || f->reported))
		ring(f, false);
	else if (f->sent && in_flight >= MANY)
		ring(f, true);
	f->sent = f->reported = false;
}
