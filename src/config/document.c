/* document.c - bytes in, a tree of nodes with their places out. Knows YAML, and nothing of what the nodes mean. */
#include "config/document.h"

#include <string.h>
#include <yaml.h>

#include "config/quote.h"

#define DEPTH_MAX 16
#define NODES_MAX 20000

struct builder {
	const char *file;
	struct slice text;
	struct document *doc;
	struct config_problems *problems;
	struct node *open[DEPTH_MAX]; /* maps and lists that have begun */
	struct node *last[DEPTH_MAX]; /* their last children */
	struct node *key[DEPTH_MAX];  /* a key that waits for its value */
	size_t depth;
	size_t nodes;
	struct node *latest; /* scalar */
	bool ended; /* the one document is over */
};

static void
complain(struct builder *b, unsigned line, unsigned column, const char *what)
{
	config_problems_add(b->problems, CONFIG_ERROR, b->file, line, column, "%s", what);
}

static void
complain_at(struct builder *b, yaml_mark_t mark, const char *what)
{
	complain(b, (unsigned)mark.line + 1, (unsigned)mark.column + 1, what);
}

/* The place of the first byte that cannot be in a YAML file, by characters as libyaml counts them. */
static int
check_encoding(struct builder *b)
{
	unsigned line = 1, column = 1;

	for (size_t at = 0; at < b->text.len;) {
		uint32_t point;
		size_t length = quote_decode(b->text, at, &point);

		if (length == 0) {
			complain(b, line, column, "not UTF-8; save the file as UTF-8");
			return -1;
		}
		if (!quote_is_printable(point)) {
			config_problems_add(b->problems, CONFIG_ERROR, b->file, line, column,
			                    "a character that YAML does not allow (U+%04X); remove it, or write it as "
			                    "an escape in double quotes",
			                    (unsigned)point);
			return -1;
		}
		at += length;
		column++;
		if (point == '\n') {
			line++;
			column = 1;
		}
	}
	return 0;
}

static struct slice
line_of(struct slice text, size_t line)
{
	const char *begin = text.data, *end = text.data + text.len, *newline;

	for (; line > 0 && (newline = memchr(begin, '\n', (size_t)(end - begin))) != NULL; line--)
		begin = newline + 1;
	newline = memchr(begin, '\n', (size_t)(end - begin));
	return (struct slice){begin, (size_t)((newline == NULL ? end : newline) - begin)};
}

static bool
is_indented_by_tab(struct slice line)
{
	for (size_t i = 0; i < line.len && (line.data[i] == ' ' || line.data[i] == '\t'); i++)
		if (line.data[i] == '\t')
			return true;
	return false;
}

/* What usually lies behind a complaint of libyaml. */
static void
add_hint(const struct builder *b, const yaml_parser_t *parser, struct buf *what)
{
	static const struct {
		const char *problem;
		const char *hint;
	} hints[] = {
		{"mapping values are not allowed", "put a value that has \": \" in it in quotes"},
		{"did not find expected key", "begin all options of a section in one column"},
		{"did not find expected <document start>", "write \"name: value\", with a space after the colon"},
		{"could not find expected ':'", "write \"name: value\", with a space after the colon"},
		{"did not find expected ',' or", "close what was opened with { or [ and separate its parts by commas"},
		{"did not find expected '-' indicator", "begin the items of a list in one column"},
		{"found character that cannot start any token", "put the value in double quotes"},
		{"found unexpected end of stream", "close the quotes"},
		{"found unexpected document indicator", "close the quotes"},
		{"found unknown escape character", "write a backslash as \\\\ in double quotes, or use single quotes"},
	};

	if (is_indented_by_tab(line_of(b->text, parser->problem_mark.line))) {
		buf_add_str(what, "; indent with spaces, not with tabs");
		return;
	}
	if (b->latest != NULL && !b->latest->plain && b->latest->last_line > b->latest->line) {
		buf_printf(what, "; the quotes opened in line %u are closed only in line %u", b->latest->line,
		           b->latest->last_line);
		return;
	}
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (strncmp(parser->problem, hints[i].problem, strlen(hints[i].problem)) == 0) {
			buf_printf(what, "; %s", hints[i].hint);
			return;
		}
}

static void
complain_syntax(struct builder *b, const yaml_parser_t *parser)
{
	struct buf what __attribute__((cleanup(buf_done))) = BUF_INIT;

	if (parser->error == YAML_MEMORY_ERROR || parser->problem == NULL) {
		complain(b, 0, 0, "out of memory");
		return;
	}
	buf_printf(&what, "not YAML: %s", parser->problem);
	if (parser->context != NULL) {
		buf_printf(&what, " %s", parser->context);
		if (parser->context_mark.line != parser->problem_mark.line)
			buf_printf(&what, " that begins in line %zu", parser->context_mark.line + 1);
	}
	add_hint(b, parser, &what);
	complain_at(b, parser->problem_mark, buf_str(&what));
}

static void
attach(struct builder *b, struct node *n)
{
	size_t top = b->depth - 1;

	if (b->depth == 0) {
		b->doc->root = n;
		return;
	}
	if (b->open[top]->kind == NODE_MAP && b->key[top] == NULL) {
		b->key[top] = n;
		return;
	}
	n->key = b->key[top];
	b->key[top] = NULL;
	if (b->last[top] == NULL)
		b->open[top]->first = n;
	else
		b->last[top]->next = n;
	b->last[top] = n;
}

static struct node *
add_node(struct builder *b, enum node_kind kind, yaml_mark_t mark)
{
	struct node *n;

	if (b->nodes++ >= NODES_MAX) {
		complain_at(b, mark, "more values than a configuration can have");
		return NULL;
	}
	n = arena_alloc(&b->doc->arena, sizeof(*n));
	if (n == NULL) {
		complain(b, 0, 0, "out of memory");
		return NULL;
	}
	*n = (struct node){.kind = kind, .text = ""};
	n->line = (unsigned)mark.line + 1;
	n->column = (unsigned)mark.column + 1;
	return n;
}

/* Whether the node can be used; what is refused has been said. */
static bool
is_simple(struct builder *b, const yaml_char_t *anchor, const yaml_char_t *tag, yaml_mark_t mark)
{
	if (anchor != NULL)
		complain_at(b, mark, "an anchor (&) has no use here; write the value where it is needed");
	else if (tag != NULL)
		complain_at(b, mark, "a tag (!) has no use here; write the value alone");
	return anchor == NULL && tag == NULL;
}

static int
add_scalar(struct builder *b, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;
	struct node *n = add_node(b, NODE_SCALAR, event->start_mark);

	if (n == NULL)
		return -1;
	attach(b, n);
	b->latest = n;
	n->last_line = (unsigned)event->end_mark.line + 1;
	if (!is_simple(b, event->data.scalar.anchor, event->data.scalar.tag, event->start_mark)) {
		n->kind = NODE_REFUSED;
	} else if (memchr(value, '\0', length) != NULL) {
		complain_at(b, event->start_mark, "a value cannot contain the character NUL (\\0)");
		n->kind = NODE_REFUSED;
	}
	n->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->text = arena_copy(&b->doc->arena, (struct slice){value, length});
	if (n->text == NULL) {
		complain(b, 0, 0, "out of memory");
		n->kind = NODE_REFUSED;
		n->text = "";
		return -1;
	}
	return 0;
}

static int
begin_collection(struct builder *b, enum node_kind kind, const yaml_char_t *anchor, const yaml_char_t *tag,
                 yaml_mark_t mark)
{
	struct node *n = add_node(b, kind, mark);

	if (n == NULL)
		return -1;
	if (b->depth == DEPTH_MAX) {
		complain_at(b, mark, "nested too deeply for a configuration");
		return -1;
	}
	(void)is_simple(b, anchor, tag, mark);
	attach(b, n);
	b->open[b->depth] = n;
	b->last[b->depth] = NULL;
	b->key[b->depth] = NULL;
	b->depth++;
	return 0;
}

static int
add_alias(struct builder *b, const yaml_event_t *event)
{
	struct node *n = add_node(b, NODE_REFUSED, event->start_mark);

	if (n == NULL)
		return -1;
	complain_at(b, event->start_mark,
	            "an alias (*) has no use here; write the value itself, in quotes if it begins with *");
	attach(b, n);
	return 0;
}

/* 1: go on. 0: the text is over. -1: it cannot be read on, which has been said. */
static int
take_event(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->ended) {
			complain_at(b, event->start_mark, "a second document begins here; put everything in one");
			return 0;
		}
		return 1;
	case YAML_DOCUMENT_END_EVENT:
		b->ended = true;
		return 1;
	case YAML_SCALAR_EVENT:
		return add_scalar(b, event) < 0 ? -1 : 1;
	case YAML_MAPPING_START_EVENT:
		return begin_collection(b, NODE_MAP, event->data.mapping_start.anchor, event->data.mapping_start.tag,
		                        event->start_mark) < 0 ? -1 : 1;
	case YAML_SEQUENCE_START_EVENT:
		return begin_collection(b, NODE_LIST, event->data.sequence_start.anchor, event->data.sequence_start.tag,
		                        event->start_mark) < 0 ? -1 : 1;
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		b->depth--;
		return 1;
	case YAML_ALIAS_EVENT:
		return add_alias(b, event) < 0 ? -1 : 1;
	case YAML_STREAM_END_EVENT:
		return 0;
	case YAML_STREAM_START_EVENT:
	case YAML_NO_EVENT:
		break;
	}
	return 1;
}

static int
build(struct builder *b, yaml_parser_t *parser)
{
	yaml_event_t event;
	int rc;

	do {
		if (!yaml_parser_parse(parser, &event)) {
			complain_syntax(b, parser);
			if (b->latest != NULL)
				b->latest->doubtful = true;
			return -1;
		}
		rc = take_event(b, &event);
		yaml_event_delete(&event);
	} while (rc > 0);
	return rc;
}

static struct slice
without_mark(struct slice text)
{
	if (text.len == 0)
		return slice_from("");
	if (text.len >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0)
		return (struct slice){text.data + 3, text.len - 3};
	return text;
}

void
document_parse(const char *file, struct slice text, struct document *ret_doc, struct config_problems *problems)
{
	struct builder b = {.file = file, .text = without_mark(text), .doc = ret_doc, .problems = problems};
	yaml_parser_t parser;

	*ret_doc = (struct document){ARENA_INIT, NULL, false};
	if (check_encoding(&b) < 0)
		return;
	if (!yaml_parser_initialize(&parser)) {
		complain(&b, 0, 0, "out of memory");
		return;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)b.text.data, b.text.len);
	ret_doc->complete = build(&b, &parser) == 0;
	yaml_parser_delete(&parser);
}

void
document_done(struct document *doc)
{
	arena_done(&doc->arena);
	doc->root = NULL;
}

bool
node_is_null(const struct node *n)
{
	return n->kind == NODE_SCALAR && n->plain &&
	       (n->text[0] == '\0' || strcmp(n->text, "~") == 0 || strcasecmp(n->text, "null") == 0);
}
