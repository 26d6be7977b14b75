/* test_producer_rig.h - a mock cluster, a producer on it, and a record of what the producer said.
 *
 * The cluster lives in a librdkafka instance of its own, so that it outlives producers. Each test program includes this
 * once; its functions are static.
 */
#ifndef PGOUTBOX_TESTS_TEST_PRODUCER_RIG_H
#define PGOUTBOX_TESTS_TEST_PRODUCER_RIG_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sink/producer.h"
#include "support/tap.h"
#include "support/topic.h"

struct rig {
	rd_kafka_t *host;
	rd_kafka_mock_cluster_t *cluster;
	const char *brokers;
	struct producer *p;
	size_t batch_bytes;
	size_t reports[SEND_FATAL + 1];
	int32_t last_partition;
	int64_t last_offset;
	int64_t highest_offset;
	void *last_opaque;
	char last_reason[256];
	int ups, downs, fatals, logs;
	char down_reason[512];
	char fatal_reason[512];
	char all_text[65536]; /* every reason and log line */
	bool free_in_fatal;
	int statistics;
	struct statistics worst; /* of each figure the highest */
};

static inline void
rig_note(struct rig *rig, const char *text)
{
	size_t used = strlen(rig->all_text);

	snprintf(rig->all_text + used, sizeof rig->all_text - used, "%s\n", text);
}

static inline void
rig_on_report(void *ctx, const struct report *r)
{
	struct rig *rig = ctx;

	rig->reports[r->class]++;
	rig->last_partition = r->partition;
	rig->last_offset = r->offset;
	if (r->offset > rig->highest_offset)
		rig->highest_offset = r->offset;
	rig->last_opaque = r->opaque;
	CU_ASSERT_EQUAL(r->reason == NULL, r->class == SEND_OK);
	if (r->reason != NULL)
		snprintf(rig->last_reason, sizeof rig->last_reason, "%s", r->reason);
	if (r->reason != NULL)
		rig_note(rig, r->reason);
}

static inline void
rig_on_reachable(void *ctx, bool up, const char *reason)
{
	struct rig *rig = ctx;

	CU_ASSERT_EQUAL(reason == NULL, up);
	if (up) {
		rig->ups++;
	} else {
		rig->downs++;
		snprintf(rig->down_reason, sizeof rig->down_reason, "%s", reason);
	}
}

static inline void
rig_on_fatal(void *ctx, const char *reason)
{
	struct rig *rig = ctx;

	rig->fatals++;
	snprintf(rig->fatal_reason, sizeof rig->fatal_reason, "%s", reason);
	rig->batch_bytes = producer_batch_bytes(rig->p);
	if (rig->free_in_fatal) {
		producer_free(rig->p);
		rig->p = NULL;
	}
}

static inline void
rig_on_log(void *ctx, int priority, const char *text)
{
	struct rig *rig = ctx;

	(void)priority;
	rig->logs++;
	rig_note(rig, text);
	if (getenv("RIG_LOG") != NULL)
		tap_diag("%s", text);
}

static inline void
rig_on_statistics(void *ctx, const struct statistics *st)
{
	struct rig *rig = ctx;
	struct statistics *w = &rig->worst;

	rig->statistics++;
	*w = (struct statistics){
		.queue_messages = st->queue_messages > w->queue_messages ? st->queue_messages : w->queue_messages,
		.queue_bytes = st->queue_bytes > w->queue_bytes ? st->queue_bytes : w->queue_bytes,
		.requests_waiting = st->requests_waiting > w->requests_waiting ? st->requests_waiting : w->requests_waiting,
		.rtt_p99_us = st->rtt_p99_us > w->rtt_p99_us ? st->rtt_p99_us : w->rtt_p99_us,
		.throttle_us = st->throttle_us > w->throttle_us ? st->throttle_us : w->throttle_us,
		.timeouts = st->timeouts,
		.retries = st->retries,
	};
}

static inline void
rig_forget(struct rig *rig)
{
	memset(rig->reports, 0, sizeof rig->reports);
	rig->ups = rig->downs = rig->fatals = 0;
}

static inline int
rig_producer_with(struct rig *rig, const char *brokers, const struct producer_property *properties, size_t count,
                  struct error *err)
{
	struct producer_options opt = {.brokers = brokers,
	                               .client_id = "test",
	                               .properties = properties,
	                               .properties_count = count,
	                               .queue_messages = 300000,
	                               .queue_bytes = 256 << 20,
	                               .batch_bytes = rig->batch_bytes};
	struct producer_events events = {rig_on_report, rig_on_reachable, rig_on_fatal, rig_on_log, rig_on_statistics, rig};

	return producer_new(&opt, &events, &rig->p, err);
}

static inline void
rig_producer(struct rig *rig)
{
	struct error err;

	TAP_INT_FATAL(rig_producer_with(rig, rig->brokers, NULL, 0, &err), 0);
}

static inline void
rig_open(struct rig *rig, int brokers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	*rig = (struct rig){0};
	rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
	rig->host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig->host);
	rig->cluster = rd_kafka_mock_cluster_new(rig->host, brokers);
	rig->brokers = rd_kafka_mock_cluster_bootstraps(rig->cluster);
}

static inline void
rig_close(struct rig *rig)
{
	producer_free(rig->p);
	rd_kafka_mock_cluster_destroy(rig->cluster);
	rd_kafka_destroy(rig->host);
}

/* What a loop would do for the producer's watch, once. */
static inline void
rig_turn(struct rig *rig, int timeout_ms)
{
	struct watch *w = producer_watch(rig->p);
	struct pollfd pfd = {.fd = w->fd, .events = w->events};
	int64_t now_us = clock_mono_us();

	if (w->deadline_us != CLOCK_NEVER && w->deadline_us < now_us + timeout_ms * 1000)
		timeout_ms = w->deadline_us <= now_us ? 0 : (int)((w->deadline_us - now_us) / 1000 + 1);
	poll(&pfd, 1, timeout_ms);
	now_us = clock_mono_us();
	if (pfd.revents != 0 || now_us >= w->deadline_us)
		w->fire(w, pfd.revents, now_us);
}

static inline void
rig_pump(struct rig *rig, int ms)
{
	int64_t end_us = clock_mono_us() + ms * 1000;

	while (rig->p != NULL && clock_mono_us() < end_us)
		rig_turn(rig, (int)((end_us - clock_mono_us()) / 1000) + 1);
}

/* Turns until the condition holds; false when it does not in time. */
#define RIG_UNTIL(rig, ms, condition)                                            \
	__extension__({                                                              \
		int64_t rig_end_us_ = clock_mono_us() + (ms)*1000;                       \
		bool rig_holds_ = (condition);                                           \
		while (!rig_holds_ && clock_mono_us() < rig_end_us_ && (rig)->p != NULL) { \
			rig_turn((rig), 20);                                                 \
			rig_holds_ = (condition);                                            \
		}                                                                        \
		rig_holds_;                                                              \
	})

static inline int
rig_send(struct rig *rig, const char *topic, const char *key, const char *value, void *opaque)
{
	struct message m = {.topic = topic, .key = slice_from(key), .value = slice_from(value)};
	enum send_class class = SEND_OK;
	struct error err;

	if (producer_send(rig->p, &m, opaque, &class, &err) == 0)
		return 0;
	rig_note(rig, err.message);
	return -(int)class;
}

#endif
