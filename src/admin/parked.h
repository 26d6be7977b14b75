/* parked.h - events that were set aside: looks at them, offers them again, gives them up. Prints nothing. Blocks.
 *
 * An event is named by its id in pgoutbox.parked. What is asked for in one call happens in full or not at all, under row locks, so that two
 * operators never decide about the same event.
 */
#ifndef PGOUTBOX_ADMIN_PARKED_H
#define PGOUTBOX_ADMIN_PARKED_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "source/layout.h"

/* Which events; NULL = whatever. */
struct parked_filter {
	const char *key;
	const char *topic;
	bool resolved; /* also those that somebody has decided about */
};

/* What a row below has. */
enum parked_column {
	PARKED_ID,
	PARKED_EVENT_ROW, /* the id in the outbox table */
	PARKED_EVENT_ID,  /* the events' own, that consumers know */
	PARKED_AT,        /* ISO 8601, UTC */
	PARKED_KEY,
	PARKED_TOPIC,
	PARKED_REASON,
	PARKED_STATE,
	PARKED_RESOLVED_AT,
	PARKED_RESOLVED_BY,
	PARKED_COLUMNS
};

struct parked_rows {
	PGresult *res;
	int count;
};

#define PARKED_ROWS_INIT ((struct parked_rows){NULL, 0})

/* NULL where there is nothing; the rows'. */
const char *parked_value(const struct parked_rows *rows, int row, enum parked_column col);
void parked_rows_done(struct parked_rows *rows); /* for cleanup attributes too */

/* The oldest first, limit + 1 at the most: one more than asked for tells that there are more. */
int parked_list(PGconn *conn, const struct layout *lo, const struct parked_filter *filter, int64_t limit,
                struct parked_rows *ret_rows, struct error *err) __attribute__((warn_unused_result));

#define PARKED_LOOK 10000 /* unsent rows of the lane that are looked at for those of the key */

struct parked_event {
	struct parked_rows rows; /* one */
	char *json;              /* the row of the outbox table, malloc'd */
	int64_t waiting;         /* later unsent events of its key, */
	bool waiting_all;        /* and there are no more than these */
};

#define PARKED_EVENT_INIT ((struct parked_event){.json = NULL})

/* payload: with that column. ERR_CONFIG when there is no such event. */
int parked_show(PGconn *conn, const struct layout *lo, int64_t id, bool payload, struct parked_event *ret_event, struct error *err)
	__attribute__((warn_unused_result));
void parked_event_done(struct parked_event *e); /* for cleanup attributes too */

struct parked_outcome {
	int64_t *ids; /* of what was decided, ascending */
	size_t count;
	size_t again; /* retry: rows that were gone from the outbox table and were written again */
};

#define PARKED_OUTCOME_INIT ((struct parked_outcome){.ids = NULL})

void parked_outcome_done(struct parked_outcome *o); /* for cleanup attributes too */

/* Offers the events again as they are: unsent under their old id, so before whatever of their key waits. ids NULL = all that the
 * filter finds. ERR_CONFIG names those that are not there, or were decided about before; nothing is done then. */
int parked_retry(PGconn *conn, const struct layout *lo, const int64_t *ids, size_t count, const struct parked_filter *filter,
                 struct parked_outcome *ret_outcome, struct error *err) __attribute__((warn_unused_result));

/* Gives them up: they stay in pgoutbox.parked as history, and their keys go on. */
int parked_skip(PGconn *conn, const struct layout *lo, const int64_t *ids, size_t count, const struct parked_filter *filter,
                struct parked_outcome *ret_outcome, struct error *err) __attribute__((warn_unused_result));

#endif
