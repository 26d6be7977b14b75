/* events.c - librdkafka's queue comes in: reports, errors, log lines, answers; the relay's callbacks go out.
 *
 * Why a new producer in the place of a failed one keeps the order (promise 2). From the failure on, no thread of the
 * old one begins a request. What it had on the wire may still be stored later, but for each partition only as a
 * gapless continuation of what is stored: the broker refuses any other sequence number, and gate.h sees to it that it
 * knows the producer. So the old one adds the next events in order, as many as it may, and the new one adds them in
 * order from the same one on. Two such rows may be shuffled into one another, but the first of each event stands
 * behind the first of the one before. That holds whatever the cause: a lost place (sequence errors), a forgotten id,
 * a right to write that was taken, a batch that is too large. A purge (producer_purge) cuts the connections first, so
 * the old row ends there.
 *
 * It must not know events of the outbox or their payload; in particular rd_kafka_message_errstr() is never used,
 * because it takes a producer's payload for the text of an error.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>

#include "base/clock.h"
#include "sink/classify.h"
#include "sink/plain.h"
#include "sink/producer_impl.h"

/* Reports and events read in one go; the loop has others to serve. */
#define READ_MAX 4000

/* How long the reports of what is on the wire are waited for when the producer has failed. */
#define DYING_US 1000000

static void
start_dying(struct producer *p, int64_t now_us, const char *reason)
{
	if (p->life != PRODUCER_LIVE)
		return;
	p->life = PRODUCER_DYING;
	p->dead_due_us = now_us + DYING_US;
	snprintf(p->reason, sizeof p->reason, "%s", reason);
	/* Promise 2: first of all, none of librdkafka's threads may send any more, which is what this call does. A purge
	 * alone drops what waits to be tried again while another thread still sends what comes behind it. What is on the wire
	 * keeps its chance to be acknowledged. */
	rd_kafka_test_fatal_error(p->rk, RD_KAFKA_RESP_ERR__STATE, p->reason);
	rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

/* The next producer's batches must be smaller, or the same events are refused again. */
static void
shrink_batches(struct producer *p, int64_t now_us, const char *topic, size_t bytes)
{
	char reason[sizeof p->reason];

	if (p->life != PRODUCER_LIVE)
		return;
	p->batch_bytes_next = bytes > 1 ? bytes : 1;
	snprintf(reason, sizeof reason, "topic \"%.249s\" does not take batches of %zu bytes, smaller ones will be sent",
	         topic, p->batch_bytes);
	start_dying(p, now_us, reason);
}

/* A batch that is too large fails as a whole. Its records are to blame only where there is a single one. */
static enum send_class
judge_size(struct producer *p, const rd_kafka_message_t *m, bool alone, int64_t now_us)
{
	/* The answer that let it pass, if there was one, is out of date. */
	topics_ask_limit(&p->topics, topics_of(m));
	if (alone || m->len + m->key_len >= p->batch_bytes)
		return SEND_POISON;
	shrink_batches(p, now_us, rd_kafka_topic_name(m->rkt), p->batch_bytes / 2);
	return SEND_FATAL;
}

static enum send_class
judge(struct producer *p, const rd_kafka_message_t *m, const struct classified *c, bool alone, int64_t now_us)
{
	switch (c->verdict) {
	case VERDICT_OK:
		return SEND_OK;
	case VERDICT_OUTAGE:
		/* While dying, that is our own purge or what led to it. */
		return p->life == PRODUCER_LIVE ? SEND_OUTAGE : SEND_FATAL;
	case VERDICT_TOPIC:
		return SEND_TOPIC;
	case VERDICT_FATAL:
		/* Where librdkafka would go on all the same (INVALID_PRODUCER_EPOCH), later events would pass this one. */
		start_dying(p, now_us, c->why);
		return SEND_FATAL;
	case VERDICT_TOO_LARGE:
		return judge_size(p, m, alone, now_us);
	case VERDICT_BAD_RECORD:
		return alone ? SEND_POISON : SEND_TOPIC;
	}
	return SEND_FATAL;
}

/* A message that was refused for its size, in the words of the check before sending. */
static void
say_size(struct producer *p, const struct topic *t, const rd_kafka_message_t *m, char *text, size_t size)
{
	const char *compressed = p->compresses ? " before compression" : "";
	size_t bytes = send_bytes_of(m);

	if (m->err == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE)
		snprintf(text, size, "message takes %zu bytes%s, more than a log segment of topic \"%s\" (segment.bytes)", bytes,
		         compressed, t->name);
	else if (t->limit_bytes != 0 && bytes > t->limit_bytes)
		snprintf(text, size, "message takes %zu bytes%s, topic \"%s\" allows %zu (max.message.bytes)", bytes, compressed,
		         t->name, t->limit_bytes);
	else
		snprintf(text, size, "message takes %zu bytes%s, more than topic \"%s\" allows (max.message.bytes)", bytes,
		         compressed, t->name);
}

static void
say_why(struct producer *p, const struct topic *t, const rd_kafka_message_t *m, const struct classified *c,
        enum send_class class, char *text, size_t size)
{
	if (c->verdict == VERDICT_TOO_LARGE && class == SEND_POISON)
		say_size(p, t, m, text, size);
	else
		snprintf(text, size, "%s (%s)", c->why, rd_kafka_err2str(m->err));
}

/* librdkafka numbers the messages of a batch from the offset in the broker's answer on. A duplicate may be answered with -1
 * (DUPLICATE_SEQUENCE_NUMBER, which is a success), and then the second message seems to be at 0, the third at 1. All of a batch are
 * reported in one event; no true offset continues such a row, for the message of offset -1 is in the partition before it. */
static int64_t
true_offset(const rd_kafka_message_t *m, int64_t *unknown_next)
{
	if (m->offset >= 0 && m->offset != *unknown_next)
		return m->offset;
	*unknown_next = m->offset + 1;
	return -1;
}

static void
take_report(struct producer *p, const rd_kafka_message_t *m, int64_t offset, int64_t now_us, int64_t wall_us)
{
	struct topic *t = topics_of(m);
	struct report r = {
		.opaque = m->_private, .class = SEND_OK, .partition = m->partition, .offset = offset, .wall_us = wall_us};
	struct slice key = {m->key, m->key_len};
	char reason[512];
	bool alone = t->alone || gate_was_first(t, m->partition, key);

	t->in_flight--;
	p->in_flight--;
	t->ask_due_us = CLOCK_NEVER;
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		const struct classified *c = classify(m->err);

		r.class = judge(p, m, c, alone, now_us);
		say_why(p, t, m, c, r.class, reason, sizeof reason);
		r.reason = reason;
		r.offset = -1;
	}
	gate_reported(t, m->partition, key, r.class, now_us);
	p->events.report(p->events.ctx, &r);
}

static size_t
take_reports(struct producer *p, rd_kafka_event_t *event, int64_t now_us)
{
	const rd_kafka_message_t *m;
	int64_t wall_us = clock_wall_us();
	int64_t unknown_next = -1;
	size_t count = 0;

	while ((m = rd_kafka_event_message_next(event)) != NULL) {
		take_report(p, m, true_offset(m, &unknown_next), now_us, wall_us);
		count++;
	}
	return count;
}

static void
take_error(struct producer *p, rd_kafka_event_t *event, int64_t now_us)
{
	char said[sizeof p->reason], reason[sizeof p->reason];

	if (rd_kafka_event_error_is_fatal(event)) {
		rd_kafka_fatal_error(p->rk, said, sizeof said);
		redact_copy(&p->redact, said, reason, sizeof reason);
		start_dying(p, now_us, reason);
	} else if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		reach_suspect(&p->reach, now_us);
	} else {
		redact_copy(&p->redact, rd_kafka_event_error_string(event), p->broker_error, sizeof p->broker_error);
	}
}

static void
take_log(struct producer *p, rd_kafka_event_t *event)
{
	const char *facility, *text;
	char line[1024];
	int priority, len;

	if (rd_kafka_event_log(event, &facility, &text, &priority) != 0)
		return;
	/* An emergency for librdkafka, but told by fatal(). */
	if (strcmp(facility, "FATAL") == 0)
		return;
	len = snprintf(line, sizeof line, "%.64s: ", facility);
	redact_copy(&p->redact, text, line + len, sizeof line - (size_t)len);
	p->events.log(p->events.ctx, priority, line);
}

static void
take_limit(struct producer *p, rd_kafka_event_t *event, int64_t now_us)
{
	const char *name = ((struct topic *)rd_kafka_event_opaque(event))->name;
	const char *reason;
	struct topic *t = topics_take_limit(event, now_us, &reason);
	char line[512];

	if (t == NULL) {
		snprintf(line, sizeof line, "limit of topic \"%.249s\" is not known: %.200s", name, reason);
		p->events.log(p->events.ctx, LOG_DEBUG, line);
	} else if (!p->compresses && t->limit_bytes < p->batch_bytes) {
		shrink_batches(p, now_us, t->name, t->limit_bytes);
	}
}

static void
take_statistics(struct producer *p, rd_kafka_event_t *event)
{
	struct statistics st;
	struct error err;

	if (p->events.statistics == NULL)
		return;
	if (statistics_read(rd_kafka_event_stats(event), &st, &err) != 0)
		p->events.log(p->events.ctx, LOG_DEBUG, err.message);
	else
		p->events.statistics(p->events.ctx, &st);
}

/* Takes the event over. Returns what it counts in a turn. */
static size_t
take_event(struct producer *p, rd_kafka_event_t *event, int64_t now_us)
{
	size_t count;

	switch (rd_kafka_event_type(event)) {
	case RD_KAFKA_EVENT_DR:
		count = take_reports(p, event, now_us);
		flusher_reported(&p->flusher, event, count, now_us);
		return count;
	case RD_KAFKA_EVENT_ERROR:
		take_error(p, event, now_us);
		break;
	case RD_KAFKA_EVENT_LOG:
		take_log(p, event);
		break;
	case RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT:
		take_limit(p, event, now_us);
		break;
	case RD_KAFKA_EVENT_STATS:
		take_statistics(p, event);
		break;
	default:
		break;
	}
	rd_kafka_event_destroy(event);
	return 1;
}

/* librdkafka rings only when its queue was empty: what is left unread must ring here. */
static void
read_queue(struct producer *p, int64_t now_us)
{
	rd_kafka_event_t *event;
	size_t count = 0;

	while (count < READ_MAX && (event = rd_kafka_queue_poll(p->queue, 0)) != NULL)
		count += take_event(p, event, now_us);
	if (rd_kafka_queue_length(p->queue) > 0)
		(void)eventfd_write(p->watch.fd, 1);
}

/* With no time to wait, the code tells whether the request found a broker that is connected and has let us in. Where
 * there is none, this makes librdkafka connect to one. */
static bool
knock(struct producer *p)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t code = rd_kafka_metadata(p->rk, 0, NULL, &metadata, 0);

	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(metadata);
	return code != RD_KAFKA_RESP_ERR__TRANSPORT;
}

static void
look_for_brokers(struct producer *p, int64_t now_us)
{
	if (now_us < p->reach.knock_due_us || !reach_knocked(&p->reach, knock(p), now_us))
		return;
	if (p->reach.state == REACH_UP)
		p->events.reachable(p->events.ctx, true, NULL);
	else if (p->broker_error[0] == '\0')
		p->events.reachable(p->events.ctx, false, "no broker answers");
	else
		p->events.reachable(p->events.ctx, false, plain_reason(p->broker_error));
}

int64_t
producer_deadline(const struct producer *p)
{
	int64_t due_us = flusher_deadline(&p->flusher);

	if (p->topics.ripe)
		return 0;
	if (p->topics.due_us < due_us)
		due_us = p->topics.due_us;
	if (p->reach.knock_due_us < due_us)
		due_us = p->reach.knock_due_us;
	return p->dead_due_us < due_us ? p->dead_due_us : due_us;
}

void
producer_fire(struct watch *w, short revents, int64_t now_us)
{
	struct producer *p = (struct producer *)((char *)w - offsetof(struct producer, watch));
	eventfd_t rings;

	(void)revents;
	(void)eventfd_read(w->fd, &rings);
	if (p->life == PRODUCER_DEAD)
		return;
	read_queue(p, now_us);
	look_for_brokers(p, now_us);
	topics_tick(&p->topics, now_us);
	send_waiting(p, now_us);
	flusher_turn(&p->flusher, p->in_flight, now_us);
	w->deadline_us = producer_deadline(p);
	if (p->life == PRODUCER_DYING && (p->in_flight == 0 || now_us >= p->dead_due_us)) {
		p->life = PRODUCER_DEAD;
		w->deadline_us = CLOCK_NEVER;
		/* The last act, for the receiver may free p. */
		p->events.fatal(p->events.ctx, p->reason);
	}
}
