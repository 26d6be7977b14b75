/* password.h - a password, or another secret, out of a file of its own. */
#ifndef PGOUTBOX_CONFIG_PASSWORD_H
#define PGOUTBOX_CONFIG_PASSWORD_H

#include <stdbool.h>

#include "base/error.h"

/* Reads the one line that the file holds; the end of the line is dropped. The caller frees *ret_password.
 * *ret_exposed: everybody on this machine can read the file. Messages never show what is in it.
 * ERR_CONFIG when it cannot be opened, is no regular file, is empty, too long or more than a line. */
int password_read(const char *path, char **ret_password, bool *ret_exposed, struct error *err)
	__attribute__((warn_unused_result));

/* The same for a secret of any number of lines, a key in PEM for example, which is kept as it is. */
int password_read_lines(const char *path, char **ret_text, bool *ret_exposed, struct error *err)
	__attribute__((warn_unused_result));

#endif
