/* test_properties.c - what a user may set, what not and why, and what a producer gets. */
#include "sink/properties.c"

#include "support/tap.h"

static const struct producer_options plain = {.brokers = "b:1", .client_id = "id", .queue_messages = 1000};

static struct error err;

static void
expect_refused(const char *name, const char *value, const char *why)
{
	TAP_INT(producer_check_property(name, value, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, name);
	TAP_HAS(err.message, why);
	CU_ASSERT(err.hint[0] != '\0');
}

static void
expect_taken(const char *name, const char *value)
{
	if (producer_check_property(name, value, &err) != 0)
		TAP_STR(err.message, "taken");
}

static void
test_promises(void)
{
	expect_refused("acks", "1", "replica");
	expect_refused("acks", "0", "replica");
	expect_refused("request.required.acks", "1", "replica");
	expect_refused("enable.idempotence", "false", "reorder");
	expect_refused("message.timeout.ms", "300000", "overtaken");
	expect_refused("delivery.timeout.ms", "1", "overtaken");
	expect_refused("retries", "10", "overtaken");
	expect_refused("message.send.max.retries", "0", "overtaken");
	expect_refused("max.in.flight", "6", "five");
	expect_refused("max.in.flight.requests.per.connection", "1000000", "five");
	expect_refused("queuing.strategy", "lifo", "overtake");
	expect_refused("partitioner", "random", "order");
	expect_refused("partitioner", "consistent_random", "empty key");
	expect_refused("enable.gapless.guarantee", "true", "every topic");
	expect_refused("transactional.id", "x", "transaction");
	expect_refused("delivery.report.only.error", "true", "known as sent");
	expect_refused("enabled_events", "0", "reports");
	expect_refused("api.version.request", "false", "idempotence");
	expect_refused("queue.buffering.backpressure.threshold", "10", "idempotence");
	expect_refused("queue.buffering.max.messages", "10", "lanes");
	expect_refused("queue.buffering.max.kbytes", "10", "lanes");
	expect_refused("log.queue", "false", "log");
	expect_refused("plugin.library.paths", "x.so", "plugin");
	expect_refused("internal.termination.signal", "29", "signal");
	expect_refused("enable.sasl.oauthbearer.unsecure.jwt", "true", "unsigned tokens");
}

static void
test_brokers_have_their_option(void)
{
	expect_refused("bootstrap.servers", "b:1", "option of their own");
	TAP_HAS(err.hint, "kafka.brokers");
	expect_refused("metadata.broker.list", "b:1", "option of their own");
}

/* Values are compared as librdkafka reads them. */
static void
test_what_agrees_is_taken(void)
{
	expect_taken("acks", "all");
	expect_taken("acks", "-1");
	expect_taken("enable.idempotence", "true");
	expect_taken("enable.idempotence", "1");
	expect_taken("message.timeout.ms", "0");
	expect_taken("retries", "2147483647");
	expect_taken("max.in.flight", "5");
	expect_taken("max.in.flight", "1");
	expect_taken("partitioner", "consistent");
	expect_taken("partitioner", "murmur2");
	expect_taken("partitioner", "fnv1a_random");
	expect_taken("log.queue", "true");
}

static void
test_the_rest_is_free(void)
{
	expect_taken("linger.ms", "5.5");
	expect_taken("compression.type", "lz4");
	expect_taken("batch.size", "500000");
	expect_taken("message.max.bytes", "2000000");
	expect_taken("security.protocol", "sasl_ssl");
	expect_taken("sasl.mechanisms", "SCRAM-SHA-512");
	expect_taken("sasl.password", "hunter2");
	expect_taken("statistics.interval.ms", "1000");
	expect_taken("test.mock.num.brokers", "3");
	expect_taken("request.timeout.ms", "5000");
}

static void
test_unknown_and_malformed(void)
{
	expect_refused("lingerms", "5", "not known");
	TAP_HAS(err.hint, "CONFIGURATION.md");
	TAP_INT(producer_check_property("linger.ms", "soon", &err), -1);
	TAP_HAS(err.message, "linger.ms");
	TAP_INT(producer_check_property("compression.type", "rar", &err), -1);
	TAP_HAS(err.message, "rar");
	TAP_INT(producer_check_property("dr_cb", "x", &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
}

static void
expect_reason(const char *name, const char *given, const char *said)
{
	char reason[64];

	snprintf(reason, sizeof reason, "%s", given);
	TAP_INT(refuse_value(name, reason, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, name);
	TAP_HAS(err.message, said);
}

/* A long value may be cut in librdkafka's reason, so that it could not be found there: nothing of it is said. */
static void
test_secrets_stay_unsaid(void)
{
	static const char *const secrets[] = {"sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password",
		"sasl.oauthbearer.client.secret", "sasl.oauthbearer.config", "sasl.kerberos.kinit.cmd"};

	for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
		expect_reason(secrets[i], "Invalid value \"hunter\"", "librdkafka refuses");
		CU_ASSERT_PTR_NULL(strstr(err.message, "hunter"));
	}
	expect_reason("linger.ms", "Invalid value \"hunter2\"", "invalid value \"hunter2\"");
}

static void
expect_conf(const rd_kafka_conf_t *conf, const char *name, const char *expected)
{
	char text[256] = "";
	size_t size = sizeof text;

	TAP_INT(rd_kafka_conf_get(conf, name, text, &size), RD_KAFKA_CONF_OK);
	TAP_STR(text, expected);
}

static void
test_what_a_producer_gets(void)
{
	rd_kafka_conf_t *conf = NULL;

	TAP_INT_FATAL(properties_build(&plain, &conf, &err), 0);
	expect_conf(conf, "bootstrap.servers", "b:1");
	expect_conf(conf, "client.id", "id");
	expect_conf(conf, "enable.idempotence", "true");
	expect_conf(conf, "acks", "-1");
	expect_conf(conf, "message.timeout.ms", "0");
	expect_conf(conf, "partitioner", "murmur2_random");
	expect_conf(conf, "socket.nagle.disable", "true");
	expect_conf(conf, "log.queue", "true");
	expect_conf(conf, "queue.buffering.max.messages", "1000");
	/* Nothing above broke its own rules. */
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		if (rules[i].kind == RULE_ONLY || rules[i].kind == RULE_NOT)
			CU_ASSERT(rule_allows(&rules[i], conf));
	rd_kafka_conf_destroy(conf);
}

static void
test_the_users_come_last(void)
{
	static const struct producer_property own[] = {{"message.max.bytes", "5000"}, {"linger.ms", "7"}};
	struct producer_options opt = plain;
	rd_kafka_conf_t *conf = NULL;

	opt.properties = own;
	opt.properties_count = 2;
	TAP_INT_FATAL(properties_build(&opt, &conf, &err), 0);
	TAP_INT(properties_number(conf, "message.max.bytes"), 5000);
	TAP_INT(properties_number(conf, "linger.ms"), 7);
	TAP_INT(properties_number(conf, "no.such"), 0);
	rd_kafka_conf_destroy(conf);
}

static void
test_build_refuses(void)
{
	static const struct producer_property own[] = {{"linger.ms", "7"}, {"acks", "1"}};
	struct producer_options opt = plain;
	rd_kafka_conf_t *conf = NULL;

	opt.properties = own;
	opt.properties_count = 2;
	TAP_INT(properties_build(&opt, &conf, &err), -1);
	TAP_HAS(err.message, "acks");
	CU_ASSERT_PTR_NULL(conf);
}

static void
test_no_brokers(void)
{
	static const struct producer_property mock = {"test.mock.num.brokers", "1"};
	struct producer_options opt = {.brokers = ""};
	rd_kafka_conf_t *conf = NULL;

	TAP_INT(properties_build(&opt, &conf, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.hint, "kafka.brokers");
	opt.brokers = NULL;
	TAP_INT(properties_build(&opt, &conf, &err), -1);
	opt.properties = &mock;
	opt.properties_count = 1;
	TAP_INT_FATAL(properties_build(&opt, &conf, &err), 0);
	rd_kafka_conf_destroy(conf);
}

static void
test_batches_only_shrink(void)
{
	struct producer_options opt = plain;
	rd_kafka_conf_t *conf = NULL;

	opt.batch_bytes = 1234;
	TAP_INT_FATAL(properties_build(&opt, &conf, &err), 0);
	TAP_INT(properties_number(conf, "batch.size"), 1234);
	rd_kafka_conf_destroy(conf);
	opt.batch_bytes = 1 << 30;
	TAP_INT_FATAL(properties_build(&opt, &conf, &err), 0);
	TAP_INT(properties_number(conf, "batch.size"), 1000000);
	rd_kafka_conf_destroy(conf);
}

static void
test_huge_queue(void)
{
	struct producer_options opt = plain;
	rd_kafka_conf_t *conf = NULL;

	opt.queue_messages = SIZE_MAX;
	opt.queue_bytes = SIZE_MAX - 1;
	TAP_INT_FATAL(properties_build(&opt, &conf, &err), 0);
	TAP_INT(properties_number(conf, "queue.buffering.max.messages"), 2147483647);
	TAP_INT(properties_number(conf, "queue.buffering.max.kbytes"), 2147483647);
	rd_kafka_conf_destroy(conf);
}

/* Nobody here could refresh a token: without OIDC the producer would wait for one for ever. */
static void
test_tokens_need_a_source(void)
{
	static const struct producer_property own[] = {
		{"security.protocol", "SASL_SSL"}, {"sasl.mechanism", "OAUTHBEARER"}};
	struct producer_options opt = plain;
	rd_kafka_conf_t *conf;

	opt.properties = own;
	opt.properties_count = 2;
	TAP_INT(properties_build(&opt, &conf, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
	TAP_HAS(err.message, "OAUTHBEARER");
	TAP_HAS(err.hint, "oidc");
}

static void
expect_setting(const rd_kafka_conf_t *conf, const char *name, const char *expected)
{
	char value[64] = "";
	size_t size = sizeof(value);

	TAP_INT(rd_kafka_conf_get(conf, name, value, &size), RD_KAFKA_CONF_OK);
	TAP_STR(value, expected);
}

/* What is for producers does no harm, and what the user set for consumers does not reach this one. */
static void
test_consumers(void)
{
	static const struct producer_property properties[] = {
		{"linger.ms", "7"},         {"compression.type", "lz4"},      {"isolation.level", "read_uncommitted"},
		{"auto.offset.reset", "latest"}, {"enable.partition.eof", "false"}, {"message.max.bytes", "200000000"},
		{"group.id", "mine"},       {"security.protocol", "sasl_plaintext"}};
	struct producer_options opt = plain;
	rd_kafka_conf_t *conf;
	char reason[256];
	rd_kafka_t *rk;

	opt.properties = properties;
	opt.properties_count = sizeof(properties) / sizeof(properties[0]);
	CU_ASSERT_EQUAL_FATAL(properties_build_consumer(&opt, "read_committed", &conf, &err), 0);
	expect_setting(conf, "bootstrap.servers", "b:1");
	expect_setting(conf, "isolation.level", "read_committed");
	expect_setting(conf, "enable.partition.eof", "true");
	expect_setting(conf, "enable.auto.commit", "false");
	expect_setting(conf, "auto.offset.reset", "smallest");
	expect_setting(conf, "security.protocol", "sasl_plaintext");
	expect_setting(conf, "log.queue", "true");
	(void)rd_kafka_conf_set(conf, "security.protocol", "plaintext", reason, sizeof(reason));
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
	CU_ASSERT_PTR_NOT_NULL_FATAL(rk);
	rd_kafka_destroy(rk);
	opt.brokers = "";
	TAP_INT(properties_build_consumer(&opt, "read_committed", &conf, &err), -1);
	TAP_INT(err.kind, ERR_CONFIG);
}

int
main(void)
{
	tap_suite("properties");
	tap_test("what breaks a promise is refused with the reason", test_promises);
	tap_test("the brokers have an option of their own", test_brokers_have_their_option);
	tap_test("what agrees with a promise is taken", test_what_agrees_is_taken);
	tap_test("the rest is free", test_the_rest_is_free);
	tap_test("unknown names and malformed values", test_unknown_and_malformed);
	tap_test("secrets stay unsaid", test_secrets_stay_unsaid);
	tap_test("what a producer gets", test_what_a_producer_gets);
	tap_test("the user's come last", test_the_users_come_last);
	tap_test("building refuses what checking refuses", test_build_refuses);
	tap_test("no brokers are no configuration", test_no_brokers);
	tap_test("batch_bytes only makes batches smaller", test_batches_only_shrink);
	tap_test("a queue beyond librdkafka's numbers", test_huge_queue);
	tap_test("tokens come from somewhere", test_tokens_need_a_source);
	tap_test("what a consumer gets", test_consumers);
	return tap_run();
}
