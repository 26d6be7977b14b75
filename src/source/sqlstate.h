/* sqlstate.h - what each error that PostgreSQL may give asks for.
 *
 * Source: PostgreSQL documentation, appendix "PostgreSQL Error Codes"
 * (https://www.postgresql.org/docs/15/errcodes-appendix.html). Every class of it has a row, codes that differ from
 * their class have one of their own.
 *
 * ERR_RETRY   an outage: the database does not serve now, and the same statement will do later
 * ERR_CONFIG  a person must act: on the table, what hangs on it, the role, the server or the way there. A relay that
 *             never worked ends with it; one that did work waits, for it may be a migration under way
 * ERR_FATAL   the program is wrong: no trigger, data or setting makes its statements fail so
 */
#ifndef PGOUTBOX_SOURCE_SQLSTATE_H
#define PGOUTBOX_SOURCE_SQLSTATE_H

#include <stddef.h>

#include "base/error.h"

struct sqlstate {
	const char *code; /* five characters, or the two of a class */
	enum err_kind kind;
	const char *hint; /* a constant; NULL where the server's own words say enough */
};

/* The row of a code, or of its class; NULL where the appendix has neither. */
const struct sqlstate *sqlstate_find(const char *code);

/* code may be NULL (the connection broke). What no table can know, such as the codes that triggers make up, is
 * retried: a relay that waits loses nothing. *ret_hint is a constant, or NULL. */
enum err_kind sqlstate_kind(const char *code, const char **ret_hint);

/* A failed connection has no result, only libpq's text. With PQERRORS_VERBOSE the server's code stands in it, between
 * the severity and the message: "FATAL:  28P01: password ...". Copies the last one (libpq tries one host after the
 * other, and no further after a refusal of this kind); "" where there is none. */
void sqlstate_in_text(const char *text, char ret_code[6]);

#endif
