/* template.c - see template.h */
#include "route/template.h"

#include <stdlib.h>
#include <string.h>

#include "route/text.h"

/* Parts are written into one block of text: a part with its NUL is never longer than the source that it came from,
 * but for a literal's NUL, for which there is room because a column before or behind it gave up three bytes. */
struct parser {
	const char *source;
	const char *p;
	struct template t;
	char *out;
};

static int
malformed(const struct parser *s, const char *at, const char *what, struct error *err)
{
	return error_set(err, ERR_CONFIG, "template \"%s\": %s at byte %td", text_shown(slice_from(s->source)).text, what,
	                 at - s->source + 1);
}

static void
add_part(struct parser *s, bool is_column, char *text)
{
	s->t.parts[s->t.count++] = (struct template_part){is_column, text, (size_t)(s->out - text), 0};
	*s->out++ = '\0';
}

static int
parse_column(struct parser *s, struct error *err)
{
	const char *name = s->p + 2;
	size_t len = strcspn(name, "}");

	if (name[len] == '\0') {
		malformed(s, s->p, "\"${\" without \"}\"", err);
		return error_hint(err, "write a column as \"${column}\", and \"$$\" for a dollar sign");
	}
	if (len == 0) {
		malformed(s, s->p, "\"${}\" names no column", err);
		return error_hint(err, "write a column as \"${column}\"");
	}
	char *text = s->out;
	memcpy(text, name, len);
	s->out += len;
	add_part(s, true, text);
	s->p = name + len + 1;
	return 0;
}

static int
parse_literal(struct parser *s, struct error *err)
{
	char *text = s->out;

	while (*s->p != '\0' && (s->p[0] != '$' || s->p[1] != '{')) {
		if (s->p[0] == '$' && s->p[1] != '$') {
			malformed(s, s->p, "\"$\" without \"{\"", err);
			return error_hint(err, "write a column as \"${column}\", and \"$$\" for a dollar sign");
		}
		if (s->p[0] == '$')
			s->p++;
		*s->out++ = *s->p++;
	}
	add_part(s, false, text);
	return 0;
}

static int
parse_parts(struct parser *s, struct error *err)
{
	while (*s->p != '\0') {
		bool is_column = s->p[0] == '$' && s->p[1] == '{';
		if ((is_column ? parse_column(s, err) : parse_literal(s, err)) != 0)
			return -1;
	}
	return 0;
}

int
template_parse(const char *text, struct template *ret_template, struct error *err)
{
	size_t len = strlen(text);
	struct parser s = {.source = text, .p = text, .t = TEMPLATE_INIT};

	/* "${a}" is the shortest column; a literal stands between columns or at an end. */
	s.t.parts = calloc(2 * (len / 4) + 2, sizeof *s.t.parts);
	s.t.text = s.out = malloc(len + 1);
	if (s.t.parts == NULL || s.t.text == NULL) {
		template_done(&s.t);
		return error_set(err, ERR_RETRY, "out of memory");
	}
	if (parse_parts(&s, err) != 0) {
		template_done(&s.t);
		return -1;
	}
	*ret_template = s.t;
	return 0;
}

void
template_done(struct template *t)
{
	free(t->parts);
	free(t->text);
	*t = TEMPLATE_INIT;
}
