/* claimed.c - in: results of claims; out: batches, and what the claims' snapshots saw. */
#include "source/claimed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/be.h"
#include "base/uuid.h"

#define PG_EPOCH_MS 946684800000LL /* 2000-01-01 in Unix time */

/* --- the last row --- */

/* "xmin:xmax:xid,xid,...", as pg_snapshot_out() writes it; false when it is not that. *ret_end: what follows it. */
static bool
read_snapshot(const char *text, const struct ladder *ladder, struct ladder_view *view, const char **ret_end)
{
	char *end;

	strtoull(text, &end, 10);
	if (end == text || *end++ != ':')
		return false;
	text = end;
	view->xmax = strtoull(text, &end, 10);
	if (end == text || *end != ':')
		return false;
	while ((*end == ':' || *end == ',') && end[1] != ' ') {
		uint64_t xid;

		text = end + 1;
		xid = strtoull(text, &end, 10);
		if (end == text)
			return false;
		view->open++;
		for (int i = 0; i < ladder->count; i++)
			view->below[i] += xid < ladder->rungs[i].xmax;
	}
	*ret_end = *end == ':' ? end + 1 : end;
	return **ret_end == ' ';
}

static int
read_tail(const PGresult *res, const struct ladder *ladder, struct claimed *ret_claimed, struct error *err)
{
	int last = PQntuples(res) - 1;
	const char *text = last >= 0 && !PQgetisnull(res, last, OUT_TAIL) ? PQgetvalue(res, last, OUT_TAIL) : "";
	struct claimed c = {0};
	uint32_t insert_hi, insert_lo, flush_hi, flush_lo;
	int used = 0;

	if (sscanf(text, "%" SCNd64 " %d %n", &c.view.floor_id, &c.backend_pid, &used) != 2 ||
	    !read_snapshot(text + used, ladder, &c.view, &text) ||
	    sscanf(text, " %" SCNx32 "/%" SCNx32 " %" SCNx32 "/%" SCNx32 " %" SCNd64, &insert_hi, &insert_lo, &flush_hi, &flush_lo,
	           &c.seen_rows) != 5)
		return error_set(err, ERR_FATAL, "the claim's last row is not as expected");
	c.wal_insert_lsn = (uint64_t)insert_hi << 32 | insert_lo;
	c.wal_flush_lsn = (uint64_t)flush_hi << 32 | flush_lo;
	*ret_claimed = c;
	return 0;
}

/* --- events --- */

static struct slice
column(const PGresult *res, int row, int col)
{
	int len = PQgetlength(res, row, col);

	if (len == 0 && PQgetisnull(res, row, col))
		return SLICE_NULL;
	return (struct slice){PQgetvalue(res, row, col), (size_t)len};
}

static int
read_event_id(const struct layout *lo, struct arena *arena, struct slice raw, struct slice *ret_text)
{
	char *text;

	if (lo->columns[COL_EVENT_ID].type != TYPE_UUID || raw.data == NULL) {
		*ret_text = raw;
		return 0;
	}
	text = arena_alloc(arena, UUID_TEXT_LEN);
	if (text == NULL)
		return -1;
	uuid_text(raw.data, text);
	*ret_text = (struct slice){text, UUID_TEXT_LEN};
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
claimed_read_event(const struct layout *lo, const struct statements_options *opt, const PGresult *res, int row,
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
	const char *tid = PQgetvalue(res, row, OUT_TID);

	slot->tid = (uint64_t)be32(tid) << 16 | be16(tid + 4);
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

/* Whether rows were there that a claim by size could not lock; a plain one then fails. */
static bool
rows_were_skipped(const struct claimed *c, const PGresult *res, bool sized)
{
	if (PQntuples(res) == 1)
		return c->seen_rows > 0;
	return sized && PQgetisnull(res, 0, OUT_TID);
}

/* Rows up to the first that came without its payload because that is large. */
static int
read_rows(const struct claimed_how *how, const PGresult *res, struct claimed *c)
{
	for (int row = 0; row < PQntuples(res) - 1; row++) {
		uint64_t xid;

		if (PQgetisnull(res, row, OUT_TID)) {
			c->cut = true;
			return 0;
		}
		if (read_row(how->layout, how->options, res, row, c->batch) != 0)
			return -1;
		xid = full_xid(be32(PQgetvalue(res, row, OUT_XMIN)), c->view.xmax);
		if (xid > c->newest_xid)
			c->newest_xid = xid;
	}
	return 0;
}

int
claimed_read(const struct claimed_how *how, PGresult **res, struct claimed *ret_claimed, struct error *err)
{
	struct claimed c;
	struct batch *b;

	if (read_tail(*res, how->ladder, &c, err) != 0)
		return -1;
	c.batch = b = batch_new((size_t)PQntuples(*res));
	if (b == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	c.skipped = rows_were_skipped(&c, *res, how->sized);
	if (!c.skipped && read_rows(how, *res, &c) != 0) {
		batch_free(b);
		return error_set(err, ERR_RETRY, "out of memory");
	}
	b->attached = true;
	/* A claim by size does not tell of the rows beyond its bytes. */
	b->full = c.cut || PQntuples(*res) - 1 >= how->limit || (how->sized && b->count > 0);
	c.view.claimed = (int)b->count;
	c.view.full = b->full;
	if (b->count > 0)
		c.view.last_id = b->slots[b->count - 1].ev.id;
	b->backing = *res;
	b->backing_free = clear_result;
	*res = NULL;
	*ret_claimed = c;
	return 0;
}

int
claimed_width(const struct statements_options *opt)
{
	return OUT_EXTRA + (int)opt->extra_count;
}
