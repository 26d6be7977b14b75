/* script.c - in: SQL with variables; out: SQL. Knows where SQL quotes, and nothing else of it. */
#include "admin/script.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "source/literal.h"

void
script_add_identifier(struct buf *out, const char *name)
{
	buf_add_char(out, '"');
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '"')
			buf_add_char(out, '"');
		buf_add_char(out, *p);
	}
	buf_add_char(out, '"');
}

/* A backslash means itself only where standard_conforming_strings is on; within E'' it is always doubled. */
void
script_add_literal(struct buf *out, const char *value)
{
	if (strchr(value, '\\') != NULL)
		buf_add_str(out, " E");
	literal_add_quoted(out, value);
}

static bool
is_name_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* The end of what p opens, which is searched for from p + skip; the end of the text when it never comes. */
static const char *
after(const char *p, size_t skip, const char *closing)
{
	const char *end = strstr(p + skip, closing);

	return end != NULL ? end + strlen(closing) : p + strlen(p);
}

static const char *
after_block_comment(const char *p)
{
	int depth = 0;

	do {
		if (p[0] == '/' && p[1] == '*') {
			depth++;
			p += 2;
		} else if (p[0] == '*' && p[1] == '/') {
			depth--;
			p += 2;
		} else
			p++;
	} while (depth > 0 && *p != '\0');
	return p;
}

/* "$tag$ ... $tag$"; a single dollar is no quote. */
static const char *
after_dollar_quote(const char *p)
{
	char tag[64];
	size_t len = 1;

	while (is_name_byte(p[len]))
		len++;
	if (p[len] != '$' || len + 2 > sizeof(tag) || isdigit((unsigned char)p[1]))
		return p + 1;
	memcpy(tag, p, len + 1);
	tag[len + 1] = '\0';
	return after(p, len + 1, tag);
}

/* The end of a stretch at p that holds no variables, or p itself. */
static const char *
after_verbatim(const char *p)
{
	if (p[0] == '\'')
		return after(p, 1, "'");
	if (p[0] == '"')
		return after(p, 1, "\"");
	if (p[0] == '-' && p[1] == '-')
		return after(p, 2, "\n");
	if (p[0] == '/' && p[1] == '*')
		return after_block_comment(p);
	if (p[0] == '$')
		return after_dollar_quote(p);
	if (p[0] == ':' && p[1] == ':')
		return p + 2;
	return p;
}

/* p is at the colon; moves it behind the reference. */
static int
fill_variable(const char **p, const struct script_variable *variables, size_t count, struct buf *out, struct error *err)
{
	char quote = (*p)[1] == '"' || (*p)[1] == '\'' ? (*p)[1] : '\0';
	const char *name = *p + (quote != '\0' ? 2 : 1);
	size_t len = 0;

	while (is_name_byte(name[len]))
		len++;
	if (len == 0 || (quote != '\0' && name[len] != quote))
		return error_set(err, ERR_FATAL, "a variable of an SQL text does not end: \"%.*s\"", (int)len + 2, *p);
	for (size_t i = 0; i < count; i++) {
		if (strlen(variables[i].name) != len || memcmp(variables[i].name, name, len) != 0)
			continue;
		if (quote == '"')
			script_add_identifier(out, variables[i].value);
		else if (quote == '\'')
			script_add_literal(out, variables[i].value);
		else
			buf_add_str(out, variables[i].value);
		*p = name + len + (quote != '\0' ? 1 : 0);
		return 0;
	}
	return error_set(err, ERR_FATAL, "nobody gave variable \"%.*s\" of an SQL text", (int)len, name);
}

int
script_fill(const char *text, const struct script_variable *variables, size_t count, struct buf *out, struct error *err)
{
	const char *p = text;

	while (*p != '\0') {
		const char *end = after_verbatim(p);

		if (end != p) {
			buf_add(out, p, (size_t)(end - p));
			p = end;
		} else if (*p == ':' && (is_name_byte(p[1]) || p[1] == '"' || p[1] == '\'')) {
			if (fill_variable(&p, variables, count, out, err) != 0)
				return -1;
		} else
			buf_add_char(out, *p++);
	}
	if (buf_failed(out))
		return error_set(err, ERR_RETRY, "out of memory");
	return 0;
}
