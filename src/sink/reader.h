/* reader.h - reads topics to the end that they had when it was asked for, as a consumer that takes part in no group and leaves no trace:
 * committed messages only. Blocks. Memory is bounded by what is fetched ahead.
 */
#ifndef PGOUTBOX_SINK_READER_H
#define PGOUTBOX_SINK_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/message.h"
#include "sink/producer.h"

struct reader_partition {
	uint32_t topic; /* by its place in the list that was given */
	int32_t partition;
	int64_t begin, end; /* offsets: from begin on, before end */
	int64_t low; /* the first that Kafka still has. Known after reader_run() */
	bool cut;  /* there have been messages before begin, or from it on, that Kafka has dropped. Known after reader_run() */
	bool open; /* not read to its end: what is there belongs to a transaction that has not ended. The same */
};

struct reader_message {
	struct message m; /* topic is NULL */
	size_t place;     /* of its partition in reader_partitions() */
	int64_t offset;
	bool append_time; /* the broker's time, not the producer's */
};

struct reader;

/* The producer's options serve: brokers, properties, secrets. ERR_CONFIG on bad ones, ERR_RETRY when librdkafka cannot start.
 * All of it is borrowed. */
int reader_new(const struct producer_options *opt, const char *const *topics, size_t topics_count, struct reader **ret_reader,
               struct error *err) __attribute__((warn_unused_result));
void reader_free(struct reader **r); /* for cleanup attributes too */

/* Finds the partitions and their ends, once. since_ms: begin with the first message of that time or later (INT64_MIN: with the first of
 * all). A topic that does not exist has no partitions. ERR_RETRY: no answer within timeout_ms. */
int reader_look(struct reader *r, int64_t since_ms, int timeout_ms, struct error *err) __attribute__((warn_unused_result));

const struct reader_partition *reader_partitions(const struct reader *r, size_t *ret_count);

/* The place of the partition to which the daemon would send that key now; -1: the partitioner draws it, or the topic is not there. */
int64_t reader_place(const struct reader *r, size_t topic, struct slice key);


/* The place of a partition; -1: it is not there. */
int64_t reader_partition_place(const struct reader *r, size_t topic, int32_t partition);

int64_t reader_total(const struct reader *r); /* offsets to read, some of which are no messages */

/* Calls for each message, those of a partition in their order; what it points to is good until the call returns. A call that returns -1
 * ends it. patience_ms: how long nothing may come before it is given up, with ERR_RETRY, or an open transaction is passed by. done (may be
 * NULL) is told how many offsets are behind it, a few times a second. */
int reader_run(struct reader *r, int patience_ms, int (*message)(void *ctx, const struct reader_message *m, struct error *err),
               void (*done)(void *ctx, int64_t offsets), void *ctx, struct error *err) __attribute__((warn_unused_result));

#endif
