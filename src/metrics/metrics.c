/* metrics.c - figures in, from the one thread that writes each scope; loads and stores of plain atomics.
 *
 * Must not know what the figures mean; how they are shown is exposition.c's.
 */
#include "metrics/metrics.h"

#include <assert.h>
#include <stdlib.h>

#include "metrics/storage.h"

#define OFFSET(id) (offsetof(struct metrics_cells, id) / sizeof(metrics_cell))

static const size_t offsets[METRICS_COUNT] = {
#define METRIC(id, name, type, scope, label, unit, help) [METRIC_##id] = OFFSET(id),
#include "metrics/metrics.def"
#undef METRIC
};

metrics_cell *
metrics_cells_of(struct metrics_scope *s, enum metric id)
{
	return (metrics_cell *)(void *)&s->cells + offsets[id];
}

const metrics_cell *
metrics_cells_of_const(const struct metrics_scope *s, enum metric id)
{
	return (const metrics_cell *)(const void *)&s->cells + offsets[id];
}

static void
scope_init(struct metrics_scope *s, enum metric_scope kind)
{
	s->kind = kind;
	for (enum metric id = 0; id < METRICS_COUNT; id++) {
		if (rows_get(id)->type != TYPE_GAUGE)
			continue;
		for (unsigned i = 0; i < rows_labels(id)->count; i++)
			atomic_init(&metrics_cells_of(s, id)[i], METRICS_UNSET);
	}
}

static char *
label_pair(const char *name, const char *value)
{
	struct buf b __attribute__((cleanup(buf_done))) = BUF_INIT;
	buf_printf(&b, "%s=\"", name);
	for (const char *c = value; *c != '\0'; c++) {
		if (*c == '\n')
			buf_add_str(&b, "\\n");
		else if (*c == '\\' || *c == '"')
			buf_printf(&b, "\\%c", *c);
		else
			buf_add_char(&b, *c);
	}
	buf_add_char(&b, '"');
	return buf_take(&b);
}

static char *
versions(const struct metrics_labels *labels)
{
	char *version = label_pair("version", labels->version);
	char *librdkafka = label_pair("librdkafka", labels->librdkafka);
	char *libpq = label_pair("libpq", labels->libpq);
	char *all = NULL;
	if (version != NULL && librdkafka != NULL && libpq != NULL) {
		struct buf b = BUF_INIT;
		buf_printf(&b, "%s,%s,%s", version, librdkafka, libpq);
		all = buf_take(&b);
		buf_done(&b);
	}
	free(version);
	free(librdkafka);
	free(libpq);
	return all;
}

static bool
make_queries(struct metrics *m, const struct metrics_labels *labels)
{
	if (labels->queries_count == 0)
		return true;
	m->queries = calloc(labels->queries_count, sizeof(*m->queries));
	if (m->queries == NULL)
		return false;
	m->queries_count = labels->queries_count;
	for (size_t i = 0; i < m->queries_count; i++) {
		scope_init(&m->queries[i], SCOPE_QUERY);
		m->queries[i].labels = label_pair("query", labels->queries[i]);
		if (m->queries[i].labels == NULL)
			return false;
	}
	return true;
}

int
metrics_new(const struct metrics_labels *labels, struct metrics **ret_metrics, struct error *err)
{
	size_t size = sizeof(struct metrics) + labels->outboxes_count * sizeof(struct metrics_scope);
	struct metrics *m = calloc(1, size);
	if (m == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	m->outboxes_count = labels->outboxes_count;
	scope_init(&m->daemon, SCOPE_DAEMON);
	m->daemon.labels = versions(labels);
	bool complete = m->daemon.labels != NULL;
	for (size_t i = 0; i < m->outboxes_count; i++) {
		scope_init(&m->outboxes[i], SCOPE_OUTBOX);
		m->outboxes[i].labels = label_pair("outbox", labels->outboxes[i]);
		complete = complete && m->outboxes[i].labels != NULL;
	}
	if (!complete || !make_queries(m, labels)) {
		metrics_free(m);
		return error_set(err, ERR_FATAL, "out of memory");
	}
	*ret_metrics = m;
	return 0;
}

void
metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->outboxes_count; i++)
		free(m->outboxes[i].labels);
	for (size_t i = 0; i < m->queries_count; i++)
		free(m->queries[i].labels);
	free(m->queries);
	free(m->daemon.labels);
	free(m);
}

struct metrics_scope *
metrics_outbox(struct metrics *m, size_t outbox)
{
	assert(outbox < m->outboxes_count);
	return &m->outboxes[outbox];
}

struct metrics_scope *
metrics_query(struct metrics *m, size_t query)
{
	assert(query < m->queries_count);
	return &m->queries[query];
}

struct metrics_scope *
metrics_daemon(struct metrics *m)
{
	return &m->daemon;
}

/* Each cell has one writer, so a load and a store do, and the bus need not be locked. */
static void
cell_add(metrics_cell *cell, uint64_t n)
{
	atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n, memory_order_relaxed);
}

static metrics_cell *
writable(struct metrics_scope *s, enum metric id, enum metric_type type, unsigned label)
{
	assert(rows_get(id)->type == type && rows_get(id)->scope == s->kind && label < rows_labels(id)->count);
	return &metrics_cells_of(s, id)[label];
}

void
metrics_add(struct metrics_scope *s, enum metric id, uint64_t n)
{
	assert(rows_get(id)->label == LABEL_NONE);
	cell_add(writable(s, id, TYPE_COUNTER, 0), n);
}

void
metrics_add_at(struct metrics_scope *s, enum metric id, unsigned label, uint64_t n)
{
	cell_add(writable(s, id, TYPE_COUNTER, label), n);
}

void
metrics_set(struct metrics_scope *s, enum metric id, int64_t value)
{
	assert(rows_get(id)->label == LABEL_NONE);
	metrics_set_at(s, id, 0, value);
}

void
metrics_set_at(struct metrics_scope *s, enum metric id, unsigned label, int64_t value)
{
	uint64_t shown = value < 0 ? 0 : (uint64_t)value;
	atomic_store_explicit(writable(s, id, TYPE_GAUGE, label), shown, memory_order_relaxed);
}

void
metrics_unset(struct metrics_scope *s, enum metric id)
{
	for (unsigned i = 0; i < rows_labels(id)->count; i++)
		atomic_store_explicit(writable(s, id, TYPE_GAUGE, i), METRICS_UNSET, memory_order_relaxed);
}

/* The first bucket whose bound is not below the value; the one after the last bound is +Inf's. */
static unsigned
bucket_of(const struct bucket_set *buckets, int64_t value)
{
	unsigned low = 0, high = buckets->count;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (value <= buckets->bounds[middle])
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

void
metrics_observe_n(struct metrics_scope *s, enum metric id, int64_t value, uint64_t n)
{
	const struct bucket_set *buckets = rows_buckets(id);
	metrics_cell *cells = writable(s, id, TYPE_HISTOGRAM, 0);
	if (value < 0)
		value = 0;
	cell_add(&cells[bucket_of(buckets, value)], n);
	cell_add(&cells[buckets->count + 1], (uint64_t)value * n);
}

void
metrics_observe(struct metrics_scope *s, enum metric id, int64_t value)
{
	metrics_observe_n(s, id, value, 1);
}

uint64_t
metrics_get(const struct metrics_scope *s, enum metric id, unsigned label)
{
	const metrics_cell *cells = metrics_cells_of_const(s, id);
	if (rows_get(id)->type == TYPE_HISTOGRAM) {
		uint64_t count = 0;
		for (unsigned i = 0; i <= rows_buckets(id)->count; i++)
			count += atomic_load_explicit(&cells[i], memory_order_relaxed);
		return count;
	}
	assert(label < rows_labels(id)->count);
	uint64_t value = atomic_load_explicit(&cells[label], memory_order_relaxed);
	return value == METRICS_UNSET ? 0 : value;
}
