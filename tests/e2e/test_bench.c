/* test_bench.c - the benchmark's programs with tiny sizes: they still work, and what they say can be read. */
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/env.h"
#include "support/tap.h"

static char dir[64];

/* The one file with that ending in dir, good until the next call; "" when there is none. */
static const char *
result_file(const char *ending)
{
	static char path[400];
	DIR *d = opendir(dir);
	struct dirent *entry;

	path[0] = '\0';
	while (d != NULL && (entry = readdir(d)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (len > strlen(ending) && strcmp(entry->d_name + len - strlen(ending), ending) == 0)
			snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
	}
	if (d != NULL)
		closedir(d);
	return path;
}

static void
run_bench(const char *part, int status)
{
	const char *srcdir = getenv("srcdir");
	char program[512];
	const char *const argv[] = {program, part, NULL};
	char *output;
	int rc;

	snprintf(program, sizeof(program), "%s/bench/bench", srcdir == NULL ? "." : srcdir);
	rc = proc_run(argv, 180000, &output);
	if (rc != status)
		tap_diag("%s", output);
	free(output);
	TAP_INT(rc, status);
}

static double
median_of(const json_t *figures, const char *part, const char *name, const char *figure)
{
	size_t i;
	json_t *one;

	json_array_foreach(figures, i, one)
		if (strcmp(json_string_value(json_object_get(one, "part")), part) == 0 &&
		    strcmp(json_string_value(json_object_get(one, "case")), name) == 0 &&
		    strcmp(json_string_value(json_object_get(one, "figure")), figure) == 0)
			return json_number_value(json_object_get(one, "median"));
	tap_diag("%s, %s: no \"%s\"", part, name, figure);
	return -1;
}

static void
check_json(void)
{
	json_error_t error;
	json_t *root = json_load_file(result_file(".json"), 0, &error), *figures = json_object_get(root, "figures");

	if (root == NULL)
		tap_diag("%s", error.text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	CU_ASSERT(json_object_size(json_object_get(root, "settings")) >= 4);
	CU_ASSERT(median_of(figures, "ceilings", "statements mark 200 B", "events_per_s") > 0);
	CU_ASSERT(median_of(figures, "ceilings", "producer 200 B", "events_per_s") > 0);
	CU_ASSERT(median_of(figures, "drain", "delete 200 B", "efficiency") > 0);
	CU_ASSERT(median_of(figures, "drain", "delete 200 B", "peak_rss_mib") > 1);
	CU_ASSERT(median_of(figures, "drain", "delete 200 B", "bare_events_per_s") > 0);
	CU_ASSERT(median_of(figures, "drain", "delete 200 B", "rate_to_bare_ratio") > 0);
	CU_ASSERT(median_of(figures, "latency", "100/s", "acknowledged_p99_ms") > 0);
	CU_ASSERT(median_of(figures, "latency", "100/s", "rate_kept") > 0.1);
	CU_ASSERT(median_of(figures, "latency", "100/s", "bare_acknowledged_p50_ms") > 0);
	CU_ASSERT(median_of(figures, "latency", "100/s", "bare_events") > 0);
	CU_ASSERT(median_of(figures, "latency", "100/s", "acknowledged_p50_to_bare_ratio") > 0);
	CU_ASSERT(median_of(figures, "latency", "100/s", "acknowledged_p99_to_bare_ratio") > 0);
	CU_ASSERT(median_of(figures, "scale", "one key", "rate_ratio") > 0);
	CU_ASSERT(median_of(figures, "hostile", "old snapshot", "rate_ratio") > 0);
	CU_ASSERT(median_of(figures, "hostile", "old snapshot", "straggler_ms") > -1000);
	CU_ASSERT(median_of(figures, "idle", "default", "transactions_per_s") >= 0);
	json_decref(root);
}

static void
check_plot(void)
{
	FILE *in = fopen(result_file(".svg"), "re");
	char text[16384];
	size_t len = in == NULL ? 0 : fread(text, 1, sizeof(text) - 1, in);

	if (in != NULL)
		fclose(in);
	text[len] = '\0';
	TAP_HAS(text, "<svg xmlns=");
	TAP_HAS(text, "delete 200 B");
	TAP_HAS(text, "100/s");
	TAP_HAS(text, "</svg>");
}

static void
remove_results(void)
{
	static const char *const endings[] = {".tsv", ".json", ".svg"};

	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++)
		unlink(result_file(endings[i]));
	rmdir(dir);
}

static void
test_smoke(void)
{
	if (getenv("PGOUTBOX_TEST_PG") == NULL || getenv("PGOUTBOX_TEST_KAFKA_DIR") == NULL) {
		tap_skip("PGOUTBOX_TEST_PG and PGOUTBOX_TEST_KAFKA_DIR say where the servers are; they are not set");
		return;
	}
	snprintf(dir, sizeof(dir), "/tmp/pgoutbox-e2e.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	setenv("RESULTS", dir, 1);
	setenv("PGOUTBOX_BENCH_INSIDE", "yes", 1);
	run_bench("smoke", 0);
	check_json();
	check_plot();
	remove_results();
}

static void
test_wrong_part(void)
{
	run_bench("drains", 64);
}

int
main(void)
{
	tap_suite("bench");
	tap_test("every program of the benchmark works, and its results can be read", test_smoke);
	tap_test("a part that there is not is refused", test_wrong_part);
	return tap_run();
}
