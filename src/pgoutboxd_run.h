/* pgoutboxd_run.h - the daemon at work: everything between a good configuration and an exit status. */
#ifndef PGOUTBOX_PGOUTBOXD_RUN_H
#define PGOUTBOX_PGOUTBOXD_RUN_H

#include "config/config.h"

/* Runs until it is told to stop or cannot go on; signals were blocked before (see signals_block()). Ends *cfg. */
int pgoutboxd_run(struct config *cfg) __attribute__((warn_unused_result));

#endif
