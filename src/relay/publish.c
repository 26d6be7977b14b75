/* publish.c - in: claimed batches, reports; out: messages for the outlet, states for the slots, a limit for the next claim.
 *
 * Knows neither SQL nor librdkafka, and decides nothing about the lane's turns: that is pipe.c's.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "relay/pipe_impl.h"

#define ROWS_MIN 50         /* a claim after an outage */
#define ROWS_PROBE 1        /* a claim after topic trouble: only an event that travels alone can be blamed for a refusal */
#define ACK_QUICK_US 250000 /* a batch acknowledged within this lets claims grow, */
#define ACK_SLOW_US 1000000 /* beyond this, shrink */

int64_t
publish_rows_after_outage(const struct pipe_shared *sh)
{
	return ROWS_MIN < sh->cfg->batch_rows ? ROWS_MIN : sh->cfg->batch_rows;
}

/* --- publishing --- */

/* Refuses an event for now; later events of its key must not pass it within this batch. -1: out of memory, so none may follow. */
static int
refuse(struct slot *slot, struct keyset *behind)
{
	batch_move(slot, EV_REFUSED);
	return keyset_add(behind, slot->ev.key);
}

/* Until the parked keys are read again nothing is published: an event of the missing one might be. */
void
publish_hold_fell_short(struct pipe *p)
{
	p->held_short = p->reread_parked = true;
	log_write(p->sh->log, LOG_CRIT, "out-of-memory", "could not hold back a key: out of memory");
}

static void
poison(struct pipe *p, struct slot *slot, const char *reason)
{
	slot->reason = arena_copy(&slot->batch->arena, slice_from(reason));
	batch_move(slot, EV_POISONED);
	metrics_add_at(p->sh->metrics, METRIC_EVENTS_FAILED, METRIC_CLASS_POISON, 1);
	log_write(p->sh->log, LOG_ERR, "event-parked", "event %" PRId64 " can never be sent and is parked: %s", slot->ev.id, reason);
	if (p->sh->cfg->poison == POISON_BLOCK_KEY && keyset_add(&p->held, slot->ev.key) != 0)
		publish_hold_fell_short(p);
}

/* One event to the outlet; -1 when the batch must stop here. */
static int
publish_event(struct pipe *p, struct slot *slot, struct keyset *behind)
{
	struct message msg;
	struct error err;
	enum send_class class;

	if (p->held_short)
		return -1;
	if (keyset_has(&p->held, slot->ev.key) || keyset_has(behind, slot->ev.key))
		return refuse(slot, behind);
	if (router_route(p->sh->router, &slot->ev, &slot->batch->arena, &msg, &err) != 0) {
		if (err.kind != ERR_POISON)
			return -1;
		poison(p, slot, err.message);
		return 0;
	}
	slot->topic = msg.topic;
	if (outlet_send(p->sh->outlet, &msg, slot, &class, &err) == 0) {
		batch_move(slot, EV_SENT);
		return 0;
	}
	if (class == SEND_POISON)
		poison(p, slot, err.message);
	else if (class == SEND_TOPIC) {
		metrics_add_at(p->sh->metrics, METRIC_EVENTS_FAILED, METRIC_CLASS_TOPIC, 1);
		return refuse(slot, behind);
	} else
		return -1;
	return 0;
}

static void
publish(struct pipe *p, struct batch *b)
{
	struct keyset behind = KEYSET_INIT;
	size_t i;

	for (i = 0; i < b->count; i++)
		if (publish_event(p, &b->slots[i], &behind) != 0)
			break;
	for (; i < b->count; i++)
		if (b->slots[i].state == EV_CLAIMED)
			batch_move(&b->slots[i], EV_REFUSED);
	b->produced_us = clock_mono_us();
	keyset_done(&behind);
}

/* Promise 6: what a crash of the database could still undo waits for its WAL (see source/barrier.h). */
void
publish_claimed(struct pipe *p, const struct lane_result *r, int64_t now_us)
{
	struct batch *b = r->claimed;

	b->owner = p;
	p->batch = b;
	p->sh->busy_us = now_us;
	p->hold_until_us = now_us + p->sh->cfg->hold_max_ms * 1000;
	metrics_observe(p->sh->metrics, METRIC_BATCH_EVENTS, (int64_t)b->count);
	metrics_observe(p->sh->metrics, METRIC_BATCH_BYTES, (int64_t)b->bytes);
	if (r->wal_insert_lsn <= r->wal_flush_lsn || r->wal_insert_lsn <= p->sh->safe_lsn) {
		publish(p, b);
		return;
	}
	p->waits_lsn = r->wal_insert_lsn;
	p->sh->need_flush(p->sh->ctx, p->waits_lsn);
}

/* The batch was never published, and will not be in this transaction. */
void
publish_give_back(struct pipe *p)
{
	for (size_t i = 0; i < p->batch->count; i++)
		batch_move(&p->batch->slots[i], EV_REFUSED);
	p->waits_lsn = 0;
}

void
pipe_flushed(struct pipe *p)
{
	if (p->waits_lsn == 0 || p->waits_lsn > p->sh->safe_lsn)
		return;
	p->waits_lsn = 0;
	publish(p, p->batch);
	pipe_step(p, clock_mono_us());
}

/* --- reports --- */

static void
acked(struct pipe *p, struct slot *slot)
{
	const struct event *ev = &slot->ev;

	batch_move(slot, EV_ACKED);
	metrics_add(p->sh->metrics, METRIC_EVENTS_SENT, 1);
	metrics_add(p->sh->metrics, METRIC_BYTES_SENT, ev->key.len + ev->payload.len);
	if (ev->created_at_ms > 0)
		metrics_observe(p->sh->metrics, METRIC_END_TO_END_SECONDS, clock_wall_us() - ev->created_at_ms * 1000);
}

static void
failed(struct pipe *p, struct slot *slot, const struct report *r)
{
	static const unsigned label[] = {
		[SEND_OUTAGE] = METRIC_CLASS_OUTAGE, [SEND_TOPIC] = METRIC_CLASS_TOPIC, [SEND_FATAL] = METRIC_CLASS_FATAL};

	if (r->class == SEND_POISON) {
		poison(p, slot, r->reason);
		return;
	}
	batch_move(slot, EV_REFUSED);
	metrics_add_at(p->sh->metrics, METRIC_EVENTS_FAILED, label[r->class], 1);
	if (r->class == SEND_TOPIC && slot->batch->counts[EV_REFUSED] == 1)
		log_write(p->sh->log, LOG_WARNING, "topic-trouble", "topic \"%s\" does not take events now: %s; they wait", slot->topic,
		          r->reason);
}

/* Refused events that later ones of their key have passed: promise 2's one exception. */
static void
count_overtaken(struct pipe *p, const struct batch *b)
{
	struct keyset out = KEYSET_INIT;
	uint64_t overtaken = 0;

	if (b->counts[EV_REFUSED] + b->counts[EV_POISONED] == 0)
		return;
	for (size_t i = b->count; i-- > 0;) {
		const struct slot *slot = &b->slots[i];

		if (slot->state == EV_POISONED && p->sh->cfg->poison == POISON_SKIP)
			continue; /* to be passed, says the configuration */
		if (slot->state == EV_REFUSED || slot->state == EV_POISONED)
			overtaken += keyset_has(&out, slot->ev.key);
		else if (keyset_add(&out, slot->ev.key) != 0)
			break; /* memory is out: the figure is too low */
	}
	keyset_done(&out);
	if (overtaken == 0)
		return;
	metrics_add(p->sh->metrics, METRIC_EVENTS_OVERTAKEN, overtaken);
	log_write(p->sh->log, LOG_WARNING, "events-overtaken",
	          "%" PRIu64 " events were refused after later ones of their key had been accepted", overtaken);
}

/* Events were refused, and not only because they wait behind a parked one. */
bool
publish_in_trouble(const struct pipe *p, const struct batch *b)
{
	bool trouble = false;

	for (size_t i = 0; i < b->count && !trouble && b->counts[EV_REFUSED] > 0; i++)
		trouble = b->slots[i].state == EV_REFUSED && !keyset_has(&p->held, b->slots[i].ev.key);
	return trouble;
}

/* The whole batch was heard of: learn from how it went. */
static void
batch_heard(struct pipe *p, int64_t now_us)
{
	struct batch *b = p->batch;
	int64_t took_us = now_us - b->produced_us;

	count_overtaken(p, b);
	metrics_observe(p->sh->metrics, METRIC_ACKNOWLEDGEMENT_SECONDS, took_us);
	if (publish_in_trouble(p, b)) {
		/* Every other time only, or one topic's trouble at the front would keep all others waiting for good. */
		p->rows = p->retry.step % 2 == 0 ? ROWS_PROBE : publish_rows_after_outage(p->sh);
		return;
	}
	backoff_reset(&p->retry);
	if (took_us < ACK_QUICK_US)
		p->rows *= 2;
	else if (took_us > ACK_SLOW_US)
		p->rows /= 2;
	if (p->rows > p->sh->cfg->batch_rows)
		p->rows = p->sh->cfg->batch_rows;
	if (p->rows < ROWS_PROBE)
		p->rows = ROWS_PROBE;
}

void
pipe_report(struct pipe *p, struct slot *slot, const struct report *r)
{
	int64_t now_us;

	if (r->class == SEND_OK)
		acked(p, slot);
	else
		failed(p, slot, r);
	if (!batch_reported(slot->batch))
		return;
	now_us = clock_mono_us();
	batch_heard(p, now_us);
	pipe_step(p, now_us);
}

void
pipe_rebuilt(struct pipe *p)
{
	struct batch *b = p->batch;
	uint64_t lost = 0;

	if (b == NULL)
		return;
	for (size_t i = 0; i < b->count; i++)
		if (b->slots[i].state == EV_SENT) {
			batch_move(&b->slots[i], EV_REFUSED);
			lost++;
		}
	metrics_add_at(p->sh->metrics, METRIC_EVENTS_FAILED, METRIC_CLASS_FATAL, lost);
	metrics_add(p->sh->metrics, METRIC_EVENTS_REPEATABLE, lost);
	if (lost > 0)
		batch_heard(p, clock_mono_us());
	pipe_step(p, clock_mono_us());
}
