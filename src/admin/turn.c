/* turn.c - in: a session; out: the one lock for changes to schema pgoutbox. */
#include "admin/turn.h"

#include <time.h>

#include "admin/conn.h"
#include "base/clock.h"

#define TURN_LOCK "8099565005103591288" /* "pgoutbox" as a number */
#define TURN_LOOK_MS 100

/* It asks again and again rather than waiting in PostgreSQL: a waiting statement has a snapshot, and the concurrent
 * index build of the session waited for would wait for that to end. */
int
turn_take(PGconn *conn, int seconds, struct error *err)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)seconds * 1000000;
	struct timespec pause = {.tv_nsec = TURN_LOOK_MS * 1000000L};

	for (;;) {
		PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

		if (conn_query(conn, "SELECT pg_catalog.pg_try_advisory_lock(" TURN_LOCK ")", 0, NULL,
		               "could not take the administrators' lock",
		               &res, err) != 0)
			return -1;
		if (PQgetvalue(res, 0, 0)[0] == 't')
			return 0;
		if (clock_mono_us() >= deadline_us)
			break;
		nanosleep(&pause, NULL);
	}
	error_set(err, ERR_RETRY, "another pgoutboxctl is changing this database");
	return error_hint(err, "try again when it has ended: it holds advisory lock " TURN_LOCK " in pg_locks");
}

void
turn_give(PGconn *conn)
{
	PQclear(PQexec(conn, "SELECT pg_catalog.pg_advisory_unlock(" TURN_LOCK ")"));
}
