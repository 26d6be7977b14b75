/* injector.c - a bad road between the relay and its consumers, made on purpose.
 *
 * Everything in one topic flows in. Out come copies of earlier messages into the same topic, and into a second one all of
 * it, with the copies, and in disorder: some events come after the next one of their payment. It loses nothing, and keeps
 * no offsets: started again, it repeats everything.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "options.h"
#include "stop.h"
#include "stream.h"

enum {
	HELD = 1000,     /* messages that wait to be overtaken, at most */
	MEMORY = 400,    /* of which copies are made */
	IDLE_MS = 300,
	SAY_EVERY = 100, /* messages */
	START_MS = 30000,
	FLUSH_MS = 30000,
};

struct injector {
	const char *brokers, *from, *to, *progress;
	double copies, late; /* shares of the messages */
	unsigned short rng[3];
	rd_kafka_t *producer;
	struct stream *in;
	struct message held[HELD];
	struct message memory[MEMORY]; /* a ring of those that were forwarded */
	size_t waiting;
	unsigned long long forwarded, copied, failed;
};

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *msg, void *ctx)
{
	struct injector *inj = ctx;

	(void)rk;
	if (msg->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		inj->failed++;
}

static int
open_producer(struct injector *inj, struct error *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256];

	rd_kafka_conf_set_opaque(conf, inj);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	if (rd_kafka_conf_set(conf, "bootstrap.servers", inj->brokers, reason, sizeof(reason)) != RD_KAFKA_CONF_OK ||
	    rd_kafka_conf_set(conf, "linger.ms", "5", reason, sizeof(reason)) != RD_KAFKA_CONF_OK ||
	    rd_kafka_conf_set(conf, "log_level", "3", reason, sizeof(reason)) != RD_KAFKA_CONF_OK ||
	    (inj->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason))) == NULL) {
		rd_kafka_conf_destroy(conf);
		return error_set(err, ERR_CONFIG, "could not make a producer: %s", reason);
	}
	return 0;
}

/* A broker that makes topics by itself does so for a producer that asks, and a moment later the topic can be read. */
static int
await_topic(struct injector *inj, const char *name, struct error *err)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(inj->producer, name, NULL);
	const struct rd_kafka_metadata *found;
	int64_t deadline_us = clock_mono_us() + START_MS * 1000;
	bool there = false;

	while (!there && clock_mono_us() < deadline_us && !stop_wanted()) {
		if (rd_kafka_metadata(inj->producer, 0, topic, &found, 1000) != RD_KAFKA_RESP_ERR_NO_ERROR)
			continue;
		there = found->topic_cnt == 1 && found->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR;
		rd_kafka_metadata_destroy(found);
		if (!there)
			rd_kafka_poll(inj->producer, 50);
	}
	rd_kafka_topic_destroy(topic);
	return there ? 0 : error_set(err, ERR_RETRY, "topic \"%s\" did not appear", name);
}

static void
send_to(struct injector *inj, const char *topic, const struct message *msg, bool copy)
{
	rd_kafka_headers_t *theirs = NULL, *ours;
	rd_kafka_resp_err_t code;

	(void)rd_kafka_message_headers(msg->raw, &theirs);
	do {
		ours = rd_kafka_headers_copy(theirs);
		if (copy)
			rd_kafka_header_add(ours, "copy", -1, "1", -1);
		code = rd_kafka_producev(inj->producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_HEADERS(ours),
		                         RD_KAFKA_V_KEY(msg->key.data, msg->key.len),
		                         RD_KAFKA_V_VALUE(msg->raw->payload, msg->raw->len),
		                         RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
		if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
			rd_kafka_headers_destroy(ours);
		rd_kafka_poll(inj->producer, code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 100 : 0);
	} while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		inj->failed++;
}

/* A copy of something that was here before, into both topics. */
static void
send_copy(struct injector *inj)
{
	size_t known = inj->forwarded < MEMORY ? (size_t)inj->forwarded : MEMORY;
	const struct message *earlier = &inj->memory[(size_t)(erand48(inj->rng) * (double)known)];

	send_to(inj, inj->from, earlier, true);
	send_to(inj, inj->to, earlier, true);
	inj->copied++;
}

/* The message moves into the memory. */
static void
forward(struct injector *inj, struct message *msg)
{
	struct message *place = &inj->memory[inj->forwarded % MEMORY];

	send_to(inj, inj->to, msg, false);
	stream_release(place);
	*place = *msg;
	*msg = (struct message){.raw = NULL};
	inj->forwarded++;
	if (erand48(inj->rng) < inj->copies)
		send_copy(inj);
}

/* Those of the key that wait, or all of them. */
static void
forward_held(struct injector *inj, const struct slice *key)
{
	size_t left = 0;

	for (size_t i = 0; i < inj->waiting; i++)
		if (key == NULL || slice_equal(inj->held[i].key, *key))
			forward(inj, &inj->held[i]);
		else
			inj->held[left++] = inj->held[i];
	inj->waiting = left;
}

/* After its last event nothing comes that could overtake it. */
static bool
is_last(const struct message *msg)
{
	return strcmp(msg->type, "payment.notified") == 0;
}

static void
take(struct injector *inj, struct message *msg)
{
	struct slice key = msg->key; /* stays where it is: the memory forgets only what is long gone */

	if (inj->waiting < HELD && !is_last(msg) && erand48(inj->rng) < inj->late) {
		inj->held[inj->waiting++] = *msg;
		*msg = (struct message){.raw = NULL};
		return;
	}
	forward(inj, msg);
	forward_held(inj, &key);
}

static bool
is_copy(const struct message *msg)
{
	rd_kafka_headers_t *headers = NULL;
	const void *value;
	size_t size;

	return rd_kafka_message_headers(msg->raw, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
	       rd_kafka_header_get_last(headers, "copy", &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* "forwarded copied", under its name only when it is whole. */
static int
say(const struct injector *inj, struct error *err)
{
	char part[512];
	FILE *out;

	snprintf(part, sizeof(part), "%s.part", inj->progress);
	out = fopen(part, "we");
	if (out == NULL || fprintf(out, "%llu %llu\n", inj->forwarded, inj->copied) < 0 || fclose(out) != 0 ||
	    rename(part, inj->progress) == -1)
		return error_set(err, ERR_FATAL, "could not write \"%s\"", inj->progress);
	return 0;
}

/* Everything that was forwarded so far is in Kafka. */
static int
settle(struct injector *inj, struct error *err)
{
	if (rd_kafka_flush(inj->producer, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR || inj->failed > 0)
		return error_set(err, ERR_FATAL, "%llu messages could not be written", inj->failed);
	return say(inj, err);
}

static int
step(struct injector *inj, struct error *err)
{
	struct message msg = {0};
	int rc = stream_next(inj->in, IDLE_MS, &msg, err);

	if (rc == 1 && !is_copy(&msg))
		take(inj, &msg);
	stream_release(&msg);
	if (rc == 0 || (rc == 1 && inj->forwarded % SAY_EVERY == 0))
		return settle(inj, err);
	return rc == -1 && err->kind == ERR_FATAL ? -1 : 0;
}

static int
run(struct injector *inj, struct error *err)
{
	if (open_producer(inj, err) == -1 || await_topic(inj, inj->from, err) == -1 || await_topic(inj, inj->to, err) == -1 ||
	    stream_open(inj->brokers, inj->from, "injector-1", inj->from, &inj->in, err) == -1 || say(inj, err) == -1)
		return -1;
	while (!stop_wanted())
		if (step(inj, err) == -1)
			return -1;
	forward_held(inj, NULL);
	return settle(inj, err);
}

static void
done(struct injector *inj)
{
	for (size_t i = 0; i < MEMORY; i++)
		stream_release(&inj->memory[i]);
	stream_close(&inj->in);
	if (inj->producer != NULL)
		rd_kafka_destroy(inj->producer);
}

int
main(int argc, char **argv)
{
	struct injector inj = {.producer = NULL};
	int64_t copies = 10, late = 10, seed = 1;
	const struct option_row rows[] = {
		OPTION_TEXT("brokers", &inj.brokers, "Kafka's addresses"),
		OPTION_TEXT("from", &inj.from, "the topic that is read, and gets copies; also the name of the consumer group"),
		OPTION_TEXT("to", &inj.to, "the topic that gets everything in disorder"),
		OPTION_TEXT("progress", &inj.progress, "a file that tells how many were forwarded and copied"),
		OPTION_NUMBER("copies", &copies, 0, 100, "of a hundred messages as many come again"),
		OPTION_NUMBER("late", &late, 0, 100, "of a hundred events as many come after the next one of their key"),
		OPTION_NUMBER("seed", &seed, 0, UINT16_MAX, "another disorder"),
		OPTION_END,
	};
	int rc = options_parse(argc, argv, "repeats and disorders the messages of a topic", rows);
	struct error err;

	if (rc != -1)
		return rc;
	inj.copies = (double)copies / 100;
	inj.late = (double)late / 100;
	inj.rng[0] = (unsigned short)seed;
	stop_block();
	rc = run(&inj, &err);
	if (rc == -1)
		fprintf(stderr, "payments-injector: %s\n", err.message);
	done(&inj);
	return rc == -1 ? error_exit_status(err.kind) : 0;
}
