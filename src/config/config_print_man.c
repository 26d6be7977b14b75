/* config_print_man.c - the table of options in, the manual page's part about them out, in mdoc(7). */
#include <string.h>

#include "config/config.h"
#include "config/options.h"
#include "config/value.h"

#define LINE_WIDTH 78

/* A word that can begin a line: nothing in it is taken for a macro or an escape. */
static void
print_word(const char *word, size_t len, struct buf *out)
{
	if (word[0] == '.' || word[0] == '\'')
		buf_add_str(out, "\\&");
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '\\')
			buf_add_str(out, "\\e");
		else
			buf_add_char(out, word[i]);
	}
}

/* Each sentence begins a line, so that the formatter sets their distance. */
static void
print_sentences(const char *text, struct buf *out)
{
	size_t width = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		if (width > 0)
			buf_add_char(out, width + 1 + len > LINE_WIDTH ? '\n' : ' ');
		width = width + 1 + len > LINE_WIDTH ? len : width + 1 + len;
		print_word(text, len, out);
		text += len;
		if (*text != '\0' && text[-1] == '.') {
			buf_add_char(out, '\n');
			width = 0;
		}
		text += strspn(text, " ");
	}
	buf_add_char(out, '\n');
}

static const char *
argument(const struct option *opt)
{
	switch (opt->kind) {
	case OPTION_STRING:
		return "string";
	case OPTION_INTEGER:
		return "number";
	case OPTION_DURATION:
		return "duration";
	case OPTION_SIZE:
		return "size";
	case OPTION_BOOLEAN:
		return "boolean";
	case OPTION_CHOICE:
		return "word";
	case OPTION_COLUMNS:
	case OPTION_PROPERTIES:
		break;
	}
	return "map";
}

static void
print_facts(const struct option *opt, struct buf *out)
{
	struct buf facts __attribute__((cleanup(buf_done))) = BUF_INIT;

	if (!opt->required)
		buf_printf(&facts, opt->kind == OPTION_STRING ? "Default: \"%s\"." : "Default: %s.", opt->fallback);
	value_print_facts(opt, &facts);
	print_sentences(buf_str(&facts), out);
}

static void
print_columns(const struct option *columns, struct buf *out)
{
	buf_add_str(out, ".Bl -tag -width Ds\n");
	for (size_t i = 0; i < options_count; i++) {
		const struct option *opt = &options_all[i];

		if (!options_stands_in(opt, columns->section, columns->name))
			continue;
		buf_printf(out, ".It Cm %s : Ar string\n", opt->name);
		print_sentences(opt->sentence, out);
		print_facts(opt, out);
	}
	buf_add_str(out, ".El\n");
}

static void
print_list(struct buf *out)
{
	buf_printf(out, ".Ss %s\n", options_outboxes.name);
	print_sentences(options_outboxes.sentence, out);
}

void
config_print_man(struct buf *out)
{
	for (size_t s = 0; s < options_sections_count; s++) {
		const char *section = options_sections[s].name;

		buf_printf(out, ".Ss %s\n", section);
		print_sentences(options_sections[s].sentence, out);
		buf_add_str(out, ".Bl -tag -width Ds\n");
		for (size_t i = 0; i < options_count; i++) {
			const struct option *opt = &options_all[i];

			if (!options_stands_in(opt, section, NULL))
				continue;
			buf_printf(out, ".It Cm %s : Ar %s\n", opt->name, argument(opt));
			print_sentences(opt->sentence, out);
			if (opt->kind == OPTION_COLUMNS)
				print_columns(opt, out);
			else
				print_facts(opt, out);
		}
		buf_add_str(out, ".El\n");
		if (strcmp(section, "outbox") == 0)
			print_list(out);
	}
}
