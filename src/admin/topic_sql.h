/* topic_sql.h - the topic of a row, as SQL: what the router makes of a claimed event (route/router.h), for statements that
 * group rows by it. NULL where the router would find none. Pure.
 */
#ifndef PGOUTBOX_ADMIN_TOPIC_SQL_H
#define PGOUTBOX_ADMIN_TOPIC_SQL_H

#include "base/buf.h"
#include "base/error.h"
#include "source/layout.h"

/* Appends an expression over the row t. ERR_CONFIG: the template is malformed. */
int topic_sql(const struct layout *lo, const char *topic_template, struct buf *sql, struct error *err)
	__attribute__((warn_unused_result));

#endif
