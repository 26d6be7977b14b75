/* loader_impl.h - what the parts of the loader share. Internal to this room. */
#ifndef PGOUTBOX_CONFIG_LOADER_IMPL_H
#define PGOUTBOX_CONFIG_LOADER_IMPL_H

#include "config/loader.h"

struct loader {
	struct config *cfg;
	struct config_problems *problems;
};

/* hint may be NULL. */
void loader_complain(struct loader *l, const struct node *at, const char *path, const char *message, const char *hint);
void loader_out_of_memory(struct loader *l);

/* Where a value was given. -1: memory is out, which was said. */
int loader_keep_place(struct loader *l, const char *path, const struct node *at);

const char *loader_kind_name(const struct node *n); /* "a list" */

/* The options of a section, or of an entry of the list, into a configuration; prefix is how their paths begin. */
void loader_options(struct loader *l, const struct node *map, const char *section, const char *group, struct config *into,
                    const char *prefix);

/* The list of outboxes; the sections were loaded before. */
void loader_outboxes(struct loader *l, const struct node *list);

#endif
