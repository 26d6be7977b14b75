/* metrics.h - figures for Prometheus: the relay's thread writes, any thread renders.
 *
 * Storage is C11 atomics without order between them: a rendering may see one figure a moment before its neighbour.
 * Each metric of a scope has one writing thread; writing costs a few nanoseconds and never waits.
 * Values are integers in the unit of metrics.def: counts, bytes, or microseconds, which are shown as seconds.
 */
#ifndef PGOUTBOX_METRICS_METRICS_H
#define PGOUTBOX_METRICS_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum metric {
#define METRIC(id, name, type, scope, label, unit, help) METRIC_##id,
#include "metrics/metrics.def"
#undef METRIC
	METRICS_COUNT
};

/* Values of the second label, where a metric has one. */
enum metric_side { METRIC_SIDE_POSTGRESQL, METRIC_SIDE_KAFKA };
enum metric_post { METRIC_POST_DELIVERED, METRIC_POST_FAILED, METRIC_POST_REFUSED, METRIC_POST_DROPPED };
enum metric_class { METRIC_CLASS_OUTAGE, METRIC_CLASS_TOPIC, METRIC_CLASS_POISON, METRIC_CLASS_FATAL };
enum metric_result { METRIC_RESULT_OK, METRIC_RESULT_FAILED };
enum metric_pause { METRIC_PAUSE_ALL, METRIC_PAUSE_LANES, METRIC_PAUSE_TOPICS };

struct metrics_labels {
	const char *const *outboxes; /* the tables; the index is the outbox's number */
	size_t outboxes_count;
	const char *version;
	const char *librdkafka;
	const char *libpq;
	const char *const *queries; /* the names of the configured ones; the index is the query's number */
	size_t queries_count;
};

struct metrics;
struct metrics_scope;

/* Copies the labels. ERR_FATAL: out of memory. The caller frees *ret_metrics. */
int metrics_new(const struct metrics_labels *labels, struct metrics **ret_metrics, struct error *err)
	__attribute__((warn_unused_result));
void metrics_free(struct metrics *m); /* NULL is fine */

/* Where to write: metrics of scope OUTBOX to an outbox's, those of scope DAEMON to the daemon's, those of scope QUERY to a
 * query's. They stay m's. */
struct metrics_scope *metrics_outbox(struct metrics *m, size_t outbox);
struct metrics_scope *metrics_daemon(struct metrics *m);
struct metrics_scope *metrics_query(struct metrics *m, size_t query);

/* The _at forms are for metrics with a second label; label is of its enum. */
void metrics_add(struct metrics_scope *s, enum metric id, uint64_t n);
void metrics_add_at(struct metrics_scope *s, enum metric id, unsigned label, uint64_t n);
void metrics_set(struct metrics_scope *s, enum metric id, int64_t value); /* below 0 is taken as 0 */
void metrics_set_at(struct metrics_scope *s, enum metric id, unsigned label, int64_t value);
void metrics_unset(struct metrics_scope *s, enum metric id); /* not known any more: left out until set again */
void metrics_observe(struct metrics_scope *s, enum metric id, int64_t value); /* below 0 is taken as 0 */
void metrics_observe_n(struct metrics_scope *s, enum metric id, int64_t value, uint64_t n); /* n times the same */

/* A counter's or gauge's value, 0 for a gauge that is not set; the number of a histogram's observations. */
uint64_t metrics_get(const struct metrics_scope *s, enum metric id, unsigned label);

/* Everything in the Prometheus text format 0.0.4. Any thread. */
void metrics_render(const struct metrics *m, struct buf *out);

/* The reference as Markdown, from metrics.def alone. */
void metrics_print_docs(struct buf *out);

#endif
