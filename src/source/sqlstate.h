/* sqlstate.h - what each error that PostgreSQL may give asks for.
 *
 * Source: PostgreSQL documentation, appendix "PostgreSQL Error Codes". Exact codes come before their class (the first two
 * characters). Whatever is not listed is retried: a relay that waits loses nothing.
 */
#ifndef PGOUTBOX_SOURCE_SQLSTATE_H
#define PGOUTBOX_SOURCE_SQLSTATE_H

#include "base/error.h"

/* sqlstate may be NULL (the connection broke). *ret_hint is a constant, or NULL. */
enum err_kind sqlstate_kind(const char *sqlstate, const char **ret_hint);

#endif
