/* checkup.h - the full look at a configuration: both sides are connected to, and everything that can be known of them is
 * judged. pgoutboxd --check-config=full and pgoutboxctl check --full share it. Changes nothing. Prints nothing. Blocks, for
 * half a minute at the most where a side does not answer.
 */
#ifndef PGOUTBOX_ADMIN_CHECKUP_H
#define PGOUTBOX_ADMIN_CHECKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "config/config.h"

#define CHECKUP_FINDINGS_MAX 128
#define CHECKUP_TOPICS_MAX 50 /* that are looked at */

enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_ERROR };

struct finding {
	enum finding_level level;
	const char *about; /* a constant: "index", "topic" */
	char message[640];
	char hint[384]; /* what to do; "" for FINDING_OK */
};

struct checkup {
	struct finding findings[CHECKUP_FINDINGS_MAX]; /* PostgreSQL first, then Kafka */
	size_t count;
	bool unreachable; /* a side did not answer: what is said of it is not all */
};

/* Of one outbox. Connects by database, an administrator's conninfo, or as the daemon does where that is NULL; role is whose
 * rights count, NULL = of database.conninfo. Whatever goes wrong is a finding. */
void checkup_run(const struct config *cfg, const char *database, const char *role, struct checkup *ret_checkup);

const char *checkup_level_name(enum finding_level level); /* "ok", "warning", "error" */

/* A line a finding, and one for what to do. */
void checkup_print(const struct checkup *c, struct buf *out);

/* 0; what ERR_CONFIG ends with where there is an error; what ERR_RETRY does where a side did not answer. */
int checkup_exit_status(const struct checkup *c);

#endif
