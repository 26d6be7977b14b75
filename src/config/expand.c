/* expand.c - a value as the file has it and the environment in, the value that is meant out. Shows no variable's value. */
#include "config/expand.h"

#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "config/quote.h"

#define NAME_MAX_LEN 128

static const char name_bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz0123456789";

struct reference {
	char name[NAME_MAX_LEN + 1];
	char kind; /* '-', '?', or 0 */
	const char *rest; /* the default or the message */
	size_t rest_len;
};

/* What follows "${"; returns its length with the brace, 0 when it is no reference. */
static size_t
parse(const char *text, struct reference *ret)
{
	size_t len = strspn(text, name_bytes), rest;
	const char *end;

	if (len == 0 || len > NAME_MAX_LEN || (text[0] >= '0' && text[0] <= '9'))
		return 0;
	*ret = (struct reference){.kind = 0};
	memcpy(ret->name, text, len);
	if (text[len] == '}')
		return len + 1;
	if (text[len] != ':' || (text[len + 1] != '-' && text[len + 1] != '?'))
		return 0;
	rest = len + 2;
	end = strchr(text + rest, '}');
	if (end == NULL)
		return 0;
	ret->kind = text[len + 1];
	ret->rest = text + rest;
	ret->rest_len = (size_t)(end - ret->rest);
	return (size_t)(end - text) + 1;
}

static bool
is_text(const char *value)
{
	struct slice s = slice_from(value);
	uint32_t point;

	for (size_t at = 0, length; at < s.len; at += length) {
		length = quote_decode(s, at, &point);
		if (length == 0 || !quote_is_printable(point))
			return false;
	}
	return true;
}

static int
add_value(const struct reference *ref, struct buf *out, struct error *err)
{
	const char *value = getenv(ref->name);

	if (value != NULL && (value[0] != '\0' || ref->kind == 0)) {
		if (!is_text(value))
			return error_set(err, ERR_CONFIG, "the value of the environment variable \"%s\" is not printable UTF-8", ref->name);
		buf_add_str(out, value);
		return 0;
	}
	if (ref->kind == '-') {
		buf_add(out, ref->rest, ref->rest_len);
		return 0;
	}
	error_set(err, ERR_CONFIG, "the environment variable \"%s\" is not set%s%.*s", ref->name, ref->rest_len > 0 ? ": " : "",
	          (int)(ref->rest_len > 200 ? 200 : ref->rest_len), ref->rest_len > 0 ? ref->rest : "");
	return error_hint(err, "set it where the program is started, or write ${%s:-default}", ref->name);
}

int
expand_variables(const char *text, struct buf *out, struct error *err)
{
	for (const char *dollar; (dollar = strchr(text, '$')) != NULL;) {
		struct reference ref;
		size_t len;

		buf_add(out, text, (size_t)(dollar - text));
		text = dollar + 1;
		if (*text == '$') {
			text++;
			buf_add_char(out, '$');
		} else if (*text != '{') {
			buf_add_char(out, '$');
		} else {
			len = parse(++text, &ref);
			if (len == 0) {
				error_set(err, ERR_CONFIG, "\"${\" begins no environment variable");
				return error_hint(err, "write ${NAME}, ${NAME:-default} or ${NAME:?message}, and $$ for a dollar sign");
			}
			if (add_value(&ref, out, err) < 0)
				return -1;
			text += len;
		}
	}
	buf_add_str(out, text);
	return buf_failed(out) ? error_set(err, ERR_RETRY, "out of memory") : 0;
}

void
expand_escape(const char *text, struct buf *out)
{
	for (; *text != '\0'; text++) {
		if (*text == '$')
			buf_add_char(out, '$');
		buf_add_char(out, *text);
	}
}
