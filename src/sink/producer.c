/* producer.c - messages come in and go to librdkafka; see events.c for what comes back.
 *
 * It must not know the database or the outbox: a message's opaque is a stranger's pointer.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "sink/classify.h"
#include "sink/producer_impl.h"
#include "sink/properties.h"

/* A record batch of one record has 61 bytes of header and at least 7 of lengths and deltas
 * (https://kafka.apache.org/documentation/#recordbatch), and each of its headers 2. */
#define RECORD_OVERHEAD 68
#define HEADER_OVERHEAD 2

/* A limit older than this is asked for again before it parks an event. */
#define LIMIT_FRESH_US 5000000
/* A limit that could not be learned is asked for again after that. */
#define LIMIT_AGAIN_US 60000000

#define EVENTS (RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS)

/* A broker's host that vanished is noticed by unacknowledged data, and an idle connection by its keepalives, within
 * about 15 s instead of the kernel's quarter of an hour. Failing to set that costs only time. */
static int
open_socket(int domain, int type, int protocol, void *opaque)
{
	int fd = socket(domain, type | SOCK_CLOEXEC, protocol);

	(void)opaque;
	if (fd == -1)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &(unsigned){15000}, sizeof(unsigned));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){5}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){5}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){2}, sizeof(int));
	return fd;
}

static void
read_conf(struct producer *p, const rd_kafka_conf_t *conf)
{
	char codec[32] = "";
	size_t size = sizeof codec;

	p->message_max = (size_t)properties_number(conf, "message.max.bytes");
	p->batch_bytes = (size_t)properties_number(conf, "batch.size");
	p->batch_bytes_next = p->batch_bytes;
	rd_kafka_conf_get(conf, "compression.codec", codec, &size);
	p->compresses = strcmp(codec, "none") != 0;
}

static int
start_library(struct producer *p, const struct producer_options *opt, struct error *err)
{
	rd_kafka_conf_t *conf;
	char reason[512];

	if (properties_build(opt, &conf, err) != 0)
		return -1;
	read_conf(p, conf);
	rd_kafka_conf_set_events(conf, EVENTS);
	rd_kafka_conf_set_socket_cb(conf, open_socket);
	p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
	if (p->rk != NULL)
		return 0;
	rd_kafka_conf_destroy(conf);
	if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__INVALID_ARG)
		return error_set(err, ERR_RETRY, "could not start librdkafka: %s", reason);
	error_set(err, ERR_CONFIG, "librdkafka refuses the kafka configuration: %s", reason);
	return error_hint(err, "look at kafka.brokers and kafka.properties");
}

int
producer_new(const struct producer_options *opt, const struct producer_events *events, struct producer **ret_producer,
             struct error *err)
{
	struct producer *p = calloc(1, sizeof *p);

	if (p == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	p->events = *events;
	p->dead_due_us = CLOCK_NEVER;
	reach_init(&p->reach, clock_mono_us());
	p->watch = (struct watch){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	                          .events = POLLIN,
	                          .deadline_us = CLOCK_NEVER,
	                          .fire = producer_fire};
	if (p->watch.fd == -1) {
		error_set(err, ERR_RETRY, "could not make an event descriptor: %s", strerror(errno));
		free(p);
		return -1;
	}
	if (start_library(p, opt, err) != 0) {
		close(p->watch.fd);
		free(p);
		return -1;
	}
	p->queue = rd_kafka_queue_get_main(p->rk);
	rd_kafka_set_log_queue(p->rk, NULL);
	topics_init(&p->topics, p->rk, p->queue);
	rd_kafka_queue_io_event_enable(p->queue, p->watch.fd, &(uint64_t){1}, sizeof(uint64_t));
	/* What was queued before the bell hung there did not ring. */
	p->watch.deadline_us = p->reach.knock_due_us;
	*ret_producer = p;
	return 0;
}

void
producer_free(struct producer *p)
{
	if (p == NULL)
		return;
	/* Without this, librdkafka waits for its messages. */
	producer_purge(p);
	rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
	rd_kafka_queue_destroy(p->queue);
	topics_done(&p->topics);
	rd_kafka_destroy(p->rk);
	close(p->watch.fd);
	free(p);
}

struct watch *
producer_watch(struct producer *p)
{
	return &p->watch;
}

static size_t
message_bytes(const struct message *m)
{
	size_t bytes = m->key.len + m->value.len + m->headers_count * HEADER_OVERHEAD;

	for (size_t i = 0; i < m->headers_count; i++)
		bytes += strlen(m->headers[i].name) + m->headers[i].value.len;
	return bytes;
}

/* A message that is refused before it is sent lets none of its key pass; one that the broker refuses may. */
static int
check_limit(struct producer *p, struct topic *t, const struct message *m, enum send_class *ret_class, struct error *err)
{
	size_t bytes;

	if (t->limit_bytes == 0 || p->compresses)
		return 0;
	bytes = message_bytes(m) + RECORD_OVERHEAD;
	if (bytes <= t->limit_bytes)
		return 0;
	if (clock_mono_us() - t->limit_us > LIMIT_FRESH_US) {
		topics_ask_limit(&p->topics, t);
		*ret_class = SEND_TOPIC;
		return error_set(err, ERR_RETRY, "topic \"%s\" is asked whether it takes messages of %zu bytes now", t->name,
		                 bytes);
	}
	*ret_class = SEND_POISON;
	return error_set(err, ERR_POISON, "message takes %zu bytes, topic \"%s\" allows %zu (max.message.bytes)", bytes,
	                 t->name, t->limit_bytes);
}

static rd_kafka_headers_t *
make_headers(const struct message *m)
{
	rd_kafka_headers_t *headers;

	if (m->headers_count == 0)
		return NULL;
	headers = rd_kafka_headers_new(m->headers_count);
	for (size_t i = 0; i < m->headers_count; i++) {
		const struct header *h = &m->headers[i];

		rd_kafka_header_add(headers, h->name, -1, h->value.data, (ssize_t)h->value.len);
	}
	return headers;
}

/* librdkafka takes the addresses as not const but changes nothing behind them. */
static rd_kafka_vu_t
memory(rd_kafka_vtype_t type, struct slice s)
{
	return (rd_kafka_vu_t){.vtype = type, .u.mem = {.ptr = (void *)(uintptr_t)s.data, .size = s.len}};
}

static rd_kafka_resp_err_t
produce(struct producer *p, struct topic *t, const struct message *m, void *opaque)
{
	rd_kafka_vu_t parts[6] = {
		{.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = t->handle},
		{.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = opaque},
		{.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = m->timestamp_ms > 0 ? m->timestamp_ms : 0},
		memory(RD_KAFKA_VTYPE_KEY, m->key),
		memory(RD_KAFKA_VTYPE_VALUE, m->value),
	};
	rd_kafka_headers_t *headers = make_headers(m);
	rd_kafka_error_t *error;
	rd_kafka_resp_err_t code;
	size_t count = 5;

	if (headers != NULL)
		parts[count++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers};
	error = rd_kafka_produceva(p->rk, parts, count);
	if (error == NULL)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	code = rd_kafka_error_code(error);
	rd_kafka_error_destroy(error);
	/* They are librdkafka's only where it took the message. */
	if (headers != NULL)
		rd_kafka_headers_destroy(headers);
	return code;
}

static int
refuse(const struct producer *p, const struct message *m, rd_kafka_resp_err_t code, enum send_class *ret_class,
       struct error *err)
{
	const struct classified *c = classify(code);

	switch (c->verdict) {
	case VERDICT_OK:
	case VERDICT_OUTAGE:
		*ret_class = SEND_OUTAGE;
		break;
	case VERDICT_TOPIC:
	case VERDICT_BAD_RECORD:
		*ret_class = SEND_TOPIC;
		break;
	case VERDICT_FATAL:
		*ret_class = SEND_FATAL;
		break;
	case VERDICT_TOO_LARGE:
		*ret_class = SEND_POISON;
		error_set(err, ERR_POISON, "message takes %zu bytes, message.max.bytes allows %zu", message_bytes(m),
		          p->message_max);
		return error_hint(err, "raise message.max.bytes in kafka.properties, or send less");
	}
	return error_set(err, ERR_RETRY, "topic \"%s\": %s (%s)", m->topic, c->why, rd_kafka_err2str(code));
}

int
producer_send(struct producer *p, const struct message *m, void *opaque, enum send_class *ret_class, struct error *err)
{
	rd_kafka_resp_err_t code;
	struct topic *t;

	if (p->life != PRODUCER_LIVE) {
		*ret_class = SEND_FATAL;
		return error_set(err, ERR_RETRY, "the producer failed: %s", p->reason);
	}
	if (topics_get(&p->topics, m->topic, &t, err) != 0) {
		*ret_class = SEND_TOPIC;
		return -1;
	}
	if (check_limit(p, t, m, ret_class, err) != 0)
		return -1;
	code = produce(p, t, m, opaque);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return refuse(p, m, code, ret_class, err);
	p->watch.deadline_us = producer_deadline(p);
	t->alone = t->in_flight == 0;
	t->in_flight++;
	p->in_flight++;
	return 0;
}

void
producer_warm_topic(struct producer *p, const char *topic)
{
	struct topic *t;
	struct error ignored; /* producer_send will tell */

	if (topics_get(&p->topics, topic, &t, &ignored) != 0)
		return;
	if (t->limit_bytes == 0 && !t->limit_asked && clock_mono_us() - t->limit_us > LIMIT_AGAIN_US)
		topics_ask_limit(&p->topics, t);
}

size_t
producer_message_max(const struct producer *p, const char *topic)
{
	const struct topic *t = topics_find(&p->topics, topic);

	if (t == NULL || t->limit_bytes == 0 || p->compresses || t->limit_bytes > p->message_max)
		return p->message_max;
	return t->limit_bytes > RECORD_OVERHEAD ? t->limit_bytes - RECORD_OVERHEAD : 0;
}

size_t
producer_batch_bytes(const struct producer *p)
{
	return p->batch_bytes_next;
}

size_t
producer_in_flight(const struct producer *p)
{
	return p->in_flight;
}

void
producer_purge(struct producer *p)
{
	rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

const char *
producer_library_version(void)
{
	return rd_kafka_version_str();
}
