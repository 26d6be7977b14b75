/* Tests of src/config/secret.c: which names hide their value, and what is left of a URL. */
#include "config/secret.h"
#include "support/tap.h"

static bool
hides(const char *name)
{
	return secret_name(slice_from(name));
}

static void
property(const char *name, const char *value, const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	secret_property(&out, name, value);
	TAP_STR(buf_str(&out), expected);
}

static void
uri(const char *text, const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	secret_uri(&out, text);
	TAP_STR(buf_str(&out), expected);
}

static void
test_names(void)
{
	static const char *const secret[] = {
		"password", "sslpassword", "PASSWORD", "sasl.password", "ssl.key.password", "ssl.keystore.password",
		"ssl.key.pem", "sasl.jaas.config", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config",
		"sasl.oauthbearer.assertion.private.key.pem",
		"scram_client_key", "oauth_client_secret", "some.token", "sasl.kerberos.kinit.cmd", "Passphrase"};
	static const char *const shown[] = {
		"", "host", "user", "dbname", "passfile", "sslkey", "sslcert", "ssl.key.location",
		"ssl.keystore.location", "ssl.ca.location", "ssl.certificate.pem", "sasl.username", "linger.ms",
		"password_file", "sslpassword_file", "sasl.oauthbearer.token.endpoint.url",
		"sasl.oauthbearer.assertion.private.key.file"};

	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
		if (!hides(secret[i]))
			TAP_STR(secret[i], "hidden");
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		if (hides(shown[i]))
			TAP_STR(shown[i], "shown");
}

static void
test_properties(void)
{
	property("sasl.password", "hunter2", "***");
	property("sasl.password", "", "***");
	property("linger.ms", "5", "5");
	property("ssl.key.location", "/etc/key.pem", "/etc/key.pem");
	property("sasl.oauthbearer.token.endpoint.url", "https://me:hunter2@idp/token", "https://me:***@idp/token");
}

static void
test_uris(void)
{
	uri("postgresql://", "postgresql://");
	uri("postgresql://db/app", "postgresql://db/app");
	uri("postgresql://app@db:5432/app", "postgresql://app@db:5432/app");
	uri("postgresql://db:5432,other:5433/app?target_session_attrs=any",
	    "postgresql://db:5432,other:5433/app?target_session_attrs=any");
	uri("postgresql://app:hunter2@db/app", "postgresql://app:***@db/app");
	uri("postgresql://app:hunter2@a:1,b:2/app?sslmode=require", "postgresql://app:***@a:1,b:2/app?sslmode=require");
	uri("postgresql://app:@db/app", "postgresql://app:***@db/app");
	uri("postgresql:///app?user=me&password=hunter2", "postgresql:///app?user=me&password=***");
	uri("postgresql:///app?password=hunter2&sslpassword=x&sslmode=require",
	    "postgresql:///app?password=***&sslpassword=***&sslmode=require");
	uri("postgresql:///app?pass%77ord=hunter2", "postgresql:///app?pass%77ord=***");
	uri("postgresql:///app?%70%61ssword=hunter2&%", "postgresql:///app?%70%61ssword=***&%");
	uri("postgresql:///app?passwor%64=hunter2", "postgresql:///app?passwor%64=***");
	uri("postgresql:///app?passwor%6=x&connect_timeout", "postgresql:///app?passwor%6=x&connect_timeout");
}

/* Passwords that should have been percent-encoded, as people paste them. */
static void
test_pasted(void)
{
	uri("postgresql://app:hun@ter2@db/app", "postgresql://app:***@db/app");
	uri("postgresql://app:hun/ter2@db/app", "postgresql://app:***@db/app");
	uri("postgresql://app:hun?ter2@db/app", "postgresql://app:***@db/app");
	uri("postgresql://app:hun:ter2@db/app", "postgresql://app:***@db/app");
	uri("postgresql://app:hun#ter&2@db/app?sslmode=require", "postgresql://app:***@db/app?sslmode=require");
}

int
main(void)
{
	tap_suite("secret");
	tap_test("names of secrets, and names like them", test_names);
	tap_test("values of properties", test_properties);
	tap_test("URIs keep all but the password", test_uris);
	tap_test("a pasted password with special characters is hidden whole", test_pasted);
	return tap_run();
}
