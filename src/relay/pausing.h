/* pausing.h - what operators have paused, carried out: lanes claim no more, topics are held. Does no I/O.
 *
 * What is in flight is finished and settled. A pause is a row in the database, so it outlives relays.
 */
#ifndef PGOUTBOX_RELAY_PAUSING_H
#define PGOUTBOX_RELAY_PAUSING_H

#include "base/log.h"
#include "metrics/metrics.h"
#include "relay/crew.h"
#include "relay/holds.h"
#include "source/pauses.h"

struct pausing {
	struct pauses now;
	char remark[200]; /* for people who ask whether all is well; "" = nothing is paused */
};

void pausing_done(struct pausing *p); /* zeros are fine */

/* What is paused by the latest look; takes it over. To be called before lanes are taken, so that a new relay claims
 * nothing that it should not. */
void pausing_look(struct pausing *p, struct pauses *look, struct holds *holds, const struct log *log,
                  struct metrics_scope *metrics, int64_t now_us);

/* Tells the pipes. */
void pausing_tell(const struct pausing *p, const struct crew *c);

#endif
