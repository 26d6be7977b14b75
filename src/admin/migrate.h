/* migrate.h - brings schema pgoutbox from an older version to this program's, and refuses a newer one. Prints
 * nothing. Blocks. */
#ifndef PGOUTBOX_ADMIN_MIGRATE_H
#define PGOUTBOX_ADMIN_MIGRATE_H

#include <libpq-fe.h>
#include <stddef.h>

#include "base/error.h"

/* One step: brings version - 1 to version. */
struct migration {
	int version;
	const char *sql; /* may use no variable */
};

struct migrate_result {
	int from;
	int to; /* equal: there was nothing to do */
};

/* Which of the steps, which ascend by one, lead from version have to version want: [*ret_first, *ret_first +
 * *ret_count). Pure. ERR_CONFIG when have is newer than want, or so old that a step is missing. */
int migrate_plan(int have, int want, const struct migration *steps, size_t count, size_t *ret_first, size_t *ret_count,
                 struct error *err) __attribute__((warn_unused_result));

/* Runs the given steps up to version want, all in one transaction. */
int migrate_steps(PGconn *conn, int want, const struct migration *steps, size_t count,
                  struct migrate_result *ret_result,
                  struct error *err) __attribute__((warn_unused_result));

/* The same with the steps that this program has, to LAYOUT_SCHEMA_VERSION. */
int migrate_run(PGconn *conn, struct migrate_result *ret_result, struct error *err) __attribute__((warn_unused_result));

#endif
