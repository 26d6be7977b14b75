/* Tests of src/config/conninfo.c: both forms of connection strings, whole and broken. */
#include <string.h>

#include "config/conninfo.h"
#include "support/tap.h"

static void
redacts(const char *text, const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	conninfo_redact(&out, text);
	TAP_STR(buf_str(&out), expected);
}

static void
accepts(const char *text)
{
	struct error err = {0};

	if (conninfo_check(text, &err) < 0)
		TAP_STR(err.message, "");
}

/* The message must not hold any part of the text. */
static void
refuses(const char *text, const char *message)
{
	struct error err = {0};

	TAP_INT_FATAL(conninfo_check(text, &err), -1);
	TAP_HAS(err.message, message);
	TAP_INT(err.kind, ERR_CONFIG);
	CU_ASSERT(err.hint[0] != '\0');
	CU_ASSERT(strstr(err.message, "hunter") == NULL && strstr(err.hint, "hunter") == NULL);
}

static void
test_accepts(void)
{
	accepts("");
	accepts("dbname=app");
	accepts("  host = db  user= app port =5432 ");
	accepts("password='it\\'s a \\\\ secret' dbname=app");
	accepts("password=a\\ b dbname=''");
	accepts("password=a\\");
	accepts("options='-c geqo=off'");
	accepts("host='a'port=1");
	accepts("postgresql://app:x@db/app");
	accepts("postgres://db/app");
	accepts("postgresql://app:x%40y%2Fz@a:1,b:2/app?sslmode=verify-full&sslrootcert=/etc/ca.pem");
	accepts("postgresql://app:hun?ter2@db/app");
	accepts("postgresql://app:hun:ter#2@db/app");
	accepts("postgresql://[::1]:5432/app");
	accepts("postgresql://app@db/app?password=a:b");
}

static void
test_refuses(void)
{
	refuses("host=db password='hunter2 user=x", "quote that is never closed");
	refuses("host=db password=my hunter2 user=x", "without \"=\"");
	refuses("hunter2", "without \"=\"");
	refuses("=hunter2", "without \"=\"");
	refuses("password='hunter2\\'", "quote that is never closed");
	refuses("mysql://root:hunter2@db/app", "URI of another kind");
	refuses("postgresql://app:hun@hunter2@db/app", "where a URI cannot have one");
	refuses("postgresql://app:hun/hunter2@db/app", "where a URI cannot have one");
	refuses("postgresql://app:hunter2@db/app?password=hunter@3", "where a URI cannot have one");
	refuses("PostgreSQL://root:hunter2@db/app", "URI of another kind");
}

static void
test_redacts(void)
{
	redacts("", "");
	redacts("dbname=app", "dbname=app");
	redacts("password=hunter2 dbname=app", "password=*** dbname=app");
	redacts("host=db  password = 'hunter 2'  dbname=app ", "host=db  password = ***  dbname=app ");
	redacts("password='it\\'s' dbname='my app'", "password=*** dbname='my app'");
	redacts("password=a\\ b dbname=app", "password=*** dbname=app");
	redacts("password='x'dbname=app", "password=***dbname=app");
	redacts("sslpassword=x PASSWORD=y passfile=/z", "sslpassword=*** PASSWORD=*** passfile=/z");
	redacts("dbname=app password=", "dbname=app password=***");
	redacts("postgresql://app:hunter2@db/app?password=x", "postgresql://app:***@db/app?password=***");
}

/* Where it cannot be read, nothing of it can be shown. */
static void
test_broken(void)
{
	redacts("password='hunter2 user=x", "***");
	redacts("password=my hunter2", "***");
	redacts("mysql://root:hunter2@db", "***");
	redacts("postgresql://app:hun@ter2@db/app", "***");
}

static void
test_has_password(void)
{
	CU_ASSERT(conninfo_has_password("dbname=app password=x"));
	CU_ASSERT(conninfo_has_password("postgresql://app:x@db"));
	CU_ASSERT(conninfo_has_password("dbname=app sslpassword=x"));
	CU_ASSERT(conninfo_has_password("password=a b"));
	CU_ASSERT(conninfo_has_password("postgresql:///?password=x"));
	CU_ASSERT(!conninfo_has_password("dbname=password user=secret"));
	CU_ASSERT(!conninfo_has_password("postgresql://app@db:5432/app"));
	CU_ASSERT(!conninfo_has_password(""));
}

int
main(void)
{
	tap_suite("conninfo");
	tap_test("both forms, with their quotes", test_accepts);
	tap_test("broken ones are refused without being quoted", test_refuses);
	tap_test("passwords are hidden, all else stays as it is", test_redacts);
	tap_test("of a broken one nothing is shown", test_broken);
	tap_test("whether there is a password", test_has_password);
	return tap_run();
}
