/* statements.c - in: a table's layout, batches; out: SQL text, bound parameters.
 *
 * The claim returns its rows, then a last one that tells what its snapshot saw (see ladder.h). Both come from one statement, because
 * only then they come from one snapshot.
 */
#include "source/statements.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/claimed.h"
#include "source/receipts.h"

#define TID_OID 27
#define INT8_OID 20

/* --- texts --- */

static void
add_column(struct buf *sql, const struct layout *lo, enum event_column col, const char *cast)
{
	if (lo->columns[col].quoted == NULL) {
		buf_printf(sql, "NULL::%s", *cast != '\0' ? cast : "text");
		return;
	}
	buf_printf(sql, "t.%s", lo->columns[col].quoted);
	if (*cast != '\0')
		buf_printf(sql, "::%s", cast);
}

static const char *
event_id_cast(const struct layout *lo)
{
	return lo->columns[COL_EVENT_ID].type == TYPE_UUID ? "uuid" : "text";
}

/* json travels as it was written; jsonb as its one text form. */
static const char *
payload_cast(const struct layout *lo)
{
	return lo->columns[COL_PAYLOAD].type == TYPE_BYTEA ? "bytea" : lo->columns[COL_PAYLOAD].type == TYPE_JSONB ? "jsonb" : "text";
}

/* Bytes a payload will take in memory, without reading it where PostgreSQL can tell. A jsonb stored compressed tells nothing. */
static void
add_payload_bytes(struct buf *sql, const struct layout *lo)
{
	const char *p = lo->columns[COL_PAYLOAD].quoted;

	if (lo->columns[COL_PAYLOAD].type == TYPE_JSONB)
		buf_printf(sql,
		           "CASE WHEN pg_column_compression(t.%s) IS NULL THEN pg_column_size(t.%s) ELSE octet_length(t.%s::text) END", p, p,
		           p);
	else
		buf_printf(sql, "octet_length(t.%s%s)", p, lo->columns[COL_PAYLOAD].type == TYPE_JSON ? "::text" : "");
}

/* True where the payload is too large for a batch's fair share, without detoasting anything. */
static void
add_payload_large(struct buf *sql, const struct layout *lo)
{
	const char *p = lo->columns[COL_PAYLOAD].quoted;

	buf_printf(sql, "(pg_column_size(t.%s) > $3::bigint OR pg_column_compression(t.%s) IS NOT NULL)", p, p);
}

enum payloads {
	PAYLOADS_SMALL, /* where one is large that is NULL, and so is the tid */
	PAYLOADS_SIZED, /* with their bytes */
	PAYLOADS_ALL,
};

static void
add_unless_large(struct buf *sql, const struct layout *lo, const char *what)
{
	buf_add_str(sql, "CASE WHEN ");
	add_payload_large(sql, lo);
	buf_printf(sql, " THEN NULL ELSE %s END", what);
}

static void
add_row_columns(struct buf *sql, const struct layout *lo, const struct statements_options *opt, enum payloads payloads)
{
	struct buf payload __attribute__((cleanup(buf_done))) = BUF_INIT;

	add_column(&payload, lo, COL_PAYLOAD, payload_cast(lo));
	if (payloads == PAYLOADS_SMALL)
		add_unless_large(sql, lo, "t.ctid");
	else
		buf_add_str(sql, "t.ctid");
	buf_add_str(sql, " AS o_tid, ");
	add_column(sql, lo, COL_ID, "bigint");
	buf_add_str(sql, " AS o_id, t.xmin AS o_xmin, ");
	add_column(sql, lo, COL_EVENT_ID, event_id_cast(lo));
	buf_add_str(sql, " AS o_event_id, ");
	add_column(sql, lo, COL_AGGREGATE_TYPE, "text");
	buf_add_str(sql, " AS o_aggregate_type, ");
	add_column(sql, lo, COL_AGGREGATE_ID, "text");
	buf_add_str(sql, " AS o_key, ");
	add_column(sql, lo, COL_EVENT_TYPE, "text");
	buf_add_str(sql, " AS o_event_type, ");
	if (payloads == PAYLOADS_SMALL)
		add_unless_large(sql, lo, buf_str(&payload));
	else
		buf_add_str(sql, buf_str(&payload));
	buf_add_str(sql, " AS o_payload, ");
	add_column(sql, lo, COL_HEADERS, "text");
	buf_add_str(sql, " AS o_headers, ");
	add_column(sql, lo, COL_TOPIC, "text");
	buf_add_str(sql, " AS o_topic, ");
	add_column(sql, lo, COL_CREATED_AT, "timestamptz");
	buf_add_str(sql, " AS o_created");
	for (size_t i = 0; i < opt->extra_count; i++) {
		char *quoted = layout_quote(opt->extra_columns[i]);

		buf_printf(sql, ", t.%s::text AS o_extra%zu", quoted != NULL ? quoted : "", i);
		sql->failed |= quoted == NULL;
		free(quoted);
	}
	if (payloads == PAYLOADS_SIZED) {
		buf_add_str(sql, ", ");
		add_payload_bytes(sql, lo);
		buf_add_str(sql, " AS o_bytes");
	}
	sql->failed |= buf_failed(&payload);
}

void
statements_event_columns(struct buf *sql, const struct layout *lo, const struct statements_options *opt)
{
	add_row_columns(sql, lo, opt, PAYLOADS_ALL);
}

void
statements_lane_condition(struct buf *sql, const struct layout *lo, const char *lane)
{
	buf_printf(sql, "pgoutbox.lane(t.%s%s, %d) = %s", lo->columns[COL_AGGREGATE_ID].quoted,
	           lo->columns[COL_AGGREGATE_ID].type == TYPE_TEXT ? "" : "::text", lo->lanes, lane);
	if (lo->columns[COL_SENT_AT].quoted != NULL)
		buf_printf(sql, " AND t.%s IS NULL", lo->columns[COL_SENT_AT].quoted);
}

/* The lane's unsent rows from that id on that may be claimed, in order, up to the limit. */
static void
add_claimable(struct buf *sql, const struct layout *lo, const char *from_id)
{
	const char *id = lo->columns[COL_ID].quoted;

	buf_printf(sql, " FROM %s t WHERE ", lo->relation);
	statements_lane_condition(sql, lo, "$1::int");
	buf_printf(sql, " AND t.%s >= (%s) AND (t.%s::text = ANY ($7::text[])) IS NOT TRUE", id, from_id,
	           lo->columns[COL_AGGREGATE_ID].quoted);
	buf_printf(sql, " ORDER BY t.%s LIMIT $2::bigint", id);
}

/* What is flushed here may still be lost to a failover where commits are to wait for standbys: there only the barrier knows. */
#define SAFE_LSN "CASE WHEN current_setting('synchronous_standby_names') = '' THEN pg_current_wal_flush_lsn() ELSE '0/0' END"

/* The rung r holds. Usually no xid below its xmax is open, which the snapshot tells without being unfolded. */
#define HOLDS \
	"CASE WHEN r.xmax <= pg_snapshot_xmin(pg_current_snapshot()) THEN 0" \
	" ELSE (SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot()) x WHERE x < r.xmax) END = r.open"

/* Where the claim begins, which its snapshot decides. The position of WAL is read before any row. */
static void
add_base(struct buf *sql)
{
	buf_printf(sql,
	           "WITH base AS MATERIALIZED (SELECT coalesce((SELECT max(r.from_id) FROM unnest($4::bigint[], $5::xid8[], $6::int[])"
	           " r(from_id, xmax, open) WHERE " HOLDS "), %" PRId64 ") AS floor, pg_current_wal_insert_lsn() AS insert_lsn)",
	           LADDER_BOTTOM);
}

/* After the rows: by then more of WAL is flushed. */
static void
add_tail(struct buf *sql, const struct layout *lo, const struct statements_options *opt, bool sized)
{
	buf_printf(sql,
	           " UNION ALL SELECT NULL::tid, NULL::bigint, NULL::xid, NULL::%s, NULL::text,"
	           " concat_ws(' ', floor, pg_backend_pid(), pg_current_snapshot(), insert_lsn, " SAFE_LSN ", %s),"
	           " NULL::text, NULL::%s, NULL::text, NULL::text, NULL::timestamptz",
	           event_id_cast(lo), sized ? "seen.n" : "0", payload_cast(lo));
	for (size_t i = 0; i < opt->extra_count; i++)
		buf_add_str(sql, ", NULL::text");
	buf_printf(sql, " FROM base%s", sized ? ", seen" : "");
}

/* Later events of its key would pass a row that somebody else has locked, so there is none to be claimed beside one: it is an error. */
static char *
claim_text(const struct layout *lo, const struct statements_options *opt)
{
	struct buf sql = BUF_INIT;

	add_base(&sql);
	buf_add_str(&sql, " SELECT * FROM (SELECT ");
	add_row_columns(&sql, lo, opt, PAYLOADS_SMALL);
	add_claimable(&sql, lo, "SELECT floor FROM base");
	buf_add_str(&sql, " FOR UPDATE OF t NOWAIT) c");
	add_tail(&sql, lo, opt, false);
	return buf_take(&sql);
}

/* SKIP LOCKED leaves out rows that somebody else has locked. So the rows that are there to be claimed are counted too, in the same
 * snapshot: both sets must end alike. The claim then begins at the first that was counted: between it and the floor may lie many index
 * entries of settled rows, and one walk over them is enough. */
static void
add_seen(struct buf *sql, const struct layout *lo)
{
	buf_printf(sql,
	           ", seen AS MATERIALIZED (SELECT count(*) AS n, min(v.id) AS first, coalesce(max(v.id), 0) AS last FROM (SELECT t.%s AS id",
	           lo->columns[COL_ID].quoted);
	add_claimable(sql, lo, "SELECT floor FROM base");
	buf_add_str(sql, ") v) ");
}

/* The first row always comes, however large: otherwise nothing ever would. */
static char *
claim_sized_text(const struct layout *lo, const struct statements_options *opt)
{
	struct buf sql = BUF_INIT;

	add_base(&sql);
	add_seen(&sql, lo);
	buf_add_str(&sql, "SELECT CASE WHEN skipped THEN NULL ELSE o_tid END, o_id, o_xmin, o_event_id, o_aggregate_type, o_key, o_event_type,"
	                  " o_payload, o_headers, o_topic, o_created");
	for (size_t i = 0; i < opt->extra_count; i++)
		buf_printf(&sql, ", o_extra%zu", i);
	buf_add_str(&sql, " FROM (SELECT *, total > $3::bigint AND total > coalesce(o_bytes, 0) AS cut,"
	                  " rows <> (SELECT n FROM seen) OR last <> (SELECT last FROM seen) AS skipped FROM (SELECT *,"
	                  " count(*) OVER () AS rows, max(o_id) OVER () AS last,"
	                  " sum(coalesce(o_bytes, 0)) OVER (ORDER BY o_id ROWS UNBOUNDED PRECEDING) AS total FROM (SELECT ");
	add_row_columns(&sql, lo, opt, PAYLOADS_SIZED);
	add_claimable(&sql, lo, "SELECT first FROM seen");
	buf_add_str(&sql, " FOR UPDATE OF t SKIP LOCKED) c) d) e WHERE NOT cut");
	add_tail(&sql, lo, opt, true);
	return buf_take(&sql);
}

static char *
settle_text(const struct layout *lo, const struct statements_options *opt, bool by_tid)
{
	struct buf sql = BUF_INIT;
	const char *sent_at = lo->columns[COL_SENT_AT].quoted;

	if (opt->receipts)
		return receipts_settle_text(lo, opt->settle_delete, by_tid);
	if (opt->settle_delete)
		buf_printf(&sql, "DELETE FROM %s t WHERE ", lo->relation);
	else
		buf_printf(&sql, "UPDATE %s t SET %s = statement_timestamp() WHERE ", lo->relation, sent_at);
	if (by_tid)
		buf_add_str(&sql, "t.ctid = ANY ($1::tid[])");
	else
		buf_printf(&sql, "t.%s = ANY ($1::bigint[])", lo->columns[COL_ID].quoted);
	if (!by_tid && !opt->settle_delete)
		buf_printf(&sql, " AND t.%s IS NULL", sent_at);
	return buf_take(&sql);
}

/* The row as jsonb. Not all that json takes can be jsonb ("\u0000", half a surrogate pair, a huge exponent): of a column that
 * holds json the text is kept, as a string. */
static void
add_copy(struct buf *sql, const struct layout *lo)
{
	if (lo->holder_names == NULL) {
		buf_add_str(sql, "to_jsonb(t)");
		return;
	}
	buf_printf(sql,
	           "to_jsonb(jsonb_populate_record(t, (SELECT jsonb_object_agg(n, NULL) FROM unnest(ARRAY[%s]::text[]) n)))"
	           " || jsonb_object(ARRAY[%s]::text[], ARRAY[%s])",
	           lo->holder_names, lo->holder_names, lo->holder_texts);
}

/* Of unsent rows only: a settle whose answer was lost is done again, and must not park twice. */
static char *
park_text(const struct layout *lo)
{
	struct buf sql = BUF_INIT;

	buf_printf(&sql,
	           "INSERT INTO pgoutbox.parked (relation, event_row, key, topic, reason, event, parked_by)"
	           " SELECT %" PRIu32 "::regclass, t.%s, t.%s::text, u.topic, u.reason, ",
	           lo->relation_oid, lo->columns[COL_ID].quoted, lo->columns[COL_AGGREGATE_ID].quoted);
	add_copy(&sql, lo);
	buf_printf(&sql,
	           ", session_user FROM unnest($1::bigint[], $2::text[], $3::text[]) u(id, topic, reason) JOIN %s t ON t.%s = u.id",
	           lo->relation, lo->columns[COL_ID].quoted);
	if (lo->columns[COL_SENT_AT].quoted != NULL)
		buf_printf(&sql, " AND t.%s IS NULL", lo->columns[COL_SENT_AT].quoted);
	return buf_take(&sql);
}

static char *
parked_keys_text(const struct layout *lo, bool block)
{
	struct buf sql = BUF_INIT;

	buf_printf(&sql,
	           "SELECT DISTINCT key FROM pgoutbox.parked WHERE %s AND relation = %" PRIu32
	           " AND state = 'parked' AND key IS NOT NULL AND pgoutbox.lane(key, %d) = $1::int",
	           block ? "true" : "false", lo->relation_oid, lo->lanes);
	return buf_take(&sql);
}

/* Down the claim's index from its end, where a backlog's rows are alive. */
static char *
end_text(const struct layout *lo)
{
	struct buf sql = BUF_INIT;

	buf_printf(&sql, "SELECT t.%s::bigint FROM %s t WHERE ", lo->columns[COL_ID].quoted, lo->relation);
	statements_lane_condition(&sql, lo, "$1::int");
	buf_printf(&sql, " ORDER BY t.%s DESC LIMIT 1", lo->columns[COL_ID].quoted);
	return buf_take(&sql);
}

/* Lanes that have something above their rung, or whose rung does not hold: below it there may be something, too.
 * OFFSET 0 keeps each lane's look a walk down the index. Without it the planner may make a join of it which reads all that is
 * unsent, and where it was planned over an empty table it stays with that until the next ANALYZE. */
static char *
bell_text(const struct layout *lo)
{
	struct buf sql = BUF_INIT;

	buf_printf(&sql,
	           "SELECT r.lane, NULL::text FROM unnest($1::int[], $2::bigint[], $4::xid8[], $5::int[]) r(lane, from_id, xmax, open)"
	           " WHERE NOT (" HOLDS ") OR EXISTS (SELECT FROM %s t WHERE ",
	           lo->relation);
	statements_lane_condition(&sql, lo, "r.lane");
	buf_printf(&sql, " AND t.%s >= r.from_id AND (t.%s::text = ANY ($3::text[])) IS NOT TRUE OFFSET 0)"
	           " UNION ALL SELECT NULL, pg_current_snapshot()::text",
	           lo->columns[COL_ID].quoted, lo->columns[COL_AGGREGATE_ID].quoted);
	return buf_take(&sql);
}

int
statements_make(const struct layout *lo, const struct statements_options *opt, struct statements *ret_st, struct error *err)
{
	struct statements st = {
		.claim = claim_text(lo, opt),
		.claim_sized = claim_sized_text(lo, opt),
		.settle_tids = lo->tids_unique ? settle_text(lo, opt, true) : NULL,
		.settle_ids = settle_text(lo, opt, false),
		.lanes = lo->lanes,
		.park = park_text(lo),
		.parked_keys = parked_keys_text(lo, opt->block_parked_keys),
		.end = end_text(lo),
		.bell = bell_text(lo),
	};

	if (st.claim == NULL || st.claim_sized == NULL || (lo->tids_unique && st.settle_tids == NULL) || st.settle_ids == NULL ||
	    st.park == NULL || st.parked_keys == NULL || st.end == NULL || st.bell == NULL) {
		statements_done(&st);
		return error_set(err, ERR_RETRY, "out of memory");
	}
	*ret_st = st;
	return 0;
}

void
statements_done(struct statements *st)
{
	free(st->claim);
	free(st->claim_sized);
	free(st->settle_tids);
	free(st->settle_ids);
	free(st->park);
	free(st->parked_keys);
	free(st->end);
	free(st->bell);
	*st = (struct statements){0};
}

bool
statements_renew(struct statements *st, const struct layout *lo, const struct statements_options *opt)
{
	struct statements now;
	struct error err;
	bool same;

	if (statements_make(lo, opt, &now, &err) != 0)
		return false;
	same = strcmp(st->claim, now.claim) == 0 && strcmp(st->parked_keys, now.parked_keys) == 0 &&
	       (st->settle_tids == NULL) == (now.settle_tids == NULL);
	if (same) {
		free(st->park);
		st->park = now.park;
		now.park = NULL;
	}
	statements_done(&now);
	return same;
}

/* --- parameters --- */

void
statements_rungs(const struct rung *rungs, int count, bool bottom, struct buf *from_ids, struct buf *xmaxes, struct buf *opens)
{
	const char *end = count == 0 ? "{}" : "}";

	buf_reset(from_ids);
	buf_reset(xmaxes);
	buf_reset(opens);
	for (int i = 0; i < count; i++) {
		char mark = i == 0 ? '{' : ',';

		buf_printf(from_ids, "%c%" PRId64, mark, bottom ? LADDER_BOTTOM : rungs[i].from_id);
		buf_printf(xmaxes, "%c%" PRIu64, mark, rungs[i].xmax);
		buf_printf(opens, "%c%" PRId32, mark, rungs[i].open);
	}
	buf_add_str(from_ids, end);
	buf_add_str(xmaxes, end);
	buf_add_str(opens, end);
}

void
statements_bind_claim(struct claim_params *p, int lane, int64_t rows, int64_t bytes, const struct ladder *ladder, bool bottom,
                      const char *held_keys)
{
	snprintf(p->lane, sizeof(p->lane), "%d", lane);
	snprintf(p->limit, sizeof(p->limit), "%" PRId64, rows);
	snprintf(p->bytes, sizeof(p->bytes), "%" PRId64, bytes);
	/* From the bottom: the rungs are only measured. */
	statements_rungs(ladder->rungs, ladder->count, bottom, &p->from_ids, &p->xmaxes, &p->opens);
	p->values[0] = p->lane;
	p->values[1] = p->limit;
	p->values[2] = p->bytes;
	p->values[3] = buf_str(&p->from_ids);
	p->values[4] = buf_str(&p->xmaxes);
	p->values[5] = buf_str(&p->opens);
	p->values[6] = held_keys != NULL ? held_keys : "{}";
}

/* The head of a one-dimensional array as array_recv() reads it. */
void
statements_array_head(struct buf *out, uint32_t element_oid, size_t count, bool nulls)
{
	buf_add_u32be(out, 1);
	buf_add_u32be(out, nulls);
	buf_add_u32be(out, element_oid);
	buf_add_u32be(out, (uint32_t)count);
	buf_add_u32be(out, 1);
}

void
statements_tids(const struct batch *b, size_t count, struct buf *out)
{
	statements_array_head(out, TID_OID, count, false);
	for (size_t i = 0; i < b->count; i++)
		if (b->slots[i].settling) {
			buf_add_u32be(out, 6);
			buf_add_u32be(out, (uint32_t)(b->slots[i].tid >> 16));
			buf_add_u16be(out, (uint16_t)(b->slots[i].tid & 0xffff));
		}
}

void
statements_ids(const struct batch *b, size_t count, struct buf *out)
{
	statements_array_head(out, INT8_OID, count, false);
	for (size_t i = 0; i < b->count; i++)
		if (b->slots[i].settling) {
			buf_add_u32be(out, 8);
			buf_add_u64be(out, (uint64_t)b->slots[i].ev.id);
		}
}

void
statements_array_add(struct buf *array, const char *text)
{
	buf_add_str(array, array->len == 0 ? "{" : ",");
	if (text == NULL) {
		buf_add_str(array, "NULL");
		return;
	}
	buf_add_char(array, '"');
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			buf_add_char(array, '\\');
		buf_add_char(array, *p);
	}
	buf_add_char(array, '"');
}

void
statements_park(const struct batch *b, struct buf *ids, struct buf *topics, struct buf *reasons)
{
	for (size_t i = 0; i < b->count; i++) {
		const struct slot *slot = &b->slots[i];
		char id[24];

		if (slot->state != EV_POISONED || !slot->settling)
			continue;
		snprintf(id, sizeof(id), "%" PRId64, slot->ev.id);
		statements_array_add(ids, id);
		statements_array_add(topics, slot->topic);
		statements_array_add(reasons, slot->reason != NULL ? slot->reason : "unknown");
	}
	buf_add_char(ids, '}');
	buf_add_char(topics, '}');
	buf_add_char(reasons, '}');
}
