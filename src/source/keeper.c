/* keeper.c - in: time; out: views of the table and of the other relays, and fewer old rows. Knows nothing of batches. */
#include "source/keeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "source/prune.h"
#include "source/receipts.h"
#include "source/share.h"
#include "source/sqlstate.h"

#define MEMBERS_US 500000
#define STATS_US 5000000
#define STATS_SHARE 20 /* statistics rest for this many times what they took */
#define PRUNE_SHARE 4          /* pruning rests for this many times what it took */
#define PRUNE_PASS_US 10000000 /* between passes that found nothing more */
#define PRUNE_EMPTY_MAX 10     /* batches without an old row that end a pass; the next but one goes on from there */
#define PRUNE_RESTART_US 3600000000LL /* how often a pass begins at the lowest id again */
#define SHARED_LOCK_RETRY_US 5000000

enum duty { DUTY_LAYOUT, DUTY_ANNOUNCE, DUTY_MEMBERS, DUTY_STATS, DUTY_PRUNE };

struct prune {
	int64_t next_us;
	int64_t restart_us;
	int64_t from_id; /* everything prunable up to here is gone */
	int64_t ahead_id; /* looked at up to here in this pass */
	int64_t far_id;   /* where a pass goes on that looks beyond younger rows */
	bool far;         /* this is one: every other, as long as younger rows end them */
	int empty;
	bool mine; /* the keeper lock is held */
};

struct keeper {
	struct session *session;
	struct watch timer;
	struct keeper_options opt;
	struct keeper_events events;
	struct layout layout;
	bool ready;
	enum duty duty; /* of the round in flight */
	int64_t members_next_us, stats_next_us;
	struct prune prune;
};

/* After a failover, or when an administrator says so: all may be read, and nothing settled. */
#define READ_ONLY "SELECT current_setting('transaction_read_only') = 'on'"

/* --- layout and announcement --- */

static void
misfit(struct keeper *k, const struct error *err)
{
	keeper_close(k);
	k->events.misfit(k->events.ctx, err);
}

static void
fail(struct keeper *k, const struct error *err)
{
	keeper_close(k);
	k->events.lost(k->events.ctx, err);
}

static bool
is_writable(struct keeper *k, const PGresult *read_only)
{
	const char *hint;
	struct error err;

	if (PQgetvalue(read_only, 0, 0)[0] != 't')
		return true;
	error_set(&err, sqlstate_kind("25006", &hint), "PostgreSQL takes no changes: transactions are read-only");
	error_hint(&err, "%s", hint);
	fail(k, &err);
	return false;
}

static void
on_ready(void *ctx)
{
	struct keeper *k = ctx;

	k->duty = DUTY_LAYOUT;
	layout_ask(k->session, k->opt.request);
	session_query(k->session, READ_ONLY);
	session_round_send(k->session, clock_mono_us());
}

static const char *
text_of(struct keeper *k, const struct buf *b)
{
	if (buf_failed(b))
		session_spoil(k->session);
	return buf_str(b);
}

static void
prepare_stats(struct keeper *k)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;

	stats_text(&k->layout, &sql);
	session_prepare(k->session, "stats", text_of(k, &sql));
}

/* Deleted rows leave receipts, which are what grows old then. */
static bool
keeps_apart(const struct keeper *k)
{
	return k->opt.request->receipts && k->opt.request->settle_delete;
}

static bool
may_prune(const struct keeper *k)
{
	return keeps_apart(k) || k->layout.columns[COL_SENT_AT].quoted != NULL;
}

static void
prepare_prune(struct keeper *k)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;

	if (keeps_apart(k))
		receipts_prune_text(&k->layout, false, &sql);
	else
		prune_text(&k->layout, false, &sql);
	session_prepare(k->session, "prune", text_of(k, &sql));
}

static void
announce(struct keeper *k)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	int32_t oid = (int32_t)k->layout.relation_oid;

	buf_printf(&sql, "SELECT pg_try_advisory_lock(%" PRId32 ", %" PRId32 ")", oid, (int32_t)(SHARE_RELAY_FLAG | k->opt.relay_number));
	session_query(k->session, text_of(k, &sql));
	buf_reset(&sql);
	buf_printf(&sql,
	           "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid = %" PRIu32
	           " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
	           k->layout.relation_oid);
	session_prepare(k->session, "members", text_of(k, &sql));
	buf_reset(&sql);
	/* The highest id of all tells of an event that was parked and let go between two looks. */
	buf_printf(&sql,
	           "SELECT count(*), hashint8extended(coalesce(sum(hashint8(id)), 0)::bigint,"
	           " coalesce((SELECT max(id) FROM pgoutbox.parked), 0)) FROM pgoutbox.parked"
	           " WHERE relation = %" PRIu32 " AND state = 'parked'",
	           k->layout.relation_oid);
	session_prepare(k->session, "parked", text_of(k, &sql));
	buf_reset(&sql);
	pauses_text(k->layout.relation_oid, &sql);
	session_prepare(k->session, "orders", text_of(k, &sql));
	prepare_stats(k);
	if (may_prune(k)) {
		buf_reset(&sql);
		buf_printf(&sql, "SELECT pg_try_advisory_lock(%" PRId32 ", %" PRId32 ")", oid, (int32_t)SHARE_KEEPER);
		session_prepare(k->session, "prune_lock", text_of(k, &sql));
		prepare_prune(k);
	}
	k->duty = DUTY_ANNOUNCE;
	session_round_send(k->session, clock_mono_us());
}

static void
layout_came(struct keeper *k, const struct round *r)
{
	struct layout layout;
	struct error err;

	if (layout_read(k->opt.request, r->results, r->count, &layout, &err) != 0) {
		if (err.kind != ERR_RETRY)
			misfit(k, &err);
		else
			fail(k, &err);
		return;
	}
	layout_done(&k->layout);
	k->layout = layout;
	if (!is_writable(k, r->results[1]))
		return;
	k->events.layout(k->events.ctx, &k->layout);
	if (session_is_open(k->session))
		announce(k);
}

static void
begin_pruning(struct keeper *k, int64_t now_us)
{
	bool wanted = k->opt.retention_ms >= 0 && may_prune(k);

	k->prune = (struct prune){.next_us = wanted ? now_us : CLOCK_NEVER, .restart_us = now_us, .from_id = PRUNE_BOTTOM,
	                          .far_id = PRUNE_BOTTOM};
}

static void
announced(struct keeper *k)
{
	int64_t now_us = clock_mono_us();

	k->ready = true;
	k->members_next_us = now_us;
	k->stats_next_us = now_us;
	begin_pruning(k, now_us);
}

/* --- duties --- */

static int64_t
column_int(const PGresult *res, int row, int col)
{
	return strtoll(PQgetvalue(res, row, col), NULL, 10);
}

static void
ask_members(struct keeper *k, int64_t now_us)
{
	k->duty = DUTY_MEMBERS;
	k->members_next_us = now_us + MEMBERS_US;
	session_execute(k->session, "members", 0, NULL, NULL, NULL);
	session_execute(k->session, "parked", 0, NULL, NULL, NULL);
	session_query(k->session, READ_ONLY);
	session_execute(k->session, "orders", 0, NULL, NULL, NULL);
	session_round_send(k->session, now_us);
}

static void
members_came(struct keeper *k, struct round *r)
{
	const PGresult *locks = r->results[0];
	struct keeper_members m = {0};
	struct pauses pauses;
	struct share share;
	uint32_t *relays;
	size_t count = 0;

	if (!is_writable(k, r->results[2]))
		return;
	relays = calloc((size_t)PQntuples(locks) + 1, sizeof(*relays));
	if (relays == NULL)
		return;
	for (int row = 0; row < PQntuples(locks); row++) {
		uint32_t number = (uint32_t)strtoul(PQgetvalue(locks, row, 0), NULL, 10);

		if (number < LANES_MAX)
			m.taken[number] = true;
		else if (number == SHARE_SWITCH)
			m.switching = true;
		else if ((number & SHARE_RELAY_FLAG) != 0)
			relays[count++] = number;
	}
	m.relays = (int)count;
	share = share_of(relays, count, SHARE_RELAY_FLAG | k->opt.relay_number, k->layout.lanes);
	m.quota = share.quota;
	m.first = share.first;
	free(relays);
	m.parked = column_int(r->results[1], 0, 0);
	m.parked_sign = (uint64_t)column_int(r->results[1], 0, 1);
	if (!pauses_read(r->results[3], &pauses, &m.lanes))
		return;
	k->events.pauses(k->events.ctx, &pauses);
	pauses_done(&pauses);
	k->events.members(k->events.ctx, &m);
}

static void
ask_stats(struct keeper *k, int64_t now_us)
{
	struct stats_params params __attribute__((cleanup(stats_params_done))) = STATS_PARAMS_INIT;
	int64_t from_ids[LANES_MAX];

	k->events.hints(k->events.ctx, from_ids);
	if (!stats_bind(&params, &k->layout, from_ids))
		session_spoil(k->session);
	k->duty = DUTY_STATS;
	session_execute(k->session, "stats", STATS_PARAMS, params.values, NULL, NULL);
	session_round_send(k->session, now_us);
}

static void
stats_came(struct keeper *k, struct round *r)
{
	struct stats st = stats_read(&k->layout, r->results[0]);

	k->stats_next_us = clock_mono_us() + (r->elapsed_us * STATS_SHARE > STATS_US ? r->elapsed_us * STATS_SHARE : STATS_US);
	k->events.stats(k->events.ctx, &st);
}

static void
ask_prune(struct keeper *k, int64_t now_us)
{
	struct prune *p = &k->prune;
	struct prune_bound bound;

	k->duty = DUTY_PRUNE;
	if (!p->mine) {
		session_execute(k->session, "prune_lock", 0, NULL, NULL, NULL);
		session_round_send(k->session, now_us);
		return;
	}
	if (now_us >= p->restart_us) {
		p->from_id = p->ahead_id = PRUNE_BOTTOM;
		p->far = false;
		p->empty = 0;
		p->restart_us = now_us + PRUNE_RESTART_US;
	}
	prune_bind(&bound, p->ahead_id, k->opt.retention_ms);
	session_execute(k->session, "prune", PRUNE_PARAMS, bound.values, NULL, NULL);
	session_round_send(k->session, now_us);
}

/* Old rows may stand above younger ones, such as those of events that were offered again: what is sent late keeps its low
 * id. So every other pass goes on where the last one that met nothing but younger rows gave up. */
static void
end_pass(struct prune *p, bool at_end)
{
	if (at_end)
		p->far_id = PRUNE_BOTTOM;
	else if (p->far || p->ahead_id > p->far_id)
		p->far_id = p->ahead_id;
	p->far = !at_end && !p->far;
	p->ahead_id = p->far ? p->far_id : p->from_id;
	p->empty = 0;
}

static void
prune_came(struct keeper *k, struct round *r)
{
	struct prune *p = &k->prune;
	int64_t now_us = clock_mono_us();
	struct prune_seen seen;
	bool up;

	if (!p->mine) {
		p->mine = PQgetvalue(r->results[0], 0, 0)[0] == 't';
		p->next_us = p->mine ? now_us : now_us + SHARED_LOCK_RETRY_US;
		if (p->mine)
			k->events.pruned_up(k->events.ctx);
		return;
	}
	seen = prune_read(r->results[0]);
	/* from_id follows while nothing but old rows was seen: what is younger now is looked at again. */
	if (p->ahead_id == p->from_id && seen.settled)
		p->from_id = seen.settled_id;
	p->empty = seen.old > 0 ? 0 : p->empty + 1;
	p->next_us = now_us + r->elapsed_us * PRUNE_SHARE;
	if (seen.looked > 0)
		p->ahead_id = seen.last_id;
	up = seen.looked < PRUNE_BATCH_ROWS || p->empty >= PRUNE_EMPTY_MAX;
	if (up) {
		p->next_us = now_us + PRUNE_PASS_US;
		end_pass(p, seen.looked < PRUNE_BATCH_ROWS);
	}
	if (seen.deleted > 0)
		k->events.pruned(k->events.ctx, seen.deleted);
	if (up)
		k->events.pruned_up(k->events.ctx);
}

static void
schedule(struct keeper *k)
{
	int64_t next = k->members_next_us;

	if (k->stats_next_us < next)
		next = k->stats_next_us;
	if (k->prune.next_us < next)
		next = k->prune.next_us;
	k->timer.deadline_us = next;
}

static void
timer_fired(struct watch *w, short revents, int64_t now_us)
{
	struct keeper *k = (struct keeper *)(void *)((char *)w - offsetof(struct keeper, timer));

	(void)revents;
	k->timer.deadline_us = CLOCK_NEVER;
	if (!k->ready || session_is_busy(k->session))
		return;
	if (now_us >= k->members_next_us)
		ask_members(k, now_us);
	else if (now_us >= k->stats_next_us)
		ask_stats(k, now_us);
	else if (now_us >= k->prune.next_us)
		ask_prune(k, now_us);
	else
		schedule(k);
}

static const char *
duty_failure(enum duty duty)
{
	switch (duty) {
	case DUTY_LAYOUT:
	case DUTY_ANNOUNCE:
		return "could not look at the outbox";
	case DUTY_MEMBERS:
		return "could not see the other relays";
	case DUTY_STATS:
		return "could not take statistics";
	case DUTY_PRUNE:
		return "could not prune sent rows";
	}
	return "";
}

/* Statistics and pruning can wait: for their sake this relay does not leave the others' sight, who would take its
 * lanes. */
static bool
put_off(struct keeper *k, const struct error *err)
{
	if (k->duty == DUTY_STATS)
		k->stats_next_us = clock_mono_us() + STATS_US;
	else if (k->duty == DUTY_PRUNE)
		k->prune.next_us = clock_mono_us() + PRUNE_PASS_US;
	else
		return false;
	k->events.put_off(k->events.ctx, err);
	return true;
}

static void
round_failed(struct keeper *k, const struct round *r)
{
	struct error err;

	session_result_error(r->results[r->failed], duty_failure(k->duty), &err);
	if (k->ready && put_off(k, &err))
		schedule(k);
	else if (!k->ready && err.kind != ERR_RETRY)
		misfit(k, &err);
	else
		fail(k, &err);
}

static void
on_round(void *ctx, struct round *r)
{
	struct keeper *k = ctx;

	if (r->failed >= 0) {
		round_failed(k, r);
		return;
	}
	switch (k->duty) {
	case DUTY_LAYOUT:
		layout_came(k, r);
		return;
	case DUTY_ANNOUNCE:
		announced(k);
		break;
	case DUTY_MEMBERS:
		members_came(k, r);
		break;
	case DUTY_STATS:
		stats_came(k, r);
		break;
	case DUTY_PRUNE:
		prune_came(k, r);
		break;
	}
	if (k->ready)
		schedule(k);
}

static void
on_lost(void *ctx, const struct error *err)
{
	struct keeper *k = ctx;
	bool was_ready = k->ready;

	keeper_close(k);
	if (err->kind != ERR_RETRY && !was_ready)
		k->events.misfit(k->events.ctx, err);
	else
		k->events.lost(k->events.ctx, err);
}

struct keeper *
keeper_new(const struct keeper_options *opt, const struct keeper_events *events)
{
	struct keeper *k = calloc(1, sizeof(*k));
	struct session_events se = {.ready = on_ready, .round = on_round, .lost = on_lost, .ctx = k};

	if (k == NULL)
		return NULL;
	k->session = session_new(opt->session, "pgoutboxd keeper", &se);
	if (k->session == NULL) {
		free(k);
		return NULL;
	}
	k->timer = (struct watch){.fd = -1, .deadline_us = CLOCK_NEVER, .fire = timer_fired};
	k->opt = *opt;
	k->events = *events;
	return k;
}

void
keeper_free(struct keeper *k)
{
	if (k == NULL)
		return;
	session_free(k->session);
	layout_done(&k->layout);
	free(k);
}

struct watch *
keeper_watch(struct keeper *k)
{
	return session_watch(k->session);
}

struct watch *
keeper_timer(struct keeper *k)
{
	return &k->timer;
}

void
keeper_open(struct keeper *k)
{
	k->prune = (struct prune){0};
	session_open(k->session);
}

void
keeper_close(struct keeper *k)
{
	k->ready = false;
	k->timer.deadline_us = CLOCK_NEVER;
	session_close(k->session);
}

/* Rows that were too young are old enough now, perhaps: it begins from the bottom. */
void
keeper_set_retention(struct keeper *k, int64_t retention_ms)
{
	bool changed = k->opt.retention_ms != retention_ms;

	k->opt.retention_ms = retention_ms;
	if (!changed || !k->ready || (k->duty == DUTY_PRUNE && session_is_busy(k->session)))
		return;
	begin_pruning(k, clock_mono_us());
	if (!session_is_busy(k->session))
		schedule(k);
}
