/* loop.h - one thread, one poll(2): waits for watches and fires them.
 *
 * Single-threaded but for loop_last_turn_us(). A round fires each watch at most once, in the order they were added:
 * when poll(2) reported something that the watch still asks for, when its deadline has passed, or for both at once.
 * What a fire() changes in another watch counts at once: a deadline moved to now fires it in this round if its turn
 * is still to come, else in the next; an fd taken away no longer gets what was polled for it.
 * A watch whose fd is closed fires with POLLNVAL, round after round until the owner sets another fd or -1.
 */
#ifndef PGOUTBOX_SERVE_LOOP_H
#define PGOUTBOX_SERVE_LOOP_H

#include <stdint.h>

#include "base/error.h"
#include "base/watch.h"

/* The loop turns at least this often, however far the next deadline is: an old last turn means that it hangs. */
#define LOOP_TURN_MAX_US INT64_C(1000000)

struct loop;

struct loop_stats {
	uint64_t turns;     /* returns from poll(2) */
	uint64_t fires;     /* calls of fire() */
	int64_t lag_max_us; /* the latest that a deadline was ever noticed */
};

/* ERR_FATAL: out of memory. The caller frees *ret_loop; its watches stay their owners'. */
int loop_new(struct loop **ret_loop, struct error *err) __attribute__((warn_unused_result));
void loop_free(struct loop *l); /* NULL is fine */

/* Both are legal from within any fire(). A watch added there is first looked at in the next round. One that was
 * removed does not fire any more, not even in the round under way, and may be freed at once. Adding one that is in
 * the loop already is a bug; removing one that is not does nothing. ERR_FATAL: out of memory. */
int loop_add(struct loop *l, struct watch *w, struct error *err) __attribute__((warn_unused_result));
void loop_remove(struct loop *l, struct watch *w);

/* Turns until loop_stop(), which lets the round under way end. A stop that came before makes it return at once.
 * ERR_FATAL: poll(2) itself failed. */
int loop_run(struct loop *l, struct error *err) __attribute__((warn_unused_result));
void loop_stop(struct loop *l);

/* One turn: waits for at most max_wait_us and fires what is due. Errors as loop_run(). Not from within a fire(). */
int loop_once(struct loop *l, int64_t max_wait_us, struct error *err) __attribute__((warn_unused_result));

/* late() is called after each round in which a deadline fired, with the worst delay of that round: the time from the
 * deadline to its fire(), or from the start of the round before if that is later, as a deadline in the past means
 * "at once". It must not free the loop. */
void loop_on_lag(struct loop *l, void (*late)(void *ctx, int64_t lag_us), void *ctx);

/* Somebody who must know of a time in which nothing was fired. */
struct loop_gap {
	int64_t gap_us; /* longer than LOOP_TURN_MAX_US */
	void (*absent)(void *ctx, int64_t away_us);
	void *ctx;
	struct loop_gap *next; /* the loop's */
};

/* absent() is called before anything else is fired when the thread stood still for gap_us or longer, however that came
 * about: stopped, swapped out, suspended with the machine, blocked in a fire(). It says for how long. There may be
 * several, each stays where it is until it is taken away; taking away one that is not there does nothing. */
void loop_on_gap(struct loop *l, struct loop_gap *gap);
void loop_off_gap(struct loop *l, struct loop_gap *gap); /* not from within an absent() */

struct loop_stats loop_stats(const struct loop *l);

/* Monotonic time of the last return from poll(2), or of loop_new(). Any thread may ask. */
int64_t loop_last_turn_us(const struct loop *l);

#endif
