/* pause.h - pauses and resumes an outbox, a lane of it, or a topic: rows of pgoutbox.pause, each act in pgoutbox.audit.
 * Prints nothing. Blocks. */
#ifndef PGOUTBOX_ADMIN_PAUSE_H
#define PGOUTBOX_ADMIN_PAUSE_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/error.h"
#include "source/layout.h"

struct pause_target {
	const char *scope; /* "all", "lane", "topic" */
	const char *value; /* the lane's number, or the topic; NULL for all */
};

/* *ret_changed false: it was so already, and nothing was done. */
int pause_begin(PGconn *conn, const struct layout *lo, const struct pause_target *target, const char *reason,
                bool *ret_changed, struct error *err) __attribute__((warn_unused_result));
int pause_end(PGconn *conn, const struct layout *lo, const struct pause_target *target, bool *ret_changed,
              struct error *err) __attribute__((warn_unused_result));

struct pause_seen {
	int relays; /* that run */
	int behind; /* of those, that have not taken notice yet, or of which this role may not see it */
};

/* How far the relays are, given the server's time at which the order was committed: each looks twice a second, so one
 * that has asked anything later than that has seen it. */
int pause_look(PGconn *conn, const struct layout *lo, const char *since, struct pause_seen *ret_seen, struct error *err)
	__attribute__((warn_unused_result));

/* The server's time, for pause_look(); size of at least 64. */
int pause_now(PGconn *conn, char *ret_text, size_t size, struct error *err) __attribute__((warn_unused_result));

#endif
