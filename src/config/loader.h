/* loader.h - a tree of nodes -> struct config, by the table of options. */
#ifndef PGOUTBOX_CONFIG_LOADER_H
#define PGOUTBOX_CONFIG_LOADER_H

#include "config/config.h"
#include "config/document.h"

/* Gives every option its default. cfg is all zero before. -1 when memory is out. */
int loader_defaults(struct config *cfg) __attribute__((warn_unused_result));

/* Adds to problems what is wrong with the document. cfg holds the defaults and keeps them where the document is silent
 * or wrong; the places of all that is given go to cfg->places. */
void loader_load(const struct document *doc, struct config *cfg, struct config_problems *problems);

#endif
