/* producer.c - options come in, a producer goes out; see send.c for what is sent, events.c for what comes back.
 *
 * It must not know the database or the outbox.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "sink/producer_impl.h"
#include "sink/properties.h"

/* A limit that could not be learned is asked for again after that. */
#define LIMIT_AGAIN_US 60000000

#define EVENTS (RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS)

/* A limit that is not known must not be taken for one of nothing at all, which no event would meet. */
static int
read_conf(struct producer *p, const rd_kafka_conf_t *conf, struct error *err)
{
	char codec[32];
	size_t codec_size = sizeof codec, partitioner_size = sizeof p->partitioner;

	p->message_max = (size_t)properties_number(conf, "message.max.bytes");
	p->batch_bytes = (size_t)properties_number(conf, "batch.size");
	p->batch_bytes_next = p->batch_bytes;
	if (p->message_max == 0 || p->batch_bytes == 0 ||
	    rd_kafka_conf_get(conf, "compression.codec", codec, &codec_size) != RD_KAFKA_CONF_OK ||
	    rd_kafka_conf_get(conf, "partitioner", p->partitioner, &partitioner_size) != RD_KAFKA_CONF_OK)
		return error_set(err, ERR_RETRY, "librdkafka %s does not tell its settings", rd_kafka_version_str());
	p->compresses = strcmp(codec, "none") != 0;
	return 0;
}

static int
start_library(struct producer *p, const struct producer_options *opt, struct error *err)
{
	rd_kafka_conf_t *conf;
	char said[512], reason[512];

	if (properties_build(opt, &conf, err) != 0)
		return -1;
	if (read_conf(p, conf, err) != 0) {
		rd_kafka_conf_destroy(conf);
		return -1;
	}
	rd_kafka_conf_set_events(conf, EVENTS);
	rd_kafka_conf_set_opaque(conf, &p->sockets);
	rd_kafka_conf_set_socket_cb(conf, sockets_open);
	rd_kafka_conf_set_closesocket_cb(conf, sockets_close);
	p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, said, sizeof said);
	if (p->rk != NULL)
		return 0;
	rd_kafka_conf_destroy(conf);
	redact_copy(&p->redact, said, reason, sizeof reason);
	if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__INVALID_ARG)
		return error_set(err, ERR_RETRY, "could not start librdkafka: %s", reason);
	error_set(err, ERR_CONFIG, "librdkafka refuses the kafka configuration: %s", reason);
	return error_hint(err, "look at kafka.brokers, kafka.properties and kafka.property_files");
}

/* A user who says how long messages linger means it. */
static bool
lingers(const struct producer_options *opt)
{
	for (size_t i = 0; i < opt->properties_count; i++)
		if (strcmp(opt->properties[i].name, "linger.ms") == 0 ||
		    strcmp(opt->properties[i].name, "queue.buffering.max.ms") == 0)
			return true;
	return false;
}

/* What producer_new() has made but librdkafka. */
static void
give_up(struct producer *p)
{
	redact_done(&p->redact);
	sockets_done(&p->sockets);
	if (p->watch.fd != -1)
		close(p->watch.fd);
	free(p);
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
	sockets_init(&p->sockets);
	reach_init(&p->reach, clock_mono_us());
	p->watch = (struct watch){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	                          .events = POLLIN,
	                          .deadline_us = CLOCK_NEVER,
	                          .fire = producer_fire};
	if (p->watch.fd == -1) {
		error_set(err, ERR_RETRY, "could not make an event descriptor: %s", strerror(errno));
		give_up(p);
		return -1;
	}
	if (redact_init(&p->redact, opt->properties, opt->properties_count, err) != 0 || start_library(p, opt, err) != 0) {
		give_up(p);
		return -1;
	}
	if (!lingers(opt) && flusher_start(&p->flusher, p->rk, err) != 0) {
		rd_kafka_destroy(p->rk);
		give_up(p);
		return -1;
	}
	p->queue = rd_kafka_queue_get_main(p->rk);
	rd_kafka_set_log_queue(p->rk, NULL);
	topics_init(&p->topics, p->rk, p->queue, p->partitioner);
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
	flusher_stop(&p->flusher);
	rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
	rd_kafka_queue_destroy(p->queue);
	topics_done(&p->topics);
	rd_kafka_destroy(p->rk);
	give_up(p);
}

struct watch *
producer_watch(struct producer *p)
{
	return &p->watch;
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

int32_t
producer_partition(const struct producer *p, const char *topic, struct slice key)
{
	struct topic *t = topics_find(&p->topics, topic);

	return t != NULL ? topics_partition(t, key) : -1;
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

/* Promise 2: cut first. rd_kafka_purge() drops what waits to be retried at once, and what is about to be sent a moment
 * later, in other threads: in between, an event could go out whose predecessor was dropped. */
void
producer_purge(struct producer *p)
{
	p->purged = true;
	sockets_cut(&p->sockets);
	(void)eventfd_write(p->watch.fd, 1); /* for those that wait in gates */
	rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

const char *
producer_library_version(void)
{
	return rd_kafka_version_str();
}
