/* kit.h - the SQL kits for tests: installed by psql as people do it, called by sessions that wait for each other.
 *
 * What fails here fails the running test (CUnit's fatal kind) with a diagnostic: no caller checks.
 */
#ifndef PGOUTBOX_TESTS_KIT_H
#define PGOUTBOX_TESTS_KIT_H

#include <libpq-fe.h>

#include "support/sandbox.h"

/* Runs sql/FILE, with the sandbox's role as role and pg_monitor as operator. */
void kit_install(const struct sandbox *sb, const char *file);

/* The same; returns psql's exit status, and what it said, malloc'd, where that is asked for. */
int kit_run(const struct sandbox *sb, const char *file, char **ret_output);

/* Sends a statement and returns at once. */
void kit_send(PGconn *db, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Returns when the statement that was sent there waits for another session's lock. */
void kit_wait_blocked(PGconn *observer, PGconn *db);

/* What came of it: the first column of the first row, or the SQLSTATE. Good until the next call. */
const char *kit_answer(PGconn *db);

/* Both at once. */
const char *kit_ask(PGconn *db, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
