/* options.c - in: arguments; out: what the table points to. */
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const struct option_row *
find(const struct option_row rows[], const char *arg)
{
	if (strncmp(arg, "--", 2) != 0)
		return NULL;
	for (size_t i = 0; rows[i].name != NULL; i++) {
		if (strcmp(rows[i].name, arg + 2) == 0)
			return &rows[i];
	}
	return NULL;
}

static void
help(const char *program, const char *what, const struct option_row rows[])
{
	printf("usage: %s [OPTION VALUE ...]\n%s\n\n", program, what);
	for (size_t i = 0; rows[i].name != NULL; i++) {
		const struct option_row *r = &rows[i];

		printf("  --%-14s %s", r->name, r->help);
		if (r->number != NULL)
			printf(" (%" PRId64 ")", *r->number);
		else if (*r->text != NULL)
			printf(" (%s)", *r->text);
		printf("\n");
	}
}

static bool
take(const struct option_row *r, const char *value)
{
	char *end;

	if (r->text != NULL) {
		*r->text = value;
		return true;
	}
	errno = 0;
	long long number = strtoll(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || number < r->least || number > r->most)
		return false;
	*r->number = number;
	return true;
}

static int
refuse(const char *program, const char *name, const char *why)
{
	fprintf(stderr, "%s: --%s: %s\n%s: --help tells the options\n", program, name, why, program);
	return EX_USAGE;
}

int
options_parse(int argc, char *argv[], const char *what, const struct option_row rows[])
{
	const char *program = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];

	for (int i = 1; i < argc; i += 2) {
		const struct option_row *r = find(rows, argv[i]);

		if (strcmp(argv[i], "--help") == 0) {
			help(program, what, rows);
			return EX_OK;
		}
		if (r == NULL)
			return refuse(program, argv[i] + strspn(argv[i], "-"), "there is no such option");
		if (i + 1 == argc)
			return refuse(program, r->name, "its value is missing");
		if (!take(r, argv[i + 1]))
			return refuse(program, r->name, "the value is not a number in the option's range");
	}
	for (size_t i = 0; rows[i].name != NULL; i++) {
		if (rows[i].text != NULL && *rows[i].text == NULL)
			return refuse(program, rows[i].name, "it must be given");
	}
	return -1;
}
