/* Tests of src/metrics/readings.c: what Prometheus reads of a query's rows, and what of too many. */
#include "metrics/readings.c"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "support/tap.h"

static const char *const queries[] = {"stock", "other"};
static struct readings *r;
static struct buf out;

static void
setup(void)
{
	struct error err;

	TAP_INT_FATAL(readings_new(queries, 2, &r, &err), 0);
}

static void
teardown(void)
{
	readings_free(r);
	buf_done(&out);
}

static const char *
shown(void)
{
	buf_reset(&out);
	readings_render(r, &out);
	return buf_str(&out);
}

/* kind, shelf: labels; items, sold_total: values. Rows end with NULL in place of kind. */
static int
put(size_t query, const char *const (*rows)[4], size_t count, bool *ret_dropped, struct error *err)
{
	static const char *const names[] = {"kind", "shelf", "items", "sold_total"};
	static const bool values[] = {false, false, true, true};
	struct readings_table t = {.columns = 4, .rows = count, .names = names, .values = values, .cells = &rows[0][0]};

	return readings_put(r, query, &t, ret_dropped, err);
}

static void
rows_become_samples(void)
{
	static const char *const rows[][4] = {{"apple", "1", "7", "2.5"}, {"pear", NULL, "Infinity", NULL}, {"", "3", "NaN", "-Infinity"}};
	bool dropped = true;
	struct error err;

	TAP_STR(shown(), "");
	TAP_INT_FATAL(put(0, rows, 3, &dropped, &err), 0);
	CU_ASSERT_FALSE(dropped);
	TAP_STR(shown(), "# HELP pgoutbox_query_stock_items Column \"items\" of the query \"stock\".\n"
	                 "# TYPE pgoutbox_query_stock_items gauge\n"
	                 "pgoutbox_query_stock_items{kind=\"apple\",shelf=\"1\"} 7\n"
	                 "pgoutbox_query_stock_items{kind=\"pear\",shelf=\"\"} +Inf\n"
	                 "pgoutbox_query_stock_items{kind=\"\",shelf=\"3\"} NaN\n"
	                 "# HELP pgoutbox_query_stock_sold_total Column \"sold_total\" of the query \"stock\".\n"
	                 "# TYPE pgoutbox_query_stock_sold_total counter\n"
	                 "pgoutbox_query_stock_sold_total{kind=\"apple\",shelf=\"1\"} 2.5\n"
	                 "pgoutbox_query_stock_sold_total{kind=\"\",shelf=\"3\"} -Inf\n");
}

/* What was fetched is shown again until there is news; what nobody fetched is replaced. */
static void
news_replace_what_was(void)
{
	static const char *const before[][4] = {{"a", "1", "7", NULL}}, *const after[][4] = {{"b", "1", "8", NULL}};
	bool dropped;
	struct error err;

	TAP_INT_FATAL(put(0, before, 1, &dropped, &err), 0);
	TAP_INT_FATAL(put(1, before, 1, &dropped, &err), 0);
	TAP_HAS(shown(), "pgoutbox_query_stock_items{kind=\"a\",shelf=\"1\"} 7\n");
	TAP_HAS(shown(), "pgoutbox_query_other_items{kind=\"a\",shelf=\"1\"} 7\n");
	TAP_INT_FATAL(put(0, after, 1, &dropped, &err), 0);
	TAP_INT_FATAL(put(0, after, 0, &dropped, &err), 0);
	CU_ASSERT_PTR_NULL(strstr(shown(), "stock"));
	TAP_INT_FATAL(put(0, after, 1, &dropped, &err), 0);
	readings_clear(r, 1);
	TAP_STR(shown(), "# HELP pgoutbox_query_stock_items Column \"items\" of the query \"stock\".\n"
	                 "# TYPE pgoutbox_query_stock_items gauge\n"
	                 "pgoutbox_query_stock_items{kind=\"b\",shelf=\"1\"} 8\n");
	readings_clear(r, 0);
	TAP_STR(shown(), "");
	readings_render(NULL, &out);
}

static void
labels_are_escaped_and_cut(void)
{
	char text[READINGS_LABEL_MAX + 4];
	const char *rows[][4] = {{"a\"b\\c\nd", text, "1", NULL}};
	bool dropped;
	struct error err;

	/* the last character would be cut in two */
	memset(text, 'x', READINGS_LABEL_MAX - 1);
	memcpy(text + READINGS_LABEL_MAX - 1, "\xc3\xa9!", 4);
	TAP_INT_FATAL(put(0, (const char *const(*)[4])rows, 1, &dropped, &err), 0);
	TAP_HAS(shown(), "{kind=\"a\\\"b\\\\c\\nd\",shelf=\"xxx");
	TAP_HAS(shown(), "xxx\"} 1\n");
	TAP_INT(strlen(strstr(shown(), "xxx")), READINGS_LABEL_MAX - 1 + strlen("\"} 1\n"));
	CU_ASSERT_FALSE(dropped);
}

static void
too_many_rows(void)
{
	static char numbers[READINGS_ROWS_MAX + 1][8];
	const char *rows[READINGS_ROWS_MAX + 1][4];
	bool dropped = true;
	struct error err;

	for (int i = 0; i <= READINGS_ROWS_MAX; i++) {
		snprintf(numbers[i], sizeof(numbers[i]), "n%d", i);
		rows[i][0] = numbers[i];
		rows[i][1] = rows[i][3] = NULL;
		rows[i][2] = "1";
	}
	TAP_INT_FATAL(put(0, (const char *const(*)[4])rows, READINGS_ROWS_MAX, &dropped, &err), 0);
	CU_ASSERT_FALSE(dropped);
	TAP_INT_FATAL(put(0, (const char *const(*)[4])rows, READINGS_ROWS_MAX + 1, &dropped, &err), 0);
	CU_ASSERT_TRUE(dropped);
	TAP_HAS(shown(), "kind=\"n99\"");
	CU_ASSERT_PTR_NULL(strstr(shown(), "kind=\"n100\""));
}

/* Few rows may be long, too. */
static void
too_much_text(void)
{
	enum { WIDE = 30, LONG = 90 };
	static char texts[LONG][READINGS_LABEL_MAX + 1], columns[WIDE + 1][4];
	const char *names[WIDE + 1], *cells[LONG * (WIDE + 1)];
	bool values[WIDE + 1] = {true}, dropped = false;
	struct readings_table t = {.columns = WIDE + 1, .rows = LONG, .names = names, .values = values, .cells = cells};
	struct error err;

	for (int c = 0; c <= WIDE; c++) {
		snprintf(columns[c], sizeof(columns[c]), "c%d", c);
		names[c] = columns[c];
	}
	for (int i = 0; i < LONG; i++) {
		snprintf(texts[i], sizeof(texts[i]), "%0*d", READINGS_LABEL_MAX, i);
		for (int c = 0; c <= WIDE; c++)
			cells[i * (WIDE + 1) + c] = c == 0 ? "1" : texts[i];
	}
	TAP_INT_FATAL(readings_put(r, 0, &t, &dropped, &err), 0);
	CU_ASSERT_TRUE(dropped);
	CU_ASSERT(strlen(shown()) < READINGS_BYTES_MAX + 2 * WIDE * (READINGS_LABEL_MAX + 10));
	CU_ASSERT(strlen(shown()) > READINGS_BYTES_MAX / 2);
}

static void
refuses(size_t count, const char *const *names, const bool *values, const char *message)
{
	struct error err;

	TAP_INT(readings_check("stock", count, names, values, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_STR(err.message, message);
	CU_ASSERT(err.hint[0] != '\0');
}

static void
columns_must_be_names(void)
{
	static const bool values[READINGS_COLUMNS_MAX + 1] = {true};
	const char *wide[READINGS_COLUMNS_MAX + 1] = {"v"};
	struct error err;

	refuses(1, (const char *const[]){"?column?"}, values, "column 1 of query \"stock\" has a name that no metric can have");
	refuses(2, (const char *const[]){"a", "9a"}, values, "column 2 of query \"stock\" has a name that no metric can have");
	refuses(2, (const char *const[]){"a", "__name__"}, values, "column 2 of query \"stock\" has a name that no metric can have");
	refuses(2, (const char *const[]){"a", "a"}, values, "two columns of query \"stock\" are named \"a\"");
	refuses(1, (const char *const[]){"a"}, values + 1, "query \"stock\" has no column that could be a value");
	refuses(0, NULL, NULL, "query \"stock\" has no column that could be a value");
	refuses(READINGS_COLUMNS_MAX + 1, wide, values, "query \"stock\" has 33 columns, more than 32");
	TAP_INT(readings_check("stock", 2, (const char *const[]){"__v", "Kind_9"}, values, &err), 0);
}

/* Prometheus would take one of them, and nobody knows which. */
static void
rows_must_differ(void)
{
	static const char *const good[][4] = {{"a", "1", "7", "0"}},
	                         *const bad[][4] = {{"a", "1", "7", "0"}, {"a", "2", "7", "0"}, {"a", "1", "8", "0"}};
	bool dropped = false;
	struct error err;

	TAP_INT_FATAL(put(0, good, 1, &dropped, &err), 0);
	TAP_INT_FATAL(put(1, good, 1, &dropped, &err), 0);
	TAP_INT(put(0, bad, 3, &dropped, &err), -1);
	TAP_STR(err.message, "rows 1 and 3 of query \"stock\" have the same labels");
	CU_ASSERT_PTR_NULL(strstr(shown(), "stock"));
	TAP_HAS(shown(), "pgoutbox_query_other_items{kind=\"a\",shelf=\"1\"} 7\n");
}

static _Atomic bool enough;

static void *
write_pages(void *arg)
{
	static const char *const rows[2][2][4] = {{{"a", "1", "7", "7"}, {"b", "1", "7", "7"}}, {{"a", "1", "8", "8"}, {"b", "1", "8", "8"}}};
	bool dropped;
	struct error err;

	(void)arg;
	for (int i = 0; !enough; i++)
		if (i % 7 == 0)
			readings_clear(r, 0);
		else
			(void)!put(0, rows[i % 2], 2, &dropped, &err);
	return NULL;
}

/* A page is of one run, whenever it is fetched. */
static void
rendered_while_written(void)
{
	size_t seen[2] = {0, 0};
	pthread_t thread;

	enough = false;
	TAP_INT_FATAL(pthread_create(&thread, NULL, write_pages, NULL), 0);
	while (seen[0] < 100 || seen[1] < 100) {
		const char *text = shown();
		bool seven = strstr(text, " 7\n") != NULL, eight = strstr(text, " 8\n") != NULL;

		CU_ASSERT_FALSE(seven && eight);
		CU_ASSERT_EQUAL(seven || eight, text[0] != '\0');
		seen[0] += seven;
		seen[1] += eight;
		sched_yield();
	}
	enough = true;
	pthread_join(thread, NULL);
}

int
main(void)
{
	tap_suite_fixture("readings", setup, teardown);
	tap_test("rows become samples", rows_become_samples);
	tap_test("news replace what was shown", news_replace_what_was);
	tap_test("labels are escaped, and cut between characters", labels_are_escaped_and_cut);
	tap_test("too many rows", too_many_rows);
	tap_test("too much text", too_much_text);
	tap_test("columns must have names that metrics can have", columns_must_be_names);
	tap_test("rows must differ in their labels", rows_must_differ);
	tap_test("rendered while written", rendered_while_written);
	return tap_run();
}
