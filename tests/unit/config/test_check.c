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
	says(" password=x", "", "");
	says(" password=x, password_file: /x", "",
	     "f:1:60: database.password_file: the connection string has a password too; remove it there\n");
}

int
main(void)
{
	tap_suite("check");
	tap_test("the poll's limits", test_poll);
	tap_test("a batch lets go before its session is ended", test_hold);
	tap_test("a column has one meaning", test_columns);
	tap_test("marking needs a column", test_sent_at);
	tap_test("one password", test_password);
	return tap_run();
}
