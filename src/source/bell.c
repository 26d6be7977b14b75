/* bell.c - in: questions about lanes; out: the lanes that have work. Knows nothing of batches. */
#include "source/bell.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"

#define BELL_PARAMS 5

struct bell {
	struct session *session;
	const struct lane_shared *shared;
	struct bell_events events;
	bool listen;
	bool ready;
	struct buf lanes, from_ids, xmaxes, opens;
};

static void
on_ready(void *ctx)
{
	struct bell *b = ctx;

	session_prepare(b->session, "bell", b->shared->statements->bell);
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

static void
on_round(void *ctx, struct round *r)
{
	struct bell *b = ctx;
	struct error err;
	int lanes[LANES_MAX];
	int count = 0;

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
	for (int row = 0; row < PQntuples(r->results[0]) && count < LANES_MAX; row++)
		lanes[count++] = atoi(PQgetvalue(r->results[0], row, 0));
	b->events.answered(b->events.ctx, lanes, count, r->elapsed_us);
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

void
bell_ask(struct bell *b, const struct bell_question *q, int64_t now_us)
{
	const char *values[BELL_PARAMS];

	buf_reset(&b->lanes);
	for (int i = 0; i < q->count; i++)
		buf_printf(&b->lanes, "%c%d", i == 0 ? '{' : ',', q->lanes[i]);
	buf_add_str(&b->lanes, q->count == 0 ? "{}" : "}");
	statements_rungs(q->rungs, q->count, false, &b->from_ids, &b->xmaxes, &b->opens);
	values[0] = buf_str(&b->lanes);
	values[1] = buf_str(&b->from_ids);
	values[2] = q->held_keys != NULL ? q->held_keys : "{}";
	values[3] = buf_str(&b->xmaxes);
	values[4] = buf_str(&b->opens);
	session_execute(b->session, "bell", BELL_PARAMS, values, NULL, NULL);
	if (buf_failed(&b->lanes) || buf_failed(&b->from_ids) || buf_failed(&b->xmaxes) || buf_failed(&b->opens))
		session_spoil(b->session);
	session_round_send(b->session, now_us);
}
