/* pipe.c - in: rings, the lane's answers, time; out: turns for the lane. Knows neither SQL nor Kafka. */
#include "relay/pipe.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "relay/pipe_impl.h"

#define RETRY_MIN_MS 100         /* pause after refused events */
#define RETRY_MAX_MS 30000
#define LOCKED_RETRY_MS 50       /* pause while somebody else has locked unsent events */
#define REOPEN_MIN_MS 50         /* pause before a lost session is opened again */
#define REOPEN_MAX_MS 1000
#define PINGS_A_TIMEOUT 3        /* an idle session speaks so often within the server's patience */
#define GHOST_TIMEOUTS 2         /* a session that we lost has surely ended after so many session_timeouts */

/* --- the lane's answers --- */

static struct pipe *
of_lane(void *ctx)
{
	return ctx;
}

static void
on_owned(void *ctx, struct lane *l)
{
	struct pipe *p = of_lane(ctx);

	if (p->lost)
		metrics_add(p->sh->metrics, METRIC_RECONNECTS, 1);
	p->lost = p->trouble = false;
	p->sh->safe_lsn = p->sh->safe_xid = 0; /* of another server, perhaps: after a failover positions run backwards */
	p->rung = true;
	holds_forget(p->sh->holds, lane_number(l)); /* it looks from the bottom */
	log_fields(p->sh->log, LOG_INFO, "lane-owned", LOG_FIELDS(LOG_NUMBER("lane", lane_number(l))), "owns lane %d", lane_number(l));
	p->sh->changed(p->sh->ctx);
}

static void
drop_batch(struct pipe *p, struct batch *b)
{
	if (b == p->batch)
		p->batch = NULL;
	batch_free(b);
}

/* The lane is nobody's, or somebody else's, for now. */
static void
lose_lane(struct pipe *p)
{
	struct batch *settling = p->settling;

	p->settling = NULL;
	if (settling != NULL && settling != p->batch)
		stranded_retry(&p->stranded, clock_mono_us());
	p->probe.topic[0] = '\0';
	holds_forget(p->sh->holds, lane_number(p->lane));
}

static size_t
to_settle(const struct pipe *p)
{
	return stranded_unsettled(&p->stranded) + (p->batch != NULL ? batch_unsettled(p->batch) : 0);
}

/* Batches that ask for nothing any more, though their lane is away. */
static void
drop_finished(struct pipe *p)
{
	struct batch *b;

	while ((b = stranded_take_finished(&p->stranded)) != NULL)
		drop_batch(p, b);
	if (p->batch != NULL && batch_reported(p->batch) && batch_unsettled(p->batch) == 0)
		drop_batch(p, p->batch);
}

/* Another relay has the lane: what is acknowledged here may be sent again there. */
static void
give_up_settling(struct pipe *p)
{
	struct batch *b;

	metrics_add(p->sh->metrics, METRIC_EVENTS_REPEATABLE, to_settle(p));
	for (int i = 0; i < p->stranded.count; i++)
		batch_abandon(p->stranded.batches[i]);
	if ((b = p->batch) != NULL)
		batch_abandon(b);
	drop_finished(p);
}

/* Another relay has the lane, and claimed whatever was not settled; or the server still runs a session that we lost. As long as
 * it may be that, what was acknowledged is kept, to be settled first. Reports that still come find the batch. */
static void
on_refused(void *ctx, struct lane *l)
{
	struct pipe *p = of_lane(ctx);
	int64_t now_us = clock_mono_us();

	(void)l;
	lose_lane(p);
	p->wanted = false;
	p->timer.deadline_us = CLOCK_NEVER;
	p->reopen_us = now_us + backoff_next_ms(&p->reopen) * 1000LL;
	drop_finished(p);
	if (to_settle(p) > 0 && now_us < p->ghost_until_us)
		p->timer.deadline_us = p->reopen_us;
	else
		give_up_settling(p);
	p->sh->changed(p->sh->ctx);
}

static void
on_lost(void *ctx, struct lane *l, const struct error *err)
{
	struct pipe *p = of_lane(ctx);
	struct error told = *err;
	int64_t now_us = clock_mono_us();

	if (p->batch != NULL)
		p->batch->attached = false;
	if (p->waits_lsn != 0 || p->turn_us != 0)
		publish_give_back(p);
	lose_lane(p);
	/* Attempts to connect again are the keeper's to tell about. */
	error_prefix(&told, "lane %d", lane_number(l));
	log_error_fields(p->sh->log, p->lost ? LOG_DEBUG : LOG_WARNING, "lane-lost", LOG_FIELDS(LOG_NUMBER("lane", lane_number(l))), &told);
	if (!p->lost)
		p->ghost_until_us = now_us + GHOST_TIMEOUTS * p->sh->session_timeout_ms * 1000;
	p->lost = true;
	FAILPOINT(lane_lost);
	if (to_settle(p) > 0)
		metrics_add(p->sh->metrics, METRIC_SETTLES_FAILED, 1);
	p->reopen_us = now_us + backoff_next_ms(&p->reopen) * 1000LL;
	if (err->kind != ERR_RETRY)
		p->sh->failed(p->sh->ctx, err);
	p->sh->changed(p->sh->ctx);
	pipe_step(p, now_us);
}

static int
add_poisoned(const struct batch *b, struct keyset *now)
{
	for (size_t i = 0; i < b->count && b->counts[EV_POISONED] > 0; i++)
		if (b->slots[i].state == EV_POISONED && keyset_add(now, b->slots[i].ev.key) != 0)
			return -1;
	return 0;
}

/* The keys of parked events, and of those in hand that are to be parked. */
static int
list_held(const struct pipe *p, const PGresult *res, struct keyset *now)
{
	for (int row = 0; row < PQntuples(res); row++)
		if (keyset_add(now, (struct slice){PQgetvalue(res, row, 0), (size_t)PQgetlength(res, row, 0)}) != 0)
			return -1;
	if (p->sh->cfg->poison != POISON_BLOCK_KEY)
		return 0;
	for (int i = 0; i < p->stranded.count; i++)
		if (add_poisoned(p->stranded.batches[i], now) != 0)
			return -1;
	return p->batch != NULL ? add_poisoned(p->batch, now) : 0;
}

static void
take_parked(struct pipe *p, const PGresult *res)
{
	struct keyset now = KEYSET_INIT;

	if (list_held(p, res, &now) != 0) {
		keyset_done(&now);
		publish_hold_fell_short(p);
		return;
	}
	p->held_short = false;
	/* A key that is free again may have events below every rung. */
	if (!keyset_within(&p->held, &now)) {
		lane_look_from(p->lane, LADDER_BOTTOM);
		p->rung = true;
	}
	keyset_done(&p->held);
	p->held = now;
}

static void
account_settled(struct pipe *p, struct batch *b, const struct lane_result *r)
{
	uint64_t parked = 0;

	/* A batch may be settled in parts: what is counted loses its reason. */
	for (size_t i = 0; i < b->count; i++)
		if (b->slots[i].state == EV_SETTLED && b->slots[i].reason != NULL) {
			b->slots[i].reason = NULL;
			parked++;
		}
	if (batch_reported(b) && batch_unsettled(b) == 0)
		metrics_add(p->sh->metrics, METRIC_BATCHES, 1);
	metrics_add(p->sh->metrics, METRIC_EVENTS_PARKED, parked);
	metrics_observe(p->sh->metrics, METRIC_SETTLE_SECONDS, r->elapsed_us);
	FAILPOINT(settled);
	FAILPOINT_IF(parked > 0, parked);
}

/* Refused events are claimed again, after a while if it was no fault of a topic's. */
static void
look_for_refused(struct pipe *p, struct batch *b, int64_t now_us)
{
	int64_t from_id = batch_take_refused(b);

	if (from_id == INT64_MAX)
		return;
	lane_look_from(p->lane, from_id);
	p->rung = true;
	if (!p->trouble)
		return;
	p->trouble = false;
	if (p->rows > publish_rows_after_outage(p->sh))
		p->rows = publish_rows_after_outage(p->sh);
	p->not_before_us = now_us + backoff_next_ms(&p->retry) * 1000LL;
}

/* Everything about the batch is known and written. */
static void
finish_batch(struct pipe *p, struct batch *b, int64_t now_us)
{
	look_for_refused(p, b, now_us);
	drop_batch(p, b);
}

/* What Kafka kept and has told of now. Not while a claim is under way, which was made with all of it in mind. Returns what is to
 * be settled of it. */
static struct batch *
look_after_stranded(struct pipe *p, int64_t now_us)
{
	struct batch *b, *due;
	bool changed = false;
	int64_t from_id;

	if (p->stranded.count == 0)
		return NULL;
	while ((b = stranded_take_finished(&p->stranded)) != NULL) {
		finish_batch(p, b, now_us);
		changed = true;
	}
	changed |= now_us >= p->stranded.settle_due_us;
	due = stranded_due(&p->stranded, now_us);
	if (due != NULL || !changed)
		return due;
	/* A key is let go only here, together with the order to look from its first event that waits. */
	for (int i = 0; i < p->stranded.count; i++)
		look_for_refused(p, p->stranded.batches[i], now_us);
	from_id = stranded_look_from(&p->stranded);
	if (from_id != INT64_MAX) {
		lane_look_from(p->lane, from_id);
		p->rung = true;
	}
	return NULL;
}

/* Nothing passes an unsettled event of its key, so the lane waits for whoever locked one. */
static void
wait_for_locks(struct pipe *p, int64_t now_us)
{
	if (p->retry.step == 0)
		log_fields(p->sh->log, LOG_WARNING, "rows-locked", LOG_FIELDS(LOG_NUMBER("lane", lane_number(p->lane))),
		          "lane %d waits: another session has locked unsent events (see pg_locks)", lane_number(p->lane));
	p->not_before_us = now_us + LOCKED_RETRY_MS * 1000;
	backoff_next_ms(&p->retry);
	p->rung = true;
}

static void
on_turned(void *ctx, struct lane *l, const struct lane_result *r)
{
	struct pipe *p = of_lane(ctx);
	int64_t now_us = clock_mono_us();
	struct batch *settling = p->settling;

	p->settling = NULL;
	if (r->settled || lane_state(l) == LANE_HOLDING) {
		backoff_reset(&p->reopen);
		p->sh->proven = true;
	}
	if (r->parked_read)
		take_parked(p, r->parked);
	if (r->settled)
		account_settled(p, settling, r);
	if (settling != NULL && settling != p->batch)
		p->stranded.settle_due_us = now_us;
	if (p->batch != NULL) {
		p->batch->attached = false; /* every turn ends the transaction before it */
		FAILPOINT_IF(!batch_reported(p->batch), detached);
		if (batch_reported(p->batch) && batch_unsettled(p->batch) == 0)
			finish_batch(p, p->batch, now_us);
	} else if (r->claimed != NULL)
		metrics_observe(p->sh->metrics, METRIC_CLAIM_SECONDS, r->elapsed_us);
	if (r->looked_everywhere)
		metrics_add(p->sh->metrics, METRIC_CLAIMS_LOOKBACK, 1);
	if (r->more)
		p->rung = true;
	if (r->blocked)
		wait_for_locks(p, now_us);
	if (r->settled_rows < r->asked_rows)
		log_fields(p->sh->log, LOG_WARNING, "settle-short",
		          LOG_FIELDS(LOG_NUMBER("lane", lane_number(l)), LOG_NUMBER("events", r->asked_rows - r->settled_rows)),
		          "lane %d: %zu of %zu events were still to be settled: an earlier settle did the others though its answer was lost, or"
		          " another relay, or a trigger or policy keeps them unsent",
		          lane_number(l), r->settled_rows, r->asked_rows);
	if (r->claimed != NULL) {
		publish_claimed(p, r, now_us);
	} else if (lane_state(l) == LANE_HOLDING) {
		metrics_add(p->sh->metrics, METRIC_CLAIMS_EMPTY, !r->blocked);
		publish_probe_ended(p, r->blocked ? INT64_MIN : INT64_MAX, now_us);
	}
	pipe_step(p, now_us);
}

/* --- what is due --- */

/* With a part of Kafka away the lane goes on as long as any broker is there. */
static bool
goes_on(const struct pipe *p)
{
	if (!p->wanted || p->paused || p->sh->stopping || p->sh->rerouting)
		return false;
	return p->stranded.count == 0 || (outlet_reachable(p->sh->outlet) && publish_room(p) > 0);
}

/* When the lane should claim next; CLOCK_NEVER. */
static int64_t
claim_due(const struct pipe *p)
{
	int64_t holds_us = holds_due(p->sh->holds, lane_number(p->lane));

	if (!goes_on(p))
		return CLOCK_NEVER;
	if (p->rung)
		return p->not_before_us;
	return holds_us > p->not_before_us ? holds_us : p->not_before_us;
}

static bool
may_claim(const struct pipe *p, int64_t now_us)
{
	return now_us >= claim_due(p);
}

/* What holds ask for comes first: to look again where one is over, or to try whether it is. */
static void
prepare_claim(struct pipe *p, struct lane_turn *t, int64_t now_us)
{
	int lane = lane_number(p->lane);
	bool gently;
	int64_t from_id = holds_look_from(p->sh->holds, lane, &gently);

	if (from_id != INT64_MAX) {
		lane_look_from(p->lane, from_id);
		if (gently)
			p->rows = 1; /* whatever was to blame shall travel alone */
	} else if (holds_probe(p->sh->holds, lane, now_us, &p->probe)) {
		t->probe = true;
		t->probe_from = p->probe.from_id < lane_hint(p->lane) ? p->probe.from_id : lane_hint(p->lane);
		t->claim_rows = publish_rows_after_outage(p->sh);
		return;
	}
	t->claim_rows = p->rows;
	p->rung = false;
}

static void
turn(struct pipe *p, struct batch *settle, bool claim, int64_t now_us)
{
	struct lane_turn t = {
		.settle = settle,
		.held_keys = claim ? keyset_literal(&p->held) : NULL,
		.read_parked = p->reread_parked,
	};

	if (claim)
		prepare_claim(p, &t, now_us);
	p->settling = settle;
	p->reread_parked = false; /* a change from now on asks for another reading */
	p->timer.deadline_us = CLOCK_NEVER;
	lane_turn(p->lane, &t, now_us);
}

/* The lane holds row locks: settle, or let go once Kafka takes too long, so that no transaction waits for it. */
static void
step_holding(struct pipe *p, int64_t now_us)
{
	struct batch *b = p->batch;

	if (p->waits_lsn != 0) {
		p->timer.deadline_us = p->hold_until_us;
		if (now_us < p->hold_until_us)
			return;
		log_fields(p->sh->log, LOG_WARNING, "flush-late", LOG_FIELDS(LOG_NUMBER("lane", lane_number(p->lane))), "lane %d: WAL was not flushed within %lld ms", lane_number(p->lane),
		          (long long)p->sh->cfg->hold_max_ms);
		publish_give_back(p);
	}
	if (p->turn_us != 0) {
		p->timer.deadline_us = p->turn_us;
		if (now_us < p->turn_us)
			return;
		publish_now(p);
	}
	if (b == NULL || batch_reported(b)) {
		struct batch *settle = b != NULL && batch_unsettled(b) > 0 ? b : NULL;

		/* Where events come there may be others by now, which need not wait for the bell. */
		p->rung |= b != NULL && b->counts[EV_ACKED] > 0 && !b->probe;
		/* Refused events wait out their pause first: a claim now would bring them at once. And what is stranded is settled before
		 * anything that waits for it is claimed. */
		bool claim = look_after_stranded(p, now_us) == NULL && (b == NULL || b->counts[EV_REFUSED] == 0) && may_claim(p, now_us);

		turn(p, settle, claim, now_us);
	} else if (now_us >= p->hold_until_us) {
		log_fields(p->sh->log, LOG_INFO, "lane-detached",
		          LOG_FIELDS(LOG_NUMBER("lane", lane_number(p->lane)), LOG_NUMBER("events", b->counts[EV_SENT])),
		          "lane %d: Kafka has not acknowledged %zu events within %lld ms",
		          lane_number(p->lane), b->counts[EV_SENT], (long long)p->sh->cfg->hold_max_ms);
		p->rows = publish_rows_after_outage(p->sh);
		FAILPOINT(detaching);
		turn(p, batch_unsettled(b) > 0 ? b : NULL, false, now_us);
		p->sh->changed(p->sh->ctx);
	} else
		p->timer.deadline_us = p->hold_until_us;
}

static void
step_idle(struct pipe *p, int64_t now_us)
{
	int64_t ping_us = lane_silent_since(p->lane) + p->sh->session_timeout_ms * 1000 / PINGS_A_TIMEOUT;
	struct batch *settle;

	if (p->batch != NULL && batch_reported(p->batch) && batch_unsettled(p->batch) == 0)
		finish_batch(p, p->batch, now_us);
	if (p->batch != NULL && !batch_reported(p->batch) && now_us >= p->hold_until_us) {
		look_for_refused(p, p->batch, now_us);
		publish_strand(p, now_us);
	}
	settle = look_after_stranded(p, now_us);
	if (settle == NULL && p->batch != NULL && batch_reported(p->batch))
		settle = p->batch;
	if (settle != NULL)
		turn(p, settle, false, now_us);
	else if (p->batch == NULL && p->stranded.count == 0 && (!p->wanted || p->sh->stopping)) {
		FAILPOINT(lane_closing);
		lane_close(p->lane);
		FAILPOINT(lane_released);
		lose_lane(p);
		log_fields(p->sh->log, LOG_INFO, "lane-released", LOG_FIELDS(LOG_NUMBER("lane", lane_number(p->lane))), "released lane %d", lane_number(p->lane));
		p->sh->changed(p->sh->ctx);
	} else if (p->batch == NULL && may_claim(p, now_us))
		turn(p, NULL, true, now_us);
	else if (p->reread_parked || now_us >= ping_us)
		turn(p, NULL, false, now_us);
	else {
		int64_t due_us = p->batch == NULL ? claim_due(p) : batch_reported(p->batch) ? CLOCK_NEVER : p->hold_until_us;

		if (p->batch != NULL && p->hold_until_us <= now_us)
			due_us = CLOCK_NEVER; /* no room to strand it: its reports come first */
		p->timer.deadline_us = due_us < ping_us ? due_us : ping_us;
		if (p->stranded.settle_due_us < p->timer.deadline_us)
			p->timer.deadline_us = p->stranded.settle_due_us;
		p->sh->changed(p->sh->ctx);
	}
}

/* What was acknowledged while the session was away is settled as soon as the lane is ours again. */
static void
step_closed(struct pipe *p, int64_t now_us)
{
	drop_finished(p);
	if (to_settle(p) == 0 && (!p->wanted || p->sh->stopping)) {
		p->timer.deadline_us = CLOCK_NEVER;
		p->sh->changed(p->sh->ctx);
	} else if (now_us >= p->reopen_us) {
		p->timer.deadline_us = CLOCK_NEVER;
		lane_open(p->lane);
	} else
		p->timer.deadline_us = p->reopen_us;
}

void
pipe_step(struct pipe *p, int64_t now_us)
{
	switch (lane_state(p->lane)) {
	case LANE_CLOSED:
		step_closed(p, now_us);
		break;
	case LANE_IDLE:
		step_idle(p, now_us);
		break;
	case LANE_HOLDING:
		step_holding(p, now_us);
		break;
	case LANE_OPENING:
	case LANE_TURNING:
	case LANE_STATES:
		break;
	}
}

static void
fire(struct watch *w, short revents, int64_t now_us)
{
	struct pipe *p = (struct pipe *)w;

	(void)revents;
	p->timer.deadline_us = CLOCK_NEVER;
	pipe_step(p, now_us);
}

/* --- for the relay --- */

struct pipe *
pipe_new(struct pipe_shared *shared, int number, struct error *err)
{
	struct pipe *p = calloc(1, sizeof(*p));
	struct lane_events events = {.owned = on_owned, .refused = on_refused, .turned = on_turned, .lost = on_lost, .ctx = p};

	if (p != NULL)
		p->lane = lane_new(&shared->lanes, number, &events);
	if (p == NULL || p->lane == NULL) {
		free(p);
		error_set(err, ERR_FATAL, "out of memory");
		return NULL;
	}
	p->timer = (struct watch){.fd = -1, .deadline_us = CLOCK_NEVER, .fire = fire};
	p->sh = shared;
	p->rows = publish_rows_after_outage(shared);
	stranded_init(&p->stranded);
	backoff_init(&p->retry, RETRY_MIN_MS, RETRY_MAX_MS, (uint64_t)clock_mono_us() + (uint64_t)number);
	backoff_init(&p->reopen, REOPEN_MIN_MS, REOPEN_MAX_MS, (uint64_t)clock_mono_us() * 31 + (uint64_t)number);
	if (loop_add(shared->loop, &p->timer, err) != 0 || loop_add(shared->loop, lane_watch(p->lane), err) != 0) {
		pipe_free(p);
		return NULL;
	}
	return p;
}

void
pipe_free(struct pipe *p)
{
	if (p == NULL)
		return;
	loop_remove(p->sh->loop, &p->timer);
	loop_remove(p->sh->loop, lane_watch(p->lane));
	lane_free(p->lane);
	batch_free(p->batch);
	stranded_done(&p->stranded);
	keyset_done(&p->held);
	free(p);
}

void
pipe_take(struct pipe *p)
{
	p->wanted = true;
	pipe_step(p, clock_mono_us());
}

void
pipe_leave(struct pipe *p)
{
	p->wanted = false;
	pipe_step(p, clock_mono_us());
}

void
pipe_drop(struct pipe *p, const struct error *err)
{
	lane_drop(p->lane, err);
}

void
pipe_pause(struct pipe *p, bool paused)
{
	if (p->paused == paused)
		return;
	p->paused = paused;
	p->rung |= !paused; /* what came meanwhile rang nobody */
	if (lane_state(p->lane) == LANE_IDLE)
		pipe_step(p, clock_mono_us());
}

bool
pipe_wanted(const struct pipe *p)
{
	return p->wanted;
}

bool
pipe_owned(const struct pipe *p)
{
	return lane_state(p->lane) >= LANE_IDLE;
}

bool
pipe_detached(const struct pipe *p)
{
	return p->stranded.count > 0 || (p->batch != NULL && !p->batch->attached);
}

bool
pipe_busy(const struct pipe *p)
{
	return pipe_owned(p) && (p->batch != NULL || (p->rung && !p->paused));
}

bool
pipe_closed(const struct pipe *p)
{
	return lane_state(p->lane) == LANE_CLOSED && p->batch == NULL && p->stranded.count == 0;
}

void
pipe_ring(struct pipe *p, bool everywhere)
{
	if (everywhere)
		lane_look_everywhere(p->lane);
	p->rung = true;
	pipe_step(p, clock_mono_us());
}

bool
pipe_may_ring(const struct pipe *p)
{
	return lane_state(p->lane) == LANE_IDLE && p->batch == NULL && !p->rung && goes_on(p);
}

bool
pipe_look_due(const struct pipe *p, int64_t now_us)
{
	return lane_look_due(p->lane, now_us);
}

int64_t
pipe_hint(const struct pipe *p)
{
	return lane_hint(p->lane);
}

struct rung
pipe_newest_rung(const struct pipe *p)
{
	return lane_newest_rung(p->lane);
}

void
pipe_looked(struct pipe *p, int64_t elapsed_us)
{
	lane_looked(p->lane, elapsed_us, clock_mono_us());
}

const struct keyset *
pipe_held(const struct pipe *p)
{
	return &p->held;
}

void
pipe_retry(struct pipe *p)
{
	p->not_before_us = 0;
	backoff_reset(&p->retry);
	if (lane_state(p->lane) == LANE_IDLE)
		pipe_step(p, clock_mono_us());
}

void
pipe_holds_lifted(struct pipe *p)
{
	if (lane_state(p->lane) == LANE_IDLE)
		pipe_step(p, clock_mono_us());
}

void
pipe_limits_changed(struct pipe *p)
{
	p->rows = publish_rows_after_outage(p->sh);
}

bool
pipe_quiet(const struct pipe *p)
{
	enum lane_state state = lane_state(p->lane);

	return p->batch == NULL && p->stranded.count == 0 && state != LANE_TURNING && state != LANE_HOLDING;
}

void
pipe_rerouted(struct pipe *p)
{
	lane_look_from(p->lane, INT64_MIN + 1);
	p->rung = true;
	if (lane_state(p->lane) == LANE_IDLE)
		pipe_step(p, clock_mono_us());
}

void
pipe_parked_changed(struct pipe *p)
{
	p->reread_parked = true;
	if (lane_state(p->lane) == LANE_IDLE)
		pipe_step(p, clock_mono_us());
}

void
pipe_describe(const struct pipe *p, struct buf *out)
{
	static const char *const states[] = {"closed", "opening", "idle", "turning", "holding"};
	const struct batch *b = p->batch;

	buf_printf(out, "lane %d: %s%s, claims %" PRId64 " rows, %zu keys held", lane_number(p->lane), states[lane_state(p->lane)],
	           p->wanted ? "" : " (not wanted)", p->rows, keyset_count(&p->held));
	if (b != NULL)
		buf_printf(out,
		           "; batch of %zu%s: %zu with Kafka, %zu acknowledged, %zu refused, %zu held, %zu to be parked, %zu settled",
		           b->count, b->attached ? "" : " (detached)", b->counts[EV_SENT], b->counts[EV_ACKED], b->counts[EV_REFUSED],
		           b->counts[EV_HELD], b->counts[EV_POISONED], b->counts[EV_SETTLED]);
	if (p->stranded.count > 0)
		buf_printf(out, "; %d batches stranded: %zu with Kafka, %zu to be settled", p->stranded.count,
		           stranded_in_flight(&p->stranded), stranded_unsettled(&p->stranded));
}
