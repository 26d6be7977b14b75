/* Tests of src/source/refusal.c: what libpq cannot read, and what is to be done about what servers say. */
#include "source/refusal.h"

#include <string.h>

#include "support/tap.h"

static void
accepts(const char *conninfo)
{
	struct error err = {0};

	if (refusal_check_conninfo(conninfo, true, &err) != 0)
		TAP_STR(err.message, "accepted");
}

static void
test_accepts(void)
{
	accepts("");
	accepts("host=db dbname=app user=u password='hun ter' sslmode=verify-full sslrootcert=system");
	accepts("postgresql://app:hun%40ter@db:5432/app?sslmode=verify-full");
}

static void
test_tells_the_reason(void)
{
	struct error err;

	TAP_INT(refusal_check_conninfo("host=db sslmod=require", false, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_STR(err.message, "libpq cannot read the connection string: invalid connection option \"sslmod\"");
}

/* Each of these stands in libpq's own message. */
static void
test_hides_the_secret(void)
{
	static const char *const bad[] = {
		"postgresql://app:%zzhunter2@db/app", "postgresql:///app?password=a&hunter2", "password=a hunter2",
		"postgresql://app:x@db/app?p=hunter2=", "postgresql://app:%00hunter2@db/app"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err;

		TAP_INT(refusal_check_conninfo(bad[i], true, &err), -1);
		TAP_INT(err.kind, ERR_CONFIG);
		CU_ASSERT_PTR_NULL(strstr(err.message, "hunter"));
		TAP_HAS(err.hint, "password_file");
	}
}

static void
hints(const char *message, const char *part)
{
	const char *hint = refusal_hint(message);

	TAP_HAS(hint == NULL ? "no hint" : hint, part);
}

static void
test_hints(void)
{
	hints("connection to server at \"db\", port 5432 failed: SSL error: certificate verify failed", "sslrootcert");
	hints("server certificate for \"db\" does not match host name \"other\"", "hostaddr");
	hints("server does not support SSL, but SSL was required", "ssl = on");
	hints("FATAL:  password authentication failed for user \"app\"", "database.password_file");
	hints("FATAL:  connection requires a valid client certificate", "sslcert");
	hints("FATAL:  certificate authentication failed for user \"app\"", "pg_ident.conf");
	hints("could not load private key file \"/k\": bad decrypt", "database.sslpassword_file");
	hints("SSL error: tlsv1 alert unknown ca", "ssl_ca_file");
	hints("SSL error: sslv3 alert certificate expired", "renew");
	hints("FATAL:  no pg_hba.conf entry for host \"::1\", user \"a\", no encryption", "pg_hba.conf");
	CU_ASSERT_PTR_NULL(refusal_hint("Connection refused"));
	CU_ASSERT_PTR_NULL(refusal_hint(""));
}

int
main(void)
{
	tap_suite("refusal");
	tap_test("what libpq can read", test_accepts);
	tap_test("libpq's reason is told", test_tells_the_reason);
	tap_test("but not where it could quote a password", test_hides_the_secret);
	tap_test("known refusals have a hint", test_hints);
	return tap_run();
}
