/* sandbox.c - a database and a role for one test. Knows nothing of outboxes. */
#include "support/sandbox.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/db.h"
#include "support/proc.h"
#include "support/tap.h"

void
sandbox_must(int rc, const struct error *err, const char *what)
{
	if (rc != 0)
		tap_diag("%s: %s (%s)", what, err->message, err->hint);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
}

PGconn *
sandbox_open(const char *conninfo)
{
	struct error err;
	PGconn *db = db_open(conninfo, &err);

	sandbox_must(db != NULL ? 0 : -1, &err, "connect");
	return db;
}

static void
on_server(const char *fmt, const char *name)
{
	struct error err;
	PGconn *db = sandbox_open(getenv("PGOUTBOX_TEST_PG"));

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	SANDBOX_MUST(db_exec(db, &err, fmt, name), &err);
#pragma GCC diagnostic pop
	db_close(&db);
}

bool
sandbox_begin(struct sandbox *sb)
{
	static unsigned number;
	const char *server = getenv("PGOUTBOX_TEST_PG");

	*sb = (struct sandbox){0};
	if (server == NULL || *server == '\0') {
		tap_skip("PGOUTBOX_TEST_PG is not set: run it under tests/with-postgres");
		return false;
	}
	snprintf(sb->name, sizeof(sb->name), "sandbox_%ld_%u", (long)getpid(), number++);
	on_server("CREATE DATABASE %s", sb->name);
	on_server("CREATE ROLE %s LOGIN", sb->name);
	sb->super = db_conninfo(server, "dbname", sb->name, NULL);
	sb->role = db_conninfo(server, "dbname", sb->name, "user", sb->name, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(sb->super);
	CU_ASSERT_PTR_NOT_NULL_FATAL(sb->role);
	sb->db = sandbox_open(sb->super);
	return true;
}

void
sandbox_end(struct sandbox *sb)
{
	if (sb->name[0] == '\0')
		return;
	db_close(&sb->db);
	on_server("DROP DATABASE IF EXISTS %s WITH (FORCE)", sb->name);
	on_server("DROP ROLE IF EXISTS %s", sb->name);
	free(sb->super);
	free(sb->role);
	sb->name[0] = '\0';
}

static char *__attribute__((format(printf, 1, 0)))
format(const char *fmt, va_list args)
{
	char *sql = NULL;

	CU_ASSERT_TRUE_FATAL(vasprintf(&sql, fmt, args) >= 0);
	return sql;
}

void
sandbox_exec(PGconn *db, const char *fmt, ...)
{
	struct error err;
	char *sql;
	va_list args;

	va_start(args, fmt);
	sql = format(fmt, args);
	va_end(args);
	sandbox_must(db_exec(db, &err, "%s", sql), &err, sql);
	free(sql);
}

static PGresult *
rows(PGconn *db, char *sql)
{
	struct error err;
	PGresult *res = db_query(db, &err, "%s", sql);

	sandbox_must(res != NULL ? 0 : -1, &err, sql);
	free(sql);
	return res;
}

int64_t
sandbox_int(PGconn *db, const char *fmt, ...)
{
	PGresult *res;
	int64_t value;
	va_list args;

	va_start(args, fmt);
	res = rows(db, format(fmt, args));
	va_end(args);
	CU_ASSERT_TRUE_FATAL(PQntuples(res) > 0);
	value = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	db_clear(&res);
	return value;
}

char *
sandbox_text(PGconn *db, const char *fmt, ...)
{
	PGresult *res;
	char *text;
	va_list args;

	va_start(args, fmt);
	res = rows(db, format(fmt, args));
	va_end(args);
	text = strdup(PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	db_clear(&res);
	return text;
}

const char *
sandbox_state(PGconn *db, const char *fmt, ...)
{
	static char state[6];
	const char *field;
	char *sql;
	PGresult *res;
	va_list args;

	va_start(args, fmt);
	sql = format(fmt, args);
	va_end(args);
	res = PQexec(db, sql);
	free(sql);
	field = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	snprintf(state, sizeof(state), "%s", field != NULL ? field : "");
	PQclear(res);
	return state;
}

char *
sandbox_program(const char *program, const char *const args[])
{
	const char *dir = getenv("PGOUTBOX_TEST_PGBIN");
	const char *argv[32] = {NULL};
	char path[512];
	char *output = NULL;
	size_t count = 0;
	int status;

	/* servers of other versions come without programs for clients */
	snprintf(path, sizeof(path), "%s/%s", dir != NULL ? dir : "", program);
	if (dir == NULL || access(path, X_OK) != 0)
		snprintf(path, sizeof(path), "%s", program);
	argv[count++] = path;
	for (size_t i = 0; args[i] != NULL && count < 31; i++)
		argv[count++] = args[i];
	status = proc_run(argv, 60000, &output);
	if (status != 0)
		tap_diag("%s: %s", program, output);
	CU_ASSERT_EQUAL_FATAL(status, 0);
	return output;
}
