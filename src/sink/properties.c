/* properties.c - the producer's options and the user's librdkafka properties come in, a rd_kafka_conf_t goes out.
 *
 * It must not know what is sent. What it keeps: acks=all, idempotence, no message timeout, no retry limit and order by
 * key hash, whatever the user sets.
 */
#include "sink/properties.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/secret.h"
#include "sink/flusher.h"

enum rule_kind {
	RULE_OURS,   /* not the user's to set */
	RULE_ONLY,   /* only this value */
	RULE_NOT,    /* any value but this */
	RULE_AT_MOST /* a number up to this */
};

/* Values as rd_kafka_conf_get() gives them. */
struct rule {
	const char *name;
	enum rule_kind kind;
	const char *value;
	const char *reason;
	const char *hint;
};

static const char ACKS[] = "an event would count as sent before every replica in sync has it";
static const char TIMEOUT[] = "an event that timed out would be overtaken by later ones of its key";
static const char RETRIES[] = "an event that was given up would be overtaken by later ones of its key";
static const char IN_FLIGHT[] = "the broker checks the order of no more than five requests of a producer";
static const char SIZED[] = "the local queue is sized from the lanes and their batches";
static const char LEAVE[] = "leave it out";

static const struct rule rules[] = {
	{"acks", RULE_ONLY, "-1", ACKS, LEAVE},
	{"request.required.acks", RULE_ONLY, "-1", ACKS, LEAVE},
	{"enable.idempotence", RULE_ONLY, "true", "retries would repeat and reorder events", LEAVE},
	{"message.timeout.ms", RULE_ONLY, "0", TIMEOUT, LEAVE},
	{"delivery.timeout.ms", RULE_ONLY, "0", TIMEOUT, LEAVE},
	{"retries", RULE_ONLY, "2147483647", RETRIES, LEAVE},
	{"message.send.max.retries", RULE_ONLY, "2147483647", RETRIES, LEAVE},
	{"max.in.flight", RULE_AT_MOST, "5", IN_FLIGHT, "set 1 to 5"},
	{"max.in.flight.requests.per.connection", RULE_AT_MOST, "5", IN_FLIGHT, "set 1 to 5"},
	{"queuing.strategy", RULE_ONLY, "fifo", "later events would overtake earlier ones of their key", LEAVE},
	{"partitioner", RULE_NOT, "random", "events of one key would lose their order",
	 "use murmur2_random (as Java does), murmur2, consistent, fnv1a or fnv1a_random"},
	{"partitioner", RULE_NOT, "consistent_random", "events with an empty key would lose their order",
	 "use \"consistent\", which places all other keys alike"},
	{"enable.gapless.guarantee", RULE_ONLY, "false", "one refused event would stop every topic", LEAVE},
	{"transactional.id", RULE_OURS, NULL, "the relay begins no Kafka transactions", LEAVE},
	{"delivery.report.only.error", RULE_ONLY, "false", "no event would ever be known as sent", LEAVE},
	{"enabled_events", RULE_OURS, NULL, "the relay would miss delivery reports", LEAVE},
	{"api.version.request", RULE_ONLY, "true", "idempotence rests on it", LEAVE},
	{"queue.buffering.backpressure.threshold", RULE_ONLY, "1", "idempotence rests on it", LEAVE},
	{"queue.buffering.max.messages", RULE_OURS, NULL, SIZED, LEAVE},
	{"queue.buffering.max.kbytes", RULE_OURS, NULL, SIZED, LEAVE},
	{"bootstrap.servers", RULE_OURS, NULL, "the brokers have an option of their own", "set kafka.brokers"},
	{"metadata.broker.list", RULE_OURS, NULL, "the brokers have an option of their own", "set kafka.brokers"},
	{"log.queue", RULE_ONLY, "true", "librdkafka would write to the log past the relay", LEAVE},
	{"plugin.library.paths", RULE_OURS, NULL, "a plugin could change or drop events", LEAVE},
	{"enable.sasl.oauthbearer.unsecure.jwt", RULE_ONLY, "false",
	 "no broker should trust unsigned tokens, and librdkafka 2.0.2 crashes when it renews one", LEAVE},
	{"internal.termination.signal", RULE_ONLY, "0", "the signal would reach the relay", LEAVE},
};

#define TEXT_OF(value) #value
#define TEXT(macro) TEXT_OF(macro)

/* What the user may override, or what a rule above protects. */
static const struct producer_property ours[] = {
	{"enable.idempotence", "true"},
	{"acks", "all"},
	{"message.timeout.ms", "0"},
	{"partitioner", "murmur2_random"},
	{"queue.buffering.max.ms", TEXT(FLUSHER_LINGER_MS)},
	{"socket.nagle.disable", "true"},
	{"socket.keepalive.enable", "true"},
	{"log.queue", "true"},
	/* The topic's limit decides what is too large. But a request above the broker's socket.request.max.bytes (100 MiB
	 * unless changed) is not refused but cut off, and would be retried forever: so stay below it. */
	{"message.max.bytes", "100000000"},
	/* After a broker's return, the first delivery should come within a second or two. */
	{"reconnect.backoff.ms", "50"},
	{"reconnect.backoff.max.ms", "1000"},
	{"socket.connection.setup.timeout.ms", "10000"},
	/* The broker gives up waiting for its replicas before we give up waiting for the broker. */
	{"socket.timeout.ms", "30000"},
	{"request.timeout.ms", "20000"},
	{"topic.metadata.refresh.fast.interval.ms", "20"},
	/* For the metrics; in a cluster of a hundred partitions one costs less than a millisecond. */
	{"statistics.interval.ms", "5000"},
	/* How long an unknown topic may still turn up before its events are reported: they are retried anyway. */
	{"topic.metadata.propagation.max.ms", "2000"},
};

/* Of a consumer, whatever the user has set for other consumers. What it fetches ahead is a part of the tool's memory. */
static const struct producer_property consumers[] = {
	{"enable.partition.eof", "true"},
	{"enable.auto.commit", "false"},
	{"enable.auto.offset.store", "false"},
	{"auto.offset.reset", "earliest"},
	{"allow.auto.create.topics", "false"},
	{"check.crcs", "true"},
	{"queued.max.messages.kbytes", "8192"},
	{"message.max.bytes", "1000000"}, /* of what is sent, which bounds what is fetched from below */
	{"fetch.message.max.bytes", "1048576"},
	{"fetch.max.bytes", "8388608"},
	{"receive.message.max.bytes", "200000000"},
	{"statistics.interval.ms", "0"},
};

long long
properties_number(const rd_kafka_conf_t *conf, const char *name)
{
	char text[64];
	size_t size = sizeof text;

	if (rd_kafka_conf_get(conf, name, text, &size) != RD_KAFKA_CONF_OK)
		return 0;
	return strtoll(text, NULL, 10);
}

static bool
rule_allows(const struct rule *rule, const rd_kafka_conf_t *conf)
{
	char text[64];
	size_t size = sizeof text;

	if (rule->kind == RULE_AT_MOST)
		return properties_number(conf, rule->name) <= strtoll(rule->value, NULL, 10);
	if (rd_kafka_conf_get(conf, rule->name, text, &size) != RD_KAFKA_CONF_OK)
		return false;
	return (strcmp(text, rule->value) == 0) == (rule->kind == RULE_ONLY);
}

/* librdkafka may quote the value in its reason, or a part of it. */
static int
refuse_value(const char *name, char *reason, struct error *err)
{
	if (secret_name(slice_from(name)))
		return error_set(err, ERR_CONFIG, "kafka property \"%s\" has a value that librdkafka refuses", name);
	reason[0] = (char)tolower((unsigned char)reason[0]);
	return error_set(err, ERR_CONFIG, "kafka property \"%s\" is refused: %s", name, reason);
}

static int
set_raw(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *err)
{
	char reason[512];

	switch (rd_kafka_conf_set(conf, name, value, reason, sizeof reason)) {
	case RD_KAFKA_CONF_OK:
		return 0;
	case RD_KAFKA_CONF_UNKNOWN:
		error_set(err, ERR_CONFIG, "kafka property \"%s\" is not known to librdkafka %s", name,
		          rd_kafka_version_str());
		return error_hint(err, "see CONFIGURATION.md of that librdkafka for the names");
	case RD_KAFKA_CONF_INVALID:
		break;
	}
	return refuse_value(name, reason, err);
}

static int
refuse(const struct rule *rule, const char *value, struct error *err)
{
	if (rule->kind == RULE_OURS)
		error_set(err, ERR_CONFIG, "kafka property \"%s\" may not be set: %s", rule->name, rule->reason);
	else
		error_set(err, ERR_CONFIG, "kafka property \"%s\" may not be \"%s\": %s", rule->name, value, rule->reason);
	return error_hint(err, "%s", rule->hint);
}

/* What is ours is refused before librdkafka sees it: a plugin would be loaded by being set. */
int
properties_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *err)
{
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		if (rules[i].kind == RULE_OURS && strcmp(rules[i].name, name) == 0)
			return refuse(&rules[i], value, err);
	if (set_raw(conf, name, value, err) != 0)
		return -1;
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		if (strcmp(rules[i].name, name) == 0 && !rule_allows(&rules[i], conf))
			return refuse(&rules[i], value, err);
	return 0;
}

int
producer_check_property(const char *name, const char *value, struct error *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	int status = properties_set(conf, name, value, err);

	rd_kafka_conf_destroy(conf);
	return status;
}

static int
set_number(rd_kafka_conf_t *conf, const char *name, unsigned long long value, struct error *err)
{
	char text[32];

	snprintf(text, sizeof text, "%llu", value > INT_MAX ? INT_MAX : value);
	return set_raw(conf, name, text, err);
}

/* librdkafka counts the values only; a queue that is never the bottleneck needs no precision. */
static int
set_queue(rd_kafka_conf_t *conf, const struct producer_options *opt, struct error *err)
{
	if (set_number(conf, "queue.buffering.max.messages", opt->queue_messages, err) != 0)
		return -1;
	return set_number(conf, "queue.buffering.max.kbytes", opt->queue_bytes / 1024 + 1024, err);
}

/* Tokens that the relay would have to fetch by itself: librdkafka would wait for them for ever, and say nothing. */
static int
check_tokens(const rd_kafka_conf_t *conf, struct error *err)
{
	char mechanism[64], method[64];
	size_t mechanism_size = sizeof mechanism, method_size = sizeof method;

	if (rd_kafka_conf_get(conf, "sasl.mechanisms", mechanism, &mechanism_size) != RD_KAFKA_CONF_OK ||
	    strcmp(mechanism, "OAUTHBEARER") != 0)
		return 0;
	if (rd_kafka_conf_get(conf, "sasl.oauthbearer.method", method, &method_size) == RD_KAFKA_CONF_OK &&
	    strcmp(method, "oidc") == 0)
		return 0;
	error_set(err, ERR_CONFIG, "sasl.mechanism OAUTHBEARER has nowhere to get tokens from");
	return error_hint(err, "set sasl.oauthbearer.method to oidc, with sasl.oauthbearer.token.endpoint.url and a "
	                       "client's id and secret");
}

/* librdkafka would wait for ever, and say nothing. */
static int
check_brokers(const rd_kafka_conf_t *conf, const struct producer_options *opt, struct error *err)
{
	if (opt->brokers != NULL && opt->brokers[0] != '\0')
		return 0;
	if (properties_number(conf, "test.mock.num.brokers") > 0)
		return 0;
	error_set(err, ERR_CONFIG, "no kafka brokers are named");
	return error_hint(err, "set kafka.brokers to \"host:port,...\"");
}

static int
set_all(rd_kafka_conf_t *conf, const struct producer_options *opt, struct error *err)
{
	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		if (set_raw(conf, ours[i].name, ours[i].value, err) != 0)
			return -1;
	if (opt->brokers != NULL && set_raw(conf, "bootstrap.servers", opt->brokers, err) != 0)
		return -1;
	if (opt->client_id != NULL && set_raw(conf, "client.id", opt->client_id, err) != 0)
		return -1;
	if (set_queue(conf, opt, err) != 0)
		return -1;
	for (size_t i = 0; i < opt->properties_count; i++)
		if (properties_set(conf, opt->properties[i].name, opt->properties[i].value, err) != 0)
			return -1;
	if (check_brokers(conf, opt, err) != 0 || check_tokens(conf, err) != 0)
		return -1;
	if (opt->batch_bytes != 0 && properties_number(conf, "batch.size") > (long long)opt->batch_bytes)
		return set_number(conf, "batch.size", opt->batch_bytes, err);
	return 0;
}

int
properties_build(const struct producer_options *opt, rd_kafka_conf_t **ret_conf, struct error *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	if (set_all(conf, opt, err) != 0) {
		rd_kafka_conf_destroy(conf);
		return -1;
	}
	*ret_conf = conf;
	return 0;
}

static int
set_consumer(rd_kafka_conf_t *conf, const struct producer_options *opt, const char *isolation, struct error *err)
{
	if (set_all(conf, opt, err) != 0 || set_raw(conf, "isolation.level", isolation, err) != 0)
		return -1;
	for (size_t i = 0; i < sizeof consumers / sizeof consumers[0]; i++)
		if (set_raw(conf, consumers[i].name, consumers[i].value, err) != 0)
			return -1;
	return 0;
}

int
properties_build_consumer(const struct producer_options *opt, const char *isolation, rd_kafka_conf_t **ret_conf,
                          struct error *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	if (set_consumer(conf, opt, isolation, err) != 0) {
		rd_kafka_conf_destroy(conf);
		return -1;
	}
	*ret_conf = conf;
	return 0;
}
