/* compare.c - in: fingerprints of rows and of messages; out: what differs. Knows no server.
 *
 * Three sorts: all by event id, the rows first; what was found by key and offset; what was not found by row.
 */
#include "admin/compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/sorter.h"

#define MEMORY_BYTES ((size_t)56 << 20)
#define PROGRESS_EVERY 65536

enum {
	ITEM_MESSAGE = 1U, /* else a row */
	ITEM_KEY = 2U,     /* it has one */
	ITEM_MARKED = 4U,
	ITEM_NO_ID = 8U,
	ITEM_APPEND_TIME = 16U,
	ITEM_DUE = 32U,
	ITEM_ASIDE = 64U,
	ITEM_LATE = 128U,
	ITEM_REORDERED = 256U,
	ITEM_BARE = 512U,
	ITEM_UNDATED = 1024U,
};

/* A row or a message. */
struct item {
	uint64_t id[2];
	uint64_t key, payload, headers;
	int64_t timestamp_ms;
	int64_t number;  /* of a row its id, of a message its offset */
	int64_t sent_us; /* of a row */
	int64_t due_place, due_offset; /* of a row, where its message should be; -1 = not known */
	uint32_t place;  /* of a row its topic */
	uint32_t flags;
};

/* An event that was found, by its first message. */
struct found {
	uint64_t key;
	int64_t offset, row_id;
	uint32_t place, topic;
};

/* A row that was not. */
struct absent {
	uint64_t order; /* its id, so that ids come in their order */
	int64_t sent_us, due_place, due_offset;
	uint64_t topic;
};

/* The first message of a partition whose row is there. */
struct edge {
	int64_t offset, sent_us;
	bool known;
};

/* What may be said of a topic's rows that were not found. */
struct outlook {
	bool compacted, cut, open;
	bool moved;      /* keys were not where they belong now: partitions have been added, say */
	int64_t sent_us; /* from then on all partitions have what was sent; INT64_MAX = not known */
};

/* What has been seen of one event id. */
struct group {
	struct item row;
	bool begun, has_row, has_first, has_any;
	uint64_t id[2];
};

struct compare {
	struct compare_options opt;
	struct sorter *items, *found, *absent;
	struct compare_report report;
	const struct compare_place *places;
	struct edge *edges;     /* one a place */
	struct outlook *topics; /* one a topic */
	int64_t done;
};

/* --- order --- */

static int
order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int
order_signed(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int
compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int by = order(x->id[1], y->id[1]);

	if (by == 0)
		by = order(x->flags & ITEM_MESSAGE, y->flags & ITEM_MESSAGE);
	if (by == 0 && (x->flags & ITEM_MESSAGE) != 0)
		by = order(x->place, y->place);
	return by != 0 ? by : order_signed(x->number, y->number);
}

static int
compare_found(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int by = order(x->place, y->place); /* the partitions of a topic are in a row */

	return by != 0 ? by : order_signed(x->offset, y->offset);
}

static int
compare_absent(const void *a, const void *b)
{
	const struct absent *x = a, *y = b;

	return order(x->topic, y->topic);
}

/* --- what comes in --- */

/* So that numbers without a sign have the order of those with one. */
static uint64_t
order_of(int64_t id)
{
	return (uint64_t)id ^ (UINT64_C(1) << 63);
}

static int64_t
id_of(uint64_t order_of_id)
{
	return (int64_t)(order_of_id ^ (UINT64_C(1) << 63));
}

int
compare_new(const struct compare_options *opt, struct compare **ret_compare, struct error *err)
{
	struct compare *c = calloc(1, sizeof(*c));
	size_t memory = opt->memory_bytes != 0 ? opt->memory_bytes : MEMORY_BYTES;
	const struct sorter_how items = {sizeof(struct item), memory / 8 * 5, compare_items, 0};
	const struct sorter_how found = {sizeof(struct found), memory / 8 * 2, compare_found, 0};
	const struct sorter_how absent = {sizeof(struct absent), memory / 8, compare_absent, 0};

	if (c == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	c->opt = *opt;
	if (sorter_new(&items, &c->items, err) != 0 || sorter_new(&found, &c->found, err) != 0 ||
	    sorter_new(&absent, &c->absent, err) != 0) {
		compare_free(&c);
		return -1;
	}
	*ret_compare = c;
	return 0;
}

void
compare_free(struct compare **cp)
{
	struct compare *c = *cp;

	if (c == NULL)
		return;
	sorter_free(&c->items);
	sorter_free(&c->found);
	sorter_free(&c->absent);
	free(c->edges);
	free(c->topics);
	free(c);
	*cp = NULL;
}

static struct item
item_of(const struct fingerprint *fp)
{
	return (struct item){
		.id = {fp->id[0], fp->id[1]},
		.key = fp->key,
		.payload = fp->payload,
		.headers = fp->headers,
		.timestamp_ms = fp->timestamp_ms,
		.flags = (fp->has_key ? ITEM_KEY : 0U) | (fp->marked ? ITEM_MARKED : 0U),
	};
}

int
compare_add_row(struct compare *c, const struct compare_row *row, struct error *err)
{
	struct item item = item_of(&row->fp);

	item.number = row->id;
	item.sent_us = row->sent_us;
	item.due_place = row->place;
	item.due_offset = row->offset;
	item.place = row->topic;
	item.flags |= (row->due ? ITEM_DUE : 0U) | (row->aside ? ITEM_ASIDE : 0U) | (row->late ? ITEM_LATE : 0U) |
	              (row->reordered ? ITEM_REORDERED : 0U) | (row->bare ? ITEM_BARE : 0U) |
	              (row->undated ? ITEM_UNDATED : 0U);
	c->report.rows++;
	return sorter_add(c->items, &item, err);
}

/* One without an id belongs to no event: it gets a place in the order of its own. */
int
compare_add_message(struct compare *c, const struct compare_message *m, struct error *err)
{
	struct item item = item_of(&m->fp);

	item.number = m->offset;
	item.place = (uint32_t)m->place;
	item.flags |= ITEM_MESSAGE | (m->append_time ? ITEM_APPEND_TIME : 0U);
	if (!m->fp.has_id) {
		item.flags |= ITEM_NO_ID;
		item.id[0] = (uint64_t)m->offset;
		item.id[1] = m->place;
	}
	c->report.messages++;
	return sorter_add(c->items, &item, err);
}

/* --- findings --- */

static void
tell(struct compare *c, enum compare_kind kind, const struct item *row, const struct item *m, unsigned altered)
{
	struct compare_finding f = {.kind = kind, .altered = altered};

	c->report.counts[kind]++;
	if (c->opt.found == NULL)
		return;
	if (row != NULL) {
		f.has_row = true;
		f.row_id = row->number;
		f.topic = row->place;
	}
	if (m != NULL) {
		f.has_message = true;
		f.place = m->place;
		f.offset = m->number;
		f.topic = c->places[m->place].topic;
	}
	c->opt.found(c->opt.ctx, &f);
}

static unsigned
difference(const struct compare *c, const struct item *row, const struct item *m)
{
	bool bare = (row->flags & ITEM_BARE) != 0;
	bool comparable = !bare && ((row->flags & ITEM_REORDERED) == 0 || (m->flags & ITEM_MARKED) != 0);
	unsigned altered = 0;

	if (row->key != m->key)
		altered |= COMPARE_KEY;
	if (row->payload != m->payload)
		altered |= COMPARE_PAYLOAD;
	if (row->headers != m->headers && comparable)
		altered |= COMPARE_HEADERS;
	if (!bare && row->timestamp_ms != m->timestamp_ms && row->timestamp_ms != 0 && (m->flags & ITEM_APPEND_TIME) == 0)
		altered |= COMPARE_TIMESTAMP;
	if (row->place != c->places[m->place].topic)
		altered |= COMPARE_TOPIC;
	return altered;
}

/* --- by event id --- */

/* Whether the row may have been there once: pruned since, or out of the range that was read. A broker's clock may be ahead
 * of the database's. */
static bool
may_have_had_row(const struct compare *c, const struct item *m)
{
	bool brokers = (m->flags & ITEM_APPEND_TIME) != 0;

	if (c->opt.ranged && brokers)
		return true;
	return m->timestamp_ms - (brokers ? COMPARE_MARGIN_US / 1000 : 0) < c->opt.oldest_ms;
}

static void
judge_stranger(struct compare *c, const struct item *m)
{
	if (may_have_had_row(c, m))
		c->report.expired_messages++;
	else
		tell(c, COMPARE_UNKNOWN, NULL, m, 0);
}

static void
move_edge(struct compare *c, const struct item *row, const struct item *m)
{
	struct edge *e = &c->edges[m->place];

	if (row->sent_us == 0 || (e->known && e->offset < m->number))
		return;
	*e = (struct edge){m->number, row->sent_us, true};
}

/* The order of what was parked, or offered again, is not the daemon's. */
static int
note_found(struct compare *c, const struct item *row, const struct item *m, struct error *err)
{
	struct found f = {m->key, m->number, row->number, m->place, c->places[m->place].topic};

	if ((row->flags & ITEM_LATE) != 0 || (m->flags & ITEM_KEY) == 0)
		return 0;
	return sorter_add(c->found, &f, err);
}

static int
judge_message(struct compare *c, struct group *g, const struct item *m, struct error *err)
{
	bool marked = (m->flags & ITEM_MARKED) != 0;
	bool first = !marked && !g->has_first;
	unsigned altered;

	g->has_first = g->has_first || first;
	c->report.replayed += marked;
	if (!marked && !first)
		tell(c, COMPARE_DUPLICATE, g->has_row ? &g->row : NULL, m, 0);
	if (!g->has_row && !g->has_any)
		judge_stranger(c, m);
	g->has_any = true;
	if (!g->has_row)
		return 0;
	altered = difference(c, &g->row, m);
	if (altered != 0)
		tell(c, COMPARE_ALTERED, &g->row, m, altered);
	if (!first)
		return 0;
	move_edge(c, &g->row, m);
	if (g->row.due_offset < 0 && g->row.due_place >= 0 && g->row.due_place != (int64_t)m->place)
		c->topics[c->places[m->place].topic].moved = true;
	return note_found(c, &g->row, m, err);
}

static int
end_group(struct compare *c, const struct group *g, struct error *err)
{
	struct absent a = {order_of(g->row.number), g->row.sent_us, g->row.due_place, g->row.due_offset, g->row.place};
	struct compare_report *r = &c->report;

	if (!g->has_row)
		return 0;
	if (g->has_any) {
		r->events++;
		r->unsettled += g->row.sent_us == 0;
	} else if (c->opt.ranged && (g->row.flags & ITEM_UNDATED) != 0)
		r->rows--;
	else if ((g->row.flags & ITEM_ASIDE) != 0)
		r->aside++;
	else if (g->row.sent_us == 0)
		r->unsent++;
	else if ((g->row.flags & ITEM_DUE) == 0)
		r->recent++;
	else
		return sorter_add(c->absent, &a, err);
	return 0;
}

static int
take_item(struct compare *c, struct group *g, const struct item *item, struct error *err)
{
	bool lonely = (item->flags & ITEM_NO_ID) != 0;

	if (!g->begun || lonely || g->id[0] != item->id[0] || g->id[1] != item->id[1]) {
		if (end_group(c, g, err) != 0)
			return -1;
		*g = (struct group){.begun = !lonely, .id = {item->id[0], item->id[1]}};
	}
	if ((item->flags & ITEM_MESSAGE) != 0)
		return judge_message(c, g, item, err);
	if (g->has_row)
		c->report.repeated_ids++;
	else
		g->row = *item;
	g->has_row = true;
	return 0;
}

static void
go_on(struct compare *c)
{
	if (++c->done % PROGRESS_EVERY == 0 && c->opt.progress != NULL)
		c->opt.progress(c->opt.ctx, c->done);
}

static int
judge_ids(struct compare *c, struct error *err)
{
	struct group g = {.begun = false};
	const void *item;
	bool more;

	if (sorter_end(c->items, err) != 0)
		return -1;
	for (;;) {
		if (sorter_next(c->items, &item, &more, err) != 0)
			return -1;
		if (!more)
			return end_group(c, &g, err);
		if (take_item(c, &g, item, err) != 0)
			return -1;
		go_on(c);
	}
}

/* --- by key --- */

struct key {
	bool begun;
	uint64_t hash;
	uint32_t topic, place;
	int64_t last_row_id;
};

static void
judge_found(struct compare *c, struct key *k, const struct found *f)
{
	const struct item row = {.number = f->row_id, .place = f->topic};
	const struct item m = {.number = f->offset, .place = f->place};

	if (!k->begun || k->hash != f->key || k->topic != f->topic) {
		c->report.keys++;
		*k = (struct key){true, f->key, f->topic, f->place, f->row_id};
		return;
	}
	if (k->place != f->place) {
		tell(c, COMPARE_SPLIT_KEY, &row, &m, 0);
		k->place = f->place;
		k->last_row_id = f->row_id;
		return;
	}
	if (f->row_id < k->last_row_id)
		tell(c, COMPARE_OUT_OF_ORDER, &row, &m, 0);
	else
		k->last_row_id = f->row_id;
}

static int
judge_keys(struct compare *c, struct error *err)
{
	struct key k = {.begun = false};
	const void *found;
	bool more;

	if (sorter_end(c->found, err) != 0)
		return -1;
	for (;;) {
		if (sorter_next(c->found, &found, &more, err) != 0)
			return -1;
		if (!more)
			return 0;
		judge_found(c, &k, found);
	}
}

/* --- what was not found --- */

/* From when on the partition surely has all that was sent to it. */
static int64_t
settled_us(const struct edge *e)
{
	return e->known && e->sent_us < INT64_MAX - COMPARE_MARGIN_US ? e->sent_us + COMPARE_MARGIN_US : INT64_MAX;
}

static void
look_out(struct compare *c, size_t places_count)
{
	for (size_t i = 0; i < c->opt.topics; i++)
		c->topics[i].compacted = c->opt.compacted != NULL && c->opt.compacted[i];
	for (size_t i = 0; i < places_count; i++) {
		struct outlook *t = &c->topics[c->places[i].topic];
		int64_t sent_us = settled_us(&c->edges[i]);

		t->cut |= c->places[i].cut;
		t->open |= c->places[i].open;
		if (c->places[i].cut && sent_us > t->sent_us)
			t->sent_us = sent_us;
	}
}

/* Where Kafka has dropped anything of the topic, the partition's own first message decides: what was sent to it after that is there. */
static bool
may_have_expired(const struct compare *c, const struct absent *a)
{
	const struct outlook *t = &c->topics[a->topic];

	if (t->compacted || !t->cut)
		return t->compacted;
	if (a->due_place >= 0 && a->due_offset >= 0)
		return a->due_offset < c->places[a->due_place].low;
	if (t->moved || a->due_place < 0)
		return a->sent_us <= t->sent_us;
	return a->sent_us <= settled_us(&c->edges[a->due_place]);
}

static void
judge_absent(struct compare *c, const struct absent *a)
{
	const struct item row = {.number = id_of(a->order), .place = (uint32_t)a->topic};

	if (may_have_expired(c, a))
		c->report.expired_rows++;
	else if (c->topics[a->topic].open)
		c->report.undecided++;
	else
		tell(c, COMPARE_MISSING, &row, NULL, 0);
}

static int
judge_rest(struct compare *c, struct error *err)
{
	const void *absent;
	bool more;

	if (sorter_end(c->absent, err) != 0)
		return -1;
	for (;;) {
		if (sorter_next(c->absent, &absent, &more, err) != 0)
			return -1;
		if (!more)
			return 0;
		judge_absent(c, absent);
	}
}

int
compare_run(struct compare *c, const struct compare_place *places, size_t places_count, struct compare_report *ret_report,
            struct error *err)
{
	c->places = places;
	c->edges = calloc(places_count + 1, sizeof(*c->edges));
	c->topics = calloc(c->opt.topics + 1, sizeof(*c->topics));
	if (c->edges == NULL || c->topics == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	if (judge_ids(c, err) != 0 || judge_keys(c, err) != 0)
		return -1;
	look_out(c, places_count);
	if (judge_rest(c, err) != 0)
		return -1;
	c->report.disk_bytes = sorter_disk_bytes(c->items) + sorter_disk_bytes(c->found) + sorter_disk_bytes(c->absent);
	*ret_report = c->report;
	return 0;
}
