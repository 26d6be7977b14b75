/* test_sqlstate.c - every error of PostgreSQL's appendix has a row of the table, and the ones that matter the right one. */
#include "source/sqlstate.c"

#include <stdio.h>

#include "support/tap.h"

static void
expect(const char *code, enum err_kind kind, const char *hint_part)
{
	const char *hint = "untouched";

	if (sqlstate_kind(code, &hint) != kind)
		tap_diag("SQLSTATE %s", code != NULL ? code : "NULL");
	TAP_INT(sqlstate_kind(code, &hint), kind);
	if (hint_part == NULL)
		TAP_STR(hint, NULL);
	else
		TAP_HAS(hint, hint_part);
}

static void
test_person(void)
{
	expect("42501", ERR_CONFIG, "grants what the role needs");
	expect("42P01", ERR_CONFIG, "pgoutboxctl init");
	expect("42883", ERR_CONFIG, "pgoutboxctl init");
	expect("3F000", ERR_CONFIG, "pgoutboxctl init");
	expect("42703", ERR_CONFIG, "outbox.columns");
	expect("26000", ERR_CONFIG, "session mode");
	expect("42P05", ERR_CONFIG, "session mode");
	expect("42601", ERR_CONFIG, "pgoutboxctl check"); /* by its class */
	expect("28P01", ERR_CONFIG, "database.password_file");
	expect("28000", ERR_CONFIG, "pg_hba.conf");
	expect("3D000", ERR_CONFIG, "dbname");
	expect("P0001", ERR_CONFIG, "trigger");
	expect("23514", ERR_CONFIG, "constraint");
	expect("22P05", ERR_CONFIG, "UTF-8");
	expect("22P02", ERR_CONFIG, "value");
	expect("54000", ERR_CONFIG, "batch_rows");
	expect("XX001", ERR_CONFIG, "damaged");
	expect("XX002", ERR_CONFIG, "damaged");
	expect("F0000", ERR_CONFIG, "configuration");
	expect("HV00R", ERR_CONFIG, "plain table");
}

static void
test_time(void)
{
	static const char *const states[] = {"57P01", "57P02", "57P03", "40001", "40P01", "08006", "08P01",
	                                     "55006", "55000", "58000", "72000"};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		expect(states[i], ERR_RETRY, NULL);
	expect("25006", ERR_RETRY, "read-only");
	expect("25P03", ERR_RETRY, "session_timeout");
	expect("57P05", ERR_RETRY, "session_timeout");
	expect("53100", ERR_RETRY, "disk");
	expect("53200", ERR_RETRY, "memory");
	expect("53300", ERR_RETRY, "max_connections");
	expect("53400", ERR_RETRY, "limit");
	expect("55P03", ERR_RETRY, "lock");
	expect("57014", ERR_RETRY, "statement_timeout");
	expect("58030", ERR_RETRY, "log");
	expect("XX000", ERR_RETRY, "log");
}

static void
test_program(void)
{
	expect("03000", ERR_FATAL, "report");
	expect("25P02", ERR_FATAL, "report");
	expect("24000", ERR_FATAL, "report");
}

/* Triggers may raise whatever they like, and a broken connection has no code. */
static void
test_not_in_the_appendix(void)
{
	static const char *const states[] = {"AB123", "99999", "", "4250", "425011", "42"};

	expect(NULL, ERR_RETRY, NULL);
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		CU_ASSERT_PTR_NULL(sqlstate_find(states[i]));
		expect(states[i], ERR_RETRY, NULL);
	}
}

/* A row that an earlier one hides would say nothing. */
static void
test_rows_are_found(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char code[] = "00000";

		memcpy(code, rows[i].code, strlen(rows[i].code));
		CU_ASSERT(strlen(rows[i].code) == 2 || strlen(rows[i].code) == CODE_LEN);
		if (sqlstate_find(code) != &rows[i])
			tap_diag("%s is hidden", rows[i].code);
		CU_ASSERT_PTR_EQUAL(sqlstate_find(code), &rows[i]);
	}
}

/* Of every class the appendix of PostgreSQL 15 has, and those of later versions. */
static void
test_classes(void)
{
	static const char classes[] = "00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B"
	                              " 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX";

	for (const char *p = classes; *p != '\0'; p += p[2] == '\0' ? 2 : 3) {
		char code[] = {p[0], p[1], '9', '9', '9', '\0'};

		CU_ASSERT_PTR_NOT_NULL(sqlstate_find(code));
	}
}

/* Every code that the installed server can give, by its own list. */
static void
test_list_of_the_server(void)
{
	static const char *const paths[] = {"/usr/share/postgresql/18/errcodes.txt", "/usr/share/postgresql/17/errcodes.txt",
	                                    "/usr/share/postgresql/16/errcodes.txt", "/usr/share/postgresql/15/errcodes.txt",
	                                    "/usr/share/postgresql/14/errcodes.txt", "/usr/share/pgsql/errcodes.txt"};
	int lists = 0, codes = 0;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char line[256], code[6], level;
		FILE *in = fopen(paths[i], "re");

		while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
			if (sscanf(line, "%5[0-9A-Z] %c ERRCODE_", code, &level) != 2 || strstr(line, " ERRCODE_") == NULL)
				continue;
			codes++;
			if (sqlstate_find(code) == NULL)
				tap_diag("%s: %s", paths[i], line);
			CU_ASSERT_PTR_NOT_NULL(sqlstate_find(code));
		}
		if (in == NULL)
			continue;
		fclose(in);
		lists++;
	}
	if (lists == 0)
		tap_skip("no errcodes.txt of a PostgreSQL server here");
	else
		CU_ASSERT(codes > 200);
}

static void
expect_text(const char *text, const char *code)
{
	char found[6] = "?";

	sqlstate_in_text(text, found);
	TAP_STR(found, code);
}

static void
test_in_text(void)
{
	expect_text("", "");
	expect_text("connection to server at \"h\", port 1 failed: Connection refused\n\tIs the server running?\n", "");
	expect_text("connection to server at \"h\" failed: FATAL:  28P01: password authentication failed for user \"a:  b\"\n"
	            "LOCATION:  auth_failed, auth.c:335\n", "28P01");
	expect_text("a failed: FATAL:  57P03: starting up\nLOCATION:  x, y.c:1\nb failed: FATAL:  3D000: no\n", "3D000");
	/* an old server's, a name that looks like one, too short, too long, cut off */
	expect_text("FATAL:  sorry, too many clients already\n", "");
	expect_text("FATAL:  2800: no\nFATAL:  280000: no\nFATAL:  28p01: no\nFATAL:  28P01", "");
}

int
main(void)
{
	tap_suite("sqlstate");
	tap_test("a person must act", test_person);
	tap_test("time may help", test_time);
	tap_test("the program is wrong", test_program);
	tap_test("not in the appendix", test_not_in_the_appendix);
	tap_test("every row can be found", test_rows_are_found);
	tap_test("every class has a row", test_classes);
	tap_test("every code of the server's own list has a row", test_list_of_the_server);
	tap_test("in the text of a connection that failed", test_in_text);
	return tap_run();
}
