/* options.h - a program's long options, by a table. */
#ifndef PAYMENTS_OPTIONS_H
#define PAYMENTS_OPTIONS_H

#include <stdint.h>

/* An option has one of the two; what is there before is the default, NULL means that it must be given. */
struct option_row {
	const char *name;  /* NULL ends the table */
	const char **text; /* borrowed from argv */
	int64_t *number;
	int64_t least, most;
	const char *help;
};
#define OPTION_TEXT(name_, text_, help_) {(name_), (text_), NULL, 0, 0, (help_)}
#define OPTION_NUMBER(name_, number_, least_, most_, help_) {(name_), NULL, (number_), (least_), (most_), (help_)}
#define OPTION_END {NULL, NULL, NULL, 0, 0, NULL}

/* Returns -1 to go on, or the exit status of the program: 0 after --help, 64 where they are wrong, which was said then. */
int options_parse(int argc, char *argv[], const char *what, const struct option_row rows[])
	__attribute__((warn_unused_result));

#endif
