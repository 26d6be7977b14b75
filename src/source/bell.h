/* bell.h - the doorbell: one cheap query that tells which lanes have something to claim.
 *
 * It costs an idle database one statement where each lane's own claim would cost one each. With LISTEN, writers ring it
 * themselves (the trigger of "pgoutboxctl init --notify"); without, the relay asks again and again, and where nobody writes it asks less
 * of the database. A ring is a hint: a lane decides by its claim alone.
 */
#ifndef PGOUTBOX_SOURCE_BELL_H
#define PGOUTBOX_SOURCE_BELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/watch.h"
#include "source/lane.h"

#define LANES_MAX 64

struct bell_question {
	int lanes[LANES_MAX];
	struct rung rungs[LANES_MAX]; /* it looks from there, and a lane rings too whose rung does not hold */
	int count;
	const char *held_keys; /* array literal; NULL = none */
};

struct bell_events {
	void (*ready)(void *ctx);                                            /* connected: may be asked */
	void (*answered)(void *ctx, const int *lanes, int count, int64_t elapsed_us);
	void (*notified)(void *ctx);
	void (*lost)(void *ctx, const struct error *err);
	void *ctx;
};

struct bell;

struct bell *bell_new(const struct lane_shared *shared, bool listen, const struct bell_events *events)
	__attribute__((warn_unused_result));
void bell_free(struct bell *b);
struct watch *bell_watch(struct bell *b);
void bell_open(struct bell *b);
void bell_close(struct bell *b);
bool bell_can_ask(const struct bell *b);
void bell_ask(struct bell *b, const struct bell_question *q, int64_t now_us);

#endif
