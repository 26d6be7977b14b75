/* outbox.h - a table that is relayed, for the verbs that work on its events: a connection and the table's layout.
 * Blocks. */
#ifndef PGOUTBOX_ADMIN_OUTBOX_H
#define PGOUTBOX_ADMIN_OUTBOX_H

#include "admin/target.h"
#include "base/error.h"
#include "config/config.h"
#include "source/layout.h"

struct outbox {
	struct target target;
	struct layout layout; /* judged: table, columns, lanes and index are as they should be */
};

#define OUTBOX_INIT ((struct outbox){TARGET_INIT, LAYOUT_INIT})

/* Connects by database, an administrator's conninfo, or as the daemon does where that is NULL. ERR_CONFIG where init
 * has not been run, or the connection's role may not even look. cfg must outlive *ret_outbox. */
int outbox_open(const struct config *cfg, const char *database, struct outbox *ret_outbox, struct error *err)
	__attribute__((warn_unused_result));
void outbox_close(struct outbox *o); /* for cleanup attributes too */

#endif
