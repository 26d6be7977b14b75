/* refusal.h - why libpq will not connect, told without a secret and with a word on what to do. */
#ifndef PGOUTBOX_SOURCE_REFUSAL_H
#define PGOUTBOX_SOURCE_REFUSAL_H

#include <stdbool.h>

#include "base/error.h"

/* ERR_CONFIG when libpq cannot read the connection string. libpq quotes what it stumbles over, so its reason is given
 * only where the string holds no secret. Connects to nothing. */
int refusal_check_conninfo(const char *conninfo, bool has_secret, struct error *err)
	__attribute__((warn_unused_result));

/* What to do about a message of a connection that failed, NULL when nothing is known that would not be guessing. The
 * texts are libpq's, OpenSSL's and the server's in English; in another language there is no hint. */
const char *refusal_hint(const char *message);

#endif
