/* outboxes.c - one configuration in, a view of it for each outbox out. */
#include "config/outboxes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "config/secret.h"
#include "config/syntax.h"

size_t
config_outboxes(const struct config *cfg)
{
	return cfg->outboxes_count > 0 ? cfg->outboxes_count : 1;
}

struct config *
outboxes_get(struct config *cfg, size_t i)
{
	return cfg->outboxes_count > 0 ? &cfg->outboxes[i] : cfg;
}

struct config *
outboxes_find(struct config *cfg, const char *table)
{
	for (size_t i = 0; i < config_outboxes(cfg); i++)
		if (syntax_same_table(outboxes_get(cfg, i)->outbox.table, table))
			return outboxes_get(cfg, i);
	return NULL;
}

const struct config *
config_outbox(const struct config *cfg, size_t i)
{
	return cfg->outboxes_count > 0 ? &cfg->outboxes[i] : cfg;
}

const struct config *
config_find_outbox(const struct config *cfg, const char *table)
{
	for (size_t i = 0; i < config_outboxes(cfg); i++)
		if (syntax_same_table(config_outbox(cfg, i)->outbox.table, table))
			return config_outbox(cfg, i);
	return NULL;
}

/* The field of a string that is the outbox's own, NULL of any other option. */
static char **
own_string(struct config *outbox, const struct option *opt)
{
	if (opt->kind != OPTION_STRING || !options_stands_in(opt, options_outboxes.name, opt->group))
		return NULL;
	return (char **)(void *)((char *)outbox + options_find_section(opt->section)->offset + opt->offset);
}

static void
outbox_done(struct config *outbox)
{
	for (size_t i = 0; i < options_count; i++) {
		char **string = own_string(outbox, &options_all[i]);

		if (string != NULL)
			secret_wipe(*string);
	}
	free(outbox->entry);
}

static int
copy_strings(const struct config *cfg, struct config *outbox)
{
	int rc = 0;

	for (size_t i = 0; i < options_count; i++) {
		char **string = own_string(outbox, &options_all[i]);

		if (string != NULL && (*string = strdup(*string)) == NULL)
			rc = -1;
	}
	outbox->entry = malloc(32);
	if (rc < 0 || outbox->entry == NULL)
		return -1;
	snprintf(outbox->entry, 32, "%s[%zu]", options_outboxes.name, cfg->outboxes_count);
	return 0;
}

struct config *
outboxes_add(struct config *cfg)
{
	struct config *outboxes = realloc(cfg->outboxes, (cfg->outboxes_count + 1) * sizeof(*outboxes));
	struct config outbox = *cfg;

	if (outboxes == NULL)
		return NULL;
	cfg->outboxes = outboxes;
	outbox.outboxes = NULL;
	outbox.outboxes_count = 0;
	if (copy_strings(cfg, &outbox) < 0) {
		outbox_done(&outbox);
		return NULL;
	}
	outboxes[cfg->outboxes_count] = outbox;
	return &outboxes[cfg->outboxes_count++];
}

void
outboxes_share(struct config *cfg)
{
	for (size_t i = 0; i < cfg->outboxes_count; i++) {
		struct config *outbox = &cfg->outboxes[i], own = *outbox;

		*outbox = *cfg;
		outbox->outbox = own.outbox;
		outbox->kafka.topic = own.kafka.topic;
		outbox->entry = own.entry;
		outbox->outboxes = NULL;
		outbox->outboxes_count = 0;
	}
}

void
outboxes_done(struct config *cfg)
{
	for (size_t i = 0; i < cfg->outboxes_count; i++)
		outbox_done(&cfg->outboxes[i]);
	free(cfg->outboxes);
	cfg->outboxes = NULL;
	cfg->outboxes_count = 0;
}
