/* loader.c - nodes in, values of struct config out. Knows the table of options, and no option by name. */
#include "config/loader_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/expand.h"
#include "config/options.h"
#include "config/quote.h"
#include "config/suggest.h"
#include "config/value.h"

static void *
section_of(struct config *cfg, const char *name)
{
	return (char *)cfg + options_find_section(name)->offset;
}

int
loader_defaults(struct config *cfg)
{
	for (size_t i = 0; i < options_count; i++) {
		const struct option *opt = &options_all[i];
		void *base = section_of(cfg, opt->section);
		char **string = (char **)(void *)((char *)base + opt->offset);
		struct error err;

		if (opt->kind == OPTION_COLUMNS || opt->kind == OPTION_PROPERTIES)
			continue;
		/* A required string has no default that its own check would take. */
		if (opt->kind == OPTION_STRING)
			*string = strdup(opt->fallback);
		if (opt->kind == OPTION_STRING ? *string == NULL : value_set(opt, base, opt->fallback, &err) < 0)
			return -1;
	}
	cfg->database.password = strdup("");
	cfg->database.sslpassword = strdup("");
	return cfg->database.password == NULL || cfg->database.sslpassword == NULL ? -1 : 0;
}

void
loader_complain(struct loader *l, const struct node *at, const char *path, const char *message, const char *hint)
{
	config_problems_add(l->problems, CONFIG_ERROR, l->cfg->file, at->line, at->column, "%s%s%s%s%s", path,
	                    path[0] == '\0' ? "" : ": ", message, hint == NULL ? "" : "; ", hint == NULL ? "" : hint);
}

void
loader_out_of_memory(struct loader *l)
{
	config_problems_add(l->problems, CONFIG_ERROR, l->cfg->file, 0, 0, "out of memory");
}

int
loader_keep_place(struct loader *l, const char *path, const struct node *at)
{
	struct config *cfg = l->cfg;
	struct config_place *places = realloc(cfg->places, (cfg->places_count + 1) * sizeof(*places));
	char *copy = strdup(path);

	if (places != NULL)
		cfg->places = places;
	if (places == NULL || copy == NULL) {
		free(copy);
		loader_out_of_memory(l);
		return -1;
	}
	places[cfg->places_count++] = (struct config_place){copy, at->line, at->column};
	return 0;
}

const char *
loader_kind_name(const struct node *n)
{
	if (n->kind == NODE_SCALAR)
		return "a single value";
	return n->kind == NODE_LIST ? "a list" : "a map";
}

/* Says what is wrong with the key of child, if anything is: not a word, or there before. */
static bool
key_is_usable(struct loader *l, const struct node *map, const struct node *child, const char *prefix)
{
	struct buf what __attribute__((cleanup(buf_done))) = BUF_INIT;
	const struct node *key = child->key;

	if (key->kind == NODE_REFUSED)
		return false;
	if (key->kind != NODE_SCALAR) {
		buf_printf(&what, "a name must be a word, this is %s", loader_kind_name(key));
		loader_complain(l, key, prefix, buf_str(&what), NULL);
		return false;
	}
	for (const struct node *n = map->first; n != child; n = n->next)
		if (n->key->kind == NODE_SCALAR && strcmp(n->key->text, key->text) == 0) {
			quote_value(&what, key->text);
			buf_printf(&what, " is given twice, first in line %u; remove one", n->key->line);
			loader_complain(l, key, prefix, buf_str(&what), NULL);
			return false;
		}
	return true;
}

/* Whether n is a map that can be walked. Nothing at all stands for an empty one. */
static bool
is_map(struct loader *l, const struct node *n, const char *path, const char *hint)
{
	struct buf what __attribute__((cleanup(buf_done))) = BUF_INIT;

	if (n->kind == NODE_MAP)
		return true;
	if (n->kind == NODE_REFUSED || node_is_null(n))
		return false;
	if (n->kind == NODE_SCALAR && n->plain && strchr(n->text, ':') != NULL)
		hint = "a space is missing after a colon";
	buf_printf(&what, "is %s, but should hold options", loader_kind_name(n));
	loader_complain(l, n, path, buf_str(&what), hint);
	return false;
}

/* The scalar's text with its variables filled in, or NULL after saying why there is none. */
static const char *
expanded(struct loader *l, const struct node *n, const char *path, const char *text, struct buf *value)
{
	struct error err;

	if (text == NULL)
		return NULL;
	if (expand_variables(text, value, &err) == 0)
		return buf_str(value);
	loader_complain(l, n, path, err.message, err.hint[0] == '\0' ? NULL : err.hint);
	return NULL;
}

/* The scalar's text, or NULL after saying why there is none. The hints are for what is no scalar, and for nothing. */
static const char *
scalar_of(struct loader *l, const struct node *n, const char *path, const char *kind_hint, const char *null_hint)
{
	struct buf what __attribute__((cleanup(buf_done))) = BUF_INIT;

	if (n->kind == NODE_REFUSED || n->doubtful)
		return NULL;
	if (n->kind != NODE_SCALAR) {
		buf_printf(&what, "is %s, but should be a single value", loader_kind_name(n));
		loader_complain(l, n, path, buf_str(&what), kind_hint);
		return NULL;
	}
	if (node_is_null(n)) {
		loader_complain(l, n, path, "has no value", null_hint);
		return NULL;
	}
	return n->text;
}

/* What was probably meant is not missing then. */
static void
count_as_given(struct loader *l, const struct node *at, const char *prefix, const char *name)
{
	struct buf path __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_printf(&path, "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".", name);
	(void)loader_keep_place(l, buf_str(&path), at);
}

static void
unknown_option(struct loader *l, const struct node *key, const char *section, const char *group, const char *prefix)
{
	struct buf what __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct suggest near;

	suggest_init(&near, key->text);
	for (size_t i = 0; i < options_count; i++)
		if (options_stands_in(&options_all[i], section, group))
			suggest_offer(&near, options_all[i].name);
	buf_add_str(&what, "unknown option ");
	quote_value(&what, key->text);
	if (near.best != NULL) {
		buf_printf(&what, ", did you mean \"%s\"?", near.best);
		loader_complain(l, key, prefix, buf_str(&what), NULL);
		count_as_given(l, key, prefix, near.best);
		return;
	}
	for (size_t i = 0; i < options_count; i++)
		if (strcmp(options_all[i].name, key->text) == 0) {
			buf_printf(&what, "; it belongs to %s", options_all[i].section);
			if (options_all[i].group != NULL)
				buf_printf(&what, ".%s", options_all[i].group);
			loader_complain(l, key, prefix, buf_str(&what), NULL);
			return;
		}
	buf_add_str(&what, "; known here are");
	for (size_t i = 0, n = 0; i < options_count; i++)
		if (options_stands_in(&options_all[i], section, group))
			buf_printf(&what, "%s %s", n++ == 0 ? "" : ",", options_all[i].name);
	loader_complain(l, key, prefix, buf_str(&what), NULL);
}

static void
load_value(struct loader *l, const struct option *opt, const struct node *n, void *base, const char *path)
{
	struct buf null_hint __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf value __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *text;
	struct error err;

	if (opt->required)
		buf_printf(&null_hint, "for example \"%s\"", opt->example);
	else
		buf_add_str(&null_hint, "without the line it has its default");
	text = scalar_of(l, n, path,
	                 n->kind == NODE_LIST && opt->commas ? "write all in one, separated by commas" : NULL,
	                 buf_str(&null_hint));
	if (!opt->template)
		text = expanded(l, n, path, text, &value);
	if (text != NULL && value_set(opt, base, text, &err) < 0)
		loader_complain(l, n, path, err.message, err.hint[0] == '\0' ? NULL : err.hint);
}

static int
add_property(struct config_properties *properties, const char *name, const char *value)
{
	struct config_property *items = realloc(properties->items, (properties->count + 1) * sizeof(*items));
	struct config_property p = {strdup(name), strdup(value)};

	if (items != NULL)
		properties->items = items;
	if (items == NULL || p.name == NULL || p.value == NULL) {
		free(p.name);
		free(p.value);
		return -1;
	}
	items[properties->count++] = p;
	return 0;
}

static void
load_property(struct loader *l, const struct node *n, struct config_properties *properties, const char *prefix)
{
	struct buf path __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf filled __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *hint = NULL;
	const char *value;

	if (n->key->text[0] == '\0') {
		loader_complain(l, n->key, prefix, "a property's name is empty", NULL);
		return;
	}
	if (n->kind == NODE_MAP)
		hint = "write the property's whole name in one, as in \"ssl.ca.location\"";
	buf_printf(&path, "%s.%s", prefix, n->key->text);
	value = scalar_of(l, n, buf_str(&path), hint, "remove the line, or write \"\" for an empty value");
	value = expanded(l, n, buf_str(&path), value, &filled);
	if (value == NULL || loader_keep_place(l, buf_str(&path), n) < 0)
		return;
	if (add_property(properties, n->key->text, value) < 0)
		loader_out_of_memory(l);
}

static void
load_properties(struct loader *l, const struct node *map, struct config_properties *properties, const char *prefix)
{
	if (!is_map(l, map, prefix, "write one property a line below it, as in \"linger.ms: 5\""))
		return;
	for (const struct node *n = map->first; n != NULL; n = n->next)
		if (key_is_usable(l, map, n, prefix))
			load_property(l, n, properties, prefix);
}

static void
load_option(struct loader *l, const struct option *opt, const struct node *n, struct config *into, const char *path)
{
	void *base = section_of(into, opt->section);

	if (loader_keep_place(l, path, n) < 0)
		return;
	switch (opt->kind) {
	case OPTION_COLUMNS:
		loader_options(l, n, opt->section, opt->name, into, path);
		break;
	case OPTION_PROPERTIES:
		load_properties(l, n, (struct config_properties *)(void *)((char *)base + opt->offset), path);
		break;
	case OPTION_STRING:
	case OPTION_INTEGER:
	case OPTION_DURATION:
	case OPTION_SIZE:
	case OPTION_BOOLEAN:
	case OPTION_CHOICE:
		load_value(l, opt, n, base, path);
		break;
	}
}

void
loader_options(struct loader *l, const struct node *map, const char *section, const char *group, struct config *into,
               const char *prefix)
{
	if (!is_map(l, map, prefix, "write them below it, indented"))
		return;
	for (const struct node *n = map->first; n != NULL; n = n->next) {
		struct buf path __attribute__((cleanup(buf_done))) = BUF_INIT;
		const struct option *opt;

		if (!key_is_usable(l, map, n, prefix))
			continue;
		opt = options_find(section, group, n->key->text);
		buf_printf(&path, "%s.%s", prefix, n->key->text);
		if (opt == NULL)
			unknown_option(l, n->key, section, group, prefix);
		else
			load_option(l, opt, n, into, buf_str(&path));
	}
}

/* The section that was probably meant, or NULL. */
static const struct section *
unknown_section(struct loader *l, const struct node *n)
{
	struct buf what __attribute__((cleanup(buf_done))) = BUF_INIT;
	const struct node *key = n->key;
	const char *home = NULL;
	struct suggest near;

	suggest_init(&near, key->text);
	/* Of two that are as near the first is taken, and a list is meant to be one. */
	if (n->kind == NODE_LIST)
		suggest_offer(&near, options_outboxes.name);
	for (size_t i = 0; i < options_sections_count; i++)
		suggest_offer(&near, options_sections[i].name);
	suggest_offer(&near, options_outboxes.name);
	for (size_t i = 0; i < options_count; i++)
		if (options_all[i].group == NULL && strcmp(options_all[i].name, key->text) == 0)
			home = options_all[i].section;
	buf_add_str(&what, "unknown section ");
	quote_value(&what, key->text);
	if (home != NULL)
		buf_printf(&what, "; it is an option: write it below \"%s:\", indented", home);
	else if (near.best != NULL)
		buf_printf(&what, ", did you mean \"%s\"?", near.best);
	else
		buf_add_str(&what, "; there are");
	for (size_t i = 0; home == NULL && near.best == NULL && i < options_sections_count; i++)
		buf_printf(&what, "%s %s", i == 0 ? "" : ",", options_sections[i].name);
	if (home == NULL && near.best == NULL)
		buf_printf(&what, ", %s", options_outboxes.name);
	loader_complain(l, key, "", buf_str(&what), NULL);
	return home == NULL && near.best != NULL ? options_find_section(near.best) : NULL;
}

/* The list comes last, wherever it stands: what its entries leave out is as the sections have it. */
static void
load_sections(struct loader *l, const struct node *root)
{
	const struct node *outboxes = NULL;

	for (const struct node *n = root->first; n != NULL; n = n->next) {
		const struct section *section;

		if (!key_is_usable(l, root, n, ""))
			continue;
		if (strcmp(n->key->text, options_outboxes.name) == 0) {
			outboxes = n;
			continue;
		}
		section = options_find_section(n->key->text);
		if (section == NULL)
			section = unknown_section(l, n);
		if (section != NULL && loader_keep_place(l, section->name, n->key) == 0)
			loader_options(l, n, section->name, NULL, l->cfg, section->name);
	}
	if (outboxes != NULL)
		loader_outboxes(l, outboxes);
}

static const struct config_place *
find_place(const struct config *cfg, const char *path)
{
	for (size_t i = 0; i < cfg->places_count; i++)
		if (strcmp(cfg->places[i].path, path) == 0)
			return &cfg->places[i];
	return NULL;
}

static void
require(struct loader *l, const struct option *opt)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s.%s", opt->section, opt->name);
	if (find_place(l->cfg, path) != NULL)
		return;
	if (find_place(l->cfg, opt->section) != NULL)
		config_complain(l->cfg, path, l->problems, CONFIG_ERROR,
		                "is required; add to the section \"%s:\" the line '%s: \"%s\"'", opt->section,
		                opt->name, opt->example);
	else
		config_complain(l->cfg, path, l->problems, CONFIG_ERROR,
		                "is required; add a section \"%s:\" and in it, indented, the line '%s: \"%s\"'",
		                opt->section, opt->name, opt->example);
}

void
loader_load(const struct document *doc, struct config *cfg, struct config_problems *problems)
{
	struct loader l = {cfg, problems};
	const struct node *root = doc->root;

	if (root != NULL && root->kind == NODE_MAP) {
		load_sections(&l, root);
	} else if (root != NULL && !node_is_null(root)) {
		if (root->kind != NODE_REFUSED && doc->complete)
			loader_complain(&l, root, "", "the file should hold sections",
			         "for example a line \"database:\" and below it, indented, its options");
		return;
	}
	/* Whether something is missing cannot be told of a text that broke off. */
	for (size_t i = 0; doc->complete && i < options_count; i++)
		if (options_all[i].required)
			require(&l, &options_all[i]);
}
