/* db.h - short ways to talk to PostgreSQL, for tests and their tools. Everything blocks.
 *
 * Errors carry what the server said. Statements are written by us: nothing here quotes values.
 */
#ifndef PGOUTBOX_TESTS_DB_H
#define PGOUTBOX_TESTS_DB_H

#include <libpq-fe.h>
#include <stdint.h>

#include "base/error.h"

PGconn *db_open(const char *conninfo, struct error *err) __attribute__((warn_unused_result));
void db_close(PGconn **conn); /* for cleanup attributes too */
void db_clear(PGresult **res);

/* Any number of statements, whose rows are of no interest. */
int db_exec(PGconn *conn, struct error *err, const char *fmt, ...)
    __attribute__((warn_unused_result, format(printf, 3, 4)));

/* One statement that must give rows; the caller clears them. */
PGresult *db_query(PGconn *conn, struct error *err, const char *fmt, ...)
    __attribute__((warn_unused_result, format(printf, 3, 4)));

/* The first column of the first row; NULL counts as 0. */
int db_int(PGconn *conn, int64_t *ret_value, struct error *err, const char *fmt, ...)
    __attribute__((warn_unused_result, format(printf, 4, 5)));

/* A copy of base in which the given parameters are replaced or added: pairs of name and value, closed by NULL.
 * malloc'd; NULL when base cannot be read. */
char *db_conninfo(const char *base, ...) __attribute__((sentinel, warn_unused_result));

/* The value of one parameter of a conninfo, malloc'd; NULL when it is not set. */
char *db_conninfo_get(const char *conninfo, const char *name) __attribute__((warn_unused_result));

#endif
