/* What is written is what is there. */
#include <string.h>

#include "metrics/storage.h"
#include "support/tap.h"

static struct metrics *m;
static struct metrics_scope *first, *second;

static void
setup(void)
{
	static const char *const outboxes[] = {"a", "b"};
	struct metrics_labels labels = {outboxes, 2, "1", "2", "3", NULL, 0};
	struct error err;
	TAP_INT_FATAL(metrics_new(&labels, &m, &err), 0);
	first = metrics_outbox(m, 0);
	second = metrics_outbox(m, 1);
}

static void
teardown(void)
{
	metrics_free(m);
}

static void
counters_add_up(void)
{
	TAP_INT(metrics_get(first, METRIC_EVENTS_SENT, 0), 0);
	metrics_add(first, METRIC_EVENTS_SENT, 5);
	metrics_add(first, METRIC_EVENTS_SENT, 0);
	metrics_add(first, METRIC_EVENTS_SENT, UINT64_C(10000000000));
	TAP_INT(metrics_get(first, METRIC_EVENTS_SENT, 0), 10000000005);
	metrics_add_at(first, METRIC_EVENTS_FAILED, METRIC_CLASS_TOPIC, 2);
	metrics_add_at(first, METRIC_EVENTS_FAILED, METRIC_CLASS_FATAL, 3);
	TAP_INT(metrics_get(first, METRIC_EVENTS_FAILED, METRIC_CLASS_OUTAGE), 0);
	TAP_INT(metrics_get(first, METRIC_EVENTS_FAILED, METRIC_CLASS_TOPIC), 2);
	TAP_INT(metrics_get(first, METRIC_EVENTS_FAILED, METRIC_CLASS_FATAL), 3);
}

static void
gauges_are_set_and_unset(void)
{
	TAP_INT(metrics_get(first, METRIC_PENDING_EVENTS, 0), 0);
	metrics_set(first, METRIC_PENDING_EVENTS, 12);
	metrics_set(first, METRIC_PENDING_EVENTS, 7);
	TAP_INT(metrics_get(first, METRIC_PENDING_EVENTS, 0), 7);
	metrics_set(first, METRIC_PENDING_EVENTS, -3);
	TAP_INT(metrics_get(first, METRIC_PENDING_EVENTS, 0), 0);
	metrics_set_at(first, METRIC_UP, METRIC_SIDE_KAFKA, 1);
	TAP_INT(metrics_get(first, METRIC_UP, METRIC_SIDE_KAFKA), 1);
	TAP_INT(metrics_get(first, METRIC_UP, METRIC_SIDE_POSTGRESQL), 0);
	metrics_unset(first, METRIC_UP);
	TAP_INT(metrics_get(first, METRIC_UP, METRIC_SIDE_KAFKA), 0);
}

static void
outboxes_are_apart(void)
{
	metrics_add(first, METRIC_BATCHES, 1);
	metrics_add(second, METRIC_BATCHES, 4);
	TAP_INT(metrics_get(first, METRIC_BATCHES, 0), 1);
	TAP_INT(metrics_get(second, METRIC_BATCHES, 0), 4);
}

/* Every cell of every metric, so that no two overlap. */
static void
metrics_are_apart(void)
{
	for (enum metric id = 0; id < METRICS_COUNT; id++) {
		const struct metric_row *row = rows_get(id);
		struct metrics_scope *s = row->scope == SCOPE_OUTBOX ? first : metrics_daemon(m);
		if (row->scope != SCOPE_OUTBOX && row->scope != SCOPE_DAEMON)
			continue;
		for (unsigned i = 0; i < rows_labels(id)->count; i++) {
			if (row->type == TYPE_COUNTER)
				metrics_add_at(s, id, i, 100 * id + i);
			else if (row->type == TYPE_GAUGE)
				metrics_set_at(s, id, i, 100 * (int64_t)id + i);
			else
				metrics_observe_n(s, id, INT64_MAX / 100000, 100 * id);
		}
	}
	for (enum metric id = 0; id < METRICS_COUNT; id++) {
		const struct metric_row *row = rows_get(id);
		struct metrics_scope *s = row->scope == SCOPE_OUTBOX ? first : metrics_daemon(m);
		if (row->scope != SCOPE_OUTBOX && row->scope != SCOPE_DAEMON)
			continue;
		for (unsigned i = 0; i < rows_labels(id)->count; i++)
			TAP_INT(metrics_get(s, id, i), 100 * id + i);
	}
}

static uint64_t
bucket(enum metric id, unsigned i)
{
	return metrics_cells_of(first, id)[i];
}

/* A bound belongs to the bucket that it names: le means less or equal. */
static void
bounds_of_buckets(void)
{
	const struct bucket_set *b = rows_buckets(METRIC_CLAIM_SECONDS);
	for (unsigned i = 0; i < b->count; i++) {
		metrics_observe(first, METRIC_CLAIM_SECONDS, b->bounds[i]);
		TAP_INT(bucket(METRIC_CLAIM_SECONDS, i), i == 0 ? 1 : 2);
		metrics_observe(first, METRIC_CLAIM_SECONDS, b->bounds[i] + 1);
		TAP_INT(bucket(METRIC_CLAIM_SECONDS, i + 1), 1);
	}
	TAP_INT(metrics_get(first, METRIC_CLAIM_SECONDS, 0), 2 * b->count);
}

static void
extremes_are_observed(void)
{
	const struct bucket_set *b = rows_buckets(METRIC_END_TO_END_SECONDS);
	metrics_observe(first, METRIC_END_TO_END_SECONDS, -1000000); /* a clock that is behind */
	metrics_observe(first, METRIC_END_TO_END_SECONDS, 0);
	TAP_INT(bucket(METRIC_END_TO_END_SECONDS, 0), 2);
	TAP_INT(bucket(METRIC_END_TO_END_SECONDS, b->count + 1), 0);
	metrics_observe(first, METRIC_END_TO_END_SECONDS, INT64_MAX);
	TAP_INT(bucket(METRIC_END_TO_END_SECONDS, b->count), 1);
}

static void
one_value_many_times(void)
{
	const struct bucket_set *b = rows_buckets(METRIC_BATCH_EVENTS);
	metrics_observe_n(first, METRIC_BATCH_EVENTS, 3, 1000);
	metrics_observe_n(first, METRIC_BATCH_EVENTS, 4, 0);
	TAP_INT(bucket(METRIC_BATCH_EVENTS, 2), 1000);
	TAP_INT(bucket(METRIC_BATCH_EVENTS, b->count + 1), 3000);
	TAP_INT(metrics_get(first, METRIC_BATCH_EVENTS, 0), 1000);
}

int
main(void)
{
	tap_suite_fixture("metrics", setup, teardown);
	tap_test("counters add up", counters_add_up);
	tap_test("gauges are set and unset", gauges_are_set_and_unset);
	tap_test("outboxes are apart", outboxes_are_apart);
	tap_test("metrics are apart", metrics_are_apart);
	tap_test("bounds of buckets", bounds_of_buckets);
	tap_test("extremes are observed", extremes_are_observed);
	tap_test("one value many times", one_value_many_times);
	return tap_run();
}
