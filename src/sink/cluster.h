/* cluster.h - one look at a Kafka cluster and at some of its topics, for a check before or beside the relay. Produces
 * nothing, and creates no topic, whatever the brokers would do. Blocks, for about as long as it is told to at the most.
 */
#ifndef PGOUTBOX_SINK_CLUSTER_H
#define PGOUTBOX_SINK_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "sink/producer.h"

enum cluster_topic_state {
	CLUSTER_TOPIC_UNKNOWN, /* no answer, see reason */
	CLUSTER_TOPIC_FOUND,
	CLUSTER_TOPIC_MISSING,
	CLUSTER_TOPIC_DENIED, /* it may not even be seen */
};

struct cluster_topic {
	const char *name; /* as it was asked for */
	enum cluster_topic_state state;
	char reason[256];  /* of UNKNOWN */
	int partitions;
	int leaderless;    /* of these */
	int replicas;      /* of the partition that has fewest */
	int in_sync;       /* the same */
	int64_t message_max; /* max.message.bytes; -1 = the broker does not tell, often for lack of the right DescribeConfigs */
	int64_t min_in_sync; /* min.insync.replicas; the same */
	bool compacts; /* cleanup.policy has "compact"; false where the broker does not tell */
};

struct cluster {
	bool reached;
	bool refused;     /* not reached: by authentication or TLS, rather than by nobody being there */
	char reason[512]; /* of both, in plain words, without secrets */
	char fatal[512];  /* the producer may not work: idempotence is denied, for one; "" = it may */
	int brokers;
	bool compresses;  /* the broker judges sizes after compression */
	int64_t client_max; /* message.max.bytes */
};

/* Fills topics[i] from its name. produces: waits a moment to hear whether that is allowed, too. ERR_CONFIG on bad properties, ERR_RETRY when librdkafka cannot start; that nobody answers is
 * no error here. */
int cluster_look(const struct producer_options *opt, bool produces, int timeout_ms, struct cluster_topic topics[],
                 size_t count, struct cluster *ret_cluster, struct error *err) __attribute__((warn_unused_result));

#endif
