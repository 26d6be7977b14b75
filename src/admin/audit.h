/* audit.h - pgoutbox.audit: what operators did to an outbox, by whom and when.
 *
 * An act and its row come from one transaction, so that neither is there without the other.
 */
#ifndef PGOUTBOX_ADMIN_AUDIT_H
#define PGOUTBOX_ADMIN_AUDIT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct audit_detail {
	const char *name;
	const char *value; /* NULL = null */
	bool json;         /* the value is JSON already: a number, an array; else it is a text */
};

/* Adds the row, in the transaction that is open on conn: the session's user, now, and the details as a JSON object.
 * verb is as people type it: "pause", "parked retry". Payloads and secrets are no details. Blocks. ERR_CONFIG, with a
 * hint, where the role may not write it. */
int audit_add(PGconn *conn, const char *verb, uint32_t relation_oid, const struct audit_detail details[], size_t count,
              struct error *err) __attribute__((warn_unused_result));

#endif
