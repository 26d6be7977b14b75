/* topics.c - names come in; librdkafka's topic handles, metadata and configuration requests go out.
 *
 * It must not know messages. Each question goes to librdkafka's threads; nothing here waits for a broker.
 */
#include "sink/topics.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define LIMIT_TIMEOUT_MS 10000
#define ASK_FIRST_US 20000
#define ASK_LAST_US 1000000
/* How long a topic's first messages wait for its limit. */
#define LIMIT_WAIT_US 200000

static const struct {
	const char *name;
	partitioner place;
} partitioners[] = {
	{"murmur2_random", rd_kafka_msg_partitioner_murmur2_random},
	{"murmur2", rd_kafka_msg_partitioner_murmur2},
	{"consistent", rd_kafka_msg_partitioner_consistent},
	{"consistent_random", rd_kafka_msg_partitioner_consistent_random},
	{"fnv1a", rd_kafka_msg_partitioner_fnv1a},
	{"fnv1a_random", rd_kafka_msg_partitioner_fnv1a_random},
};

partitioner
topics_partitioner(const char *name)
{
	for (size_t i = 0; i < sizeof partitioners / sizeof partitioners[0]; i++)
		if (strcmp(partitioners[i].name, name) == 0)
			return partitioners[i].place;
	return NULL;
}

void
topics_init(struct topics *ts, rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name)
{
	*ts = (struct topics){.rk = rk, .queue = queue, .due_us = CLOCK_NEVER, .place = topics_partitioner(name)};
}

/* librdkafka asks on whichever thread learns of the partitions. */
static int32_t
place(const rd_kafka_topic_t *handle, const void *key, size_t key_bytes, int32_t partitions, void *topic, void *opaque)
{
	struct topic *t = topic;

	t->partitions = partitions;
	return t->place(handle, key, key_bytes, partitions, topic, opaque);
}

int32_t
topics_partition(const struct topic *t, struct slice key)
{
	int32_t partitions = t->partitions;

	if (t->place == NULL || key.data == NULL || partitions <= 0)
		return -1;
	return t->place(t->handle, key.data, key.len, partitions, NULL, NULL);
}

void
topics_done(struct topics *ts)
{
	struct topic *t, *next;

	HASH_ITER (hh, ts->table, t, next) {
		HASH_DEL(ts->table, t);
		rd_kafka_topic_destroy(t->handle);
		gate_done(&t->gate);
		free(t);
	}
	ts->last = NULL;
}

struct topic *
topics_find(const struct topics *ts, const char *name)
{
	struct topic *t;

	if (ts->last != NULL && strcmp(ts->last->name, name) == 0)
		return ts->last;
	HASH_FIND_STR(ts->table, name, t);
	return t;
}

/* The handle carries the topic, so that a report finds it without a look-up. */
static rd_kafka_topic_t *
open_handle(rd_kafka_t *rk, struct topic *t)
{
	rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(rk);

	rd_kafka_topic_conf_set_opaque(conf, t);
	if (t->place != NULL)
		rd_kafka_topic_conf_set_partitioner_cb(conf, place);
	return rd_kafka_topic_new(rk, t->name, conf);
}

/* With no time to wait, rd_kafka_metadata() sends its request and returns; the answer still reaches librdkafka's cache.
 * Without a broker it returns at once, and the first act of a new connection is to ask for all topics with a handle. */
static void
ask_metadata(struct topics *ts, struct topic *t)
{
	const struct rd_kafka_metadata *metadata;

	if (rd_kafka_metadata(ts->rk, 0, t->handle, &metadata, 0) == RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(metadata);
}

static void
ask_again_later(struct topic *t, int64_t now_us)
{
	t->ask_due_us = t->ask_wait_us < ASK_LAST_US ? now_us + t->ask_wait_us : CLOCK_NEVER;
	t->ask_wait_us *= 2;
}

static void
ask_if_due(struct topics *ts, struct topic *t, int64_t now_us)
{
	if (now_us < t->ask_due_us)
		return;
	if (t->in_flight > 0)
		ask_metadata(ts, t);
	ask_again_later(t, now_us);
}

static void
due(struct topics *ts, int64_t due_us)
{
	if (due_us < ts->due_us)
		ts->due_us = due_us;
}

void
topics_tick(struct topics *ts, int64_t now_us)
{
	struct topic *t, *next;

	if (now_us < ts->due_us)
		return;
	ts->due_us = CLOCK_NEVER;
	HASH_ITER (hh, ts->table, t, next) {
		ask_if_due(ts, t, now_us);
		due(ts, t->ask_due_us);
		due(ts, gate_tick(t, now_us));
	}
}

void
topics_keep(struct topics *ts, struct topic *t, int64_t now_us)
{
	due(ts, gate_tick(t, now_us));
}

static int
add(struct topics *ts, const char *name, struct topic **ret_topic, struct error *err)
{
	size_t size = strlen(name) + 1;
	struct topic *t = calloc(1, sizeof *t + size);
	struct topic *added;

	if (t == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	memcpy(t->name, name, size);
	t->place = ts->place;
	HASH_ADD_STR(ts->table, name, t);
	HASH_FIND_STR(ts->table, name, added);
	if (added == NULL) {
		free(t);
		return error_set(err, ERR_RETRY, "out of memory");
	}
	/* From here on librdkafka knows t, and would go on to know it after the handle is given back. */
	t->handle = open_handle(ts->rk, t);
	if (t->handle == NULL) {
		HASH_DEL(ts->table, t);
		free(t);
		return error_set(err, ERR_RETRY, "topic \"%.64s\" is not usable: %s", name,
		                 rd_kafka_err2str(rd_kafka_last_error()));
	}
	t->limit_us = clock_mono_us();
	t->ripe = &ts->ripe;
	gate_init(&t->gate, t->limit_us + LIMIT_WAIT_US);
	t->ask_wait_us = ASK_FIRST_US;
	ask_metadata(ts, t);
	ask_again_later(t, t->limit_us);
	due(ts, t->ask_due_us);
	topics_ask_limit(ts, t);
	*ret_topic = t;
	return 0;
}

int
topics_get(struct topics *ts, const char *name, struct topic **ret_topic, struct error *err)
{
	struct topic *t = topics_find(ts, name);

	if (t == NULL && add(ts, name, &t, err) != 0)
		return -1;
	ts->last = t;
	*ret_topic = t;
	return 0;
}

struct topic *
topics_of(const rd_kafka_message_t *report)
{
	return rd_kafka_topic_opaque(report->rkt);
}

void
topics_ask_limit(struct topics *ts, struct topic *t)
{
	rd_kafka_AdminOptions_t *options;
	rd_kafka_ConfigResource_t *resource;
	char reason[128];

	if (t->limit_asked)
		return;
	t->limit_asked = true;
	options = rd_kafka_AdminOptions_new(ts->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, t->name);
	rd_kafka_AdminOptions_set_request_timeout(options, LIMIT_TIMEOUT_MS, reason, sizeof reason);
	rd_kafka_AdminOptions_set_opaque(options, t);
	rd_kafka_DescribeConfigs(ts->rk, &resource, 1, options, ts->queue);
	rd_kafka_ConfigResource_destroy(resource);
	rd_kafka_AdminOptions_destroy(options);
}

static size_t
limit_in(const rd_kafka_ConfigResource_t *resource)
{
	size_t count;
	const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);

	for (size_t i = 0; i < count; i++) {
		const char *value = rd_kafka_ConfigEntry_value(entries[i]);

		if (value != NULL && strcmp(rd_kafka_ConfigEntry_name(entries[i]), "max.message.bytes") == 0)
			return strtoull(value, NULL, 10);
	}
	return 0;
}

struct topic *
topics_take_limit(rd_kafka_event_t *event, int64_t now_us, const char **ret_reason)
{
	struct topic *t = rd_kafka_event_opaque(event);
	const rd_kafka_ConfigResource_t **resources;
	size_t count;

	t->limit_asked = false;
	t->limit_us = now_us;
	t->limit_bytes = 0;
	gate_limit_known(t);
	if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		*ret_reason = rd_kafka_event_error_string(event);
		return NULL;
	}
	resources = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
	if (count == 1 && rd_kafka_ConfigResource_error(resources[0]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		*ret_reason = rd_kafka_err2str(rd_kafka_ConfigResource_error(resources[0]));
		return NULL;
	}
	if (count == 1)
		t->limit_bytes = limit_in(resources[0]);
	*ret_reason = "the broker did not say";
	return t->limit_bytes == 0 ? NULL : t;
}
