/* test_sqlstate.c - which of PostgreSQL's errors a person must mend, and which time may. */
#include <CUnit/CUnit.h>

#include "source/sqlstate.h"
#include "support/tap.h"

static void
expect(const char *state, enum err_kind kind, const char *hint_part)
{
	const char *hint = "untouched";

	TAP_INT(sqlstate_kind(state, &hint), kind);
	if (hint_part == NULL)
		TAP_STR(hint, NULL);
	else
		TAP_HAS(hint, hint_part);
}

static void
test_person(void)
{
	expect("42501", ERR_CONFIG, "grants what the role needs");
	expect("42P01", ERR_CONFIG, "pgoutboxctl init");
	expect("42883", ERR_CONFIG, "pgoutboxctl init");
	expect("3F000", ERR_CONFIG, "pgoutboxctl init");
	expect("42703", ERR_CONFIG, "outbox.columns");
	expect("26000", ERR_CONFIG, "session mode");
	expect("42P05", ERR_CONFIG, "session mode");
	expect("42601", ERR_CONFIG, "pgoutboxctl check"); /* by its class */
}

static void
test_time(void)
{
	static const char *const states[] = {"57P01", "57P02", "57P03", "57P05", "25P03", "40001", "40P01", "08006", "53300", "XX000", "",
	                                     "4250"};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]) - 1; i++)
		expect(states[i], ERR_RETRY, NULL);
	expect(NULL, ERR_RETRY, NULL);
	expect("25006", ERR_RETRY, "read-only");
	expect("53100", ERR_RETRY, "disk");
	expect("55P03", ERR_RETRY, "lock");
	expect("57014", ERR_RETRY, "statement_timeout");
}

int
main(void)
{
	tap_suite("sqlstate");
	tap_test("a person must act", test_person);
	tap_test("time may help", test_time);
	return tap_run();
}
