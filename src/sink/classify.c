/* classify.c - a librdkafka error code comes in, a verdict with its reason goes out.
 *
 * The codes are those of delivery reports and of rd_kafka_produceva(): broker errors as the Kafka protocol numbers
 * them (https://kafka.apache.org/protocol#protocol_error_codes), the negative ones are librdkafka's own. It must not
 * know events.
 */
#include "sink/classify.h"

#include <stddef.h>

/* Codes that librdkafka 2.0.2 does not name yet. */
enum {
	INVALID_DIFFERENT_RECORD = -138,
	LOG_TRUNCATION = -139,
	UNKNOWN_TOPIC_ID = 100,
	INCONSISTENT_TOPIC_ID = 103,
	REBOOTSTRAP_REQUIRED = 129,
};

static const struct classified table[] = {
	{RD_KAFKA_RESP_ERR_NO_ERROR, VERDICT_OK, "acknowledged"},

	/* Given up by us. */
	{RD_KAFKA_RESP_ERR__PURGE_QUEUE, VERDICT_OUTAGE, "purged before it was sent"},
	{RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, VERDICT_OUTAGE, "purged after it was sent, the outcome is unknown"},
	{RD_KAFKA_RESP_ERR__DESTROY, VERDICT_OUTAGE, "the producer is being stopped"},
	{RD_KAFKA_RESP_ERR__INTR, VERDICT_OUTAGE, "interrupted"},
	{RD_KAFKA_RESP_ERR__RETRY, VERDICT_OUTAGE, "to be tried again"},

	/* The connection, or the time it took. */
	{RD_KAFKA_RESP_ERR__QUEUE_FULL, VERDICT_OUTAGE, "the local queue drains as soon as Kafka acknowledges"},
	{RD_KAFKA_RESP_ERR__TRANSPORT, VERDICT_OUTAGE, "the connection broke"},
	{RD_KAFKA_RESP_ERR__RESOLVE, VERDICT_OUTAGE, "the broker's name does not resolve now"},
	{RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, VERDICT_OUTAGE, "no broker is reachable"},
	{RD_KAFKA_RESP_ERR__UNKNOWN_BROKER, VERDICT_OUTAGE, "the broker left the cluster"},
	{RD_KAFKA_RESP_ERR__NODE_UPDATE, VERDICT_OUTAGE, "the broker's address changed"},
	{RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, VERDICT_OUTAGE, "not acknowledged in time"},
	{RD_KAFKA_RESP_ERR__TIMED_OUT, VERDICT_OUTAGE, "not answered in time"},
	{RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, VERDICT_OUTAGE, "not sent in time"},
	{RD_KAFKA_RESP_ERR__WAIT_COORD, VERDICT_OUTAGE, "waits for a coordinator"},
	{RD_KAFKA_RESP_ERR__WAIT_CACHE, VERDICT_OUTAGE, "waits for metadata"},
	{RD_KAFKA_RESP_ERR__IN_PROGRESS, VERDICT_OUTAGE, "waits for an operation that runs"},
	{RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS, VERDICT_OUTAGE, "waits for an operation that runs"},
	{RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, VERDICT_OUTAGE, "this host is short of memory, threads or descriptors"},
	{RD_KAFKA_RESP_ERR__FAIL, VERDICT_OUTAGE, "failed for no reason given"},
	{RD_KAFKA_RESP_ERR__BAD_MSG, VERDICT_OUTAGE, "the broker's answer could not be read"},
	{RD_KAFKA_RESP_ERR__UNDERFLOW, VERDICT_OUTAGE, "the broker's answer was cut short"},

	/* Rights and features of the whole connection: an operator or a broker upgrade heals them. */
	{RD_KAFKA_RESP_ERR__SSL, VERDICT_OUTAGE, "TLS failed"},
	{RD_KAFKA_RESP_ERR__AUTHENTICATION, VERDICT_OUTAGE, "the broker did not accept the credentials"},
	{RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, VERDICT_OUTAGE, "the broker did not accept the credentials"},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, VERDICT_OUTAGE, "the broker lacks the SASL mechanism"},
	{RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE, VERDICT_OUTAGE, "the broker did not accept the credentials"},
	{RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, VERDICT_OUTAGE, "the right to write idempotently is missing"},
	{RD_KAFKA_RESP_ERR_SECURITY_DISABLED, VERDICT_OUTAGE, "the broker has no authorizer"},
	{RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, VERDICT_OUTAGE, "the broker is too old"},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, VERDICT_OUTAGE, "the broker does not speak this version"},
	{RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, VERDICT_OUTAGE, "the broker refuses acks=all"},

	/* The cluster itself. */
	{RD_KAFKA_RESP_ERR_UNKNOWN, VERDICT_OUTAGE, "the broker failed for no reason given"},
	{RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, VERDICT_OUTAGE, "the broker is not available"},
	{RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, VERDICT_OUTAGE, "the broker lost a connection"},
	{RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, VERDICT_OUTAGE, "the broker is starting"},
	{RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, VERDICT_OUTAGE, "the coordinator is not available"},
	{RD_KAFKA_RESP_ERR_NOT_COORDINATOR, VERDICT_OUTAGE, "the coordinator moved"},
	{RD_KAFKA_RESP_ERR_NOT_CONTROLLER, VERDICT_OUTAGE, "the controller moved"},
	{RD_KAFKA_RESP_ERR_STALE_CTRL_EPOCH, VERDICT_OUTAGE, "the controller moved"},
	{RD_KAFKA_RESP_ERR_STALE_BROKER_EPOCH, VERDICT_OUTAGE, "the broker was restarted"},
	{RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, VERDICT_OUTAGE, "the broker throttles"},
	{RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, VERDICT_OUTAGE, "the replicas did not answer in time"},
	{REBOOTSTRAP_REQUIRED, VERDICT_OUTAGE, "the cluster asks its clients to connect anew"},

	/* One topic or partition. A broker that just started may not know a topic yet that it will know in a second. */
	{RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, VERDICT_TOPIC, "the topic does not exist"},
	{RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, VERDICT_TOPIC, "the partition does not exist"},
	{RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, VERDICT_TOPIC, "the topic does not exist"},
	{UNKNOWN_TOPIC_ID, VERDICT_TOPIC, "the topic was created anew"},
	{INCONSISTENT_TOPIC_ID, VERDICT_TOPIC, "the topic was created anew"},
	{RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, VERDICT_TOPIC, "the right to write to the topic is missing"},
	{RD_KAFKA_RESP_ERR_POLICY_VIOLATION, VERDICT_TOPIC, "a policy of the cluster forbids it"},
	{RD_KAFKA_RESP_ERR_INVALID_CONFIG, VERDICT_TOPIC, "the topic's configuration does not allow it"},
	{RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, VERDICT_TOPIC, "the topic cannot be created with its partitions"},
	{RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, VERDICT_TOPIC, "too few brokers to create the topic"},
	{RD_KAFKA_RESP_ERR_INVALID_REQUEST, VERDICT_TOPIC, "the topic's configuration does not allow it"},
	{RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, VERDICT_TOPIC, "too few replicas are in sync"},
	{RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, VERDICT_TOPIC, "too few replicas are in sync"},
	{RD_KAFKA_RESP_ERR__ISR_INSUFF, VERDICT_TOPIC, "too few replicas are in sync"},
	{RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, VERDICT_TOPIC, "the partition has no leader"},
	{RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, VERDICT_TOPIC, "the partition's leader moved"},
	{RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, VERDICT_TOPIC, "the partition's leader moved"},
	{RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, VERDICT_TOPIC, "the partition's leader moved"},
	{RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, VERDICT_TOPIC, "a replica is not available"},
	{RD_KAFKA_RESP_ERR_REASSIGNMENT_IN_PROGRESS, VERDICT_TOPIC, "the partition moves to other brokers"},
	{RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, VERDICT_TOPIC, "the broker's disk failed or is full"},
	{RD_KAFKA_RESP_ERR_LOG_DIR_NOT_FOUND, VERDICT_TOPIC, "the broker's disk failed or is full"},
	{RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, VERDICT_TOPIC, "the partition's leader is catching up"},
	{LOG_TRUNCATION, VERDICT_TOPIC, "the partition's log was cut"},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, VERDICT_TOPIC, "the topic does not take the compression"},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, VERDICT_TOPIC, "the topic's message format is too old"},
	/* Legal names reach us only, so this is a clash with another topic, or an internal one. */
	{RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, VERDICT_TOPIC, "the broker does not accept the topic's name"},
	/* The broker found the batch damaged: the network did that, not the event. */
	{RD_KAFKA_RESP_ERR_INVALID_MSG, VERDICT_TOPIC, "the batch arrived damaged"},
	/* message.timestamp.difference.max.ms: after a long outage every event may be too old. */
	{RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, VERDICT_TOPIC, "the topic does not take events of that age"},
	{INVALID_DIFFERENT_RECORD, VERDICT_TOPIC, "another record of the batch was refused"},

	/* Something in the batch. */
	{RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, VERDICT_TOO_LARGE, "larger than a limit"},
	{RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, VERDICT_TOO_LARGE, "larger than a log segment"},
	{RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, VERDICT_TOO_LARGE, "larger than a limit"},
	{RD_KAFKA_RESP_ERR_INVALID_RECORD, VERDICT_BAD_RECORD, "the topic does not take such a record"},

	/* The idempotent producer lost its place. */
	{RD_KAFKA_RESP_ERR__FATAL, VERDICT_FATAL, "the producer failed"},
	{RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE, VERDICT_FATAL, "the producer would have left a gap"},
	{RD_KAFKA_RESP_ERR__INCONSISTENT, VERDICT_FATAL, "the producer lost its place"},
	{RD_KAFKA_RESP_ERR__STATE, VERDICT_FATAL, "the producer is in the wrong state"},
	{RD_KAFKA_RESP_ERR__FENCED, VERDICT_FATAL, "the producer was fenced"},
	{RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, VERDICT_FATAL, "the broker lost the producer's place"},
	{RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER, VERDICT_FATAL, "the broker lost the producer's place"},
	{RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, VERDICT_FATAL, "the broker forgot the producer"},
	{RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, VERDICT_FATAL, "the broker knows a newer producer"},
	{RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, VERDICT_FATAL, "the broker forgot the producer"},
	{RD_KAFKA_RESP_ERR_PRODUCER_FENCED, VERDICT_FATAL, "the producer was fenced"},
	{RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, VERDICT_FATAL, "the producer is in the wrong state"},
	{RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, VERDICT_FATAL, "the producer is in the wrong state"},
};

static const struct classified unlisted = {0, VERDICT_TOPIC, "an error that a producer should not meet"};

const struct classified *
classify(rd_kafka_resp_err_t code)
{
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].code == (int)code)
			return &table[i];
	return &unlisted;
}
