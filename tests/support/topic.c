/* topic.c - a topic as a consumer sees it. Knows nothing of events: bytes and headers only. */
#include "support/topic.h"

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

static int
creation_result(rd_kafka_event_t *ev, const char *topic, struct error *err)
{
	const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(ev);
	const rd_kafka_topic_result_t *const *one;
	rd_kafka_resp_err_t code;
	size_t count = 0;

	if (ev == NULL)
		return error_set(err, ERR_RETRY, "no answer when creating topic \"%s\"", topic);
	code = rd_kafka_event_error(ev);
	if (code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)
		return 0;
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(err, ERR_RETRY, "could not create topic \"%s\": %s", topic, rd_kafka_event_error_string(ev));
	one = rd_kafka_CreateTopics_result_topics(result, &count);
	code = count == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_topic_result_error(one[0]);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return error_set(err, ERR_RETRY, "could not create topic \"%s\": %s", topic, rd_kafka_err2str(code));
	return 0;
}

struct topic_plan {
	int partitions, copies;
	const char *name, *value; /* of a setting, or NULL */
};

static int
create(const char *brokers, const char *topic, const struct topic_plan *plan, struct error *err)
{
	static const char *const settings[][2] = {{NULL, NULL}};
	rd_kafka_t *rk = client_new(RD_KAFKA_PRODUCER, settings, brokers, err);
	char reason[256] = "";
	rd_kafka_NewTopic_t *wanted;
	rd_kafka_event_t *ev;
	rd_kafka_queue_t *queue;
	int rc = -1;

	if (rk == NULL)
		return -1;
	wanted = rd_kafka_NewTopic_new(topic, plan->partitions, plan->copies, reason, sizeof(reason));
	if (wanted == NULL) {
		error_set(err, ERR_CONFIG, "topic \"%s\": %s", topic, reason);
	} else {
		if (plan->name != NULL)
			(void)rd_kafka_NewTopic_set_config(wanted, plan->name, plan->value);
		queue = rd_kafka_queue_new(rk);
		rd_kafka_CreateTopics(rk, &wanted, 1, NULL, queue);
		ev = rd_kafka_queue_poll(queue, 30000);
		rc = creation_result(ev, topic, err);
		rd_kafka_event_destroy(ev);
		rd_kafka_queue_destroy(queue);
		rd_kafka_NewTopic_destroy(wanted);
	}
	rd_kafka_destroy(rk);
	return rc;
}

int
topic_create(const char *brokers, const char *topic, int partitions, struct error *err)
{
	return topic_create_copies(brokers, topic, partitions, 1, err);
}

int
topic_create_copies(const char *brokers, const char *topic, int partitions, int copies, struct error *err)
{
	return create(brokers, topic, &(struct topic_plan){.partitions = partitions, .copies = copies}, err);
}

int
topic_create_with(const char *brokers, const char *topic, int partitions, const char *name, const char *value,
                  struct error *err)
{
	struct topic_plan plan = {.partitions = partitions, .copies = 1, .name = name, .value = value};

	return create(brokers, topic, &plan, err);
}

static int
setting_result(rd_kafka_event_t *ev, const char *topic, struct error *err)
{
	const rd_kafka_ConfigResource_t **all;
	size_t count = 0;

	if (ev == NULL || rd_kafka_event_error(ev) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(err, ERR_RETRY, "could not set up topic \"%s\": %s", topic,
		                 ev == NULL ? "no answer" : rd_kafka_event_error_string(ev));
	all = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(ev), &count);
	if (count == 0 || rd_kafka_ConfigResource_error(all[0]) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(err, ERR_RETRY, "could not set up topic \"%s\": %s", topic,
		                 count == 0 ? "nothing was done" : rd_kafka_ConfigResource_error_string(all[0]));
	return 0;
}

int
topic_set(const char *brokers, const char *topic, const char *name, const char *value, struct error *err)
{
	static const char *const settings[][2] = {{NULL, NULL}};
	rd_kafka_t *rk = client_new(RD_KAFKA_PRODUCER, settings, brokers, err);
	rd_kafka_ConfigResource_t *wanted;
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *ev;
	int rc;

	if (rk == NULL)
		return -1;
	wanted = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	(void)rd_kafka_ConfigResource_set_config(wanted, name, value);
	queue = rd_kafka_queue_new(rk);
	rd_kafka_AlterConfigs(rk, &wanted, 1, NULL, queue);
	ev = rd_kafka_queue_poll(queue, 30000);
	rc = setting_result(ev, topic, err);
	rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(queue);
	rd_kafka_ConfigResource_destroy(wanted);
	rd_kafka_destroy(rk);
	return rc;
}

static int
acl_result(rd_kafka_event_t *ev, const char *topic, struct error *err)
{
	const rd_kafka_acl_result_t **all;
	const rd_kafka_error_t *failure;
	size_t count = 0;

	if (ev == NULL || rd_kafka_event_error(ev) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(err, ERR_RETRY, "could not set the rights of topic \"%s\": %s", topic,
		                 ev == NULL ? "no answer" : rd_kafka_event_error_string(ev));
	all = rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(ev), &count);
	failure = count == 0 ? NULL : rd_kafka_acl_result_error(all[0]);
	if (failure != NULL)
		return error_set(err, ERR_RETRY, "could not set the rights of topic \"%s\": %s", topic,
		                 rd_kafka_error_string(failure));
	return 0;
}

int
topic_allow(const char *brokers, const char *topic, const char *principal, rd_kafka_AclOperation_t operation,
            struct error *err)
{
	static const char *const settings[][2] = {{NULL, NULL}};
	rd_kafka_t *rk = client_new(RD_KAFKA_PRODUCER, settings, brokers, err);
	char reason[256] = "";
	rd_kafka_AclBinding_t *acl;
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *ev;
	int rc;

	if (rk == NULL)
		return -1;
	acl = rd_kafka_AclBinding_new(RD_KAFKA_RESOURCE_TOPIC, topic, RD_KAFKA_RESOURCE_PATTERN_LITERAL, principal, "*",
	                              operation, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, reason, sizeof(reason));
	if (acl == NULL) {
		rd_kafka_destroy(rk);
		return error_set(err, ERR_CONFIG, "topic \"%s\": %s", topic, reason);
	}
	queue = rd_kafka_queue_new(rk);
	rd_kafka_CreateAcls(rk, &acl, 1, NULL, queue);
	ev = rd_kafka_queue_poll(queue, 30000);
	rc = acl_result(ev, topic, err);
	rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(queue);
	rd_kafka_AclBinding_destroy(acl);
	rd_kafka_destroy(rk);
	return rc;
}

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
