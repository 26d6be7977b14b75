/* rows.h - metrics.def as data: what is known of a metric besides its values. Internal to this room. */
#ifndef PGOUTBOX_METRICS_ROWS_H
#define PGOUTBOX_METRICS_ROWS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/metrics.h"

enum metric_type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };
enum metric_scope { SCOPE_OUTBOX, SCOPE_DAEMON, SCOPE_QUERY, SCOPE_INFO, SCOPE_PROCESS };
enum metric_label { LABEL_NONE, LABEL_SIDE, LABEL_CLASS, LABEL_RESULT, LABEL_POST, LABEL_SCOPE };
enum metric_unit { UNIT_COUNT, UNIT_BYTES, UNIT_SECONDS };

/* Sizes that the storage is laid out by; rows.c asserts that they are those of its constants. */
enum { LABELS_NONE = 1, LABELS_SIDE = 2, LABELS_CLASS = 4, LABELS_RESULT = 2, LABELS_POST = 4, LABELS_SCOPE = 3 };
enum { BUCKETS_COUNT = 16, BUCKETS_BYTES = 10, BUCKETS_SECONDS = 22 };

struct metric_row {
	const char *name;
	enum metric_type type;
	enum metric_scope scope;
	enum metric_label label;
	enum metric_unit unit;
	const char *help;
};

struct label_set {
	const char *name; /* NULL = no second label */
	unsigned count;
	const char *const *values;
};

/* Upper bounds of a histogram's buckets in the unit as it is kept, ascending, without +Inf. */
struct bucket_set {
	unsigned count;
	const int64_t *bounds;
};

extern const struct metric_row rows_table[METRICS_COUNT];
extern const struct label_set rows_label_sets[];
extern const struct bucket_set rows_bucket_sets[];

static inline const struct metric_row *
rows_get(enum metric id)
{
	assert((unsigned)id < METRICS_COUNT);
	return &rows_table[id];
}

static inline const struct label_set *
rows_labels(enum metric id)
{
	return &rows_label_sets[rows_get(id)->label];
}

/* Of a histogram. */
static inline const struct bucket_set *
rows_buckets(enum metric id)
{
	assert(rows_get(id)->type == TYPE_HISTOGRAM);
	return &rows_bucket_sets[rows_get(id)->unit];
}

#endif
