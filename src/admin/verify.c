/* verify.c - in: an outbox, its Kafka; out: what differs between them. Brings the table's stream, the topics' stream and the comparison
 * together. */
#include "admin/verify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "admin/events.h"
#include "admin/replay.h"
#include "base/clock.h"
#include "route/topic.h"
#include "sink/cluster.h"

#define LOOK_MS 10000
#define LOOK_TOPIC_MS 200 /* more for each topic */
#define ENDS_MS 30000
#define PROGRESS_ROWS 4096
#define SINCE_MARGIN_MS 3600000 /* a broker's clock, by which its topic may be dated, can be slow */

struct verify {
	const struct config *cfg;
	const struct outbox *o;
	const struct verify_request *rq;
	struct verify_report *report;
	struct events_choice choice;
	struct events_time since, until;
	struct fingerprint_how how;
	struct reader *reader;
	struct compare *compare;
	struct compare_place *places;
	bool *compacted;
	int64_t due_us; /* what was sent before must be there */
	int64_t rows, rows_total;
	struct arena arena;
	int64_t missing[EVENTS_IDS_MAX];
	size_t missing_count;
	struct error missing_err;
	bool missing_failed;
};

void
verify_report_done(struct verify_report *r)
{
	for (size_t kind = 0; kind < COMPARE_KINDS; kind++)
		for (size_t i = 0; i < r->examples_count[kind]; i++)
			free(r->examples[kind][i].event_id);
	events_topics_done(r->topics, r->topics_count);
	*r = VERIFY_REPORT_INIT;
}

bool
verify_differs(const struct verify_report *r)
{
	for (size_t kind = 0; kind < COMPARE_KINDS; kind++)
		if (r->found.counts[kind] > 0)
			return true;
	return false;
}

static void
tell_progress(const struct verify *v, enum verify_phase phase, int64_t done, int64_t total)
{
	if (v->rq->progress != NULL)
		v->rq->progress(v->rq->ctx, phase, done, total);
}

/* --- whether it can be done, and of what --- */

static int
check(const struct verify *v, struct error *err)
{
	const struct layout *lo = &v->o->layout;

	bool deletes = v->cfg->outbox.settle == SETTLE_DELETE;

	if ((deletes && !v->cfg->outbox.receipts) || (!deletes && lo->columns[COL_SENT_AT].quoted == NULL)) {
		error_set(err, ERR_CONFIG, "rows leave the table when they are sent (outbox.settle: delete), so there is nothing to compare by");
		return error_hint(err, "with \"receipts: true\" what verify needs is kept for outbox.retention from then on");
	}
	if (deletes && (v->rq->since != NULL || v->rq->until != NULL)) {
		error_set(err, ERR_CONFIG, "receipts do not tell when events were created");
		return error_hint(err, "leave --since and --until out");
	}
	if (lo->columns[COL_EVENT_ID].quoted == NULL) {
		error_set(err, ERR_CONFIG, "table \"%s\" has no column for outbox.columns.event_id, so messages tell no event", lo->relation);
		return error_hint(err, "add one, and map it: consumers need it, too, to recognise what comes twice");
	}
	if ((v->rq->since != NULL || v->rq->until != NULL) && lo->columns[COL_CREATED_AT].quoted == NULL) {
		error_set(err, ERR_CONFIG, "table \"%s\" has no column for outbox.columns.created_at", lo->relation);
		return error_hint(err, "leave --since and --until out");
	}
	return 0;
}

static int
read_times(struct verify *v, struct error *err)
{
	PGconn *conn = v->o->target.conn;

	if (v->rq->since != NULL && events_time(conn, v->rq->since, "--since", &v->since, err) != 0)
		return -1;
	if (v->rq->until != NULL && events_time(conn, v->rq->until, "--until", &v->until, err) != 0)
		return -1;
	v->choice = (struct events_choice){
		.topic_template = v->cfg->kafka.topic,
		.topic = v->rq->topic,
		.since = v->rq->since != NULL ? v->since.text : NULL,
		.until = v->rq->until != NULL ? v->until.text : NULL,
		.receipts = v->cfg->outbox.settle == SETTLE_DELETE,
	};
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* Rows whose topic has a name that no topic may have were parked. */
static void
drop_bad_names(struct verify_report *r)
{
	struct error ignored;
	size_t kept = 0;

	for (size_t i = 0; i < r->topics_count; i++)
		if (topic_check(slice_from(r->topics[i]), ERR_CONFIG, &ignored) == 0)
			r->topics[kept++] = r->topics[i];
		else
			free(r->topics[i]);
	r->topics_count = kept;
}

static int
list_topics(struct verify *v, struct error *err)
{
	struct verify_report *r = v->report;
	PGconn *conn = v->o->target.conn;

	if (v->rq->topic != NULL && topic_check(slice_from(v->rq->topic), ERR_CONFIG, err) != 0)
		return -1;
	if (events_begin(conn, err) != 0 ||
	    events_topics(conn, &v->o->layout, &v->choice, &r->topics, &r->topics_count, err) != 0 || events_end(conn, err) != 0)
		return -1;
	drop_bad_names(r);
	qsort(r->topics, r->topics_count, sizeof(*r->topics), by_name);
	return 0;
}

/* --- Kafka --- */

static int
unreachable(const struct verify *v, const struct cluster *cl, struct error *err)
{
	if (cl->refused) {
		error_set(err, ERR_CONFIG, "Kafka at \"%s\" does not let us in: %s", v->cfg->kafka.brokers, cl->reason);
		return error_hint(err, "look at security.protocol, sasl.* and ssl.* in kafka.properties and kafka.property_files");
	}
	error_set(err, ERR_RETRY, "Kafka at \"%s\" cannot be reached: %s", v->cfg->kafka.brokers,
	          cl->reason[0] != '\0' ? cl->reason : "no answer");
	return error_hint(err, "check kafka.brokers and the network; \"pgoutboxctl check --full\" looks closer");
}

/* The first of the topics that will not do. */
static int
judge_topics(struct verify *v, const struct cluster_topic *topics, struct error *err)
{
	for (size_t i = 0; i < v->report->topics_count; i++) {
		const struct cluster_topic *t = &topics[i];

		v->compacted[i] = t->compacts;
		if (t->state == CLUSTER_TOPIC_MISSING)
			v->report->absent_topics++;
		if (t->state == CLUSTER_TOPIC_DENIED) {
			error_set(err, ERR_CONFIG, "topic \"%s\" may not be read: the principal is not authorized", t->name);
			return error_hint(err, "grant it Read and Describe on the topic");
		}
		if (t->state == CLUSTER_TOPIC_UNKNOWN)
			return error_set(err, ERR_RETRY, "topic \"%s\" could not be looked at: %s", t->name, t->reason);
	}
	return 0;
}

static int
look_at_cluster(struct verify *v, struct error *err)
{
	size_t count = v->report->topics_count;
	struct cluster_topic *topics = calloc(count + 1, sizeof(*topics));
	struct cluster cl;
	int rc = -1;

	v->compacted = calloc(count + 1, sizeof(*v->compacted));
	for (size_t i = 0; topics != NULL && i < count; i++)
		topics[i].name = v->report->topics[i];
	if (topics == NULL || v->compacted == NULL)
		error_set(err, ERR_RETRY, "out of memory");
	else
		rc = cluster_look(&v->o->target.plan.producer, false, LOOK_MS + (int)count * LOOK_TOPIC_MS, topics, count, &cl,
		                  err);
	if (rc == 0 && !cl.reached)
		rc = unreachable(v, &cl, err);
	if (rc == 0)
		rc = judge_topics(v, topics, err);
	free(topics);
	return rc;
}

static int
find_ends(struct verify *v, struct error *err)
{
	const struct verify_report *r = v->report;
	int64_t since_ms = v->rq->since != NULL ? v->since.ms - SINCE_MARGIN_MS : INT64_MIN;

	if (reader_new(&v->o->target.plan.producer, (const char *const *)r->topics, r->topics_count, &v->reader, err) != 0 ||
	    events_now(v->o->target.conn, &v->due_us, err) != 0 || reader_look(v->reader, since_ms, ENDS_MS, err) != 0)
		return -1;
	(void)reader_partitions(v->reader, &v->report->partitions);
	return 0;
}

/* --- rows --- */

static bool
find_topic(const struct verify *v, const char *name, uint32_t *ret_topic)
{
	char *const *found =
		bsearch(&name, v->report->topics, v->report->topics_count, sizeof(*v->report->topics), by_name);

	if (found != NULL)
		*ret_topic = (uint32_t)(found - v->report->topics);
	return found != NULL;
}

/* What the daemon would publish. A row that it could not publish as it is now has nothing in common with its message but the id. */
static int
route(struct verify *v, const struct event *ev, struct message *ret_m, struct error *err)
{
	const struct header id = {"id", ev->event_id};
	struct header *headers;

	if (router_route(v->o->target.plan.router, ev, &v->arena, ret_m, err) == 0)
		return 0;
	if (err->kind != ERR_POISON)
		return -1;
	headers = arena_alloc(&v->arena, sizeof(*headers));
	if (headers == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	*headers = id;
	*ret_m = (struct message){.topic = v->report->topics[0], .headers = headers, .headers_count = 1};
	return 0;
}

/* Of the partition that the receipt names, or the one that the key belongs to. */
static int64_t
place_of(const struct verify *v, uint32_t topic, int32_t partition, struct slice key)
{
	return partition >= 0 ? reader_partition_place(v->reader, topic, partition) : reader_place(v->reader, topic, key);
}

static void
count_row(struct verify *v)
{
	if (++v->rows % PROGRESS_ROWS == 0)
		tell_progress(v, VERIFY_ROWS, v->rows, v->rows_total);
}

static int
take_receipt(void *ctx, const struct events_receipt *r, struct error *err)
{
	struct verify *v = ctx;
	struct compare_row c = {.id = r->row_id, .sent_us = r->sent_us, .offset = r->offset, .due = r->sent_us < v->due_us, .bare = true};

	count_row(v);
	if (!find_topic(v, r->topic, &c.topic))
		return 0;
	fingerprint_bare(&v->how, r->event_id, r->key, r->sha256, &c.fp);
	c.place = place_of(v, c.topic, r->partition, r->key);
	return compare_add_row(v->compare, &c, err);
}

static int
take_row(void *ctx, const struct events_row *row, struct error *err)
{
	struct verify *v = ctx;
	const struct layout *lo = &v->o->layout;
	struct compare_row c = {.id = row->ev.id, .sent_us = row->sent_us, .aside = row->aside, .late = row->late};
	struct message m;

	count_row(v);
	arena_reset(&v->arena);
	if (route(v, &row->ev, &m, err) != 0)
		return -1;
	/* Of a topic that nothing had been sent to when it began. */
	if (!find_topic(v, m.topic, &c.topic))
		return 0;
	fingerprint_make(&v->how, &m, &c.fp);
	c.offset = row->offset;
	c.place = place_of(v, c.topic, row->partition, m.key);
	c.due = row->sent_us != 0 && row->sent_us < v->due_us;
	c.undated = c.fp.timestamp_ms == 0;
	/* replay has taken such headers through jsonb. */
	c.reordered = c.fp.marked && lo->columns[COL_HEADERS].type == TYPE_JSON;
	return compare_add_row(v->compare, &c, err);
}

/* Messages are read behind it, so that the snapshot holds back no vacuum for longer than the table takes. */
static int
read_rows(struct verify *v, const struct compare_options *how, struct error *err)
{
	struct compare_options opt = *how;
	PGconn *conn = v->o->target.conn;
	const struct layout *lo = &v->o->layout;
	int64_t oldest_us, now_us, kept_us = INT64_MIN;

	if (events_begin(conn, err) != 0 || events_oldest(conn, lo, &v->choice, &oldest_us, err) != 0 || events_now(conn, &now_us, err) != 0 ||
	    events_estimate(conn, lo, &v->rows_total, err) != 0)
		return -1;
	if (v->cfg->outbox.retention_ms != CONFIG_NEVER)
		kept_us = now_us - v->cfg->outbox.retention_ms * 1000;
	if (oldest_us != INT64_MAX && oldest_us < kept_us)
		oldest_us = kept_us;
	opt.oldest_ms = oldest_us == INT64_MAX ? INT64_MAX : oldest_us / 1000;
	if (v->rq->since != NULL || v->rq->until != NULL || v->rq->topic != NULL || v->choice.receipts)
		v->rows_total = -1;
	if (compare_new(&opt, &v->compare, err) != 0 ||
	    events_read(conn, lo, &v->o->target.plan.statements, &v->choice, take_row, v, err) != 0)
		return -1;
	if (v->choice.receipts && events_read_receipts(conn, lo, &v->choice, take_receipt, v, err) != 0)
		return -1;
	return events_end(conn, err);
}

/* --- messages --- */

static bool
in_range(const struct verify *v, const struct reader_message *m)
{
	if (m->append_time)
		return true;
	return (v->rq->since == NULL || m->m.timestamp_ms >= v->since.ms) &&
	       (v->rq->until == NULL || m->m.timestamp_ms < v->until.ms);
}

static int
take_message(void *ctx, const struct reader_message *m, struct error *err)
{
	struct verify *v = ctx;
	struct compare_message c = {.place = m->place, .offset = m->offset, .append_time = m->append_time};

	if (!in_range(v, m))
		return 0;
	fingerprint_make(&v->how, &m->m, &c.fp);
	return compare_add_message(v->compare, &c, err);
}

static void
on_offsets(void *ctx, int64_t offsets)
{
	const struct verify *v = ctx;

	tell_progress(v, VERIFY_MESSAGES, offsets, reader_total(v->reader));
}

static int
read_messages(struct verify *v, struct error *err)
{
	const struct reader_partition *partitions;
	size_t count;

	if (reader_run(v->reader, v->rq->patience_ms, take_message, on_offsets, v, err) != 0)
		return -1;
	partitions = reader_partitions(v->reader, &count);
	v->places = calloc(count + 1, sizeof(*v->places));
	if (v->places == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	for (size_t i = 0; i < count; i++) {
		const struct reader_partition *p = &partitions[i];

		v->places[i] = (struct compare_place){p->topic, p->partition, p->low, p->cut, p->open};
		v->report->open_partitions += p->open;
		v->report->cut_partitions += p->cut;
	}
	return 0;
}

/* --- findings --- */

static void
give_missing(struct verify *v)
{
	char *event_ids[EVENTS_IDS_MAX];

	if (v->missing_count > 0 && !v->missing_failed &&
	    events_ids(v->o->target.conn, &v->o->layout, &v->choice, v->missing, v->missing_count, event_ids, &v->missing_err) != 0)
		v->missing_failed = true;
	for (size_t i = 0; !v->missing_failed && i < v->missing_count; i++) {
		v->rq->missing(v->rq->ctx, v->missing[i], event_ids[i]);
		free(event_ids[i]);
	}
	v->missing_count = 0;
}

static void
on_found(void *ctx, const struct compare_finding *f)
{
	struct verify *v = ctx;
	struct verify_report *r = v->report;

	if (r->examples_count[f->kind] < VERIFY_EXAMPLES)
		r->examples[f->kind][r->examples_count[f->kind]++] = (struct verify_example){
			.finding = *f,
			.topic = r->topics[f->topic],
			.partition = f->has_message ? v->places[f->place].partition : -1,
		};
	if (f->kind != COMPARE_MISSING || v->rq->missing == NULL)
		return;
	v->missing[v->missing_count++] = f->row_id;
	if (v->missing_count == EVENTS_IDS_MAX)
		give_missing(v);
}

static void
on_judged(void *ctx, int64_t done)
{
	const struct verify *v = ctx;

	tell_progress(v, VERIFY_JUDGE, done, -1);
}

/* So that people can find them. */
static int
name_examples(struct verify *v, enum compare_kind kind, struct error *err)
{
	struct verify_example *examples = v->report->examples[kind], *named[VERIFY_EXAMPLES];
	int64_t ids[VERIFY_EXAMPLES];
	char *event_ids[VERIFY_EXAMPLES];
	size_t count = 0;

	for (size_t i = 0; i < v->report->examples_count[kind]; i++)
		if (examples[i].finding.has_row) {
			named[count] = &examples[i];
			ids[count++] = examples[i].finding.row_id;
		}
	if (count > 0 && events_ids(v->o->target.conn, &v->o->layout, &v->choice, ids, count, event_ids, err) != 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		named[i]->event_id = event_ids[i];
	return 0;
}

static int
judge(struct verify *v, struct error *err)
{
	if (compare_run(v->compare, v->places, v->report->partitions, &v->report->found, err) != 0)
		return -1;
	give_missing(v);
	if (v->missing_failed) {
		*err = v->missing_err;
		return -1;
	}
	for (int kind = 0; kind < COMPARE_KINDS; kind++)
		if (name_examples(v, (enum compare_kind)kind, err) != 0)
			return -1;
	return 0;
}

/* --- all of it --- */

static int
go(struct verify *v, struct error *err)
{
	struct compare_options opt = {
		.ranged = v->rq->since != NULL || v->rq->until != NULL,
		.found = on_found,
		.progress = on_judged,
		.ctx = v,
	};

	if (check(v, err) != 0 || read_times(v, err) != 0 || list_topics(v, err) != 0)
		return -1;
	if (v->report->topics_count == 0)
		return 0;
	if (look_at_cluster(v, err) != 0 || find_ends(v, err) != 0)
		return -1;
	opt.topics = v->report->topics_count;
	opt.compacted = v->compacted;
	if (read_rows(v, &opt, err) != 0 || read_messages(v, err) != 0)
		return -1;
	return judge(v, err);
}

int
verify_run(const struct config *cfg, const struct outbox *o, const struct verify_request *rq, struct verify_report *ret_report,
           struct error *err)
{
	struct verify_report r = VERIFY_REPORT_INIT;
	int64_t begun_us = clock_mono_us();
	struct verify *v = calloc(1, sizeof(*v));
	int rc = -1;

	if (v == NULL)
		return error_set(err, ERR_RETRY, "out of memory");
	*v = (struct verify){.cfg = cfg, .o = o, .rq = rq, .report = &r, .arena = ARENA_INIT};
	v->how = (struct fingerprint_how){.mark = REPLAY_HEADER, .digests = cfg->outbox.settle == SETTLE_DELETE};
	if (getrandom(&v->how.key, sizeof(v->how.key), 0) != (ssize_t)sizeof(v->how.key))
		error_set(err, ERR_RETRY, "could not draw a random number");
	else
		rc = go(v, err);
	reader_free(&v->reader);
	compare_free(&v->compare);
	arena_done(&v->arena);
	free(v->places);
	free(v->compacted);
	free(v);
	r.us = clock_mono_us() - begun_us;
	if (rc == 0)
		*ret_report = r;
	else
		verify_report_done(&r);
	return rc;
}
