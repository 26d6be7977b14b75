/* inspect.h - asks a database about an outbox table, with the question and the rules that the daemon has
 * (source/layout.h). */
#ifndef PGOUTBOX_ADMIN_INSPECT_H
#define PGOUTBOX_ADMIN_INSPECT_H

#include <libpq-fe.h>

#include "base/error.h"
#include "source/layout.h"

/* The facts, judged by nobody yet. Blocks. The caller ends *ret_layout with layout_done(). */
int inspect(PGconn *conn, const struct layout_request *rq, struct layout *ret_layout, struct error *err)
	__attribute__((warn_unused_result));

/* ERR_CONFIG when there is no such role. */
int inspect_role(PGconn *conn, const char *role, struct error *err) __attribute__((warn_unused_result));

#endif
