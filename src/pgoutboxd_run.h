/* pgoutboxd_run.h - the daemon at work: everything between a good configuration and an exit status. */
#ifndef PGOUTBOX_PGOUTBOXD_RUN_H
#define PGOUTBOX_PGOUTBOXD_RUN_H

#include "config/config.h"

/* Runs until it is told to stop or cannot go on; signals were blocked before (see signals_block()). Ends *cfg. log_format is
 * the command line's, in place of the configuration's; -1 = none. */
int pgoutboxd_run(struct config *cfg, int log_format) __attribute__((warn_unused_result));

#endif
