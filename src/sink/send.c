/* send.c - messages come in and go to librdkafka, at once or when their gate lets them; what comes back is events.c's.
 *
 * It must not know the database or the outbox: a message's opaque is a stranger's pointer.
 */
#include <string.h>

#include "base/clock.h"
#include "sink/classify.h"
#include "sink/producer_impl.h"

/* A record batch of one record has 61 bytes of header and at least 7 of lengths and deltas
 * (https://kafka.apache.org/documentation/#recordbatch), and each of its headers 2. */
#define RECORD_OVERHEAD 68
#define HEADER_OVERHEAD 2

/* A limit older than this is asked for again before it parks an event: an operator may just have raised it. */
#define LIMIT_FRESH_US 1000000

static size_t
message_bytes(const struct message *m)
{
	size_t bytes = m->key.len + m->value.len + m->headers_count * HEADER_OVERHEAD;

	for (size_t i = 0; i < m->headers_count; i++)
		bytes += strlen(m->headers[i].name) + m->headers[i].value.len;
	return bytes;
}

/* The same of one that came back. */
size_t
send_bytes_of(const rd_kafka_message_t *m)
{
	size_t bytes = m->key_len + m->len + RECORD_OVERHEAD, size;
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;

	if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return bytes;
	for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		bytes += strlen(name) + size + HEADER_OVERHEAD;
	return bytes;
}

/* However long the event took to come back, the answer to a question asked on its behalf decides: else it might never be
 * fresh. */
static bool
limit_is_fresh(struct topic *t)
{
	bool answered = t->limit_awaited && !t->limit_asked;

	if (!answered)
		return !t->limit_awaited && clock_mono_us() - t->limit_us <= LIMIT_FRESH_US;
	t->limit_awaited = false;
	return true;
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
	if (!limit_is_fresh(t)) {
		t->limit_awaited = true;
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

static int
hand_over(struct producer *p, struct topic *t, const struct message *m, void *opaque, enum send_class *ret_class,
          struct error *err)
{
	rd_kafka_resp_err_t code = produce(p, t, m, opaque);

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		(void)refuse(p, m, code, ret_class, err);
		gate_reported(t, -1, m->key, *ret_class, clock_mono_us());
		return -1;
	}
	t->alone = t->in_flight == 0;
	t->in_flight++;
	return 0;
}

static int
keep(struct producer *p, struct topic *t, const struct message *m, void *opaque, int64_t now_us,
     enum send_class *ret_class, struct error *err)
{
	if (m->key.len + m->value.len > p->message_max)
		return refuse(p, m, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ret_class, err);
	if (gate_keep(t, m, opaque) != 0) {
		*ret_class = SEND_OUTAGE;
		return error_set(err, ERR_RETRY, "out of memory");
	}
	topics_keep(&p->topics, t, now_us);
	return 0;
}

/* What waits goes first: nothing passes it while it is about to be let go. */
static int
send_or_keep(struct producer *p, struct topic *t, const struct message *m, void *opaque, enum send_class *ret_class,
             struct error *err)
{
	int64_t now_us = clock_coarse_us();

	if (t->gate.ripe || !gate_admit(t, m->key, now_us))
		return keep(p, t, m, opaque, now_us, ret_class, err);
	return hand_over(p, t, m, opaque, ret_class, err);
}

int
producer_send(struct producer *p, const struct message *m, void *opaque, enum send_class *ret_class, struct error *err)
{
	struct topic *t;
	int rc;

	if (p->life != PRODUCER_LIVE) {
		*ret_class = SEND_FATAL;
		return error_set(err, ERR_RETRY, "the producer failed: %s", p->reason);
	}
	if (p->purged) {
		*ret_class = SEND_OUTAGE;
		return error_set(err, ERR_RETRY, "the producer has been purged");
	}
	if (topics_get(&p->topics, m->topic, &t, err) != 0) {
		*ret_class = SEND_TOPIC;
		return -1;
	}
	if (check_limit(p, t, m, ret_class, err) != 0)
		return -1;
	rc = send_or_keep(p, t, m, opaque, ret_class, err);
	p->in_flight += rc == 0;
	flusher_sent(&p->flusher);
	p->watch.deadline_us = producer_deadline(p);
	return rc;
}

/* Those that wait do so for the topic's limit too. */
static void
judge_waiting(struct producer *p, struct topic *t)
{
	enum send_class class;
	struct error err;

	for (struct waiting *w = t->gate.first; w != NULL; w = w->next)
		if (w->fate == SEND_OK && check_limit(p, t, &w->m, &class, &err) != 0)
			gate_spoil(t, w, class, err.message);
}

static void
report_failed(struct producer *p, struct waiting *failed)
{
	struct waiting *w;

	while ((w = failed) != NULL) {
		struct report r = {.opaque = w->opaque, .class = w->fate, .partition = -1, .offset = -1, .reason = w->reason};

		if (r.reason == NULL)
			r.reason = "waited behind an event that was not accepted";
		failed = w->next;
		p->in_flight--;
		p->events.report(p->events.ctx, &r);
		waiting_free(w);
	}
}

/* Told only when all have gone their ways, because the receiver may send. */
static void
let_go(struct producer *p, struct topic *t, int64_t now_us)
{
	struct waiting *w, *failed = NULL, **end = &failed;
	enum send_class class;
	struct error err;

	judge_waiting(p, t);
	while ((w = gate_take(t, now_us)) != NULL) {
		if (w->fate == SEND_OK && hand_over(p, t, &w->m, w->opaque, &class, &err) != 0)
			gate_spoil(t, w, class, err.message);
		if (w->fate == SEND_OK) {
			waiting_free(w);
			continue;
		}
		*end = w;
		end = &w->next;
		w->next = NULL;
	}
	report_failed(p, failed);
}

void
send_waiting(struct producer *p, int64_t now_us)
{
	struct topic *t, *next;

	if (p->life != PRODUCER_LIVE || p->purged)
		HASH_ITER (hh, p->topics.table, t, next)
			gate_fail(t, p->life == PRODUCER_LIVE ? SEND_OUTAGE : SEND_FATAL);
	if (!p->topics.ripe)
		return;
	p->topics.ripe = false;
	HASH_ITER (hh, p->topics.table, t, next)
		if (t->gate.ripe)
			let_go(p, t, now_us);
}

size_t
producer_message_max(const struct producer *p, const char *topic)
{
	const struct topic *t = topics_find(&p->topics, topic);

	if (t == NULL || t->limit_bytes == 0 || p->compresses || t->limit_bytes > p->message_max)
		return p->message_max;
	return t->limit_bytes > RECORD_OVERHEAD ? t->limit_bytes - RECORD_OVERHEAD : 0;
}

