/* turn.h - one administrator at a time: an advisory lock of the session, which ends with it. */
#ifndef PGOUTBOX_ADMIN_TURN_H
#define PGOUTBOX_ADMIN_TURN_H

#include <libpq-fe.h>

#include "base/error.h"

/* Waits up to seconds. ERR_RETRY when another session keeps it longer. */
int turn_take(PGconn *conn, int seconds, struct error *err) __attribute__((warn_unused_result));
void turn_give(PGconn *conn);

#endif
