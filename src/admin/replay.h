/* replay.h - "pgoutboxctl replay": offers events once more that were sent already, by making their rows unsent again.
 * Prints nothing. Blocks.
 *
 * A running relay finds such rows by its looks from the bottom of the table (source/ladder.h), within a second or so. Rows
 * of keys that have a parked event are left alone, and so is what is not sent yet. Rows are met in the order of their ids,
 * in small transactions with pauses between them.
 */
#ifndef PGOUTBOX_ADMIN_REPLAY_H
#define PGOUTBOX_ADMIN_REPLAY_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "source/layout.h"

#define REPLAY_HEADER "replay"

struct replay_range {
	int64_t from, to; /* ids of the outbox table, both included */
};

/* Which events: those that meet all of it. Strings are borrowed. */
struct replay_choice {
	const struct replay_range *ranges; /* ascending, without overlap; NULL = the whole table */
	size_t ranges_count;
	const char *const *event_ids; /* NULL = any, as below */
	size_t event_ids_count;
	const char *key;
	const char *topic;
	const char *since, *until; /* of created_at, as PostgreSQL reads times: from since on, before until */
};

struct replay_topic {
	char *name; /* NULL: the row tells none */
	int64_t count;
	int64_t oldest_us, newest_us; /* created_at, Unix time; 0 = the table does not tell */
};

struct replay_report {
	struct replay_topic *topics; /* in the order in which they were met */
	size_t topics_count;
	int64_t count;  /* made unsent, or, dry, would be */
	int64_t unsent; /* chosen, but not sent yet */
	int64_t parked; /* chosen, but their key has a parked event, or they are parked */
	int64_t looked; /* rows */
	int64_t oldest_us, newest_us;
};

#define REPLAY_REPORT_INIT ((struct replay_report){.topics = NULL})

void replay_report_done(struct replay_report *r); /* for cleanup attributes too */

struct replay_request {
	const struct replay_choice *choice;
	const char *topic_template; /* kafka.topic */
	const char *header;         /* the value of the header that marks them; NULL = none */
	bool dry;                   /* only looks */
	/* After each step; may be NULL. */
	void (*progress)(void *ctx, const struct replay_report *so_far);
	void *ctx;
};

/* Whether the table is one to replay from: ERR_CONFIG says why not, and what can be done instead. delete: outbox.settle. */
int replay_check(PGconn *conn, const struct layout *lo, bool settle_delete, const struct replay_request *rq,
                 struct error *err) __attribute__((warn_unused_result));

/* *ret_report, which the caller ends, is filled on failure too, with what was done until then: each step is committed by
 * itself. */
int replay_run(PGconn *conn, const struct layout *lo, const struct replay_request *rq, struct replay_report *ret_report,
               struct error *err) __attribute__((warn_unused_result));

#endif
