/* kit.c - SQL kits for tests. Knows no kit. */
#include "support/kit.h"

#include <CUnit/CUnit.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/proc.h"
#include "support/tap.h"

#define PATIENCE_US 20000000

int
kit_run(const struct sandbox *sb, const char *file, char **ret_output)
{
	const char *top = getenv("srcdir"), *bin = getenv("PGOUTBOX_TEST_PGBIN");
	char psql[512], path[512], role[80];
	const char *const argv[] = {psql, "-X", "-q", "-d", sb->super, "-v", role, "-v", "operator=pg_monitor", "-f", path, NULL};
	char *output = NULL;

	snprintf(psql, sizeof(psql), "%s/psql", bin != NULL ? bin : "");
	if (bin == NULL || access(psql, X_OK) != 0)
		snprintf(psql, sizeof(psql), "psql");
	snprintf(path, sizeof(path), "%s/sql/%s", top != NULL ? top : ".", file);
	snprintf(role, sizeof(role), "role=%s", sb->name);
	int status = proc_run(argv, 30000, &output);
	if (ret_output != NULL)
		*ret_output = output;
	else
		free(output);
	return status;
}

void
kit_install(const struct sandbox *sb, const char *file)
{
	char *output = NULL;
	int status = kit_run(sb, file, &output);

	TAP_STR(output, "");
	free(output);
	TAP_INT_FATAL(status, 0);
}

static void
send_format(PGconn *db, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

static void
send_format(PGconn *db, const char *fmt, va_list args)
{
	char *sql = NULL;

	CU_ASSERT_FATAL(vasprintf(&sql, fmt, args) >= 0);
	int sent = PQsendQuery(db, sql);
	free(sql);
	TAP_INT_FATAL(sent, 1);
}

void
kit_send(PGconn *db, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	send_format(db, fmt, args);
	va_end(args);
}

void
kit_wait_blocked(PGconn *observer, PGconn *db)
{
	int64_t until_us = clock_mono_us() + PATIENCE_US;

	while (sandbox_int(observer, "SELECT cardinality(pg_blocking_pids(%d))", PQbackendPID(db)) == 0) {
		if (clock_mono_us() > until_us)
			tap_diag("the session does not wait");
		CU_ASSERT_FATAL(clock_mono_us() <= until_us);
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	}
}

const char *
kit_answer(PGconn *db)
{
	static char answer[1024];
	PGresult *res;
	int results = 0;

	while ((res = PQgetResult(db)) != NULL) {
		ExecStatusType status = PQresultStatus(res);
		const char *text = "";

		if (status == PGRES_TUPLES_OK && PQntuples(res) > 0)
			text = PQgetvalue(res, 0, 0);
		else if (status == PGRES_FATAL_ERROR)
			text = PQresultErrorField(res, PG_DIAG_SQLSTATE) != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : "lost";
		snprintf(answer, sizeof(answer), "%s", text);
		results++;
		PQclear(res);
	}
	CU_ASSERT_FATAL(results > 0);
	return answer;
}

const char *
kit_ask(PGconn *db, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	send_format(db, fmt, args);
	va_end(args);
	return kit_answer(db);
}
