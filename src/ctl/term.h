/* term.h - what the other end of a stream is: a person at a terminal, or a file, pipe or log. */
#ifndef PGOUTBOX_CTL_TERM_H
#define PGOUTBOX_CTL_TERM_H

#include <stdbool.h>
#include <stdio.h>

/* A terminal that can move its cursor (TERM is set, and not "dumb"). */
bool term_is_live(FILE *f);

/* The same, and NO_COLOR is not set or empty (no-color.org). */
bool term_has_colour(FILE *f);

/* Columns and lines, 80 and 24 where nobody tells. */
void term_size(FILE *f, int *ret_columns, int *ret_lines);

#endif
