/* test_topics.c - the table of topics with librdkafka replaced: what is asked when, and what happens without memory. */
#include <stdlib.h>

static int calloc_fails, hash_fails;

#define calloc(count, size) (calloc_fails ? NULL : calloc(count, size))
#define uthash_malloc(size) (hash_fails ? NULL : malloc(size))
#include <stdio.h>

#include "sink/topics.c"
#undef calloc

#include "support/tap.h"

/* One instance of each of librdkafka's things is enough. */
struct rd_kafka_topic_s {
	void *opaque;
};

struct rd_kafka_op_s {
	void *opaque;
	rd_kafka_resp_err_t error;
	rd_kafka_resp_err_t resource_error;
	size_t resources;
	const char *name, *value;
};

static struct topics ts;
static struct error err;
static int handles, asked, described, freed_metadata;
static bool new_fails, metadata_there;
static void *next_opaque, *admin_opaque;
static struct rd_kafka_op_s *the_event;
static char some[1];
static partitioner next_partitioner;

#define SOME ((void *)some)

rd_kafka_topic_conf_t *
rd_kafka_default_topic_conf_dup(rd_kafka_t *rk)
{
	(void)rk;
	return SOME;
}

void
rd_kafka_topic_conf_set_opaque(rd_kafka_topic_conf_t *conf, void *opaque)
{
	(void)conf;
	next_opaque = opaque;
}

void
rd_kafka_topic_conf_set_partitioner_cb(rd_kafka_topic_conf_t *conf, partitioner cb)
{
	(void)conf;
	next_partitioner = cb;
}

rd_kafka_topic_t *
rd_kafka_topic_new(rd_kafka_t *rk, const char *name, rd_kafka_topic_conf_t *conf)
{
	struct rd_kafka_topic_s *handle;

	(void)rk, (void)name, (void)conf;
	if (new_fails)
		return NULL;
	handle = malloc(sizeof *handle);
	handle->opaque = next_opaque;
	handles++;
	return handle;
}

void
rd_kafka_topic_destroy(rd_kafka_topic_t *handle)
{
	handles--;
	free(handle);
}

void *
rd_kafka_topic_opaque(const rd_kafka_topic_t *handle)
{
	return handle->opaque;
}

rd_kafka_resp_err_t
rd_kafka_metadata(rd_kafka_t *rk, int all, rd_kafka_topic_t *only, const struct rd_kafka_metadata **ret, int timeout_ms)
{
	(void)rk;
	TAP_INT(all, 0);
	TAP_INT(timeout_ms, 0);
	CU_ASSERT_PTR_NOT_NULL(only);
	asked++;
	if (!metadata_there)
		return RD_KAFKA_RESP_ERR__TIMED_OUT;
	*ret = SOME;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void
rd_kafka_metadata_destroy(const struct rd_kafka_metadata *metadata)
{
	CU_ASSERT_PTR_EQUAL(metadata, SOME);
	freed_metadata++;
}

rd_kafka_AdminOptions_t *
rd_kafka_AdminOptions_new(rd_kafka_t *rk, rd_kafka_admin_op_t op)
{
	(void)rk;
	TAP_INT(op, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	return SOME;
}

void
rd_kafka_AdminOptions_destroy(rd_kafka_AdminOptions_t *options)
{
	(void)options;
}

rd_kafka_resp_err_t
rd_kafka_AdminOptions_set_request_timeout(rd_kafka_AdminOptions_t *options, int ms, char *reason, size_t size)
{
	(void)options, (void)ms, (void)reason, (void)size;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void
rd_kafka_AdminOptions_set_opaque(rd_kafka_AdminOptions_t *options, void *opaque)
{
	(void)options;
	admin_opaque = opaque;
}

rd_kafka_ConfigResource_t *
rd_kafka_ConfigResource_new(rd_kafka_ResourceType_t type, const char *name)
{
	(void)name;
	TAP_INT(type, RD_KAFKA_RESOURCE_TOPIC);
	return SOME;
}

void
rd_kafka_ConfigResource_destroy(rd_kafka_ConfigResource_t *resource)
{
	(void)resource;
}

void
rd_kafka_DescribeConfigs(rd_kafka_t *rk, rd_kafka_ConfigResource_t **resources, size_t count,
                         const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
	(void)rk, (void)resources, (void)options;
	TAP_INT(count, 1);
	CU_ASSERT_PTR_EQUAL(queue, ts.queue);
	described++;
}

void *
rd_kafka_event_opaque(rd_kafka_event_t *event)
{
	return event->opaque;
}

rd_kafka_resp_err_t
rd_kafka_event_error(rd_kafka_event_t *event)
{
	return event->error;
}

const char *
rd_kafka_event_error_string(rd_kafka_event_t *event)
{
	(void)event;
	return "whole answer failed";
}

const rd_kafka_DescribeConfigs_result_t *
rd_kafka_event_DescribeConfigs_result(rd_kafka_event_t *event)
{
	the_event = event;
	return SOME;
}

const rd_kafka_ConfigResource_t **
rd_kafka_DescribeConfigs_result_resources(const rd_kafka_DescribeConfigs_result_t *result, size_t *ret_count)
{
	static const rd_kafka_ConfigResource_t *resources[1];

	(void)result;
	resources[0] = SOME;
	*ret_count = the_event->resources;
	return resources;
}

rd_kafka_resp_err_t
rd_kafka_ConfigResource_error(const rd_kafka_ConfigResource_t *resource)
{
	(void)resource;
	return the_event->resource_error;
}

const rd_kafka_ConfigEntry_t **
rd_kafka_ConfigResource_configs(const rd_kafka_ConfigResource_t *resource, size_t *ret_count)
{
	static const rd_kafka_ConfigEntry_t *entries[1];

	(void)resource;
	entries[0] = SOME;
	*ret_count = the_event->name == NULL ? 0 : 1;
	return entries;
}

const char *
rd_kafka_ConfigEntry_name(const rd_kafka_ConfigEntry_t *entry)
{
	(void)entry;
	return the_event->name;
}

const char *
rd_kafka_ConfigEntry_value(const rd_kafka_ConfigEntry_t *entry)
{
	(void)entry;
	return the_event->value;
}

static void
setup(void)
{
	calloc_fails = hash_fails = 0;
	new_fails = metadata_there = false;
	handles = asked = described = freed_metadata = 0;
	next_partitioner = NULL;
	topics_init(&ts, SOME, SOME, "murmur2_random");
}

static void
teardown(void)
{
	topics_done(&ts);
	TAP_INT(handles, 0);
}

static struct topic *
get(const char *name)
{
	struct topic *t = NULL;

	TAP_INT_FATAL(topics_get(&ts, name, &t, &err), 0);
	return t;
}

static void
test_asked_once(void)
{
	rd_kafka_message_t report = {0};
	struct topic *a = get("a"), *b = get("b");

	CU_ASSERT_PTR_NOT_EQUAL(a, b);
	CU_ASSERT_PTR_EQUAL(get("a"), a);
	CU_ASSERT_PTR_EQUAL(get("a"), a);
	CU_ASSERT_PTR_EQUAL(get("b"), b);
	CU_ASSERT_PTR_EQUAL(topics_find(&ts, "b"), b);
	CU_ASSERT_PTR_NULL(topics_find(&ts, "c"));
	TAP_INT(handles, 2);
	TAP_INT(asked, 2);
	TAP_INT(described, 2);
	report.rkt = a->handle;
	CU_ASSERT_PTR_EQUAL(topics_of(&report), a);
}

static void
test_many(void)
{
	char name[24];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "topic%d", i);
		get(name);
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "topic%d", i);
		TAP_STR(get(name)->name, name);
	}
	TAP_INT(handles, 1000);
}

static void
test_no_memory(void)
{
	struct topic *t = NULL;

	calloc_fails = 1;
	TAP_INT(topics_get(&ts, "a", &t, &err), -1);
	TAP_INT(err.kind, ERR_RETRY);
	calloc_fails = 0;
	hash_fails = 1;
	TAP_INT(topics_get(&ts, "a", &t, &err), -1);
	TAP_INT(err.kind, ERR_RETRY);
	CU_ASSERT_PTR_NULL(t);
	CU_ASSERT_PTR_NULL(topics_find(&ts, "a"));
	hash_fails = 0;
	get("a");
	TAP_INT(handles, 1);
}

static void
test_no_handle(void)
{
	struct topic *t = NULL;

	new_fails = true;
	TAP_INT(topics_get(&ts, "a", &t, &err), -1);
	TAP_INT(err.kind, ERR_RETRY);
	TAP_HAS(err.message, "\"a\"");
	CU_ASSERT_PTR_NULL(topics_find(&ts, "a"));
}

static void
test_metadata_is_freed(void)
{
	metadata_there = true;
	get("a");
	TAP_INT(freed_metadata, 1);
}

/* 20 ms after the first question, then ever rarer, up to librdkafka's own pause; only while a message waits. */
static void
test_asks_again(void)
{
	struct topic *t = get("a");
	int64_t start_us = t->limit_us;

	TAP_INT(ts.due_us, start_us + 20000);
	topics_tick(&ts, ts.due_us - 1);
	TAP_INT(asked, 1);
	topics_tick(&ts, ts.due_us);
	TAP_INT(asked, 1);
	t->in_flight = 1;
	while (ts.due_us != CLOCK_NEVER) {
		CU_ASSERT_FATAL(ts.due_us < start_us + 2000000);
		topics_tick(&ts, ts.due_us);
	}
	TAP_INT(asked, 6);
	t->in_flight = 0;
}

static void
test_answered_is_left_alone(void)
{
	struct topic *a = get("a"), *b = get("b");

	a->in_flight = b->in_flight = 1;
	a->ask_due_us = CLOCK_NEVER;
	topics_tick(&ts, ts.due_us + 1000);
	TAP_INT(asked, 3);
	TAP_INT(ts.due_us, b->ask_due_us);
	a->in_flight = b->in_flight = 0;
}

static void
test_limit(void)
{
	struct topic *t = get("a");
	struct rd_kafka_op_s event = {t, 0, 0, 1, "max.message.bytes", "1048588"};
	const char *reason = NULL;

	CU_ASSERT_PTR_EQUAL(admin_opaque, t);
	topics_ask_limit(&ts, t);
	TAP_INT(described, 1); /* the first answer is still due */
	CU_ASSERT_PTR_EQUAL(topics_take_limit(&event, 77, &reason), t);
	TAP_INT(t->limit_bytes, 1048588);
	TAP_INT(t->limit_us, 77);
	topics_ask_limit(&ts, t);
	TAP_INT(described, 2);
}

static void
expect_no_limit(struct rd_kafka_op_s event, const char *why)
{
	struct topic *t = topics_find(&ts, "a");
	const char *reason = NULL;

	event.opaque = t;
	t->limit_bytes = 5;
	t->limit_asked = true;
	CU_ASSERT_PTR_NULL(topics_take_limit(&event, 77, &reason));
	TAP_HAS(reason, why);
	TAP_INT(t->limit_bytes, 0);
	CU_ASSERT_FALSE(t->limit_asked);
}

static void
test_no_limit(void)
{
	const rd_kafka_resp_err_t denied = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;

	get("a");
	expect_no_limit((struct rd_kafka_op_s){.error = RD_KAFKA_RESP_ERR__TIMED_OUT}, "whole answer");
	expect_no_limit((struct rd_kafka_op_s){.resources = 1, .resource_error = denied}, "authorization");
	expect_no_limit((struct rd_kafka_op_s){.resources = 0}, "did not say");
	expect_no_limit((struct rd_kafka_op_s){.resources = 1}, "did not say");
	expect_no_limit((struct rd_kafka_op_s){.resources = 1, .name = "max.message.bytes"}, "did not say");
	expect_no_limit((struct rd_kafka_op_s){.resources = 1, .name = "retention.ms", .value = "9"}, "did not say");
}

/* Where a key goes is known once librdkafka has asked for a place of some message; murmur2 is what Java's client uses. */
static void
test_partition(void)
{
	struct topic *t = get("a");
	struct slice key = slice_from("order-17");

	TAP_INT(topics_partition(t, key), -1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(next_partitioner);
	TAP_INT(next_partitioner(t->handle, "x", 1, 12, t, NULL), rd_kafka_msg_partitioner_murmur2(NULL, "x", 1, 12, NULL, NULL));
	TAP_INT(topics_partition(t, key), rd_kafka_msg_partitioner_murmur2(NULL, "order-17", 8, 12, NULL, NULL));
	next_partitioner(t->handle, "x", 1, 24, t, NULL);
	TAP_INT(topics_partition(t, key), rd_kafka_msg_partitioner_murmur2(NULL, "order-17", 8, 24, NULL, NULL));
	TAP_INT(topics_partition(t, SLICE_NULL), -1);
	teardown();
	topics_init(&ts, SOME, SOME, "consistent");
	t = get("a");
	next_partitioner(t->handle, "x", 1, 7, t, NULL);
	TAP_INT(topics_partition(t, key), rd_kafka_msg_partitioner_consistent(NULL, "order-17", 8, 7, NULL, NULL));
	teardown();
	/* one that we do not know is left to librdkafka */
	next_partitioner = NULL;
	topics_init(&ts, SOME, SOME, "murmur3");
	CU_ASSERT_PTR_NULL(next_partitioner);
	TAP_INT(topics_partition(get("a"), key), -1);
}

int
main(void)
{
	tap_suite_fixture("topics", setup, teardown);
	tap_test("each topic is made and asked about once", test_asked_once);
	tap_test("a thousand topics", test_many);
	tap_test("without memory there is no topic, and no exit", test_no_memory);
	tap_test("without a handle there is no topic", test_no_handle);
	tap_test("metadata that comes at once is freed", test_metadata_is_freed);
	tap_test("a topic with messages waiting is asked about again", test_asks_again);
	tap_test("a topic that answered is left alone", test_answered_is_left_alone);
	tap_test("the partition of a key", test_partition);
	tap_test("the limit is taken", test_limit);
	tap_test("no answer forgets the limit", test_no_limit);
	return tap_run();
}
