/* config_print_schema.c - the table of options in, a JSON schema (draft 2020-12) of the file out. */
#include <inttypes.h>
#include <string.h>

#include "config/config.h"
#include "config/options.h"

static void
add_text(struct buf *out, const char *text)
{
	buf_add_char(out, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, *text);
	}
	buf_add_char(out, '"');
}

/* What a value may be, beside a variable that stands for one. */
static void
add_type(const struct option *opt, struct buf *out)
{
	switch (opt->kind) {
	case OPTION_STRING:
		buf_printf(out, "\"type\": [\"string\", \"number\", \"boolean\"]%s", opt->needed ? ", \"minLength\": 1" : "");
		break;
	case OPTION_INTEGER:
		buf_printf(out, "\"type\": \"integer\", \"minimum\": %" PRId64 ", \"maximum\": %" PRId64, opt->min, opt->max);
		break;
	case OPTION_DURATION:
		buf_printf(out, "\"type\": \"string\", \"pattern\": \"^(%s[0-9]+(ms|s|m|h|d))$\"", opt->never ? "never|" : "");
		break;
	case OPTION_SIZE:
		buf_printf(out, "\"type\": \"string\", \"pattern\": \"^(%s[0-9]+([KMG]i)?B)$\"", opt->never ? "never|" : "");
		break;
	case OPTION_BOOLEAN:
		buf_add_str(out, "\"type\": \"boolean\"");
		break;
	case OPTION_CHOICE:
		buf_add_str(out, "\"enum\": [");
		for (const struct choice *c = opt->choices; c->name != NULL; c++) {
			buf_add_str(out, c == opt->choices ? "" : ", ");
			add_text(out, c->name);
		}
		buf_add_char(out, ']');
		break;
	case OPTION_COLUMNS:
	case OPTION_PROPERTIES:
		break;
	}
}

/* As it would stand in the file: a number and a boolean without quotes. */
static void
add_default(const struct option *opt, struct buf *out)
{
	if (opt->required || opt->kind == OPTION_COLUMNS)
		return;
	buf_add_str(out, ", \"default\": ");
	if (opt->kind == OPTION_INTEGER || opt->kind == OPTION_BOOLEAN || opt->kind == OPTION_PROPERTIES)
		buf_add_str(out, opt->fallback);
	else
		add_text(out, opt->fallback);
}

static void add_options(const char *section, const char *group, bool required, const char *indent, struct buf *out);

static void
add_option(const struct option *opt, const char *indent, struct buf *out)
{
	buf_printf(out, "%s\"%s\": {\"description\": ", indent, opt->name);
	add_text(out, opt->sentence);
	add_default(opt, out);
	if (opt->kind == OPTION_COLUMNS) {
		buf_add_str(out, ", ");
		add_options(opt->section, opt->name, false, indent, out);
	} else if (opt->kind == OPTION_PROPERTIES) {
		buf_add_str(out, ", \"type\": [\"object\", \"null\"], \"additionalProperties\": {\"type\": [\"string\", \"number\", \"boolean\"]}");
	} else if (opt->template) {
		buf_add_str(out, ", ");
		add_type(opt, out);
	} else {
		buf_add_str(out, ", \"anyOf\": [{");
		add_type(opt, out);
		buf_add_str(out, "}, {\"$ref\": \"#/$defs/variable\"}]");
	}
	buf_add_char(out, '}');
}

static void
add_required(const char *section, struct buf *out)
{
	const char *gap = "";

	buf_add_str(out, ", \"required\": [");
	for (size_t i = 0; i < options_count; i++)
		if (options_all[i].required && options_stands_in(&options_all[i], section, NULL)) {
			buf_add_str(out, gap);
			add_text(out, options_all[i].name);
			gap = ", ";
		}
	buf_add_char(out, ']');
}

/* The members of an object: what stands in a section, a group of it, or an entry of the list. */
static void
add_options(const char *section, const char *group, bool required, const char *indent, struct buf *out)
{
	const char *gap = "";

	buf_printf(out, "\"type\": %s, \"additionalProperties\": false", required ? "\"object\"" : "[\"object\", \"null\"]");
	if (required)
		add_required(section, out);
	buf_add_str(out, ", \"properties\": {");
	for (size_t i = 0; i < options_count; i++) {
		if (!options_stands_in(&options_all[i], section, group))
			continue;
		buf_printf(out, "%s\n", gap);
		add_option(&options_all[i], group == NULL ? "      " : "        ", out);
		gap = ",";
	}
	buf_printf(out, "\n%s}", indent);
}

static bool
is_required(const char *section)
{
	for (size_t i = 0; i < options_count; i++)
		if (options_all[i].required && options_stands_in(&options_all[i], section, NULL))
			return true;
	return false;
}

void
config_print_schema(struct buf *out)
{
	const char *gap = "";

	buf_add_str(out, "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
	                 "  \"title\": \"pgoutboxd.yaml\",\n  \"type\": \"object\",\n  \"additionalProperties\": false,\n"
	                 "  \"$defs\": {\n    \"variable\": {\"description\": \"A value with environment variables in it.\", "
	                 "\"type\": \"string\", \"pattern\": \"\\\\$\\\\{[A-Za-z_][A-Za-z0-9_]*(:[-?][^}]*)?\\\\}\"}\n  },\n"
	                 "  \"required\": [");
	for (size_t s = 0; s < options_sections_count; s++)
		if (is_required(options_sections[s].name)) {
			buf_printf(out, "%s\"%s\"", gap, options_sections[s].name);
			gap = ", ";
		}
	buf_add_str(out, "],\n  \"properties\": {\n");
	for (size_t s = 0; s < options_sections_count; s++) {
		const struct section *section = &options_sections[s];

		buf_printf(out, "    \"%s\": {\"description\": ", section->name);
		add_text(out, section->sentence);
		buf_add_str(out, ", ");
		add_options(section->name, NULL, is_required(section->name), "    ", out);
		buf_add_str(out, "},\n");
	}
	buf_printf(out, "    \"%s\": {\"description\": ", options_outboxes.name);
	add_text(out, options_outboxes.sentence);
	buf_printf(out, ", \"type\": \"array\", \"minItems\": 1, \"maxItems\": %d, \"items\": {", CONFIG_OUTBOXES_MAX);
	add_options(options_outboxes.name, NULL, false, "    ", out);
	buf_add_str(out, "}}\n  }\n}\n");
}
