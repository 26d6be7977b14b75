/* outage.h - tells of one side's outages: a line for the begin, a line for the end, with how long and how much waits.
 *
 * A side that comes and goes does not fill the log: within OUTAGE_PAUSE_US there is one begin and one end at the most. What has
 * changed by then is told as soon as they are over, and if nothing has, nothing is; so the last line is always true.
 */
#ifndef PGOUTBOX_RELAY_OUTAGE_H
#define PGOUTBOX_RELAY_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/watch.h"
#include "hook/webhook.h"
#include "metrics/metrics.h"

#define OUTAGE_PAUSE_US INT64_C(10000000)

struct outage {
	struct watch timer; /* first: the timer is the outage. For the loop */
	enum metric_side side;
	const struct log *log;
	const struct metrics_scope *metrics; /* says what waits */
	struct webhook *webhook; /* NULL = none */
	const char *outbox;      /* its name for the webhook */
	bool down, told_down;
	int64_t since_us, until_us;
	int64_t begin_after_us, end_after_us; /* not told before */
	int untold; /* outages that began since one was told last */
	struct error reason;
};

void outage_init(struct outage *o, enum metric_side side, const struct log *log, const struct metrics_scope *metrics);

void outage_begin(struct outage *o, const struct error *reason); /* the reason of one that goes on is kept */
void outage_end(struct outage *o); /* of none is fine */

#endif
