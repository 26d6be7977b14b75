/* doorman.c - in: pipes that wait, answers of the bell; out: rings. Knows nothing of batches. */
#include "relay/doorman.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "relay/keyset.h"
#include "relay/link.h"
#include "source/bell.h"

#define QUIET_US 100000      /* so long after events claims are rare */
#define BUSY_US 1000000      /* so long after events the bell is asked at poll_min */
#define NOTIFIED_POLL_MS 250 /* how often it is asked where writers ring it */

struct doorman {
	struct watch timer; /* first: the timer is the doorman */
	struct pipe_shared *sh;
	struct pipe *const *pipes;
	const int *count;
	struct bell *bell;
	struct link link;
	bool from_bottom[LANES_MAX]; /* of the question under way */
	bool notified;          /* since the last question */
	bool owed[LANES_MAX];   /* a question for those that were in their turn at the one which a notification caused */
	int64_t poll_us, next_us, spoke_us;
};

/* In quiet times no claim would see that a writer has ended on whom the lane's newest rung rests, and whose events are below. */
static struct rung
rung_of(const struct doorman *d, int i, int64_t now_us)
{
	if (d->from_bottom[i])
		return ladder_rung_at(LADDER_BOTTOM);
	if (now_us - d->sh->busy_us < QUIET_US)
		return ladder_rung_at(pipe_hint(d->pipes[i]));
	return pipe_newest_rung(d->pipes[i]);
}

static void
ask(struct doorman *d, int64_t now_us)
{
	struct bell_question q = {.count = 0};
	struct keyset held = KEYSET_INIT;

	memset(d->from_bottom, 0, sizeof(d->from_bottom));
	for (int i = 0; i < *d->count; i++) {
		if (!pipe_may_ring(d->pipes[i])) {
			d->owed[i] |= d->notified;
			continue;
		}
		d->owed[i] = false;
		d->from_bottom[i] = pipe_look_due(d->pipes[i], now_us);
		q.lanes[q.count] = i;
		q.rungs[q.count++] = rung_of(d, i, now_us);
		keyset_merge(&held, pipe_held(d->pipes[i])); /* a key that found no room makes one ring too many */
	}
	d->notified = false;
	/* With nobody to ask for it still says a word now and then, or the server would end the session. */
	if (q.count > 0 || now_us - d->spoke_us >= d->sh->session_timeout_ms * 1000 / 3) {
		d->spoke_us = now_us;
		q.held_keys = keyset_literal(&held);
		bell_ask(d->bell, &q, now_us);
		metrics_add(d->sh->metrics, METRIC_DOORBELL_QUERIES, 1);
	}
	keyset_done(&held);
}

static void
schedule(struct doorman *d, int64_t now_us)
{
	const struct outbox_config *cfg = d->sh->cfg;
	int64_t max_us = (cfg->notify && cfg->poll_max_ms < NOTIFIED_POLL_MS ? NOTIFIED_POLL_MS : cfg->poll_max_ms) * 1000;

	if (now_us - d->sh->busy_us < BUSY_US && !cfg->notify)
		d->poll_us = cfg->poll_min_ms * 1000;
	else
		d->poll_us += d->poll_us / 4 + 1;
	if (d->poll_us > max_us)
		d->poll_us = max_us;
	d->next_us = now_us + d->poll_us;
}

/* A lane in its turn may have looked before the commit that the notification was about. */
static bool
owes(const struct doorman *d)
{
	for (int i = 0; i < *d->count; i++)
		if (d->owed[i] && pipe_may_ring(d->pipes[i]))
			return true;
	return false;
}

static void
fire(struct watch *w, short revents, int64_t now_us)
{
	struct doorman *d = (struct doorman *)w;

	(void)revents;
	d->timer.deadline_us = CLOCK_NEVER;
	if (!bell_can_ask(d->bell))
		return;
	if (now_us >= d->next_us || owes(d)) {
		ask(d, now_us);
		schedule(d, now_us);
	}
	if (bell_can_ask(d->bell))
		d->timer.deadline_us = d->next_us;
}

static void
on_answered(void *ctx, const int *lanes, int count, int64_t elapsed_us)
{
	struct doorman *d = ctx;
	bool rings[LANES_MAX] = {false};

	for (int i = 0; i < count; i++)
		if (lanes[i] >= 0 && lanes[i] < *d->count)
			rings[lanes[i]] = true;
	for (int i = 0; i < *d->count; i++) {
		if (d->from_bottom[i])
			pipe_looked(d->pipes[i], elapsed_us);
		if (rings[i])
			pipe_ring(d->pipes[i], d->from_bottom[i]);
	}
	d->timer.deadline_us = owes(d) ? 0 : d->next_us;
}

static void
on_notified(void *ctx)
{
	struct doorman *d = ctx;

	d->notified = true;
	d->next_us = 0;
	doorman_wake(d);
}

/* Whoever rang while nobody listened is heard now. */
static void
on_ready(void *ctx)
{
	struct doorman *d = ctx;

	link_up(&d->link);
	on_notified(d);
}

static void
on_lost(void *ctx, const struct error *err)
{
	struct doorman *d = ctx;

	log_error(d->sh->log, LOG_WARNING, "bell-lost", err);
	link_down(&d->link);
	if (err->kind != ERR_RETRY)
		d->sh->failed(d->sh->ctx, err);
}

static void
reopen(void *ctx)
{
	struct doorman *d = ctx;

	bell_open(d->bell);
}

struct doorman *
doorman_new(struct pipe_shared *shared, struct pipe *const *pipes, const int *count, struct error *err)
{
	struct doorman *d = calloc(1, sizeof(*d));
	struct bell_events events = {.ready = on_ready, .answered = on_answered, .notified = on_notified, .lost = on_lost, .ctx = d};

	if (d != NULL)
		d->bell = bell_new(&shared->lanes, shared->cfg->notify, &events);
	if (d == NULL || d->bell == NULL) {
		free(d);
		error_set(err, ERR_FATAL, "out of memory");
		return NULL;
	}
	d->timer = (struct watch){.fd = -1, .deadline_us = CLOCK_NEVER, .fire = fire};
	d->sh = shared;
	d->pipes = pipes;
	d->count = count;
	d->poll_us = shared->cfg->poll_min_ms * 1000;
	link_init(&d->link, reopen, d);
	if (loop_add(shared->loop, &d->timer, err) != 0 || loop_add(shared->loop, &d->link.timer, err) != 0 ||
	    loop_add(shared->loop, bell_watch(d->bell), err) != 0) {
		doorman_free(d);
		return NULL;
	}
	return d;
}

void
doorman_free(struct doorman *d)
{
	if (d == NULL)
		return;
	loop_remove(d->sh->loop, &d->timer);
	loop_remove(d->sh->loop, &d->link.timer);
	loop_remove(d->sh->loop, bell_watch(d->bell));
	bell_free(d->bell);
	free(d);
}

void
doorman_open(struct doorman *d)
{
	bell_open(d->bell);
}

void
doorman_close(struct doorman *d)
{
	link_stop(&d->link);
	bell_close(d->bell);
}

void
doorman_wake(struct doorman *d)
{
	d->timer.deadline_us = 0;
}

int64_t
doorman_poll_us(const struct doorman *d)
{
	return d->poll_us;
}
