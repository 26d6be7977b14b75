/* barrier.c - in: WAL positions that must be safe; out: positions that are. Knows nothing of batches. */
#include "source/barrier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define FLUSH_STATEMENTS 3
#define FLUSH_LSN 1 /* the statement that tells it */

struct barrier {
	struct session *session;
	int64_t quiet_max_us;
	int64_t spoke_us;
	struct barrier_events events;
	uint64_t needed, safe;
};

uint64_t
barrier_parse_lsn(const char *text)
{
	uint32_t hi, lo;

	if (sscanf(text, "%" SCNx32 "/%" SCNx32, &hi, &lo) != 2)
		return 0;
	return (uint64_t)hi << 32 | lo;
}

/* A transaction that wrote something and commits synchronously. What lies before its own record is safe then, and no
 * more: what others flushed beyond it may be unknown to a synchronous standby. */
static void
flush(struct barrier *b, int64_t now_us)
{
	if (b->needed <= b->safe || !session_is_open(b->session) || session_is_busy(b->session))
		return;
	session_query(b->session, "BEGIN");
	session_query(b->session, "SELECT pg_logical_emit_message(true, 'pgoutbox', ''), pg_snapshot_xmin(pg_current_snapshot())");
	session_query(b->session, "COMMIT");
	b->spoke_us = now_us;
	session_round_send(b->session, now_us);
}

static void
on_ready(void *ctx)
{
	flush(ctx, clock_mono_us());
}

/* Whoever waits is told, and asks anew: what was needed until now is nobody's any more. */
static void
lose(struct barrier *b, const struct error *err)
{
	b->needed = b->safe = 0;
	b->events.lost(b->events.ctx, err);
}

static void
fail(struct barrier *b, const struct error *err)
{
	barrier_close(b);
	lose(b, err);
}

static void
on_round(void *ctx, struct round *r)
{
	struct barrier *b = ctx;
	struct error err;

	if (r->failed >= 0) {
		session_result_error(r->results[r->failed], "could not flush WAL", &err);
		fail(b, &err);
		return;
	}
	/* Cancelled, or after statement_timeout, a commit returns all the same: with a warning that no standby may have it. */
	if (r->warned) {
		error_set(&err, ERR_RETRY, "PostgreSQL did not wait for its synchronous standbys");
		error_hint(&err, "see pg_stat_replication: nothing is published that a failover to one of them would lose");
		fail(b, &err);
		return;
	}
	if (r->count == FLUSH_STATEMENTS) {
		b->safe = barrier_parse_lsn(PQgetvalue(r->results[FLUSH_LSN], 0, 0));
		b->events.flushed(b->events.ctx, b->safe, strtoull(PQgetvalue(r->results[FLUSH_LSN], 0, 1), NULL, 10));
	}
	flush(b, clock_mono_us());
}

static void
on_lost(void *ctx, const struct error *err)
{
	lose(ctx, err);
}

struct barrier *
barrier_new(const struct session_options *opt, const struct barrier_events *events)
{
	struct barrier *b = calloc(1, sizeof(*b));
	struct session_events se = {.ready = on_ready, .round = on_round, .lost = on_lost, .ctx = b};

	if (b == NULL)
		return NULL;
	b->session = session_new(opt, "pgoutboxd barrier", &se);
	if (b->session == NULL) {
		free(b);
		return NULL;
	}
	b->events = *events;
	b->quiet_max_us = opt->session_timeout_ms * 1000 / 3;
	return b;
}

void
barrier_free(struct barrier *b)
{
	if (b == NULL)
		return;
	session_free(b->session);
	free(b);
}

struct watch *
barrier_watch(struct barrier *b)
{
	return session_watch(b->session);
}

/* After a failover positions may run backwards: one that was asked for while there was no session may be another server's, never
 * to be reached here. One flush serves whoever asked, since it begins later than what they saw. */
void
barrier_open(struct barrier *b)
{
	b->needed = b->needed > 0 ? 1 : 0;
	session_open(b->session);
}

void
barrier_close(struct barrier *b)
{
	session_close(b->session);
}

void
barrier_need(struct barrier *b, uint64_t lsn, int64_t now_us)
{
	if (lsn > b->needed)
		b->needed = lsn;
	flush(b, now_us);
}

void
barrier_tick(struct barrier *b, int64_t now_us)
{
	if (!session_is_open(b->session) || session_is_busy(b->session) || now_us - b->spoke_us < b->quiet_max_us)
		return;
	b->spoke_us = now_us;
	session_query(b->session, "SELECT 1");
	session_round_send(b->session, now_us);
}
