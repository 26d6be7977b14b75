/* test_report.c - JSON for programs: what cannot be JSON, numbers that are too large for us, and no memory. */
#include "ctl/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "support/tap.h"

/* Prints the object while standard output is a file; what came is malloc'd. */
static char *
print(json_t *root, const char *name, const char *json, int status, int *ret_status)
{
	FILE *f = tmpfile();
	int out = dup(STDOUT_FILENO);
	char *text = calloc(1, 4096);

	CU_ASSERT_FATAL(f != NULL && out >= 0 && text != NULL);
	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	*ret_status = name == NULL ? report_print(&root, status) : report_print_with(&root, name, json, status);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	CU_ASSERT_PTR_NULL(root);
	rewind(f);
	(void)!fread(text, 1, 4095, f);
	fclose(f);
	return text;
}

static void
check(json_t *root, const char *name, const char *json, const char *wanted)
{
	int status;
	char *text = print(root, name, json, EX_USAGE, &status);

	TAP_INT(status, EX_USAGE);
	TAP_STR(text, wanted);
	json_decref(json_loads(text, 0, NULL));
	free(text);
}

static void
test_values(void)
{
	json_t *root = json_object();

	report_put(&root, "none", report_text(NULL));
	report_put(&root, "text", report_text("a \"b\"\n"));
	report_put(&root, "number", report_number("9223372036854775807"));
	report_put(&root, "no_number", report_number(NULL));
	check(root, NULL, NULL, "{\n  \"none\": null,\n  \"text\": \"a \\\"b\\\"\\n\",\n  \"number\": 9223372036854775807,\n"
	                        "  \"no_number\": null\n}\n");
}

/* A database in SQL_ASCII may hold anything. */
static void
test_no_utf8(void)
{
	json_t *root = json_object();

	report_put(&root, "key", report_text("k\377\303(\346\227\245"));
	check(root, NULL, NULL, "{\n  \"key\": \"k\\\\xFF\\\\xC3(\346\227\245\"\n}\n");
}

static void
test_raw_member(void)
{
	static const char raw[] = "{\"n\": 123456789012345678901234567890.10, \"e\": 1e400, \"%s\": []}";
	json_t *root = json_object();

	report_put(&root, "id", json_integer(1));
	check(root, "event", raw, "{\n  \"id\": 1,\n  \"event\": {\"n\": 123456789012345678901234567890.10, \"e\": 1e400,"
	                          " \"%s\": []}\n}\n");
}

static void
test_no_memory(void)
{
	json_t *root = json_object();
	int status;
	char *text;

	report_put(&root, "lost", NULL);
	CU_ASSERT_PTR_NULL(root);
	report_put(&root, "more", report_text("x"));
	text = print(root, NULL, NULL, EX_OK, &status);
	TAP_INT(status, EX_TEMPFAIL);
	TAP_STR(text, "");
	free(text);
}

int
main(void)
{
	tap_suite("report");
	tap_test("values", test_values);
	tap_test("text that is not UTF-8", test_no_utf8);
	tap_test("a member that is JSON already", test_raw_member);
	tap_test("no memory", test_no_memory);
	return tap_run();
}
