/* client.c - in: a number of payments; out: each of them paid for or refused, once, and a record of what was answered.
 *
 * Threads take requests from a list, each over a connection of its own. A request that was not answered, or answered with
 * "not now", is sent again with the same key, for as long as it takes: it may have been done. On top of that some are sent
 * twice at once, some again later, some keys are used for another payment, and some answers not waited for. Whatever is
 * answered to one key has to be the same, in each answer.
 */
#include <curl/curl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "client_plan.h"
#include "fetch.h"
#include "options.h"

enum { THREADS_MAX = 256, HURRY_MS = 5, PAUSE_MS = 50, PAUSE_MAX_MS = 2000, LOOK_MS = 200 };

/* The answer that is final: what each other one with its key must be, too. */
struct final {
	long status; /* 0 = none yet */
	char id[40];
};

struct job {
	int64_t payment;
	bool twin;
};

struct client {
	const char *url;
	int64_t seed, customers, timeout_ms;
	const struct log *log;
	pthread_mutex_t mutex; /* of all below */
	pthread_cond_t ended;
	struct job *jobs;
	int64_t jobs_count, jobs_taken;
	struct final *finals; /* of each payment */
	int64_t done, requests, retries, reserved, refused, wrong;
	int threads; /* that run */
	FILE *record;
};

struct worker {
	struct client *client;
	pthread_t thread;
	struct fetch *fetch;
	struct backoff pause;
};

static bool
is_final(long status)
{
	return status == 201 || (status >= 400 && status < 500 && status != 408 && status != 409 && status != 429);
}

static void
wait_ms(int64_t ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void
count(struct client *c, int64_t *counter)
{
	pthread_mutex_lock(&c->mutex);
	(*counter)++;
	pthread_mutex_unlock(&c->mutex);
}

static void
read_answer(const struct fetch_answer *a, struct final *ret_final)
{
	json_t *json = json_loadb(buf_str(&a->body), a->body.len, 0, NULL);
	const char *id = json_string_value(json_object_get(json, "id"));

	ret_final->status = a->status;
	snprintf(ret_final->id, sizeof(ret_final->id), "%s", id != NULL ? id : "");
	json_decref(json);
}

/* Until there is a final answer. Returns the number of requests that it took. */
static int
ask(struct worker *w, const struct plan *p, bool other, bool hurried, struct final *ret_final)
{
	struct client *c = w->client;
	struct fetch_answer a __attribute__((cleanup(fetch_answer_done))) = FETCH_ANSWER_INIT;
	char body[PLAN_BODY_MAX];
	struct error err;

	plan_body(p, other, body);
	backoff_reset(&w->pause);
	for (int tries = 1;; tries++) {
		int64_t timeout_ms = hurried && tries == 1 ? HURRY_MS : c->timeout_ms;
		int rc = fetch_post(w->fetch, "/payments", p->key, body, timeout_ms, &a, &err);

		count(c, &c->requests);
		if (rc == 0 && is_final(a.status)) {
			read_answer(&a, ret_final);
			return tries;
		}
		count(c, &c->retries);
		int64_t pause_ms = backoff_next_ms(&w->pause);
		if (rc == 0 && a.retry_after_s * INT64_C(1000) > pause_ms)
			pause_ms = a.retry_after_s * INT64_C(1000);
		wait_ms(pause_ms);
	}
}

static void
record(struct client *c, const struct plan *p, const char *kind, const struct final *f, int64_t amount, int tries)
{
	pthread_mutex_lock(&c->mutex);
	fprintf(c->record, "%s\t%ld\t%s\t%s\t%" PRId64 "\tEUR\t%s\t%d\n", p->key, f->status, f->id, p->customer, amount, kind, tries);
	fflush(c->record);
	pthread_mutex_unlock(&c->mutex);
}

static void
complain(struct client *c, const struct plan *p, const char *kind, const struct final *f, const struct final *wanted)
{
	log_write(c->log, LOG_ERR, "wrong-answer", "key \"%s\", %s: %ld \"%s\", not %ld \"%s\"", p->key, kind, f->status, f->id,
	          wanted->status, wanted->id);
	count(c, &c->wrong);
}

/* The first final answer sets what the others must be. */
static void
ask_the_same(struct worker *w, int64_t payment, const struct plan *p, const char *kind, bool hurried)
{
	struct client *c = w->client;
	struct final f, *wanted = &c->finals[payment];
	int tries = ask(w, p, false, hurried, &f);

	record(c, p, kind, &f, p->amount, tries);
	pthread_mutex_lock(&c->mutex);
	bool first = wanted->status == 0;
	if (first) {
		*wanted = f;
		c->reserved += f.status == 201;
		c->refused += f.status == 402;
	}
	pthread_mutex_unlock(&c->mutex);
	if (first ? f.status != 201 && f.status != 402 : f.status != wanted->status || strcmp(f.id, wanted->id) != 0)
		complain(c, p, kind, &f, first ? &(struct final){201, "..."} : wanted);
}

static void
ask_another(struct worker *w, const struct plan *p)
{
	static const struct final conflict = {422, ""};
	struct final f;
	int tries = ask(w, p, true, false, &f);

	record(w->client, p, "reused", &f, p->amount + 1, tries);
	if (f.status != conflict.status)
		complain(w->client, p, "reused", &f, &conflict);
}

static void
do_job(struct worker *w, const struct job *job)
{
	struct client *c = w->client;
	struct plan p;

	plan_payment(c->seed, job->payment, c->customers, &p);
	if (job->twin) {
		ask_the_same(w, job->payment, &p, "twin", false);
		return;
	}
	ask_the_same(w, job->payment, &p, "first", p.hurried);
	if (p.again)
		ask_the_same(w, job->payment, &p, "again", false);
	if (p.reused)
		ask_another(w, &p);
	count(c, &c->done);
}

static bool
take_job(struct client *c, struct job *ret_job)
{
	pthread_mutex_lock(&c->mutex);
	bool taken = c->jobs_taken < c->jobs_count;
	if (taken)
		*ret_job = c->jobs[c->jobs_taken++];
	pthread_mutex_unlock(&c->mutex);
	return taken;
}

static void *
work(void *ctx)
{
	struct worker *w = ctx;
	struct job job;

	while (take_job(w->client, &job))
		do_job(w, &job);
	pthread_mutex_lock(&w->client->mutex);
	w->client->threads--;
	pthread_cond_signal(&w->client->ended);
	pthread_mutex_unlock(&w->client->mutex);
	return NULL;
}

/* A twin follows its payment at once, so that another thread takes it. */
static bool
make_jobs(struct client *c, int64_t payments)
{
	c->jobs = calloc((size_t)payments * 2, sizeof(*c->jobs));
	c->finals = calloc((size_t)payments, sizeof(*c->finals));
	if (c->jobs == NULL || c->finals == NULL)
		return false;
	for (int64_t i = 0; i < payments; i++) {
		struct plan p;

		plan_payment(c->seed, i, c->customers, &p);
		c->jobs[c->jobs_count++] = (struct job){i, false};
		if (p.twin)
			c->jobs[c->jobs_count++] = (struct job){i, true};
	}
	return true;
}

static int
start(struct client *c, struct worker *w, struct error *err)
{
	*w = (struct worker){.client = c};
	backoff_init(&w->pause, PAUSE_MS, PAUSE_MAX_MS, (uint64_t)clock_mono_us());
	if (fetch_new(c->url, &w->fetch, err) != 0)
		return -1;
	if (pthread_create(&w->thread, NULL, work, w) != 0)
		return error_set(err, ERR_FATAL, "could not start a thread");
	return 0;
}

/* "DONE RETRIES", in one piece for whoever reads it meanwhile. With the mutex. */
static void
show_progress(const struct client *c, const char *path)
{
	char draft[4096];

	snprintf(draft, sizeof(draft), "%s.new", path);
	FILE *file = path[0] != '\0' ? fopen(draft, "w") : NULL;
	if (file == NULL)
		return;
	fprintf(file, "%" PRId64 " %" PRId64 "\n", c->done, c->retries);
	if (fclose(file) == 0)
		(void)rename(draft, path);
}

static void
watch(struct client *c, const char *path)
{
	pthread_mutex_lock(&c->mutex);
	while (c->threads > 0) {
		struct timespec until;

		show_progress(c, path);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += LOOK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&c->ended, &c->mutex, &until);
	}
	show_progress(c, path);
	pthread_mutex_unlock(&c->mutex);
}

static int
run(struct client *c, int64_t threads, const char *progress)
{
	struct worker workers[THREADS_MAX];
	struct error err;
	int64_t begun_us = clock_mono_us();

	c->threads = (int)threads;
	for (int64_t i = 0; i < threads; i++) {
		if (start(c, &workers[i], &err) != 0) {
			log_error(c->log, LOG_ERR, "no-start", &err);
			exit(EX_OSERR);
		}
	}
	watch(c, progress);
	for (int64_t i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		fetch_free(&workers[i].fetch);
	}
	printf("%" PRId64 " payments: %" PRId64 " reserved, %" PRId64 " refused; %" PRId64 " requests, %" PRId64 " of them sent again; "
	       "%" PRId64 " wrong answers; %.1f s\n",
	       c->done, c->reserved, c->refused, c->requests, c->retries, c->wrong, (double)(clock_mono_us() - begun_us) / 1e6);
	return c->wrong == 0 ? EX_OK : EXIT_FAILURE;
}

int
main(int argc, char *argv[])
{
	const char *record_path = "/dev/null", *progress = "";
	int64_t payments = 10000, threads = 16;
	struct log log;
	struct client c = {.url = "http://127.0.0.1:8080", .seed = 1, .customers = 100, .timeout_ms = 5000, .log = &log,
	                   .mutex = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
	const struct option_row rows[] = {
		OPTION_TEXT("url", &c.url, "of the service"),
		OPTION_NUMBER("payments", &payments, 1, 10000000, "how many"),
		OPTION_NUMBER("seed", &c.seed, 0, INT64_MAX, "another seed makes other payments, and other keys"),
		OPTION_NUMBER("customers", &c.customers, 1, 1000000, "who pay: c1 and so on"),
		OPTION_NUMBER("threads", &threads, 1, THREADS_MAX, "each with a connection"),
		OPTION_NUMBER("timeout-ms", &c.timeout_ms, 1, 600000, "of one request"),
		OPTION_TEXT("record", &record_path, "a line for each final answer goes there"),
		OPTION_TEXT("progress", &progress, "a file that says how many payments are done, and how often was tried again"),
		OPTION_END,
	};
	int status = options_parse(argc, argv, "Pays, and is not a patient client.", rows);

	if (status >= 0)
		return status;
	log_init(&log, STDERR_FILENO, LOG_INFO, LOG_FORMAT_LOGFMT);
	c.record = fopen(record_path, "w");
	if (c.record == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || !make_jobs(&c, payments)) {
		log_write(&log, LOG_ERR, "no-start", "could not open \"%s\", or there is no memory", record_path);
		return EX_CANTCREAT;
	}
	status = run(&c, threads, progress);
	if (fclose(c.record) != 0)
		status = EX_IOERR;
	free(c.jobs);
	free(c.finals);
	curl_global_cleanup();
	return status;
}
