/* database.h - one connection to PostgreSQL, for one thread at a time; it comes back by itself when it was lost.
 *
 * Everything blocks, but not for long: connecting, a statement, a lock and an answer that does not come have timeouts.
 * Errors: ERR_RETRY where the same may succeed later (no connection, a timeout, too many conflicts), ERR_FATAL where the
 * server refused the statement as it is; database_state() says how.
 */
#ifndef PAYMENTS_DATABASE_H
#define PAYMENTS_DATABASE_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/error.h"

struct database {
	const char *conninfo; /* borrowed */
	PGconn *conn;         /* NULL before the first transaction, and where the connection was lost */
	bool in_transaction;
	char state[6];        /* of the last failure */
};

void database_init(struct database *db, const char *conninfo); /* does not connect yet */
void database_done(struct database *db);

/* One statement, its parameters bound as text; NULL is SQL's NULL. Connects where that is needed, but not within a
 * transaction, which is lost with its connection. */
PGresult *database_query(struct database *db, struct error *err, const char *sql, int count, const char *const values[])
	__attribute__((warn_unused_result));
#define DATABASE_QUERY(db, err, sql, ...)                                                                            \
	database_query((db), (err), (sql), (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)), \
	               (const char *const[]){__VA_ARGS__})

/* The same where no row is of interest. */
int database_do(struct database *db, struct error *err, const char *sql, int count, const char *const values[])
	__attribute__((warn_unused_result));
#define DATABASE_DO(db, err, sql, ...)                                                                            \
	database_do((db), (err), (sql), (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)), \
	            (const char *const[]){__VA_ARGS__})

/* BEGIN, body, COMMIT. Where the body fails the transaction is rolled back; where it fails by a conflict with another
 * transaction (40001, 40P01) all of it is tried again, so the body starts from the same ctx each time and changes nothing
 * outside of the database that it could not change again. After ERR_RETRY nobody knows whether it was committed: whoever
 * tries again has to find out, which is what inbox_begin() and idempotency_begin() are for. */
int database_transact(struct database *db, int (*body)(struct database *db, void *ctx, struct error *err), void *ctx,
                      struct error *err) __attribute__((warn_unused_result));

/* The SQLSTATE of the last failure, "" where there was no answer. */
const char *database_state(const struct database *db);

void database_clear(PGresult **res); /* for cleanup attributes */

#endif
