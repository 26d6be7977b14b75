/* script.h - fills the variables of an SQL text, by the rules of psql.
 *
 * :"name" becomes a quoted identifier, :'name' a literal, :name the value as it is. Casts (::), quoted strings and
 * identifiers, comments and dollar-quoted bodies stay untouched, so that the same file runs in psql -v. Unlike there,
 * a variable that nobody gave is an error. Source: psql's manual page, "SQL Interpolation".
 */
#ifndef PGOUTBOX_ADMIN_SCRIPT_H
#define PGOUTBOX_ADMIN_SCRIPT_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

struct script_variable {
	const char *name;
	const char *value;
};

/* Appends to *out. ERR_FATAL when a variable is unknown or its reference does not end: the text is a bug of ours. */
int script_fill(const char *text, const struct script_variable *variables, size_t count, struct buf *out,
                struct error *err) __attribute__((warn_unused_result));

void script_add_identifier(struct buf *out, const char *name);
void script_add_literal(struct buf *out, const char *value);

#endif
