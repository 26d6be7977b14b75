/* reader.c - names of topics come in, their messages go out. It must not know events.
 *
 * librdkafka's simple consumer: it needs no group, and no right to one.
 */
#include "sink/reader.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sink/plain.h"
#include "sink/properties.h"
#include "sink/redact.h"
#include "sink/topics.h"

#define TRY_MS 5000
#define POLL_MS 100
#define BATCH 1000

struct place { /* of a partition, beside what others see of it */
	int64_t next;  /* offset */
	bool reading;
	bool waits; /* nothing more may be read, but the end has not been reached */
};

struct topic_read {
	rd_kafka_topic_t *handle;
	size_t first; /* of its places */
	int partitions;
};

struct reader {
	rd_kafka_t *rk;
	rd_kafka_queue_t *main, *queue;
	struct redact redact;
	struct topic_read *topics;
	const char *const *names;
	size_t topics_count;
	struct reader_partition *partitions;
	struct place *places;
	size_t count, reading;
	int64_t done;
	struct header *headers; /* of the message at hand */
	size_t headers_room;
	char reason[512]; /* what librdkafka last complained of */
	const struct producer_options *opt;
	partitioner place_of;
};

/* --- what librdkafka says by itself --- */

static void
hear(struct reader *r)
{
	rd_kafka_event_t *event;
	char said[sizeof(r->reason)];

	while ((event = rd_kafka_queue_poll(r->main, 0)) != NULL) {
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
			redact_copy(&r->redact, rd_kafka_event_error_string(event), said, sizeof(said));
			snprintf(r->reason, sizeof(r->reason), "%s", plain_reason(said));
		}
		rd_kafka_event_destroy(event);
	}
}

static int
gave_up(struct reader *r, const char *doing, rd_kafka_resp_err_t code, struct error *err)
{
	hear(r);
	error_set(err, ERR_RETRY, "%s: %s", doing, r->reason[0] != '\0' ? r->reason : rd_kafka_err2str(code));
	return error_hint(err, "check kafka.brokers and the network; \"pgoutboxctl check --full\" looks closer");
}

static int
denied(const char *topic, struct error *err)
{
	error_set(err, ERR_CONFIG, "topic \"%s\" may not be read: the principal is not authorized", topic);
	return error_hint(err, "grant it Read and Describe on the topic");
}

/* --- the consumer --- */

static int
start(struct reader *r, const char *isolation, rd_kafka_t **ret_rk, struct error *err)
{
	rd_kafka_conf_t *conf;
	char said[512], reason[512], name[64];
	size_t name_size = sizeof(name);

	if (properties_build_consumer(r->opt, isolation, &conf, err) != 0)
		return -1;
	if (rd_kafka_conf_get(conf, "partitioner", name, &name_size) == RD_KAFKA_CONF_OK)
		r->place_of = topics_partitioner(name);
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
	*ret_rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, said, sizeof(said));
	if (*ret_rk != NULL) {
		rd_kafka_set_log_queue(*ret_rk, NULL);
		return 0;
	}
	rd_kafka_conf_destroy(conf);
	redact_copy(&r->redact, said, reason, sizeof(reason));
	error_set(err, ERR_CONFIG, "librdkafka refuses the kafka configuration: %s", reason);
	return error_hint(err, "look at kafka.brokers, kafka.properties and kafka.property_files");
}

static int
make_topics(struct reader *r, struct error *err)
{
	for (size_t i = 0; i < r->topics_count; i++) {
		rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(r->rk);

		rd_kafka_topic_conf_set_opaque(conf, &r->topics[i]);
		r->topics[i].handle = rd_kafka_topic_new(r->rk, r->names[i], conf);
		if (r->topics[i].handle == NULL)
			return error_set(err, ERR_CONFIG, "topic \"%s\" cannot be read: %s", r->names[i], rd_kafka_err2str(rd_kafka_last_error()));
	}
	return 0;
}

int
reader_new(const struct producer_options *opt, const char *const *topics, size_t topics_count, struct reader **ret_reader,
           struct error *err)
{
	struct reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	r->opt = opt;
	r->names = topics;
	r->topics = calloc(topics_count + 1, sizeof(*r->topics));
	if (r->topics == NULL)
		error_set(err, ERR_RETRY, "out of memory");
	if (r->topics == NULL || redact_init(&r->redact, opt->properties, opt->properties_count, err) != 0 ||
	    start(r, "read_committed", &r->rk, err) != 0) {
		reader_free(&r);
		return -1;
	}
	r->topics_count = topics_count;
	r->main = rd_kafka_queue_get_main(r->rk);
	r->queue = rd_kafka_queue_new(r->rk);
	if (make_topics(r, err) != 0) {
		reader_free(&r);
		return -1;
	}
	*ret_reader = r;
	return 0;
}

static void
stop(struct reader *r, size_t i)
{
	const struct reader_partition *p = &r->partitions[i];

	if (!r->places[i].reading)
		return;
	(void)rd_kafka_consume_stop(r->topics[p->topic].handle, p->partition);
	r->places[i].reading = false;
	r->reading--;
}

void
reader_free(struct reader **rp)
{
	struct reader *r = *rp;

	if (r == NULL)
		return;
	for (size_t i = 0; i < r->count; i++)
		stop(r, i);
	if (r->queue != NULL)
		rd_kafka_queue_destroy(r->queue);
	if (r->main != NULL)
		rd_kafka_queue_destroy(r->main);
	for (size_t i = 0; i < r->topics_count; i++)
		if (r->topics[i].handle != NULL)
			rd_kafka_topic_destroy(r->topics[i].handle);
	if (r->rk != NULL)
		rd_kafka_destroy(r->rk);
	redact_done(&r->redact);
	free(r->topics);
	free(r->partitions);
	free(r->places);
	free(r->headers);
	free(r);
	*rp = NULL;
}

/* --- partitions and their ends --- */

static int
left_ms(int64_t deadline_us)
{
	int64_t left = (deadline_us - clock_mono_us()) / 1000;

	return left < 1 ? 1 : left < TRY_MS ? (int)left : TRY_MS;
}

static int
count_partitions(struct reader *r, size_t i, int64_t deadline_us, struct error *err)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t code;

	do {
		code = rd_kafka_metadata(r->rk, 0, r->topics[i].handle, &md, left_ms(deadline_us));
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
			code = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR__FAIL;
			if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
				r->topics[i].partitions = md->topics[0].partition_cnt;
			rd_kafka_metadata_destroy(md);
		}
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
			return 0;
		if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
			return denied(r->names[i], err);
	} while (clock_mono_us() < deadline_us);
	return gave_up(r, "could not look at the topics", code, err);
}

static int
list_partitions(struct reader *r, int64_t deadline_us, struct error *err)
{
	for (size_t i = 0; i < r->topics_count; i++) {
		if (count_partitions(r, i, deadline_us, err) != 0)
			return -1;
		r->topics[i].first = r->count;
		r->count += (size_t)r->topics[i].partitions;
	}
	r->partitions = calloc(r->count + 1, sizeof(*r->partitions));
	r->places = calloc(r->count + 1, sizeof(*r->places));
	if (r->partitions == NULL || r->places == NULL) {
		r->count = 0;
		return error_set(err, ERR_RETRY, "out of memory");
	}
	for (size_t i = 0; i < r->topics_count; i++)
		for (int p = 0; p < r->topics[i].partitions; p++)
			r->partitions[r->topics[i].first + (size_t)p] = (struct reader_partition){.topic = (uint32_t)i, .partition = p};
	return 0;
}

static int
ask_offsets(struct reader *r, rd_kafka_t *rk, const struct reader_partition *p, int64_t deadline_us, int64_t *ret_low,
            int64_t *ret_high, struct error *err)
{
	rd_kafka_resp_err_t code;

	do {
		code = rd_kafka_query_watermark_offsets(rk, r->names[p->topic], p->partition, ret_low, ret_high, left_ms(deadline_us));
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
			return 0;
		if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
			return denied(r->names[p->topic], err);
	} while (clock_mono_us() < deadline_us);
	return gave_up(r, "could not ask for the ends of the partitions", code, err);
}

/* Of what is there, committed or not: a consumer that is to see committed messages alone would be told of an end before the
 * transactions that go on. */
static int
find_ends(struct reader *r, int64_t deadline_us, struct error *err)
{
	rd_kafka_t *rk;
	int rc = 0;

	if (start(r, "read_uncommitted", &rk, err) != 0)
		return -1;
	for (size_t i = 0; i < r->count && rc == 0; i++)
		rc = ask_offsets(r, rk, &r->partitions[i], deadline_us, &r->partitions[i].begin, &r->partitions[i].end, err);
	rd_kafka_destroy(rk);
	return rc;
}

/* The first offset of that time or later; the end where there is none. */
static int
find_begins(struct reader *r, int64_t since_ms, int64_t deadline_us, struct error *err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)r->count);
	rd_kafka_resp_err_t code;

	for (size_t i = 0; i < r->count; i++)
		rd_kafka_topic_partition_list_add(list, r->names[r->partitions[i].topic], r->partitions[i].partition)->offset =
			since_ms < 0 ? 0 : since_ms;
	do
		code = rd_kafka_offsets_for_times(r->rk, list, left_ms(deadline_us));
	while (code != RD_KAFKA_RESP_ERR_NO_ERROR && clock_mono_us() < deadline_us);
	for (size_t i = 0; i < r->count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
		const rd_kafka_topic_partition_t *at = &list->elems[i];
		struct reader_partition *p = &r->partitions[i];

		code = at->err;
		if (at->offset < 0)
			p->begin = p->end;
		else if (at->offset > p->begin)
			p->begin = at->offset < p->end ? at->offset : p->end;
	}
	rd_kafka_topic_partition_list_destroy(list);
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : gave_up(r, "could not ask for offsets by time", code, err);
}

int
reader_look(struct reader *r, int64_t since_ms, int timeout_ms, struct error *err)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;

	if (list_partitions(r, deadline_us, err) != 0 || find_ends(r, deadline_us, err) != 0)
		return -1;
	return since_ms != INT64_MIN && r->count > 0 ? find_begins(r, since_ms, deadline_us, err) : 0;
}

const struct reader_partition *
reader_partitions(const struct reader *r, size_t *ret_count)
{
	*ret_count = r->count;
	return r->partitions;
}

int64_t
reader_place(const struct reader *r, size_t topic, struct slice key)
{
	const struct topic_read *t = &r->topics[topic];

	if (r->place_of == NULL || slice_is_null(key) || t->partitions == 0)
		return -1;
	return (int64_t)t->first + r->place_of(t->handle, key.data, key.len, t->partitions, NULL, NULL);
}

int64_t
reader_partition_place(const struct reader *r, size_t topic, int32_t partition)
{
	const struct topic_read *t = &r->topics[topic];

	return partition >= 0 && partition < t->partitions ? (int64_t)t->first + partition : -1;
}

int64_t
reader_total(const struct reader *r)
{
	int64_t total = 0;

	for (size_t i = 0; i < r->count; i++)
		total += r->partitions[i].end - r->partitions[i].begin;
	return total;
}

/* --- messages --- */

static int
start_partitions(struct reader *r, struct error *err)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct reader_partition *p = &r->partitions[i];

		r->places[i].next = p->begin;
		if (p->begin >= p->end)
			continue;
		if (rd_kafka_consume_start_queue(r->topics[p->topic].handle, p->partition, p->begin, r->queue) != 0)
			return gave_up(r, "could not begin to read", rd_kafka_last_error(), err);
		r->places[i].reading = true;
		r->reading++;
	}
	return 0;
}

static void
advance(struct reader *r, size_t i, int64_t next)
{
	int64_t end = r->partitions[i].end;

	if (next > end)
		next = end;
	if (next > r->places[i].next) {
		r->done += next - r->places[i].next;
		r->places[i].next = next;
	}
	if (next == end)
		stop(r, i);
}

static int
read_headers(struct reader *r, const rd_kafka_message_t *raw, struct message *m, struct error *err)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	size_t size, count = 0;

	if (rd_kafka_message_headers(raw, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	for (; rd_kafka_header_get_all(headers, count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; count++) {
		if (count == r->headers_room) {
			size_t room = 2 * r->headers_room + 8;
			struct header *grown = realloc(r->headers, room * sizeof(*grown));

			if (grown == NULL)
				return error_set(err, ERR_RETRY, "out of memory");
			r->headers = grown;
			r->headers_room = room;
		}
		r->headers[count] = (struct header){name, {value, size}};
	}
	m->headers = r->headers;
	m->headers_count = count;
	return 0;
}

/* librdkafka gives no address for what is NULL, and one for what is empty. */
static int
read_message(struct reader *r, size_t place, const rd_kafka_message_t *raw, struct reader_message *ret_m, struct error *err)
{
	rd_kafka_timestamp_type_t type;
	struct reader_message m = {
		.m = {.key = {raw->key, raw->key_len}, .value = {raw->payload, raw->len}},
		.place = place,
		.offset = raw->offset,
	};

	m.m.timestamp_ms = rd_kafka_message_timestamp(raw, &type);
	m.append_time = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
	if (read_headers(r, raw, &m.m, err) != 0)
		return -1;
	*ret_m = m;
	return 0;
}

/* An error that librdkafka does not get over by itself. */
static int
judge_error(struct reader *r, const rd_kafka_message_t *raw, const char *topic, struct error *err)
{
	char reason[sizeof(r->reason)];

	if (raw->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
		return denied(topic, err);
	redact_copy(&r->redact, rd_kafka_message_errstr(raw), reason, sizeof(reason));
	if (raw->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || raw->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
	    raw->err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || raw->err == RD_KAFKA_RESP_ERR__BAD_MSG)
		return error_set(err, ERR_RETRY, "could not read topic \"%s\": %s", topic, reason);
	memcpy(r->reason, reason, sizeof(reason));
	return 0;
}

struct run {
	int (*message)(void *ctx, const struct reader_message *m, struct error *err);
	void (*done)(void *ctx, int64_t offsets);
	void *ctx;
	int64_t heard_us; /* when something came */
};

static int
take(struct reader *r, struct run *run, const rd_kafka_message_t *raw, struct error *err)
{
	const struct topic_read *t = rd_kafka_topic_opaque(raw->rkt);
	size_t place = t->first + (size_t)raw->partition;
	struct reader_message m;

	/* Of a partition that has been stopped. */
	if (!r->places[place].reading)
		return 0;
	if (raw->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		r->places[place].waits = raw->offset < r->partitions[place].end;
		advance(r, place, raw->offset);
		return 0;
	}
	if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return judge_error(r, raw, rd_kafka_topic_name(raw->rkt), err);
	run->heard_us = clock_coarse_us();
	r->places[place].waits = false;
	if (raw->offset < r->partitions[place].end &&
	    (read_message(r, place, raw, &m, err) != 0 || run->message(run->ctx, &m, err) != 0))
		return -1;
	advance(r, place, raw->offset + 1);
	return 0;
}

/* Whether it may be ended like this: all that is left waits for transactions. */
static bool
all_wait(const struct reader *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->places[i].reading && !r->places[i].waits)
			return false;
	return true;
}

static int
lose_patience(struct reader *r, struct error *err)
{
	if (!all_wait(r))
		return gave_up(r, "Kafka gives no messages", RD_KAFKA_RESP_ERR__TIMED_OUT, err);
	for (size_t i = 0; i < r->count; i++) {
		r->partitions[i].open = r->places[i].reading;
		stop(r, i);
	}
	return 0;
}

static int
take_batch(struct reader *r, struct run *run, rd_kafka_message_t **raw, struct error *err)
{
	ssize_t count = rd_kafka_consume_batch_queue(r->queue, POLL_MS, raw, BATCH);
	int rc = 0;

	for (ssize_t i = 0; i < count; i++) {
		if (rc == 0)
			rc = take(r, run, raw[i], err);
		rd_kafka_message_destroy(raw[i]);
	}
	return rc;
}

static int
read_all(struct reader *r, struct run *run, int patience_ms, rd_kafka_message_t **raw, struct error *err)
{
	while (r->reading > 0) {
		if (take_batch(r, run, raw, err) != 0)
			return -1;
		hear(r);
		if (run->done != NULL)
			run->done(run->ctx, r->done);
		if (r->reading > 0 && clock_mono_us() - run->heard_us > (int64_t)patience_ms * 1000 && lose_patience(r, err) != 0)
			return -1;
	}
	return 0;
}

/* What was dropped while it was read was there once, too. */
static int
look_again(struct reader *r, int patience_ms, struct error *err)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)patience_ms * 1000;

	for (size_t i = 0; i < r->count; i++) {
		struct reader_partition *p = &r->partitions[i];
		int64_t low, high;

		if (ask_offsets(r, r->rk, p, deadline_us, &low, &high, err) != 0)
			return -1;
		p->low = low;
		p->cut = low > 0 && p->begin <= low;
	}
	return 0;
}

int
reader_run(struct reader *r, int patience_ms, int (*message)(void *ctx, const struct reader_message *m, struct error *err),
           void (*done)(void *ctx, int64_t offsets), void *ctx, struct error *err)
{
	struct run run = {.message = message, .done = done, .ctx = ctx, .heard_us = clock_mono_us()};
	rd_kafka_message_t **raw = calloc(BATCH, sizeof(rd_kafka_message_t *));
	int rc;

	if (raw == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	rc = start_partitions(r, err);
	if (rc == 0)
		rc = read_all(r, &run, patience_ms, raw, err);
	free(raw);
	return rc != 0 ? rc : look_again(r, patience_ms, err);
}
