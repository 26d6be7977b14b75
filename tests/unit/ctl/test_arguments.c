/* test_arguments.c - command lines, and the table of options. */
#include "ctl/arguments.h"

#include <getopt.h>
#include <string.h>

#include "support/tap.h"

static int
parse(const char *const *words, struct arguments *ret_args)
{
	static char copies[8][64];
	static char *argv[9];
	int argc = 0;

	for (; words[argc] != NULL; argc++)
		argv[argc] = strcpy(copies[argc], words[argc]);
	argv[argc] = NULL;
	optind = 0;
	return arguments_parse(argc, argv, ret_args);
}

#define PARSE(args, ...) parse((const char *const[]){"pgoutboxctl", __VA_ARGS__, NULL}, (args))

static void
test_order(void)
{
	struct arguments args;

	TAP_INT(PARSE(&args, "--key", "a b", "parked", "--json", "list", "-cx.yaml"), 0);
	TAP_STR(args.file, "x.yaml");
	TAP_STR(args.key, "a b");
	CU_ASSERT(args.json && !args.all && !args.help);
	TAP_INT(args.operands_count, 2);
	TAP_STR(args.operands[1], "list");
	TAP_STR(args.used, "kj");
	CU_ASSERT_PTR_NULL(args.topic);
}

static void
test_defaults(void)
{
	struct arguments args;

	TAP_INT(parse((const char *const[]){"pgoutboxctl", NULL}, &args), 0);
	TAP_STR(args.file, ARGUMENTS_FILE);
	TAP_INT(args.operands_count, 0);
	TAP_INT(PARSE(&args, "-h", "-V", "--json", "--json"), 0);
	CU_ASSERT(args.help && args.version);
	TAP_STR(args.used, "j");
}

static void
test_wrong(void)
{
	struct arguments args = {.file = "untouched"};

	opterr = 0;
	TAP_INT(PARSE(&args, "--nonsense"), -1);
	TAP_INT(PARSE(&args, "-j"), -1);
	TAP_INT(PARSE(&args, "--key"), -1);
	TAP_INT(PARSE(&args, "--json=yes"), -1);
	opterr = 1;
	TAP_STR(args.file, "untouched");
}

/* Each letter and each name once, each field one option's. */
static void
test_rows(void)
{
	for (size_t i = 0; i < argument_rows_count; i++) {
		const struct argument_row *row = &argument_rows[i];

		CU_ASSERT_PTR_EQUAL(arguments_row(row->letter), row);
		for (size_t j = 0; j < i; j++) {
			CU_ASSERT(strcmp(argument_rows[j].name, row->name) != 0);
			CU_ASSERT(argument_rows[j].offset != row->offset);
		}
	}
	CU_ASSERT_PTR_NULL(arguments_row('?'));
}

int
main(void)
{
	tap_suite("arguments");
	tap_test("options before and after the verb", test_order);
	tap_test("nothing given, or something twice", test_defaults);
	tap_test("what is no option", test_wrong);
	tap_test("the table", test_rows);
	return tap_run();
}
