/* Tests of src/config/check.c: what does not fit together, and where the complaint goes. */
#include "config/config.h"
#include "support/tap.h"

/* Options below the sections outbox and database, in flow style. */
static void
says(const char *database, const char *outbox, const char *expected)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct config cfg = {0};
	int rc;

	buf_printf(&text, "database: {conninfo: dbname=app%s}\noutbox: {%s}\nkafka: {brokers: a}\n", database, outbox);
	rc = config_parse("f", slice_from(buf_str(&text)), &cfg, &problems);
	config_problems_print(&problems, &out);
	TAP_STR(buf_str(&out), expected);
	TAP_INT(rc, expected[0] == '\0' ? 0 : -1);
	config_problems_done(&problems);
	config_done(&cfg);
}

static void
test_poll(void)
{
	says("", "poll_min: 5ms, poll_max: 5ms", "");
	says("", "poll_min: 6ms, poll_max: 5ms", "f:2:20: outbox.poll_min: 6ms is longer than poll_max, which is "
	                                         "5ms\n");
	says("", "poll_min: 1s", "f:2:20: outbox.poll_min: 1s is longer than poll_max, which is 20ms\n");
	says("", "poll_max: 1ms", "f:2:1: outbox.poll_min: 2ms is longer than poll_max, which is 1ms\n");
}

static void
test_hold(void)
{
	says(", session_timeout: 3s", "hold_max: 2999ms", "");
	says(", session_timeout: 3s", "hold_max: 3s",
	     "f:2:20: outbox.hold_max: 3s is not shorter than database.session_timeout, which is 3s\n");
}

static void
test_columns(void)
{
	says("", "columns: {headers: '', topic: ''}", "");
	says("", "columns: {id: seq, aggregate_id: id}", "");
	says("", "columns: {event_type: aggregate_type}",
	     "f:2:32: outbox.columns.event_type: \"aggregate_type\" is the column of aggregate_type already; name "
	     "another, or \"\" if the table has none\n");
	says("", "columns: {aggregate_type: event_type}",
	     "f:2:36: outbox.columns.aggregate_type: \"event_type\" is the column of event_type already; name "
	     "another, or \"\" if the table has none\n");
	says("", "columns: {topic: x, headers: x}",
	     "f:2:27: outbox.columns.topic: \"x\" is the column of headers already; name another, or \"\" if the "
	     "table has none\n");
	/* Names are compared as the catalog has them. */
	says("", "columns: {topic: Headers}", "");
}

static void
test_sent_at(void)
{
	says("", "settle: delete, columns: {sent_at: ''}", "");
	says("", "columns: {sent_at: ''}",
	     "f:2:29: outbox.columns.sent_at: must not be empty with \"settle: mark\"; name a timestamp column, or set "
	     "\"settle: delete\"\n");
}

/* Columns that nothing reads are nobody's business. */
static void
test_receipts(void)
{
	says("", "columns: {sent_offset: '', payload: sent_partition}", "");
	says("", "receipts: true", "");
	says("", "receipts: true, settle: delete, columns: {sent_offset: '', payload: sent_partition}", "");
	says("", "receipts: true, columns: {sent_partition: ''}",
	     "f:2:52: outbox.columns.sent_partition: must not be empty with \"receipts: true\" and \"settle: mark\"; name a "
	     "column, which init adds\n");
	says("", "receipts: true, columns: {payload: sent_offset}",
	     "f:2:45: outbox.columns.payload: \"sent_offset\" is the column of sent_offset already; name another, or \"\" if the "
	     "table has none\n");
}

static void
test_password(void)
{
	says(", password_file: /x", "", "");
	says(", password_file: /x, sslpassword_file: /y", "", "");
	says(" password=x sslpassword=y", "", "");
	says(" password=x, password_file: /x", "",
	     "f:1:60: database.password_file: the connection string has a password too; give each by its file, "
	     "password_file or sslpassword_file\n");
	says(" password=x, sslpassword_file: /x", "",
	     "f:1:63: database.sslpassword_file: the connection string has a password too; give each by its file, "
	     "password_file or sslpassword_file\n");
}

static void
says_of_files(const char *kafka, const char *expected)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct config cfg = {0};
	int rc;

	buf_printf(&text, "database: {conninfo: dbname=app}\nkafka: {brokers: a,\n%s}\n", kafka);
	rc = config_parse("f", slice_from(buf_str(&text)), &cfg, &problems);
	config_problems_print(&problems, &out);
	TAP_STR(buf_str(&out), expected);
	TAP_INT(rc, expected[0] == '\0' ? 0 : -1);
	config_problems_done(&problems);
	config_done(&cfg);
}

/* Somebody may write the secret where its path belongs: it is not quoted. */
static void
test_property_files(void)
{
	says_of_files("property_files: {sasl.password: /x, ssl.key.pem: /y}", "");
	says_of_files("properties: {sasl.username: u}, property_files: {sasl.password: /x}", "");
	says_of_files("property_files: {sasl.password: hunter2}",
	              "f:3:33: kafka.property_files.sasl.password: is not an absolute path; begin it with \"/\": the daemon "
	              "does not run in the directory of this file\n");
	says_of_files("property_files: {sasl.password: ''}",
	              "f:3:33: kafka.property_files.sasl.password: names no file; remove the line\n");
	says_of_files("property_files: {linger.ms: /x}",
	              "f:3:29: kafka.property_files.linger.ms: is no secret property of librdkafka; set it in "
	              "kafka.properties\n");
	says_of_files("property_files: {ssl.key.location: /x}",
	              "f:3:36: kafka.property_files.ssl.key.location: is no secret property of librdkafka; set it in "
	              "kafka.properties\n");
	says_of_files("properties: {sasl.password: x}, property_files: {sasl.password: /x}",
	              "f:3:65: kafka.property_files.sasl.password: is in kafka.properties too; remove it there\n");
}

/* Where the posts go is no use without what they are signed with; the section comes after the others. */
static void
test_webhook(void)
{
	says("", "}\nwebhook: {url_file: /u, secret_file: /s", "");
	says("", "}\nwebhook: {secret_file: /s", "");
	says("", "}\nwebhook: {url_file: /u", "f:3:21: webhook.url_file: needs webhook.secret_file too, to sign posts with\n");
}

#define NAME_40 "a123456789012345678901234567890123456789"

static void
test_queries(void)
{
	struct buf many __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf longest __attribute__((cleanup(buf_done))) = BUF_INIT;

	says("", "}\nqueries: {reconciliation: true, sql: {a: SELECT 1, ab: SELECT 2, b_a: SELECT 3, " NAME_40 ": SELECT 4}", "");
	says("", "}\nqueries: {sql: {Stock: SELECT 1}",
	     "f:3:24: queries.sql.Stock: a query's name is made of a-z, 0-9 and \"_\", begins with a letter and has at most 40 of them\n");
	says("", "}\nqueries: {sql: {1a: SELECT 1}",
	     "f:3:21: queries.sql.1a: a query's name is made of a-z, 0-9 and \"_\", begins with a letter and has at most 40 of them\n");
	says("", "}\nqueries: {sql: {" NAME_40 "0: SELECT 1}",
	     "f:3:60: queries.sql." NAME_40 "0: a query's name is made of a-z, 0-9 and \"_\", begins with a letter and has at most 40 of "
	     "them\n");
	says("", "}\nqueries: {sql: {a_b: SELECT 1, a: SELECT 2}",
	     "f:3:22: queries.sql.a_b: begins as the name of the query \"a\" does, and their metrics might be the same; name it otherwise\n");
	says("", "}\nqueries: {sql: {reconciliation: SELECT 1}",
	     "f:3:33: queries.sql.reconciliation: begins as the name of the query \"reconciliation\" does, and their metrics might be the "
	     "same; name it otherwise\n");
	says("", "}\nqueries: {sql: {a: ' ; '}", "f:3:20: queries.sql.a: has no SQL; remove the line\n");
	buf_add_str(&longest, "}\nqueries: {sql: {a: ");
	for (int i = 0; i <= CONFIG_QUERY_SQL_MAX; i++)
		buf_add_char(&longest, 'x');
	buf_add_char(&longest, '}');
	says("", buf_str(&longest), "f:3:20: queries.sql.a: is longer than 8192 bytes; make a view of it\n");
	for (int i = 0; i <= CONFIG_QUERIES_MAX; i++)
		buf_printf(&many, "%s q%dq: SELECT 1", i > 0 ? "," : "}\nqueries: {sql: {", i);
	buf_add_char(&many, '}');
	says("", buf_str(&many), "f:3:16: queries.sql: has more than 32 queries\n");
}

int
main(void)
{
	tap_suite("check");
	tap_test("the poll's limits", test_poll);
	tap_test("a batch lets go before its session is ended", test_hold);
	tap_test("a column has one meaning", test_columns);
	tap_test("marking needs a column", test_sent_at);
	tap_test("receipts need columns where they are in the row", test_receipts);
	tap_test("a password is given once", test_password);
	tap_test("files of properties", test_property_files);
	tap_test("a webhook has a secret", test_webhook);
	tap_test("queries have names of their own, and an end", test_queries);
	return tap_run();
}
