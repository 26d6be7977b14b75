/* test_receipts.c - receipts against a real PostgreSQL: each row gets its own, whatever the order; what they cost in plans; how
 * they end. */
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "source/prune.h"
#include "source/receipts.h"
#include "test_lane_rig.h"

#define ROWS 60
#define PARKED 13 /* the row of this id */

/* What Kafka says of the event: no offset of every tenth, nothing at all of the first. */
static void
acknowledge(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		struct slot *slot = &b->slots[i];
		int64_t id = slot->ev.id;

		if (slot->state != EV_CLAIMED)
			continue;
		slot->topic = id % 2 == 0 ? "even" : "odd";
		if (id == PARKED) {
			slot->reason = "never";
			batch_move(slot, EV_POISONED);
			continue;
		}
		batch_move(slot, EV_SENT);
		batch_move(slot, EV_ACKED);
		slot->sent_partition = id == 1 ? -1 : (int32_t)(id % 7);
		slot->sent_offset = id % 10 == 0 || id == 1 ? -1 : 5000000000 - id * 17;
	}
}

#define PARTITION "CASE WHEN id <> 1 THEN id % 7 END"
#define OFFSET "CASE WHEN id % 10 <> 0 AND id <> 1 THEN 5000000000 - id * 17 END"

/* Ids and places on the disk have nothing to do with one another. */
static void
insert_shuffled(PGconn *db)
{
	sandbox_exec(db, "INSERT INTO outbox_events (id, aggregate_type, aggregate_id, event_type, payload) OVERRIDING SYSTEM VALUE"
	                 " SELECT i, 't', 'k' || i, 'e', jsonb_build_object('n', i, 'text', 'äß') FROM generate_series(1, %d) i"
	                 " ORDER BY md5(i::text)", ROWS);
}

/* Half of the rows in the transaction of their claim, the others by id in another session. */
static void
settle_all(struct rig *rig)
{
	struct batch *b;

	open_lane(rig);
	turn(rig, NULL, ROWS / 2, NULL);
	b = take(rig);
	acknowledge(b);
	turn(rig, b, ROWS, NULL);
	CU_ASSERT_TRUE(rig->last.settled);
	TAP_INT(rig->last.settled_rows, ROWS / 2);
	batch_free(b);
	b = take(rig);
	TAP_INT_FATAL(b->count, ROWS / 2);
	acknowledge(b);
	lane_close(rig->lane);
	b->attached = false;
	open_lane(rig);
	turn(rig, b, 0, NULL);
	TAP_INT(rig->last.asked_rows, ROWS / 2);
	TAP_INT(rig->last.settled_rows, ROWS / 2);
	batch_free(b);
}

static void
expect_marked(struct rig *rig)
{
	PGconn *db = rig->sb->db;

	TAP_INT(sandbox_int(db, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"), 0);
	TAP_INT(sandbox_int(db, "SELECT count(*) FROM outbox_events WHERE id <> %d AND sent_partition IS NOT DISTINCT FROM %s"
	                        " AND sent_offset IS NOT DISTINCT FROM %s", PARKED, PARTITION, OFFSET), ROWS - 1);
	TAP_INT(sandbox_int(db, "SELECT count(*) FROM outbox_events WHERE id = %d AND sent_partition IS NULL AND sent_offset IS NULL",
	                    PARKED), 1);
	TAP_INT(sandbox_int(db, "SELECT count(*) FROM pgoutbox.parked WHERE event_row = %d", PARKED), 1);
}

static void
expect_moved(struct rig *rig)
{
	PGconn *db = rig->sb->db;

	TAP_INT(sandbox_int(db, "SELECT count(*) FROM outbox_events"), 0);
	TAP_INT(sandbox_int(db, "SELECT count(*) FROM pgoutbox.receipts"), ROWS - 1);
	TAP_INT(sandbox_int(db, "SELECT count(DISTINCT id) FROM (SELECT *, row_id AS id FROM pgoutbox.receipts) r WHERE id <> %d"
	                        " AND outbox = 'public.outbox_events' AND key = 'k' || id AND event_id ~ '^[-0-9a-f]{36}$'"
	                        " AND topic = CASE id %% 2 WHEN 0 THEN 'even' ELSE 'odd' END AND kafka_partition IS NOT DISTINCT FROM %s"
	                        " AND kafka_offset IS NOT DISTINCT FROM %s AND sent_at > now() - interval '1 hour'"
	                        " AND digest = sha256(convert_to(jsonb_build_object('n', id, 'text', 'äß')::text, 'UTF8'))",
	                    PARKED, PARTITION, OFFSET), ROWS - 1);
	TAP_INT(sandbox_int(db, "SELECT count(*) FROM pgoutbox.parked WHERE event_row = %d", PARKED), 1);
}

static void
test_marked(void)
{
	LANE_RIG(rig, sb, false, true);

	insert_shuffled(sb.db);
	settle_all(&rig);
	expect_marked(&rig);
}

static void
test_moved(void)
{
	LANE_RIG(rig, sb, true, true);

	insert_shuffled(sb.db);
	settle_all(&rig);
	expect_moved(&rig);
}

/* Rows of partitions are settled by id from the first. */
static void
test_partitioned(void)
{
	LANE_RIG(rig, sb, false, true);

	sandbox_exec(sb.db,
	             "DROP TABLE outbox_events; DELETE FROM pgoutbox.outbox;"
	             "CREATE TABLE outbox_events (id bigint NOT NULL, event_id uuid DEFAULT gen_random_uuid(), aggregate_type text,"
	             " aggregate_id text, event_type text, payload jsonb, headers jsonb, topic text, created_at timestamptz,"
	             " sent_at timestamptz, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
	             "CREATE TABLE low PARTITION OF outbox_events FOR VALUES FROM (0) TO (20);"
	             "CREATE TABLE high PARTITION OF outbox_events FOR VALUES FROM (20) TO (1000)");
	struct install_request install = {.layout = rig.request, .lanes = 1};
	struct install_plan plan = INSTALL_PLAN_INIT;
	struct error err;

	SANDBOX_MUST(install_run(sb.db, &install, &plan, &err), &err);
	install_plan_done(&plan);
	look(&rig);
	CU_ASSERT_PTR_NULL(rig.statements.settle_tids);
	sandbox_exec(sb.db, "INSERT INTO outbox_events (id, aggregate_type, aggregate_id, event_type, payload)"
	                    " SELECT i, 't', 'k' || i, 'e', '1' FROM generate_series(1, %d) i", ROWS);
	settle_all(&rig);
	expect_marked(&rig);
}

/* The answer to a settle was lost: done again by id, it changes no receipt and adds none. */
static void
settle_again(bool settle_delete)
{
	LANE_RIG(rig, sb, settle_delete, true);
	struct batch *b;

	insert_shuffled(sb.db);
	open_lane(&rig);
	turn(&rig, NULL, ROWS, NULL);
	b = take(&rig);
	acknowledge(b);
	turn(&rig, b, 0, NULL);
	for (size_t i = 0; i < b->count; i++) { /* as it was before the answer */
		b->slots[i].state = b->slots[i].ev.id == PARKED ? EV_POISONED : EV_ACKED;
		b->counts[EV_SETTLED]--;
		b->counts[b->slots[i].state]++;
		b->slots[i].sent_offset = 7;
	}
	b->attached = false;
	turn(&rig, b, 0, NULL);
	TAP_INT(rig.last.asked_rows, ROWS);
	TAP_INT(rig.last.settled_rows, 0);
	batch_free(b);
	if (settle_delete)
		expect_moved(&rig);
	else
		expect_marked(&rig);
}

static void
test_again_marked(void)
{
	settle_again(false);
}

static void
test_again_moved(void)
{
	settle_again(true);
}

/* --- digests --- */

static void
append_hex(struct buf *out, struct slice payload)
{
	unsigned char digest[SHA256_BYTES];
	struct sha256 s;

	if (slice_is_null(payload)) {
		buf_add_str(out, "null ");
		return;
	}
	sha256_init(&s);
	sha256_add(&s, payload.data, payload.len);
	sha256_end(&s, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		buf_printf(out, "%02x", digest[i]);
	buf_add_char(out, ' ');
}

/* What the claim gave to be sent has the digest that the settle kept, whatever the type. */
static void
expect_digests(struct rig *rig, const char *type, const char *values)
{
	struct buf sent = BUF_INIT;
	struct batch *b;
	char *kept;

	sandbox_exec(rig->sb->db, "TRUNCATE pgoutbox.receipts; ALTER TABLE outbox_events ALTER payload TYPE %s USING NULL;"
	                          " INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	                          " SELECT 't', 'k', 'e', v::%s FROM (VALUES (NULL), %s) x(v)", type, type, values);
	look(rig);
	open_lane(rig);
	turn(rig, NULL, 100, NULL);
	b = take(rig);
	CU_ASSERT_FATAL(b->count > 1);
	ack(b);
	for (size_t i = 0; i < b->count; i++) {
		b->slots[i].topic = "t";
		append_hex(&sent, b->slots[i].ev.payload);
	}
	turn(rig, b, 0, NULL);
	kept = sandbox_text(rig->sb->db, "SELECT string_agg(coalesce(encode(digest, 'hex'), 'null') || ' ', '' ORDER BY row_id)"
	                                 " FROM pgoutbox.receipts");
	TAP_STR(kept, buf_str(&sent));
	free(kept);
	buf_done(&sent);
	batch_free(b);
	lane_close(rig->lane);
}

static void
test_digests(void)
{
	LANE_RIG(rig, sb, true, true);

	expect_digests(&rig, "jsonb", "('{\"b\":1,  \"a\": [1.10, \"ü\"]}'), ('\"\\u00e4\\n\"'), ('null')");
	expect_digests(&rig, "json", "('{\"b\":1,  \"a\": [1.10, \"\\u0000\"]}'), (' \"ü\" ')");
	expect_digests(&rig, "text", "(''), ('back\\slash'), (repeat('ß', 100000))");
	expect_digests(&rig, "varchar", "('ß')");
	expect_digests(&rig, "bytea", "('\\x'), ('\\x00ff80c3'), ('\\x5c5c')");
}

/* --- plans --- */

/* Whatever the statistics say, as a lane's session has its settings. */
static void
expect_no_scan(struct rig *rig, const char *sql, const char *index)
{
	PGconn *db = sandbox_open(rig->sb->super);
	char *plan;

	CU_ASSERT_PTR_NOT_NULL_FATAL(sql);
	sandbox_exec(db, "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off;"
	                 " SET enable_sort = off; SET jit = off");
	sandbox_exec(db, "PREPARE settle AS %s", sql);
	plan = sandbox_text(db, "EXPLAIN (FORMAT json) EXECUTE settle(NULL, NULL, NULL%s)", rig->options.settle_delete ? ", NULL" : "");
	CU_ASSERT_PTR_NOT_NULL(strstr(plan, index));
	CU_ASSERT_PTR_NULL(strstr(plan, "\"Seq Scan\""));
	CU_ASSERT_PTR_NULL(strstr(plan, "\"Hash Join\""));
	CU_ASSERT_PTR_NULL(strstr(plan, "\"Merge Join\""));
	free(plan);
	db_close(&db);
}

static void
expect_plans(bool settle_delete)
{
	LANE_RIG(rig, sb, settle_delete, true);
	static const char *const states[] = {
		"SELECT",
		"INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type) SELECT 't', i::text, 'e' FROM generate_series(1, 20000) i",
		"ANALYZE outbox_events",
		"TRUNCATE outbox_events",
		"ANALYZE outbox_events",
	};

	sandbox_exec(sb.db, "ALTER TABLE outbox_events SET (autovacuum_enabled = off)");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		sandbox_exec(sb.db, "%s", states[i]);
		expect_no_scan(&rig, rig.statements.settle_tids, "\"Tid Scan\"");
		expect_no_scan(&rig, rig.statements.settle_ids, "outbox_events_pkey");
	}
}

static void
test_plans_marked(void)
{
	expect_plans(false);
}

static void
test_plans_moved(void)
{
	expect_plans(true);
}

/* --- pruning --- */

static struct prune_seen
prune(struct rig *rig, PGconn *db, bool dry)
{
	struct buf sql = BUF_INIT;
	struct prune_bound bound;
	struct prune_seen seen;
	PGresult *res;

	receipts_prune_text(&rig->layout, dry, &sql);
	prune_bind(&bound, PRUNE_BOTTOM, 86400000);
	res = PQexecParams(db, buf_str(&sql), PRUNE_PARAMS, NULL, bound.values, NULL, NULL, 0);
	CU_ASSERT_FATAL(PQresultStatus(res) == PGRES_TUPLES_OK);
	seen = prune_read(res);
	PQclear(res);
	buf_done(&sql);
	return seen;
}

/* By the daemon's own role, a thousand at a time, the oldest first; those of another table are its own matter. */
static void
test_pruned(void)
{
	LANE_RIG(rig, sb, true, true);
	PGconn *db = sandbox_open(sb.role);

	sandbox_exec(sb.db, "INSERT INTO pgoutbox.receipts (outbox, row_id, topic, sent_at) SELECT 'public.outbox_events', i, 't',"
	                    " now() - i * interval '1 minute' FROM generate_series(1, 3000) i;"
	                    "INSERT INTO pgoutbox.receipts (outbox, row_id, topic, sent_at) VALUES ('public.other', 1, 't', '2001-01-01')");
	TAP_INT(prune(&rig, db, true).deleted, 3000 - 1439);
	TAP_INT(prune(&rig, db, true).looked, 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.receipts"), 3001);
	struct prune_seen seen = prune(&rig, db, false);

	TAP_INT(seen.deleted, PRUNE_BATCH_ROWS);
	TAP_INT(seen.looked, PRUNE_BATCH_ROWS);
	TAP_INT(sandbox_int(sb.db, "SELECT max(row_id) FROM pgoutbox.receipts"), 2000);
	seen = prune(&rig, db, false);
	TAP_INT(seen.deleted, 2000 - 1439);
	CU_ASSERT_TRUE(seen.looked < PRUNE_BATCH_ROWS);
	TAP_INT(prune(&rig, db, false).deleted, 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.receipts WHERE row_id < 1440 AND sent_at > now() - interval '1 day'"),
	        1439);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.receipts WHERE outbox = 'public.other'"), 1);
	db_close(&db);
}

int
main(void)
{
	tap_suite("receipts on PostgreSQL");
	tap_test("each marked row has its own", test_marked);
	tap_test("each deleted row leaves its own", test_moved);
	tap_test("rows of a partitioned table", test_partitioned);
	tap_test("done again, marking changes none", test_again_marked);
	tap_test("done again, deleting leaves none twice", test_again_moved);
	tap_test("the digest is that of what is sent", test_digests);
	tap_test("plans of marking", test_plans_marked);
	tap_test("plans of deleting", test_plans_moved);
	tap_test("old ones are pruned", test_pruned);
	return tap_run();
}
