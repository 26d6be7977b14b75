/* check.h - what must hold between options, each of which is good by itself. */
#ifndef PGOUTBOX_CONFIG_CHECK_H
#define PGOUTBOX_CONFIG_CHECK_H

#include "config/config.h"

/* Complains where the file gives the option that would have to change. Needs no server and opens nothing. */
void check_options(const struct config *cfg, struct config_problems *problems);

#endif
