/* db.c - short ways to talk to PostgreSQL, for tests and their tools. Knows no table. */
#include "support/db.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
db_error(struct error *err, const char *text)
{
	size_t len = strlen(text);

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	return error_set(err, ERR_RETRY, "%.*s", (int)len, text);
}

static void
quiet_notice(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

PGconn *
db_open(const char *conninfo, struct error *err)
{
	PGconn *conn = PQconnectdb(conninfo);

	if (conn == NULL || PQstatus(conn) != CONNECTION_OK) {
		(void)db_error(err, conn == NULL ? "out of memory" : PQerrorMessage(conn));
		PQfinish(conn);
		return NULL;
	}
	PQsetNoticeProcessor(conn, quiet_notice, NULL);
	return conn;
}

void
db_close(PGconn **conn)
{
	PQfinish(*conn);
	*conn = NULL;
}

void
db_clear(PGresult **res)
{
	PQclear(*res);
	*res = NULL;
}

static PGresult *
run(PGconn *conn, struct error *err, const char *fmt, va_list args) __attribute__((format(printf, 3, 0)));

static PGresult *
run(PGconn *conn, struct error *err, const char *fmt, va_list args)
{
	char *sql = NULL;
	PGresult *res;

	if (vasprintf(&sql, fmt, args) < 0) {
		(void)db_error(err, "out of memory");
		return NULL;
	}
	res = PQexec(conn, sql);
	free(sql);
	if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK) {
		(void)db_error(err, PQerrorMessage(conn));
		db_clear(&res);
	}
	return res;
}

int
db_exec(PGconn *conn, struct error *err, const char *fmt, ...)
{
	PGresult *res;
	va_list args;

	va_start(args, fmt);
	res = run(conn, err, fmt, args);
	va_end(args);
	if (res == NULL)
		return -1;
	db_clear(&res);
	return 0;
}

PGresult *
db_query(PGconn *conn, struct error *err, const char *fmt, ...)
{
	PGresult *res;
	va_list args;

	va_start(args, fmt);
	res = run(conn, err, fmt, args);
	va_end(args);
	if (res != NULL && PQresultStatus(res) != PGRES_TUPLES_OK) {
		(void)error_set(err, ERR_FATAL, "the statement gives no rows");
		db_clear(&res);
	}
	return res;
}

int
db_int(PGconn *conn, int64_t *ret_value, struct error *err, const char *fmt, ...)
{
	PGresult *res;
	va_list args;
	int rc = -1;

	va_start(args, fmt);
	res = run(conn, err, fmt, args);
	va_end(args);
	if (res == NULL)
		return -1;
	if (PQntuples(res) == 0) {
		(void)error_set(err, ERR_FATAL, "the statement gives no row");
	} else {
		*ret_value = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
		rc = 0;
	}
	db_clear(&res);
	return rc;
}

static void
put_param(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s='", name);
	for (; *value != '\0'; value++) {
		if (*value == '\'' || *value == '\\')
			fputc('\\', out);
		fputc(*value, out);
	}
	fputs("' ", out);
}

/* libpq takes the last of two parameters with one name, so replacing is appending. */
char *
db_conninfo(const char *base, ...)
{
	PQconninfoOption *options = PQconninfoParse(base, NULL);
	const char *name;
	char *text = NULL;
	size_t len = 0;
	va_list args;
	FILE *out;

	if (options == NULL)
		return NULL;
	out = open_memstream(&text, &len);
	for (PQconninfoOption *o = options; out != NULL && o->keyword != NULL; o++) {
		if (o->val != NULL)
			put_param(out, o->keyword, o->val);
	}
	va_start(args, base);
	while (out != NULL && (name = va_arg(args, const char *)) != NULL)
		put_param(out, name, va_arg(args, const char *));
	va_end(args);
	PQconninfoFree(options);
	if (out == NULL || fclose(out) != 0)
		return NULL;
	return text;
}

char *
db_conninfo_get(const char *conninfo, const char *name)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	char *value = NULL;

	if (options == NULL)
		return NULL;
	for (PQconninfoOption *o = options; o->keyword != NULL; o++) {
		if (o->val != NULL && strcmp(o->keyword, name) == 0)
			value = strdup(o->val);
	}
	PQconninfoFree(options);
	return value;
}
