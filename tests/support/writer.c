/* writer.c - the application beside the outbox: options in, business transactions out. Knows no relay, no Kafka.
 *
 * A transaction is one libpq pipeline: BEGIN, for each event the account's update and the insert, COMMIT or ROLLBACK.
 */
#include "support/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "support/db.h"
#include "support/proc.h"

enum { DAWDLE_MS = 20, PROGRESS_MS = 250 };

struct crew {
	const struct writer_options *opt;
	const char *payload_type;
	_Atomic int64_t booked; /* events that some writer has set out to commit */
	_Atomic int64_t committed;
	_Atomic int64_t rolled_back;
	_Atomic int64_t transactions;
	_Atomic int64_t rollbacks;
	atomic_int running;
	atomic_bool stop;
	int64_t start_us;
	pthread_mutex_t lock; /* of err */
	struct error err;
	bool failed;
};

struct hand {
	struct crew *crew;
	int number;
	uint64_t random;
	int64_t tx; /* so far */
	PGconn *conn;
	char *pad;
	pthread_t thread;
};

/* xorshift64*: good enough to pick accounts, and the same everywhere. */
static uint64_t
draw(struct hand *h)
{
	h->random ^= h->random >> 12;
	h->random ^= h->random << 25;
	h->random ^= h->random >> 27;
	return h->random * 0x2545F4914F6CDD1DULL;
}

static double
draw_share(struct hand *h)
{
	return (double)(draw(h) >> 11) / 9007199254740992.0;
}

static int
find_payload_type(PGconn *conn, const char *table, const char **ret_type, struct error *err)
{
	static const char *const known[] = {"jsonb", "json", "text", "bytea"};
	PGresult *res __attribute__((cleanup(db_clear))) = db_query(conn, err,
	    "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = '%s'::regclass AND attname = 'payload'",
	    table);

	if (res == NULL)
		return -1;
	for (size_t i = 0; PQntuples(res) == 1 && i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(PQgetvalue(res, 0, 0), known[i]) == 0) {
			*ret_type = known[i];
			return 0;
		}
	}
	return error_set(err, ERR_CONFIG, "table \"%s\" has no payload column of a known type", table);
}

int
writer_prepare(const struct writer_options *opt, struct error *err)
{
	PGconn *conn __attribute__((cleanup(db_close))) = db_open(opt->conninfo, err);

	if (conn == NULL)
		return -1;
	return db_exec(conn, err,
	    "CREATE TABLE IF NOT EXISTS accounts (key text PRIMARY KEY, balance bigint NOT NULL DEFAULT 0,"
	    " events bigint NOT NULL DEFAULT 0) WITH (fillfactor = 60);"
	    "INSERT INTO accounts (key) SELECT 'acct-' || lpad(n::text, 6, '0') FROM generate_series(0, %d - 1) n"
	    " ON CONFLICT DO NOTHING; ANALYZE accounts",
	    opt->keys);
}

static int
prepare_statements(struct hand *h, struct error *err)
{
	const struct writer_options *opt = h->crew->opt;
	const char *type = h->crew->payload_type;
	char object[256], payload[320];

	snprintf(object, sizeof(object),
	    "jsonb_strip_nulls(jsonb_build_object('key', key, 'seq', events, 'label', $4::text, 'fate', $5::text,"
	    " 'balance', balance, 'pad', nullif($6::text, '')))");
	if (strcmp(type, "bytea") == 0)
		snprintf(payload, sizeof(payload), "convert_to(%s::text, 'UTF8')", object);
	else
		snprintf(payload, sizeof(payload), "%s::text::%s", object, type);
	return db_exec(h->conn, err,
	    "PREPARE touch (text, bigint) AS UPDATE accounts SET balance = balance + $2, events = events + 1 WHERE key = $1;"
	    "PREPARE emit (text, text, text, text, text, text, jsonb) AS"
	    " INSERT INTO %s (aggregate_type, aggregate_id, event_type, payload, headers)"
	    " SELECT $2, key, $3, %s, $7 FROM accounts WHERE key = $1;"
	    "PREPARE dawdle (float8) AS SELECT pg_sleep($1)",
	    opt->table, payload);
}

static bool
send_event(struct hand *h, const char *key, const char *label, bool commit)
{
	const struct writer_options *opt = h->crew->opt;
	int amount = (int)(draw(h) % 1999) - 999;
	char amount_text[16], headers[96];
	bool traced = draw(h) % 2 == 0;
	const char *const touch[] = {key, amount_text};
	const char *const emit[] = {key, opt->aggregate_type, amount < 0 ? "withdrawn" : "deposited", label,
	    commit ? "commit" : "rollback", h->pad, traced ? headers : NULL};

	snprintf(amount_text, sizeof(amount_text), "%d", amount);
	snprintf(headers, sizeof(headers), "{\"trace\": \"%s\"}", label);
	return PQsendQueryPrepared(h->conn, "touch", 2, touch, NULL, NULL, 0) == 1 &&
	    PQsendQueryPrepared(h->conn, "emit", 7, emit, NULL, NULL, 0) == 1;
}

/* Reads the answers up to the pipeline's sync. A server that ends the session may leave libpq with a connection that looks
 * good and has nothing more to give: no answer twice over. */
static bool
read_answers(PGconn *conn, struct error *err)
{
	bool good = true;
	int nothing = 0;

	for (;;) {
		PGresult *res = PQgetResult(conn);
		ExecStatusType status = res == NULL ? PGRES_COMMAND_OK : PQresultStatus(res);

		nothing = res == NULL ? nothing + 1 : 0;
		if (nothing == 2) {
			if (good)
				(void)error_set(err, ERR_RETRY, "the session ended");
			return false;
		}

		if (PQstatus(conn) != CONNECTION_OK && good) {
			(void)error_set(err, ERR_RETRY, "%s", PQerrorMessage(conn));
			good = false;
		}
		if (good && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_PIPELINE_SYNC) {
			(void)error_set(err, ERR_RETRY, "%s", PQresultErrorMessage(res));
			good = false;
		}
		PQclear(res);
		if (status == PGRES_PIPELINE_SYNC || PQstatus(conn) != CONNECTION_OK)
			return good;
	}
}

static int
transaction(struct hand *h, int events, bool commit, struct error *err)
{
	const struct writer_options *opt = h->crew->opt;
	const char *const dawdle[] = {"0.02"};
	char key[32], label[64];
	bool sent;

	snprintf(key, sizeof(key), "acct-%06d", (int)(draw(h) % (uint64_t)opt->keys));
	h->tx++;
	sent = PQsendQueryParams(h->conn, "BEGIN", 0, NULL, NULL, NULL, NULL, 0) == 1;
	for (int i = 0; i < events && sent; i++) {
		snprintf(label, sizeof(label), "w%d.%lld.%d", h->number, (long long)h->tx, i + 1);
		sent = send_event(h, key, label, commit);
	}
	if (sent && draw_share(h) < opt->dawdle_share)
		sent = PQsendQueryPrepared(h->conn, "dawdle", 1, dawdle, NULL, NULL, 0) == 1;
	if (!sent || PQsendQueryParams(h->conn, commit ? "COMMIT" : "ROLLBACK", 0, NULL, NULL, NULL, NULL, 0) != 1 ||
	    PQpipelineSync(h->conn) != 1)
		return error_set(err, ERR_RETRY, "%s", PQerrorMessage(h->conn));
	return read_answers(h->conn, err) ? 0 : -1;
}

/* Keeps the whole crew at the wanted rate, by the events booked so far. */
static void
pace(const struct crew *c, int64_t booked)
{
	int64_t due_us, wait_us;

	if (c->opt->events_per_second <= 0)
		return;
	due_us = c->start_us + (int64_t)((double)booked / c->opt->events_per_second * 1e6);
	wait_us = due_us - clock_mono_us();
	if (wait_us > 0)
		nanosleep(&(struct timespec){wait_us / 1000000, (wait_us % 1000000) * 1000}, NULL);
}

static int
connect_hand(struct hand *h, struct error *err)
{
	db_close(&h->conn);
	h->conn = db_open(h->crew->opt->conninfo, err);
	if (h->conn == NULL || prepare_statements(h, err) == -1)
		return -1;
	if (PQenterPipelineMode(h->conn) != 1)
		return error_set(err, ERR_FATAL, "could not enter pipeline mode");
	return 0;
}

static int
reconnect_hand(struct hand *h, struct error *err)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)h->crew->opt->reconnect_ms * 1000;

	while (clock_mono_us() < deadline_us && !atomic_load(&h->crew->stop)) {
		if (connect_hand(h, err) == 0)
			return 0;
		proc_sleep_ms(DAWDLE_MS);
	}
	return -1;
}

static int
work(struct hand *h, struct error *err)
{
	struct crew *c = h->crew;

	if (connect_hand(h, err) == -1)
		return -1;
	while (!atomic_load(&c->stop)) {
		int events = 1 + (int)(draw(h) % (uint64_t)c->opt->events_per_tx);
		bool commit = draw_share(h) >= c->opt->rollback_share;
		int64_t before = atomic_fetch_add(&c->booked, commit ? events : 0);

		if (before >= c->opt->events)
			break;
		if (commit && before + events > c->opt->events)
			events = (int)(c->opt->events - before);
		pace(c, before);
		if (transaction(h, events, commit, err) == -1) {
			proc_sleep_ms(DAWDLE_MS);
			if (reconnect_hand(h, err) == -1)
				return -1;
			continue;
		}
		atomic_fetch_add(commit ? &c->committed : &c->rolled_back, events);
		atomic_fetch_add(commit ? &c->transactions : &c->rollbacks, 1);
	}
	return 0;
}

static void *
hand_main(void *arg)
{
	struct hand *h = arg;
	struct crew *c = h->crew;
	struct error err;

	if (work(h, &err) == -1) {
		pthread_mutex_lock(&c->lock);
		if (!c->failed)
			c->err = err;
		c->failed = true;
		pthread_mutex_unlock(&c->lock);
		atomic_store(&c->stop, true);
	}
	db_close(&h->conn);
	atomic_fetch_sub(&c->running, 1);
	return NULL;
}

static void
count(struct crew *c, struct writer_counts *counts)
{
	counts->committed = atomic_load(&c->committed);
	counts->rolled_back = atomic_load(&c->rolled_back);
	counts->transactions = atomic_load(&c->transactions);
	counts->rollbacks = atomic_load(&c->rollbacks);
	counts->seconds = (double)(clock_mono_us() - c->start_us) / 1e6;
}

static void
watch_over(struct crew *c)
{
	struct writer_counts counts;

	for (int waited_ms = 0; atomic_load(&c->running) > 0; waited_ms += DAWDLE_MS) {
		proc_sleep_ms(DAWDLE_MS);
		if (c->opt->progress == NULL || waited_ms % PROGRESS_MS >= DAWDLE_MS)
			continue;
		count(c, &counts);
		c->opt->progress(c->opt->ctx, &counts);
	}
}

static void
start_hands(struct crew *c, struct hand *hands, char *pad)
{
	for (int i = 0; i < c->opt->writers; i++) {
		hands[i].crew = c;
		hands[i].number = i + 1;
		hands[i].random = (c->opt->seed + (uint64_t)i + 1) * 0x9E3779B97F4A7C15ULL;
		hands[i].pad = pad;
		atomic_fetch_add(&c->running, 1);
		if (pthread_create(&hands[i].thread, NULL, hand_main, &hands[i]) != 0)
			abort();
	}
}

int
writer_run(const struct writer_options *opt, struct writer_counts *ret_counts, struct error *err)
{
	struct crew c = {.opt = opt, .lock = PTHREAD_MUTEX_INITIALIZER};
	PGconn *conn __attribute__((cleanup(db_close))) = db_open(opt->conninfo, err);
	struct hand *hands = calloc((size_t)opt->writers, sizeof(*hands));
	char *pad = calloc(1, (size_t)opt->pad_bytes + 1);
	int rc = -1;

	if (hands == NULL || pad == NULL)
		abort();
	memset(pad, 'x', (size_t)opt->pad_bytes);
	if (conn != NULL && find_payload_type(conn, opt->table, &c.payload_type, err) == 0) {
		db_close(&conn);
		c.start_us = clock_mono_us();
		start_hands(&c, hands, pad);
		watch_over(&c);
		for (int i = 0; i < opt->writers; i++)
			pthread_join(hands[i].thread, NULL);
		if (c.failed)
			*err = c.err;
		else
			count(&c, ret_counts);
		rc = c.failed ? -1 : 0;
	}
	free(pad);
	free(hands);
	return rc;
}
