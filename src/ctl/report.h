/* report.h - what a verb says to programs: one JSON object, by jansson.
 *
 * A failed allocation leaves NULL in place of the object, so that a run of additions needs one check: report_print()'s.
 */
#ifndef PGOUTBOX_CTL_REPORT_H
#define PGOUTBOX_CTL_REPORT_H

#include <jansson.h>

/* Adds a member, whose value it takes. */
void report_put(json_t **object, const char *name, json_t *value);

/* A string, or null for NULL. What is not UTF-8 comes as \xNN, as people see it. */
json_t *report_text(const char *text);

/* The text of a whole number, or null for NULL. */
json_t *report_number(const char *text);

/* Prints the object to standard output and lets go of it. Returns status, or what went wrong as an exit status. */
int report_print(json_t **object, int status);

/* The same with one member more, at the end: a text that is JSON already and stays byte for byte, because numbers of
 * PostgreSQL may be larger and finer than jansson's. */
int report_print_with(json_t **object, const char *name, const char *json, int status);

#endif
