/* stream.c - Kafka's messages in, their offsets out. Knows nothing of payments, and of no database. */
#include "stream.h"

#include <stdlib.h>

#include "base/clock.h"

enum { COMMIT_EVERY = 50, COMMIT_MS = 250 };

struct stream {
	rd_kafka_t *rk;
	int done; /* messages whose offsets are stored here and not committed to Kafka */
	int64_t committed_us;
};

static int
configure(rd_kafka_conf_t *conf, const char *brokers, const char *group, const char *instance, struct error *err)
{
	const char *const settings[][2] = {
		{"bootstrap.servers", brokers},
		{"group.id", group},
		{"group.instance.id", instance},
		{"auto.offset.reset", "earliest"},
		{"enable.auto.commit", "false"},
		{"enable.auto.offset.store", "false"},
		{"isolation.level", "read_committed"},
		{"fetch.wait.max.ms", "50"},
		{"log_level", "3"},
	};
	char reason[256];

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
			return error_set(err, ERR_CONFIG, "%s", reason);
	return 0;
}

static int
subscribe(rd_kafka_t *rk, const char *topic, struct error *err)
{
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t code;

	rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
	code = rd_kafka_subscribe(rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error_set(err, ERR_FATAL, "could not subscribe to \"%s\": %s", topic, rd_kafka_err2str(code));
	return 0;
}

int
stream_open(const char *brokers, const char *group, const char *instance, const char *topic, struct stream **ret_stream,
            struct error *err)
{
	struct stream *s __attribute__((cleanup(stream_close))) = calloc(1, sizeof(*s));
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256];

	if (s == NULL || configure(conf, brokers, group, instance, err) == -1) {
		rd_kafka_conf_destroy(conf);
		return s == NULL ? error_set(err, ERR_FATAL, "out of memory") : -1;
	}
	s->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
	if (s->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		return error_set(err, ERR_CONFIG, "could not make a consumer: %s", reason);
	}
	rd_kafka_poll_set_consumer(s->rk);
	if (subscribe(s->rk, topic, err) == -1)
		return -1;
	s->committed_us = clock_mono_us();
	*ret_stream = s;
	s = NULL;
	return 0;
}

/* Where Kafka refuses, because the group has other members by now, they get the messages again and know them. */
static void
commit(struct stream *s, bool wait)
{
	if (s->done > 0)
		(void)rd_kafka_commit(s->rk, NULL, !wait);
	s->done = 0;
	s->committed_us = clock_mono_us();
}

void
stream_close(struct stream **s)
{
	if (*s == NULL)
		return;
	if ((*s)->rk != NULL) {
		commit(*s, true);
		rd_kafka_consumer_close((*s)->rk);
		rd_kafka_destroy((*s)->rk);
	}
	free(*s);
	*s = NULL;
}

bool
stream_assigned(const struct stream *s)
{
	rd_kafka_topic_partition_list_t *parts = NULL;
	bool assigned = rd_kafka_assignment(s->rk, &parts) == RD_KAFKA_RESP_ERR_NO_ERROR && parts->cnt > 0;

	if (parts != NULL)
		rd_kafka_topic_partition_list_destroy(parts);
	return assigned;
}

static const char *
header(const rd_kafka_headers_t *headers, const char *name)
{
	const void *value;
	size_t size;

	if (headers == NULL || rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return NULL;
	return value; /* librdkafka ends it with a NUL */
}

int
stream_next(struct stream *s, int timeout_ms, struct message *ret_msg, struct error *err)
{
	rd_kafka_message_t *raw;
	rd_kafka_headers_t *headers = NULL;

	if (s->done >= COMMIT_EVERY || (s->done > 0 && clock_mono_us() - s->committed_us > COMMIT_MS * 1000))
		commit(s, false);
	raw = rd_kafka_consumer_poll(s->rk, timeout_ms);
	if (raw == NULL)
		return 0;
	if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		error_set(err, ERR_RETRY, "Kafka: %s", rd_kafka_message_errstr(raw));
		rd_kafka_message_destroy(raw);
		return -1;
	}
	(void)rd_kafka_message_headers(raw, &headers);
	*ret_msg = (struct message){
		.id = header(headers, "id"),
		.type = header(headers, "type"),
		.key = {raw->key, raw->key_len},
		.value = {raw->payload, raw->len},
		.raw = raw,
	};
	if (ret_msg->id == NULL || ret_msg->type == NULL)
		return error_set(err, ERR_POISON, "message at offset %lld of partition %d has no id or no type",
		                 (long long)raw->offset, (int)raw->partition);
	return 1;
}

void
stream_done(struct stream *s, const struct message *msg)
{
	rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(offsets, rd_kafka_topic_name(msg->raw->rkt), msg->raw->partition)->offset =
		msg->raw->offset + 1;
	(void)rd_kafka_offsets_store(s->rk, offsets);
	rd_kafka_topic_partition_list_destroy(offsets);
	s->done++;
}

void
stream_release(struct message *msg)
{
	if (msg->raw != NULL)
		rd_kafka_message_destroy(msg->raw);
	*msg = (struct message){0};
}
