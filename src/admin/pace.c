/* pace.c - in: when a step began; out: a pause. Knows no table. */
#include "admin/pace.h"

#include <time.h>

#include "admin/conn.h"
#include "base/clock.h"

#define REST_MAX_US 1000000

void
pace_rest(int64_t begun_us)
{
	int64_t us = clock_mono_us() - begun_us;
	struct timespec pause;

	if (us > REST_MAX_US)
		us = REST_MAX_US;
	pause = (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	nanosleep(&pause, NULL);
}

int
pace_end(PGconn *conn, int rc, struct error *err)
{
	if (rc == 0)
		rc = conn_exec(conn, "COMMIT", "could not commit", err);
	if (rc != 0)
		PQclear(PQexec(conn, "ROLLBACK"));
	return rc;
}
