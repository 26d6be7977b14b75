/* table.c - in: cells; out: lines. Knows nothing of what they say. */
#include "ctl/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define GAP 2

/* C0, DEL and, as UTF-8, C1. */
static bool
is_control(const char *s, size_t len)
{
	unsigned char c = (unsigned char)s[0];

	return c < 0x20 || c == 0x7f || (len == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0);
}

void
table_add_harmless(struct buf *out, const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		size_t n = utf8_char(text, len);

		if (n > 0 && !is_control(text, n))
			buf_add(out, text, n);
		for (size_t i = 0; i < (n > 0 ? n : 1) && (n == 0 || is_control(text, n)); i++)
			buf_printf(out, "\\x%02X", (unsigned char)text[i]);
		n += n == 0;
		text += n;
		len -= n;
	}
}

static bool
begins_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

int
table_width(const char *text)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += begins_character(*text);
	return n;
}

static void
add_cut(struct buf *out, const char *text)
{
	struct buf whole __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *end;
	int n = 0;

	table_add_harmless(&whole, text);
	end = buf_str(&whole);
	if (table_width(end) <= TABLE_WIDTH_MAX) {
		buf_add_str(out, end);
	} else {
		while ((n += begins_character(*end)) <= TABLE_WIDTH_MAX - 3)
			end++;
		buf_add(out, whole.data, (size_t)(end - whole.data));
		buf_add_str(out, "...");
	}
	out->failed |= buf_failed(&whole);
}

void
table_add(struct table *t, const char *const *cells)
{
	for (int i = 0; i < t->columns; i++) {
		const char *text = cells[i] != NULL && cells[i][0] != '\0' ? cells[i] : "-";

		if (i < t->columns - 1)
			add_cut(&t->cells, text);
		else
			table_add_harmless(&t->cells, text);
		buf_add_char(&t->cells, '\0');
	}
	t->rows++;
}

static void
print_cell(FILE *out, const char *text, int pad)
{
	fputs(text, out);
	for (int n = pad > 0 ? pad - table_width(text) + GAP : 0; n > 0; n--)
		fputc(' ', out);
}

int
table_print(const struct table *t, FILE *out)
{
	int *widths = calloc((size_t)t->columns, sizeof(*widths));
	const char *cell = t->cells.data;

	if (widths == NULL || buf_failed(&t->cells)) {
		free(widths);
		return -1;
	}
	for (int i = 0; i < t->columns; i++)
		widths[i] = table_width(t->titles[i]);
	for (int n = 0; n < t->rows * t->columns; n++, cell += strlen(cell) + 1)
		if (table_width(cell) > widths[n % t->columns])
			widths[n % t->columns] = table_width(cell);
	widths[t->columns - 1] = 0;
	for (int i = 0; i < t->columns; i++)
		print_cell(out, t->titles[i], widths[i]);
	fputc('\n', out);
	cell = t->cells.data;
	for (int n = 0; n < t->rows * t->columns; n++, cell += strlen(cell) + 1) {
		print_cell(out, cell, widths[n % t->columns]);
		if (n % t->columns == t->columns - 1)
			fputc('\n', out);
	}
	free(widths);
	return 0;
}

void
table_done(struct table *t)
{
	buf_done(&t->cells);
}
