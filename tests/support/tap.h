/* tap.h - CUnit tests as TAP lines, so that make check shows each of them.
 *
 *	int
 *	main(void)
 *	{
 *		tap_suite("buf");
 *		tap_test("append keeps the bytes", test_append);
 *		return tap_run();
 *	}
 *
 * Inside a test use CUnit's CU_ASSERT_... and CU_ASSERT_..._FATAL, or the macros below, which show the values.
 */
#ifndef PGOUTBOX_TESTS_SUPPORT_TAP_H
#define PGOUTBOX_TESTS_SUPPORT_TAP_H

#include <CUnit/CUnit.h>
#include <stdint.h>

/* Tests belong to the suite opened last. Names may not hold "#". */
void tap_suite(const char *name);

/* A suite whose setup and teardown run around each of its tests; either may be NULL. */
void tap_suite_fixture(const char *name, void (*setup)(void), void (*teardown)(void));

void tap_test(const char *name, void (*fn)(void));

/* Runs all of them, each reported as soon as it ends. The exit status of the program: 0, or 1 where one failed. */
int tap_run(void);

/* From within a test, which returns right after: reported as skipped, unless an assertion failed before. */
void tap_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Instead of tap_run(): nothing of this program can run here. Returns the exit status, 0. */
int tap_skip_all(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A diagnostic for the log of the test. */
void tap_diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* These show both values when they differ. NULL equals only NULL. The FATAL ones leave the test. */
#define TAP_STR(actual, expected) tap_str((actual), (expected), #actual, __FILE__, __LINE__, CU_FALSE)
#define TAP_STR_FATAL(actual, expected) tap_str((actual), (expected), #actual, __FILE__, __LINE__, CU_TRUE)
#define TAP_INT(actual, expected) \
	tap_int((intmax_t)(actual), (intmax_t)(expected), #actual, __FILE__, __LINE__, CU_FALSE)
#define TAP_INT_FATAL(actual, expected) \
	tap_int((intmax_t)(actual), (intmax_t)(expected), #actual, __FILE__, __LINE__, CU_TRUE)

/* text holds part. */
#define TAP_HAS(text, part) tap_has((text), (part), #text, __FILE__, __LINE__, CU_FALSE)
#define TAP_HAS_FATAL(text, part) tap_has((text), (part), #text, __FILE__, __LINE__, CU_TRUE)

void tap_str(const char *actual, const char *expected, const char *what, const char *file, unsigned int line,
             CU_BOOL fatal);
void tap_int(intmax_t actual, intmax_t expected, const char *what, const char *file, unsigned int line, CU_BOOL fatal);
void tap_has(const char *text, const char *part, const char *what, const char *file, unsigned int line, CU_BOOL fatal);

#endif
