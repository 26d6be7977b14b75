/* pgoutboxd_reload.h - the configuration read again, while the daemon runs. */
#ifndef PGOUTBOX_PGOUTBOXD_RELOAD_H
#define PGOUTBOX_PGOUTBOXD_RELOAD_H

#include "base/log.h"
#include "config/config.h"

/* Reads the file anew and takes over what may change at once; the log says what is wrong with it, or what was taken. What
 * takes a restart is appended to waiting, for the caller to add to and to tell. -1: the file is not good, and nothing has
 * changed. log_format_given: by the command line, so the file's does not count. Blocks on files only. */
int pgoutboxd_reload(struct config *cfg, bool log_format_given, const struct log *log, struct buf *waiting) __attribute__((warn_unused_result));

#endif
