/* ctl-completion - prints what the shells have to know of pgoutboxctl: functions that bash and zsh read alike, from the tables of
 * verbs and options, for tests/completion to compare or renew. */
#include <stdio.h>
#include <string.h>

#include "ctl/verb.h"

#define ALWAYS "cohV"

static void
print_options(const char *letters)
{
	for (const char *l = letters; *l != '\0'; l++)
		printf("%s--%s", l > letters ? " " : "", arguments_row(*l)->name);
}

static bool
is_first_of_family(size_t i, size_t len)
{
	for (size_t k = 0; k < i; k++)
		if (strncmp(verbs[k].name, verbs[i].name, len + 1) == 0)
			return false;
	return true;
}

/* The first words, and, for one of them, the second ones. */
static void
print_words(void)
{
	printf("_pgoutboxctl_words()\n{\n\tcase $1 in\n\t'') echo '");
	for (size_t i = 0; i < verbs_count; i++) {
		size_t len = strcspn(verbs[i].name, " ");

		if (verbs[i].name[len] == '\0' || is_first_of_family(i, len))
			printf("%.*s ", (int)len, verbs[i].name);
	}
	puts("version' ;;");
	for (size_t i = 0; i < verbs_count; i++) {
		size_t len = strcspn(verbs[i].name, " ");
		const char *gap = "";

		if (verbs[i].name[len] == '\0' || !is_first_of_family(i, len))
			continue;
		printf("\t%.*s) echo '", (int)len, verbs[i].name);
		for (size_t k = i; k < verbs_count; k++)
			if (strncmp(verbs[k].name, verbs[i].name, len + 1) == 0) {
				printf("%s%s", gap, verbs[k].name + len + 1);
				gap = " ";
			}
		puts("' ;;");
	}
	puts("\tesac\n}");
}

static void
print_options_of_verbs(void)
{
	puts("_pgoutboxctl_options()\n{\n\tcase $1 in");
	for (size_t i = 0; i < verbs_count; i++) {
		printf("\t'%s') echo '", verbs[i].name);
		print_options(verbs[i].options);
		puts("' ;;");
	}
	printf("\tesac\n\techo '");
	print_options(ALWAYS);
	puts("'\n}");
}

static void
print_valued(void)
{
	printf("_pgoutboxctl_takes_value()\n{\n\tcase $1 in\n\t");
	for (size_t i = 0, n = 0; i < argument_rows_count; i++) {
		const struct argument_row *row = &argument_rows[i];

		if (row->value == NULL)
			continue;
		printf("%s--%s", n++ > 0 ? "|" : "", row->name);
		if (row->brief)
			printf("|-%c", row->letter);
	}
	puts(") return 0 ;;\n\tesac\n\treturn 1\n}");
}

int
main(void)
{
	print_words();
	print_options_of_verbs();
	print_valued();
	return fflush(stdout) == 0 ? 0 : 1;
}
