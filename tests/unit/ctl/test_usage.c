/* test_usage.c - every help fits a screen, and names what there is. */
#include "ctl/usage.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/table.h"
#include "support/tap.h"

#define LINES 24
#define COLUMNS 80

static void
print_main(FILE *out, const void *what)
{
	(void)what;
	usage_print(out);
}

static void
print_verb(FILE *out, const void *what)
{
	usage_print_verb(out, what);
}

static void
print_family(FILE *out, const void *what)
{
	usage_print_family(out, what);
}

static char *
text_of(void (*print)(FILE *out, const void *what), const void *what)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	print(out, what);
	fclose(out);
	return text;
}

static void
expect_screen(const char *text)
{
	int lines = 0;

	for (const char *line = text; *line != '\0'; lines++) {
		const char *end = strchr(line, '\n');
		char copy[256] = "";

		CU_ASSERT_PTR_NOT_NULL_FATAL(end);
		strncat(copy, line, (size_t)(end - line) < sizeof(copy) ? (size_t)(end - line) : sizeof(copy) - 1);
		if (table_width(copy) > COLUMNS)
			tap_diag("%d columns: %s", table_width(copy), copy);
		CU_ASSERT(table_width(copy) <= COLUMNS);
		line = end + 1;
	}
	if (lines > LINES)
		tap_diag("%d lines: %s", lines, text);
	CU_ASSERT(lines <= LINES);
}

static void
test_main(void)
{
	char *text = text_of(print_main, NULL);

	expect_screen(text);
	TAP_HAS(text, "\n  init          create");
	TAP_HAS(text, "\n  parked VERB   list, show, retry, skip");
	TAP_HAS(text, "\n  -c, --config FILE    ");
	CU_ASSERT_PTR_NULL(strstr(text, "--json"));
	free(text);
}

static void
test_verbs(void)
{
	for (size_t i = 0; i < verbs_count; i++) {
		char *text = text_of(print_verb, &verbs[i]);

		expect_screen(text);
		TAP_HAS(text, verbs[i].name);
		TAP_HAS(text, verbs[i].help);
		for (const char *o = verbs[i].options; *o != '\0'; o++)
			TAP_HAS(text, arguments_row(*o)->name);
		free(text);
	}
}

static void
test_families(void)
{
	char *text = text_of(print_family, "parked");

	expect_screen(text);
	TAP_HAS(text, "\n  parked retry  offer");
	CU_ASSERT_PTR_NULL(strstr(text, "init"));
	free(text);
	CU_ASSERT(usage_is_family("parked"));
	CU_ASSERT(!usage_is_family("park"));
	CU_ASSERT(!usage_is_family("init"));
	CU_ASSERT(!usage_is_family(""));
}

int
main(void)
{
	tap_suite("usage");
	tap_test("the program's help", test_main);
	tap_test("each verb's help", test_verbs);
	tap_test("verbs of two words", test_families);
	return tap_run();
}
