/* lane.c - in: turns; out: claimed batches and settled ones. Knows neither routes nor Kafka. */
#include "source/lane.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "source/claimed.h"
#include "source/receipts.h"

/* A plain claim that meets a row which somebody else has locked is an error, of which the server's log tells. So for this long claims are
 * by size after one, and count what is there instead. */
#define LOCKED_US 60000000

struct lane {
	struct session *session;
	const struct lane_shared *shared;
	struct lane_events events;
	int number;
	enum lane_state state;
	struct ladder ladder;
	bool sized;       /* the last claim met a large payload: count bytes */
	bool by_size;     /* the claim in flight counts them */
	int64_t locked_until_us; /* so long after a claim met a locked row they are by size */
	bool from_bottom; /* it starts there */
	bool probing;     /* it starts where the turn said */
	int64_t limit;    /* its rows */
	int64_t plain_us; /* what the last turn took whose claim did not start there */
	struct batch *settling;
	int settle_index, commit_index, parked_index, end_index, claim_index; /* in the round in flight; -1 = not in it */
	int sent; /* statements in the round so far */
	int64_t spoke_us;
	struct claim_params params;
	struct buf ids, tids;
	struct receipts receipts;
};

static const unsigned legal_moves[LANE_STATES] = {
	[LANE_CLOSED] = 1U << LANE_OPENING,
	[LANE_OPENING] = 1U << LANE_IDLE | 1U << LANE_CLOSED,
	[LANE_IDLE] = 1U << LANE_TURNING | 1U << LANE_CLOSED,
	[LANE_TURNING] = 1U << LANE_IDLE | 1U << LANE_HOLDING | 1U << LANE_CLOSED,
	[LANE_HOLDING] = 1U << LANE_TURNING | 1U << LANE_CLOSED,
};

static void
move(struct lane *l, enum lane_state to)
{
	assert((legal_moves[l->state] & 1U << to) != 0);
	l->state = to;
}

static void on_ready(void *ctx);
static void on_round(void *ctx, struct round *r);
static void on_lost(void *ctx, const struct error *err);

struct lane *
lane_new(const struct lane_shared *shared, int number, const struct lane_events *events)
{
	struct lane *l = calloc(1, sizeof(*l));
	struct session_events se = {.ready = on_ready, .round = on_round, .lost = on_lost, .ctx = l};
	char name[64];

	if (l == NULL)
		return NULL;
	snprintf(name, sizeof(name), "pgoutboxd lane %d", number);
	l->session = session_new(shared->session, name, &se);
	if (l->session == NULL) {
		free(l);
		return NULL;
	}
	l->shared = shared;
	l->events = *events;
	l->number = number;
	return l;
}

void
lane_free(struct lane *l)
{
	if (l == NULL)
		return;
	session_free(l->session);
	buf_done(&l->params.from_ids);
	buf_done(&l->params.xmaxes);
	buf_done(&l->params.opens);
	buf_done(&l->ids);
	buf_done(&l->tids);
	receipts_done(&l->receipts);
	free(l);
}

int
lane_number(const struct lane *l)
{
	return l->number;
}

enum lane_state
lane_state(const struct lane *l)
{
	return l->state;
}

struct watch *
lane_watch(struct lane *l)
{
	return session_watch(l->session);
}

void
lane_open(struct lane *l)
{
	move(l, LANE_OPENING);
	l->sized = false;
	l->locked_until_us = 0;
	session_open(l->session);
	FAILPOINT(lane_opening);
}

/* Whether a settle under way was committed is not known: it is to be done again, by id. */
static void
closed(struct lane *l)
{
	if (l->settling != NULL)
		batch_settle_end(l->settling, false);
	l->settling = NULL;
	move(l, LANE_CLOSED);
}

void
lane_close(struct lane *l)
{
	if (l->state == LANE_CLOSED)
		return;
	session_close(l->session);
	closed(l);
}

/* --- the handshake: lock first, so that what is read after it cannot be changed by an earlier owner --- */

static void
on_ready(void *ctx)
{
	struct lane *l = ctx;
	const struct statements *st = l->shared->statements;
	char sql[128], lanes[128], lane[16];
	const char *values[1] = {lane};

	snprintf(sql, sizeof(sql), "SELECT pg_try_advisory_lock(%d, %d)", (int32_t)l->shared->layout->relation_oid, l->number);
	snprintf(lane, sizeof(lane), "%d", l->number);
	snprintf(lanes, sizeof(lanes), "SELECT lanes FROM pgoutbox.outbox WHERE relation = %" PRIu32, l->shared->layout->relation_oid);
	session_query(l->session, sql);
	session_query(l->session, lanes);
	session_prepare(l->session, "claim", st->claim);
	session_prepare(l->session, "claim_sized", st->claim_sized);
	session_prepare(l->session, "settle_ids", st->settle_ids);
	if (st->settle_tids != NULL)
		session_prepare(l->session, "settle_tids", st->settle_tids);
	session_prepare(l->session, "park", st->park);
	session_prepare(l->session, "parked_keys", st->parked_keys);
	session_prepare(l->session, "end", st->end);
	session_execute(l->session, "parked_keys", 1, values, NULL, NULL);
	session_round_send(l->session, clock_mono_us());
}

static void
fail(struct lane *l, const struct error *err)
{
	session_close(l->session);
	closed(l);
	l->events.lost(l->events.ctx, l, err);
}

void
lane_drop(struct lane *l, const struct error *err)
{
	if (l->state != LANE_CLOSED)
		fail(l, err);
}

/* Whoever changes the number of lanes holds all their locks meanwhile: what is read behind the lock is good as long as we have it.
 * With another number than the claim's, keys would be in two lanes at once. */
static bool
is_ours(const struct lane *l, const struct round *r)
{
	const PGresult *lanes = r->results[1];

	return PQgetvalue(r->results[0], 0, 0)[0] == 't' && PQntuples(lanes) == 1 &&
	       atoi(PQgetvalue(lanes, 0, 0)) == l->shared->statements->lanes;
}

static void
handshake_done(struct lane *l, struct round *r)
{
	struct lane_result result = {.parked_read = true, .parked = r->results[r->count - 1]};
	struct error err;

	if (r->failed >= 0) {
		session_result_error(r->results[r->failed], "could not prepare a lane's session", &err);
		fail(l, &err);
		return;
	}
	if (!is_ours(l, r)) {
		lane_close(l);
		FAILPOINT(lane_refused);
		l->events.refused(l->events.ctx, l);
		return;
	}
	ladder_init(&l->ladder, clock_mono_us());
	move(l, LANE_IDLE);
	FAILPOINT(lane_owned);
	l->events.owned(l->events.ctx, l);
	if (l->state == LANE_IDLE)
		l->events.turned(l->events.ctx, l, &result);
}

/* --- a turn --- */

static void
add_settle(struct lane *l, struct batch *b)
{
	const struct statements *st = l->shared->statements;
	bool by_tid = b->attached && st->settle_tids != NULL;
	struct buf *list = by_tid ? &l->tids : &l->ids;
	size_t taken = batch_settle_begin(b);
	const struct statements_options *options = l->shared->options;
	const char *values[RECEIPTS_PARAMS];
	int lengths[RECEIPTS_PARAMS];
	int formats[RECEIPTS_PARAMS] = {1, 1, 1, 1};
	int count = 1;

	if (!b->attached) {
		session_query(l->session, "BEGIN");
		l->sent++;
	}
	if (b->counts[EV_POISONED] > 0) {
		struct buf ids = BUF_INIT, topics = BUF_INIT, reasons = BUF_INIT;
		const char *park[3];

		statements_park(b, &ids, &topics, &reasons);
		park[0] = buf_str(&ids);
		park[1] = buf_str(&topics);
		park[2] = buf_str(&reasons);
		if (buf_failed(&ids) || buf_failed(&topics) || buf_failed(&reasons))
			session_spoil(l->session);
		session_execute(l->session, "park", 3, park, NULL, NULL);
		l->sent++;
		buf_done(&ids);
		buf_done(&topics);
		buf_done(&reasons);
		FAILPOINT(park_due);
	}
	buf_reset(list);
	if (by_tid)
		statements_tids(b, taken, list);
	else
		statements_ids(b, taken, list);
	values[0] = buf_str(list);
	lengths[0] = (int)list->len;
	if (buf_failed(list))
		session_spoil(l->session);
	if (options->receipts)
		count = receipts_bind(&l->receipts, b, taken, options->settle_delete, values, lengths);
	session_execute(l->session, by_tid ? "settle_tids" : "settle_ids", count, values, lengths, formats);
	l->settle_index = l->sent++;
	FAILPOINT_IF(b->attached, settle_due);
	FAILPOINT_IF(!b->attached, late_settle_due);
}

static void
add_commit(struct lane *l)
{
	session_query(l->session, "COMMIT");
	l->commit_index = l->sent++;
}

/* A statement that asks for nothing but the lane's number. */
static int
add_of_lane(struct lane *l, const char *name)
{
	char lane[16];
	const char *values[1] = {lane};

	snprintf(lane, sizeof(lane), "%d", l->number);
	session_execute(l->session, name, 1, values, NULL, NULL);
	return l->sent++;
}

static void
add_claim(struct lane *l, const struct lane_turn *turn, int64_t now_us)
{
	struct claim_params *p = &l->params;
	const struct statements_options *options = l->shared->options;
	int64_t bytes;
	struct ladder probe = {.count = 1, .rungs = {ladder_rung_at(turn->probe_from)}};

	l->probing = turn->probe;
	/* A probe has to bring its event, and the first row of a claim by size always comes. */
	l->by_size = l->sized || l->probing || now_us < l->locked_until_us;
	bytes = l->by_size ? options->batch_bytes : options->batch_bytes / options->batch_rows;
	l->from_bottom = !turn->probe && ladder_look_due(&l->ladder, now_us);
	l->limit = turn->claim_rows;
	statements_bind_claim(p, l->number, turn->claim_rows, bytes, turn->probe ? &probe : &l->ladder, l->from_bottom,
	                      turn->held_keys);
	/* What the server would say of a value that is cut short is a mistake that a person must mend. */
	if (buf_failed(&p->from_ids) || buf_failed(&p->xmaxes) || buf_failed(&p->opens))
		session_spoil(l->session);
	session_query(l->session, "BEGIN");
	l->sent++;
	session_execute_binary(l->session, l->by_size ? "claim_sized" : "claim", CLAIM_PARAMS, p->values, p->lengths, p->formats);
	l->claim_index = l->sent++;
	FAILPOINT(claim_due);
}

void
lane_turn(struct lane *l, const struct lane_turn *turn, int64_t now_us)
{
	bool open_transaction = l->state == LANE_HOLDING;

	move(l, LANE_TURNING);
	l->settle_index = l->commit_index = l->parked_index = l->end_index = l->claim_index = -1;
	l->sent = 0;
	l->settling = turn->settle;
	assert(turn->settle == NULL || batch_unsettled(turn->settle) > 0);
	if (turn->settle != NULL && !turn->settle->attached && open_transaction) {
		/* An older batch is settled in a transaction of its own, never in one that may be rolled back. */
		add_commit(l);
		open_transaction = false;
	}
	if (turn->settle != NULL) {
		add_settle(l, turn->settle);
		add_commit(l);
	} else if (open_transaction)
		add_commit(l);
	if (turn->read_parked)
		l->parked_index = add_of_lane(l, "parked_keys");
	if (turn->claim_rows > 0 && ladder_wants_end(&l->ladder, now_us))
		l->end_index = add_of_lane(l, "end");
	if (turn->claim_rows > 0)
		add_claim(l, turn, now_us);
	if (l->sent == 0) {
		session_query(l->session, "SELECT 1"); /* speaks, so that the server does not think us gone */
		l->sent++;
	}
	l->spoke_us = now_us;
	session_round_send(l->session, now_us);
	FAILPOINT_IF(turn->settle != NULL && turn->settle->attached, settle_sent);
	FAILPOINT_IF(turn->settle != NULL && !turn->settle->attached, late_settle_sent);
	FAILPOINT_IF(turn->settle != NULL && turn->settle->counts[EV_POISONED] > 0, park_sent);
	FAILPOINT_IF(turn->claim_rows > 0, claim_sent);
}

/* With receipts of deleted rows the answer is a count, see receipts.h. */
static size_t
settled_rows(const PGresult *res)
{
	if (PQnfields(res) > 0)
		return (size_t)strtoull(PQgetvalue(res, 0, 0), NULL, 10);
	return (size_t)strtoull(PQcmdTuples((PGresult *)(uintptr_t)res), NULL, 10);
}

static void
settled(struct batch *b, struct lane_result *ret_result, const PGresult *res)
{
	size_t asked;

	FAILPOINT_IF(b->attached, settle_answered);
	FAILPOINT_IF(!b->attached, late_settle_answered);
	asked = batch_settle_end(b, true);

	ret_result->settled = true;
	ret_result->asked_rows = asked;
	ret_result->settled_rows = settled_rows(res);
}

/* What a look added to its turn. */
static int64_t
look_us(const struct lane *l, int64_t elapsed_us)
{
	return elapsed_us > l->plain_us ? elapsed_us - l->plain_us : 0;
}

static int
read_claim(struct lane *l, struct round *r, struct lane_result *ret_result, struct error *err)
{
	struct claimed_how how = {l->shared->layout, l->shared->options, &l->ladder, l->by_size, l->limit};
	struct claimed c;
	struct batch *b;
	int64_t now_us = clock_mono_us();

	if (claimed_read(&how, &r->results[l->claim_index], &c, err) != 0)
		return -1;
	b = c.batch;
	if (c.backend_pid != session_server_pid(l->session)) {
		batch_free(b);
		error_set(err, ERR_CONFIG, "the server process behind lane %d changed", l->number);
		return error_hint(err, "a pooler is in between: connect directly, or through a pooler in session mode");
	}
	if (c.skipped) {
		batch_free(b);
		ret_result->blocked = true;
		return 0;
	}
	if (!l->probing)
		l->sized = c.cut || (l->sized && b->bytes > (size_t)l->shared->options->batch_bytes / 2);
	b->claimed_us = now_us;
	b->probe = l->probing;
	if (!l->probing)
		ladder_learn(&l->ladder, &c.view, now_us);
	if (!l->from_bottom && !l->probing)
		l->plain_us = r->elapsed_us;
	/* Where the first row was too large to come the look is not over: the next claim begins there again, by size. */
	if (l->from_bottom && !(c.cut && b->count == 0))
		ladder_looked(&l->ladder, look_us(l, r->elapsed_us), now_us);
	ret_result->from_bottom = l->from_bottom;
	ret_result->looked_everywhere = l->from_bottom && !c.view.full;
	ret_result->wal_insert_lsn = c.wal_insert_lsn;
	ret_result->wal_flush_lsn = c.wal_flush_lsn;
	ret_result->newest_xid = c.newest_xid;
	ret_result->more = b->full && !l->probing;
	if (b->count == 0)
		batch_free(b);
	else
		ret_result->claimed = b;
	return 0;
}

/* lock_not_available, and at once: somebody else has locked one of the rows; with a lock of the table it takes lock_timeout. What the round
 * did before was committed; its last transaction has failed and ends with the next turn. */
static bool
claim_met_lock(const struct lane *l, const struct round *r)
{
	const char *state = r->failed >= 0 ? PQresultErrorField(r->results[r->failed], PG_DIAG_SQLSTATE) : NULL;

	return state != NULL && r->failed == l->claim_index && !l->by_size && strcmp(state, "55P03") == 0 &&
	       r->elapsed_us < session_lock_timeout_ms(l->shared->session) * 1000;
}

static const char *
turn_failure(const struct lane *l, int failed)
{
	if (failed == l->claim_index)
		return "could not claim";
	if (failed <= l->commit_index)
		return "could not settle";
	return "could not run a lane's turn";
}

static void
turn_done(struct lane *l, struct round *r)
{
	struct lane_result result = {.elapsed_us = r->elapsed_us};
	struct error err;
	struct batch *b = l->settling;

	result.blocked = claim_met_lock(l, r);
	if (r->failed >= 0 && !result.blocked) {
		session_result_error(r->results[r->failed], turn_failure(l, r->failed), &err);
		fail(l, &err);
		return;
	}
	l->settling = NULL;
	if (b != NULL)
		settled(b, &result, r->results[l->settle_index]);
	if (l->parked_index >= 0) {
		result.parked_read = true;
		result.parked = r->results[l->parked_index];
	}
	if (l->end_index >= 0 && PQntuples(r->results[l->end_index]) == 1)
		ladder_saw(&l->ladder, strtoll(PQgetvalue(r->results[l->end_index], 0, 0), NULL, 10), clock_mono_us());
	if (result.blocked) {
		l->locked_until_us = clock_mono_us() + LOCKED_US;
	} else if (l->claim_index >= 0 && read_claim(l, r, &result, &err) != 0) {
		fail(l, &err);
		return;
	}
	move(l, l->claim_index >= 0 ? LANE_HOLDING : LANE_IDLE);
	l->events.turned(l->events.ctx, l, &result);
}

static void
on_round(void *ctx, struct round *r)
{
	struct lane *l = ctx;

	if (l->state == LANE_OPENING)
		handshake_done(l, r);
	else
		turn_done(l, r);
}

static void
on_lost(void *ctx, const struct error *err)
{
	struct lane *l = ctx;

	closed(l);
	l->events.lost(l->events.ctx, l, err);
}

void
lane_look_from(struct lane *l, int64_t id)
{
	ladder_lower(&l->ladder, id);
}

void
lane_look_everywhere(struct lane *l)
{
	l->ladder.look_next_us = 0;
}

void
lane_put_look_off(struct lane *l, int64_t until_us)
{
	if (l->ladder.look_next_us < until_us)
		l->ladder.look_next_us = until_us;
}

void
lane_looked(struct lane *l, int64_t duration_us, int64_t now_us)
{
	ladder_looked(&l->ladder, duration_us, now_us);
}

int64_t
lane_hint(const struct lane *l)
{
	return ladder_hint(&l->ladder);
}

struct rung
lane_newest_rung(const struct lane *l)
{
	return ladder_newest(&l->ladder);
}

bool
lane_look_due(const struct lane *l, int64_t now_us)
{
	return ladder_look_due(&l->ladder, now_us);
}

int64_t
lane_silent_since(const struct lane *l)
{
	return l->spoke_us;
}
