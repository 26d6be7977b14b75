/* readings.h - what queries of the operator's own gave, as metrics of names that only their columns tell.
 *
 * Value column "value" of query "stock" is pgoutbox_query_stock_value; its label columns are labels of each sample. A column whose
 * name ends in "_total" is a counter, any other a gauge. Bounded: READINGS_ROWS_MAX rows a query, READINGS_LABEL_MAX bytes a
 * label's value, READINGS_BYTES_MAX bytes of text a query. One thread writes, one other renders; neither waits for the other.
 */
#ifndef PGOUTBOX_METRICS_READINGS_H
#define PGOUTBOX_METRICS_READINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

enum { READINGS_ROWS_MAX = 100, READINGS_COLUMNS_MAX = 32, READINGS_LABEL_MAX = 128, READINGS_BYTES_MAX = 64 * 1024 };

struct readings_table {
	size_t columns, rows;
	const char *const *names; /* of the columns */
	const bool *values;       /* which of them are values; the others are labels */
	const char *const *cells; /* row after row; NULL = SQL's NULL, which gives no sample, or an empty label */
};

struct readings;

/* names are the queries', borrowed. ERR_FATAL: memory is out. */
int readings_new(const char *const *names, size_t count, struct readings **ret_readings, struct error *err)
	__attribute__((warn_unused_result));
void readings_free(struct readings *r); /* NULL is fine. No other thread renders any more */

/* Whether columns of these names can be metrics; ERR_CONFIG says why not. */
int readings_check(const char *query, size_t columns, const char *const *names, const bool *values, struct error *err)
	__attribute__((warn_unused_result));

/* In place of what the query gave before. *ret_dropped: there was more than is shown. ERR_CONFIG: the rows cannot be metrics, as
 * two with the same labels; ERR_RETRY: memory is out. On failure nothing of the query is shown. */
int readings_put(struct readings *r, size_t query, const struct readings_table *t, bool *ret_dropped, struct error *err)
	__attribute__((warn_unused_result));
void readings_clear(struct readings *r, size_t query); /* what is not known any more is not shown */

/* Prometheus text format 0.0.4. One thread at a time. r may be NULL. */
void readings_render(struct readings *r, struct buf *out);

#endif
