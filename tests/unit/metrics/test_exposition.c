/* The text as Prometheus reads it, and docs/metrics.md, which "test_exposition --print-docs" makes anew. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/rows.h"
#include "support/tap.h"

static struct metrics *m;
static struct metrics_scope *s;
static struct buf out;

static const char *const query_names[] = {"stock", "other"};

static void
make(const char *const *outboxes, size_t count)
{
	struct metrics_labels labels = {outboxes, count, "0.1.0", "2.0.2", "15.4 \"x\"", query_names, 2};
	struct error err;
	TAP_INT_FATAL(metrics_new(&labels, &m, &err), 0);
	s = metrics_outbox(m, 0);
	out = BUF_INIT;
}

static void
setup(void)
{
	static const char *const outboxes[] = {"outbox_events"};
	make(outboxes, 1);
}

static void
teardown(void)
{
	metrics_free(m);
	buf_done(&out);
}

/* The lines of the exposition that mention the metric, in their order. The caller frees. */
static char *
lines_of(const char *name)
{
	struct buf found = BUF_INIT;
	buf_reset(&out);
	metrics_render(m, &out);
	for (const char *line = buf_str(&out), *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		const char *start = line[0] == '#' ? line + 7 : line;
		size_t len = strlen(name);
		if (strncmp(start, name, len) == 0 && strchr("{_ ", start[len]) != NULL)
			buf_add(&found, line, (size_t)(end + 1 - line));
	}
	buf_add_str(&found, "");
	return buf_take(&found);
}

static void
expect(const char *name, const char *lines)
{
	char *found = lines_of(name);
	TAP_STR(found, lines);
	free(found);
}

static void
counter(void)
{
	expect("pgoutbox_events_sent_total",
	       "# HELP pgoutbox_events_sent_total Events that Kafka acknowledged.\n"
	       "# TYPE pgoutbox_events_sent_total counter\n"
	       "pgoutbox_events_sent_total{outbox=\"outbox_events\"} 0\n");
	metrics_add(s, METRIC_EVENTS_SENT, UINT64_C(18000000000000000000));
	char *found = lines_of("pgoutbox_events_sent_total");
	TAP_HAS(found, "\npgoutbox_events_sent_total{outbox=\"outbox_events\"} 18000000000000000000\n");
	free(found);
}

static void
second_label(void)
{
	metrics_add_at(s, METRIC_EVENTS_FAILED, METRIC_CLASS_POISON, 2);
	expect("pgoutbox_events_failed_total",
	       "# HELP pgoutbox_events_failed_total Attempts to send an event that failed, by what the failure asks for.\n"
	       "# TYPE pgoutbox_events_failed_total counter\n"
	       "pgoutbox_events_failed_total{outbox=\"outbox_events\",class=\"outage\"} 0\n"
	       "pgoutbox_events_failed_total{outbox=\"outbox_events\",class=\"topic\"} 0\n"
	       "pgoutbox_events_failed_total{outbox=\"outbox_events\",class=\"poison\"} 2\n"
	       "pgoutbox_events_failed_total{outbox=\"outbox_events\",class=\"fatal\"} 0\n");
}

static void
of_a_query(void)
{
	metrics_add(metrics_query(m, 1), METRIC_QUERIES_FAILED, 3);
	expect("pgoutbox_queries_failed_total",
	       "# HELP pgoutbox_queries_failed_total Runs of the query that gave no metrics, whether PostgreSQL refused it, it took too long or "
	       "its rows cannot be metrics.\n"
	       "# TYPE pgoutbox_queries_failed_total counter\n"
	       "pgoutbox_queries_failed_total{query=\"stock\"} 0\n"
	       "pgoutbox_queries_failed_total{query=\"other\"} 3\n");
}

static void
gauge_is_left_out_until_set(void)
{
	expect("pgoutbox_up", "");
	metrics_set_at(s, METRIC_UP, METRIC_SIDE_KAFKA, 0);
	expect("pgoutbox_up", "# HELP pgoutbox_up 1 while the side serves, 0 during an outage.\n"
	                      "# TYPE pgoutbox_up gauge\n"
	                      "pgoutbox_up{outbox=\"outbox_events\",side=\"kafka\"} 0\n");
	metrics_unset(s, METRIC_UP);
	expect("pgoutbox_up", "");
}

static void
expect_seconds(int64_t us, const char *shown)
{
	char line[128];
	snprintf(line, sizeof(line), "\npgoutbox_oldest_unsent_event_timestamp_seconds{outbox=\"outbox_events\"} %s\n",
	         shown);
	metrics_set(s, METRIC_OLDEST_UNSENT, us);
	char *found = lines_of("pgoutbox_oldest_unsent_event_timestamp_seconds");
	TAP_HAS(found, line);
	free(found);
}

static void
seconds(void)
{
	expect_seconds(0, "0");
	expect_seconds(1, "0.000001");
	expect_seconds(250000, "0.25");
	expect_seconds(1000000, "1");
	expect_seconds(10000000, "10");
	expect_seconds(INT64_C(1760000000123456), "1760000000.123456");
	expect_seconds(INT64_C(1760000000000100), "1760000000.0001");
}

static void
histogram(void)
{
	metrics_observe_n(s, METRIC_BATCH_BYTES, 256, 2);
	metrics_observe(s, METRIC_BATCH_BYTES, 5000);
	metrics_observe(s, METRIC_BATCH_BYTES, INT64_C(1) << 40);
	expect("pgoutbox_batch_bytes",
	       "# HELP pgoutbox_batch_bytes Keys and payloads of a claimed batch.\n"
	       "# TYPE pgoutbox_batch_bytes histogram\n"
	       "pgoutbox_batch_bytes_bucket{outbox=\"outbox_events\",le=\"256\"} 2\n"
	       "pgoutbox_batch_bytes_bucket{outbox=\"outbox_events\",le=\"1024\"} 2\n"
	       "pgoutbox_batch_bytes_bucket{outbox=\"outbox_events\",le=\"4096\"} 2\n"
	       "pgoutbox_batch_bytes_bucket{outbox=\"outbox_events\",le=\"16384\"} 3\n"
	       "pgoutbox_batch_bytes_bucket{outbox=\"outbox_events\",le=\"65536\"} 3\n"
	       "pgoutbox_batch_bytes_bucket{outbox=\"outbox_events\",le=\"262144\"} 3\n"
	       "pgoutbox_batch_bytes_bucket{outbox=\"outbox_events\",le=\"1048576\"} 3\n"
	       "pgoutbox_batch_bytes_bucket{outbox=\"outbox_events\",le=\"4194304\"} 3\n"
	       "pgoutbox_batch_bytes_bucket{outbox=\"outbox_events\",le=\"16777216\"} 3\n"
	       "pgoutbox_batch_bytes_bucket{outbox=\"outbox_events\",le=\"67108864\"} 3\n"
	       "pgoutbox_batch_bytes_bucket{outbox=\"outbox_events\",le=\"+Inf\"} 4\n"
	       "pgoutbox_batch_bytes_sum{outbox=\"outbox_events\"} 1099511633288\n"
	       "pgoutbox_batch_bytes_count{outbox=\"outbox_events\"} 4\n");
}

static void
histogram_of_the_daemon(void)
{
	metrics_observe(metrics_daemon(m), METRIC_LOOP_LAG_SECONDS, 2500);
	char *found = lines_of("pgoutbox_loop_lag_seconds");
	TAP_HAS(found, "\npgoutbox_loop_lag_seconds_bucket{le=\"0.0001\"} 0\n"
	               "pgoutbox_loop_lag_seconds_bucket{le=\"0.00025\"} 0\n"
	               "pgoutbox_loop_lag_seconds_bucket{le=\"0.0005\"} 0\n"
	               "pgoutbox_loop_lag_seconds_bucket{le=\"0.001\"} 0\n"
	               "pgoutbox_loop_lag_seconds_bucket{le=\"0.0025\"} 1\n");
	TAP_HAS(found, "\npgoutbox_loop_lag_seconds_bucket{le=\"43200\"} 1\n"
	               "pgoutbox_loop_lag_seconds_bucket{le=\"+Inf\"} 1\n"
	               "pgoutbox_loop_lag_seconds_sum 0.0025\n"
	               "pgoutbox_loop_lag_seconds_count 1\n");
	free(found);
}

static void
several_outboxes_and_odd_names(void)
{
	static const char *const outboxes[] = {"a", "b \"\\\n\xc3\xa9"};
	teardown();
	make(outboxes, 2);
	metrics_add(metrics_outbox(m, 1), METRIC_BATCHES, 3);
	expect("pgoutbox_batches_total", "# HELP pgoutbox_batches_total Batches that were settled in the database.\n"
	                                 "# TYPE pgoutbox_batches_total counter\n"
	                                 "pgoutbox_batches_total{outbox=\"a\"} 0\n"
	                                 "pgoutbox_batches_total{outbox=\"b \\\"\\\\\\n\xc3\xa9\"} 3\n");
	metrics_set(metrics_outbox(m, 1), METRIC_LANES, 4);
	expect("pgoutbox_lanes", "# HELP pgoutbox_lanes Lanes of the outbox, as the database says.\n"
	                         "# TYPE pgoutbox_lanes gauge\n"
	                         "pgoutbox_lanes{outbox=\"b \\\"\\\\\\n\xc3\xa9\"} 4\n");
}

static void
build_and_process(void)
{
	expect("pgoutbox_build_info",
	       "# HELP pgoutbox_build_info Always 1; the labels name the versions that run.\n"
	       "# TYPE pgoutbox_build_info gauge\n"
	       "pgoutbox_build_info{version=\"0.1.0\",librdkafka=\"2.0.2\",libpq=\"15.4 \\\"x\\\"\"} 1\n");
	char *found = lines_of("process_start_time_seconds");
	TAP_HAS(found, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1");
	free(found);
	found = lines_of("process_open_fds");
	TAP_HAS(found, "# TYPE process_open_fds gauge\nprocess_open_fds ");
	free(found);
}

static void
feed_everything(void)
{
	for (enum metric id = 0; id < METRICS_COUNT; id++) {
		const struct metric_row *row = rows_get(id);
		struct metrics_scope *to = row->scope == SCOPE_OUTBOX  ? s
		                           : row->scope == SCOPE_QUERY ? metrics_query(m, 0)
		                                                       : metrics_daemon(m);
		if (row->scope != SCOPE_OUTBOX && row->scope != SCOPE_DAEMON && row->scope != SCOPE_QUERY)
			continue;
		for (unsigned i = 0; i < rows_labels(id)->count; i++) {
			if (row->type == TYPE_COUNTER)
				metrics_add_at(to, id, i, 1);
			else if (row->type == TYPE_GAUGE)
				metrics_set_at(to, id, i, 1);
			else
				metrics_observe(to, id, 1);
		}
	}
}

static void
every_metric_is_shown(void)
{
	feed_everything();
	for (enum metric id = 0; id < METRICS_COUNT; id++) {
		char head[256];
		snprintf(head, sizeof(head), "# HELP %s %s\n# TYPE %s ", rows_get(id)->name, rows_get(id)->help,
		         rows_get(id)->name);
		buf_reset(&out);
		metrics_render(m, &out);
		const char *once = strstr(buf_str(&out), head);
		CU_ASSERT_PTR_NOT_NULL_FATAL(once);
		CU_ASSERT_PTR_NULL(strstr(once + 1, head));
	}
}

static bool
have_promtool(void)
{
	return system("promtool --version >/dev/null 2>&1") == 0;
}

static void
promtool_finds_nothing(void)
{
	char path[] = "/tmp/test_exposition.XXXXXX", command[128], said[4096];
	if (!have_promtool()) {
		tap_skip("promtool is not installed");
		return;
	}
	feed_everything();
	metrics_render(m, &out);
	int fd = mkstemp(path);
	CU_ASSERT_FATAL(fd >= 0);
	TAP_INT(write(fd, buf_str(&out), out.len), out.len);
	close(fd);
	snprintf(command, sizeof(command), "promtool check metrics <%s 2>&1", path);
	FILE *promtool = popen(command, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(promtool);
	said[fread(said, 1, sizeof(said) - 1, promtool)] = '\0';
	TAP_INT(WEXITSTATUS(pclose(promtool)), 0);
	TAP_STR(said, "");
	unlink(path);
}

static atomic_bool done;

static void *
write_on(void *ctx)
{
	(void)ctx;
	while (!done)
		metrics_observe_n(s, METRIC_BATCH_EVENTS, 1, 1);
	return NULL;
}

/* While another thread writes, a histogram's count is still that of its last bucket. */
static void
rendered_while_written(void)
{
	static const char last[] = "_bucket{outbox=\"outbox_events\",le=\"+Inf\"} ";
	static const char count[] = "pgoutbox_batch_events_count{outbox=\"outbox_events\"} ";
	pthread_t writer;
	uint64_t before = 0;
	done = false;
	TAP_INT_FATAL(pthread_create(&writer, NULL, write_on, NULL), 0);
	while (metrics_get(s, METRIC_BATCH_EVENTS, 0) == 0)
		sched_yield();
	for (int i = 0; i < 50; i++) {
		char *found = lines_of("pgoutbox_batch_events");
		const char *in_bucket = strstr(found, last), *in_count = strstr(found, count);
		CU_ASSERT_FATAL(in_bucket != NULL && in_count != NULL);
		uint64_t n = strtoull(in_bucket + strlen(last), NULL, 10);
		TAP_INT(n, strtoull(in_count + strlen(count), NULL, 10));
		CU_ASSERT(n >= before);
		before = n;
		free(found);
	}
	done = true;
	pthread_join(writer, NULL);
	CU_ASSERT(before > 0);
}

/* The test runs in the build tree or beside the sources. */
static FILE *
open_docs(void)
{
	char path[4096];
	const char *srcdir = getenv("srcdir");
	snprintf(path, sizeof(path), "%s/docs/metrics.md", srcdir == NULL ? "." : srcdir);
	return fopen(path, "re");
}

static void
docs_are_those_of_the_table(void)
{
	static char committed[65536];
	FILE *docs = open_docs();
	CU_ASSERT_PTR_NOT_NULL_FATAL(docs);
	committed[fread(committed, 1, sizeof(committed) - 1, docs)] = '\0';
	fclose(docs);
	metrics_print_docs(&out);
	TAP_INT(strcmp(committed, buf_str(&out)), 0);
	if (strcmp(committed, buf_str(&out)) != 0)
		tap_diag("docs/metrics.md is not what metrics.def says: write the output of \"%s --print-docs\" there",
		         "tests/unit/metrics/test_exposition");
	for (enum metric id = 0; id < METRICS_COUNT; id++)
		TAP_HAS(buf_str(&out), rows_get(id)->name);
	TAP_HAS(buf_str(&out), "\n| `pgoutbox_up` | gauge |  | `outbox`, `side`: postgresql, kafka | 1 while the side "
	                       "serves, 0 during an outage. |\n");
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--print-docs") == 0) {
		struct buf page = BUF_INIT;
		metrics_print_docs(&page);
		fputs(buf_str(&page), stdout);
		buf_done(&page);
		return 0;
	}
	tap_suite_fixture("exposition", setup, teardown);
	tap_test("a counter", counter);
	tap_test("a second label", second_label);
	tap_test("of each query", of_a_query);
	tap_test("a gauge is left out until it is set", gauge_is_left_out_until_set);
	tap_test("seconds", seconds);
	tap_test("a histogram", histogram);
	tap_test("a histogram of the daemon", histogram_of_the_daemon);
	tap_test("several outboxes, and odd names", several_outboxes_and_odd_names);
	tap_test("build and process", build_and_process);
	tap_test("every metric is shown", every_metric_is_shown);
	tap_test("promtool finds nothing", promtool_finds_nothing);
	tap_test("rendered while written", rendered_while_written);
	tap_test("docs/metrics.md is what metrics.def says", docs_are_those_of_the_table);
	return tap_run();
}
