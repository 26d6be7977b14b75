/* log_limit.h - how often an entry with the same id may be written; the others are counted.
 *
 * Each id has a bucket of its own: LOG_LIMIT_BURST entries at once, then one a second. What is held back is told in one
 * entry, with the number and the last of the texts, once the id has been quiet for LOG_LIMIT_QUIET_US, and every
 * LOG_LIMIT_TELL_US as long as it is not.
 * Never held back: what is said on request or once (state-..., started, stopping, stopped), and the begin and the end of
 * an outage, which outage.c limits in a way that keeps them in pairs.
 * Thread-safe, fixed memory. An id beyond the LOG_LIMIT_IDS that there is room for is not limited.
 */
#ifndef PGOUTBOX_BASE_LOG_LIMIT_H
#define PGOUTBOX_BASE_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { LOG_LIMIT_BURST = 10, LOG_LIMIT_IDS = 128, LOG_LIMIT_TEXT_MAX = 255 };
#define LOG_LIMIT_REFILL_US INT64_C(1000000)
#define LOG_LIMIT_QUIET_US INT64_C(5000000)
#define LOG_LIMIT_TELL_US INT64_C(60000000)

struct log_limit;

struct log_repeats {
	const char *id;
	int priority; /* the most urgent of them */
	uint64_t count;
	char text[LOG_LIMIT_TEXT_MAX + 1]; /* of the last one, cut */
};

/* ERR_FATAL: no memory. */
int log_limit_new(struct log_limit **ret_limit, struct error *err) __attribute__((warn_unused_result));
void log_limit_free(struct log_limit *l); /* NULL is fine */

/* False: not to be written, it was counted. id is a constant: it is kept, not copied. */
bool log_limit_admit(struct log_limit *l, const char *id, int priority, const char *text, int64_t now_us);

/* One id whose repeats are to be told now, all: or whenever it has any. False when there is none. */
bool log_limit_take(struct log_limit *l, bool all, int64_t now_us, struct log_repeats *ret_repeats);

#endif
