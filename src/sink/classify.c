/* classify.c - a librdkafka error code comes in, a verdict with its reason goes out.
 *
 * The codes are those of delivery reports and of rd_kafka_produceva(): broker errors as the Kafka protocol numbers
 * them (https://kafka.apache.org/protocol#protocol_error_codes), the negative ones are librdkafka's own. It must not
 * know events.
 *
 * Without a message timeout and a limit of retries, librdkafka tries some of them again for ever and says nothing, so
 * they never come here; the table says which. Each of those that it reports is a refusal for good in its eyes: it
 * goes on behind the refused batch, once every partition's answers are in.
 */
#include "sink/classify.h"

#include <stddef.h>

/* Codes that librdkafka 2.0.2 does not name yet: its own of later versions, then the protocol's as of Kafka 4.1. */
enum {
	INVALID_DIFFERENT_RECORD = -138,
	LOG_TRUNCATION = -139,
	DESTROY_BROKER = -137,
	SNAPSHOT_NOT_FOUND = 98,
	POSITION_OUT_OF_RANGE,
	UNKNOWN_TOPIC_ID,
	DUPLICATE_BROKER_REGISTRATION,
	BROKER_ID_NOT_REGISTERED,
	INCONSISTENT_TOPIC_ID,
	INCONSISTENT_CLUSTER_ID,
	TRANSACTIONAL_ID_NOT_FOUND,
	FETCH_SESSION_TOPIC_ID_ERROR,
	INELIGIBLE_REPLICA,
	NEW_LEADER_ELECTED,
	OFFSET_MOVED_TO_TIERED_STORAGE,
	FENCED_MEMBER_EPOCH,
	UNRELEASED_INSTANCE_ID,
	UNSUPPORTED_ASSIGNOR,
	STALE_MEMBER_EPOCH,
	MISMATCHED_ENDPOINT_TYPE,
	UNSUPPORTED_ENDPOINT_TYPE,
	UNKNOWN_CONTROLLER_ID,
	UNKNOWN_SUBSCRIPTION_ID,
	TELEMETRY_TOO_LARGE,
	INVALID_REGISTRATION,
	TRANSACTION_ABORTABLE,
	INVALID_RECORD_STATE,
	SHARE_SESSION_NOT_FOUND,
	INVALID_SHARE_SESSION_EPOCH,
	FENCED_STATE_EPOCH,
	INVALID_VOTER_KEY,
	DUPLICATE_VOTER,
	VOTER_NOT_FOUND,
	INVALID_REGULAR_EXPRESSION,
	REBOOTSTRAP_REQUIRED,
	STREAMS_INVALID_TOPOLOGY,
	STREAMS_INVALID_TOPOLOGY_EPOCH,
	STREAMS_TOPOLOGY_FENCED,
	SHARE_SESSION_LIMIT_REACHED,
};

static const struct classified table[] = {
	{RD_KAFKA_RESP_ERR_NO_ERROR, VERDICT_OK, "acknowledged"},

	/* Given up by us. */
	{RD_KAFKA_RESP_ERR__PURGE_QUEUE, VERDICT_OUTAGE, "purged before it was sent"},
	{RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, VERDICT_OUTAGE, "purged after it was sent, the outcome is unknown"},
	{RD_KAFKA_RESP_ERR__DESTROY, VERDICT_OUTAGE, "the producer is being stopped"},
	{DESTROY_BROKER, VERDICT_OUTAGE, "the broker left the cluster"},
	{RD_KAFKA_RESP_ERR__INTR, VERDICT_OUTAGE, "interrupted"},

	/* The connection, or the time it took. librdkafka tries all of these again in silence, but for what only a
	 * message timeout makes of them, _FAIL, and answers that it cannot read. */
	{RD_KAFKA_RESP_ERR__RETRY, VERDICT_OUTAGE, "to be tried again"},
	{RD_KAFKA_RESP_ERR__QUEUE_FULL, VERDICT_OUTAGE, "the local queue drains as soon as Kafka acknowledges"},
	{RD_KAFKA_RESP_ERR__TRANSPORT, VERDICT_OUTAGE, "the connection broke"},
	{RD_KAFKA_RESP_ERR__RESOLVE, VERDICT_OUTAGE, "the broker's name does not resolve now"},
	{RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, VERDICT_OUTAGE, "no broker is reachable"},
	{RD_KAFKA_RESP_ERR__UNKNOWN_BROKER, VERDICT_OUTAGE, "the broker left the cluster"},
	{RD_KAFKA_RESP_ERR__NODE_UPDATE, VERDICT_OUTAGE, "the broker's address changed"},
	{RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, VERDICT_OUTAGE, "not acknowledged in time"},
	{RD_KAFKA_RESP_ERR__TIMED_OUT, VERDICT_OUTAGE, "not answered in time"},
	{RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, VERDICT_OUTAGE, "not sent in time"},
	{RD_KAFKA_RESP_ERR__WAIT_CACHE, VERDICT_OUTAGE, "waits for metadata"},
	{RD_KAFKA_RESP_ERR__IN_PROGRESS, VERDICT_OUTAGE, "waits for an operation that runs"},
	{RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS, VERDICT_OUTAGE, "waits for an operation that runs"},
	{RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, VERDICT_OUTAGE, "this host is short of memory, threads or descriptors"},
	{RD_KAFKA_RESP_ERR__FAIL, VERDICT_OUTAGE, "failed for no reason given"},
	{RD_KAFKA_RESP_ERR__BAD_MSG, VERDICT_OUTAGE, "the broker's answer could not be read"},
	{RD_KAFKA_RESP_ERR__UNDERFLOW, VERDICT_OUTAGE, "the broker's answer was cut short"},

	/* Rights and features of the whole connection: an operator or a broker upgrade heals them. Met when the producer
	 * asks for its id, CLUSTER_AUTHORIZATION_FAILED and _UNSUPPORTED_FEATURE end it: made anew with growing pauses. */
	{RD_KAFKA_RESP_ERR__SSL, VERDICT_OUTAGE, "TLS failed"},
	{RD_KAFKA_RESP_ERR__AUTHENTICATION, VERDICT_OUTAGE, "the broker did not accept the credentials"},
	{RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, VERDICT_OUTAGE, "the broker did not accept the credentials"},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, VERDICT_OUTAGE, "the broker lacks the SASL mechanism"},
	{RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE, VERDICT_OUTAGE, "the broker did not accept the credentials"},
	{RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, VERDICT_OUTAGE, "the right to write idempotently is missing"},
	{RD_KAFKA_RESP_ERR_PRINCIPAL_DESERIALIZATION_FAILURE, VERDICT_OUTAGE, "the brokers disagree on who asks"},
	{RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, VERDICT_OUTAGE, "the broker is too old"},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, VERDICT_OUTAGE, "the broker does not speak this version"},
	{RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, VERDICT_OUTAGE, "the broker refuses acks=all"},

	/* The cluster itself. Tried again in silence, but for NETWORK_EXCEPTION and the controller's. */
	{RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, VERDICT_OUTAGE, "the broker is not available"},
	{RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, VERDICT_OUTAGE, "the broker lost a connection"},
	{RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, VERDICT_OUTAGE, "the broker is starting"},
	{RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, VERDICT_OUTAGE, "the coordinator is not available"},
	{RD_KAFKA_RESP_ERR_NOT_COORDINATOR, VERDICT_OUTAGE, "the coordinator moved"},
	{RD_KAFKA_RESP_ERR__WAIT_COORD, VERDICT_OUTAGE, "waits for a coordinator"},
	{RD_KAFKA_RESP_ERR_NOT_CONTROLLER, VERDICT_OUTAGE, "the controller moved"},
	{RD_KAFKA_RESP_ERR_STALE_CTRL_EPOCH, VERDICT_OUTAGE, "the controller moved"},
	{REBOOTSTRAP_REQUIRED, VERDICT_OUTAGE, "the cluster asks its clients to connect anew"},

	/* One partition does not take messages. Tried again in silence for as long as it lasts, so these show as messages
	 * that stay in flight; a partition without a leader is the same. */
	{RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, VERDICT_TOPIC, "the partition has no leader"},
	{RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, VERDICT_TOPIC, "the partition's leader moved"},
	{RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, VERDICT_TOPIC, "a replica is not available"},
	{RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, VERDICT_TOPIC, "too few replicas are in sync"},
	{RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, VERDICT_TOPIC, "too few replicas are in sync"},
	{RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, VERDICT_TOPIC, "the replicas did not answer in time"},
	{RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, VERDICT_TOPIC, "the broker's disk failed or is full"},
	/* In an answer to messages it is tried again too; metadata that say it end the messages, once they are not fresh
	 * (topic.metadata.propagation.max.ms). A broker that just started may not know a topic that it will know soon. */
	{RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, VERDICT_TOPIC, "the topic does not exist"},

	/* One topic or partition, reported at once. */
	{RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, VERDICT_TOPIC, "the topic does not exist"},
	{RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, VERDICT_TOPIC, "the partition does not exist"},
	{UNKNOWN_TOPIC_ID, VERDICT_TOPIC, "the topic was created anew"},
	{INCONSISTENT_TOPIC_ID, VERDICT_TOPIC, "the topic was created anew"},
	{RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, VERDICT_TOPIC, "the right to write to the topic is missing"},
	{RD_KAFKA_RESP_ERR_SECURITY_DISABLED, VERDICT_TOPIC, "the broker has no authorizer"},
	{RD_KAFKA_RESP_ERR_POLICY_VIOLATION, VERDICT_TOPIC, "a policy of the cluster forbids it"},
	{RD_KAFKA_RESP_ERR__ISR_INSUFF, VERDICT_TOPIC, "too few replicas are in sync"},
	{RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, VERDICT_TOPIC, "the partition's leader moved"},
	{RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, VERDICT_TOPIC, "the partition's leader moved"},
	{RD_KAFKA_RESP_ERR_LISTENER_NOT_FOUND, VERDICT_TOPIC, "the partition's leader lacks the listener"},
	{RD_KAFKA_RESP_ERR_REASSIGNMENT_IN_PROGRESS, VERDICT_TOPIC, "the partition moves to other brokers"},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, VERDICT_TOPIC, "the topic does not take the compression"},
	{RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, VERDICT_TOPIC, "the topic's message format is too old"},
	/* What the broker found when it wanted to make the topic on sight. */
	{RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, VERDICT_TOPIC, "the topic is being created"},
	{RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, VERDICT_TOPIC, "the topic cannot be created with its partitions"},
	{RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, VERDICT_TOPIC, "too few brokers to create the topic"},
	{RD_KAFKA_RESP_ERR_INVALID_REPLICA_ASSIGNMENT, VERDICT_TOPIC, "the topic cannot be created with its replicas"},
	{RD_KAFKA_RESP_ERR_INVALID_CONFIG, VERDICT_TOPIC, "the topic's configuration does not allow it"},
	{RD_KAFKA_RESP_ERR_INVALID_REQUEST, VERDICT_TOPIC, "the topic's configuration does not allow it"},
	{RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, VERDICT_TOPIC, "too many topics were created of late"},
	/* Legal names reach us only, so this is a clash with another topic, or an internal one. */
	{RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, VERDICT_TOPIC, "the broker does not accept the topic's name"},
	/* It is one partition that said so, and perhaps one record that the broker stumbles over. */
	{RD_KAFKA_RESP_ERR_UNKNOWN, VERDICT_TOPIC, "the broker failed for no reason given"},
	/* The broker found the batch damaged: the network did that, not the event. */
	{RD_KAFKA_RESP_ERR_INVALID_MSG, VERDICT_TOPIC, "the batch arrived damaged"},
	/* message.timestamp.difference.max.ms: after a long outage every event may be too old. */
	{RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, VERDICT_TOPIC, "the topic does not take events of that age"},
	{INVALID_DIFFERENT_RECORD, VERDICT_TOPIC, "another record of the batch was refused"},

	/* Something in the batch, reported at once. */
	{RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, VERDICT_TOO_LARGE, "larger than a limit"},
	{RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, VERDICT_TOO_LARGE, "larger than a log segment"},
	{RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, VERDICT_TOO_LARGE, "larger than a limit"},
	{RD_KAFKA_RESP_ERR_INVALID_RECORD, VERDICT_BAD_RECORD, "the topic does not take such a record"},

	/* The idempotent producer lost its place. librdkafka settles by itself what it safely can: a later request that
	 * failed only because an earlier one did, a duplicate, an id forgotten while nothing was open. */
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
};

/* What a producer without transactions that asks for no more than metadata, an id and topics' configurations never
 * meets. Should one of these come all the same, it is handled as one that nobody knows. */
static const int elsewhere[] = {
	/* librdkafka's: consumers, groups, files, wrong calls of its functions. */
	RD_KAFKA_RESP_ERR__BAD_COMPRESSION, RD_KAFKA_RESP_ERR__PARTITION_EOF, RD_KAFKA_RESP_ERR__FS,
	RD_KAFKA_RESP_ERR__INVALID_ARG, RD_KAFKA_RESP_ERR__UNKNOWN_GROUP, RD_KAFKA_RESP_ERR__EXISTING_SUBSCRIPTION,
	RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS, RD_KAFKA_RESP_ERR__CONFLICT,
	RD_KAFKA_RESP_ERR__UNKNOWN_PROTOCOL, RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED, RD_KAFKA_RESP_ERR__NO_OFFSET,
	RD_KAFKA_RESP_ERR__OUTDATED, RD_KAFKA_RESP_ERR__KEY_SERIALIZATION, RD_KAFKA_RESP_ERR__VALUE_SERIALIZATION,
	RD_KAFKA_RESP_ERR__KEY_DESERIALIZATION, RD_KAFKA_RESP_ERR__VALUE_DESERIALIZATION, RD_KAFKA_RESP_ERR__PARTIAL,
	RD_KAFKA_RESP_ERR__READ_ONLY, RD_KAFKA_RESP_ERR__NOENT, RD_KAFKA_RESP_ERR__INVALID_TYPE,
	RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED, RD_KAFKA_RESP_ERR__NOT_CONFIGURED, RD_KAFKA_RESP_ERR__APPLICATION,
	RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST, RD_KAFKA_RESP_ERR__NOOP, RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET,
	LOG_TRUNCATION,

	/* Consumers and their groups. */
	RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE,
	RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL,
	RD_KAFKA_RESP_ERR_INVALID_GROUP_ID, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
	RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
	RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
	RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP, RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND,
	RD_KAFKA_RESP_ERR_FETCH_SESSION_ID_NOT_FOUND, RD_KAFKA_RESP_ERR_INVALID_FETCH_SESSION_EPOCH,
	RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_MEMBER_ID_REQUIRED,
	RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
	RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC, RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
	FETCH_SESSION_TOPIC_ID_ERROR, OFFSET_MOVED_TO_TIERED_STORAGE, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID,
	UNSUPPORTED_ASSIGNOR, STALE_MEMBER_EPOCH, INVALID_RECORD_STATE, SHARE_SESSION_NOT_FOUND,
	INVALID_SHARE_SESSION_EPOCH, FENCED_STATE_EPOCH, INVALID_REGULAR_EXPRESSION, STREAMS_INVALID_TOPOLOGY,
	STREAMS_INVALID_TOPOLOGY_EPOCH, STREAMS_TOPOLOGY_FENCED, SHARE_SESSION_LIMIT_REACHED,

	/* Transactions. */
	RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
	RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED,
	RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_OPERATION_NOT_ATTEMPTED,
	TRANSACTIONAL_ID_NOT_FOUND, TRANSACTION_ABORTABLE,

	/* Administration. */
	RD_KAFKA_RESP_ERR_LOG_DIR_NOT_FOUND, RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTH_DISABLED,
	RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_NOT_FOUND, RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_OWNER_MISMATCH,
	RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED,
	RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_EXPIRED,
	RD_KAFKA_RESP_ERR_INVALID_PRINCIPAL_TYPE, RD_KAFKA_RESP_ERR_TOPIC_DELETION_DISABLED,
	RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE,
	RD_KAFKA_RESP_ERR_ELECTION_NOT_NEEDED, RD_KAFKA_RESP_ERR_NO_REASSIGNMENT_IN_PROGRESS,
	RD_KAFKA_RESP_ERR_RESOURCE_NOT_FOUND, RD_KAFKA_RESP_ERR_DUPLICATE_RESOURCE,
	RD_KAFKA_RESP_ERR_UNACCEPTABLE_CREDENTIAL, RD_KAFKA_RESP_ERR_INVALID_UPDATE_VERSION,
	RD_KAFKA_RESP_ERR_FEATURE_UPDATE_FAILED, MISMATCHED_ENDPOINT_TYPE, UNSUPPORTED_ENDPOINT_TYPE,
	UNKNOWN_SUBSCRIPTION_ID, TELEMETRY_TOO_LARGE,

	/* Among brokers and controllers. */
	RD_KAFKA_RESP_ERR_STALE_BROKER_EPOCH, RD_KAFKA_RESP_ERR_INCONSISTENT_VOTER_SET, SNAPSHOT_NOT_FOUND,
	POSITION_OUT_OF_RANGE, DUPLICATE_BROKER_REGISTRATION, BROKER_ID_NOT_REGISTERED, INCONSISTENT_CLUSTER_ID,
	INELIGIBLE_REPLICA, NEW_LEADER_ELECTED, UNKNOWN_CONTROLLER_ID, INVALID_REGISTRATION, INVALID_VOTER_KEY,
	DUPLICATE_VOTER, VOTER_NOT_FOUND,
};

static const struct classified not_ours = {0, VERDICT_TOPIC, "an error that a producer should not meet"};
static const struct classified unknown = {0, VERDICT_TOPIC, "an error that this version does not know"};

const struct classified *
classify(rd_kafka_resp_err_t code)
{
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].code == (int)code)
			return &table[i];
	for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
		if (elsewhere[i] == (int)code)
			return &not_ours;
	return &unknown;
}
