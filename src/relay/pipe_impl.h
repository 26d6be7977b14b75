/* pipe_impl.h - what pipe.c and publish.c share: the state of one pipe. For these two alone. */
#ifndef PGOUTBOX_RELAY_PIPE_IMPL_H
#define PGOUTBOX_RELAY_PIPE_IMPL_H

#include "base/backoff.h"
#include "relay/keyset.h"
#include "relay/pipe.h"
#include "relay/stranded.h"

struct pipe {
	struct watch timer; /* first: the timer is the pipe */
	struct pipe_shared *sh;
	struct lane *lane;
	bool wanted;
	bool paused;         /* by an operator */
	bool lost;           /* a session that had the lane is gone */
	struct batch *batch; /* claimed, not yet fully settled; NULL = none */
	struct stranded stranded; /* older ones that stay with Kafka */
	int64_t stranded_us;      /* when the last of them was */
	struct batch *settling;   /* of either, in the turn under way */
	struct keyset held;  /* keys behind a parked event */
	struct probe probe;  /* the claim under way is for it; topic "" = an ordinary one */
	bool trouble;        /* events were refused through no fault of a topic's: pause */
	bool rung;
	bool reread_parked;
	bool held_short;     /* memory was out: held lacks keys until the parked ones are read again */
	uint64_t waits_lsn;    /* the batch may be published once WAL is flushed up to here; 0 = need not wait */
	int64_t turn_us;       /* the batch waits until Kafka has done with others, and no longer than that; 0 = does not wait */
	int64_t rows;          /* the next claim's limit */
	int64_t hold_until_us; /* an attached batch is detached then */
	int64_t not_before_us; /* no claim before: events were refused */
	int64_t reopen_us;
	int64_t ghost_until_us; /* so long the server may still run a session that we lost */
	struct backoff retry, reopen;
};

/* pipe.c: looks at the whole state and does the one thing that is due. */
void pipe_step(struct pipe *p, int64_t now_us);

/* publish.c */
int64_t publish_rows_after_outage(const struct pipe_shared *sh); /* the limit of a claim after an outage, and of the first */
void publish_claimed(struct pipe *p, const struct lane_result *r, int64_t now_us); /* takes r->claimed */
void publish_now(struct pipe *p); /* the batch that waits for its turn */
void publish_give_back(struct pipe *p); /* the batch that waits for its WAL will not be published in this transaction */
void publish_hold_fell_short(struct pipe *p); /* memory was out: until the parked keys are read again nothing is published */
size_t publish_room(const struct pipe *p); /* events that may be published beside those that are stranded */
bool publish_strand(struct pipe *p, int64_t now_us); /* the detached batch stays with Kafka, the lane goes on; false: no room */
void publish_probe_ended(struct pipe *p, int64_t from_id, int64_t now_us); /* see holds_probe_missed() */

#endif
