/* holds.h - topics and partitions that may not be published to for now, with the reason and until when. One table a relay.
 *
 * Two kinds. A topic that refuses events (unknown, not authorised, a policy, ...) is held until one event, the probe, is accepted; probes go out
 * after pauses that grow. A partition that keeps events without an answer (no leader, too few replicas in sync) is held until what it keeps is
 * reported, for librdkafka retries that by itself; where several partitions of a topic do so and none of it answers, the whole topic is held.
 *
 * Events behind a hold are claimed once, let go and passed by, so what is in front of a lane never stops what is behind. The hold
 * remembers the lowest id that each lane passed by. When it is lifted it still holds for a lane until that lane looks from there again, so
 * the order within a partition stays: its events are met in the order of their ids, as if for the first time.
 *
 * Where memory is out there is no hold, and the caller stops its lane instead. Nothing here does I/O.
 */
#ifndef PGOUTBOX_RELAY_HOLDS_H
#define PGOUTBOX_RELAY_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "metrics/metrics.h"

struct hold;

struct holds {
	struct hold *table; /* by topic and partition */
	int count;
	const struct log *log;
	struct metrics_scope *metrics;
	void (*lifted)(void *ctx); /* lanes have to look again; to be told to them later, not from within; NULL = nobody listens */
	void *ctx;
};

enum { HOLDS_WHOLE = -1 }; /* the partition of a hold on a whole topic */

void holds_done(struct holds *hs);
bool holds_any(const struct holds *hs);
bool holds_trouble(const struct holds *hs); /* any but those that an operator ordered */

/* An event must wait if it is for a held topic or partition (-1 = not known): true, and its id is remembered for the lane. */
bool holds_block(struct holds *hs, int lane, const char *topic, int32_t partition, int64_t id);

/* The same for the partition alone. */
bool holds_block_partition(struct holds *hs, int lane, const char *topic, int32_t partition, int64_t id);

/* The topic refuses an event: it is held until a probe is accepted. -1: out of memory. */
int holds_refuse(struct holds *hs, int lane, const char *topic, int64_t id, const char *reason, int64_t now_us)
	__attribute__((warn_unused_result));

/* An event stays with Kafka; later it was reported after all. A failed stick needs no unstick, and one too many does no harm. */
void holds_stick(struct holds *hs, const char *topic, int32_t partition, int64_t now_us);
void holds_unstick(struct holds *hs, const char *topic, int32_t partition);

/* The topic accepted an event. What was on its way before the topic refused another proves nothing, only the probe does.
 * Cheap where nothing is held. */
void holds_accept(struct holds *hs, const char *topic, bool probe);

/* A lane's own look from the bottom begins: it has passed by nothing. */
void holds_forget(struct holds *hs, int lane);

/* The lowest id that the lane passed by for a hold that is lifted; these holds are over for the lane. INT64_MAX = none.
 * The lane must look from there before it publishes anything. *ret_gently: with one event at first, for the topic refused some. */
int64_t holds_look_from(struct holds *hs, int lane, bool *ret_gently);

/* When the lane has to act for a hold: look again (0), or probe; CLOCK_NEVER. */
int64_t holds_due(const struct holds *hs, int lane);

/* A probe for one topic, by a lane that passed by events of it. */
struct probe {
	char topic[256]; /* "" = none */
	int64_t from_id; /* look from there, not at all below */
};

/* Takes the probe that is due, if it is this lane's to do. */
bool holds_probe(struct holds *hs, int lane, int64_t now_us, struct probe *ret_probe);

/* No event of the topic was there below from_id (INT64_MAX: none at all): another probe from there. */
void holds_probe_missed(struct holds *hs, int lane, const char *topic, int64_t from_id, int64_t now_us);

/* The probe was not sent, or its outcome is not known: again after a pause. */
void holds_probe_failed(struct holds *hs, const char *topic, int64_t now_us);

/* An operator holds the topic, without probes, until it is resumed; again does nothing. Where memory is out it is not held yet:
 * to be called again. */
void holds_pause(struct holds *hs, const char *topic, int64_t now_us);
void holds_resume(struct holds *hs, const char *topic);

void holds_describe(const struct holds *hs, struct buf *out); /* one line a hold */

#endif
