/* test_migrate.c - which steps lead from one version to another. Running them is tested on a real PostgreSQL. */
#include <CUnit/CUnit.h>

#include "admin/migrate.h"
#include "support/tap.h"

static const struct migration steps[] = {{2, "two"}, {3, "three"}, {4, "four"}};

static void
expect(int have, int want, size_t first, size_t count)
{
	size_t got_first = 99, got_count = 99;
	struct error err = {0};

	TAP_INT_FATAL(migrate_plan(have, want, steps, 3, &got_first, &got_count, &err), 0);
	TAP_INT(got_count, count);
	if (count > 0)
		TAP_INT(got_first, first);
}

static void
expect_failure(int have, int want, const struct migration *list, size_t list_count, const char *message)
{
	size_t first = 99, count = 99;
	struct error err = {0};

	TAP_INT(migrate_plan(have, want, list, list_count, &first, &count, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_STR(err.message, message);
	CU_ASSERT_TRUE(err.hint[0] != '\0');
	TAP_INT(first, 99);
	TAP_INT(count, 99);
}

static void
test_forward(void)
{
	expect(1, 4, 0, 3);
	expect(2, 4, 1, 2);
	expect(3, 4, 2, 1);
	expect(1, 2, 0, 1);
	expect(2, 3, 1, 1);
}

static void
test_nothing_to_do(void)
{
	expect(1, 1, 0, 0);
	expect(4, 4, 0, 0);
	/* the first version has no steps at all */
	size_t first, count = 99;
	struct error err;
	TAP_INT(migrate_plan(1, 1, NULL, 0, &first, &count, &err), 0);
	TAP_INT(count, 0);
}

static void
test_newer(void)
{
	expect_failure(9, 1, NULL, 0, "schema \"pgoutbox\" was made by a newer pgoutboxctl (schema version 9, this one "
	                              "knows 1)");
	expect_failure(5, 4, steps, 3, "schema \"pgoutbox\" was made by a newer pgoutboxctl (schema version 5, this "
	                               "one knows 4)");
}

static void
test_gap(void)
{
	static const struct migration holes[] = {{2, ""}, {4, ""}};

	expect_failure(0, 4, steps, 3, "this pgoutboxctl does not know how to bring schema \"pgoutbox\" from version 0 "
	                               "to 1");
	expect_failure(1, 5, steps, 3, "this pgoutboxctl does not know how to bring schema \"pgoutbox\" from version 1 "
	                               "to 5");
	expect_failure(1, 4, holes, 2, "this pgoutboxctl does not know how to bring schema \"pgoutbox\" from version 1 "
	                               "to 3");
}

int
main(void)
{
	tap_suite("migrate");
	tap_test("older comes forward", test_forward);
	tap_test("the same version needs no step", test_nothing_to_do);
	tap_test("newer is refused", test_newer);
	tap_test("a missing step is told", test_gap);
	return tap_run();
}
