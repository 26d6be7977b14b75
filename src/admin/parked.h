/* parked.h - events that were set aside: looks at them, offers them again, gives them up. Prints nothing. Blocks.
 *
 * An event is named by its id in pgoutbox.parked. What is asked for in one call happens in full or not at all, under
 * row locks, so that two operators never decide about the same event.
 */
#ifndef PGOUTBOX_ADMIN_PARKED_H
#define PGOUTBOX_ADMIN_PARKED_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "source/layout.h"

/* Which events: those that meet all of it. Strings are borrowed. */
struct parked_choice {
	const int64_t *ids; /* NULL = any */
	size_t ids_count;
	const char *key; /* NULL = any, as below */
	const char *topic;
	const char *reason_like; /* a pattern of SQL's LIKE */
	bool resolved;           /* also those that somebody has decided about */
};

/* --- looking --- */

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
	PARKED_WAITING,      /* later events of its key that were seen to be unsent; NULL where none would wait */
	PARKED_WAITING_MORE, /* "t": there may be more than these */
	PARKED_COLUMNS
};

#define PARKED_LOOK 10000 /* unsent rows of a lane that are looked at for those that wait: the backlog is not counted */

struct parked_rows {
	PGresult *res;
	int count;
};

#define PARKED_ROWS_INIT ((struct parked_rows){NULL, 0})

/* NULL where there is nothing; the rows'. */
const char *parked_value(const struct parked_rows *rows, int row, enum parked_column col);
void parked_rows_done(struct parked_rows *rows); /* for cleanup attributes too */

/* The oldest first, limit + 1 at the most: one more than asked for tells that there are more. waiting: look for what
 * waits behind each. */
int parked_list(PGconn *conn, const struct layout *lo, const struct parked_choice *choice, int64_t limit, bool waiting,
                struct parked_rows *ret_rows, struct error *err) __attribute__((warn_unused_result));

struct parked_event {
	struct parked_rows rows; /* one */
	char *json;                /* the row of the outbox table as it was parked: an object's text, malloc'd */
	struct parked_rows fields; /* the same, a column each, in the table's order */
};

#define PARKED_EVENT_INIT ((struct parked_event){.json = NULL})

/* payload: with that column. ERR_CONFIG when there is no such event. */
int parked_show(PGconn *conn, const struct layout *lo, int64_t id, bool payload, bool waiting,
                struct parked_event *ret_event, struct error *err) __attribute__((warn_unused_result));
const char *parked_field_name(const struct parked_event *e, int field);
const char *parked_field_value(const struct parked_event *e, int field); /* NULL as in SQL */
void parked_event_done(struct parked_event *e);                           /* for cleanup attributes too */

/* --- deciding --- */

enum parked_decision {
	PARKED_RETRY, /* offered again as it is: unsent under its old id, so before whatever of its key waits */
	PARKED_SKIP,  /* given up: it stays in pgoutbox.parked as history, and its key goes on */
};

struct parked_outcome {
	int64_t *ids; /* of what was decided, ascending */
	size_t count;
	size_t again; /* retry: rows that were gone from the outbox table and were written again from the copy */
};

#define PARKED_OUTCOME_INIT ((struct parked_outcome){.ids = NULL})

void parked_outcome_done(struct parked_outcome *o); /* for cleanup attributes too */

/* ERR_CONFIG names those of choice->ids that are not there, or were decided about before; nothing is done then. */
int parked_decide(PGconn *conn, const struct layout *lo, const struct parked_choice *choice,
                  enum parked_decision decision, struct parked_outcome *ret_outcome, struct error *err)
	__attribute__((warn_unused_result));

/* The same errors without doing anything. */
int parked_check(PGconn *conn, const struct layout *lo, const struct parked_choice *choice, struct error *err)
	__attribute__((warn_unused_result));

#endif
