/* pace.h - how a tool that works through a table in steps leaves the server to others. Blocks. */
#ifndef PGOUTBOX_ADMIN_PACE_H
#define PGOUTBOX_ADMIN_PACE_H

#include <libpq-fe.h>
#include <stdint.h>

#include "base/error.h"

/* Each step is a transaction of its own, with a bound, that pace_end() ends. */
#define PACE_BEGIN                                                                             \
	"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '5s';"      \
	" SET LOCAL statement_timeout = '30s'; SET LOCAL jit = off"

/* Rests for as long as the step took that began at begun_us (monotonic), a second at the most. */
void pace_rest(int64_t begun_us);

/* COMMIT, or ROLLBACK where rc is -1; returns -1 where either was. */
int pace_end(PGconn *conn, int rc, struct error *err) __attribute__((warn_unused_result));

#endif
