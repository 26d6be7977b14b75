/* test_literal.c - texts as SQL reads them. */
#include "source/literal.h"
#include "support/tap.h"

static void
becomes(const char *text, const char *sql)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	literal_add(&out, text);
	TAP_STR(buf_str(&out), sql);
}

static void
test_literals(void)
{
	becomes("public.outbox_events", "E'public.outbox_events'");
	becomes("it's \\ \"odd\"", "E'it''s \\\\ \"odd\"'");
	becomes("", "NULL");
	becomes(NULL, "NULL");
}

int
main(void)
{
	tap_suite("literal");
	tap_test("quotes and backslashes are doubled, nothing is NULL", test_literals);
	return tap_run();
}
