/* events.h - the rows of an outbox table as the daemon would read them to publish them, all of them in one stream, and what else has to
 * be known to judge them. Prints nothing. Blocks; memory stays that of one row.
 */
#ifndef PGOUTBOX_ADMIN_EVENTS_H
#define PGOUTBOX_ADMIN_EVENTS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "source/layout.h"
#include "source/statements.h"

#define EVENTS_TOPICS_MAX 10000
#define EVENTS_IDS_MAX 1000

/* Which rows: those that meet all of it. Strings are borrowed. */
struct events_choice {
	const char *topic_template; /* kafka.topic */
	const char *topic;          /* NULL = any */
	const char *since, *until;  /* of created_at, as events_time() gives them; NULL = no bound. Rows without a time that Kafka has, too */
	bool receipts;              /* what was sent is in pgoutbox.receipts, rather than in the table */
};

/* A time as people wrote it, cut to whole milliseconds as Kafka has them. */
struct events_time {
	char text[64]; /* for PostgreSQL */
	int64_t ms;    /* Unix time */
};

/* ERR_CONFIG: PostgreSQL cannot read it; option is named then. */
int events_time(PGconn *conn, const char *text, const char *option, struct events_time *ret_time, struct error *err)
	__attribute__((warn_unused_result));

/* The server's clock, Unix time. */
int events_now(PGconn *conn, int64_t *ret_us, struct error *err) __attribute__((warn_unused_result));

/* The topics that rows name, or are routed to: malloc'd, in order, to be freed by events_topics_done(). ERR_CONFIG: more than
 * EVENTS_TOPICS_MAX. */
int events_topics(PGconn *conn, const struct layout *lo, const struct events_choice *choice, char ***ret_topics, size_t *ret_count,
                  struct error *err) __attribute__((warn_unused_result));
void events_topics_done(char **topics, size_t count);

/* Begins a transaction of one snapshot in which the others are asked, and ends it. */
int events_begin(PGconn *conn, struct error *err) __attribute__((warn_unused_result));
int events_end(PGconn *conn, struct error *err) __attribute__((warn_unused_result));

/* When the row was sent that was sent first of all that are there; INT64_MAX: none was. */
int events_oldest(PGconn *conn, const struct layout *lo, const struct events_choice *choice, int64_t *ret_sent_us, struct error *err)
	__attribute__((warn_unused_result));

/* An estimate, for the progress; -1 = none. */
int events_estimate(PGconn *conn, const struct layout *lo, int64_t *ret_rows, struct error *err)
	__attribute__((warn_unused_result));

struct events_row {
	struct event ev;
	int64_t sent_us; /* Unix time; 0 = unsent */
	bool late;       /* was parked some day */
	bool aside;      /* is parked, or was skipped */
	int32_t partition; /* of its receipt; -1 = none */
	int64_t offset;    /* the same */
};

/* What is kept of a row that was deleted when it was sent. */
struct events_receipt {
	int64_t row_id, sent_us;
	struct slice event_id, key, sha256; /* of the payload; NULL: there was none */
	const char *topic;
	int32_t partition; /* -1 = not known */
	int64_t offset;    /* the same */
};

/* Calls for each row, in no order; what the row points to is good until the call returns. A call that returns -1 ends it.
 * After a failure the connection is fit for nothing but its end. */
int events_read(PGconn *conn, const struct layout *lo, const struct statements_options *opt, const struct events_choice *choice,
                int (*row)(void *ctx, const struct events_row *row, struct error *err), void *ctx, struct error *err)
	__attribute__((warn_unused_result));

/* The same for the receipts of pgoutbox.receipts; choice's times are not for them. */
int events_read_receipts(PGconn *conn, const struct layout *lo, const struct events_choice *choice,
                         int (*receipt)(void *ctx, const struct events_receipt *receipt, struct error *err), void *ctx,
                         struct error *err) __attribute__((warn_unused_result));

/* The event ids of up to EVENTS_IDS_MAX rows, as text, malloc'd each; NULL for a row that is gone. */
int events_ids(PGconn *conn, const struct layout *lo, const struct events_choice *choice, const int64_t *row_ids, size_t count,
               char **ret_event_ids, struct error *err) __attribute__((warn_unused_result));

#endif
