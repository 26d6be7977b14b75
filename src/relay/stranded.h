/* stranded.h - batches of one lane that were given up to Kafka: detached, some events without an answer yet. The lane goes on meanwhile.
 *
 * What keeps the order: no event with a key of theirs is published before they are settled, nor is one of theirs published again where a
 * claim meets its row. Both are claimed, let go and passed by; when a stranded batch was settled the lane looks from the lowest of them.
 * What keeps the bound: their events count against the lane's share of events in flight, and their memory against its bytes.
 */
#ifndef PGOUTBOX_RELAY_STRANDED_H
#define PGOUTBOX_RELAY_STRANDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/batch.h"
#include "relay/keyset.h"

enum { STRANDED_MAX = 16 };

struct stranded {
	struct batch *batches[STRANDED_MAX];
	int count;
	struct keyset keys;    /* of their events that are not settled */
	int64_t passed_id;     /* the lowest event that waits behind one of theirs; INT64_MAX = none */
	int64_t settle_due_us; /* reports came: to be settled then; CLOCK_NEVER */
};

void stranded_init(struct stranded *st);
void stranded_done(struct stranded *st); /* frees the batches: nothing may be in flight */

/* Takes the batch over. False: there is no room, by number or by bytes, or no memory; the caller keeps it. */
bool stranded_add(struct stranded *st, struct batch *b, int64_t bytes_max) __attribute__((warn_unused_result));

/* An event that was claimed must wait: it is one of theirs, or its key has one before it. Remembered. */
bool stranded_block(struct stranded *st, const struct event *ev);

size_t stranded_in_flight(const struct stranded *st); /* events without an answer */
size_t stranded_unsettled(const struct stranded *st);

void stranded_reported(struct stranded *st, int64_t now_us); /* one of theirs was */
void stranded_retry(struct stranded *st, int64_t now_us);    /* a settle did not come about: again */

/* The batch whose reports are to be settled now; NULL. */
struct batch *stranded_due(struct stranded *st, int64_t now_us);

/* A batch that is reported in full with nothing left to settle, which is the caller's from now on; NULL. */
struct batch *stranded_take_finished(struct stranded *st);

/* Something of theirs was settled or taken: whoever waits behind may wait no more. The id to look from, INT64_MAX. */
int64_t stranded_look_from(struct stranded *st);

#endif
