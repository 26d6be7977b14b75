/* quote.c - any text in, text that is safe to show out. Decides nothing about what the text means. */
#include "config/quote.h"

#include "base/utf8.h"

#define SHOWN_MAX 60 /* characters of a value that a message shows */

size_t
quote_decode(struct slice text, size_t at, uint32_t *ret_point)
{
	static const unsigned char lead_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
	size_t length = utf8_char(text.data + at, text.len - at);
	uint32_t point;

	if (length == 0)
		return 0;
	point = (unsigned char)text.data[at] & lead_mask[length];
	for (size_t i = 1; i < length; i++)
		point = point << 6 | ((unsigned char)text.data[at + i] & 0x3Fu);
	*ret_point = point;
	return length;
}

bool
quote_is_printable(uint32_t point)
{
	if (point < 0x20)
		return point == '\t' || point == '\n' || point == '\r';
	if (point < 0x7F)
		return true;
	return point == 0x85 || (point >= 0xA0 && point != 0xFEFF && point != 0xFFFE && point != 0xFFFF);
}

/* A printable character that ends a line, or that an eye or a parser could take for nothing. */
static bool
needs_escape(uint32_t point)
{
	return !quote_is_printable(point) || point < 0x20 || point == 0x85 || point == 0x2028 || point == 0x2029;
}

static void
add_escape(struct buf *out, uint32_t point)
{
	if (point == '\n')
		buf_add_str(out, "\\n");
	else if (point == '\t')
		buf_add_str(out, "\\t");
	else if (point <= 0xFF)
		buf_printf(out, "\\x%02X", (unsigned)point);
	else
		buf_printf(out, "\\u%04X", (unsigned)point);
}

void
quote_value(struct buf *out, const char *text)
{
	struct slice s = slice_from(text);
	size_t shown = 0;

	buf_add_char(out, '"');
	for (size_t at = 0; at < s.len; shown++) {
		uint32_t point;
		size_t length = quote_decode(s, at, &point);

		if (shown == SHOWN_MAX) {
			buf_add_str(out, "...");
			break;
		}
		if (length == 0) {
			buf_printf(out, "\\x%02X", (unsigned)(unsigned char)s.data[at]);
			at++;
			continue;
		}
		if (needs_escape(point))
			add_escape(out, point);
		else
			buf_add(out, s.data + at, length);
		at += length;
	}
	buf_add_char(out, '"');
}

void
quote_yaml(struct buf *out, const char *text)
{
	struct slice s = slice_from(text);

	buf_add_char(out, '"');
	for (size_t at = 0; at < s.len;) {
		uint32_t point;
		size_t length = quote_decode(s, at, &point);

		if (length == 0) {
			/* The loader lets only UTF-8 in. */
			at++;
			continue;
		}
		if (needs_escape(point))
			add_escape(out, point);
		else if (point == '"' || point == '\\')
			buf_printf(out, "\\%c", (char)point);
		else
			buf_add(out, s.data + at, length);
		at += length;
	}
	buf_add_char(out, '"');
}
