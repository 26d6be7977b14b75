/* readings.c - rows of queries in, the Prometheus text format out. Knows neither SQL nor when a query is run.
 *
 * The writer leaves the whole page in a mailbox of one place, and takes back what nobody fetched; the renderer keeps what it
 * fetched last. So no lock is needed, and neither side waits.
 */
#include "metrics/readings.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define PREFIX "pgoutbox_query_"

struct readings {
	const char *const *names;
	size_t count;
	_Atomic(char *) mailbox;
	char *shown;        /* the renderer's */
	struct buf texts[]; /* the writer's, one a query */
};

int
readings_new(const char *const *names, size_t count, struct readings **ret_readings, struct error *err)
{
	struct readings *r = calloc(1, sizeof(*r) + count * sizeof(r->texts[0]));

	if (r == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	r->names = names;
	r->count = count;
	atomic_init(&r->mailbox, NULL);
	*ret_readings = r;
	return 0;
}

void
readings_free(struct readings *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->count; i++)
		buf_done(&r->texts[i]);
	free(atomic_load(&r->mailbox));
	free(r->shown);
	free(r);
}

/* Where memory is out for the page an empty one must do: what is old is not to be taken for new. */
static void
publish(struct readings *r)
{
	struct buf page __attribute__((cleanup(buf_done))) = BUF_INIT;
	char *text;

	for (size_t i = 0; i < r->count; i++)
		buf_add_str(&page, buf_str(&r->texts[i]));
	text = buf_take(&page);
	if (text == NULL)
		text = calloc(1, 1);
	free(atomic_exchange(&r->mailbox, text));
}

void
readings_render(struct readings *r, struct buf *out)
{
	char *news;

	if (r == NULL)
		return;
	news = atomic_exchange(&r->mailbox, NULL);
	if (news != NULL) {
		free(r->shown);
		r->shown = news;
	}
	if (r->shown != NULL)
		buf_add_str(out, r->shown);
}

void
readings_clear(struct readings *r, size_t query)
{
	if (r->texts[query].len == 0)
		return;
	buf_done(&r->texts[query]);
	publish(r);
}

/* --- columns --- */

static bool
is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

	return name[0] != '\0' && (name[0] < '0' || name[0] > '9') && name[strspn(name, letters)] == '\0';
}

static int
check_column(const char *query, const char *const *names, const bool *values, size_t c, struct error *err)
{
	if (!is_name(names[c]) || (!values[c] && strncmp(names[c], "__", 2) == 0)) {
		error_set(err, ERR_CONFIG, "column %zu of query \"%s\" has a name that no metric can have", c + 1, query);
		return error_hint(err, "name it by AS: letters, digits and \"_\", no digit first; a label's name does not begin with \"__\"");
	}
	for (size_t other = 0; other < c; other++)
		if (strcmp(names[other], names[c]) == 0) {
			error_set(err, ERR_CONFIG, "two columns of query \"%s\" are named \"%s\"", query, names[c]);
			return error_hint(err, "name one of them otherwise, by AS");
		}
	return 0;
}

int
readings_check(const char *query, size_t columns, const char *const *names, const bool *values, struct error *err)
{
	size_t found = 0;

	if (columns > READINGS_COLUMNS_MAX) {
		error_set(err, ERR_CONFIG, "query \"%s\" has %zu columns, more than %d", query, columns, READINGS_COLUMNS_MAX);
		return error_hint(err, "select fewer, or make several queries of it");
	}
	for (size_t c = 0; c < columns; c++) {
		if (check_column(query, names, values, c, err) != 0)
			return -1;
		found += values[c];
	}
	if (found > 0)
		return 0;
	error_set(err, ERR_CONFIG, "query \"%s\" has no column that could be a value", query);
	return error_hint(err, "select a number, a boolean, a timestamp or an interval");
}

/* --- rows --- */

/* The bytes of a label's value that are shown. What is not UTF-8 no server sends; a byte that is none is left out. */
static void
add_label(struct buf *out, const char *name, const char *value, const char *gap)
{
	size_t len = strlen(value);

	if (len > READINGS_LABEL_MAX)
		len = utf8_whole(value, READINGS_LABEL_MAX);
	buf_printf(out, "%s%s=\"", gap, name);
	for (size_t at = 0; at < len; at++) {
		if (value[at] == '\n')
			buf_add_str(out, "\\n");
		else if (value[at] == '\\' || value[at] == '"')
			buf_printf(out, "\\%c", value[at]);
		else
			buf_add_char(out, value[at]);
	}
	buf_add_char(out, '"');
}

static void
add_labels(struct buf *out, const struct readings_table *t, size_t row)
{
	const char *gap = "{";

	for (size_t c = 0; c < t->columns; c++) {
		const char *cell = t->cells[row * t->columns + c];

		if (t->values[c])
			continue;
		add_label(out, t->names[c], cell != NULL ? cell : "", gap);
		gap = ",";
	}
	if (gap[0] == ',')
		buf_add_char(out, '}');
}

/* PostgreSQL's words for what Prometheus writes otherwise. */
static const char *
shown_value(const char *value)
{
	if (strcmp(value, "Infinity") == 0)
		return "+Inf";
	return strcmp(value, "-Infinity") == 0 ? "-Inf" : value;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

struct rows {
	struct buf labels[READINGS_ROWS_MAX];
	size_t count;
	size_t bytes; /* of all samples that one value column gives */
};

static void
rows_done(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		buf_done(&rows->labels[i]);
}

static int
same_labels(const char *query, size_t a, size_t b, struct error *err)
{
	error_set(err, ERR_CONFIG, "rows %zu and %zu of query \"%s\" have the same labels", a + 1, b + 1, query);
	return error_hint(err, "group by the columns that are labels, or select what tells the rows apart; labels are compared by their first %d bytes",
	                  READINGS_LABEL_MAX);
}

/* The labels of each row that there is room for. */
static int
collect(const char *query, const struct readings_table *t, struct rows *rows, bool *ret_dropped, struct error *err)
{
	size_t values = 0;

	for (size_t c = 0; c < t->columns; c++)
		values += t->values[c];
	for (size_t row = 0; row < t->rows && row < READINGS_ROWS_MAX && rows->bytes * values < READINGS_BYTES_MAX; row++) {
		struct buf *labels = &rows->labels[rows->count++];

		*labels = BUF_INIT;
		add_labels(labels, t, row);
		rows->bytes += labels->len + 160;
		for (size_t other = 0; other < row; other++)
			if (strcmp(buf_str(&rows->labels[other]), buf_str(labels)) == 0)
				return same_labels(query, other, row, err);
	}
	*ret_dropped = rows->count < t->rows;
	return 0;
}

static void
add_metric(struct buf *out, const char *query, const struct readings_table *t, const struct rows *rows, size_t column)
{
	const char *name = t->names[column];
	bool head = false;

	for (size_t row = 0; row < rows->count; row++) {
		const char *cell = t->cells[row * t->columns + column];

		if (cell == NULL)
			continue;
		if (!head)
			buf_printf(out, "# HELP " PREFIX "%s_%s Column \"%s\" of the query \"%s\".\n# TYPE " PREFIX "%s_%s %s\n", query, name, name, query,
			           query, name, ends_with(name, "_total") ? "counter" : "gauge");
		head = true;
		buf_printf(out, PREFIX "%s_%s%s %s\n", query, name, buf_str(&rows->labels[row]), shown_value(cell));
	}
}

static int
render_query(const char *query, const struct readings_table *t, struct buf *out, bool *ret_dropped, struct error *err)
{
	struct rows rows __attribute__((cleanup(rows_done))) = {.count = 0};
	bool failed = false;

	if (readings_check(query, t->columns, t->names, t->values, err) != 0 || collect(query, t, &rows, ret_dropped, err) != 0)
		return -1;
	for (size_t c = 0; c < t->columns; c++)
		if (t->values[c])
			add_metric(out, query, t, &rows, c);
	for (size_t i = 0; i < rows.count; i++)
		failed = failed || buf_failed(&rows.labels[i]);
	return failed || buf_failed(out) ? error_set(err, ERR_RETRY, "out of memory") : 0;
}

int
readings_put(struct readings *r, size_t query, const struct readings_table *t, bool *ret_dropped, struct error *err)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT, old;
	bool dropped = false;

	if (render_query(r->names[query], t, &text, &dropped, err) != 0) {
		readings_clear(r, query);
		return -1;
	}
	old = r->texts[query];
	r->texts[query] = text;
	text = old;
	publish(r);
	*ret_dropped = dropped;
	return 0;
}
