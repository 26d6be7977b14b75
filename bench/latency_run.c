/* latency_run.c - in: a rate; out: percentiles of the time from insert to acknowledgement and consumer. */
#include "bench/latency_run.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "support/db.h"
#include "support/topic.h"

#define LEAD_US 500000      /* from the last preparation to the first event */
#define SETTLE_MS 60000     /* the longest that the last event may take */
#define CONNECTIONS_MAX 64
#define WARM_EVENTS 64      /* enough to reach each partition, whose first message is a slow one */
#define GRACE_US 2000000    /* after the end: what the writer could not write by then is left out, and said */

/* Times of one event on the wall clock, 0 = not yet. Each is written by one thread and read when all have ended. */
struct stamps {
	int64_t due_us, started_us, committed_us, sent_us, consumed_us;
};

struct run {
	const struct latency_options *opt;
	struct world w;
	struct stamps *events;
	int64_t count, warm;
	int64_t start_us;
	atomic_int_least64_t next;
	atomic_int_least64_t written, consumed;
	atomic_bool over; /* the consumer may end */
};

/* --- the writer --- */

static void
sleep_until(int64_t wall_us)
{
	struct timespec ts = {wall_us / 1000000, wall_us % 1000000 * 1000};

	while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL) != 0)
		;
}

static void
insert(PGconn *conn, const struct run *run, int64_t number)
{
	char key[32], digits[24];
	const char *values[] = {key, digits};
	PGresult *res;

	snprintf(key, sizeof(key), "key-%" PRId64, number * 7919 % run->opt->keys);
	snprintf(digits, sizeof(digits), "%" PRId64, number);
	res = PQexecPrepared(conn, "insert", 2, values, NULL, NULL, 0);
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		say_die("insert: %s", PQerrorMessage(conn));
	PQclear(res);
}

static PGconn *
open_writer(const struct run *run)
{
	char sql[512];
	struct error err;
	PGconn *conn = db_open(run->w.super, &err);
	PGresult *res;

	say_must(conn == NULL ? -1 : 0, &err, "connect");
	snprintf(sql, sizeof(sql),
	         "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	         " VALUES ('account', $1, 'changed', jsonb_build_object('n', $2::int8, 'pad', repeat('x', %d)))",
	         run->opt->payload_bytes > 24 ? run->opt->payload_bytes - 24 : 1);
	res = PQprepare(conn, "insert", sql, 2, NULL);
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		say_die("prepare: %s", PQerrorMessage(conn));
	PQclear(res);
	return conn;
}

static int64_t
due_us(const struct run *run, int64_t k)
{
	return run->start_us + (int64_t)((double)k * 1e6 / run->opt->events_per_s);
}

/* Whichever connection is free takes the next event; where none is, the event starts late and its time runs. */
static void *
write_events(void *ctx)
{
	struct run *run = ctx;
	PGconn *conn = open_writer(run);
	int64_t k, end_us = due_us(run, run->count) + GRACE_US;

	while (clock_wall_us() < end_us && (k = atomic_fetch_add(&run->next, 1)) < run->count) {
		struct stamps *ev = &run->events[k];

		ev->due_us = due_us(run, k);
		sleep_until(ev->due_us);
		ev->started_us = clock_wall_us();
		insert(conn, run, k);
		ev->committed_us = clock_wall_us();
		atomic_fetch_add(&run->written, 1);
	}
	db_close(&conn);
	return NULL;
}

/* --- the consumer --- */

/* The event's number in the payload: {"n": 17, "pad": ...}; PostgreSQL puts the shorter key first. */
static int64_t
number_of(const rd_kafka_message_t *m)
{
	char text[32] = "";
	size_t len = m->len < sizeof(text) - 1 ? m->len : sizeof(text) - 1;
	int64_t n;

	memcpy(text, m->payload, len);
	if (sscanf(text, "{\"n\": %" SCNd64, &n) != 1)
		say_die("a message is not ours: %s", text);
	return n;
}

static void *
consume_events(void *ctx)
{
	struct run *run = ctx;
	struct topic_reader *r;
	const char *topic = run->w.name;
	struct error err;

	say_must(topic_reader_open(run->w.kafka, &topic, 1, 30000, &r, &err), &err, "consume");
	while (!atomic_load(&run->over)) {
		rd_kafka_message_t *m = topic_reader_next(r, 100);
		int64_t n;

		if (m == NULL)
			continue;
		n = number_of(m);
		if (n == -1) {
			rd_kafka_message_destroy(m);
			continue;
		}
		if (n < 0 || n >= run->count || run->events[n].consumed_us != 0)
			say_die("event %" PRId64 " came twice, or was never written", n);
		run->events[n].consumed_us = clock_wall_us();
		atomic_fetch_add(&run->consumed, 1);
		rd_kafka_message_destroy(m);
	}
	topic_reader_close(&r);
	return NULL;
}

/* --- all together --- */

static void
wait_until_sent(struct run *run)
{
	int64_t limit_us = clock_mono_us() + SETTLE_MS * 1000LL;

	while (world_int(&run->w, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL") > 0) {
		if (clock_mono_us() > limit_us)
			say_die("events stay unsettled");
		proc_sleep_ms(20);
	}
}

static void
wait_for_last(struct run *run)
{
	int64_t limit_us = clock_mono_us() + SETTLE_MS * 1000LL;

	while (atomic_load(&run->consumed) < atomic_load(&run->written)) {
		if (clock_mono_us() > limit_us)
			say_die("%" PRId64 " events were written, %" PRId64 " came to the consumer", (int64_t)atomic_load(&run->written),
			        (int64_t)atomic_load(&run->consumed));
		proc_sleep_ms(20);
	}
	wait_until_sent(run);
}

static void
read_sent(struct run *run)
{
	struct error err;
	PGresult *res = db_query(run->w.db, &err,
	    "SELECT (payload->>'n')::int8, (extract(epoch FROM sent_at) * 1000000)::int8 FROM outbox_events"
	    " WHERE payload->>'n' <> '-1'");

	say_must(res == NULL ? -1 : 0, &err, "read sent_at");
	if (PQntuples(res) != atomic_load(&run->written))
		say_die("%d rows are in the table, %" PRId64 " were written", PQntuples(res), (int64_t)atomic_load(&run->written));
	for (int i = 0; i < PQntuples(res); i++)
		run->events[strtoll(PQgetvalue(res, i, 0), NULL, 10)].sent_us = strtoll(PQgetvalue(res, i, 1), NULL, 10);
	PQclear(res);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The smallest value that is not exceeded by a share of all. */
static double
percentile(const double *sorted, int64_t count, double share)
{
	int64_t at = (int64_t)ceil(share * (double)count) - 1;

	return sorted[at < 0 ? 0 : at];
}

static struct latency_figures
figures(const struct run *run, size_t from, size_t to)
{
	int64_t count = 0, first = atomic_load(&run->written) > run->warm ? run->warm : 0;
	double *ms = calloc((size_t)run->count, sizeof(*ms));
	struct latency_figures f;

	if (ms == NULL)
		say_die("out of memory");
	for (int64_t i = first; i < run->count; i++) {
		const char *ev = (const char *)&run->events[i];
		int64_t began, ended;

		memcpy(&began, ev + from, sizeof(began));
		memcpy(&ended, ev + to, sizeof(ended));
		if (run->events[i].committed_us != 0)
			ms[count++] = (double)(ended - began) / 1000;
	}
	if (count == 0)
		say_die("the writer wrote nothing in time");
	qsort(ms, (size_t)count, sizeof(*ms), compare);
	f = (struct latency_figures){
		percentile(ms, count, 0.5), percentile(ms, count, 0.95), percentile(ms, count, 0.99), percentile(ms, count, 0.999),
		ms[count - 1]};
	free(ms);
	return f;
}

static void
judge(const struct run *run, struct latency_result *ret_result)
{
#define FIGURES(from, to) figures(run, offsetof(struct stamps, from), offsetof(struct stamps, to))
	ret_result->acknowledged = FIGURES(due_us, sent_us);
	ret_result->consumed = FIGURES(due_us, consumed_us);
	ret_result->commit = FIGURES(due_us, committed_us);
	ret_result->from_commit = FIGURES(committed_us, sent_us);
	ret_result->late = FIGURES(due_us, started_us);
	ret_result->events = atomic_load(&run->written);
	ret_result->rate_kept = (double)ret_result->events / (double)run->count;
}

/* A consumer that is there, a relay that knows the topic. */
static void
warm_up(struct run *run)
{
	world_exec(&run->w,
	           "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	           " SELECT 'account', 'key-' || i, 'changed', '{\"n\": -1}' FROM generate_series(1, %d) i", WARM_EVENTS);
	wait_until_sent(run);
}

static void
run_threads(struct run *run, struct world_usage *ret_start, struct world_usage *ret_end)
{
	pthread_t consumer, writers[CONNECTIONS_MAX];
	int connections = run->opt->connections;

	if (pthread_create(&consumer, NULL, consume_events, run) != 0)
		say_die("could not start a thread");
	warm_up(run);
	run->start_us = clock_wall_us() + LEAD_US;
	for (int i = 0; i < connections; i++) {
		if (pthread_create(&writers[i], NULL, write_events, run) != 0)
			say_die("could not start a thread");
	}
	sleep_until(run->start_us + (int64_t)(run->opt->warm_seconds * 1e6));
	*ret_start = world_usage(&run->w);
	for (int i = 0; i < connections; i++)
		pthread_join(writers[i], NULL);
	*ret_end = world_usage(&run->w);
	wait_for_last(run);
	atomic_store(&run->over, true);
	pthread_join(consumer, NULL);
}

void
latency_run(const struct latency_options *opt, struct latency_result *ret_result)
{
	struct run run = {
		.opt = opt,
		.count = (int64_t)ceil(opt->events_per_s * (opt->seconds + opt->warm_seconds)),
		.warm = (int64_t)(opt->events_per_s * opt->warm_seconds),
	};
	struct world_usage start, end;
	double core_us;

	if (opt->connections > CONNECTIONS_MAX)
		say_die("%d connections are more than %d", opt->connections, CONNECTIONS_MAX);
	run.events = calloc((size_t)run.count, sizeof(*run.events));
	if (run.events == NULL)
		say_die("out of memory");
	world_begin(&run.w, &opt->world);
	world_start(&run.w, 1);
	run_threads(&run, &start, &end);
	read_sent(&run);
	judge(&run, ret_result);
	core_us = (double)(end.mono_us - start.mono_us);
	ret_result->postgres_share = (double)(end.postgres_us - start.postgres_us) / core_us;
	ret_result->relay_share = (double)(end.relay_us - start.relay_us) / core_us;
	ret_result->broker_share = (double)(end.broker_us - start.broker_us) / core_us;
	world_verify(&run.w, atomic_load(&run.written) + WARM_EVENTS);
	world_end(&run.w);
	free(run.events);
}

/* One figure, whose name is put together. */
static void
say_one(const struct say *say, const char *whose, const char *name, double value)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%s", whose, name);
	say_figure(say, text, value);
}

static void
say_figures(const struct say *say, const char *whose, const char *what, const struct latency_figures *f)
{
	const struct {
		const char *name;
		double value;
	} all[] = {{"p50", f->p50_ms}, {"p95", f->p95_ms}, {"p99", f->p99_ms}, {"p99.9", f->p999_ms}, {"max", f->max_ms}};
	char name[64];

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		snprintf(name, sizeof(name), "%s_%s_ms", what, all[i].name);
		say_one(say, whose, name, all[i].value);
	}
}

void
latency_say(const struct say *say, const char *whose, const struct latency_result *r)
{
	say_figures(say, whose, "acknowledged", &r->acknowledged);
	say_figures(say, whose, "consumed", &r->consumed);
	say_figures(say, whose, "commit", &r->commit);
	say_figures(say, whose, "commit_to_acknowledged", &r->from_commit);
	say_figures(say, whose, "insert_late", &r->late);
	say_one(say, whose, "events", (double)r->events);
	say_one(say, whose, "rate_kept", r->rate_kept);
	say_one(say, whose, "postgres_cores", r->postgres_share);
	say_one(say, whose, "relay_cores", r->relay_share);
	say_one(say, whose, "broker_cores", r->broker_share);
}
