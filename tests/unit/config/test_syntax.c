/* Tests of src/config/syntax.c: addresses, paths and SQL names. */
#include <string.h>

#include "config/syntax.h"
#include "support/tap.h"

typedef int (*check_fn)(const char *, struct error *);

static void
accepts(check_fn check, const char *text)
{
	struct error err = {0};

	if (check(text, &err) < 0)
		TAP_STR(err.message, text);
}

static void
refuses(check_fn check, const char *text, const char *message)
{
	struct error err = {0};

	if (check(text, &err) == 0) {
		TAP_STR(text, "refused");
		return;
	}
	TAP_HAS(err.message, message);
	TAP_INT(err.kind, ERR_CONFIG);
}

static void
test_listen(void)
{
	accepts(syntax_listen, "off");
	accepts(syntax_listen, "127.0.0.1:9921");
	accepts(syntax_listen, "localhost:0");
	accepts(syntax_listen, "host-1.example_x.org:65535");
	accepts(syntax_listen, "[::1]:9921");
	accepts(syntax_listen, "[::]:1");
	accepts(syntax_listen, "[fe80::1%eth0]:9921");
	accepts(syntax_listen, "[::ffff:127.0.0.1]:9921");
	accepts(syntax_listen, "*:9921");
	refuses(syntax_listen, "", "has no port");
	refuses(syntax_listen, "Off", "has no port");
	refuses(syntax_listen, "localhost", "has no port");
	refuses(syntax_listen, ":9921", "has no host");
	refuses(syntax_listen, "::1:9921", "more than one colon");
	refuses(syntax_listen, "[::1", "bracket that is never closed");
	refuses(syntax_listen, "[::1]", "has no port");
	refuses(syntax_listen, "[::1]9921", "has no port");
	refuses(syntax_listen, "[]:9921", "has no host");
	refuses(syntax_listen, "[localhost]:9921", "does not begin with");
	refuses(syntax_listen, "[fe80::1%]:9921", "does not begin with");
	refuses(syntax_listen, "[fe80::1%e/0]:9921", "does not begin with");
	refuses(syntax_listen, "127.0.0.256:9921", "does not begin with");
	refuses(syntax_listen, "1.2.3:9921", "does not begin with");
	refuses(syntax_listen, "a b:9921", "does not begin with");
	refuses(syntax_listen, "http://localhost:9921", "more than one colon");
	refuses(syntax_listen, "localhost:", "port outside");
	refuses(syntax_listen, "localhost:65536", "port outside");
	refuses(syntax_listen, "localhost:999999999999", "port outside");
	refuses(syntax_listen, "localhost:-1", "port outside");
	refuses(syntax_listen, "localhost:http", "port outside");
}

static void
test_long_host(void)
{
	char text[400];

	memset(text, 'a', sizeof(text));
	strcpy(text + 255, ":1");
	accepts(syntax_listen, text);
	memset(text, 'a', sizeof(text));
	strcpy(text + 256, ":1");
	refuses(syntax_listen, text, "does not begin with");
	memset(text, 'a', sizeof(text));
	strcpy(text + 390, ":1");
	refuses(syntax_brokers, text, "392 characters");
	memset(text, ':', sizeof(text));
	text[0] = '[';
	strcpy(text + 300, "]:1");
	refuses(syntax_listen, text, "does not begin with");
}

static void
test_brokers(void)
{
	accepts(syntax_brokers, "localhost");
	accepts(syntax_brokers, "localhost:9092");
	accepts(syntax_brokers, "a:9092,b:9092, c:9092");
	accepts(syntax_brokers, "SASL_SSL://a:9093,[::1]:9092");
	refuses(syntax_brokers, "a,", "empty place");
	refuses(syntax_brokers, ",a", "empty place");
	refuses(syntax_brokers, "a,,b", "empty place");
	refuses(syntax_brokers, "a:9092 b:9092", "not a broker's address");
	refuses(syntax_brokers, "a:9092;b:9092", "not a broker's address");
	refuses(syntax_brokers, "a:0", "port outside 1..65535");
	refuses(syntax_brokers, "a:", "port outside 1..65535");
	refuses(syntax_brokers, "a:b", "port outside 1..65535");
	refuses(syntax_brokers, ":9092", "not a broker's address");
	refuses(syntax_brokers, "[::1:9092", "bracket that is never closed");
	refuses(syntax_brokers, "::1:9092", "more than one colon");
}

static void
test_path(void)
{
	accepts(syntax_path, "");
	accepts(syntax_path, "/run/x");
	refuses(syntax_path, "run/x", "not an absolute path");
	refuses(syntax_path, "~/x", "not an absolute path");
}

static void
test_table(void)
{
	accepts(syntax_table, "outbox_events");
	accepts(syntax_table, "App.Outbox");
	accepts(syntax_table, "\"App\".\"Out\"\"Box\"");
	accepts(syntax_table, "app.\"a.b; DROP\"");
	accepts(syntax_table, "\"\"\"\"");
	accepts(syntax_table, "_a1$.\xC3\x89t\xC3\xA9");
	refuses(syntax_table, "", "not a table's name");
	refuses(syntax_table, "1abc", "not a table's name");
	refuses(syntax_table, "$a", "not a table's name");
	refuses(syntax_table, "my-schema.t", "not a table's name");
	refuses(syntax_table, "t; DROP TABLE x", "not a table's name");
	refuses(syntax_table, "t --", "not a table's name");
	refuses(syntax_table, "t ", "not a table's name");
	refuses(syntax_table, "a.", "not a table's name");
	refuses(syntax_table, ".a", "not a table's name");
	refuses(syntax_table, "\"\"", "not a table's name");
	refuses(syntax_table, "\"a", "never closed");
	refuses(syntax_table, "\"a\"\"", "never closed");
	refuses(syntax_table, "\"a\"b", "not a table's name");
	refuses(syntax_table, "a.b.c", "more than two parts");
	refuses(syntax_table, "\"a\nb\"", "control character");
}

static void
test_lengths(void)
{
	char name[66] = {0};

	memset(name, 'a', 63);
	accepts(syntax_table, name);
	accepts(syntax_column, name);
	name[63] = 'a';
	refuses(syntax_table, name, "64 bytes");
	refuses(syntax_column, name, "64 bytes");
	accepts(syntax_table, "s.\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\"\"");
	refuses(syntax_table, "s.\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\"\"", "64 bytes");
}

static void
test_same_table(void)
{
	CU_ASSERT(syntax_same_table("Outbox", "\"outbox\""));
	CU_ASSERT(syntax_same_table("app.\"a\"\"b\"", "\"app\".\"a\"\"b\""));
	CU_ASSERT(!syntax_same_table("outbox", "\"Outbox\""));
	CU_ASSERT(!syntax_same_table("a.b", "\"a.b\""));
	CU_ASSERT(!syntax_same_table("a", "a.b"));
	CU_ASSERT(!syntax_same_table("\"a\"\"b\"", "\"ab\""));
}

static void
test_column(void)
{
	accepts(syntax_column, "");
	accepts(syntax_column, "aggregateId");
	accepts(syntax_column, "my column; \"x");
	refuses(syntax_column, "\"Id\"", "SQL's quotes");
	refuses(syntax_column, "a\tb", "control character");
}

int
main(void)
{
	tap_suite("syntax");
	tap_test("addresses to listen on", test_listen);
	tap_test("hosts that are too long", test_long_host);
	tap_test("lists of brokers", test_brokers);
	tap_test("paths", test_path);
	tap_test("tables, by the rules of SQL", test_table);
	tap_test("names as long as PostgreSQL keeps them", test_lengths);
	tap_test("the same table in other words", test_same_table);
	tap_test("columns", test_column);
	return tap_run();
}
