/* test_samples.c - figures out of the text that the daemon's own code makes. */
#include "ctl/samples.h"

#include <math.h>

#include "metrics/metrics.h"
#include "support/tap.h"

static void
render(struct metrics *m, struct buf *out)
{
	buf_reset(out);
	metrics_render(m, out);
}

static struct metrics *
make(void)
{
	static const char *const outboxes[] = {"app.\"Odd\\one\"", "outbox_events"};
	struct metrics_labels labels = {outboxes, 2, "1", "2", "3", NULL, 0};
	struct metrics *m;
	struct error err;

	CU_ASSERT_EQUAL_FATAL(metrics_new(&labels, &m, &err), 0);
	return m;
}

static void
test_values(void)
{
	struct metrics *m = make();
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	double value = -1;

	metrics_add(metrics_outbox(m, 0), METRIC_EVENTS_SENT, 7);
	metrics_add(metrics_outbox(m, 1), METRIC_EVENTS_SENT, 8);
	metrics_set_at(metrics_outbox(m, 1), METRIC_UP, METRIC_SIDE_KAFKA, 1);
	metrics_set(metrics_outbox(m, 1), METRIC_OLDEST_UNSENT, 1500000);
	render(m, &text);
	CU_ASSERT(samples_get(buf_str(&text), "pgoutbox_events_sent_total", "app.\"Odd\\one\"", NULL, &value));
	CU_ASSERT_DOUBLE_EQUAL(value, 7, 0);
	CU_ASSERT(samples_get(buf_str(&text), "pgoutbox_events_sent_total", "outbox_events", NULL, &value));
	CU_ASSERT_DOUBLE_EQUAL(value, 8, 0);
	CU_ASSERT(samples_get(buf_str(&text), "pgoutbox_up", "outbox_events", "side=\"kafka\"", &value));
	CU_ASSERT_DOUBLE_EQUAL(value, 1, 0);
	CU_ASSERT(samples_get(buf_str(&text), "pgoutbox_oldest_unsent_event_timestamp_seconds", "outbox_events", NULL, &value));
	CU_ASSERT_DOUBLE_EQUAL(value, 1.5, 1e-9);
	value = -1;
	CU_ASSERT(!samples_get(buf_str(&text), "pgoutbox_up", "outbox_events", "side=\"postgresql\"", &value));
	CU_ASSERT(!samples_get(buf_str(&text), "pgoutbox_events_sent_total", "outbox", NULL, &value));
	CU_ASSERT(!samples_get(buf_str(&text), "pgoutbox_events_sent", "outbox_events", NULL, &value));
	CU_ASSERT(!samples_get("", "pgoutbox_up", "outbox_events", NULL, &value));
	CU_ASSERT_DOUBLE_EQUAL(value, -1, 0);
	metrics_free(m);
}

static void
test_quantiles(void)
{
	struct metrics *m = make();
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct samples_histogram before, after, none = {0};

	metrics_observe_n(metrics_outbox(m, 1), METRIC_END_TO_END_SECONDS, 1, 1000);
	render(m, &text);
	before = samples_histogram(buf_str(&text), "pgoutbox_end_to_end_seconds", "outbox_events");
	CU_ASSERT_EQUAL_FATAL(before.count, 23);
	CU_ASSERT(isinf(before.bounds[22]));
	CU_ASSERT_DOUBLE_EQUAL(before.counts[22], 1000, 0);
	CU_ASSERT_DOUBLE_EQUAL(samples_quantile(&before, &before, 0.5), -1, 0);
	CU_ASSERT_DOUBLE_EQUAL(samples_quantile(&none, &before, 0.5), 0.00005, 1e-9);
	metrics_observe_n(metrics_outbox(m, 1), METRIC_END_TO_END_SECONDS, 3000, 90); /* between 2.5 and 5 ms */
	metrics_observe_n(metrics_outbox(m, 1), METRIC_END_TO_END_SECONDS, 20000, 10); /* between 10 and 25 ms */
	render(m, &text);
	after = samples_histogram(buf_str(&text), "pgoutbox_end_to_end_seconds", "outbox_events");
	CU_ASSERT_DOUBLE_EQUAL(samples_quantile(&before, &after, 0.45), 0.00375, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(samples_quantile(&before, &after, 0.99), 0.0235, 1e-9);
	metrics_observe_n(metrics_outbox(m, 1), METRIC_END_TO_END_SECONDS, INT64_C(100000) * 1000000, 1000);
	render(m, &text);
	after = samples_histogram(buf_str(&text), "pgoutbox_end_to_end_seconds", "outbox_events");
	CU_ASSERT_DOUBLE_EQUAL(samples_quantile(&before, &after, 0.99), 43200, 1e-9);
	CU_ASSERT_EQUAL(samples_histogram(buf_str(&text), "pgoutbox_end_to_end", "outbox_events").count, 0);
	CU_ASSERT_DOUBLE_EQUAL(samples_quantile(&none, &none, 0.5), -1, 0);
	metrics_free(m);
}

int
main(void)
{
	tap_suite("samples");
	tap_test("values", test_values);
	tap_test("quantiles between two looks", test_quantiles);
	return tap_run();
}
