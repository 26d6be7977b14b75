/* database.c - in: statements and what is bound to them; out: rows, or what may be done next. Knows no table. */
#include "database.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/backoff.h"
#include "base/clock.h"

enum { TRIES_MAX = 10, PAUSE_MS = 5, PAUSE_MAX_MS = 200 };

/* SQLSTATEs, by how they begin. A transaction that lost against another one is simply run again. */
static const char *const conflict[] = {"40001", "40P01", NULL};
/* Connections, resources, locks, shutdowns and timeouts: what another time may bring. */
static const char *const passing[] = {"08", "25P03", "40", "53", "55P03", "57", "58", NULL};

static bool
begins_with_one_of(const char *state, const char *const list[])
{
	for (size_t i = 0; list[i] != NULL; i++) {
		if (strncmp(state, list[i], strlen(list[i])) == 0)
			return true;
	}
	return false;
}

void
database_init(struct database *db, const char *conninfo)
{
	*db = (struct database){.conninfo = conninfo};
}

void
database_done(struct database *db)
{
	PQfinish(db->conn);
	db->conn = NULL;
}

void
database_clear(PGresult **res)
{
	PQclear(*res);
	*res = NULL;
}

const char *
database_state(const struct database *db)
{
	return db->state;
}

/* Settings that the conninfo names win, as they come later. A statement that takes longer is ended by the server, and so
 * is a transaction whose client hangs, with the locks that it has. */
static int
ensure_connected(struct database *db, struct error *err)
{
	static const char *const names[] = {"connect_timeout", "tcp_user_timeout", "fallback_application_name", "options", "dbname", NULL};
	const char *const values[] = {"5", "10000", "payments",
	                              "-c statement_timeout=5s -c lock_timeout=4s -c idle_in_transaction_session_timeout=10s",
	                              db->conninfo, NULL};

	if (db->conn != NULL && PQstatus(db->conn) == CONNECTION_OK)
		return 0;
	if (db->in_transaction)
		return error_set(err, ERR_RETRY, "the database connection was lost in a transaction");
	PQfinish(db->conn);
	db->conn = PQconnectdbParams(names, values, 1);
	if (PQstatus(db->conn) == CONNECTION_OK)
		return 0;
	const char *message = PQerrorMessage(db->conn);
	return error_set(err, ERR_RETRY, "could not connect to the database: %.*s", (int)strcspn(message, "\n"), message);
}

PGresult *
database_query(struct database *db, struct error *err, const char *sql, int count, const char *const values[])
{
	db->state[0] = '\0';
	if (ensure_connected(db, err) != 0)
		return NULL;
	PGresult *res = PQexecParams(db->conn, sql, count, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(res);
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return res;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	snprintf(db->state, sizeof(db->state), "%s", state != NULL ? state : "");
	bool passes = state == NULL || PQstatus(db->conn) != CONNECTION_OK || begins_with_one_of(state, passing);
	const char *message = PQerrorMessage(db->conn);
	error_set(err, passes ? ERR_RETRY : ERR_FATAL, "database: %.*s", (int)strcspn(message, "\n"), message);
	PQclear(res);
	return NULL;
}

int
database_do(struct database *db, struct error *err, const char *sql, int count, const char *const values[])
{
	PGresult *res = database_query(db, err, sql, count, values);
	if (res == NULL)
		return -1;
	PQclear(res);
	return 0;
}

/* A transaction in which a statement failed answers COMMIT with ROLLBACK, and no error. */
static int
commit(struct database *db, struct error *err)
{
	PGresult *res __attribute__((cleanup(database_clear))) = database_query(db, err, "COMMIT", 0, NULL);
	if (res == NULL)
		return -1;
	if (strcmp(PQcmdStatus(res), "COMMIT") != 0)
		return error_set(err, ERR_FATAL, "the transaction was rolled back: a failed statement of it was passed over");
	return 0;
}

/* Keeps the state of what failed before. A connection that cannot even roll back is of no use any more. */
static void
roll_back(struct database *db)
{
	char state[sizeof(db->state)];
	struct error ignored;

	memcpy(state, db->state, sizeof(state));
	if (database_do(db, &ignored, "ROLLBACK", 0, NULL) != 0)
		database_done(db);
	memcpy(db->state, state, sizeof(state));
}

static int
transact_once(struct database *db, int (*body)(struct database *db, void *ctx, struct error *err), void *ctx, struct error *err)
{
	if (database_do(db, err, "BEGIN", 0, NULL) != 0)
		return -1;
	db->in_transaction = true;
	int rc = body(db, ctx, err);
	if (rc == 0)
		rc = commit(db, err);
	if (rc != 0)
		roll_back(db);
	db->in_transaction = false;
	return rc;
}

int
database_transact(struct database *db, int (*body)(struct database *db, void *ctx, struct error *err), void *ctx,
                  struct error *err)
{
	struct backoff pause;

	backoff_init(&pause, PAUSE_MS, PAUSE_MAX_MS, (uint64_t)clock_mono_us());
	for (int tries = 1;; tries++) {
		int rc = transact_once(db, body, ctx, err);
		if (rc == 0 || tries == TRIES_MAX || !begins_with_one_of(db->state, conflict))
			return rc;
		nanosleep(&(struct timespec){.tv_nsec = (long)backoff_next_ms(&pause) * 1000000}, NULL);
	}
}
