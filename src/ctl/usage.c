/* usage.c - in: the tables of verbs and options; out: help, and what is wrong with a command line. */
#include "ctl/usage.h"

#include <string.h>

#define TITLE "usage: pgoutboxctl [-c FILE] "

/* The length of the first of two words, 0 where there is one. */
static size_t
family_len(const struct verb *verb)
{
	const char *space = strchr(verb->name, ' ');

	return space == NULL ? 0 : (size_t)(space - verb->name);
}

static bool
is_of_family(const struct verb *verb, const char *word, size_t len)
{
	return family_len(verb) == len && len > 0 && memcmp(verb->name, word, len) == 0;
}

bool
usage_is_family(const char *word)
{
	for (size_t i = 0; i < verbs_count; i++)
		if (is_of_family(&verbs[i], word, strlen(word)))
			return true;
	return false;
}

/* "  parked VERB   list, show, retry, skip (see parked --help)" */
static void
print_family_line(FILE *out, size_t first)
{
	size_t len = family_len(&verbs[first]);
	const char *comma = "";

	fprintf(out, "  %.*s VERB%*s ", (int)len, verbs[first].name, len < 8 ? 8 - (int)len : 0, "");
	for (size_t i = first; i < verbs_count; i++) {
		if (!is_of_family(&verbs[i], verbs[first].name, len))
			continue;
		fprintf(out, "%s%s", comma, verbs[i].name + len + 1);
		comma = ", ";
	}
	fprintf(out, " (see %.*s --help)\n", (int)len, verbs[first].name);
}

static void
print_options(FILE *out, const char *letters)
{
	for (size_t i = 0; i < argument_rows_count; i++) {
		const struct argument_row *row = &argument_rows[i];
		char name[64];

		if (strchr(letters, row->letter) == NULL)
			continue;
		if (row->brief)
			snprintf(name, sizeof(name), "-%c, --%s%s%s", row->letter, row->name, row->value != NULL ? " " : "",
			         row->value != NULL ? row->value : "");
		else
			snprintf(name, sizeof(name), "--%s%s%s", row->name, row->value != NULL ? " " : "",
			         row->value != NULL ? row->value : "");
		fprintf(out, "  %-20s %s\n", name, row->sentence);
	}
}

void
usage_print(FILE *out)
{
	fputs(TITLE "VERB [options]\n\n", out);
	for (size_t i = 0; i < verbs_count; i++) {
		size_t len = family_len(&verbs[i]);

		if (len == 0)
			fprintf(out, "  %-13s %s\n", verbs[i].name, verbs[i].sentence);
		else if (i == 0 || !is_of_family(&verbs[i - 1], verbs[i].name, len))
			print_family_line(out, i);
	}
	fputs("  version       print the version, as -V and --version do\n\n", out);
	print_options(out, "coh");
	fputs("\nExit status: 0 done, 64 usage, 65 verify found a difference, 69 no relay runs,\n"
	      "70 a defect, 74 output failed, 75 try again, 78 something is to be mended.\n",
	      out);
}

void
usage_print_verb(FILE *out, const struct verb *verb)
{
	fprintf(out, TITLE "%s%s%s [options]\n\n%s", verb->name, verb->operands != NULL ? " " : "",
	        verb->operands != NULL ? verb->operands : "", verb->help);
	if (verb->options[0] != '\0')
		fputc('\n', out);
	print_options(out, verb->options);
}

void
usage_print_family(FILE *out, const char *word)
{
	fprintf(out, TITLE "%s VERB [options]\n\n", word);
	for (size_t i = 0; i < verbs_count; i++)
		if (is_of_family(&verbs[i], word, strlen(word)))
			fprintf(out, "  %-13s %s\n", verbs[i].name, verbs[i].sentence);
}

void
usage_tell_unknown(char *const *words, int count)
{
	bool family = usage_is_family(words[0]);

	fprintf(stderr, "pgoutboxctl: there is no verb \"%s%s%s\"\n", words[0], count > 1 ? " " : "",
	        count > 1 ? words[1] : "");
	if (family)
		fputs("hint: there are ", stderr);
	for (size_t i = 0, n = 0; i < verbs_count; i++)
		if (is_of_family(&verbs[i], words[0], strlen(words[0])))
			fprintf(stderr, "%s%s", n++ > 0 ? ", " : "", verbs[i].name);
	fputs(family ? "\n" : "hint: \"pgoutboxctl --help\" lists the verbs\n", stderr);
}

bool
usage_check_options(const struct verb *verb, const struct arguments *args)
{
	char letter = args->used[strspn(args->used, verb->options)];

	if (letter == '\0')
		return true;
	fprintf(stderr, "pgoutboxctl: %s takes no option --%s\nhint: \"pgoutboxctl %s --help\" lists those it takes\n",
	        verb->name, arguments_row(letter)->name, verb->name);
	return false;
}
