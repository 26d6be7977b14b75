/* test_lane.c - lanes against a real PostgreSQL: what they claim, in which order, what they settle, and how they lose a session. */
#include <CUnit/CUnit.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/parked.h"
#include "test_lane_rig.h"

#define RUNG_PAUSE_US (LADDER_RUNG_AGE_US + 20000)

static void
pass_us(struct rig *rig, int64_t us)
{
	int64_t until_us = clock_mono_us() + us;
	struct error err;

	while (clock_mono_us() < until_us)
		SANDBOX_MUST(loop_once(rig->loop, until_us - clock_mono_us(), &err), &err);
}

static int64_t
unsent(struct rig *rig)
{
	return sandbox_int(rig->sb->db, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
}

/* Claims and settles until nothing is left, with pauses in which rungs are built. */
static void
relay_all(struct rig *rig, int pauses)
{
	struct batch *settle = NULL;

	do {
		settle = relay_turn(rig, settle);
		if (settle == NULL && pauses > 0)
			pass_us(rig, RUNG_PAUSE_US);
	} while (settle != NULL || pauses-- > 0);
}

static void
postpone_look(struct rig *rig)
{
	lane_looked(rig->lane, 60000000, clock_mono_us());
}

/* --- claims --- */

static void
test_order_and_limit(void)
{
	RIG(rig, sb, false);
	struct batch *first;

	sandbox_exec(sb.db, "INSERT INTO outbox_events (id, event_id, aggregate_type, aggregate_id, event_type, payload, headers, topic)"
	                    " OVERRIDING SYSTEM VALUE SELECT 11 - i, 'cafe0000-1111-2222-3333-0123456789ab', 'order', 'k' || i, 'made',"
	                    " '{\"n\": 1}', '{\"h\": \"v\"}', 'to' FROM generate_series(1, 10) i");
	open_lane(&rig);
	turn(&rig, NULL, 4, NULL);
	TAP_INT_FATAL(rig.batch->count, 4);
	CU_ASSERT_TRUE(rig.last.more);
	for (int i = 0; i < 4; i++)
		TAP_INT(rig.batch->slots[i].ev.id, i + 1);
	const struct event *ev = &rig.batch->slots[0].ev;
	CU_ASSERT(slice_equal(ev->event_id, slice_from("cafe0000-1111-2222-3333-0123456789ab")));
	CU_ASSERT(slice_equal(ev->aggregate_type, slice_from("order")));
	CU_ASSERT(slice_equal(ev->key, slice_from("k10")));
	CU_ASSERT(slice_equal(ev->event_type, slice_from("made")));
	CU_ASSERT(slice_equal(ev->payload, slice_from("{\"n\": 1}")));
	CU_ASSERT(slice_equal(ev->headers, slice_from("{\"h\": \"v\"}")));
	CU_ASSERT(slice_equal(ev->topic, slice_from("to")));
	CU_ASSERT(llabs(ev->created_at_ms - clock_wall_us() / 1000) < 60000);
	CU_ASSERT(rig.last.wal_insert_lsn > 0 && rig.last.wal_flush_lsn > 0);
	TAP_INT(rig.last.newest_xid, sandbox_int(sb.db, "SELECT max(xmin::text::bigint) FROM outbox_events"));
	/* settle and the next claim in one turn; the lane's own locks are no hindrance */
	first = take(&rig);
	ack(first);
	turn(&rig, first, 100, NULL);
	CU_ASSERT_TRUE(rig.last.settled);
	TAP_INT(rig.last.settled_rows, 4);
	batch_free(first);
	TAP_INT_FATAL(rig.batch->count, 6);
	TAP_INT(rig.batch->slots[0].ev.id, 5);
	CU_ASSERT_FALSE(rig.last.more);
	TAP_INT(unsent(&rig), 6);
	/* locked as long as the turn lasts */
	TAP_STR(sandbox_state(sb.db, "SELECT FROM outbox_events WHERE id = 5 FOR UPDATE NOWAIT"), "55P03");
	lane_close(rig.lane);
	sandbox_exec(sb.db, "SET lock_timeout = '5s'");
	sandbox_exec(sb.db, "SELECT FROM outbox_events WHERE id = 5 FOR UPDATE");
}

/* Promise 6: what a writer committed with synchronous_commit = off a claim sees before it is on disk, and says so. Somebody else's flush
 * may come in between, but not each time. */
static void
test_tells_of_unflushed_wal(void)
{
	RIG(rig, sb, false);
	bool told = false;

	open_lane(&rig);
	sandbox_exec(sb.db, "SET synchronous_commit = off");
	for (int i = 0; i < 50 && !told; i++) {
		struct batch *b;

		insert(sb.db, 1, "k");
		turn(&rig, NULL, 100, NULL);
		b = take(&rig);
		CU_ASSERT_PTR_NOT_NULL_FATAL(b);
		told = rig.last.wal_insert_lsn > rig.last.wal_flush_lsn;
		ack(b);
		turn(&rig, b, 0, NULL);
		batch_free(b);
	}
	CU_ASSERT_TRUE(told);
}

static void
test_held_keys(void)
{
	RIG(rig, sb, false);

	sandbox_exec(sb.db, "ALTER TABLE outbox_events ALTER aggregate_id DROP NOT NULL");
	insert(sb.db, 2, "a");
	insert(sb.db, 2, "b\"\\,{}");
	sandbox_exec(sb.db, "INSERT INTO outbox_events (aggregate_type, event_type) VALUES ('t', 'e')");
	open_lane(&rig);
	turn(&rig, NULL, 100, "{\"a\"}");
	TAP_INT_FATAL(rig.batch->count, 3);
	CU_ASSERT_TRUE(slice_is_null(rig.batch->slots[2].ev.key));
	CU_ASSERT_TRUE(slice_is_null(rig.batch->slots[2].ev.payload));
	batch_free(take(&rig));
	lane_look_from(rig.lane, LADDER_BOTTOM);
	turn(&rig, NULL, 100, "{\"b\\\"\\\\,{}\"}");
	TAP_INT_FATAL(rig.batch->count, 3);
	CU_ASSERT(slice_equal(rig.batch->slots[0].ev.key, slice_from("a")));
}

/* A plain claim stops before a large payload; a sized one then brings as many as the limit allows, and always the first. */
static void
test_byte_limit(void)
{
	RIG(rig, sb, false);
	static const char large[] = "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	                            " SELECT 't', 'k', 'e', to_jsonb(string_agg(md5(i::text || random()), '')) FROM generate_series(1, %d) i";

	rig.options.batch_bytes = 65536;
	rig.options.batch_rows = 10;
	insert(sb.db, 2, "k");
	sandbox_exec(sb.db, large, 800);  /* 25,600 bytes each */
	sandbox_exec(sb.db, large, 800);
	sandbox_exec(sb.db, large, 800);
	sandbox_exec(sb.db, large, 6000); /* 192,000: more than the limit */
	insert(sb.db, 1, "k");
	open_lane(&rig);
	size_t expected[] = {2, 2, 1, 1, 1};
	bool was_cut = false;

	for (size_t i = 0; i < 5; i++) {
		struct batch *b;

		turn(&rig, NULL, 10, NULL);
		while (rig.batch == NULL && rig.last.more) {
			was_cut = true;
			turn(&rig, NULL, 10, NULL);
		}
		CU_ASSERT_PTR_NOT_NULL_FATAL(rig.batch);
		TAP_INT(rig.batch->count, expected[i]);
		CU_ASSERT(rig.batch->bytes <= 65536 + 4096 || rig.batch->count == 1);
		b = take(&rig);
		ack(b);
		turn(&rig, b, 0, NULL);
		batch_free(b);
	}
	(void)was_cut;
	TAP_INT(unsent(&rig), 0);
}

/* --- settling --- */

static void
test_settle_by_id(void)
{
	RIG(rig, sb, false);
	struct batch *b;

	insert(sb.db, 5, "k");
	open_lane(&rig);
	turn(&rig, NULL, 100, NULL);
	b = take(&rig);
	ack(b);
	lane_close(rig.lane);
	b->attached = false;
	/* meanwhile one of them was settled by somebody else */
	sandbox_exec(sb.db, "SET lock_timeout = '5s'");
	sandbox_exec(sb.db, "UPDATE outbox_events SET sent_at = '2001-01-01' WHERE id = 3");
	open_lane(&rig);
	insert(sb.db, 1, "k");
	turn(&rig, b, 100, NULL);
	TAP_INT(rig.last.settled_rows, 4);
	TAP_INT(b->counts[EV_SETTLED], 5);
	batch_free(b);
	TAP_INT_FATAL(rig.batch->count, 1);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE sent_at = '2001-01-01'"), 1);
}

/* An older batch is settled while a claim is open: its transaction is the claim's end. */
static void
test_settle_detached_while_holding(void)
{
	RIG(rig, sb, false);
	struct batch *b;

	insert(sb.db, 2, "k");
	open_lane(&rig);
	turn(&rig, NULL, 100, NULL);
	b = take(&rig);
	batch_move(&b->slots[0], EV_SENT);
	batch_move(&b->slots[0], EV_ACKED);
	batch_move(&b->slots[1], EV_REFUSED);
	b->attached = false;
	TAP_INT(lane_state(rig.lane), LANE_HOLDING);
	turn(&rig, b, 0, NULL);
	TAP_INT(lane_state(rig.lane), LANE_IDLE);
	TAP_INT(unsent(&rig), 1);
	/* the refused one is below the floor now, and found again */
	postpone_look(&rig);
	turn(&rig, NULL, 100, NULL);
	TAP_INT_FATAL(rig.batch->count, 1);
	TAP_INT(rig.batch->slots[0].ev.id, 2);
	batch_free(b);
}

static void
test_delete(void)
{
	RIG(rig, sb, true);
	struct batch *b;

	insert(sb.db, 3, "k");
	open_lane(&rig);
	turn(&rig, NULL, 2, NULL);
	b = take(&rig);
	ack(b);
	turn(&rig, b, 2, NULL);
	batch_free(b);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 1);
	b = take(&rig);
	ack(b);
	lane_close(rig.lane);
	b->attached = false;
	open_lane(&rig);
	turn(&rig, b, 0, NULL);
	batch_free(b);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 0);
}

static void
poison(struct slot *slot, const char *reason)
{
	slot->reason = reason;
	slot->topic = "to \"x\"";
	batch_move(slot, EV_POISONED);
}

/* The whole row is kept, in the transaction that settles; done again after a lost answer, nothing is parked twice. */
static void
test_park(bool settle_delete)
{
	RIG(rig, sb, settle_delete);
	struct batch *b;

	insert(sb.db, 2, "k\"1");
	insert(sb.db, 1, "other");
	open_lane(&rig);
	turn(&rig, NULL, 100, NULL);
	b = take(&rig);
	poison(&b->slots[0], "too {large}, \"really\" \\ NULL");
	ack(b);
	turn(&rig, b, 0, NULL);
	TAP_INT(rig.parked_keys, 1);
	TAP_INT(rig.last.settled_rows, 3);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.parked WHERE relation = 'outbox_events'::regclass AND event_row = 1"
	                           " AND key = 'k\"1' AND topic = 'to \"x\"' AND reason = 'too {large}, \"really\" \\ NULL'"
	                           " AND event->>'aggregate_id' = 'k\"1' AND event->'payload' = '{\"a\": 1}' AND state = 'parked'"), 1);
	for (size_t i = 0; i < b->count; i++) { /* as if the answer had been lost */
		b->slots[i].state = i == 0 ? EV_POISONED : EV_ACKED;
		b->counts[EV_SETTLED]--;
		b->counts[b->slots[i].state]++;
	}
	b->attached = false;
	turn(&rig, b, 0, NULL);
	TAP_INT(rig.last.settled_rows, 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.parked"), 1);
	batch_free(b);
}

static void
test_park_mark(void)
{
	test_park(false);
}

static void
test_park_delete(void)
{
	test_park(true);
}

/* What json takes and jsonb does not is parked as text, and written again as it was. */
static void
test_park_json(void)
{
	RIG(rig, sb, true);
	struct parked_choice choice = {.key = "j"};
	struct parked_outcome outcome = PARKED_OUTCOME_INIT;
	struct parked_event e = PARKED_EVENT_INIT;
	struct batch *b;
	struct error err;

	sandbox_exec(sb.db, "ALTER TABLE outbox_events ALTER payload TYPE json USING payload::json, ALTER headers TYPE json USING headers::json;"
	                    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, headers) VALUES"
	                    " ('o', 'j', 't', '{ \"a\":\"\\u0000\", \"a\":\"\\ud800\", \"n\": 1e999999}', '{\"h\" : \"\\u0000\"}'),"
	                    " ('o', 'j', 't', '\"just \\u0000\"', NULL)");
	look(&rig);
	open_lane(&rig);
	turn(&rig, NULL, 100, NULL);
	b = take(&rig);
	TAP_INT_FATAL(b->count, 2);
	poison(&b->slots[0], "r");
	poison(&b->slots[1], "r");
	turn(&rig, b, 0, NULL);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 0);
	SANDBOX_MUST(parked_show(sb.db, &rig.layout, 1, true, true, &e, &err), &err);
	TAP_HAS(e.json, "{ \"a\":\"\\u0000\", \"a\":\"\\ud800\", \"n\": 1e999999}");
	TAP_HAS(e.json, "{\"h\" : \"\\u0000\"}");
	TAP_STR(parked_field_value(&e, 5), "{ \"a\":\"\\u0000\", \"a\":\"\\ud800\", \"n\": 1e999999}");
	parked_event_done(&e);
	SANDBOX_MUST(parked_show(sb.db, &rig.layout, 2, false, true, &e, &err), &err);
	TAP_HAS(e.json, "\"headers\" : null");
	CU_ASSERT_PTR_NULL(strstr(e.json, "just"));
	parked_event_done(&e);
	SANDBOX_MUST(parked_decide(sb.db, &rig.layout, &choice, PARKED_RETRY, &outcome, &err), &err);
	TAP_INT(outcome.again, 2);
	parked_outcome_done(&outcome);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE id = 1 AND headers::text = '{\"h\" : \"\\u0000\"}'"
	                           " AND payload::text = '{ \"a\":\"\\u0000\", \"a\":\"\\ud800\", \"n\": 1e999999}'"), 1);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE id = 2 AND headers IS NULL"
	                           " AND payload::text = '\"just \\u0000\"'"), 1);
	batch_free(b);
}

/* A column that is not mapped is in the copy too; its name is anybody's. */
static void
test_park_json_unmapped(void)
{
	RIG(rig, sb, true);
	struct parked_choice choice = {.key = "j"};
	struct parked_outcome outcome = PARKED_OUTCOME_INIT;
	struct parked_event e = PARKED_EVENT_INIT;
	struct batch *b;
	struct error err;

	sandbox_exec(sb.db, "CREATE DOMAIN doc AS json; CREATE DOMAIN doc_of_doc AS doc;"
	                    "ALTER TABLE outbox_events ADD \"it's \\\" json, ADD d doc_of_doc, ADD gone json, ADD n int DEFAULT 7;"
	                    "ALTER TABLE outbox_events DROP gone;"
	                    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, \"it's \\\", d)"
	                    " VALUES ('o', 'j', 't', '1', ' [\"\\u0000\"] ', '\"\\ud800\"'), ('o', 'j', 't', '2', 'null', NULL)");
	look(&rig);
	open_lane(&rig);
	turn(&rig, NULL, 100, NULL);
	b = take(&rig);
	TAP_INT_FATAL(b->count, 2);
	poison(&b->slots[0], "r");
	poison(&b->slots[1], "r");
	turn(&rig, b, 0, NULL);
	TAP_INT(rig.lost, 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 0);
	SANDBOX_MUST(parked_show(sb.db, &rig.layout, 1, true, true, &e, &err), &err);
	TAP_HAS(e.json, "[\"\\u0000\"]");
	TAP_HAS(e.json, "\"d\" : \"\\ud800\"");
	parked_event_done(&e);
	SANDBOX_MUST(parked_decide(sb.db, &rig.layout, &choice, PARKED_RETRY, &outcome, &err), &err);
	TAP_INT(outcome.again, 2);
	parked_outcome_done(&outcome);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE id = 1 AND n = 7"
	                           " AND \"it's \\\"::text = ' [\"\\u0000\"] ' AND d::text = '\"\\ud800\"'"), 1);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events WHERE id = 2 AND \"it's \\\"::text = 'null' AND d IS NULL"), 1);
	batch_free(b);
}

/* What holds json within an array or a composite type is a text in the copy, and comes back from it. */
static void
test_park_json_within(void)
{
	RIG(rig, sb, true);
	struct parked_choice choice = {.key = "j"};
	struct parked_outcome outcome = PARKED_OUTCOME_INIT;
	struct parked_event e = PARKED_EVENT_INIT;
	struct batch *b;
	struct error err;

	sandbox_exec(sb.db, "CREATE DOMAIN doc AS json; CREATE DOMAIN docs AS doc[]; CREATE TYPE pair AS (n int, j doc, l text[]);"
	                    "ALTER TABLE outbox_events ADD a json[], ADD d docs, ADD p pair, ADD ps pair[], ADD plain text[] DEFAULT '{x,y}';"
	                    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, a, d, p, ps)"
	                    " SELECT 'o', 'j', 't', '1', ARRAY[j, NULL], ARRAY[j::doc], p, ARRAY[p, p] FROM (SELECT j, row(7, j, '{v,w}')::pair AS p"
	                    " FROM (VALUES ('[\"\\u0000\", \"\\ud800\"]'::json)) v(j)) v");
	sandbox_exec(sb.db, "CREATE TABLE kept AS SELECT a::text, d::text, p::text, ps::text FROM outbox_events");
	look(&rig);
	open_lane(&rig);
	turn(&rig, NULL, 100, NULL);
	b = take(&rig);
	TAP_INT_FATAL(b->count, 1);
	poison(&b->slots[0], "r");
	turn(&rig, b, 0, NULL);
	TAP_INT(rig.lost, 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events"), 0);
	SANDBOX_MUST(parked_show(sb.db, &rig.layout, 1, true, true, &e, &err), &err);
	TAP_HAS(e.json, "\"plain\" : [\"x\", \"y\"]");
	parked_event_done(&e);
	SANDBOX_MUST(parked_decide(sb.db, &rig.layout, &choice, PARKED_RETRY, &outcome, &err), &err);
	TAP_INT(outcome.again, 1);
	parked_outcome_done(&outcome);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM outbox_events o JOIN kept k ON k.a = o.a::text AND k.d = o.d::text"
	                           " AND k.p = o.p::text AND k.ps = o.ps::text"), 1);
	batch_free(b);
}

static void
look_again(struct rig *rig)
{
	struct layout_request own = rig->request;
	struct layout now = LAYOUT_INIT;
	PGconn *db = sandbox_open(rig->sb->role);
	struct error err;

	own.role = NULL;
	SANDBOX_MUST(inspect(db, &own, &now, &err), &err);
	layout_done(&rig->layout);
	rig->layout = now;
	CU_ASSERT_TRUE(statements_renew(&rig->statements, &rig->layout, &rig->options));
	db_close(&db);
}

/* A column is dropped while the lane holds rows: the copy names it. A lane that opens later is told what the table is like now. */
static void
test_park_after_drop(void)
{
	RIG(rig, sb, true);
	struct batch *b;

	sandbox_exec(sb.db, "ALTER TABLE outbox_events ADD gone json, ADD stays json DEFAULT '[\"\\u0000\"]'");
	look(&rig);
	open_lane(&rig);
	sandbox_exec(sb.db, "ALTER TABLE outbox_events DROP gone");
	insert(sb.db, 1, "k");
	turn(&rig, NULL, 100, NULL);
	b = take(&rig);
	poison(&b->slots[0], "r");
	start_turn(&rig, b, 0, NULL);
	wait_for(&rig, &rig.lost, 0);
	TAP_HAS(rig.failure.message, "SQLSTATE 42703");
	batch_free(b);
	look_again(&rig);
	open_lane(&rig);
	turn(&rig, NULL, 100, NULL);
	b = take(&rig);
	TAP_INT_FATAL(b->count, 1);
	poison(&b->slots[0], "r");
	turn(&rig, b, 0, NULL);
	TAP_INT(rig.lost, 1);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.parked WHERE event->>'stays' = '[\"\\u0000\"]'"), 1);
	batch_free(b);
}

/* --- the floor --- */

/* Asked as in quiet times. */
static int
rings(struct rig *rig)
{
	struct rung rung = lane_newest_rung(rig->lane);
	char from_id[32], xmax[32], open[32];
	const char *values[] = {"{0}", from_id, "{}", xmax, open};
	PGresult *res;
	int rows;

	snprintf(from_id, sizeof(from_id), "{%" PRId64 "}", rung.from_id);
	snprintf(xmax, sizeof(xmax), "{%" PRIu64 "}", rung.xmax);
	snprintf(open, sizeof(open), "{%" PRId32 "}", rung.open);
	res = PQexecParams(rig->sb->db, rig->statements.bell, 5, NULL, values, NULL, NULL, 0);
	TAP_INT_FATAL(PQresultStatus(res), PGRES_TUPLES_OK);
	rows = PQntuples(res) - 1; /* the last is the snapshot's */
	PQclear(res);
	return rows;
}

/* Other writers of the cluster that were open at a claim end too, each once. */
static bool
falls_silent(struct rig *rig)
{
	for (int i = 0; i < 500; i++) {
		if (rings(rig) == 0)
			return true;
		turn(rig, NULL, 100, NULL);
		pass_us(rig, 10000);
	}
	return false;
}

static void
test_straggler(void)
{
	RIG(rig, sb, false);
	PGconn *writer = sandbox_open(sb.super);
	struct batch *b;

	sandbox_exec(writer, "BEGIN");
	insert(writer, 1, "late"); /* id 1 */
	insert(sb.db, 50, "k");
	open_lane(&rig);
	relay_all(&rig, 2);
	insert(sb.db, 50, "k");
	relay_all(&rig, 3);
	TAP_INT(unsent(&rig), 0);
	/* the open writer stops neither the claims nor the floor */
	CU_ASSERT(lane_hint(rig.lane) > 51);
	postpone_look(&rig);
	CU_ASSERT_TRUE(falls_silent(&rig));
	sandbox_exec(writer, "COMMIT");
	TAP_INT(rings(&rig), 1);
	turn(&rig, NULL, 100, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.batch);
	TAP_INT(rig.batch->slots[0].ev.id, 1);
	b = take(&rig);
	ack(b);
	turn(&rig, b, 100, NULL);
	batch_free(b);
	CU_ASSERT_TRUE(falls_silent(&rig));
	PQfinish(writer);
}

/* Nothing may pass an event that somebody else has locked, so nothing is claimed until it is free. */
static void
test_locked_rows(void)
{
	static const char *const locks[] = {"FOR KEY SHARE", "FOR UPDATE"};
	static const int locked[] = {3, 10};
	RIG(rig, sb, false);
	PGconn *other = sandbox_open(sb.super);

	insert(sb.db, 10, "k");
	open_lane(&rig);
	for (int i = 0; i < 2; i++)
		for (int64_t limit = 5; limit <= 100; limit += 95) {
			if (locked[i] > limit)
				continue;
			sandbox_exec(other, "BEGIN");
			sandbox_exec(other, "SELECT FROM outbox_events WHERE id = %d %s", locked[i], locks[i]);
			turn(&rig, NULL, limit, NULL);
			CU_ASSERT_PTR_NULL(rig.batch);
			CU_ASSERT(rig.last.blocked);
			turn(&rig, NULL, 0, NULL);
			sandbox_exec(other, "COMMIT");
		}
	turn(&rig, NULL, 100, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.batch);
	CU_ASSERT(!rig.last.blocked);
	TAP_INT(rig.batch->count, 10);
	TAP_INT(rig.batch->slots[0].ev.id, 1);
	PQfinish(other);
}

static void
test_ids_drawn_long_before(void)
{
	RIG(rig, sb, false);

	sandbox_exec(sb.db, "SELECT nextval(pg_get_serial_sequence('outbox_events', 'id'))"); /* 1 */
	insert(sb.db, 20, "k");
	open_lane(&rig);
	relay_all(&rig, 2);
	insert(sb.db, 20, "k");
	relay_all(&rig, 3);
	CU_ASSERT(lane_hint(rig.lane) > 1);
	sandbox_exec(sb.db, "INSERT INTO outbox_events (id, aggregate_type, aggregate_id, event_type) OVERRIDING SYSTEM VALUE"
	                    " VALUES (1, 't', 'early', 'e')");
	postpone_look(&rig);
	turn(&rig, NULL, 100, NULL);
	CU_ASSERT_PTR_NULL(rig.batch);
	CU_ASSERT_FALSE(rig.last.looked_everywhere);
	lane_look_everywhere(rig.lane);
	turn(&rig, NULL, 100, NULL);
	CU_ASSERT_TRUE(rig.last.looked_everywhere);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.batch);
	TAP_INT(rig.batch->slots[0].ev.id, 1);
}

/* A lane whose floor is above row 1, which comes now and is too large for a plain claim. */
static void
begin_above_large_row(struct rig *rig)
{
	rig->options.batch_bytes = 65536;
	rig->options.batch_rows = 10;
	sandbox_exec(rig->sb->db, "SELECT nextval(pg_get_serial_sequence('outbox_events', 'id'))"); /* 1 */
	insert(rig->sb->db, 20, "k");
	open_lane(rig);
	relay_all(rig, 3);
	CU_ASSERT(lane_hint(rig->lane) > 1);
	sandbox_exec(rig->sb->db, "INSERT INTO outbox_events (id, aggregate_type, aggregate_id, event_type, payload) OVERRIDING SYSTEM VALUE"
	                          " SELECT 1, 't', 'early', 'e', to_jsonb(string_agg(md5(i::text), '')) FROM generate_series(1, 800) i");
	postpone_look(rig);
}

/* The look from the bottom that met it is not over: the next claim begins there again, and brings it. */
static void
test_large_row_below_the_floor(void)
{
	RIG(rig, sb, false);

	begin_above_large_row(&rig);
	lane_look_everywhere(rig.lane);
	turn(&rig, NULL, 10, NULL);
	CU_ASSERT_TRUE(rig.batch == NULL && rig.last.more);
	turn(&rig, NULL, 10, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.batch);
	TAP_INT(rig.batch->slots[0].ev.id, 1);
}

/* A probe that came back empty would let the events behind it pass. */
static void
test_probe_brings_a_large_row(void)
{
	RIG(rig, sb, false);
	struct lane_turn probe = {.claim_rows = 10, .probe = true, .probe_from = 1};
	int turned;

	begin_above_large_row(&rig);
	turned = rig.turned;
	lane_turn(rig.lane, &probe, clock_mono_us());
	wait_for(&rig, &rig.turned, turned);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.batch);
	TAP_INT(rig.batch->slots[0].ev.id, 1);
	CU_ASSERT_TRUE(rig.batch->probe);
}

/* --- the plan --- */

struct explained {
	int rounds, lost;
	struct buf plan;
	struct session *session;
	const char *prepare, *explain;
};

static void
on_explain_ready(void *ctx)
{
	struct explained *e = ctx;

	session_prepare(e->session, "explained", e->prepare);
	session_query(e->session, e->explain);
	session_round_send(e->session, clock_mono_us());
}

static void
on_explain_round(void *ctx, struct round *r)
{
	struct explained *e = ctx;

	TAP_INT(r->failed, -1);
	for (int row = 0; r->failed < 0 && row < PQntuples(r->results[1]); row++)
		buf_printf(&e->plan, "%s\n", PQgetvalue(r->results[1], row, 0));
	e->rounds++;
}

static void
on_explain_lost(void *ctx, const struct error *err)
{
	struct explained *e = ctx;

	tap_diag("%s", err->message);
	e->rounds++;
}

/* How the server would run a statement within a session of ours. */
static char *
plan_of(struct rig *rig, const char *sql, const char *arguments)
{
	char explain[256];
	struct explained e = {.prepare = sql, .explain = explain, .plan = BUF_INIT};
	struct session_events events = {.ready = on_explain_ready, .round = on_explain_round, .lost = on_explain_lost, .ctx = &e};
	struct error err;

	snprintf(explain, sizeof(explain), "EXPLAIN (COSTS OFF) EXECUTE explained (%s)", arguments);
	e.session = session_new(&rig->session, "explain", &events);
	SANDBOX_MUST(loop_add(rig->loop, session_watch(e.session), &err), &err);
	session_open(e.session);
	wait_for(rig, &e.rounds, 0);
	loop_remove(rig->loop, session_watch(e.session));
	session_free(e.session);
	return buf_take(&e.plan);
}

static void
expect_index(struct rig *rig, const char *sql)
{
	char *plan = plan_of(rig, sql, "0, 100, 1000, '{5}', '{1}', '{0}', '{}'");
	const char *key = plan;

	TAP_HAS(plan, "Index Scan using outbox_events_lane1");
	TAP_HAS(plan, "Index Cond: ((((COALESCE(");
	CU_ASSERT_PTR_NULL(strstr(plan, "Seq Scan on outbox_events"));
	CU_ASSERT_PTR_NULL(strstr(plan, "Bitmap"));
	/* the few rungs may be sorted, and by the sized claim what the limit let through */
	while ((key = strstr(key, "Sort Key: ")) != NULL) {
		key += strlen("Sort Key: ");
		CU_ASSERT(strncmp(key, "rung", 4) == 0 || (sql == rig->statements.claim_sized && strstr(key, "Limit") != NULL));
	}
	free(plan);
}

/* It is asked up to 500 times a second, also while millions are unsent: from each lane's floor, not through all of it. */
static void
expect_bell_index(struct rig *rig)
{
	char *plan = plan_of(rig, rig->statements.bell, "'{0}', '{5}', '{}', '{1}', '{0}'");

	TAP_HAS(plan, "Index Scan using outbox_events_lane1");
	TAP_HAS(plan, "Index Cond: ((((COALESCE(");
	TAP_HAS(plan, "(id >= r.from_id))");
	CU_ASSERT_PTR_NULL(strstr(plan, "Join"));
	free(plan);
}

/* From a backlog's end, where its rows are alive. */
static void
expect_end_index(struct rig *rig)
{
	char *plan = plan_of(rig, rig->statements.end, "0");

	TAP_HAS(plan, "Index Scan Backward using outbox_events_lane1");
	TAP_HAS(plan, "Index Cond: (((COALESCE(");
	CU_ASSERT_PTR_NULL(strstr(plan, "Sort"));
	free(plan);
}

static void
test_plan(void)
{
	RIG(rig, sb, false);
	static const char *const states[] = {
		"SELECT", /* fresh */
		"INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type) SELECT 't', i::text, 'e' FROM generate_series(1, 30000) i",
		"ANALYZE outbox_events",
		"UPDATE outbox_events SET sent_at = now()", /* the statistics say that all is unsent */
		"ANALYZE outbox_events",
		"VACUUM outbox_events",
		"TRUNCATE outbox_events",
	};

	sandbox_exec(sb.db, "ALTER TABLE outbox_events SET (autovacuum_enabled = off)");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		sandbox_exec(sb.db, "%s", states[i]);
		expect_index(&rig, rig.statements.claim);
		expect_index(&rig, rig.statements.claim_sized);
		expect_bell_index(&rig);
		expect_end_index(&rig);
	}
}

/* --- sessions that end --- */

static void
terminate(struct rig *rig)
{
	int lost = rig->lost;

	TAP_INT(sandbox_int(rig->sb->db, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
	                                 " WHERE application_name = 'pgoutboxd lane 0' AND datname = current_database()"), 1);
	wait_for(rig, &rig->lost, lost);
	TAP_INT(lane_state(rig->lane), LANE_CLOSED);
	TAP_INT(rig->failure.kind, ERR_RETRY);
}

static void
test_terminated(void)
{
	RIG(rig, sb, false);
	struct batch *b;

	insert(sb.db, 3, "k");
	sandbox_exec(sb.db, "SET lock_timeout = '5s'");
	open_lane(&rig);
	terminate(&rig); /* idle */
	TAP_HAS(rig.failure.message, "terminating connection");
	open_lane(&rig);
	turn(&rig, NULL, 100, NULL);
	terminate(&rig); /* holding: its rows are free at once */
	batch_free(take(&rig));
	sandbox_exec(sb.db, "SELECT FROM outbox_events FOR UPDATE");
	sandbox_exec(sb.db, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';"
	                    " CREATE TRIGGER slow AFTER UPDATE ON outbox_events EXECUTE FUNCTION slow()");
	open_lane(&rig);
	turn(&rig, NULL, 100, NULL);
	b = take(&rig);
	ack(b);
	/* turning: in the middle of the settle, which is not done then */
	start_turn(&rig, b, 100, NULL);
	pass_us(&rig, 200000);
	TAP_INT(lane_state(rig.lane), LANE_TURNING);
	terminate(&rig);
	TAP_INT(b->counts[EV_ACKED], 3);
	TAP_INT(unsent(&rig), 3);
	sandbox_exec(sb.db, "DROP TRIGGER slow ON outbox_events");
	b->attached = false;
	open_lane(&rig);
	turn(&rig, b, 0, NULL);
	TAP_INT(unsent(&rig), 0);
	batch_free(b);
}

static void
test_one_owner(void)
{
	RIG(rig, sb, false);
	struct lane *second = add_lane(&rig);

	open_lane(&rig);
	lane_open(second);
	wait_for(&rig, &rig.refused, 0);
	TAP_INT(lane_state(second), LANE_CLOSED);
	TAP_INT(rig.owned, 1);
	lane_close(rig.lane);
	pass_us(&rig, 300000);
	lane_open(second);
	wait_for(&rig, &rig.owned, 1);
	loop_remove(rig.loop, lane_watch(second));
	lane_free(second);
}

/* A host that vanished must not keep its lanes for as long as TCP is patient. */
static void
test_server_side_tcp(void)
{
	RIG(rig, sb, false);
	char *conninfo = db_conninfo(sb.role, "host", "127.0.0.1", "port", getenv("PGOUTBOX_TEST_PGPORT"), NULL);

	rig.session.conninfo = conninfo;
	sandbox_exec(sb.db, "CREATE TABLE seen (name text, value text); GRANT INSERT ON seen TO PUBLIC;"
	                    " CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO seen SELECT name, setting FROM"
	                    " pg_settings WHERE name ~ ''^tcp''; RETURN NULL; END'; CREATE TRIGGER look AFTER UPDATE ON outbox_events"
	                    " EXECUTE FUNCTION look()");
	insert(sb.db, 1, "k");
	open_lane(&rig);
	relay_all(&rig, 0);
	TAP_INT(sandbox_int(sb.db, "SELECT value FROM seen WHERE name = 'tcp_user_timeout'"), 10000);
	TAP_INT(sandbox_int(sb.db, "SELECT value FROM seen WHERE name = 'tcp_keepalives_idle'"), 5);
	lane_close(rig.lane);
	free(conninfo);
}

/* A relay that hangs loses its lanes: the server ends what is silent, in a transaction and out of it. */
static void
test_silence(void)
{
	RIG(rig, sb, false);
	int64_t since_us;

	rig.session.session_timeout_ms = 1000;
	insert(sb.db, 1, "k");
	open_lane(&rig);
	since_us = clock_mono_us();
	wait_for(&rig, &rig.lost, 0);
	CU_ASSERT(clock_mono_us() - since_us > 900000 && clock_mono_us() - since_us < 5000000);
	TAP_HAS(rig.failure.message, "idle-session timeout");
	TAP_INT(rig.failure.kind, ERR_RETRY);
	open_lane(&rig);
	turn(&rig, NULL, 100, NULL);
	wait_for(&rig, &rig.lost, 1);
	TAP_HAS(rig.failure.message, "idle-in-transaction timeout");
	batch_free(take(&rig));
}

int
main(void)
{
	tap_suite("lane on PostgreSQL");
	tap_test("order, limit, contents, locks", test_order_and_limit);
	tap_test("WAL that is not flushed", test_tells_of_unflushed_wal);
	tap_test("held keys, and NULL keys", test_held_keys);
	tap_test("byte limit", test_byte_limit);
	tap_test("settle by id", test_settle_by_id);
	tap_test("settle an older batch while holding", test_settle_detached_while_holding);
	tap_test("settle by deleting", test_delete);
	tap_test("park, then mark", test_park_mark);
	tap_test("park, then delete", test_park_delete);
	tap_test("park json that is no jsonb, then retry", test_park_json);
	tap_test("park such json in columns that are not mapped", test_park_json_unmapped);
	tap_test("park such json within arrays and composite types", test_park_json_within);
	tap_test("park after a column was dropped", test_park_after_drop);
	tap_test("a straggler is found by the next claim", test_straggler);
	tap_test("rows that somebody else has locked", test_locked_rows);
	tap_test("ids drawn long before their insert", test_ids_drawn_long_before);
	tap_test("a large row below the floor", test_large_row_below_the_floor);
	tap_test("a probe brings a large row", test_probe_brings_a_large_row);
	tap_test("the plans of the claim and of the bell", test_plan);
	tap_test("a terminated session", test_terminated);
	tap_test("one owner a lane", test_one_owner);
	tap_test("the server looks for vanished hosts", test_server_side_tcp);
	tap_test("a silent session is ended", test_silence);
	return tap_run();
}
