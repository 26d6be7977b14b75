/* exposition.c - figures in, the Prometheus text format out (version 0.0.4), and the reference as Markdown.
 *
 * The samples of one metric stand together under its HELP and TYPE, as the format demands.
 */
#include <inttypes.h>
#include <stdbool.h>

#include "metrics/metrics.h"
#include "metrics/process.h"
#include "metrics/storage.h"
#include "metrics/rows.h"

static const char *const type_names[] = {
	[TYPE_COUNTER] = "counter",
	[TYPE_GAUGE] = "gauge",
	[TYPE_HISTOGRAM] = "histogram",
};

/* Microseconds as seconds, without zeros at the end. */
static void
add_seconds(struct buf *out, uint64_t us)
{
	unsigned fraction = (unsigned)(us % 1000000);
	int digits = 6;
	buf_printf(out, "%" PRIu64, us / 1000000);
	if (fraction == 0)
		return;
	for (; fraction % 10 == 0; fraction /= 10)
		digits--;
	buf_printf(out, ".%0*u", digits, fraction);
}

static void
add_value(struct buf *out, enum metric_unit unit, uint64_t value)
{
	if (unit == UNIT_SECONDS)
		add_seconds(out, value);
	else
		buf_printf(out, "%" PRIu64, value);
}

static void
add_head(struct buf *out, const struct metric_row *row)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, type_names[row->type]);
}

/* Label pairs that are NULL are left out. */
static void
add_sample(struct buf *out, const struct metric_row *row, const char *labels, const char *name, const char *label,
           uint64_t value)
{
	buf_add_str(out, row->name);
	if (labels != NULL || name != NULL)
		buf_add_char(out, '{');
	if (labels != NULL)
		buf_add_str(out, labels);
	if (name != NULL)
		buf_printf(out, "%s%s=\"%s\"", labels == NULL ? "" : ",", name, label);
	if (labels != NULL || name != NULL)
		buf_add_char(out, '}');
	buf_add_char(out, ' ');
	add_value(out, row->unit, value);
	buf_add_char(out, '\n');
}

/* The count is the sum of the buckets as they were read, so that the two always agree. */
static void
add_histogram(struct buf *out, enum metric id, const metrics_cell *cells, const char *labels)
{
	const struct metric_row *row = rows_get(id);
	const struct bucket_set *buckets = rows_buckets(id);
	uint64_t count = 0;
	uint64_t sum = atomic_load_explicit(&cells[buckets->count + 1], memory_order_relaxed);
	for (unsigned i = 0; i <= buckets->count; i++) {
		count += atomic_load_explicit(&cells[i], memory_order_relaxed);
		buf_printf(out, "%s_bucket{%s%sle=\"", row->name, labels == NULL ? "" : labels, labels == NULL ? "" : ",");
		if (i < buckets->count)
			add_value(out, row->unit, (uint64_t)buckets->bounds[i]);
		else
			buf_add_str(out, "+Inf");
		buf_printf(out, "\"} %" PRIu64 "\n", count);
	}
	const char *open = labels == NULL ? "" : "{", *close = labels == NULL ? "" : "}";
	buf_printf(out, "%s_sum%s%s%s ", row->name, open, labels == NULL ? "" : labels, close);
	add_value(out, row->unit, sum);
	buf_printf(out, "\n%s_count%s%s%s %" PRIu64 "\n", row->name, open, labels == NULL ? "" : labels, close, count);
}

/* The head stands before the first sample; a metric without samples is not mentioned. */
static void
add_scope(struct buf *out, const struct metrics_scope *s, enum metric id, bool *head)
{
	const struct metric_row *row = rows_get(id);
	const struct label_set *set = rows_labels(id);
	const metrics_cell *cells = metrics_cells_of_const(s, id);
	const char *labels = row->scope == SCOPE_DAEMON ? NULL : s->labels;
	for (unsigned i = 0; i < set->count; i++) {
		uint64_t value = atomic_load_explicit(&cells[i], memory_order_relaxed);
		if (row->type == TYPE_GAUGE && value == METRICS_UNSET)
			continue;
		if (!*head)
			add_head(out, row);
		*head = true;
		if (row->type == TYPE_HISTOGRAM)
			add_histogram(out, id, cells, labels);
		else
			add_sample(out, row, labels, set->name, set->values[i], value);
	}
}

static void
add_info(struct buf *out, enum metric id, const char *labels)
{
	add_head(out, rows_get(id));
	add_sample(out, rows_get(id), labels, NULL, NULL, 1);
}

static void
add_process(struct buf *out, enum metric id, int64_t value)
{
	if (value < 0)
		return;
	add_head(out, rows_get(id));
	add_sample(out, rows_get(id), NULL, NULL, NULL, (uint64_t)value);
}

void
metrics_render(const struct metrics *m, struct buf *out)
{
	for (enum metric id = 0; id < METRICS_COUNT; id++) {
		bool head = false;
		if (rows_get(id)->scope == SCOPE_OUTBOX) {
			for (size_t i = 0; i < m->outboxes_count; i++)
				add_scope(out, &m->outboxes[i], id, &head);
		} else if (rows_get(id)->scope == SCOPE_QUERY) {
			for (size_t i = 0; i < m->queries_count; i++)
				add_scope(out, &m->queries[i], id, &head);
		} else if (rows_get(id)->scope == SCOPE_DAEMON) {
			add_scope(out, &m->daemon, id, &head);
		} else if (rows_get(id)->scope == SCOPE_INFO) {
			add_info(out, id, m->daemon.labels);
		}
	}
	struct process_figures p = process_read();
	add_process(out, METRIC_PROCESS_CPU, p.cpu_us);
	add_process(out, METRIC_PROCESS_RESIDENT, p.resident_bytes);
	add_process(out, METRIC_PROCESS_VIRTUAL, p.virtual_bytes);
	add_process(out, METRIC_PROCESS_OPEN_FDS, p.open_fds);
	add_process(out, METRIC_PROCESS_MAX_FDS, p.max_fds);
	add_process(out, METRIC_PROCESS_START, p.start_us);
}

static void
print_labels(struct buf *out, enum metric id)
{
	const struct label_set *set = rows_labels(id);
	enum metric_scope scope = rows_get(id)->scope;
	if (scope == SCOPE_INFO)
		buf_add_str(out, "`version`, `librdkafka`, `libpq`");
	else if (scope == SCOPE_OUTBOX)
		buf_add_str(out, "`outbox`");
	else if (scope == SCOPE_QUERY)
		buf_add_str(out, "`query`");
	if (set->name == NULL)
		return;
	buf_printf(out, "%s`%s`: ", scope == SCOPE_OUTBOX ? ", " : "", set->name);
	for (unsigned i = 0; i < set->count; i++)
		buf_printf(out, "%s%s", i == 0 ? "" : ", ", set->values[i]);
}

static const char docs_head[] =
	"# Metrics\n"
	"\n"
	"What `/metrics` shows. This page is made from `src/metrics/metrics.def`; change it there.\n"
	"\n"
	"- `outbox` is the name of the table. Labels have a fixed set of values, so the number of series is bounded.\n"
	"- What the queries of the section `queries` give comes after these, by names of their own: see [metrics of your own](kits.md#metrics-of-your-own).\n"
	"- A gauge is left out until its value is known for the first time.\n"
	"- Ages are given as the time at which they began: `time() - pgoutbox_..._timestamp_seconds`, where it is not 0.\n"
	"- Histograms have `_bucket`, `_sum` and `_count`, and the same bounds wherever the unit is the same.\n"
	"- Counters begin at 0 with the process.\n"
	"\n"
	"| metric | type | unit | labels | meaning |\n"
	"|---|---|---|---|---|\n";

void
metrics_print_docs(struct buf *out)
{
	static const char *const unit_names[] = {
		[UNIT_COUNT] = "", [UNIT_BYTES] = "bytes", [UNIT_SECONDS] = "seconds"};
	buf_add_str(out, docs_head);
	for (enum metric id = 0; id < METRICS_COUNT; id++) {
		const struct metric_row *row = rows_get(id);
		buf_printf(out, "| `%s` | %s | %s | ", row->name, type_names[row->type], unit_names[row->unit]);
		print_labels(out, id);
		buf_printf(out, " | %s |\n", row->help);
	}
}
