/* conn.h - a PostgreSQL connection for a command-line tool: it blocks, with limits. */
#ifndef PGOUTBOX_ADMIN_CONN_H
#define PGOUTBOX_ADMIN_CONN_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/error.h"

#define CONN_TIMEOUT_S "10" /* for each address, where the conninfo says nothing else */

/* password and sslpassword (of the client's key) may be NULL or "". ERR_RETRY when the server cannot be reached or
 * refuses, ERR_CONFIG when the conninfo cannot be read or the server is too old. Notices are swallowed. The caller
 * closes *ret_conn. */
int conn_open(const char *conninfo, const char *password, const char *sslpassword, PGconn **ret_conn,
              struct error *err)
	__attribute__((warn_unused_result));
void conn_close(PGconn **conn); /* for cleanup attributes too */

/* The role that conninfo means: its user, or whom libpq takes where it names none (PGUSER, the system's user). The
 * caller frees *ret_user. */
int conn_user(const char *conninfo, char **ret_user, struct error *err) __attribute__((warn_unused_result));

/* Any number of statements whose rows are of no interest. doing begins the message: "could not create the table". */
int conn_exec(PGconn *conn, const char *sql, const char *doing, struct error *err) __attribute__((warn_unused_result));

/* One statement with parameters in text, or a plain one when count is 0; the caller clears *ret_res. */
int conn_query(PGconn *conn, const char *sql, int count, const char *const *values, const char *doing,
               PGresult **ret_res,
               struct error *err) __attribute__((warn_unused_result));

/* The same with a text that was put together; who may not is told which role may. */
int conn_ask(PGconn *conn, const struct buf *sql, int count, const char *const *values, const char *doing,
             PGresult **ret_res, struct error *err) __attribute__((warn_unused_result));
void conn_clear(PGresult **res); /* for cleanup attributes */

#endif
