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

int
main(void)
{
	tap_suite("check");
	tap_test("the poll's limits", test_poll);
	tap_test("a batch lets go before its session is ended", test_hold);
	tap_test("a column has one meaning", test_columns);
	tap_test("marking needs a column", test_sent_at);
	tap_test("a password is given once", test_password);
	tap_test("files of properties", test_property_files);
	tap_test("a webhook has a secret", test_webhook);
	return tap_run();
}
