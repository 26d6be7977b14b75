/* topic.c - a topic as a consumer sees it. Knows nothing of events: bytes and headers only. */
#include "support/topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

struct topic_reader {
	rd_kafka_t *rk;
	rd_kafka_topic_partition_list_t *parts;
	bool *ended; /* one a partition, in the list's order */
	size_t ended_count;
};

static rd_kafka_t *
client_new(rd_kafka_type_t type, const char *const (*settings)[2], const char *brokers, struct error *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256] = "";
	rd_kafka_t *rk = NULL;
	bool ok = rd_kafka_conf_set(conf, "bootstrap.servers", brokers, reason, sizeof(reason)) == RD_KAFKA_CONF_OK;

	for (; ok && (*settings)[0] != NULL; settings++)
		ok = rd_kafka_conf_set(conf, (*settings)[0], (*settings)[1], reason, sizeof(reason)) == RD_KAFKA_CONF_OK;
	if (ok)
		rk = rd_kafka_new(type, conf, reason, sizeof(reason));
	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		(void)error_set(err, ERR_FATAL, "could not make a Kafka client: %s", reason);
	}
	return rk;
}

/* ---- requests ---- */

/* How long a cluster may take to answer as it should; it may just have started, or have lost a broker. */
enum { ANSWER_MS = 10000, INSIST_MS = 90000, PAUSE_MS = 200 };

/* One request to the cluster about one topic. */
struct request {
	const char *topic;
	/* Puts the request into the queue; -1 when it cannot be made. */
	int (*send)(const struct request *r, rd_kafka_t *rk, rd_kafka_queue_t *queue, struct error *err);
	/* The answer: ERR_RETRY where it may be another one soon. */
	int (*judge)(const struct request *r, rd_kafka_event_t *ev, struct error *err);
	int partitions, copies;
	const char *name, *value; /* of a setting, or NULL */
	const char *principal;
	rd_kafka_AclOperation_t operation;
};

/* What another try cannot change is ERR_CONFIG. All else is seen while a cluster finds together: no controller, a broker
 * that is fenced or has not heard of the topic, a connection that was lost. */
static enum err_kind
hope(rd_kafka_resp_err_t code)
{
	switch (code) {
	case RD_KAFKA_RESP_ERR__INVALID_ARG:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
	case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
	case RD_KAFKA_RESP_ERR_INVALID_REQUEST:
	case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
	case RD_KAFKA_RESP_ERR_SECURITY_DISABLED:
		return ERR_CONFIG;
	default:
		return ERR_RETRY;
	}
}

/* What is made at the controller is known to the other brokers a little later. */
static int
await_leaders(const struct request *r, rd_kafka_t *rk, struct error *err)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)ANSWER_MS * 1000;
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, r->topic, NULL);
	bool led = false;

	while (rkt != NULL && !led && clock_mono_us() < deadline_us) {
		const struct rd_kafka_metadata *md = NULL;

		if (rd_kafka_metadata(rk, 0, rkt, &md, 1000) == RD_KAFKA_RESP_ERR_NO_ERROR && md->topic_cnt == 1)
			led = md->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR && md->topics[0].partition_cnt > 0;
		for (int i = 0; led && i < md->topics[0].partition_cnt; i++)
			led = md->topics[0].partitions[i].leader >= 0;
		if (md != NULL)
			rd_kafka_metadata_destroy(md);
		if (!led)
			usleep(20000);
	}
	if (rkt != NULL)
		rd_kafka_topic_destroy(rkt);
	return led ? 0 : error_set(err, ERR_RETRY, "topic \"%s\" did not appear in time", r->topic);
}

static int
ask(rd_kafka_t *rk, const struct request *r, struct error *err)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *ev = NULL;
	int rc = r->send(r, rk, queue, err);

	if (rc == 0) {
		ev = rd_kafka_queue_poll(queue, ANSWER_MS);
		rc = ev == NULL ? error_set(err, ERR_RETRY, "no answer about topic \"%s\"", r->topic) : r->judge(r, ev, err);
	}
	if (ev != NULL)
		rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(queue);
	return rc == 0 && r->partitions > 0 ? await_leaders(r, rk, err) : rc;
}

/* Asks again, and says so in the test's log, as long as the answer may become another one. */
static int
insist(const char *brokers, const struct request *r, struct error *err)
{
	static const char *const settings[][2] = {{NULL, NULL}};
	int64_t deadline_us = clock_mono_us() + (int64_t)INSIST_MS * 1000;
	struct error told = {.message = ""};

	for (;;) {
		rd_kafka_t *rk = client_new(RD_KAFKA_PRODUCER, settings, brokers, err);
		int rc = rk == NULL ? -1 : ask(rk, r, err);

		if (rk != NULL)
			rd_kafka_destroy(rk);
		if (rc == 0 || err->kind != ERR_RETRY || clock_mono_us() > deadline_us)
			return rc;
		if (strcmp(told.message, err->message) != 0)
			fprintf(stderr, "# another try, since %s\n", err->message);
		told = *err;
		usleep(PAUSE_MS * 1000);
	}
}

static int
send_creation(const struct request *r, rd_kafka_t *rk, rd_kafka_queue_t *queue, struct error *err)
{
	char reason[256] = "";
	rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(r->topic, r->partitions, r->copies, reason, sizeof(reason));

	if (wanted == NULL)
		return error_set(err, ERR_CONFIG, "topic \"%s\": %s", r->topic, reason);
	if (r->name != NULL)
		(void)rd_kafka_NewTopic_set_config(wanted, r->name, r->value);
	rd_kafka_CreateTopics(rk, &wanted, 1, NULL, queue);
	rd_kafka_NewTopic_destroy(wanted);
	return 0;
}

static int
judge_creation(const struct request *r, rd_kafka_event_t *ev, struct error *err)
{
	const rd_kafka_topic_result_t *const *one;
	rd_kafka_resp_err_t code = rd_kafka_event_error(ev);
	size_t count = 0;

	if (code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)
		return 0;
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(err, hope(code), "could not create topic \"%s\": %s", r->topic, rd_kafka_event_error_string(ev));
	one = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(ev), &count);
	code = count == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_topic_result_error(one[0]);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return error_set(err, hope(code), "could not create topic \"%s\": %s", r->topic, rd_kafka_err2str(code));
	return 0;
}

static int
create(const char *brokers, const char *topic, int partitions, int copies, const char *const setting[2],
       struct error *err)
{
	struct request r = {.topic = topic, .send = send_creation, .judge = judge_creation, .partitions = partitions,
		.copies = copies, .name = setting[0], .value = setting[1]};

	return insist(brokers, &r, err);
}

int
topic_create(const char *brokers, const char *topic, int partitions, struct error *err)
{
	return topic_create_copies(brokers, topic, partitions, 1, err);
}

int
topic_create_copies(const char *brokers, const char *topic, int partitions, int copies, struct error *err)
{
	return create(brokers, topic, partitions, copies, (const char *const[2]){NULL, NULL}, err);
}

int
topic_create_with(const char *brokers, const char *topic, int partitions, const char *name, const char *value,
                  struct error *err)
{
	return create(brokers, topic, partitions, 1, (const char *const[2]){name, value}, err);
}

static int
send_setting(const struct request *r, rd_kafka_t *rk, rd_kafka_queue_t *queue, struct error *err)
{
	rd_kafka_ConfigResource_t *wanted = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, r->topic);

	(void)err;
	(void)rd_kafka_ConfigResource_set_config(wanted, r->name, r->value);
	rd_kafka_AlterConfigs(rk, &wanted, 1, NULL, queue);
	rd_kafka_ConfigResource_destroy(wanted);
	return 0;
}

static int
judge_setting(const struct request *r, rd_kafka_event_t *ev, struct error *err)
{
	const rd_kafka_ConfigResource_t **all;
	rd_kafka_resp_err_t code = rd_kafka_event_error(ev);
	size_t count = 0;

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(err, hope(code), "could not set up topic \"%s\": %s", r->topic, rd_kafka_event_error_string(ev));
	all = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(ev), &count);
	if (count == 0)
		return error_set(err, ERR_RETRY, "could not set up topic \"%s\": nothing was done", r->topic);
	code = rd_kafka_ConfigResource_error(all[0]);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(err, hope(code), "could not set up topic \"%s\": %s", r->topic,
		                 rd_kafka_ConfigResource_error_string(all[0]));
	return 0;
}

int
topic_set(const char *brokers, const char *topic, const char *name, const char *value, struct error *err)
{
	struct request r = {.topic = topic, .send = send_setting, .judge = judge_setting, .name = name, .value = value};

	return insist(brokers, &r, err);
}

static int
send_acl(const struct request *r, rd_kafka_t *rk, rd_kafka_queue_t *queue, struct error *err)
{
	char reason[256] = "";
	rd_kafka_AclBinding_t *acl = rd_kafka_AclBinding_new(RD_KAFKA_RESOURCE_TOPIC, r->topic,
	    RD_KAFKA_RESOURCE_PATTERN_LITERAL, r->principal, "*", r->operation, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, reason,
	    sizeof(reason));

	if (acl == NULL)
		return error_set(err, ERR_CONFIG, "topic \"%s\": %s", r->topic, reason);
	rd_kafka_CreateAcls(rk, &acl, 1, NULL, queue);
	rd_kafka_AclBinding_destroy(acl);
	return 0;
}

static int
judge_acl(const struct request *r, rd_kafka_event_t *ev, struct error *err)
{
	const rd_kafka_acl_result_t **all;
	const rd_kafka_error_t *failure;
	rd_kafka_resp_err_t code = rd_kafka_event_error(ev);
	size_t count = 0;

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(err, hope(code), "could not set the rights of topic \"%s\": %s", r->topic,
		                 rd_kafka_event_error_string(ev));
	all = rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(ev), &count);
	failure = count == 0 ? NULL : rd_kafka_acl_result_error(all[0]);
	if (failure != NULL)
		return error_set(err, hope(rd_kafka_error_code(failure)), "could not set the rights of topic \"%s\": %s", r->topic,
		                 rd_kafka_error_string(failure));
	return 0;
}

int
topic_allow(const char *brokers, const char *topic, const char *principal, rd_kafka_AclOperation_t operation,
            struct error *err)
{
	struct request r = {.topic = topic, .send = send_acl, .judge = judge_acl, .principal = principal,
		.operation = operation};

	return insist(brokers, &r, err);
}

/* ---- reading ---- */

/* Adds the topic's partitions to the list, as soon as the broker knows them. */
static int
add_partitions(struct topic_reader *r, const char *topic, int64_t deadline_us, struct error *err)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(r->rk, topic, NULL);
	int found = 0;

	while (rkt != NULL && found == 0) {
		const struct rd_kafka_metadata *md = NULL;
		rd_kafka_resp_err_t code = rd_kafka_metadata(r->rk, 0, rkt, &md, 1000);

		if (code == RD_KAFKA_RESP_ERR_NO_ERROR && md->topic_cnt == 1 && md->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR)
			found = md->topics[0].partition_cnt;
		if (md != NULL)
			rd_kafka_metadata_destroy(md);
		if (found > 0 || clock_mono_us() > deadline_us)
			break;
		usleep(100000);
	}
	for (int i = 0; i < found; i++)
		rd_kafka_topic_partition_list_add(r->parts, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
	if (rkt != NULL)
		rd_kafka_topic_destroy(rkt);
	return found > 0 ? 0 : error_set(err, ERR_RETRY, "topic \"%s\" did not appear in time", topic);
}

static const char *const reader_settings[][2] = {
    {"group.id", "reader-without-a-group"},
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"enable.partition.eof", "true"},
    {"isolation.level", "read_committed"},
    {"auto.offset.reset", "earliest"},
    {"allow.auto.create.topics", "true"},
    {"fetch.wait.max.ms", "20"},
    {"fetch.message.max.bytes", "4000000"},
    {"queued.max.messages.kbytes", "16384"},
    {"log_level", "2"},
    {NULL, NULL},
};

int
topic_reader_open(const char *brokers, const char *const *topics, size_t count, int timeout_ms,
                  struct topic_reader **ret_reader, struct error *err)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
	struct topic_reader *r __attribute__((cleanup(topic_reader_close))) = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	r->rk = client_new(RD_KAFKA_CONSUMER, reader_settings, brokers, err);
	if (r->rk == NULL)
		return -1;
	rd_kafka_poll_set_consumer(r->rk);
	r->parts = rd_kafka_topic_partition_list_new((int)count);
	for (size_t i = 0; i < count; i++) {
		if (add_partitions(r, topics[i], deadline_us, err) == -1)
			return -1;
	}
	r->ended = calloc((size_t)r->parts->cnt, sizeof(*r->ended));
	if (r->ended == NULL || rd_kafka_assign(r->rk, r->parts) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(err, ERR_RETRY, "could not assign the partitions");
	*ret_reader = r;
	r = NULL;
	return 0;
}

void
topic_reader_close(struct topic_reader **reader)
{
	struct topic_reader *r = *reader;

	if (r == NULL)
		return;
	if (r->rk != NULL) {
		rd_kafka_consumer_close(r->rk);
		rd_kafka_destroy(r->rk);
	}
	if (r->parts != NULL)
		rd_kafka_topic_partition_list_destroy(r->parts);
	free(r->ended);
	free(r);
	*reader = NULL;
}

static void
note_end(struct topic_reader *r, const rd_kafka_message_t *m, bool ended)
{
	for (int i = 0; i < r->parts->cnt; i++) {
		const rd_kafka_topic_partition_t *p = &r->parts->elems[i];

		if (p->partition != m->partition || strcmp(p->topic, rd_kafka_topic_name(m->rkt)) != 0)
			continue;
		if (r->ended[i] != ended) {
			r->ended[i] = ended;
			if (ended)
				r->ended_count++;
			else
				r->ended_count--;
		}
		return;
	}
}

rd_kafka_message_t *
topic_reader_next(struct topic_reader *r, int timeout_ms)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;

	for (;;) {
		int64_t left_us = deadline_us - clock_mono_us();
		rd_kafka_message_t *m = rd_kafka_consumer_poll(r->rk, left_us > 0 ? (int)(left_us / 1000) : 0);

		if (m == NULL)
			return NULL;
		if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			note_end(r, m, false);
			return m;
		}
		if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			note_end(r, m, true);
		rd_kafka_message_destroy(m);
	}
}

bool
topic_reader_at_end(const struct topic_reader *r)
{
	return r->ended_count == (size_t)r->parts->cnt;
}

struct slice
topic_header(const rd_kafka_message_t *m, const char *name)
{
	rd_kafka_headers_t *headers;
	const char *each;
	const void *value;
	size_t len;

	if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return SLICE_NULL;
	for (size_t i = 0; rd_kafka_header_get_all(headers, i, &each, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
		if (strcmp(each, name) == 0)
			return (struct slice){value, len};
	}
	return SLICE_NULL;
}

size_t
topic_header_count(const rd_kafka_message_t *m)
{
	rd_kafka_headers_t *headers;

	return rd_kafka_message_headers(m, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_header_cnt(headers) : 0;
}

struct slice
topic_key(const rd_kafka_message_t *m)
{
	return (struct slice){m->key, m->key == NULL ? 0 : m->key_len};
}

struct slice
topic_value(const rd_kafka_message_t *m)
{
	return (struct slice){m->payload, m->payload == NULL ? 0 : m->len};
}
