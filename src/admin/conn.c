/* conn.c - in: a conninfo, statements; out: results, or errors that say what to do. Knows no table. */
#include "admin/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conninfo.h"
#include "source/refusal.h"
#include "source/session.h"

#define OLDEST_SERVER 140000

static void
be_quiet(void *ctx, const PGresult *res)
{
	(void)ctx;
	(void)res;
}

/* libpq spreads its messages over lines. */
static int
connection_error(const PGconn *conn, struct error *err)
{
	char text[sizeof(err->message)];
	const char *hint;
	size_t len;

	snprintf(text, sizeof(text), "%s", conn == NULL ? "out of memory" : PQerrorMessage(conn));
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	for (len = strlen(text); len > 0 && text[len - 1] == ' '; len--)
		text[len - 1] = '\0';
	error_set(err, ERR_RETRY, "could not connect to PostgreSQL: %s", text);
	if (conn != NULL && PQconnectionNeedsPassword(conn))
		return error_hint(err, "set database.password_file, or name a password file by PGPASSFILE");
	hint = refusal_hint(text);
	return error_hint(err, "%s", hint != NULL ? hint : "check the connection string: host, port, dbname and user");
}

int
conn_open(const char *conninfo, const char *password, const char *sslpassword, PGconn **ret_conn,
          struct error *err)
{
	/* What is expanded from dbname overrides what comes before it, but not what comes after. */
	const char *keywords[] = {"connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count",
	                          "tcp_user_timeout", "dbname", "fallback_application_name", "client_encoding",
	                          "password", "sslpassword", NULL};
	/* libpq passes over what is empty. A server that vanished is noticed within a dozen seconds. */
	const char *values[] = {CONN_TIMEOUT_S, "5", "2", "3", "10000", conninfo, "pgoutboxctl", "UTF8", password, sslpassword, NULL};
	PGconn *conn __attribute__((cleanup(conn_close))) = NULL;

	if (refusal_check_conninfo(conninfo, conninfo_has_password(conninfo), err) != 0)
		return -1;
	conn = PQconnectdbParams(keywords, values, 1);
	if (conn == NULL || PQstatus(conn) != CONNECTION_OK)
		return connection_error(conn, err);
	if (PQserverVersion(conn) < OLDEST_SERVER) {
		error_set(err, ERR_CONFIG, "PostgreSQL %d is too old", PQserverVersion(conn) / 10000);
		return error_hint(err, "pgoutboxd needs PostgreSQL 14 or newer");
	}
	PQsetNoticeReceiver(conn, be_quiet, NULL);
	*ret_conn = conn;
	conn = NULL;
	return 0;
}

void
conn_close(PGconn **conn)
{
	PQfinish(*conn);
	*conn = NULL;
}

/* NULL when options is NULL or has no user. */
static char *
user_of(PQconninfoOption *options)
{
	char *user = NULL;

	for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, "user") == 0 && o->val != NULL && o->val[0] != '\0')
			user = strdup(o->val);
	PQconninfoFree(options);
	return user;
}

int
conn_user(const char *conninfo, char **ret_user, struct error *err)
{
	/* What libpq says of a bad conninfo may quote a password. */
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	char *user;

	if (options == NULL) {
		error_set(err, ERR_CONFIG, "database.conninfo is no connection string");
		return error_hint(err, "write key=value words or a postgresql:// URI, as libpq reads them");
	}
	user = user_of(options);
	if (user == NULL)
		user = user_of(PQconndefaults());
	if (user == NULL) {
		error_set(err, ERR_CONFIG, "database.conninfo names no user");
		return error_hint(err, "add user=..., or name the role by --role");
	}
	*ret_user = user;
	return 0;
}

void
conn_clear(PGresult **res)
{
	PQclear(*res);
	*res = NULL;
}

/* Takes res over when it is a failure. */
static int
check(PGresult *res, const char *doing, struct error *err)
{
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
		return 0;
	(void)session_result_error(res, doing, err);
	PQclear(res);
	return -1;
}

int
conn_exec(PGconn *conn, const char *sql, const char *doing, struct error *err)
{
	PGresult *res = PQexec(conn, sql);

	if (check(res, doing, err) != 0)
		return -1;
	PQclear(res);
	return 0;
}

int
conn_query(PGconn *conn, const char *sql, int count, const char *const *values, const char *doing, PGresult **ret_res,
           struct error *err)
{
	PGresult *res = count == 0 ? PQexec(conn, sql) : PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);

	if (check(res, doing, err) != 0)
		return -1;
	*ret_res = res;
	return 0;
}

int
conn_ask(PGconn *conn, const struct buf *sql, int count, const char *const *values, const char *doing,
         PGresult **ret_res, struct error *err)
{
	if (buf_failed(sql))
		return error_set(err, ERR_RETRY, "out of memory");
	if (conn_query(conn, buf_str(sql), count, values, doing, ret_res, err) == 0)
		return 0;
	if (strstr(err->message, "(SQLSTATE 42501)") != NULL)
		error_hint(err, "connect by --database as a role that may: RIGHTS in pgoutbox(7) tells what it needs");
	return -1;
}
