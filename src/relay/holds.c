/* holds.c - in: what topics and partitions do with events; out: who must wait, who must look again, who probes. */
#include "relay/holds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define uthash_fatal(msg) abort()
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "source/bell.h"

#define PROBE_MIN_MS 100
#define PROBE_MAX_MS 30000
#define STUCK_PARTITIONS 4 /* so many of them without an answer from any, and the topic is held as a whole */

struct hold {
	UT_hash_handle hh;
	char topic[256];
	int32_t partition;
	bool refused;      /* until a probe is accepted */
	bool refuses;      /* it did so since it is held */
	bool probing;      /* a probe is out */
	bool paused;       /* an operator wants it so */
	bool mute;         /* the whole topic, because its partitions keep events and none answers */
	size_t stuck;      /* events that the partition keeps */
	int64_t probe_us;  /* refused: when the next probe may go */
	int64_t since_us;
	struct backoff backoff;
	char reason[160];
	int64_t passed[LANES_MAX]; /* lowest id by lane; INT64_MAX = none */
	char key[272];
};

static bool
holds(const struct hold *h)
{
	return h->refused || h->mute || h->stuck > 0 || h->paused;
}

/* What an operator ordered is no trouble. */
static bool
in_trouble(const struct hold *h)
{
	return h->refused || h->mute || h->stuck > 0;
}

static size_t
make_key(char *key, size_t size, const char *topic, int32_t partition)
{
	return (size_t)snprintf(key, size, "%d/%s", partition, topic);
}

static struct hold *
find_hold(const struct holds *hs, const char *topic, int32_t partition)
{
	struct hold *h;
	char key[272];
	size_t len;

	if (hs->table == NULL)
		return NULL;
	len = make_key(key, sizeof(key), topic, partition);
	HASH_FIND(hh, hs->table, key, len, h);
	return h;
}

static void
show(const struct holds *hs)
{
	int topics = 0, partitions = 0;

	for (const struct hold *h = hs->table; h != NULL; h = h->hh.next) {
		topics += in_trouble(h) && h->partition == HOLDS_WHOLE;
		partitions += in_trouble(h) && h->partition != HOLDS_WHOLE;
	}
	metrics_set(hs->metrics, METRIC_TOPICS_HELD, topics);
	metrics_set(hs->metrics, METRIC_PARTITIONS_HELD, partitions);
}

static struct hold *
add_hold(struct holds *hs, const char *topic, int32_t partition, int64_t now_us)
{
	struct hold *h = find_hold(hs, topic, partition);

	if (h != NULL)
		return h;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return NULL;
	snprintf(h->topic, sizeof(h->topic), "%s", topic);
	h->partition = partition;
	h->since_us = now_us;
	for (int i = 0; i < LANES_MAX; i++)
		h->passed[i] = INT64_MAX;
	backoff_init(&h->backoff, PROBE_MIN_MS, PROBE_MAX_MS, (uint64_t)now_us);
	HASH_ADD_KEYPTR(hh, hs->table, h->key, make_key(h->key, sizeof(h->key), topic, partition), h);
	if (h->hh.tbl == NULL) {
		free(h);
		return NULL;
	}
	hs->count++;
	return h;
}

static void
drop_hold(struct holds *hs, struct hold *h)
{
	HASH_DEL(hs->table, h);
	free(h);
	hs->count--;
}

void
holds_done(struct holds *hs)
{
	struct hold *h, *next;

	HASH_ITER(hh, hs->table, h, next)
		drop_hold(hs, h);
}

bool
holds_any(const struct holds *hs)
{
	return hs->count > 0;
}

bool
holds_trouble(const struct holds *hs)
{
	for (const struct hold *h = hs->table; h != NULL; h = h->hh.next)
		if (in_trouble(h) || !h->paused)
			return true;
	return false;
}

static bool
awaited(const struct hold *h)
{
	for (int i = 0; i < LANES_MAX; i++)
		if (h->passed[i] != INT64_MAX)
			return true;
	return false;
}

static void
tell_held(const struct holds *hs, const struct hold *h)
{
	log_fields(hs->log, LOG_WARNING, "topic-held", LOG_FIELDS(LOG_TEXT("topic", h->topic)),
	           "topic \"%s\" does not take events now: %s; they wait, others go on", h->topic, h->reason);
}

static void
tell_released(const struct holds *hs, const struct hold *h)
{
	long long duration_ms = (clock_mono_us() - h->since_us) / 1000;

	log_fields(hs->log, LOG_NOTICE, "topic-released", LOG_FIELDS(LOG_TEXT("topic", h->topic), LOG_NUMBER("duration_ms", duration_ms)),
	           "topic \"%s\" takes events again after %lld ms", h->topic, duration_ms);
}

/* Over, but for the lanes that passed by events. */
static void
lift_silently(struct holds *hs, struct hold *h)
{
	h->probing = false;
	if (!awaited(h)) {
		drop_hold(hs, h);
		show(hs);
		return;
	}
	show(hs);
	if (hs->lifted != NULL)
		hs->lifted(hs->ctx);
}

static void
lift(struct holds *hs, struct hold *h)
{
	if (h->partition == HOLDS_WHOLE)
		tell_released(hs, h);
	lift_silently(hs, h);
}

static bool
block(struct hold *h, int lane, int64_t id)
{
	/* One that is lifted holds still for a lane that has not looked again. */
	if (h == NULL || (!holds(h) && h->passed[lane] == INT64_MAX))
		return false;
	if (id < h->passed[lane])
		h->passed[lane] = id;
	return true;
}

bool
holds_block(struct holds *hs, int lane, const char *topic, int32_t partition, int64_t id)
{
	if (hs->count == 0)
		return false;
	return block(find_hold(hs, topic, HOLDS_WHOLE), lane, id) || holds_block_partition(hs, lane, topic, partition, id);
}

bool
holds_block_partition(struct holds *hs, int lane, const char *topic, int32_t partition, int64_t id)
{
	return partition >= 0 && block(find_hold(hs, topic, partition), lane, id);
}

int
holds_refuse(struct holds *hs, int lane, const char *topic, int64_t id, const char *reason, int64_t now_us)
{
	struct hold *h = add_hold(hs, topic, HOLDS_WHOLE, now_us);

	if (h == NULL)
		return -1;
	if (id < h->passed[lane])
		h->passed[lane] = id;
	/* Each of a batch is refused for the same reason: one step. */
	if (h->refused && !h->probing)
		return 0;
	snprintf(h->reason, sizeof(h->reason), "%s", reason);
	if (!h->refused) {
		h->since_us = now_us;
		tell_held(hs, h);
	}
	h->refused = h->refuses = true;
	h->probing = h->mute = false;
	h->probe_us = now_us + backoff_next_ms(&h->backoff) * 1000LL;
	show(hs);
	return 0;
}

static int
stuck_partitions(const struct holds *hs, const char *topic)
{
	int count = 0;

	for (const struct hold *h = hs->table; h != NULL; h = h->hh.next)
		count += h->stuck > 0 && strcmp(h->topic, topic) == 0;
	return count;
}

/* Several partitions keep what they got, and holds_accept() has not been heard since. */
static void
mute_topic(struct holds *hs, const char *topic, int64_t now_us)
{
	struct hold *h = add_hold(hs, topic, HOLDS_WHOLE, now_us);

	if (h == NULL || in_trouble(h))
		return;
	h->mute = true;
	h->since_us = now_us;
	snprintf(h->reason, sizeof(h->reason), "its partitions do not answer");
	tell_held(hs, h);
}

void
holds_stick(struct holds *hs, const char *topic, int32_t partition, int64_t now_us)
{
	struct hold *h = add_hold(hs, topic, partition < 0 ? HOLDS_WHOLE : partition, now_us);

	if (h == NULL)
		return;
	if (h->stuck++ == 0) {
		h->since_us = now_us;
		if (!h->refused)
			snprintf(h->reason, sizeof(h->reason), "it does not answer");
		if (stuck_partitions(hs, topic) >= STUCK_PARTITIONS)
			mute_topic(hs, topic, now_us);
		show(hs);
	}
}

/* Whatever its partitions kept was reported, though nothing of it may have been accepted: nothing is left that could tell
 * when the topic answers again, but to try. */
static void
unmute_topic(struct holds *hs, const char *topic)
{
	struct hold *h = find_hold(hs, topic, HOLDS_WHOLE);

	if (h == NULL || !h->mute || stuck_partitions(hs, topic) > 0)
		return;
	h->mute = false;
	if (!holds(h))
		lift(hs, h);
}

void
holds_unstick(struct holds *hs, const char *topic, int32_t partition)
{
	struct hold *h = find_hold(hs, topic, partition < 0 ? HOLDS_WHOLE : partition);

	if (h == NULL || h->stuck == 0)
		return;
	if (--h->stuck > 0)
		return;
	if (!holds(h))
		lift(hs, h);
	unmute_topic(hs, topic);
}

void
holds_accept(struct holds *hs, const char *topic, bool probe)
{
	struct hold *h;

	if (hs->count == 0)
		return;
	h = find_hold(hs, topic, HOLDS_WHOLE);
	if (h == NULL || !(h->mute || (h->refused && probe)))
		return;
	h->mute = false;
	if (probe) {
		h->refused = false;
		backoff_reset(&h->backoff);
	}
	if (!holds(h))
		lift(hs, h);
}

/* What is over and awaited by nobody goes. */
static void
tidy(struct holds *hs)
{
	struct hold *h, *next;

	HASH_ITER(hh, hs->table, h, next)
		if (!holds(h) && !awaited(h))
			drop_hold(hs, h);
}

void
holds_forget(struct holds *hs, int lane)
{
	for (struct hold *h = hs->table; h != NULL; h = h->hh.next) {
		if (h->probing && h->passed[lane] != INT64_MAX)
			h->probing = false;
		h->passed[lane] = INT64_MAX;
	}
	tidy(hs);
}

int64_t
holds_look_from(struct holds *hs, int lane, bool *ret_gently)
{
	int64_t from = INT64_MAX;

	*ret_gently = false;
	if (hs->count == 0)
		return from;
	for (struct hold *h = hs->table; h != NULL; h = h->hh.next) {
		if (holds(h))
			continue;
		if (h->passed[lane] < from)
			from = h->passed[lane];
		*ret_gently |= h->refuses && h->passed[lane] != INT64_MAX;
		h->passed[lane] = INT64_MAX;
	}
	tidy(hs);
	return from;
}

int64_t
holds_due(const struct holds *hs, int lane)
{
	int64_t due_us = CLOCK_NEVER;

	for (const struct hold *h = hs->table; h != NULL; h = h->hh.next) {
		if (h->passed[lane] == INT64_MAX)
			continue;
		if (!holds(h))
			return 0;
		if (h->refused && !h->paused && !h->probing && h->probe_us < due_us)
			due_us = h->probe_us;
	}
	return due_us;
}

bool
holds_probe(struct holds *hs, int lane, int64_t now_us, struct probe *ret_probe)
{
	for (struct hold *h = hs->table; h != NULL; h = h->hh.next) {
		if (!h->refused || h->paused || h->probing || h->passed[lane] == INT64_MAX || now_us < h->probe_us)
			continue;
		h->probing = true;
		snprintf(ret_probe->topic, sizeof(ret_probe->topic), "%s", h->topic);
		ret_probe->from_id = h->passed[lane];
		return true;
	}
	return false;
}

void
holds_probe_failed(struct holds *hs, const char *topic, int64_t now_us)
{
	struct hold *h = find_hold(hs, topic, HOLDS_WHOLE);

	if (h == NULL || !h->probing)
		return;
	h->probing = false;
	h->probe_us = now_us + backoff_next_ms(&h->backoff) * 1000LL;
}

void
holds_probe_missed(struct holds *hs, int lane, const char *topic, int64_t from_id, int64_t now_us)
{
	struct hold *h = find_hold(hs, topic, HOLDS_WHOLE);

	if (h == NULL || !h->probing)
		return;
	h->probing = false;
	h->passed[lane] = from_id;
	h->probe_us = now_us;
	/* Nobody has an event to find out with: the next one that comes will. */
	if (!awaited(h)) {
		h->refused = false;
		if (!holds(h))
			lift(hs, h);
	}
}

void
holds_pause(struct holds *hs, const char *topic, int64_t now_us)
{
	struct hold *h = add_hold(hs, topic, HOLDS_WHOLE, now_us);

	if (h != NULL)
		h->paused = true;
}

void
holds_resume(struct holds *hs, const char *topic)
{
	struct hold *h = find_hold(hs, topic, HOLDS_WHOLE);

	if (h == NULL || !h->paused)
		return;
	h->paused = false;
	if (!holds(h))
		lift_silently(hs, h);
}

void
holds_describe(const struct holds *hs, struct buf *out)
{
	int64_t now_us = clock_mono_us();

	for (const struct hold *h = hs->table; h != NULL; h = h->hh.next) {
		buf_printf(out, "%stopic \"%s\"", out->len > 0 ? "; " : "", h->topic);
		if (h->partition != HOLDS_WHOLE)
			buf_printf(out, " partition %d", h->partition);
		buf_printf(out, " held for %lld ms: %s", (long long)(now_us - h->since_us) / 1000, h->paused ? "paused by an operator" : holds(h) ? h->reason : "lifted");
		if (h->stuck > 0)
			buf_printf(out, ", %zu events with Kafka", h->stuck);
	}
}
