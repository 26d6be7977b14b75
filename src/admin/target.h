/* target.h - what a verb works on: the outbox of a configuration, the daemon's role, and a connection to get there.
 * Blocks. */
#ifndef PGOUTBOX_ADMIN_TARGET_H
#define PGOUTBOX_ADMIN_TARGET_H

#include <libpq-fe.h>

#include "base/error.h"
#include "config/config.h"
#include "relay/plan.h"
#include "source/layout.h"

struct target {
	PGconn *conn;
	struct layout_request request; /* with the role, and the columns that kafka.topic names */
	char *role;
	struct plan plan; /* as the daemon has it */
};

#define TARGET_INIT ((struct target){.conn = NULL})

/* Connects by database, an administrator's conninfo, or as the daemon does where that is NULL. role NULL = the user of
 * database.conninfo. cfg must outlive *ret_target. */
int target_open(const struct config *cfg, const char *database, const char *role, struct target *ret_target,
                struct error *err) __attribute__((warn_unused_result));
void target_close(struct target *t); /* for cleanup attributes too */

#endif
