/* rows.c - the constants that metrics.def and its words stand for. */
#include "metrics/rows.h"

#include <assert.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

const struct metric_row rows_table[METRICS_COUNT] = {
#define METRIC(id, name, type, scope, label, unit, help) \
	[METRIC_##id] = {name, TYPE_##type, SCOPE_##scope, LABEL_##label, UNIT_##unit, help},
#include "metrics/metrics.def"
#undef METRIC
};

static const char *const no_values[] = {NULL};
static const char *const side_values[] = {"postgresql", "kafka"};
static const char *const class_values[] = {"outage", "topic", "poison", "fatal"};
static const char *const result_values[] = {"ok", "failed"};
static const char *const scope_values[] = {"all", "lane", "topic"};
static_assert(LENGTH(no_values) == LABELS_NONE, "labels of NONE");
static_assert(LENGTH(side_values) == LABELS_SIDE, "labels of SIDE");
static const char *const post_values[] = {"delivered", "failed", "refused", "dropped"};
static_assert(LENGTH(post_values) == LABELS_POST, "labels of POST");
static_assert(LENGTH(class_values) == LABELS_CLASS, "labels of CLASS");
static_assert(LENGTH(result_values) == LABELS_RESULT, "labels of RESULT");
static_assert(LENGTH(scope_values) == LABELS_SCOPE, "labels of SCOPE");

const struct label_set rows_label_sets[] = {
	[LABEL_NONE] = {NULL, LABELS_NONE, no_values},
	[LABEL_SIDE] = {"side", LABELS_SIDE, side_values},
	[LABEL_CLASS] = {"class", LABELS_CLASS, class_values},
	[LABEL_POST] = {"result", LABELS_POST, post_values},
	[LABEL_RESULT] = {"result", LABELS_RESULT, result_values},
	[LABEL_SCOPE] = {"scope", LABELS_SCOPE, scope_values},
};

#define MS(n) ((n) * INT64_C(1000))
#define SEC(n) ((n) * INT64_C(1000000))

static const int64_t count_bounds[] = {1,   2,    5,    10,   20,    50,    100,   200,
                                       500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};
static const int64_t bytes_bounds[] = {256,     1024,    4096,    16384,    65536,
                                       1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26};
/* From a round trip on one machine to half a day, which an event may wait through an outage. */
static const int64_t seconds_bounds[] = {
	100,     250,     500,      MS(1),   2500,    MS(5),   MS(10),   MS(25),    MS(50),    MS(100),   MS(250),
	MS(500), SEC(1),  MS(2500), SEC(5),  SEC(10), SEC(30), SEC(60),  SEC(300),  SEC(1800), SEC(7200), SEC(43200)};
static_assert(LENGTH(count_bounds) == BUCKETS_COUNT, "buckets of COUNT");
static_assert(LENGTH(bytes_bounds) == BUCKETS_BYTES, "buckets of BYTES");
static_assert(LENGTH(seconds_bounds) == BUCKETS_SECONDS, "buckets of SECONDS");

const struct bucket_set rows_bucket_sets[] = {
	[UNIT_COUNT] = {BUCKETS_COUNT, count_bounds},
	[UNIT_BYTES] = {BUCKETS_BYTES, bytes_bounds},
	[UNIT_SECONDS] = {BUCKETS_SECONDS, seconds_bounds},
};
