/* usage.h - what the tool says of itself. Every text fits a screen of 24 lines of 80 columns. */
#ifndef PGOUTBOX_CTL_USAGE_H
#define PGOUTBOX_CTL_USAGE_H

#include <stdbool.h>
#include <stdio.h>

#include "ctl/verb.h"

void usage_print(FILE *out); /* all verbs; those of a family ("parked list") in one line */
void usage_print_verb(FILE *out, const struct verb *verb);
void usage_print_family(FILE *out, const char *word);

/* Whether several verbs begin with this word and a space. */
bool usage_is_family(const char *word);

/* Says that there is no such verb, and which are meant, on standard error. */
void usage_tell_unknown(char *const *words, int count);

/* Whether the verb takes all options that were given; else it says which not, on standard error. */
bool usage_check_options(const struct verb *verb, const struct arguments *args);

#endif
