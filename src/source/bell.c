/* bell.c - in: questions about lanes; out: the lanes that have work. Knows nothing of batches.
 *
 * An answer depends on nothing but the question and what its snapshot sees, and what a snapshot sees changes only when a
 * transaction with an xid ends, which changes its text, too (PostgreSQL documentation, "pg_snapshot Components"). So where nobody has
 * written for some questions, the next one asks for the snapshot alone, which costs PostgreSQL a third less, and for
 * the lanes only if it is another.
 */
#include "source/bell.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

#define BELL_PARAMS 5
#define STILL 8 /* so many answers of one snapshot, one after the other */

struct bell {
	struct session *session;
	const struct lane_shared *shared;
	struct bell_events events;
	bool listen;
	bool ready;
	struct bell_question question; /* the last one, but for its keys */
	struct buf held_keys;          /* its keys */
	int rings[LANES_MAX];          /* its answer, */
	int ring_count;
	struct buf snapshot;           /* which is of this one; empty = unknown, */
	int unchanged;                 /* as so many before it were, STILL at most */
	bool comparing;                /* the round under way asks for the snapshot alone */
	struct buf lanes, from_ids, xmaxes, opens;
};

static void
on_ready(void *ctx)
{
	struct bell *b = ctx;

	buf_reset(&b->snapshot);
	b->unchanged = 0;
	b->comparing = false;
	session_prepare(b->session, "bell", b->shared->statements->bell);
	session_prepare(b->session, "snapshot", "SELECT pg_current_snapshot()");
	if (b->listen)
		session_query(b->session, "LISTEN pgoutbox");
	session_round_send(b->session, clock_mono_us());
}

static void
lose(struct bell *b, const struct error *err)
{
	b->ready = false;
	b->events.lost(b->events.ctx, err);
}

/* The question that is kept. */
static void
ask(struct bell *b, int64_t now_us)
{
	const struct bell_question *q = &b->question;
	const char *values[BELL_PARAMS];

	buf_reset(&b->lanes);
	for (int i = 0; i < q->count; i++)
		buf_printf(&b->lanes, "%c%d", i == 0 ? '{' : ',', q->lanes[i]);
	buf_add_str(&b->lanes, q->count == 0 ? "{}" : "}");
	statements_rungs(q->rungs, q->count, false, &b->from_ids, &b->xmaxes, &b->opens);
	values[0] = buf_str(&b->lanes);
	values[1] = buf_str(&b->from_ids);
	values[2] = buf_str(&b->held_keys);
	values[3] = buf_str(&b->xmaxes);
	values[4] = buf_str(&b->opens);
	session_execute(b->session, "bell", BELL_PARAMS, values, NULL, NULL);
	if (buf_failed(&b->held_keys) || buf_failed(&b->lanes) || buf_failed(&b->from_ids) || buf_failed(&b->xmaxes) ||
	    buf_failed(&b->opens))
		session_spoil(b->session);
	session_round_send(b->session, now_us);
}

static bool
same_snapshot(const struct bell *b, const char *snapshot)
{
	return b->snapshot.len > 0 && strcmp(buf_str(&b->snapshot), snapshot) == 0;
}

/* A row for each lane that rings, and one without a lane for the snapshot. */
static void
read_answer(struct bell *b, const PGresult *res)
{
	b->ring_count = 0;
	for (int row = 0; row < PQntuples(res); row++)
		if (PQgetisnull(res, row, 0)) {
			const char *snapshot = PQgetvalue(res, row, 1);

			if (!same_snapshot(b, snapshot))
				b->unchanged = 0;
			else if (b->unchanged < STILL)
				b->unchanged++;
			buf_reset(&b->snapshot);
			buf_add_str(&b->snapshot, snapshot);
		} else if (b->ring_count < LANES_MAX)
			b->rings[b->ring_count++] = atoi(PQgetvalue(res, row, 0));
	if (buf_failed(&b->snapshot))
		buf_reset(&b->snapshot);
}

static void
on_round(void *ctx, struct round *r)
{
	struct bell *b = ctx;
	struct error err;

	if (r->failed >= 0) {
		session_result_error(r->results[r->failed], "could not ask for pending events", &err);
		session_close(b->session);
		lose(b, &err);
		return;
	}
	if (!b->ready) {
		b->ready = true;
		b->events.ready(b->events.ctx);
		return;
	}
	if (!b->comparing)
		read_answer(b, r->results[0]);
	else if (!same_snapshot(b, PQgetvalue(r->results[0], 0, 0))) {
		b->comparing = false;
		ask(b, clock_mono_us());
		return;
	}
	b->comparing = false;
	b->events.answered(b->events.ctx, b->rings, b->ring_count, r->elapsed_us);
}

static void
on_lost(void *ctx, const struct error *err)
{
	lose(ctx, err);
}

static void
on_notified(void *ctx)
{
	struct bell *b = ctx;

	b->unchanged = 0; /* somebody wrote */
	b->events.notified(b->events.ctx);
}

struct bell *
bell_new(const struct lane_shared *shared, bool listen, const struct bell_events *events)
{
	struct bell *b = calloc(1, sizeof(*b));
	struct session_events se = {.ready = on_ready, .round = on_round, .lost = on_lost, .notified = on_notified, .ctx = b};

	if (b == NULL)
		return NULL;
	b->session = session_new(shared->session, "pgoutboxd bell", &se);
	if (b->session == NULL) {
		free(b);
		return NULL;
	}
	b->shared = shared;
	b->listen = listen;
	b->events = *events;
	return b;
}

void
bell_free(struct bell *b)
{
	if (b == NULL)
		return;
	session_free(b->session);
	buf_done(&b->held_keys);
	buf_done(&b->snapshot);
	buf_done(&b->lanes);
	buf_done(&b->from_ids);
	buf_done(&b->xmaxes);
	buf_done(&b->opens);
	free(b);
}

struct watch *
bell_watch(struct bell *b)
{
	return session_watch(b->session);
}

void
bell_open(struct bell *b)
{
	session_open(b->session);
}

void
bell_close(struct bell *b)
{
	b->ready = false;
	session_close(b->session);
}

bool
bell_can_ask(const struct bell *b)
{
	return b->ready && !session_is_busy(b->session);
}

static bool
asks_the_same(const struct bell *b, const struct bell_question *q, const char *held_keys)
{
	const struct bell_question *last = &b->question;

	if (q->count != last->count || strcmp(held_keys, buf_str(&b->held_keys)) != 0)
		return false;
	for (int i = 0; i < q->count; i++)
		if (q->lanes[i] != last->lanes[i] || q->rungs[i].from_id != last->rungs[i].from_id ||
		    q->rungs[i].xmax != last->rungs[i].xmax || q->rungs[i].open != last->rungs[i].open)
			return false;
	return true;
}

void
bell_ask(struct bell *b, const struct bell_question *q, int64_t now_us)
{
	const char *held_keys = q->held_keys != NULL ? q->held_keys : "{}";

	b->comparing = b->unchanged >= STILL && asks_the_same(b, q, held_keys);
	if (b->comparing) {
		session_execute(b->session, "snapshot", 0, NULL, NULL, NULL);
		session_round_send(b->session, now_us);
		return;
	}
	b->question = *q;
	b->question.held_keys = NULL;
	buf_reset(&b->held_keys);
	buf_add_str(&b->held_keys, held_keys);
	ask(b, now_us);
}
