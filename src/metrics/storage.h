/* storage.h - how the figures lie in memory: the cells of each metric side by side. Internal to this room.
 *
 * A counter or gauge has a cell for each value of its second label. A histogram has one for each bucket, not
 * cumulated, one for +Inf, and the sum.
 */
#ifndef PGOUTBOX_METRICS_STORAGE_H
#define PGOUTBOX_METRICS_STORAGE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/metrics.h"
#include "metrics/rows.h"

#define METRICS_UNSET UINT64_MAX /* a gauge that is not known */

typedef _Atomic uint64_t metrics_cell;

#define CELLS_COUNTER(label, unit) LABELS_##label
#define CELLS_GAUGE(label, unit) LABELS_##label
#define CELLS_HISTOGRAM(label, unit) (BUCKETS_##unit + 2)

struct metrics_cells {
#define METRIC(id, name, type, scope, label, unit, help) metrics_cell id[CELLS_##type(label, unit)];
#include "metrics/metrics.def"
#undef METRIC
};

struct metrics_scope {
	enum metric_scope kind;
	char *labels; /* outbox="..." or query="...", or the versions for the daemon's; escaped already */
	struct metrics_cells cells;
};

struct metrics {
	struct metrics_scope daemon;
	size_t outboxes_count, queries_count;
	struct metrics_scope *queries;
	struct metrics_scope outboxes[];
};

metrics_cell *metrics_cells_of(struct metrics_scope *s, enum metric id);
const metrics_cell *metrics_cells_of_const(const struct metrics_scope *s, enum metric id);

#endif
