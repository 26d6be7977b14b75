/* relays.h - several daemons on one outbox: who has how many lanes, and how fast a lane is served again. */
#ifndef PGOUTBOX_TESTS_RELAYS_H
#define PGOUTBOX_TESTS_RELAYS_H

#include "support/env.h"

/* Waits until the named daemons have all lanes between them, each the same number or one more. Says after how many ms;
 * fails the test when it takes too long. */
int64_t relays_wait_even(const struct env *env, const int *daemons, int count, int lanes);

void relays_start(struct env *env, int i, const struct env_config *cfg); /* and waits until it is ready */

/* Writes events of aggregate type "account" for so many keys that each lane has some, and waits until all of them are
 * marked as sent: the ms that took, counted from since_us. */
int64_t relays_serve(struct env *env, const char *name, int64_t since_us, int timeout_ms);

#endif
