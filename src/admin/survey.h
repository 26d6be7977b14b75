/* survey.h - how an outbox does, as the database alone tells: what waits, who owns the lanes, what holds vacuum back.
 *
 * Bounded like the daemon's own statistics (source/stats.h): nothing counts the backlog, and each statement has a time limit.
 * Times are the database's, in microseconds of Unix time; 0 = there is none, -1 = it is not told.
 */
#ifndef PGOUTBOX_ADMIN_SURVEY_H
#define PGOUTBOX_ADMIN_SURVEY_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "source/bell.h"
#include "source/layout.h"
#include "source/stats.h"

#define SURVEY_RELAYS_MAX 64 /* more are counted, not listed */
#define SURVEY_PAUSES_MAX 8

/* A relay's session. */
struct survey_session {
	int pid;
	char host[64];    /* its address; "local" = the database's own host, "" = this role may not see it */
	char application[64];
	int64_t since_us; /* when it connected */
};

/* What is oldest of all that keeps vacuum from removing dead rows. */
struct survey_horizon {
	char kind[32]; /* "session", "replication slot", "prepared transaction"; "" = there is nothing */
	char name[128]; /* application, slot, or transaction */
	char state[48]; /* of a session: "idle in transaction" */
	int pid;        /* of a session */
	int64_t since_us;
	int64_t transactions; /* that began since */
};

/* What an operator ordered not to be relayed for now. */
struct survey_pause {
	char scope[16];  /* "all", "lane", "topic" */
	char value[264]; /* the lane's number or the topic */
	char by[64], reason[256];
	int64_t since_us;
};

struct survey {
	int64_t now_us;
	struct stats stats;
	int64_t parked;
	int64_t table_bytes, index_bytes; /* the table with TOAST, its indexes */
	int64_t live_rows, dead_rows;     /* as the statistics estimate */
	int64_t vacuumed_us;
	int64_t inserted, updated, deleted; /* rows, ever counted */
	int64_t oldest_sent_us; /* when the row of the lowest id was sent */
	int lanes;
	struct survey_session owners[LANES_MAX]; /* pid 0 = nobody */
	int relays; /* that announce themselves */
	struct survey_session relay[SURVEY_RELAYS_MAX];
	struct survey_session pruner; /* pid 0 = nobody */
	struct survey_horizon horizon;
	int pauses; /* that last; one of all is the first */
	struct survey_pause pause[SURVEY_PAUSES_MAX];
	bool lane_paused[LANES_MAX];
	int hidden; /* sessions in this database whose state this role may not see */
};

/* Blocks. ERR_RETRY where the database takes too long. */
int survey_take(PGconn *conn, const struct layout *lo, struct survey *ret_survey, struct error *err)
	__attribute__((warn_unused_result));

/* Only the sessions and the pauses. */
int survey_sessions(PGconn *conn, const struct layout *lo, struct survey *ret_survey, struct error *err)
	__attribute__((warn_unused_result));

/* Only what waits, of the rows up to an id (INT64_MAX = all). */
int survey_waiting(PGconn *conn, const struct layout *lo, int64_t up_to_id, struct stats *ret_stats, struct error *err)
	__attribute__((warn_unused_result));

/* Whether all that waits up to an id waits behind parked events of its keys, as far as a look at the first of each lane
 * tells. */
int survey_blocked(PGconn *conn, const struct layout *lo, int64_t up_to_id, bool *ret_blocked, struct error *err)
	__attribute__((warn_unused_result));

/* The pause of everything, NULL when there is none. */
const struct survey_pause *survey_paused(const struct survey *s);

int survey_owned(const struct survey *s); /* lanes with an owner */

#endif
