/* metrics.def keeps to the conventions that no compiler checks. */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "metrics/rows.h"
#include "support/tap.h"

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);
	return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static void
names(void)
{
	for (enum metric id = 0; id < METRICS_COUNT; id++) {
		const struct metric_row *row = rows_get(id);
		TAP_INT(strspn(row->name, "abcdefghijklmnopqrstuvwxyz_0123456789"), strlen(row->name));
		bool ours = strncmp(row->name, "pgoutbox_", 9) == 0;
		TAP_INT(ours, row->scope != SCOPE_PROCESS);
		TAP_INT(!ours, strncmp(row->name, "process_", 8) == 0);
		TAP_INT(ends_with(row->name, "_total"), row->type == TYPE_COUNTER);
		for (enum metric other = 0; other < id; other++)
			CU_ASSERT(strcmp(row->name, rows_get(other)->name) != 0);
	}
}

static void
units_are_in_the_names(void)
{
	for (enum metric id = 0; id < METRICS_COUNT; id++) {
		const struct metric_row *row = rows_get(id);
		TAP_INT(strstr(row->name, "_seconds") != NULL, row->unit == UNIT_SECONDS);
		TAP_INT(strstr(row->name, "_bytes") != NULL, row->unit == UNIT_BYTES);
	}
}

/* A help is one sentence, and needs no escaping, neither in the exposition nor in a Markdown table. */
static void
helps(void)
{
	for (enum metric id = 0; id < METRICS_COUNT; id++) {
		const char *help = rows_get(id)->help;
		CU_ASSERT(isupper((unsigned char)help[0]) || isdigit((unsigned char)help[0]));
		CU_ASSERT(ends_with(help, "."));
		CU_ASSERT_PTR_NULL(strpbrk(help, "\\\n|\""));
	}
}

static void
buckets_ascend(void)
{
	for (enum metric id = 0; id < METRICS_COUNT; id++) {
		if (rows_get(id)->type != TYPE_HISTOGRAM)
			continue;
		TAP_INT(rows_get(id)->label, LABEL_NONE);
		const struct bucket_set *b = rows_buckets(id);
		CU_ASSERT(b->bounds[0] > 0);
		for (unsigned i = 1; i < b->count; i++)
			CU_ASSERT(b->bounds[i] > b->bounds[i - 1]);
	}
}

/* The enums of metrics.h number the values that are shown. */
static void
labels_by_number(void)
{
	const struct label_set *side = rows_labels(METRIC_UP), *class = rows_labels(METRIC_EVENTS_FAILED);
	TAP_STR(side->name, "side");
	TAP_STR(side->values[METRIC_SIDE_POSTGRESQL], "postgresql");
	TAP_STR(side->values[METRIC_SIDE_KAFKA], "kafka");
	TAP_STR(class->name, "class");
	TAP_STR(class->values[METRIC_CLASS_OUTAGE], "outage");
	TAP_STR(class->values[METRIC_CLASS_TOPIC], "topic");
	TAP_STR(class->values[METRIC_CLASS_POISON], "poison");
	TAP_STR(class->values[METRIC_CLASS_FATAL], "fatal");
	TAP_STR(rows_labels(METRIC_CONFIG_RELOADS)->values[METRIC_RESULT_OK], "ok");
	TAP_STR(rows_labels(METRIC_CONFIG_RELOADS)->values[METRIC_RESULT_FAILED], "failed");
	CU_ASSERT_PTR_NULL(rows_labels(METRIC_EVENTS_SENT)->name);
}

int
main(void)
{
	tap_suite("rows");
	tap_test("names", names);
	tap_test("units are in the names", units_are_in_the_names);
	tap_test("helps", helps);
	tap_test("buckets ascend", buckets_ascend);
	tap_test("labels by number", labels_by_number);
	return tap_run();
}
