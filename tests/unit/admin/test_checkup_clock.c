/* test_checkup_clock.c - what is found where the database's clock and this host's differ. */
#define clock_wall_us here_us
#define conn_query ask_there
#include "admin/checkup_postgresql.c"
#undef conn_query
#undef clock_wall_us

#include "admin/checkup.h"
#include "support/tap.h"

#define NOW_US 1700000000000000LL
#define TOOK_US 40000 /* for the answer */

static int64_t now_us, there_ahead_us;
static bool fails;

int64_t
here_us(void)
{
	return now_us;
}

int
ask_there(PGconn *conn, const char *sql, int n, const char *const *values, const char *doing, PGresult **ret_res, struct error *err)
{
	PGresAttDesc attr = {.name = (char *)(uintptr_t) "us", .typlen = 8, .atttypmod = -1};
	char text[32];

	(void)conn, (void)sql, (void)n, (void)values;
	if (fails)
		return error_set(err, ERR_RETRY, "%s", doing);
	snprintf(text, sizeof(text), "%" PRId64, now_us + TOOK_US / 2 + there_ahead_us);
	now_us += TOOK_US;
	*ret_res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PQsetResultAttrs(*ret_res, 1, &attr);
	PQsetvalue(*ret_res, 0, 0, text, (int)strlen(text));
	return 0;
}

static void
expect(int64_t ahead_us, const char *text)
{
	static struct checkup c;
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	c.count = 0;
	now_us = NOW_US;
	there_ahead_us = ahead_us;
	judge_clock(NULL, &c);
	checkup_print(&c, &out);
	TAP_HAS(buf_str(&out), text);
	TAP_INT(c.count, 1);
}

/* The answer was on its way for some of the time. */
static void
test_agree(void)
{
	fails = false;
	expect(0, "ok       clock: the database's clock and this host's agree within 41 ms\n");
	expect(CLOCK_APART_US + TOOK_US / 2, "ok       clock: ");
	expect(-CLOCK_APART_US - TOOK_US / 2, "ok       clock: ");
}

static void
test_apart(void)
{
	fails = false;
	expect(CLOCK_APART_US + TOOK_US / 2 + 1, "warning  clock: the database's clock is 2.0 s ahead of this host's\n         hint: let NTP keep both");
	expect(-CLOCK_APART_US - TOOK_US / 2 - 1, "warning  clock: the database's clock is 2.0 s behind this host's\n");
	expect(-3700500000, "warning  clock: the database's clock is 3700.4 s behind this host's\n");
}

static void
test_not_told(void)
{
	fails = true;
	expect(0, "warning  clock: could not read the clock\n");
}

int
main(void)
{
	tap_suite("checkup_clock");
	tap_test("they agree", test_agree);
	tap_test("they do not", test_apart);
	tap_test("it is not told", test_not_told);
	return tap_run();
}
