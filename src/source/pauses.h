/* pauses.h - what operators have paused of an outbox, as pgoutbox.pause says: all, lanes, topics. Does no I/O. */
#ifndef PGOUTBOX_SOURCE_PAUSES_H
#define PGOUTBOX_SOURCE_PAUSES_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum pause_scope { PAUSE_ALL, PAUSE_LANE, PAUSE_TOPIC, PAUSE_SCOPES };

struct pause {
	int64_t id; /* never used again */
	enum pause_scope scope;
	int lane;        /* of PAUSE_LANE */
	char topic[250]; /* of PAUSE_TOPIC */
	char who[64], reason[160]; /* cut */
};

struct pauses {
	struct pause *list; /* by id */
	size_t count;
};

#define PAUSES_NONE ((struct pauses){NULL, 0})

/* The statement: the number of lanes, then a pause; one row at least where the table is an outbox, its pause null if
 * there is none. */
void pauses_text(uint32_t relation_oid, struct buf *sql);

/* Its answer. False: out of memory, or a row is not as expected. *ret_lanes 0: the table is no outbox any more. */
bool pauses_read(const PGresult *res, struct pauses *ret_pauses, int *ret_lanes) __attribute__((warn_unused_result));
void pauses_done(struct pauses *p);

bool pauses_have(const struct pauses *p, int64_t id);
bool pauses_stop(const struct pauses *p, int lane); /* the lane is paused, or all are */
bool pauses_hold(const struct pauses *p, const char *topic);

/* "lane 3", "topic \"t\"", "all": what a pause is of. Returns out. */
#define PAUSE_NAME_SIZE 272
const char *pause_name(const struct pause *p, char out[PAUSE_NAME_SIZE]);

#endif
