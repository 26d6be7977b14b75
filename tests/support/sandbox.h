/* sandbox.h - a database and a role of its own for one test, on the server that PGOUTBOX_TEST_PG names.
 *
 * What fails here fails the running test (CUnit's fatal kind) with a diagnostic: no caller checks.
 */
#ifndef PGOUTBOX_TESTS_SANDBOX_H
#define PGOUTBOX_TESTS_SANDBOX_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct sandbox {
	char name[48]; /* of the database and of the role that stands for the daemon: in need of no quotes */
	char *super;   /* superuser's conninfo */
	char *role;    /* the role's conninfo */
	PGconn *db;    /* superuser */
};

/* Skips the test and returns false when there is no server. */
bool sandbox_begin(struct sandbox *sb);
void sandbox_end(struct sandbox *sb); /* for cleanup attributes: nothing happens where nothing was begun */

/* As the first thing of a test: the sandbox lasts until the test returns. */
#define SANDBOX(sb)                                                    \
	struct sandbox sb __attribute__((cleanup(sandbox_end))) = {0}; \
	if (!sandbox_begin(&sb))                                       \
	return

void sandbox_exec(PGconn *db, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int64_t sandbox_int(PGconn *db, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The first column of the first row, malloc'd; "" for NULL or no row. */
char *sandbox_text(PGconn *db, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The SQLSTATE that the statement fails with, "" when it succeeds. */
const char *sandbox_state(PGconn *db, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

PGconn *sandbox_open(const char *conninfo);

/* Runs one of PostgreSQL's programs (psql, pg_dump) to the end, which must be 0; what it said, malloc'd. */
char *sandbox_program(const char *program, const char *const args[]);

/* Fails the test with a diagnostic when rc is -1. */
void sandbox_must(int rc, const struct error *err, const char *what);
#define SANDBOX_MUST(call, err) sandbox_must((call), (err), #call)

#endif
