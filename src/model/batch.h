/* batch.h - the events that one claim brought, and how far each has come.
 *
 * A batch is an arena: its rows live and die together. Every state change goes through batch_move(), which knows the
 * legal moves; the counters follow by themselves. Nothing here does I/O.
 */
#ifndef PGOUTBOX_MODEL_BATCH_H
#define PGOUTBOX_MODEL_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "model/event.h"

enum event_state {
	EV_CLAIMED,  /* locked by the lane's transaction, or held back */
	EV_SENT,     /* with the producer, no report yet */
	EV_ACKED,    /* Kafka has it: to be settled */
	EV_REFUSED,  /* not now: stays unsent in the database, to be claimed again */
	EV_HELD,     /* the same, but whatever holds it back knows from where to look again */
	EV_POISONED, /* never as it is: to be parked */
	EV_SETTLED,  /* the database knows: sent or parked */
	EV_STATES
};

struct batch;

struct slot {
	struct event ev;
	struct batch *batch;
	uint64_t tid; /* row version as locked: block << 16 | offset; good only while the batch is attached */
	enum event_state state;
	bool offered;       /* was with the producer */
	bool settling;      /* in the settle that is under way */
	const char *reason; /* why poisoned, NULL else; the batch's */
	const char *topic;  /* as routed, NULL before; the batch's */
	int32_t partition;  /* of a stranded event, -1 = not known */
	int32_t sent_partition; /* of an acknowledged one, */
	int64_t sent_offset;    /* and its place there; -1 = not known */
};

struct batch {
	struct arena arena;
	struct slot *slots; /* in id order */
	size_t count;
	size_t counts[EV_STATES];
	size_t bytes;        /* keys and payloads */
	bool attached;       /* the claiming transaction is open: tids are good */
	bool full;           /* the claim met its limit: there may be more */
	bool probe;          /* claimed to try one event on a topic that refused others */
	int64_t claimed_us;  /* monotonic, when the claim's answer came */
	int64_t produced_us; /* monotonic, when the last event was handed over */
	void *backing;       /* what the slices point into, freed with the batch */
	void (*backing_free)(void *backing);
	void *owner;         /* whoever is to hear of its reports */
};

/* An empty batch with room for max_count slots; NULL when memory is out. */
struct batch *batch_new(size_t max_count) __attribute__((warn_unused_result));

/* Frees the batch with all it holds. No slot may be EV_SENT: the producer still points at it. NULL is fine. */
void batch_free(struct batch *b);

/* Takes the next slot, state EV_CLAIMED, everything else zero. There must be room. */
struct slot *batch_add(struct batch *b);

/* Changes a slot's state. An illegal move is a bug and asserts. */
void batch_move(struct slot *slot, enum event_state to);

/* Nothing is with the producer any more. */
bool batch_reported(const struct batch *b);

/* What the database must still hear about: acknowledged or poisoned events. */
size_t batch_unsettled(const struct batch *b);

/* A settle takes what is unsettled at its beginning; reports may go on meanwhile. Both return how many events it took. */
size_t batch_settle_begin(struct batch *b);
size_t batch_settle_end(struct batch *b, bool committed); /* not committed: all is as it was before */

/* What was acknowledged or poisoned will not be settled by us: somebody else has its rows. */
void batch_abandon(struct batch *b);

/* Claims must look again from the lowest id that was refused: returns it and keeps it in mind no longer (EV_HELD). INT64_MAX: none. */
int64_t batch_take_refused(struct batch *b);

#endif
