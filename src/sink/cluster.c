/* cluster.c - the producer's options and names of topics come in, what the brokers say of them goes out.
 *
 * It must not know events. A producer of its own asks: what it may not do, the relay's may not either.
 */
#include "sink/cluster.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sink/plain.h"
#include "sink/properties.h"
#include "sink/redact.h"

#define TRY_MS 500
#define DOWN_MS 3000 /* brokers that refuse to be connected to for so long are not there */
#define SETTINGS_MS 2000
#define FATAL_MS 1000 /* an idempotent producer asks for its id as soon as a broker is there */

struct look {
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	struct redact redact;
	struct cluster *cluster;
	int64_t deadline_us;
	rd_kafka_event_t *answer; /* to DescribeConfigs */
};

static int
left_ms(const struct look *l, int max_ms)
{
	int64_t left = (l->deadline_us - clock_mono_us()) / 1000;

	return left < 1 ? 1 : left < max_ms ? (int)left : max_ms;
}

static bool
is_late(const struct look *l)
{
	return clock_mono_us() >= l->deadline_us;
}

/* --- what librdkafka says by itself --- */

static void
take_error(struct look *l, rd_kafka_event_t *event)
{
	struct cluster *c = l->cluster;
	rd_kafka_resp_err_t code = rd_kafka_event_error(event);
	char said[sizeof(c->reason)], reason[sizeof(c->reason)];
	bool refused = code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
	               code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
	               code == RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM ||
	               strstr(rd_kafka_event_error_string(event), "SSL handshake failed") != NULL;

	if (rd_kafka_event_error_is_fatal(event)) {
		rd_kafka_fatal_error(l->rk, said, sizeof(said));
		redact_copy(&l->redact, said, c->fatal, sizeof(c->fatal));
		return;
	}
	if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && c->reason[0] != '\0')
		return;
	/* The first refusal says why; that the brokers are down then follows from it. */
	if (c->refused && !refused)
		return;
	redact_copy(&l->redact, rd_kafka_event_error_string(event), reason, sizeof(reason));
	snprintf(c->reason, sizeof(c->reason), "%s", plain_reason(reason));
	c->refused = refused;
}

static void
hear(struct look *l, int wait_ms)
{
	rd_kafka_event_t *event;

	while ((event = rd_kafka_queue_poll(l->queue, wait_ms)) != NULL) {
		wait_ms = 0;
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
			take_error(l, event);
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT && l->answer == NULL)
			l->answer = event;
		else
			rd_kafka_event_destroy(event);
	}
}

/* --- the questions --- */

static void
find_brokers(struct look *l)
{
	const struct rd_kafka_metadata *md;
	int64_t down_us = clock_mono_us() + DOWN_MS * 1000;

	while (!is_late(l) && !l->cluster->refused && (l->cluster->reason[0] == '\0' || clock_mono_us() < down_us)) {
		if (rd_kafka_metadata(l->rk, 0, NULL, &md, left_ms(l, TRY_MS)) == RD_KAFKA_RESP_ERR_NO_ERROR) {
			l->cluster->reached = true;
			l->cluster->brokers = md->broker_cnt;
			rd_kafka_metadata_destroy(md);
			return;
		}
		hear(l, left_ms(l, 50));
	}
	hear(l, 0);
}

static void
take_partitions(struct cluster_topic *t, const struct rd_kafka_metadata_topic *m)
{
	t->state = CLUSTER_TOPIC_FOUND;
	t->partitions = m->partition_cnt;
	for (int i = 0; i < m->partition_cnt; i++) {
		const struct rd_kafka_metadata_partition *p = &m->partitions[i];

		t->leaderless += p->leader < 0;
		if (i == 0 || p->replica_cnt < t->replicas)
			t->replicas = p->replica_cnt;
		if (i == 0 || p->isr_cnt < t->in_sync)
			t->in_sync = p->isr_cnt;
	}
}

static void
take_topic(struct cluster_topic *t, const struct rd_kafka_metadata *md)
{
	rd_kafka_resp_err_t code = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR__FAIL;

	if (code == RD_KAFKA_RESP_ERR_NO_ERROR || (code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE && md->topics[0].partition_cnt > 0))
		take_partitions(t, &md->topics[0]);
	else if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		t->state = CLUSTER_TOPIC_MISSING;
	else if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
		t->state = CLUSTER_TOPIC_DENIED;
	else
		snprintf(t->reason, sizeof(t->reason), "%s", rd_kafka_err2str(code));
}

static void
look_at_topic(struct look *l, struct cluster_topic *t)
{
	rd_kafka_topic_t *handle = rd_kafka_topic_new(l->rk, t->name, NULL);
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t code;

	if (handle == NULL) {
		snprintf(t->reason, sizeof(t->reason), "%s", rd_kafka_err2str(rd_kafka_last_error()));
		return;
	}
	code = is_late(l) ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_metadata(l->rk, 0, handle, &md, left_ms(l, 5000));
	rd_kafka_topic_destroy(handle);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		snprintf(t->reason, sizeof(t->reason), "%s", rd_kafka_err2str(code));
		return;
	}
	take_topic(t, md);
	rd_kafka_metadata_destroy(md);
}

static void
take_settings(struct cluster_topic *t, const rd_kafka_ConfigResource_t *resource)
{
	size_t count;
	const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);

	for (size_t i = 0; i < count; i++) {
		const char *name = rd_kafka_ConfigEntry_name(entries[i]), *value = rd_kafka_ConfigEntry_value(entries[i]);

		if (value != NULL && strcmp(name, "max.message.bytes") == 0)
			t->message_max = strtoll(value, NULL, 10);
		if (value != NULL && strcmp(name, "min.insync.replicas") == 0)
			t->min_in_sync = strtoll(value, NULL, 10);
		if (value != NULL && strcmp(name, "cleanup.policy") == 0)
			t->compacts = strstr(value, "compact") != NULL;
	}
}

/* One topic a question, so that one that may not be described hides no other. */
/* Whether there was an answer. */
static bool
look_at_settings(struct look *l, struct cluster_topic *t)
{
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(l->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, t->name);
	const rd_kafka_ConfigResource_t **found;
	char reason[128];
	size_t count;
	bool answered;

	rd_kafka_AdminOptions_set_request_timeout(options, left_ms(l, SETTINGS_MS), reason, sizeof(reason));
	rd_kafka_DescribeConfigs(l->rk, &resource, 1, options, l->queue);
	rd_kafka_ConfigResource_destroy(resource);
	rd_kafka_AdminOptions_destroy(options);
	while (l->answer == NULL && !is_late(l))
		hear(l, left_ms(l, 100));
	if (l->answer == NULL)
		return false;
	answered = rd_kafka_event_error(l->answer) == RD_KAFKA_RESP_ERR_NO_ERROR;
	if (answered) {
		found = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(l->answer), &count);
		if (count == 1 && rd_kafka_ConfigResource_error(found[0]) == RD_KAFKA_RESP_ERR_NO_ERROR)
			take_settings(t, found[0]);
	}
	rd_kafka_event_destroy(l->answer);
	l->answer = NULL;
	return answered;
}

static void
look(struct look *l, bool produces, struct cluster_topic topics[], size_t count)
{
	int64_t begun_us = clock_mono_us();
	bool answered = true;

	find_brokers(l);
	if (!l->cluster->reached)
		return;
	for (size_t i = 0; i < count; i++)
		look_at_topic(l, &topics[i]);
	for (size_t i = 0; i < count && answered; i++)
		if (topics[i].state == CLUSTER_TOPIC_FOUND)
			answered = look_at_settings(l, &topics[i]);
	while (produces && l->cluster->fatal[0] == '\0' && clock_mono_us() < begun_us + FATAL_MS * 1000)
		hear(l, 50);
}

/* --- the producer that asks --- */

static int
start(struct look *l, const struct producer_options *opt, struct error *err)
{
	rd_kafka_conf_t *conf;
	char said[512], reason[512], codec[32] = "";
	size_t codec_size = sizeof(codec);

	if (redact_init(&l->redact, opt->properties, opt->properties_count, err) != 0 || properties_build(opt, &conf, err) != 0)
		return -1;
	l->cluster->client_max = properties_number(conf, "message.max.bytes");
	(void)rd_kafka_conf_get(conf, "compression.codec", codec, &codec_size);
	l->cluster->compresses = strcmp(codec, "none") != 0;
	(void)rd_kafka_conf_set(conf, "allow.auto.create.topics", "false", said, sizeof(said));
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
	l->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, said, sizeof(said));
	if (l->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		redact_copy(&l->redact, said, reason, sizeof(reason));
		error_set(err, ERR_CONFIG, "librdkafka refuses the kafka configuration: %s", reason);
		return error_hint(err, "look at kafka.brokers, kafka.properties and kafka.property_files");
	}
	l->queue = rd_kafka_queue_get_main(l->rk);
	rd_kafka_set_log_queue(l->rk, NULL);
	return 0;
}

int
cluster_look(const struct producer_options *opt, bool produces, int timeout_ms, struct cluster_topic topics[],
             size_t count, struct cluster *ret_cluster, struct error *err)
{
	struct cluster c = {.reached = false};
	struct look l = {.cluster = &c, .deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000};
	int rc = start(&l, opt, err);

	for (size_t i = 0; i < count; i++)
		topics[i] = (struct cluster_topic){.name = topics[i].name, .message_max = -1, .min_in_sync = -1};
	if (rc == 0) {
		look(&l, produces, topics, count);
		rd_kafka_queue_destroy(l.queue);
		rd_kafka_destroy(l.rk);
		*ret_cluster = c;
	}
	redact_done(&l.redact);
	return rc;
}
