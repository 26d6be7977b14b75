/* config_print.c - the table of options and the values in force in, YAML out. What is secret does not pass. */
#include <string.h>

#include "config/config.h"
#include "config/conninfo.h"
#include "config/expand.h"
#include "config/options.h"
#include "config/quote.h"
#include "config/secret.h"
#include "config/value.h"

#define COMMENT_WIDTH 98

static bool
is_quoted(const struct option *opt)
{
	return opt->kind == OPTION_STRING;
}

/* Where the map as a whole is public, its values are no secrets whatever their names: paths, for example. */
static void
print_properties(const struct option *opt, const struct config_properties *properties, struct buf *out)
{
	buf_add_str(out, properties->count == 0 ? " {}\n" : "\n");
	for (size_t i = 0; i < properties->count; i++) {
		struct buf value __attribute__((cleanup(buf_done))) = BUF_INIT;
		struct buf escaped __attribute__((cleanup(buf_done))) = BUF_INIT;

		if (opt->secret)
			secret_property(&value, properties->items[i].name, properties->items[i].value);
		else
			buf_add_str(&value, properties->items[i].value);
		buf_add_str(out, "    ");
		quote_yaml(out, properties->items[i].name);
		buf_add_str(out, ": ");
		expand_escape(buf_str(&value), &escaped);
		quote_yaml(out, buf_str(&escaped));
		buf_add_char(out, '\n');
	}
}

static void
print_scalar(const struct option *opt, const void *base, struct buf *out)
{
	struct buf value __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf shown __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf escaped __attribute__((cleanup(buf_done))) = BUF_INIT;

	value_print(opt, base, &value);
	/* Of the strings only the connection string can hold a secret. */
	if (opt->secret)
		conninfo_redact(&shown, buf_str(&value));
	else
		buf_add_str(&shown, buf_str(&value));
	buf_add_char(out, ' ');
	if (opt->template)
		buf_add_str(&escaped, buf_str(&shown));
	else
		expand_escape(buf_str(&shown), &escaped);
	if (is_quoted(opt))
		quote_yaml(out, buf_str(&escaped));
	else
		buf_add_str(out, buf_str(&escaped));
	buf_add_char(out, '\n');
}

static void
print_option(const struct config *cfg, const struct option *opt, const char *indent, struct buf *out)
{
	const char *base = (const char *)cfg + options_find_section(opt->section)->offset;

	buf_printf(out, "%s%s%s:", indent, opt->group == NULL ? "" : "  ", opt->name);
	if (opt->kind == OPTION_COLUMNS)
		buf_add_char(out, '\n');
	else if (opt->kind == OPTION_PROPERTIES)
		print_properties(opt, (const struct config_properties *)(const void *)(base + opt->offset), out);
	else
		print_scalar(opt, base, out);
}

/* Each entry whole: what it has of its own and what it has from the section outbox. */
static void
print_outboxes(const struct config *cfg, struct buf *out)
{
	if (cfg->outboxes_count > 0)
		buf_printf(out, "%s:\n", options_outboxes.name);
	for (size_t n = 0; n < cfg->outboxes_count; n++) {
		const char *indent = "  - ";

		for (size_t i = 0; i < options_count; i++) {
			const struct option *opt = &options_all[i];

			if (!options_stands_in(opt, options_outboxes.name, opt->group))
				continue;
			print_option(&cfg->outboxes[n], opt, indent, out);
			indent = "    ";
		}
	}
}

void
config_print(const struct config *cfg, struct buf *out)
{
	const char *section = "";

	for (size_t i = 0; i < options_count; i++) {
		const struct option *opt = &options_all[i];

		if (strcmp(section, opt->section) != 0)
			buf_printf(out, "%s:\n", opt->section);
		section = opt->section;
		print_option(cfg, opt, "  ", out);
	}
	print_outboxes(cfg, out);
}

/* Words of text as comment lines of bounded width. */
static void
print_comment(const char *indent, const char *text, struct buf *out)
{
	size_t width = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		if (width == 0 || width + 1 + len > COMMENT_WIDTH) {
			buf_printf(out, "%s%s#", width == 0 ? "" : "\n", indent);
			width = strlen(indent) + 1;
		}
		buf_add_char(out, ' ');
		buf_add(out, text, len);
		width += 1 + len;
		text += len;
		text += strspn(text, " ");
	}
	buf_add_char(out, '\n');
}

/* The sentence, then in a line of their own the facts. */
static void
print_description(const struct option *opt, const char *indent, struct buf *out)
{
	struct buf facts __attribute__((cleanup(buf_done))) = BUF_INIT;

	print_comment(indent, opt->sentence, out);
	value_print_facts(opt, &facts);
	if (facts.len > 0)
		print_comment(indent, buf_str(&facts), out);
}

/* What must be filled in stands open, everything else behind a '#' that only has to be taken away. */
static void
print_default(const struct option *opt, struct buf *out)
{
	const char *indent = opt->group == NULL ? "  " : "  #  ";

	if (opt->group == NULL)
		buf_add_char(out, '\n');
	print_description(opt, indent, out);
	if (opt->group == NULL && !opt->required)
		indent = "  #";
	buf_printf(out, "%s%s:", indent, opt->name);
	if (opt->kind == OPTION_COLUMNS) {
		buf_add_char(out, '\n');
		return;
	}
	buf_add_char(out, ' ');
	if (is_quoted(opt))
		quote_yaml(out, opt->fallback);
	else
		buf_add_str(out, opt->fallback);
	buf_add_char(out, '\n');
}

static void
print_example_list(struct buf *out)
{
	buf_add_str(out, "\n\n");
	print_comment("", options_outboxes.sentence, out);
	buf_printf(out, "#%s:\n#  - table: orders_outbox\n#    topic: orders\n#  - table: payments_outbox\n#    lanes: 8\n",
	           options_outboxes.name);
}

void
config_print_defaults(struct buf *out)
{
	print_comment("", "The configuration of pgoutboxd; see pgoutboxd.yaml(5).", out);
	buf_add_str(out, "#\n");
	print_comment("",
	              "Only the two addresses have to be given: database.conninfo and kafka.brokers. Every other "
	              "option is shown with its default: to change one, take away the \"#\" in front of its name. "
	              "Durations are a whole number with ms, s, m, h or d, sizes one with B, KiB, MiB or GiB. "
	              "The file is read when the daemon starts and on SIGHUP; pgoutboxd(8) says what takes effect then.", out);
	for (size_t s = 0; s < options_sections_count; s++) {
		buf_add_str(out, "\n\n");
		print_comment("", options_sections[s].sentence, out);
		buf_printf(out, "%s:\n", options_sections[s].name);
		for (size_t i = 0; i < options_count; i++)
			if (strcmp(options_all[i].section, options_sections[s].name) == 0)
				print_default(&options_all[i], out);
		if (strcmp(options_sections[s].name, "outbox") == 0)
			print_example_list(out);
	}
}
