/* tap.c - CUnit's results in, Test Anything Protocol out.
 *
 * A failure of the harness itself is a "Bail out!", which no driver takes for success.
 */
#include "support/tap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CU_pSuite current_suite;
static unsigned int tests_reported;
static char skip_reason[256];

static void
bail_out_if(int condition, const char *what)
{
	if (!condition)
		return;
	printf("Bail out! %s: %s\n", what, CU_get_error_msg());
	exit(1);
}

/* A line break inside would end the diagnostic and begin something else. */
static void
print_one_line(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			fputs("\\n", stdout);
		else
			putchar(*text);
	}
}

void
tap_suite_fixture(const char *name, void (*setup)(void), void (*teardown)(void))
{
	if (CU_get_registry() == NULL)
		bail_out_if(CU_initialize_registry() != CUE_SUCCESS, "test registry");
	current_suite = CU_add_suite_with_setup_and_teardown(name, NULL, NULL, setup, teardown);
	bail_out_if(current_suite == NULL, name);
}

void
tap_suite(const char *name)
{
	tap_suite_fixture(name, NULL, NULL);
}

void
tap_test(const char *name, void (*fn)(void))
{
	bail_out_if(current_suite == NULL, "a test without a suite");
	bail_out_if(CU_add_test(current_suite, name, fn) == NULL, name);
}

static void __attribute__((format(printf, 1, 0)))
print_diag(const char *fmt, va_list args)
{
	char text[2048];

	if (vsnprintf(text, sizeof text, fmt, args) < 0)
		text[0] = '\0';
	fputs("# ", stdout);
	print_one_line(text);
	putchar('\n');
	fflush(stdout);
}

void
tap_diag(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_diag(fmt, args);
	va_end(args);
}

void
tap_skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vsnprintf(skip_reason, sizeof skip_reason, fmt, args) <= 0)
		strcpy(skip_reason, "no reason given");
	va_end(args);
}

int
tap_skip_all(const char *fmt, ...)
{
	va_list args;

	fputs("1..0 # SKIP ", stdout);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	if (CU_get_registry() != NULL)
		CU_cleanup_registry();
	return 0;
}

/* Says in the log which test it was that crashed or hung. */
static void
on_start(const CU_pTest test, const CU_pSuite suite)
{
	skip_reason[0] = '\0';
	tap_diag("%s: %s", suite->pName, test->pName);
}

static void
on_complete(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord first_failure)
{
	printf("%s %u %s: %s", first_failure == NULL ? "ok" : "not ok", ++tests_reported, suite->pName, test->pName);
	if (first_failure == NULL && skip_reason[0] != '\0')
		printf(" # SKIP %s", skip_reason);
	putchar('\n');
	for (CU_pFailureRecord f = first_failure; f != NULL; f = f->pNext)
		tap_diag("%s:%u: %s", f->strFileName, f->uiLineNumber, f->strCondition);
	fflush(stdout);
}

int
tap_run(void)
{
	unsigned int failed;

	bail_out_if(CU_get_registry() == NULL, "no tests");
	printf("1..%u\n", CU_get_registry()->uiNumberOfTests);
	fflush(stdout);
	CU_set_test_start_handler(on_start);
	CU_set_test_complete_handler(on_complete);
	bail_out_if(CU_run_all_tests() != CUE_SUCCESS, "run");
	failed = CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return failed == 0 ? 0 : 1;
}

static void
check(CU_BOOL ok, const char *what, const char *file, unsigned int line, CU_BOOL fatal)
{
	CU_assertImplementation(ok, line, what, file, "", fatal);
}

void
tap_str(const char *actual, const char *expected, const char *what, const char *file, unsigned int line, CU_BOOL fatal)
{
	int same = actual == NULL || expected == NULL ? actual == expected : strcmp(actual, expected) == 0;

	if (!same) {
		tap_diag("is:     %s%s%s", actual == NULL ? "" : "\"", actual == NULL ? "NULL" : actual,
		         actual == NULL ? "" : "\"");
		tap_diag("wanted: %s%s%s", expected == NULL ? "" : "\"", expected == NULL ? "NULL" : expected,
		         expected == NULL ? "" : "\"");
	}
	check(same, what, file, line, fatal);
}

void
tap_int(intmax_t actual, intmax_t expected, const char *what, const char *file, unsigned int line, CU_BOOL fatal)
{
	if (actual != expected)
		tap_diag("is: %jd, wanted: %jd", actual, expected);
	check(actual == expected, what, file, line, fatal);
}

void
tap_has(const char *text, const char *part, const char *what, const char *file, unsigned int line, CU_BOOL fatal)
{
	int has = text != NULL && strstr(text, part) != NULL;

	if (!has)
		tap_diag("\"%s\" is not in \"%s\"", part, text == NULL ? "(NULL)" : text);
	check(has, what, file, line, fatal);
}
