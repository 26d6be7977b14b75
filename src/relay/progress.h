/* progress.h - whether events that could be sent are being sent. Pure.
 *
 * An outage of either side is known by other signs. This one asks nobody: there is work, time passes, and Kafka
 * acknowledges nothing, for whatever reason: rows that somebody locked, a lane or a doorbell that waits for ever.
 */
#ifndef PGOUTBOX_RELAY_PROGRESS_H
#define PGOUTBOX_RELAY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#define PROGRESS_PATIENCE_US 1000000 /* no stall is shorter */

struct progress {
	uint64_t sent;    /* as last seen */
	int64_t moved_us; /* when there last was an acknowledgement, or no work */
};

/* True when the work that is there now has been without an acknowledgement for PROGRESS_PATIENCE_US. To be asked again
 * and again, or work that came after a rest would seem to have waited all the time. sent: acknowledged since the start. */
bool progress_stalls(struct progress *p, bool work, uint64_t sent, int64_t now_us);

#endif
