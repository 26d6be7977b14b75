/* statements.c - in: a table's layout, batches; out: SQL text, bound parameters, batches read from results.
 *
 * The claim returns its head first (what its snapshot saw, see ladder.h), then the rows. Both come from one statement, because only
 * then they come from one snapshot.
 */
#include "source/statements.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/receipts.h"

#define PG_EPOCH_MS 946684800000LL /* 2000-01-01 in Unix time */
#define TID_OID 27
#define INT8_OID 20

/* Columns of a claim's result. */
enum {
	OUT_HEAD,
	OUT_ID,
	OUT_TID,
	OUT_XMIN,
	OUT_EVENT_ID,
	OUT_TYPE,
	OUT_KEY,
	OUT_EVENT_TYPE,
	OUT_PAYLOAD,
	OUT_FLAG, /* claim: the payload is large and did not come; claim_sized: rows were skipped */
	OUT_HEADERS,
	OUT_TOPIC,
	OUT_CREATED,
	OUT_EXTRA
};

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
	PAYLOADS_SMALL, /* NULL where one is large */
	PAYLOADS_SIZED, /* with their bytes */
	PAYLOADS_ALL,
};

static void
add_row_columns(struct buf *sql, const struct layout *lo, const struct statements_options *opt, enum payloads payloads)
{
	buf_add_str(sql, "NULL::text AS head, ");
	add_column(sql, lo, COL_ID, "bigint");
	buf_add_str(sql, " AS o_id, t.ctid AS o_tid, t.xmin AS o_xmin, ");
	add_column(sql, lo, COL_EVENT_ID, event_id_cast(lo));
	buf_add_str(sql, " AS o_event_id, ");
	add_column(sql, lo, COL_AGGREGATE_TYPE, "text");
	buf_add_str(sql, " AS o_aggregate_type, ");
	add_column(sql, lo, COL_AGGREGATE_ID, "text");
	buf_add_str(sql, " AS o_key, ");
	add_column(sql, lo, COL_EVENT_TYPE, "text");
	buf_add_str(sql, " AS o_event_type, ");
	if (payloads != PAYLOADS_SMALL) {
		add_column(sql, lo, COL_PAYLOAD, payload_cast(lo));
		buf_add_str(sql, " AS o_payload, ");
		if (payloads == PAYLOADS_SIZED)
			add_payload_bytes(sql, lo);
		else
			buf_add_str(sql, "NULL::int");
		buf_add_str(sql, " AS o_bytes, ");
	} else {
		buf_add_str(sql, "CASE WHEN ");
		add_payload_large(sql, lo);
		buf_add_str(sql, " THEN NULL ELSE ");
		add_column(sql, lo, COL_PAYLOAD, payload_cast(lo));
		buf_add_str(sql, " END AS o_payload, ");
		add_payload_large(sql, lo);
		buf_add_str(sql, " AS o_large, ");
	}
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
}

void
statements_event_columns(struct buf *sql, const struct layout *lo, const struct statements_options *opt)
{
	add_row_columns(sql, lo, opt, PAYLOADS_ALL);
}

int
statements_width(const struct statements_options *opt)
{
	return OUT_EXTRA + (int)opt->extra_count;
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

/* SKIP LOCKED leaves out rows that somebody else has locked, and later events of their keys would pass them. So the rows that
 * are there to be claimed are counted too, in the same snapshot: both sets must end alike. */
static void
add_head(struct buf *sql, const struct layout *lo, const struct statements_options *opt)
{
	buf_printf(sql,
	           "WITH rung AS MATERIALIZED (SELECT r.*, (SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot()) x WHERE x < r.xmax)::int"
	           " AS below FROM unnest($4::bigint[], $5::xid8[], $6::int[]) WITH ORDINALITY r(from_id, xmax, open, n)),"
	           " base AS MATERIALIZED (SELECT coalesce((SELECT max(from_id) FROM rung WHERE below = open), %" PRId64 ") AS floor,"
	           " pg_current_wal_insert_lsn() AS insert_lsn, " SAFE_LSN " AS flush_lsn),"
	           " seen AS MATERIALIZED (SELECT count(*) AS n, min(v.id) AS first, coalesce(max(v.id), 0) AS last FROM (SELECT t.%s AS id",
	           LADDER_BOTTOM, lo->columns[COL_ID].quoted);
	add_claimable(sql, lo, "SELECT floor FROM base");
	buf_printf(sql,
	           ") v) SELECT concat_ws(' ', floor, pg_backend_pid(), pg_snapshot_xmax(pg_current_snapshot()),"
	           " (SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot())), insert_lsn, flush_lsn, seen.n, seen.last,"
	           " (SELECT string_agg(below::text, ' ' ORDER BY n) FROM rung)),"
	           " NULL::bigint, NULL::tid, NULL::xid, NULL::%s, NULL::text, NULL::text, NULL::text, NULL::%s,"
	           " NULL::bool, NULL::text, NULL::text, NULL::timestamptz",
	           event_id_cast(lo), payload_cast(lo));
	for (size_t i = 0; i < opt->extra_count; i++)
		buf_add_str(sql, ", NULL::text");
	buf_add_str(sql, " FROM base, seen UNION ALL ");
}

/* From the first row that was counted: between it and the floor may lie many index entries of settled rows, and one walk over them is
 * enough. */
static void
add_claimed_rows(struct buf *sql, const struct layout *lo, const struct statements_options *opt, bool sized)
{
	buf_add_str(sql, "SELECT ");
	add_row_columns(sql, lo, opt, sized ? PAYLOADS_SIZED : PAYLOADS_SMALL);
	add_claimable(sql, lo, "SELECT first FROM seen");
	buf_add_str(sql, " FOR UPDATE OF t SKIP LOCKED");
}

static char *
claim_text(const struct layout *lo, const struct statements_options *opt, bool sized)
{
	struct buf sql = BUF_INIT;

	add_head(&sql, lo, opt);
	if (!sized) {
		buf_add_str(&sql, "SELECT * FROM (");
		add_claimed_rows(&sql, lo, opt, false);
		buf_add_str(&sql, ") c");
		return buf_take(&sql);
	}
	/* The first row always comes, however large: otherwise nothing ever would. */
	buf_add_str(&sql, "SELECT head, o_id, o_tid, o_xmin, o_event_id, o_aggregate_type, o_key, o_event_type, o_payload, skipped, o_headers,"
	                  " o_topic, o_created");
	for (size_t i = 0; i < opt->extra_count; i++)
		buf_printf(&sql, ", o_extra%zu", i);
	buf_add_str(&sql, " FROM (SELECT *, total > $3::bigint AND total > coalesce(o_bytes, 0) AS cut,"
	                  " rows <> (SELECT n FROM seen) OR last <> (SELECT last FROM seen) AS skipped FROM (SELECT *,"
	                  " count(*) OVER () AS rows, max(o_id) OVER () AS last,"
	                  " sum(coalesce(o_bytes, 0)) OVER (ORDER BY o_id ROWS UNBOUNDED PRECEDING) AS total FROM (");
	add_claimed_rows(&sql, lo, opt, true);
	buf_add_str(&sql, ") c) d) e WHERE NOT cut");
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

/* OFFSET 0 keeps each lane's look a walk down the index. Without it the planner may make a join of it which reads all that is
 * unsent, and where it was planned over an empty table it stays with that until the next ANALYZE. */
static char *
bell_text(const struct layout *lo)
{
	struct buf sql = BUF_INIT;

	buf_printf(&sql, "SELECT u.lane FROM unnest($1::int[], $2::bigint[]) u(lane, from_id) WHERE EXISTS (SELECT FROM %s t WHERE ",
	           lo->relation);
	statements_lane_condition(&sql, lo, "u.lane");
	buf_printf(&sql, " AND t.%s >= u.from_id AND (t.%s::text = ANY ($3::text[])) IS NOT TRUE OFFSET 0)", lo->columns[COL_ID].quoted,
	           lo->columns[COL_AGGREGATE_ID].quoted);
	return buf_take(&sql);
}

int
statements_make(const struct layout *lo, const struct statements_options *opt, struct statements *ret_st, struct error *err)
{
	struct statements st = {
		.claim = claim_text(lo, opt, false),
		.claim_sized = claim_text(lo, opt, true),
		.settle_tids = lo->tids_unique ? settle_text(lo, opt, true) : NULL,
		.settle_ids = settle_text(lo, opt, false),
		.lanes = lo->lanes,
		.park = park_text(lo),
		.parked_keys = parked_keys_text(lo, opt->block_parked_keys),
		.bell = bell_text(lo),
	};

	if (st.claim == NULL || st.claim_sized == NULL || (lo->tids_unique && st.settle_tids == NULL) || st.settle_ids == NULL ||
	    st.park == NULL || st.parked_keys == NULL || st.bell == NULL) {
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
statements_bind_claim(struct claim_params *p, int lane, int64_t rows, int64_t bytes, const struct ladder *ladder, bool bottom,
                      const char *held_keys)
{
	snprintf(p->lane, sizeof(p->lane), "%d", lane);
	snprintf(p->limit, sizeof(p->limit), "%" PRId64, rows);
	snprintf(p->bytes, sizeof(p->bytes), "%" PRId64, bytes);
	buf_reset(&p->from_ids);
	buf_reset(&p->xmaxes);
	buf_reset(&p->opens);
	for (int i = 0; i < ladder->count; i++) {
		char mark = i == 0 ? '{' : ',';

		/* From the bottom: the rungs are only measured. */
		buf_printf(&p->from_ids, "%c%" PRId64, mark, bottom ? LADDER_BOTTOM : ladder->rungs[i].from_id);
		buf_printf(&p->xmaxes, "%c%" PRIu64, mark, ladder->rungs[i].xmax);
		buf_printf(&p->opens, "%c%d", mark, ladder->rungs[i].open);
	}
	buf_add_str(&p->from_ids, ladder->count == 0 ? "{}" : "}");
	buf_add_str(&p->xmaxes, ladder->count == 0 ? "{}" : "}");
	buf_add_str(&p->opens, ladder->count == 0 ? "{}" : "}");
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

/* --- results --- */

static uint64_t
be64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static uint32_t
be32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static struct slice
column(const PGresult *res, int row, int col)
{
	int len = PQgetlength(res, row, col);

	if (len == 0 && PQgetisnull(res, row, col))
		return SLICE_NULL;
	return (struct slice){PQgetvalue(res, row, col), (size_t)len};
}

static int
read_head(const PGresult *res, struct claim_head *ret_head, struct error *err)
{
	const char *text = PQntuples(res) > 0 && !PQgetisnull(res, 0, OUT_HEAD) ? PQgetvalue(res, 0, OUT_HEAD) : "";
	struct claim_head head = {0};
	uint32_t insert_hi, insert_lo, flush_hi, flush_lo;
	int used = 0;

	if (sscanf(text, "%" SCNd64 " %d %" SCNu64 " %" SCNd32 " %" SCNx32 "/%" SCNx32 " %" SCNx32 "/%" SCNx32 " %" SCNd64 " %" SCNd64 "%n",
	           &head.view.floor_id, &head.backend_pid, &head.view.xmax, &head.view.open, &insert_hi, &insert_lo, &flush_hi, &flush_lo,
	           &head.seen_rows, &head.seen_last_id, &used) != 10)
		return error_set(err, ERR_FATAL, "the claim's head is not as expected");
	head.wal_insert_lsn = (uint64_t)insert_hi << 32 | insert_lo;
	head.wal_flush_lsn = (uint64_t)flush_hi << 32 | flush_lo;
	text += used;
	for (int i = 0; i < LADDER_RUNGS && sscanf(text, "%" SCNd32 "%n", &head.view.below[i], &used) == 1; i++)
		text += used;
	*ret_head = head;
	return 0;
}

/* uuid_out()'s form. */
static int
read_event_id(const struct layout *lo, struct arena *arena, struct slice raw, struct slice *ret_text)
{
	static const char hex[] = "0123456789abcdef";
	char *text, *p;

	if (lo->columns[COL_EVENT_ID].type != TYPE_UUID || raw.data == NULL) {
		*ret_text = raw;
		return 0;
	}
	text = p = arena_alloc(arena, 36);
	if (text == NULL)
		return -1;
	for (size_t i = 0; i < 16; i++) {
		unsigned char c = (unsigned char)raw.data[i];

		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[c >> 4];
		*p++ = hex[c & 15];
	}
	*ret_text = (struct slice){text, 36};
	return 0;
}

/* jsonb_send() puts a version byte before the text. */
static struct slice
read_payload(const struct layout *lo, struct slice raw)
{
	if (lo->columns[COL_PAYLOAD].type == TYPE_JSONB && raw.data != NULL)
		return (struct slice){raw.data + 1, raw.len - 1};
	return raw;
}

/* -1: memory is out. */
static int
read_event(const struct layout *lo, const struct statements_options *opt, const PGresult *res, int row, struct arena *arena,
           struct event *ev)
{
	ev->id = (int64_t)be64(PQgetvalue(res, row, OUT_ID));
	ev->aggregate_type = column(res, row, OUT_TYPE);
	ev->key = column(res, row, OUT_KEY);
	ev->event_type = column(res, row, OUT_EVENT_TYPE);
	ev->payload = read_payload(lo, column(res, row, OUT_PAYLOAD));
	ev->headers = column(res, row, OUT_HEADERS);
	ev->topic = column(res, row, OUT_TOPIC);
	ev->created_at_ms = -1;
	if (!PQgetisnull(res, row, OUT_CREATED))
		ev->created_at_ms = (int64_t)be64(PQgetvalue(res, row, OUT_CREATED)) / 1000 + PG_EPOCH_MS;
	if (opt->extra_count > 0) {
		ev->extra = arena_alloc(arena, opt->extra_count * sizeof(*ev->extra));
		if (ev->extra == NULL)
			return -1;
		for (size_t i = 0; i < opt->extra_count; i++)
			ev->extra[i] = column(res, row, OUT_EXTRA + (int)i);
	}
	return read_event_id(lo, arena, column(res, row, OUT_EVENT_ID), &ev->event_id);
}

int
statements_read_event(const struct layout *lo, const struct statements_options *opt, const PGresult *res, int row,
                      struct arena *arena, struct event *ret_event, struct error *err)
{
	struct event ev = {.id = 0};

	if (read_event(lo, opt, res, row, arena, &ev) != 0)
		return error_set(err, ERR_RETRY, "out of memory");
	*ret_event = ev;
	return 0;
}

static int
read_row(const struct layout *lo, const struct statements_options *opt, const PGresult *res, int row, struct batch *b)
{
	struct slot *slot = batch_add(b);
	const unsigned char *tid = (const unsigned char *)PQgetvalue(res, row, OUT_TID);
	uint32_t block = (uint32_t)tid[0] << 24 | (uint32_t)tid[1] << 16 | (uint32_t)tid[2] << 8 | tid[3];

	slot->tid = (uint64_t)block << 16 | (uint64_t)tid[4] << 8 | tid[5];
	if (read_event(lo, opt, res, row, &b->arena, &slot->ev) != 0)
		return -1;
	b->bytes += slot->ev.key.len + slot->ev.payload.len;
	return 0;
}

static void
clear_result(void *res)
{
	PQclear(res);
}

/* The full xid of a row's writer, which ended before the snapshot. One so old that it was frozen may be taken for a newer
 * one: that only asks for a flush too many. */
static uint64_t
full_xid(uint32_t xid, uint64_t snapshot_xmax)
{
	uint64_t full = (snapshot_xmax & ~(uint64_t)UINT32_MAX) | xid;

	return full < snapshot_xmax || full <= UINT32_MAX ? full : full - UINT32_MAX - 1;
}

static uint64_t
newest_xid(const PGresult *res, uint64_t snapshot_xmax)
{
	uint64_t newest = 0;

	for (int row = 1; row < PQntuples(res); row++) {
		uint64_t xid = full_xid(be32(PQgetvalue(res, row, OUT_XMIN)), snapshot_xmax);

		if (xid > newest)
			newest = xid;
	}
	return newest;
}

/* Whether rows were there that the claim could not lock. */
static bool
rows_were_skipped(const struct claim_head *head, const PGresult *res, bool sized)
{
	int rows = PQntuples(res) - 1;

	if (rows == 0)
		return head->seen_rows > 0;
	if (sized)
		return PQgetvalue(res, 1, OUT_FLAG)[0] != 0;
	return rows != head->seen_rows || (int64_t)be64(PQgetvalue(res, rows, OUT_ID)) != head->seen_last_id;
}

/* Rows up to the first that came without its payload because that is large. */
static int
read_rows(const struct layout *lo, const struct statements_options *opt, const PGresult *res, bool sized, struct batch *b,
          bool *ret_cut)
{
	for (int row = 1; row < PQntuples(res); row++) {
		if (!sized && !PQgetisnull(res, row, OUT_FLAG) && PQgetvalue(res, row, OUT_FLAG)[0] != 0) {
			*ret_cut = true;
			return 0;
		}
		if (read_row(lo, opt, res, row, b) != 0)
			return -1;
	}
	return 0;
}

int
statements_read_claim(const struct layout *lo, const struct statements_options *opt, PGresult **res, bool sized, int64_t limit,
                      struct claim_head *ret_head, struct batch **ret_batch, bool *ret_cut, struct error *err)
{
	struct claim_head head;
	struct batch *b;
	bool cut = false;

	if (read_head(*res, &head, err) != 0)
		return -1;
	b = batch_new((size_t)PQntuples(*res));
	if (b == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	head.skipped = rows_were_skipped(&head, *res, sized);
	if (!head.skipped && read_rows(lo, opt, *res, sized, b, &cut) != 0) {
		batch_free(b);
		return error_set(err, ERR_RETRY, "out of memory");
	}
	head.newest_xid = newest_xid(*res, head.view.xmax);
	b->attached = true;
	/* A claim by size does not tell of the rows beyond its bytes. */
	b->full = cut || PQntuples(*res) - 1 >= limit || (sized && b->count > 0);
	head.view.claimed = (int)b->count;
	head.view.full = b->full;
	if (b->count > 0)
		head.view.last_id = b->slots[b->count - 1].ev.id;
	b->backing = *res;
	b->backing_free = clear_result;
	*res = NULL;
	*ret_head = head;
	*ret_batch = b;
	*ret_cut = cut;
	return 0;
}
