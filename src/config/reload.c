/* reload.c - in: the configuration in force and the file as it is now; out: the former with what may change at once, and
 * the names of what did and what may not. Knows the table of options, and no option by name but the topic and the table.
 */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/options.h"
#include "config/outboxes.h"
#include "config/value.h"

struct reload {
	struct buf *taken;
	struct buf *waiting;
};

static void
name(struct buf *list, const char *prefix, const struct option *opt, const char *value)
{
	buf_printf(list, "%s%s.%s%s%s%s%s", list->len > 0 ? ", " : "", prefix, opt->group == NULL ? "" : opt->group,
	           opt->group == NULL ? "" : ".", opt->name, value[0] == '\0' ? "" : "=", value);
}

static bool
same_properties(const struct config_properties *a, const struct config_properties *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i].name, b->items[i].name) != 0 || strcmp(a->items[i].value, b->items[i].value) != 0)
			return false;
	return true;
}

/* What a reload takes is public, and shown. */
static void
take_value(const struct option *opt, char *base, char *next, const char *text)
{
	char **string = (char **)(void *)(base + opt->offset), **other = (char **)(void *)(next + opt->offset), *kept;
	struct error err;

	if (opt->kind != OPTION_STRING) {
		(void)!value_set(opt, base, text, &err); /* it was printed from such a value, and needs no memory */
		return;
	}
	kept = *string;
	*string = *other;
	*other = kept;
}

static void
compare(const struct reload *r, const struct option *opt, const char *prefix, struct config *cfg, struct config *next)
{
	struct buf before __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf after __attribute__((cleanup(buf_done))) = BUF_INIT;
	size_t offset = options_find_section(opt->section)->offset;
	char *base = (char *)cfg + offset, *next_base = (char *)next + offset;

	if (opt->kind == OPTION_PROPERTIES) {
		if (!same_properties((void *)(base + opt->offset), (void *)(next_base + opt->offset)))
			name(r->waiting, prefix, opt, "");
		return;
	}
	value_print(opt, base, &before);
	value_print(opt, next_base, &after);
	if (strcmp(buf_str(&before), buf_str(&after)) == 0)
		return;
	if (opt->when == OPTION_RESTART) {
		name(r->waiting, prefix, opt, "");
		return;
	}
	name(r->taken, prefix, opt, buf_str(&after));
	take_value(opt, base, next_base, buf_str(&after));
}

static void
compare_outbox(const struct reload *r, struct config *cfg, struct config *next)
{
	for (size_t i = 0; i < options_count; i++) {
		const struct option *opt = &options_all[i];

		if (options_stands_in(opt, options_outboxes.name, opt->group))
			compare(r, opt, cfg->entry != NULL ? cfg->entry : opt->section, cfg, next);
	}
}

/* One that has no counterpart of the same table was added or taken away. */
static void
compare_outboxes(const struct reload *r, struct config *cfg, struct config *next)
{
	bool single = config_outboxes(cfg) == 1 && config_outboxes(next) == 1;

	for (size_t i = 0; i < config_outboxes(cfg); i++) {
		struct config *mine = outboxes_get(cfg, i);
		struct config *other = single ? outboxes_get(next, 0) : outboxes_find(next, mine->outbox.table);

		if (other == NULL)
			buf_printf(r->waiting, "%sthe outbox \"%s\" is to go", r->waiting->len > 0 ? ", " : "", mine->outbox.table);
		else
			compare_outbox(r, mine, other);
	}
	for (size_t i = 0; i < config_outboxes(next) && !single; i++)
		if (config_find_outbox(cfg, config_outbox(next, i)->outbox.table) == NULL)
			buf_printf(r->waiting, "%sthe outbox \"%s\" is new", r->waiting->len > 0 ? ", " : "",
			           config_outbox(next, i)->outbox.table);
}

/* A secret's file may hold another one under the same name. */
static void
compare_secrets(const struct reload *r, const struct config *cfg, const struct config *next)
{
	const struct {
		bool same;
		const char *what;
	} secrets[] = {
		{strcmp(cfg->database.password, next->database.password) == 0, "what database.password_file holds"},
		{strcmp(cfg->database.sslpassword, next->database.sslpassword) == 0, "what database.sslpassword_file holds"},
		{same_properties(&cfg->kafka.secrets, &next->kafka.secrets), "what kafka.property_files hold"},
	};

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (!secrets[i].same)
			buf_printf(r->waiting, "%s%s", r->waiting->len > 0 ? ", " : "", secrets[i].what);
}

void
config_reload(struct config *cfg, struct config *next, struct buf *taken, struct buf *waiting)
{
	struct reload r = {taken, waiting};

	for (size_t i = 0; i < options_count; i++)
		if (!options_stands_in(&options_all[i], options_outboxes.name, options_all[i].group))
			compare(&r, &options_all[i], options_all[i].section, cfg, next);
	compare_outboxes(&r, cfg, next);
	compare_secrets(&r, cfg, next);
	outboxes_share(cfg);
}
