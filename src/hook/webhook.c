/* webhook.c - in: news, from any thread; out: posts, one after the other, and how many went which way. */
#include "hook/webhook.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/sha256.h"
#include "base/worker.h"
#include "hook/news.h"
#include "hook/post.h"

#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 60000
#define MARGIN_US 200000 /* so long the thread may take to notice that its time is over */

struct entry {
	struct news news;
	int64_t due_us; /* not posted before */
};

struct webhook {
	struct webhook_options opt;
	struct post *post;
	struct worker worker;
	struct entry queue[WEBHOOK_QUEUE]; /* the first has waited the longest */
	size_t count;
	struct entry current; /* the thread's: it is posted, or was in vain */
	bool has_current;
	struct backoff backoff;
	bool failing; /* which was logged */
	int64_t gathered_us; /* when parked events were posted last; 0 = never */
	struct webhook_counts counts;
	uint64_t dropped_told;
	_Atomic int64_t until_us; /* whatever is posted ends then */
};

static void
remove_entry(struct webhook *w, size_t i)
{
	memmove(&w->queue[i], &w->queue[i + 1], (--w->count - i) * sizeof(w->queue[0]));
}

/* --- whoever tells --- */

/* Parked events of an outbox that still wait to be told. */
static bool
gather(struct webhook *w, const struct webhook_news *news)
{
	const char *outbox = news->outbox != NULL ? news->outbox : "";

	for (size_t i = 0; i < w->count; i++) {
		struct news *n = &w->queue[i].news;

		if (n->kind == WEBHOOK_PARKED && strncmp(n->outbox, outbox, sizeof(n->outbox) - 1) == 0) {
			n->count += news->count;
			return true;
		}
	}
	return false;
}

void
webhook_tell(struct webhook *w, const struct webhook_news *news)
{
	struct entry *e;

	if (w == NULL || (w->opt.kinds & 1U << news->kind) == 0)
		return;
	pthread_mutex_lock(&w->worker.lock);
	if (news->kind != WEBHOOK_PARKED || !gather(w, news)) {
		if (w->count == WEBHOOK_QUEUE) {
			remove_entry(w, 0);
			w->counts.dropped++;
		}
		e = &w->queue[w->count++];
		news_make(news, &e->news);
		e->due_us = news->kind == WEBHOOK_PARKED && w->gathered_us != 0 ? w->gathered_us + WEBHOOK_GATHER_US : 0;
		pthread_cond_signal(&w->worker.wake);
	}
	pthread_mutex_unlock(&w->worker.lock);
}

struct webhook_counts
webhook_counts(struct webhook *w)
{
	struct webhook_counts counts = {0};

	if (w == NULL)
		return counts;
	pthread_mutex_lock(&w->worker.lock);
	counts = w->counts;
	pthread_mutex_unlock(&w->worker.lock);
	return counts;
}

/* --- the thread --- */

static void
sign(const struct webhook *w, const struct buf *body, char ret_header[static 160])
{
	char seconds[24], hex[2 * SHA256_BYTES + 1];
	unsigned char mac[SHA256_BYTES];

	snprintf(seconds, sizeof(seconds), "%lld", (long long)(clock_wall_us() / 1000000));
	sha256_hmac(slice_from(w->opt.secret), (struct slice[]){slice_from(seconds), slice_from("."), {body->data, body->len}}, 3, mac);
	for (size_t i = 0; i < SHA256_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", mac[i]);
	snprintf(ret_header, 160, "X-Pgoutbox-Signature: t=%s,v1=%s", seconds, hex);
}

static long
attempt(struct webhook *w, char ret_reason[static POST_REASON_MAX])
{
	struct buf body __attribute__((cleanup(buf_done))) = BUF_INIT;
	char signature[160];
	const char *const headers[] = {"Content-Type: application/json", signature, "Expect:", NULL};

	news_print(&w->current.news, w->opt.version, &body);
	if (buf_failed(&body)) {
		snprintf(ret_reason, POST_REASON_MAX, "out of memory");
		return 0;
	}
	sign(w, &body, signature);
	return post_send(w->post, headers, (struct slice){body.data, body.len}, &w->until_us, ret_reason);
}

/* The receiver is at fault, or asks for patience: another attempt may go better. */
static bool
may_go_better(long status)
{
	return status < 300 || status >= 500 || status == 408 || status == 425 || status == 429;
}

/* Nothing of the caller's may be touched once it has gone. Repeats are the log's to limit. */
static void
say(struct webhook *w, long status, const char *reason, uint64_t dropped)
{
	char text[32];

	if (worker_abandoned(&w->worker))
		return;
	if (status != 0) {
		snprintf(text, sizeof(text), "it answers %ld", status);
		reason = text;
	}
	if (status >= 200 && status < 300 && w->failing)
		log_write(w->opt.log, LOG_NOTICE, "webhook-serves", "the webhook takes posts again");
	else if (status != 0 && !may_go_better(status))
		log_write(w->opt.log, LOG_WARNING, "webhook-refused", "the webhook refuses a post, which is given up: %s", reason);
	else if ((status < 200 || status >= 300) && !w->failing)
		log_write(w->opt.log, LOG_WARNING, "webhook-failed", "could not post to the webhook: %s; it is tried again", reason);
	if (dropped > 0)
		log_write(w->opt.log, LOG_WARNING, "webhook-dropped", "%llu posts to the webhook were given up: too many wait",
		          (unsigned long long)dropped);
	w->failing = status < 200 || (status >= 300 && may_go_better(status));
}

/* With the lock held, but for the posting itself. */
static void
post_current(struct webhook *w)
{
	char reason[POST_REASON_MAX];
	uint64_t dropped = w->counts.dropped - w->dropped_told;
	long status;

	w->dropped_told = w->counts.dropped;
	pthread_mutex_unlock(&w->worker.lock);
	status = attempt(w, reason);
	say(w, status, reason, dropped);
	pthread_mutex_lock(&w->worker.lock);
	if (status >= 200 && status < 300) {
		w->counts.delivered++;
		w->has_current = false;
		backoff_reset(&w->backoff);
	} else if (!may_go_better(status)) {
		w->counts.refused++;
		w->has_current = false;
	} else if (w->worker.closing) {
		w->counts.dropped++;
		w->has_current = false;
	} else {
		w->counts.failed++;
		w->current.due_us = clock_mono_us() + backoff_next_ms(&w->backoff) * 1000LL;
	}
}

/* Parked events may have to wait for more of them; what came after them need not. */
static bool
take_next(struct webhook *w, int64_t now_us, int64_t *ret_due_us)
{
	*ret_due_us = w->has_current ? w->current.due_us : CLOCK_NEVER;
	if (w->has_current)
		return now_us >= *ret_due_us || w->worker.closing;
	for (size_t i = 0; i < w->count; i++) {
		if (now_us < w->queue[i].due_us && !w->worker.closing) {
			*ret_due_us = w->queue[i].due_us < *ret_due_us ? w->queue[i].due_us : *ret_due_us;
			continue;
		}
		w->current = w->queue[i];
		w->has_current = true;
		remove_entry(w, i);
		if (w->current.news.kind == WEBHOOK_PARKED)
			w->gathered_us = now_us;
		return true;
	}
	return false;
}

static int64_t
turn(void *owner)
{
	struct webhook *w = owner;
	int64_t due_us;

	if (!take_next(w, clock_mono_us(), &due_us))
		return due_us;
	post_current(w);
	return 0;
}

/* --- making and ending --- */

static void
destroy(void *owner)
{
	struct webhook *w = owner;

	post_free(w->post);
	free(w);
}

static const struct worker_calls calls = {.turn = turn, .destroy = destroy};

int
webhook_new(const struct webhook_options *opt, struct webhook **ret_webhook, struct error *err)
{
	struct post_options po = {.url = opt->url, .ca_file = opt->ca_file, .agent = "pgoutboxd", .timeout_ms = opt->timeout_ms};
	struct webhook *w = calloc(1, sizeof(*w));

	if (strncmp(opt->url, "http://", 7) != 0 && strncmp(opt->url, "https://", 8) != 0) {
		free(w);
		error_set(err, ERR_CONFIG, "the URL in webhook.url_file does not begin with http:// or https://");
		return error_hint(err, "write the URL into that file, and nothing else");
	}
	if (w == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	w->opt = *opt;
	w->until_us = CLOCK_NEVER;
	backoff_init(&w->backoff, RETRY_MIN_MS, RETRY_MAX_MS, (uint64_t)clock_mono_us());
	if (post_new(&po, &w->post, err) != 0 || worker_start(&w->worker, "webhook", &calls, w, err) != 0) {
		destroy(w);
		return -1;
	}
	*ret_webhook = w;
	return 0;
}

/* A thread that is stuck all the same, in a resolver perhaps, is left to itself, and frees what is its own. */
void
webhook_free(struct webhook *w, int64_t wait_us)
{
	int64_t until_us = clock_mono_us() + wait_us;

	if (w == NULL)
		return;
	w->until_us = until_us - MARGIN_US;
	post_wake(w->post);
	worker_end(&w->worker, until_us);
}
