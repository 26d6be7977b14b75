/* test_pipe_world.h - a small PostgreSQL and a small Kafka for one pipe, with the promises checked wherever the pipe acts.
 *
 * The lane, the outlet and the router are doubles. A lane's turn is executed first and answered later, so that a session can be
 * lost on either side of the commit. Its floor is strict: what the pipe does not ask to look at again is never seen again.
 */
#ifndef PGOUTBOX_TESTS_PIPE_WORLD_H
#define PGOUTBOX_TESTS_PIPE_WORLD_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/failing_alloc.h"

/* Allocations of everything that the pipe rests on. */
#define malloc(size) try_malloc(size)
#define calloc(count, size) try_calloc(count, size)
#define realloc(p, size) try_realloc(p, size)
#include "base/arena.c"
#include "base/buf.c"
#include "model/batch.c"
#include "relay/holds.c"
#include "relay/keyset.c"
#include "relay/stranded.c"
/* Both files of the pipe in one: their names for a file's own use must differ. */
#include "relay/pipe.c"
#include "relay/publish.c"
#undef malloc
#undef calloc
#undef realloc

#include "support/tap.h"

#define WORLD_ROWS 6000
#define WORLD_KEYS 16 /* the first stands for NULL */
#define WORLD_TOPICS 3
#define WORLD_PARTITIONS 2
#define HOLD_MS 2000
#define SESSION_MS 15000

enum fate { FATE_GOOD, FATE_POISON_ROUTE, FATE_POISON_SEND, FATE_POISON_REPORT };

struct row {
	int key;
	enum fate fate;
	bool sent, parked; /* parked: sent too, and its key waits for the operator */
	bool acked;        /* a report said so */
	bool delivered;    /* it is in Kafka's log, whether we know or not */
	bool retried;      /* by the operator: with keys that are not blocked, later ones are out already */
	int parked_times;
	struct slot *slot; /* in the last batch that has it, unless an earlier one has it with Kafka */
	struct slot *told; /* whose report was the last to say where it is: */
	int32_t partition;
	int64_t offset;
};

struct lane {
	enum lane_state state;
	struct lane_events events;
	struct watch watch;
	bool open_transaction, executed;
	struct lane_turn turn;
	char *held; /* a copy of turn.held_keys */
	struct lane_result result;
	int64_t floor, spoke_us;
	bool look_everywhere;
	int64_t look_off_us;
};

static struct {
	int64_t now_us;
	struct row rows[WORLD_ROWS];
	int64_t last_id;
	struct lane lane;
	struct outbox_config cfg;
	struct pipe_shared shared;
	struct pipe *pipe;
	struct holds holds;
	int live; /* batches claimed and not freed */
	bool stuck[WORLD_TOPICS][WORLD_PARTITIONS]; /* keeps what it gets */
	bool lifted;
	int refused_topic; /* -1 = none */
	bool silent, unreachable;                   /* Kafka does not serve; and no broker is there */
	struct slot *flying[WORLD_ROWS];
	size_t flying_count;
	int64_t last_delivered[WORLD_KEYS];
	uint64_t flush_lsn, next_lsn, claim_lsn; /* claim_lsn: what the batch under way rests on; 0 = safe */
	bool busy; /* Kafka, with the batches of other lanes */
	uint64_t needed_lsn, newest_xid;
	/* the next sends and routes: */
	enum send_class send_class; /* SEND_OK = by the row's fate */
	int send_after;             /* so many go well before */
	bool route_fails;
	bool broker_refused; /* single refusals: order within a batch is not Kafka's to keep any more */
	int64_t lost_us;     /* when the lane's session was lost: the server may not know yet */
	bool foreign_owner;  /* another relay took the lane: what was acknowledged may be sent again */
	long logged[8];
	uint64_t counted[METRICS_COUNT];
	int64_t gauges[METRICS_COUNT];
	int64_t watched_acks, opens, turns, claims, changes;
	const char *last_log;
	struct error failed;
	unsigned seed;
	uint64_t random;
	unsigned long sends;
	int64_t offset; /* the last that was told */
	int64_t receipts; /* that settles had with them */
} world;

static const char *const key_names[WORLD_KEYS] = {NULL, "k1", "k2", "k3", "k4", "k5", "k6", "k7\"", "k8\\", "k9,",
                                                  "k10", "k11", "k12", "", "NULL", "{}"};

#define MUST(condition) world_must((condition), #condition, __LINE__)

static void
world_must(bool condition, const char *text, int line)
{
	if (!condition)
		tap_diag("line %d: %s (seed %u, time %lld us)", line, text, world.seed, (long long)world.now_us);
	CU_ASSERT_TRUE_FATAL(condition);
}

static unsigned
draw(unsigned below)
{
	world.random = world.random * 6364136223846793005U + 1442695040888963407U;
	return (unsigned)(world.random >> 33) % below;
}

static int64_t
row_id(const struct row *row)
{
	return row - world.rows;
}

/* --- neighbours that only count --- */

int64_t
clock_mono_us(void)
{
	return world.now_us;
}

int64_t
clock_wall_us(void)
{
	return world.now_us + 1;
}

void
log_write(const struct log *log, int priority, const char *id, const char *fmt, ...)
{
	(void)log, (void)fmt;
	MUST(priority >= 0 && priority < 8);
	world.logged[priority]++;
	world.last_log = id;
}

void
log_error(const struct log *log, int priority, const char *id, const struct error *err)
{
	MUST(err->message[0] != '\0');
	log_write(log, priority, id, "%s", err->message);
}

void
log_fields(const struct log *log, int priority, const char *id, const struct log_field *fields, const char *fmt, ...)
{
	(void)fields, (void)fmt;
	log_write(log, priority, id, "%s", "");
}

void
log_error_fields(const struct log *log, int priority, const char *id, const struct log_field *fields, const struct error *e)
{
	(void)fields;
	log_error(log, priority, id, e);
}

void
metrics_add(struct metrics_scope *s, enum metric id, uint64_t n)
{
	(void)s;
	world.counted[id] += n;
}

void
metrics_add_at(struct metrics_scope *s, enum metric id, unsigned label, uint64_t n)
{
	(void)label;
	metrics_add(s, id, n);
}

void
metrics_set(struct metrics_scope *s, enum metric id, int64_t value)
{
	(void)s;
	world.gauges[id] = value;
}

void
metrics_observe(struct metrics_scope *s, enum metric id, int64_t value)
{
	(void)value;
	metrics_add(s, id, 1);
}

int
loop_add(struct loop *l, struct watch *w, struct error *err)
{
	(void)l, (void)w, (void)err;
	return 0;
}

void
loop_remove(struct loop *l, struct watch *w)
{
	(void)l, (void)w;
}

static void
on_world_changed(void *ctx)
{
	(void)ctx;
	world.changes++;
}

static void
on_world_failed(void *ctx, const struct error *err)
{
	(void)ctx;
	world.failed = *err;
}

static void
on_world_lifted(void *ctx)
{
	(void)ctx;
	world.lifted = true;
}

static void
on_world_need_flush(void *ctx, uint64_t lsn)
{
	(void)ctx;
	world.needed_lsn = lsn;
}

/* --- the way out --- */

static const char *const topic_names[WORLD_TOPICS] = {"t0", "t1", "t2"};

/* Each key has one topic, and one partition of it. */
static int
topic_of(int key)
{
	return key % WORLD_TOPICS;
}

static int
partition_of(int key)
{
	return key / WORLD_TOPICS % WORLD_PARTITIONS;
}

static bool
is_stuck(int key)
{
	return world.stuck[topic_of(key)][partition_of(key)];
}

bool
outlet_serves(const struct outlet *o)
{
	(void)o;
	return !world.silent;
}

bool
outlet_busy(const struct outlet *o)
{
	(void)o;
	return world.busy;
}

bool
outlet_reachable(const struct outlet *o)
{
	(void)o;
	return !world.unreachable;
}

int32_t
outlet_partition(const struct outlet *o, const char *topic, struct slice key)
{
	(void)o, (void)topic;
	for (int i = 1; i < WORLD_KEYS; i++)
		if (slice_equal(key, slice_from(key_names[i])))
			return partition_of(i);
	return -1;
}

int
router_route(const struct router *r, const struct event *ev, struct arena *arena, struct message *ret_msg, struct error *err)
{
	(void)r, (void)arena;
	if (world.route_fails)
		return error_set(err, ERR_RETRY, "out of memory");
	if (world.rows[ev->id].fate == FATE_POISON_ROUTE)
		return error_set(err, ERR_POISON, "bad topic");
	*ret_msg = (struct message){.topic = topic_names[topic_of(world.rows[ev->id].key)], .key = ev->key, .value = ev->payload};
	return 0;
}

/* Promise 2: everything earlier of the key is settled, or on its way before this one. */
static void
check_order(const struct row *row)
{
	bool skips = world.cfg.poison == POISON_SKIP;

	if (row->key == 0)
		return;
	for (const struct row *r = &world.rows[1]; r < row; r++) {
		if (r->key != row->key)
			continue;
		if (r->parked || (r->slot != NULL && r->slot->state == EV_POISONED))
			MUST(skips);
		else if (!r->sent && !(skips && r->retried))
			MUST(r->slot != NULL && (r->slot->state == EV_SENT || r->slot->state == EV_ACKED));
	}
}

/* A row may be claimed anew as soon as its earlier slot has given it up, which may happen while the new one waits. */
static void
take_over(struct row *row, struct slot *slot)
{
	if (row->slot == NULL || row->slot->state == EV_REFUSED || row->slot->state == EV_HELD || row->slot->state == EV_SETTLED)
		row->slot = slot;
}

int
outlet_send(struct outlet *o, const struct message *m, struct slot *slot, enum send_class *ret_class, struct error *err)
{
	struct row *row = &world.rows[slot->ev.id];

	(void)o, (void)m;
	world.sends++;
	take_over(row, slot);
	MUST(row->slot == slot && slot->batch->attached);
	MUST(world.claim_lsn == 0);
	MUST(world.flying_count < (size_t)world.cfg.batch_rows);
	MUST(!slot->batch->probe || slot->batch->counts[EV_SENT] == 0);
	MUST(!row->acked || world.foreign_owner);
	MUST(!row->sent);
	check_order(row);
	if (world.send_class != SEND_OK && world.send_after-- <= 0) {
		*ret_class = world.send_class;
		return error_set(err, ERR_RETRY, "trouble");
	}
	if (topic_of(row->key) == world.refused_topic) {
		*ret_class = SEND_TOPIC;
		return error_set(err, ERR_RETRY, "not authorised");
	}
	if (row->fate == FATE_POISON_SEND) {
		*ret_class = SEND_POISON;
		return error_set(err, ERR_POISON, "too large");
	}
	world.flying[world.flying_count++] = slot;
	return 0;
}

static void
deliver(struct row *row)
{
	/* Judged on first occurrences. */
	if (!row->delivered && row->key != 0 && !world.broker_refused && world.cfg.poison != POISON_SKIP) {
		MUST(row_id(row) > world.last_delivered[row->key]);
		world.last_delivered[row->key] = row_id(row);
	}
	row->delivered = true;
}

static struct slot *
take_flying(size_t i)
{
	struct slot *slot = world.flying[i];

	memmove(&world.flying[i], &world.flying[i + 1], (--world.flying_count - i) * sizeof(world.flying[0]));
	return slot;
}

static void
report(struct slot *slot, enum send_class class)
{
	struct row *row = &world.rows[slot->ev.id];
	struct report r = {.opaque = slot, .class = class, .reason = class == SEND_OK ? NULL : "refused"};

	if (class == SEND_OK) {
		deliver(row);
		row->acked = true;
		row->told = slot;
		r.partition = row->partition = row->key % WORLD_PARTITIONS;
		r.offset = row->offset = ++world.offset % 5 == 0 ? -1 : world.offset;
	}
	pipe_report(slot->batch->owner, slot, &r);
}

/* The report that is due for a message: the event's own fate, unless something else is wished for. */
static void
report_first(enum send_class class)
{
	struct slot *slot = take_flying(0);

	report(slot, world.rows[slot->ev.id].fate == FATE_POISON_REPORT && class == SEND_OK ? SEND_POISON : class);
}

static void
report_all(enum send_class class)
{
	while (world.flying_count > 0)
		report_first(class);
}

/* All but what stuck partitions keep. */
static void
report_all_moving(void)
{
	for (size_t i = 0; i < world.flying_count;)
		if (is_stuck(world.rows[world.flying[i]->ev.id].key))
			i++;
		else
			report(take_flying(i), SEND_OK);
}

/* --- the lane --- */

static void
batch_gone(void *backing)
{
	struct batch *b = backing;

	for (size_t i = 0; i < b->count; i++) {
		struct slot *slot = &b->slots[i];
		struct row *row = &world.rows[slot->ev.id];

		if (row->slot != slot)
			continue;
		row->slot = NULL;
		if (slot->state == EV_HELD)
			continue;
		if (slot->state == EV_SETTLED)
			MUST(row->sent);
		else if (slot->state == EV_REFUSED)
			MUST(world.lane.state < LANE_IDLE);
		else
			MUST(world.foreign_owner);
	}
	world.live--;
}

struct lane *
lane_new(const struct lane_shared *shared, int number, const struct lane_events *events)
{
	(void)shared;
	TAP_INT(number, 3);
	world.lane = (struct lane){.state = LANE_CLOSED, .events = *events};
	return &world.lane;
}

void
lane_free(struct lane *l)
{
	free(l->held);
	l->held = NULL;
}

int
lane_number(const struct lane *l)
{
	(void)l;
	return 3;
}

enum lane_state
lane_state(const struct lane *l)
{
	return l->state;
}

struct watch *
lane_watch(struct lane *l)
{
	return &l->watch;
}

void
lane_open(struct lane *l)
{
	MUST(l->state == LANE_CLOSED);
	l->state = LANE_OPENING;
	world.opens++;
}

static void
lane_ends(struct lane *l)
{
	if (l->state == LANE_TURNING && l->turn.settle != NULL)
		batch_settle_end(l->turn.settle, false);
	if (l->executed && l->result.claimed != NULL) {
		batch_free(l->result.claimed);
		l->result.claimed = NULL;
	}
	PQclear((PGresult *)(uintptr_t)l->result.parked);
	l->result = (struct lane_result){0};
	l->state = LANE_CLOSED;
	l->open_transaction = l->executed = false;
}

void
lane_close(struct lane *l)
{
	if (l->state != LANE_CLOSED)
		lane_ends(l);
}

/* Promise 4: nothing is claimed while anything of the batch before is not known and written. */
static void
check_claim(const struct lane_turn *t)
{
	const struct batch *b = world.pipe->batch;

	MUST(t->claim_rows <= world.cfg.batch_rows);
	MUST(b == NULL || t->settle == b || batch_unsettled(b) == 0);
	MUST(b != NULL || t->settle == NULL);
	if (b != NULL)
		MUST(b->counts[EV_CLAIMED] + b->counts[EV_SENT] + b->counts[EV_REFUSED] == 0);
}

void
lane_turn(struct lane *l, const struct lane_turn *t, int64_t now_us)
{
	MUST(l->state == LANE_IDLE || l->state == LANE_HOLDING);
	MUST(now_us == world.now_us && t->claim_rows >= 0);
	if (t->settle != NULL) {
		MUST(batch_unsettled(t->settle) > 0);
		MUST(!t->settle->attached || l->open_transaction);
		batch_settle_begin(t->settle);
	}
	if (t->claim_rows > 0) {
		check_claim(t);
		world.claims++;
	}
	l->state = LANE_TURNING;
	l->turn = *t;
	l->executed = false;
	free(l->held);
	l->held = t->held_keys != NULL ? strdup(t->held_keys) : NULL;
	l->spoke_us = now_us;
	world.turns++;
}

void
lane_look_from(struct lane *l, int64_t id)
{
	if (id < l->floor)
		l->floor = id;
}

void
lane_look_everywhere(struct lane *l)
{
	l->look_everywhere = true;
}

void
lane_put_look_off(struct lane *l, int64_t until_us)
{
	l->look_off_us = until_us;
}

void
lane_looked(struct lane *l, int64_t duration_us, int64_t now_us)
{
	(void)l, (void)duration_us, (void)now_us;
}

struct rung
lane_newest_rung(const struct lane *l)
{
	return (struct rung){lane_hint(l), 1, 0};
}

int64_t
lane_hint(const struct lane *l)
{
	return l->floor;
}

bool
lane_look_due(const struct lane *l, int64_t now_us)
{
	(void)l, (void)now_us;
	return false;
}

int64_t
lane_silent_since(const struct lane *l)
{
	return l->spoke_us;
}

/* --- the database --- */

static bool
literal_has(const char *literal, int key)
{
	struct buf wanted = BUF_INIT;
	bool has;

	if (literal == NULL || key == 0)
		return false;
	statements_array_add(&wanted, key_names[key]);
	has = strstr(literal, buf_str(&wanted) + 1) != NULL;
	buf_done(&wanted);
	return has;
}

static PGresult *
parked_result(void)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attr = {.name = (char *)(uintptr_t) "key", .typid = 25, .typlen = -1, .atttypmod = -1};
	int count = 0;

	PQsetResultAttrs(res, 1, &attr);
	for (int key = 1; key < WORLD_KEYS && world.cfg.poison == POISON_BLOCK_KEY; key++)
		for (int64_t id = 1; id <= world.last_id; id++)
			if (world.rows[id].parked && world.rows[id].key == key) {
				PQsetvalue(res, count++, 0, (char *)(uintptr_t)key_names[key], (int)strlen(key_names[key]));
				break;
			}
	return res;
}

/* What Kafka told of the event is there when its row is settled, however late that is. */
static void
check_receipt(const struct slot *slot, const struct row *row)
{
	if (slot->state != EV_ACKED || row->told != slot)
		return;
	MUST(slot->sent_partition == row->partition && slot->sent_offset == row->offset);
	world.receipts++;
}

static void
execute_settle(struct lane *l)
{
	struct batch *b = l->turn.settle;

	for (size_t i = 0; i < b->count; i++) {
		struct row *row = &world.rows[b->slots[i].ev.id];

		if (!b->slots[i].settling || row->sent)
			continue;
		check_receipt(&b->slots[i], row);
		row->sent = true;
		if (b->slots[i].state == EV_POISONED) {
			row->parked = true;
			row->parked_times++;
		}
	}
}

static void
execute_claim(struct lane *l)
{
	long failing = fails_at;
	struct batch *b;
	int64_t id = l->turn.probe ? l->turn.probe_from : l->look_everywhere ? 1 : l->floor;

	if (id < 1)
		id = 1;
	fails_at = 0;
	b = batch_new((size_t)l->turn.claim_rows);
	l->result.from_bottom = l->look_everywhere;
	l->look_everywhere = false;
	for (; id <= world.last_id && b->count < (size_t)l->turn.claim_rows; id++) {
		struct row *row = &world.rows[id];
		struct slot *slot;

		if (row->sent || literal_has(l->held, row->key))
			continue;
		slot = batch_add(b);
		slot->ev = (struct event){.id = id, .key = slice_from(key_names[row->key]), .payload = slice_from("x"), .created_at_ms = 1};
	}
	fails_at = failing;
	b->full = b->count == (size_t)l->turn.claim_rows;
	b->probe = l->turn.probe;
	l->result.more = b->full && !b->probe;
	l->result.wal_insert_lsn = world.next_lsn;
	l->result.wal_flush_lsn = world.flush_lsn;
	l->result.newest_xid = world.newest_xid;
	if (!b->probe)
		l->floor = id;
	if (b->count == 0) {
		batch_free(b);
		return;
	}
	b->attached = true;
	l->result.claimed = b;
}

/* The server does what the turn says; the answer is on its way. */
static void
lane_executes(void)
{
	struct lane *l = &world.lane;

	if (l->state != LANE_TURNING || l->executed)
		return;
	l->executed = true;
	l->result = (struct lane_result){.elapsed_us = 1000};
	if (l->turn.settle != NULL)
		execute_settle(l);
	l->open_transaction = false;
	if (l->turn.read_parked)
		l->result.parked = parked_result();
	l->result.parked_read = l->turn.read_parked;
	if (l->turn.claim_rows > 0) {
		l->open_transaction = true;
		execute_claim(l);
	}
}

static void
adopt(struct batch *b, const struct lane_result *r)
{
	b->backing = b;
	b->backing_free = batch_gone;
	b->claimed_us = world.now_us;
	world.live++;
	for (size_t i = 0; i < b->count; i++)
		take_over(&world.rows[b->slots[i].ev.id], &b->slots[i]);
	world.claim_lsn = r->wal_insert_lsn > r->wal_flush_lsn && r->wal_insert_lsn > world.shared.safe_lsn &&
	                  r->newest_xid >= world.shared.safe_xid ? r->wal_insert_lsn : 0;
}

static void
lane_answers(void)
{
	struct lane *l = &world.lane;
	struct lane_result r;

	lane_executes();
	if (l->state != LANE_TURNING)
		return;
	r = l->result;
	l->result = (struct lane_result){0};
	l->executed = false;
	l->state = l->turn.claim_rows > 0 ? LANE_HOLDING : LANE_IDLE;
	if (l->turn.settle != NULL) {
		batch_settle_end(l->turn.settle, true);
		r.settled = true;
	}
	if (r.claimed != NULL)
		adopt(r.claimed, &r);
	l->events.turned(l->events.ctx, l, &r);
	PQclear((PGresult *)(uintptr_t)r.parked);
}

static void
lane_is_owned(void)
{
	struct lane *l = &world.lane;
	struct lane_result r = {.parked_read = true, .parked = parked_result()};

	MUST(l->state == LANE_OPENING);
	l->state = LANE_IDLE;
	l->floor = INT64_MIN + 1;
	l->look_everywhere = false;
	l->events.owned(l->events.ctx, l);
	if (l->state == LANE_IDLE)
		l->events.turned(l->events.ctx, l, &r);
	PQclear((PGresult *)(uintptr_t)r.parked);
}

static void
lane_is_refused(void)
{
	lane_ends(&world.lane);
	world.lane.events.refused(world.lane.events.ctx, &world.lane);
}

static void
lane_is_lost(enum err_kind kind)
{
	struct error err;

	error_set(&err, kind, "gone");
	if (world.lane.state >= LANE_IDLE)
		world.lost_us = world.now_us;
	lane_ends(&world.lane);
	world.lane.events.lost(world.lane.events.ctx, &world.lane, &err);
}

void
lane_drop(struct lane *l, const struct error *err)
{
	if (l->state != LANE_CLOSED)
		lane_is_lost(err->kind);
}

static void
producer_is_rebuilt(void)
{
	while (world.flying_count > 0) {
		struct slot *slot = take_flying(0);
		struct row *row = &world.rows[slot->ev.id];

		/* Some made it, in order within each key, and nobody knows. */
		if (row->fate == FATE_GOOD && row->key % 2 == 1)
			deliver(row);
	}
	pipe_rebuilt(world.pipe);
}

static void
wal_is_flushed(void)
{
	world.flush_lsn = world.next_lsn;
	world.shared.safe_lsn = world.next_lsn;
	if (world.claim_lsn <= world.shared.safe_lsn)
		world.claim_lsn = 0;
	pipe_flushed(world.pipe);
}

/* --- the test's own moves --- */

static void
insert(int key, enum fate fate)
{
	if (world.last_id + 1 < WORLD_ROWS)
		world.rows[++world.last_id] = (struct row){.key = key, .fate = fate};
}

static void
insert_many(int count, int key)
{
	while (count-- > 0)
		insert(key, FATE_GOOD);
}

static void
fire_timer(void)
{
	struct watch *w = &world.pipe->timer;

	if (w->deadline_us <= world.now_us)
		w->fire(w, 0, world.now_us);
}

static void
pass_ms(int64_t ms)
{
	world.now_us += ms * 1000;
	fire_timer();
}

static bool
claimable(void)
{
	for (int64_t id = world.lane.floor < 1 ? 1 : world.lane.floor; id <= world.last_id; id++)
		if (!world.rows[id].sent && !keyset_has(pipe_held(world.pipe), slice_from(key_names[world.rows[id].key])))
			return true;
	return false;
}

/* Where no key is held, as with those that have none, only the look from the bottom finds what the operator wants sent again. */
static bool
retried_below(void)
{
	for (int64_t id = 1; id < world.lane.floor && id <= world.last_id; id++)
		if (world.rows[id].retried && !world.rows[id].sent && (world.rows[id].key == 0 || world.cfg.poison == POISON_SKIP))
			return true;
	return false;
}

/* The relay tells its pipes, never from within their calls. */
static void
lifted(void)
{
	if (world.lifted)
		pipe_holds_lifted(world.pipe);
	world.lifted = false;
}

static void
bell(void)
{
	if (!pipe_may_ring(world.pipe))
		return;
	if (world.now_us >= world.lane.look_off_us && retried_below())
		pipe_ring(world.pipe, true);
	else if (claimable())
		pipe_ring(world.pipe, false);
}

/* The operator lets a parked event go: again, or never. */
static bool
operator_resolves(bool again)
{
	for (struct row *row = &world.rows[1]; row <= &world.rows[world.last_id]; row++) {
		if (!row->parked)
			continue;
		row->parked = false;
		if (again && row->slot == NULL) {
			row->sent = false;
			row->fate = FATE_GOOD;
			row->retried = true;
		}
		return true;
	}
	return false;
}

static int64_t
unsent(void)
{
	int64_t count = 0;

	for (int64_t id = 1; id <= world.last_id; id++)
		count += !world.rows[id].sent;
	return count;
}

static void
world_begin(enum poison_policy poison, int64_t batch_rows, unsigned seed)
{
	struct error err;

	memset(&world, 0, sizeof(world));
	fails_at = allocs = 0;
	world.now_us = 1000000;
	world.refused_topic = -1;
	world.seed = seed;
	world.random = seed * 2654435761U + 1;
	world.flush_lsn = world.next_lsn = 10;
	world.cfg = (struct outbox_config){.batch_rows = batch_rows, .batch_bytes = 1 << 20, .hold_max_ms = HOLD_MS, .poison = poison};
	world.shared = (struct pipe_shared){.cfg = &world.cfg, .session_timeout_ms = SESSION_MS, .changed = on_world_changed,
	                                    .failed = on_world_failed, .need_flush = on_world_need_flush, .holds = &world.holds};
	world.holds = (struct holds){.lifted = on_world_lifted};
	world.pipe = pipe_new(&world.shared, 3, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(world.pipe);
}

static void
world_end(void)
{
	world.foreign_owner = true; /* whatever is left is left */
	world.flying_count = 0;
	pipe_rebuilt(world.pipe);
	lane_ends(&world.lane);
	pipe_free(world.pipe);
	holds_done(&world.holds);
}

#endif
