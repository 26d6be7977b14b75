/* receipts.c - in: a layout, settled batches; out: SQL text, bound parameters. Knows no session. */
#include "source/receipts.h"

#include <string.h>

#include "source/literal.h"
#include "source/statements.h"

#define INT4_OID 23
#define INT8_OID 20
#define TEXT_OID 25

/* What is to be settled, with what is to be kept of it: r. The arrays go in step, and each row finds its own by the join. The
 * plan must be a look-up of each row, also where the statistics know of no row yet and reading a whole index would be as cheap: an
 * array's operator is no use for a merge or a hash. */
static void
add_joined(struct buf *sql, const struct layout *lo, bool with_topic, bool by_tid)
{
	buf_printf(sql, "unnest($1::%s[], $2::int[], $3::bigint[]%s) r(it, part, off%s) WHERE ", by_tid ? "tid" : "bigint",
	           with_topic ? ", $4::text[]" : "", with_topic ? ", topic" : "");
	if (by_tid)
		buf_add_str(sql, "t.ctid = r.it");
	else
		buf_printf(sql, "t.%s = ANY (ARRAY[r.it])", lo->columns[COL_ID].quoted);
}

static void
add_text(struct buf *sql, const struct layout *lo, enum event_column col)
{
	if (lo->columns[col].quoted != NULL)
		buf_printf(sql, "t.%s::text", lo->columns[col].quoted);
	else
		buf_add_str(sql, "NULL::text");
}

/* Of the message's value as the claim reads it, so that a consumer's copy has the same. */
static void
add_digest(struct buf *sql, const struct layout *lo)
{
	const char *p = lo->columns[COL_PAYLOAD].quoted;

	if (lo->columns[COL_PAYLOAD].type == TYPE_BYTEA)
		buf_printf(sql, "sha256(t.%s)", p);
	else
		buf_printf(sql, "sha256(convert_to(t.%s::text, 'UTF8'))", p);
}

static void
add_marking(struct buf *sql, const struct layout *lo, bool by_tid)
{
	const char *sent_at = lo->columns[COL_SENT_AT].quoted;

	buf_printf(sql, "UPDATE %s t SET %s = statement_timestamp(), %s = r.part, %s = r.off FROM ", lo->relation, sent_at,
	           lo->columns[COL_SENT_PARTITION].quoted, lo->columns[COL_SENT_OFFSET].quoted);
	add_joined(sql, lo, false, by_tid);
	/* In words that do not offer the index of all unsent rows. */
	if (!by_tid)
		buf_printf(sql, " AND num_nulls(t.%s) = 1", sent_at);
}

/* A parked row has no topic here. A settle that is done again finds no row, and keeps nothing twice. */
static void
add_moving(struct buf *sql, const struct layout *lo, bool by_tid)
{
	buf_printf(sql, "WITH gone AS (DELETE FROM %s t USING ", lo->relation);
	add_joined(sql, lo, true, by_tid);
	buf_printf(sql, " RETURNING t.%s AS id, ", lo->columns[COL_ID].quoted);
	add_text(sql, lo, COL_EVENT_ID);
	buf_add_str(sql, " AS event_id, ");
	add_text(sql, lo, COL_AGGREGATE_ID);
	buf_add_str(sql, " AS key, r.topic, r.part, r.off, CASE WHEN r.topic IS NOT NULL THEN ");
	add_digest(sql, lo);
	buf_add_str(sql, " END AS digest), kept AS (INSERT INTO pgoutbox.receipts (outbox, row_id, event_id, key, topic,"
	                 " kafka_partition, kafka_offset, digest, sent_at) SELECT ");
	literal_add(sql, lo->relation);
	buf_add_str(sql, ", id, event_id, key, topic, part, off, digest, statement_timestamp() FROM gone WHERE topic IS NOT NULL)"
	                 " SELECT count(*) FROM gone");
}

char *
receipts_settle_text(const struct layout *lo, bool settle_delete, bool by_tid)
{
	struct buf sql = BUF_INIT;

	if (settle_delete)
		add_moving(&sql, lo, by_tid);
	else
		add_marking(&sql, lo, by_tid);
	return buf_take(&sql);
}

/* --- parameters --- */

static void
add_null(struct buf *array)
{
	buf_add_u32be(array, UINT32_MAX);
}

static void
add_slot(struct receipts *r, const struct slot *slot, bool with_topic)
{
	bool acked = slot->state == EV_ACKED;

	if (acked && slot->sent_partition >= 0) {
		buf_add_u32be(&r->partitions, 4);
		buf_add_u32be(&r->partitions, (uint32_t)slot->sent_partition);
	} else
		add_null(&r->partitions);
	if (acked && slot->sent_offset >= 0) {
		buf_add_u32be(&r->offsets, 8);
		buf_add_u64be(&r->offsets, (uint64_t)slot->sent_offset);
	} else
		add_null(&r->offsets);
	if (!with_topic)
		return;
	if (acked) {
		size_t len = strlen(slot->topic);

		buf_add_u32be(&r->topics, (uint32_t)len);
		buf_add(&r->topics, slot->topic, len);
	} else
		add_null(&r->topics);
}

/* Out of memory: cut short, which the server refuses. */
int
receipts_bind(struct receipts *r, const struct batch *b, size_t count, bool settle_delete, const char *values[RECEIPTS_PARAMS],
              int lengths[RECEIPTS_PARAMS])
{
	struct buf *const arrays[] = {&r->partitions, &r->offsets, &r->topics};
	static const uint32_t oids[] = {INT4_OID, INT8_OID, TEXT_OID};
	int n = settle_delete ? 3 : 2;

	for (int i = 0; i < n; i++) {
		buf_reset(arrays[i]);
		statements_array_head(arrays[i], oids[i], count, true);
	}
	for (size_t i = 0; i < b->count; i++)
		if (b->slots[i].settling)
			add_slot(r, &b->slots[i], settle_delete);
	for (int i = 0; i < n; i++) {
		values[i + 1] = buf_str(arrays[i]);
		lengths[i + 1] = (int)arrays[i]->len;
	}
	return n + 1;
}

void
receipts_done(struct receipts *r)
{
	buf_done(&r->partitions);
	buf_done(&r->offsets);
	buf_done(&r->topics);
}

/* --- pruning --- */

void
receipts_prune_text(const struct layout *lo, bool dry, struct buf *sql)
{
	buf_add_str(sql, "WITH o AS MATERIALIZED (SELECT r.ctid AS by FROM pgoutbox.receipts r WHERE r.outbox = ");
	literal_add(sql, lo->relation);
	buf_add_str(sql, " AND r.sent_at < now() - $3::bigint * interval '1 ms' ORDER BY r.sent_at");
	if (dry)
		buf_add_str(sql, "), d AS (SELECT FROM o");
	else
		buf_add_str(sql, " LIMIT $2::bigint), d AS (DELETE FROM pgoutbox.receipts r WHERE r.ctid = ANY (ARRAY(SELECT o.by FROM o))"
		                 " RETURNING 1");
	buf_printf(sql, ") SELECT count(*), %s, $1::bigint, count(*), NULL::bigint FROM d", dry ? "least($2::bigint, 0)" : "count(*)");
}
