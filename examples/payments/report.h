/* report.h - the read model: each event changes it once, in whatever order they come. */
#ifndef PAYMENTS_REPORT_H
#define PAYMENTS_REPORT_H

#include "base/error.h"
#include "database.h"
#include "stream.h"

/* Does what the message asks for, unless it was done before. ERR_RETRY: not now. Other errors: never. Blocks for the
 * database. */
int report_handle(struct database *db, const struct message *msg, struct error *err) __attribute__((warn_unused_result));

#endif
