/* test_progress.c - bars and lines over a time that the test makes. */
#include "ctl/progress.c" /* NOLINT: the unit under test */

#include <stdlib.h>

#include "support/tap.h"

static int64_t now_us;
static bool live;
static int columns_now;

int64_t
clock_mono_us(void)
{
	return now_us;
}

bool
term_is_live(FILE *f)
{
	(void)f;
	return live;
}

void
term_size(FILE *f, int *ret_columns, int *ret_lines)
{
	(void)f;
	*ret_columns = columns_now;
	*ret_lines = 24;
}

static char *said;
static size_t said_size;

static struct progress
begin(bool terminal, int64_t total)
{
	now_us = 1000000000;
	live = terminal;
	columns_now = 80;
	return progress_begin(open_memstream(&said, &said_size), "drain", "events", total);
}

static void
expect_said(struct progress *p, const char *wanted)
{
	fclose(p->out);
	TAP_STR(said, wanted);
	free(said);
}

static void
step(struct progress *p, int64_t ms, int64_t done)
{
	now_us += ms * 1000;
	progress_to(p, done);
}

static void
test_short(void)
{
	for (int terminal = 0; terminal < 2; terminal++) {
		struct progress p = begin(terminal == 1, 10);

		step(&p, 0, 3);
		step(&p, 499, 10);
		progress_end(&p);
		expect_said(&p, "");
	}
}

static void
test_plain(void)
{
	struct progress p = begin(false, 1000);

	for (int i = 0; i <= 200; i++)
		step(&p, 100, 2 * i);
	progress_end(&p);
	expect_said(&p, "drain: 0%, 8 of 1000 events\n"
	                "drain: 20%, 208 of 1000 events, 19/s, 42 s left\n"
	                "drain: 40%, 400 of 1000 events, 19/s, 31 s left\n");
}

static void
test_bar(void)
{
	struct progress p = begin(true, 1000);

	step(&p, 1000, 250);
	step(&p, 199, 260);
	progress_clear(&p);
	progress_clear(&p);
	columns_now = 50;
	step(&p, 1, 500);
	columns_now = 20;
	step(&p, 200, 500);
	progress_end(&p);
	expect_said(&p, "\r\033[Kdrain [########......................] 25% 250 of 1000 events, 250/s, 4 s left"
	                "\r\033[K"
	                "\r\033[Kdrain 500 of 1000 events, 250/s, 3 s left"
	                "\r\033[Kdrain 500 of 1000 e"
	                "\r\033[K");
}

/* The bar never reaches the last column, however long the words are. */
static void
test_width(void)
{
	for (int columns = 30; columns <= 120; columns++) {
		struct progress p = begin(true, 1000000);

		columns_now = columns;
		step(&p, 1000, 999999);
		fclose(p.out);
		CU_ASSERT(strlen(said) - strlen("\r\033[K") < (size_t)columns);
		CU_ASSERT_EQUAL(strchr(said + strlen("\r\033[K"), '[') != NULL, columns >= 69);
		free(said);
	}
}

static void
test_odd_numbers(void)
{
	struct progress p = begin(false, PROGRESS_UNKNOWN);

	step(&p, 1000, 5);
	progress_total(&p, 0);
	step(&p, 10000, 5);
	progress_total(&p, INT64_MAX);
	step(&p, 10000, 0);
	progress_total(&p, 7000);
	step(&p, 10000, 3000);
	step(&p, 10000, 9000);
	fclose(p.out);
	TAP_STR(said, "drain: 5 events, 5.0/s\n"
	              "drain: 100%, 5 of 0 events, 3.0/s\n"
	              "drain: 0%, 0 of 9223372036854775807 events, 1.8/s\n"
	              "drain: 42%, 3000 of 7000 events, 121/s, 34 s left\n"
	              "drain: 100%, 9000 of 7000 events, 313/s\n");
	free(said);
}

int
main(void)
{
	tap_suite("progress");
	tap_test("what is done at once says nothing", test_short);
	tap_test("lines for a log", test_plain);
	tap_test("a bar for a terminal", test_bar);
	tap_test("no bar is too wide", test_width);
	tap_test("no total, or a wrong one", test_odd_numbers);
	return tap_run();
}
