/* test_dashboard.c - etc/grafana/pgoutbox.json is what Grafana can load: JSON of its shape, with nothing on top of anything. */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/tap.h"

enum { COLUMNS = 24, ROWS = 200, PANELS = 100 };

static json_t *dashboard;

static void
setup(void)
{
	const char *srcdir = getenv("srcdir");
	char path[512];
	json_error_t err;

	snprintf(path, sizeof(path), "%s/etc/grafana/pgoutbox.json", srcdir != NULL ? srcdir : ".");
	dashboard = json_load_file(path, JSON_REJECT_DUPLICATES, &err);
	if (dashboard == NULL)
		tap_diag("%s:%d: %s", path, err.line, err.text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(dashboard);
}

static void
teardown(void)
{
	json_decref(dashboard);
}

static const char *
text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value != NULL ? value : "";
}

static void
test_shape(void)
{
	static const char *const rows[] = {"Is it well", "Flow", "Latency", "Backlog", "Lanes and holds", "PostgreSQL", "Kafka", "Process"};
	size_t i, n = 0;
	json_t *panel;

	TAP_STR(text(dashboard, "uid"), "pgoutbox");
	CU_ASSERT(json_integer_value(json_object_get(dashboard, "schemaVersion")) >= 38);
	CU_ASSERT(json_is_null(json_object_get(dashboard, "id")));
	json_array_foreach (json_object_get(dashboard, "panels"), i, panel)
		if (strcmp(text(panel, "type"), "row") == 0 && n < sizeof(rows) / sizeof(rows[0]))
			TAP_STR(text(panel, "title"), rows[n++]);
	TAP_INT(n, sizeof(rows) / sizeof(rows[0]));
}

/* Each says what it shows, and asks the source that the reader has chosen. */
static void
test_panels(void)
{
	bool used[PANELS + 1] = {false};
	size_t i, k;
	json_t *panel, *target;

	json_array_foreach (json_object_get(dashboard, "panels"), i, panel) {
		json_int_t id = json_integer_value(json_object_get(panel, "id"));

		CU_ASSERT_FATAL(id > 0 && id <= PANELS);
		CU_ASSERT_FALSE(used[id]);
		used[id] = true;
		CU_ASSERT(text(panel, "title")[0] != '\0');
		if (strcmp(text(panel, "type"), "row") == 0)
			continue;
		CU_ASSERT(text(panel, "description")[0] != '\0');
		CU_ASSERT(json_array_size(json_object_get(panel, "targets")) > 0);
		json_array_foreach (json_object_get(panel, "targets"), k, target) {
			CU_ASSERT(text(target, "expr")[0] != '\0');
			TAP_STR(text(json_object_get(target, "datasource"), "uid"), "${datasource}");
			TAP_INT(text(target, "refId")[0], 'A' + (int)k);
		}
	}
}

static int
number(const json_t *panel, const char *name)
{
	return (int)json_integer_value(json_object_get(json_object_get(panel, "gridPos"), name));
}

static void
test_places(void)
{
	static bool taken[ROWS][COLUMNS];
	size_t i;
	json_t *panel;

	memset(taken, 0, sizeof(taken));
	json_array_foreach (json_object_get(dashboard, "panels"), i, panel) {
		int left = number(panel, "x"), top = number(panel, "y"), right = left + number(panel, "w"), bottom = top + number(panel, "h");

		CU_ASSERT_FATAL(left >= 0 && top >= 0 && right > left && bottom > top && right <= COLUMNS && bottom <= ROWS);
		for (int y = top; y < bottom; y++)
			for (int x = left; x < right; x++) {
				CU_ASSERT_FALSE(taken[y][x]);
				taken[y][x] = true;
			}
	}
}

int
main(void)
{
	tap_suite_fixture("dashboard", setup, teardown);
	tap_test("it is a dashboard with the rows that the documents name", test_shape);
	tap_test("each panel says what it shows and where from", test_panels);
	tap_test("no panel lies on another", test_places);
	return tap_run();
}
