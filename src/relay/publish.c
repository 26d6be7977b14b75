/* publish.c - in: claimed batches, reports; out: messages for the outlet, states for the slots, a limit for the next claim.
 *
 * Knows neither SQL nor librdkafka, and decides nothing about the lane's turns: that is pipe.c's.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "relay/pipe_impl.h"

#define ROWS_MIN 50         /* a claim after an outage */
#define RESERVE_SHARE 16    /* of the lane's events: the part that a claim leaves to those that go around a stranded batch */
#define UNANSWERED_PAUSE_US 200000 /* between claims that bring nothing to send, while nothing is acknowledged */
#define LOOK_PAUSE_US 10000000 /* between looks from the bottom that find only what has to wait */
#define TURN_MAX_US 60000 /* how long a batch waits for others */
#define ACK_QUICK_US 250000 /* a batch acknowledged within this lets claims grow, */
#define ACK_SLOW_US 1000000 /* beyond this, shrink */

/* Where a whole batch is stranded the lane still has room for some events, and promise 4's bound stays what it is. */
static int64_t
rows_max(const struct pipe_shared *sh)
{
	int64_t rows = sh->cfg->batch_rows;

	return rows - (rows >= RESERVE_SHARE ? rows / RESERVE_SHARE : rows > 1);
}

int64_t
publish_rows_after_outage(const struct pipe_shared *sh)
{
	return ROWS_MIN < rows_max(sh) ? ROWS_MIN : rows_max(sh);
}

/* --- publishing --- */

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
	FAILPOINT(event_poisoned);
	metrics_add_at(p->sh->metrics, METRIC_EVENTS_FAILED, METRIC_CLASS_POISON, 1);
	log_fields(p->sh->log, LOG_ERR, "event-parked", LOG_FIELDS(LOG_NUMBER("lane", lane_number(p->lane)), LOG_NUMBER("event", slot->ev.id)),
	           "event %" PRId64 " can never be sent and is parked: %s", slot->ev.id, reason);
	webhook_tell(p->sh->webhook, WEBHOOK_NEWS(WEBHOOK_PARKED, .outbox = p->sh->cfg->table, .reason = reason, .count = 1));
	if (p->sh->cfg->poison == POISON_BLOCK_KEY && keyset_add(&p->held, slot->ev.key) != 0)
		publish_hold_fell_short(p);
}

/* The topic does not take the event now. Without memory for a hold the lane itself must wait. */
static int
topic_refuses(struct pipe *p, struct slot *slot, const char *reason)
{
	metrics_add_at(p->sh->metrics, METRIC_EVENTS_FAILED, METRIC_CLASS_TOPIC, 1);
	if (holds_refuse(p->sh->holds, lane_number(p->lane), slot->topic, slot->ev.id, reason, clock_mono_us()) != 0)
		return -1;
	batch_move(slot, EV_HELD);
	FAILPOINT(event_refused);
	return 0;
}

/* Promise 2: whatever must not be passed stands in the way here. Each of these remembers the event. */
static bool
has_to_wait(struct pipe *p, const struct slot *slot, const struct message *msg)
{
	struct holds *hs = p->sh->holds;
	int lane = lane_number(p->lane);
	int32_t partition;

	if (!holds_any(hs))
		return false;
	partition = outlet_partition(p->sh->outlet, msg->topic, msg->key);
	if (!slot->batch->probe)
		return holds_block(hs, lane, msg->topic, partition, slot->ev.id);
	/* A probe is one event of its topic; whatever else was claimed with it is met again in its turn. */
	return strcmp(msg->topic, p->probe.topic) != 0 || holds_block_partition(hs, lane, msg->topic, partition, slot->ev.id);
}

enum verdict { GO_ON, STOP_HERE, STOP_IN_TROUBLE };

/* One event to the outlet. Whatever follows a stop in the batch is refused with it. */
static enum verdict
publish_event(struct pipe *p, struct slot *slot, size_t room)
{
	struct message msg;
	struct error err;
	enum send_class class;

	if (p->held_short)
		return STOP_IN_TROUBLE;
	if (keyset_has(&p->held, slot->ev.key) || stranded_block(&p->stranded, &slot->ev)) {
		batch_move(slot, EV_HELD);
		return GO_ON;
	}
	if (router_route(p->sh->router, &slot->ev, &slot->batch->arena, &msg, &err) != 0) {
		if (err.kind != ERR_POISON)
			return STOP_IN_TROUBLE;
		poison(p, slot, err.message);
		return GO_ON;
	}
	slot->topic = msg.topic;
	if (has_to_wait(p, slot, &msg)) {
		batch_move(slot, EV_HELD);
		return GO_ON;
	}
	if (slot->batch->counts[EV_SENT] >= room)
		return STOP_HERE;
	p->probe.topic[0] = '\0'; /* this is it */
	FAILPOINT(event_due);
	if (outlet_send(p->sh->outlet, &msg, slot, &class, &err) == 0) {
		batch_move(slot, EV_SENT);
		FAILPOINT(event_produced);
		return GO_ON;
	}
	if (class == SEND_POISON) {
		poison(p, slot, err.message);
		holds_accept(p->sh->holds, slot->topic, slot->batch->probe); /* the topic may be good: this event was to blame */
		return GO_ON;
	}
	if (class == SEND_TOPIC && topic_refuses(p, slot, err.message) == 0)
		return GO_ON;
	if (slot->batch->probe)
		holds_probe_failed(p->sh->holds, slot->topic, clock_mono_us());
	return STOP_IN_TROUBLE;
}

/* Promise 4: as many events as may still go between claim and settle. */
size_t
publish_room(const struct pipe *p)
{
	size_t rows = (size_t)p->sh->cfg->batch_rows;
	size_t stranded = stranded_in_flight(&p->stranded) + stranded_unsettled(&p->stranded);

	return stranded < rows ? rows - stranded : 0;
}

static void
grow(struct pipe *p)
{
	p->rows = p->rows * 2 < rows_max(p->sh) ? p->rows * 2 : rows_max(p->sh);
}

void
publish_probe_ended(struct pipe *p, int64_t from_id, int64_t now_us)
{
	if (p->probe.topic[0] == '\0')
		return; /* an ordinary claim */
	if (from_id > p->probe.from_id)
		holds_probe_missed(p->sh->holds, lane_number(p->lane), p->probe.topic, from_id, now_us);
	else
		holds_probe_failed(p->sh->holds, p->probe.topic, now_us);
	p->probe.topic[0] = '\0';
}

/* The probe claim brought nothing to send: is there such an event at all? */
static void
probe_in_vain(struct pipe *p, const struct batch *b)
{
	int64_t from_id = b->full ? b->slots[b->count - 1].ev.id + 1 : INT64_MAX;

	for (size_t i = 0; i < b->count; i++)
		if (b->slots[i].topic == NULL || strcmp(b->slots[i].topic, p->probe.topic) == 0)
			from_id = p->probe.from_id; /* one that has to wait for something else */
	publish_probe_ended(p, from_id, b->claimed_us);
}

static void
publish(struct pipe *p, struct batch *b)
{
	size_t room = publish_room(p), i = 0;
	enum verdict v = GO_ON;

	for (; i < b->count && v == GO_ON; i++)
		v = publish_event(p, &b->slots[i], room);
	for (i = 0; i < b->count && v != GO_ON; i++)
		if (b->slots[i].state == EV_CLAIMED)
			batch_move(&b->slots[i], EV_REFUSED);
	if (v == STOP_IN_TROUBLE)
		p->trouble = true;
	b->produced_us = clock_mono_us();
	FAILPOINT_IF(b->counts[EV_SENT] > 0, batch_produced);
	if (p->probe.topic[0] != '\0')
		probe_in_vain(p, b);
	if (b->counts[EV_SENT] > 0 || b->probe)
		return;
	/* Passes by what has to wait: gently where nothing was acknowledged since, for it may be an outage that begins. */
	if (p->stranded.count > 0 && p->sh->acked_us <= p->stranded_us && outlet_serves(p->sh->outlet)) {
		p->not_before_us = b->produced_us + UNANSWERED_PAUSE_US;
		return;
	}
	grow(p);
	if (p->stranded.count > 0 && !outlet_serves(p->sh->outlet))
		p->not_before_us = b->produced_us + backoff_next_ms(&p->retry) * 1000LL;
}

void
publish_now(struct pipe *p)
{
	p->turn_us = 0;
	publish(p, p->batch);
}

/* Batches go to Kafka in waves: all lanes that have one when the last wave was reported. So each request takes along as
 * much as there is, and nothing waits in librdkafka behind a request of its partition (see sink/flusher.h). A wave that
 * takes long keeps nobody waiting. */
static void
take_turn(struct pipe *p, int64_t now_us)
{
	if (p->batch->probe || !outlet_busy(p->sh->outlet) || !outlet_serves(p->sh->outlet))
		publish_now(p);
	else
		p->turn_us = now_us + TURN_MAX_US;
}

void
pipe_turn(struct pipe *p)
{
	if (p->turn_us == 0)
		return;
	publish_now(p);
	pipe_step(p, clock_mono_us());
}

static bool
is_safe(const struct pipe_shared *sh, const struct lane_result *r)
{
	return r->wal_insert_lsn <= r->wal_flush_lsn || r->wal_insert_lsn <= sh->safe_lsn || r->newest_xid < sh->safe_xid;
}

/* Promise 6: what a crash of the database could still undo waits for its WAL (see source/barrier.h). */
void
publish_claimed(struct pipe *p, const struct lane_result *r, int64_t now_us)
{
	struct batch *b = r->claimed;

	b->owner = p;
	p->batch = b;
	FAILPOINT(claim_received);
	p->sh->busy_us = now_us;
	p->hold_until_us = now_us + p->sh->cfg->hold_max_ms * 1000;
	metrics_observe(p->sh->metrics, METRIC_BATCH_EVENTS, (int64_t)b->count);
	metrics_observe(p->sh->metrics, METRIC_BATCH_BYTES, (int64_t)b->bytes);
	if (r->from_bottom && (holds_any(p->sh->holds) || p->stranded.count > 0))
		lane_put_look_off(p->lane, now_us + LOOK_PAUSE_US);
	if (is_safe(p->sh, r)) {
		take_turn(p, now_us);
		return;
	}
	p->waits_lsn = r->wal_insert_lsn;
	p->sh->need_flush(p->sh->ctx, p->waits_lsn);
	FAILPOINT(flush_awaited);
}

/* The batch was never published, and will not be in this transaction. */
void
publish_give_back(struct pipe *p)
{
	for (size_t i = 0; i < p->batch->count; i++)
		batch_move(&p->batch->slots[i], EV_REFUSED);
	p->waits_lsn = 0;
	p->turn_us = 0;
	p->trouble = true;
	publish_probe_ended(p, INT64_MIN, clock_mono_us());
}

void
pipe_flushed(struct pipe *p)
{
	if (p->waits_lsn == 0 || p->waits_lsn > p->sh->safe_lsn)
		return;
	p->waits_lsn = 0;
	FAILPOINT(flushed);
	take_turn(p, clock_mono_us());
	pipe_step(p, clock_mono_us());
}

/* A new barrier may be another server's, whose positions say nothing of this one's. */
void
pipe_unflushed(struct pipe *p)
{
	if (p->waits_lsn == 0)
		return;
	publish_give_back(p);
	pipe_step(p, clock_mono_us());
}

/* --- reports --- */

static void
acked(struct pipe *p, struct slot *slot, const struct report *r)
{
	const struct event *ev = &slot->ev;

	batch_move(slot, EV_ACKED);
	slot->sent_partition = r->partition;
	slot->sent_offset = r->offset;
	FAILPOINT(event_acked);
	holds_accept(p->sh->holds, slot->topic, slot->batch->probe);
	if (holds_any(p->sh->holds))
		p->sh->acked_us = clock_mono_us();
	metrics_add(p->sh->metrics, METRIC_EVENTS_SENT, 1);
	metrics_add(p->sh->metrics, METRIC_BYTES_SENT, ev->key.len + ev->payload.len);
	if (ev->created_at_ms > 0 && ev->created_at_ms < INT64_MAX / 1000) /* else of the year "infinity" */
		metrics_observe(p->sh->metrics, METRIC_END_TO_END_SECONDS, r->wall_us - ev->created_at_ms * 1000);
}

static void
failed(struct pipe *p, struct slot *slot, const struct report *r)
{
	static const unsigned label[] = {
		[SEND_OUTAGE] = METRIC_CLASS_OUTAGE, [SEND_TOPIC] = METRIC_CLASS_TOPIC, [SEND_FATAL] = METRIC_CLASS_FATAL};

	if (r->class == SEND_POISON) {
		poison(p, slot, r->reason);
		holds_accept(p->sh->holds, slot->topic, slot->batch->probe);
		return;
	}
	if (r->class == SEND_TOPIC && topic_refuses(p, slot, r->reason) == 0)
		return;
	batch_move(slot, EV_REFUSED);
	p->trouble = true;
	if (r->class != SEND_TOPIC)
		metrics_add_at(p->sh->metrics, METRIC_EVENTS_FAILED, label[r->class], 1);
	if (slot->batch->probe)
		holds_probe_failed(p->sh->holds, slot->topic, clock_mono_us());
}

/* Order is a matter of a key in a topic: both as one name, in a buffer that the next one reuses. */
static struct slice
place_of(const struct slot *slot, struct buf *name)
{
	if (slot->ev.key.data == NULL || slot->topic == NULL)
		return SLICE_NULL;
	buf_reset(name);
	buf_add_str(name, slot->topic);
	buf_add_char(name, ' '); /* no topic's name has one */
	buf_add(name, slot->ev.key.data, slot->ev.key.len);
	return (struct slice){buf_str(name), name->len};
}

/* Refused events that later ones of their key have passed: promise 2's one exception. */
static void
count_overtaken(struct pipe *p, const struct batch *b)
{
	struct buf name __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct keyset out = KEYSET_INIT;
	uint64_t overtaken = 0;

	if (b->counts[EV_REFUSED] + b->counts[EV_HELD] + b->counts[EV_POISONED] == 0)
		return;
	for (size_t i = b->count; i-- > 0;) {
		const struct slot *slot = &b->slots[i];

		if (slot->state == EV_POISONED && p->sh->cfg->poison == POISON_SKIP)
			continue; /* to be passed, says the configuration */
		if (slot->state == EV_REFUSED || slot->state == EV_HELD || slot->state == EV_POISONED)
			overtaken += slot->offered && keyset_has(&out, place_of(slot, &name));
		else if (keyset_add(&out, place_of(slot, &name)) != 0 || buf_failed(&name))
			break; /* memory is out: the figure is too low */
	}
	keyset_done(&out);
	if (overtaken == 0)
		return;
	metrics_add(p->sh->metrics, METRIC_EVENTS_OVERTAKEN, overtaken);
	log_fields(p->sh->log, LOG_WARNING, "events-overtaken",
	           LOG_FIELDS(LOG_NUMBER("lane", lane_number(p->lane)), LOG_NUMBER("events", overtaken)),
	          "%" PRIu64 " events were refused after later ones of their key had been accepted", overtaken);
}

/* The whole batch was heard of: learn from how it went. */
static void
batch_heard(struct pipe *p, const struct batch *b, int64_t now_us)
{
	int64_t took_us = now_us - b->produced_us;

	count_overtaken(p, b);
	metrics_observe(p->sh->metrics, METRIC_ACKNOWLEDGEMENT_SECONDS, took_us);
	if (b != p->batch)
		return;
	if (p->trouble) {
		p->rows = publish_rows_after_outage(p->sh);
		return;
	}
	if (b->counts[EV_ACKED] + b->counts[EV_SETTLED] > 0)
		backoff_reset(&p->retry);
	if (b->probe)
		return;
	if (took_us < ACK_QUICK_US)
		grow(p);
	else if (took_us > ACK_SLOW_US && p->rows > 1)
		p->rows /= 2;
}

/* --- batches that stay with Kafka --- */

bool
publish_strand(struct pipe *p, int64_t now_us)
{
	struct batch *b = p->batch;

	if (!stranded_add(&p->stranded, b, p->sh->cfg->batch_bytes))
		return false;
	for (size_t i = 0; i < b->count; i++) {
		struct slot *slot = &b->slots[i];

		if (slot->state != EV_SENT)
			continue;
		slot->partition = outlet_partition(p->sh->outlet, slot->topic, slot->ev.key);
		holds_stick(p->sh->holds, slot->topic, slot->partition, now_us);
	}
	p->batch = NULL;
	p->stranded_us = now_us;
	p->rung = true;
	FAILPOINT(stranded);
	return true;
}

static void
stranded_report(struct pipe *p, const struct slot *slot, int64_t now_us)
{
	holds_unstick(p->sh->holds, slot->topic, slot->partition);
	stranded_reported(&p->stranded, now_us);
	if (p->timer.deadline_us > p->stranded.settle_due_us && lane_state(p->lane) != LANE_TURNING)
		p->timer.deadline_us = p->stranded.settle_due_us;
}

void
pipe_report(struct pipe *p, struct slot *slot, const struct report *r)
{
	const struct batch *b = slot->batch;
	int64_t now_us;

	if (r->class == SEND_OK)
		acked(p, slot, r);
	else
		failed(p, slot, r);
	FAILPOINT_IF(!batch_reported(b) && b->counts[EV_ACKED] * 2 >= b->count, batch_half_acked);
	if (b == p->batch && !batch_reported(b))
		return;
	now_us = clock_mono_us();
	if (b != p->batch)
		stranded_report(p, slot, now_us);
	FAILPOINT_IF(b != p->batch, stranded_reported);
	if (!batch_reported(b))
		return;
	FAILPOINT(batch_acked);
	batch_heard(p, b, now_us);
	pipe_step(p, now_us);
}

/* What was with the producer is in nobody's hands now. */
static uint64_t
take_back(struct pipe *p, struct batch *b, int64_t now_us)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < b->count; i++) {
		struct slot *slot = &b->slots[i];

		if (slot->state != EV_SENT)
			continue;
		batch_move(slot, EV_REFUSED);
		p->trouble = true;
		lost++;
		if (b->probe)
			holds_probe_failed(p->sh->holds, slot->topic, now_us);
		if (b != p->batch)
			stranded_report(p, slot, now_us);
	}
	if (lost > 0)
		batch_heard(p, b, now_us);
	return lost;
}

void
pipe_rebuilt(struct pipe *p)
{
	int64_t now_us = clock_mono_us();
	uint64_t lost = 0;

	for (int i = 0; i < p->stranded.count; i++)
		lost += take_back(p, p->stranded.batches[i], now_us);
	if (p->batch != NULL)
		lost += take_back(p, p->batch, now_us);
	metrics_add_at(p->sh->metrics, METRIC_EVENTS_FAILED, METRIC_CLASS_FATAL, lost);
	metrics_add(p->sh->metrics, METRIC_EVENTS_REPEATABLE, lost);
	pipe_step(p, now_us);
}
