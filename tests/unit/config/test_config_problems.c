/* Tests of src/config/config_problems.c: the order of complaints, and their bound. */
#include <string.h>

#include "config/config.h"
#include "support/tap.h"

static void
prints(const struct config_problems *p, const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	config_problems_print(p, &out);
	TAP_STR(buf_str(&out), expected);
}

static void
test_order(void)
{
	struct config_problems p = CONFIG_PROBLEMS_INIT;

	prints(&p, "");
	config_problems_add(&p, CONFIG_ERROR, "f", 0, 0, "first of the whole");
	config_problems_add(&p, CONFIG_ERROR, "f", 7, 3, "c");
	config_problems_add(&p, CONFIG_ERROR, "f", 2, 9, "b");
	config_problems_add(&p, CONFIG_WARNING, "f", 7, 1, "w");
	config_problems_add(&p, CONFIG_ERROR, "f", 2, 9, "b%d", 2);
	config_problems_add(&p, CONFIG_ERROR, "f", 0, 0, "second of the whole");
	prints(&p, "f:2:9: b\nf:2:9: b2\nf:7:1: warning: w\nf:7:3: c\nf: first of the whole\nf: second of the whole\n");
	TAP_INT(p.count, 6);
	TAP_INT(p.errors, 5);
	TAP_INT(p.dropped, 0);
	config_problems_done(&p);
	TAP_INT(p.count, 0);
	TAP_INT(p.errors, 0);
	prints(&p, "");
}

static void
test_bound(void)
{
	struct config_problems p = CONFIG_PROBLEMS_INIT;
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	for (unsigned i = 1; i <= 1000; i++)
		config_problems_add(&p, CONFIG_ERROR, "f", i, 1, "x");
	TAP_INT(p.count, 50);
	TAP_INT(p.errors, 1000);
	TAP_INT(p.dropped, 950);
	config_problems_print(&p, &out);
	TAP_HAS(buf_str(&out), "f:50:1: x\nand 950 more\n");
	config_problems_done(&p);
}

static void
test_long_message(void)
{
	struct config_problems p = CONFIG_PROBLEMS_INIT;
	char text[8192];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	config_problems_add(&p, CONFIG_WARNING, "f", 1, 1, "%s", text);
	TAP_INT(p.errors, 0);
	CU_ASSERT(strlen(p.items[0].line_text) > 1000 && strlen(p.items[0].line_text) < 1400);
	config_problems_done(&p);
}

int
main(void)
{
	tap_suite("config_problems");
	tap_test("in the order of the file, what has no place last", test_order);
	tap_test("bounded, but every error counts", test_bound);
	tap_test("a message without end is cut", test_long_message);
	return tap_run();
}
