/* replay.c - in: a connection, which events; out: their rows are unsent again, or how many would be. Knows no arguments and
 * prints nothing. */
#include "admin/replay.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/audit.h"
#include "admin/conn.h"
#include "admin/pace.h"
#include "admin/topic_sql.h"
#include "base/clock.h"
#include "source/statements.h"

#define STEP_ROWS 1000
#define STEP_RANGES 500

enum { P_FROM, P_TO, P_KEY, P_TOPIC, P_SINCE, P_UNTIL, P_EVENT_IDS, P_HEADER, P_COUNT };

/* A look through the chosen ranges. */
struct walk {
	const struct replay_range *ranges;
	size_t count, at;     /* the first range that is not done */
	int64_t last_id;      /* of the rows that the last step looked at */
	int64_t from_id;      /* everything below was looked at */
	struct replay_range all;
	const char *values[P_COUNT];
	int params;
	struct buf event_ids;
};

void
replay_report_done(struct replay_report *r)
{
	for (size_t i = 0; i < r->topics_count; i++)
		free(r->topics[i].name);
	free(r->topics);
	*r = REPLAY_REPORT_INIT;
}

/* --- whether it can be done --- */

static int
check_time(PGconn *conn, const char *time, const char *option, struct error *err)
{
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	if (time == NULL ||
	    conn_query(conn, "SELECT $1::timestamptz", 1, &time, "could not read the time", &res, err) == 0)
		return 0;
	if (strstr(err->message, "(SQLSTATE 22") == NULL)
		return -1;
	error_set(err, ERR_CONFIG, "%s: \"%s\" is no time", option, time);
	return error_hint(err, "write it as \"2026-11-21 09:30:00+00\"; PostgreSQL reads it");
}

static int
check_columns(const struct layout *lo, const struct replay_request *rq, struct error *err)
{
	const struct replay_choice *c = rq->choice;

	if (c->event_ids != NULL && lo->columns[COL_EVENT_ID].quoted == NULL) {
		error_set(err, ERR_CONFIG, "table \"%s\" has no column for outbox.columns.event_id", lo->relation);
		return error_hint(err, "name the events by the ids of their rows");
	}
	if ((c->since != NULL || c->until != NULL) && lo->columns[COL_CREATED_AT].quoted == NULL) {
		error_set(err, ERR_CONFIG, "table \"%s\" has no column for outbox.columns.created_at", lo->relation);
		return error_hint(err, "name the events by their ids, key or topic");
	}
	if (rq->header != NULL && lo->columns[COL_HEADERS].quoted == NULL) {
		error_set(err, ERR_CONFIG, "table \"%s\" has no column for headers, so replayed events cannot be marked", lo->relation);
		return error_hint(err, "--no-header offers them again as they are: consumers tell them by the header \"id\" alone");
	}
	return 0;
}

int
replay_check(PGconn *conn, const struct layout *lo, bool settle_delete, const struct replay_request *rq, struct error *err)
{
	if (settle_delete || lo->columns[COL_SENT_AT].quoted == NULL) {
		error_set(err, ERR_CONFIG, "rows leave the table when they are sent (outbox.settle: delete), so none can be offered again");
		return error_hint(err, "have the application write the events anew; with \"settle: mark\" they stay for outbox.retention "
		                       "from then on");
	}
	if (check_columns(lo, rq, err) != 0 || check_time(conn, rq->choice->since, "--since", err) != 0)
		return -1;
	return check_time(conn, rq->choice->until, "--until", err);
}

/* --- the statement of a step --- */

static void
add_looked(const struct layout *lo, const char *topic, struct buf *sql)
{
	const char *id = lo->columns[COL_ID].quoted;
	const char *created = lo->columns[COL_CREATED_AT].quoted;
	const char *event_id = lo->columns[COL_EVENT_ID].quoted;

	buf_printf(sql,
	           "WITH c AS MATERIALIZED (SELECT x.* FROM unnest($1::bigint[], $2::bigint[]) r(from_id, to_id) CROSS JOIN LATERAL"
	           " (SELECT t.%s AS id, t.%s::text AS key, t.%s IS NOT NULL AS sent, %s AS topic, %s%s::timestamptz AS created,"
	           " %s%s::text AS event_id FROM %s t WHERE t.%s BETWEEN r.from_id AND r.to_id ORDER BY t.%s LIMIT %d) x"
	           " ORDER BY x.id LIMIT %d)",
	           id, lo->columns[COL_AGGREGATE_ID].quoted, lo->columns[COL_SENT_AT].quoted, topic, created != NULL ? "t." : "",
	           created != NULL ? created : "NULL", event_id != NULL ? "t." : "", event_id != NULL ? event_id : "NULL",
	           lo->relation, id, id, STEP_ROWS, STEP_ROWS);
}

static void
add_chosen(const struct layout *lo, struct buf *sql)
{
	buf_printf(sql,
	           ", m AS MATERIALIZED (SELECT c.*, CASE WHEN NOT c.sent THEN 'unsent' WHEN EXISTS (SELECT FROM pgoutbox.parked p"
	           " WHERE p.relation = %" PRIu32 " AND p.state = 'parked' AND p.key = c.key) OR EXISTS (SELECT FROM pgoutbox.parked p"
	           " WHERE p.relation = %" PRIu32 " AND p.state = 'parked' AND p.event_row = c.id) THEN 'parked' ELSE 'sent' END AS state"
	           " FROM c WHERE ($3::text IS NULL OR c.key = $3) AND ($4::text IS NULL OR c.topic = $4)"
	           " AND ($5::timestamptz IS NULL OR c.created >= $5) AND ($6::timestamptz IS NULL OR c.created < $6)"
	           " AND ($7::text[] IS NULL OR c.event_id = ANY ($7)))",
	           lo->relation_oid, lo->relation_oid);
}

static void
add_header(const struct layout *lo, struct buf *sql)
{
	const char *h = lo->columns[COL_HEADERS].quoted;

	buf_printf(sql,
	           ", %s = (CASE WHEN jsonb_typeof(t.%s::jsonb) = 'object' THEN t.%s::jsonb ELSE '{}' END"
	           " || jsonb_build_object('" REPLAY_HEADER "', $8::text))%s",
	           h, h, h, lo->columns[COL_HEADERS].type == TYPE_JSON ? "::json" : "");
}

static int
make_text(const struct layout *lo, const struct replay_request *rq, struct buf *sql, struct error *err)
{
	struct buf topic __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *id = lo->columns[COL_ID].quoted;
	const char *sent = lo->columns[COL_SENT_AT].quoted;

	if (topic_sql(lo, rq->topic_template, &topic, err) != 0)
		return -1;
	add_looked(lo, buf_str(&topic), sql);
	add_chosen(lo, sql);
	if (rq->dry)
		buf_add_str(sql, ", d AS (SELECT m.id FROM m WHERE m.state = 'sent')");
	else {
		buf_printf(sql, ", d AS (UPDATE %s t SET %s = NULL", lo->relation, sent);
		if (rq->header != NULL)
			add_header(lo, sql);
		buf_printf(sql,
		           " WHERE t.%s = ANY (ARRAY(SELECT m.id FROM m WHERE m.state = 'sent')) AND t.%s IS NOT NULL RETURNING t.%s AS id)",
		           id, sent, id);
	}
	buf_add_str(sql,
	            ", g AS (SELECT m.state, m.topic, count(*) AS n, (extract(epoch FROM min(m.created)) * 1000000)::bigint AS oldest,"
	            " (extract(epoch FROM max(m.created)) * 1000000)::bigint AS newest FROM m"
	            " WHERE m.state <> 'sent' OR m.id IN (SELECT d.id FROM d) GROUP BY 1, 2)"
	            " SELECT l.n, l.last, g.state, g.topic, g.n, g.oldest, g.newest FROM (SELECT count(*) AS n, max(id) AS last FROM c) l"
	            " LEFT JOIN g ON true");
	sql->failed |= buf_failed(&topic);
	return 0;
}

/* --- what it found --- */

static int64_t
number(const PGresult *res, int row, int col)
{
	return strtoll(PQgetvalue(res, row, col), NULL, 10); /* NULL comes as "" */
}

static struct replay_topic *
topic_of(struct replay_report *r, const char *name)
{
	struct replay_topic *topics;

	for (size_t i = 0; i < r->topics_count; i++)
		if (r->topics[i].name == NULL ? name == NULL : name != NULL && strcmp(r->topics[i].name, name) == 0)
			return &r->topics[i];
	topics = realloc(r->topics, (r->topics_count + 1) * sizeof(*topics));
	if (topics == NULL)
		return NULL;
	r->topics = topics;
	topics[r->topics_count] = (struct replay_topic){.name = name != NULL ? strdup(name) : NULL};
	if (name != NULL && topics[r->topics_count].name == NULL)
		return NULL;
	return &topics[r->topics_count++];
}

static void
widen(int64_t *oldest_us, int64_t *newest_us, const PGresult *res, int row)
{
	int64_t oldest = number(res, row, 5), newest = number(res, row, 6);

	if (PQgetisnull(res, row, 5))
		return;
	if (*oldest_us == 0 || oldest < *oldest_us)
		*oldest_us = oldest;
	if (newest > *newest_us)
		*newest_us = newest;
}

static int
take_group(struct replay_report *r, const PGresult *res, int row, struct error *err)
{
	const char *state = PQgetvalue(res, row, 2);
	int64_t n = number(res, row, 4);
	struct replay_topic *t;

	if (strcmp(state, "unsent") == 0)
		r->unsent += n;
	else if (strcmp(state, "parked") == 0)
		r->parked += n;
	else if (strcmp(state, "sent") == 0) {
		r->count += n;
		widen(&r->oldest_us, &r->newest_us, res, row);
		t = topic_of(r, PQgetisnull(res, row, 3) ? NULL : PQgetvalue(res, row, 3));
		if (t == NULL)
			return error_set(err, ERR_RETRY, "out of memory");
		t->count += n;
		widen(&t->oldest_us, &t->newest_us, res, row);
	}
	return 0;
}

/* --- the walk --- */

/* What is written from now on is none of ours: there is an end. */
static int
whole_table(PGconn *conn, const struct layout *lo, struct walk *w, struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	PGresult *res __attribute__((cleanup(conn_clear))) = NULL;

	buf_printf(&sql, "SELECT max(%s) FROM %s", lo->columns[COL_ID].quoted, lo->relation);
	if (conn_ask(conn, &sql, 0, NULL, "could not look at the table", &res, err) != 0)
		return -1;
	w->all = (struct replay_range){LADDER_BOTTOM, number(res, 0, 0)};
	w->ranges = &w->all;
	w->count = PQgetisnull(res, 0, 0) ? 0 : 1;
	return 0;
}

/* As PostgreSQL writes a uuid, whatever it was copied from. */
static void
make_lower(struct buf *text)
{
	for (size_t i = 0; i < text->len; i++)
		text->data[i] = (char)tolower((unsigned char)text->data[i]);
}

static int
begin_walk(PGconn *conn, const struct layout *lo, const struct replay_request *rq, struct walk *w, struct error *err)
{
	const struct replay_choice *c = rq->choice;

	*w = (struct walk){.ranges = c->ranges, .count = c->ranges_count, .from_id = LADDER_BOTTOM};
	w->params = rq->header != NULL && !rq->dry ? P_COUNT : P_HEADER;
	w->values[P_KEY] = c->key;
	w->values[P_TOPIC] = c->topic;
	w->values[P_SINCE] = c->since;
	w->values[P_UNTIL] = c->until;
	w->values[P_HEADER] = rq->header;
	if (c->event_ids != NULL) {
		for (size_t i = 0; i < c->event_ids_count; i++)
			statements_array_add(&w->event_ids, c->event_ids[i]);
		if (lo->columns[COL_EVENT_ID].type == TYPE_UUID)
			make_lower(&w->event_ids);
		buf_add_str(&w->event_ids, c->event_ids_count == 0 ? "{}" : "}");
		if (buf_failed(&w->event_ids))
			return error_set(err, ERR_RETRY, "out of memory");
		w->values[P_EVENT_IDS] = buf_str(&w->event_ids);
	}
	return c->ranges != NULL ? 0 : whole_table(conn, lo, w, err);
}

/* The next ranges as two array literals; returns where they end. */
static size_t
bind_ranges(const struct walk *w, struct buf *from, struct buf *to)
{
	size_t end = w->count - w->at > STEP_RANGES ? w->at + STEP_RANGES : w->count;

	for (size_t i = w->at; i < end; i++) {
		const struct replay_range *r = &w->ranges[i];

		buf_printf(from, "%c%" PRId64, i == w->at ? '{' : ',', r->from > w->from_id ? r->from : w->from_id);
		buf_printf(to, "%c%" PRId64, i == w->at ? '{' : ',', r->to);
	}
	buf_add_char(from, '}');
	buf_add_char(to, '}');
	return end;
}

static void
advance(struct walk *w, size_t end, int64_t looked, int64_t last_id)
{
	if (looked < STEP_ROWS || last_id == INT64_MAX) {
		w->at = end;
		return;
	}
	w->from_id = last_id + 1;
	while (w->at < end && w->ranges[w->at].to <= last_id)
		w->at++;
}

static int64_t
replayed(const PGresult *res)
{
	int64_t count = 0;

	for (int row = 0; row < PQntuples(res); row++)
		if (strcmp(PQgetvalue(res, row, 2), "sent") == 0)
			count += number(res, row, 4);
	return count;
}

static int
take_step(PGconn *conn, const struct buf *sql, struct walk *w, PGresult **ret_res, struct error *err)
{
	struct buf from __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf to __attribute__((cleanup(buf_done))) = BUF_INIT;
	size_t end = bind_ranges(w, &from, &to);

	if (buf_failed(&from) || buf_failed(&to))
		return error_set(err, ERR_RETRY, "out of memory");
	w->values[P_FROM] = buf_str(&from);
	w->values[P_TO] = buf_str(&to);
	if (conn_ask(conn, sql, w->params, w->values, "could not offer the events again", ret_res, err) != 0)
		return -1;
	w->last_id = number(*ret_res, 0, 1);
	advance(w, end, number(*ret_res, 0, 0), w->last_id);
	return 0;
}

/* All of it is counted, even where memory is too short for the names of topics. */
static int
take_report(struct replay_report *r, const PGresult *res, struct error *err)
{
	int rc = 0;

	r->looked += number(res, 0, 0);
	for (int row = 0; row < PQntuples(res); row++)
		if (!PQgetisnull(res, row, 2) && take_group(r, res, row, err) != 0)
			rc = -1;
	return rc;
}

/* What a step did is noted with it. */
static int
note(PGconn *conn, const struct layout *lo, const struct replay_request *rq, int64_t count, int64_t last_id,
     struct error *err)
{
	char events[24], last[24];
	const struct audit_detail details[] = {{"events", events, true},
	                                       {"through_id", last, true},
	                                       {"replay_id", rq->header, false},
	                                       {"key", rq->choice->key, false},
	                                       {"topic", rq->choice->topic, false},
	                                       {"since", rq->choice->since, false},
	                                       {"until", rq->choice->until, false}};

	if (rq->dry || count == 0)
		return 0;
	snprintf(events, sizeof(events), "%" PRId64, count);
	snprintf(last, sizeof(last), "%" PRId64, last_id);
	return audit_add(conn, "replay", lo->relation_oid, details, sizeof(details) / sizeof(details[0]), err);
}

static int
walk(PGconn *conn, const struct layout *lo, const struct buf *sql, const struct replay_request *rq, struct walk *w,
     struct replay_report *r, struct error *err)
{
	while (w->at < w->count) {
		PGresult *res __attribute__((cleanup(conn_clear))) = NULL;
		int64_t begun_us = clock_mono_us();
		int rc = conn_exec(conn, PACE_BEGIN, "could not begin", err);

		if (rc == 0)
			rc = take_step(conn, sql, w, &res, err);
		if (rc == 0)
			rc = note(conn, lo, rq, replayed(res), w->last_id, err);
		if (pace_end(conn, rc, err) != 0 || take_report(r, res, err) != 0)
			return -1;
		if (rq->progress != NULL)
			rq->progress(rq->ctx, r);
		pace_rest(begun_us);
	}
	return 0;
}

int
replay_run(PGconn *conn, const struct layout *lo, const struct replay_request *rq, struct replay_report *ret_report,
           struct error *err)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct walk w;
	int rc;

	*ret_report = REPLAY_REPORT_INIT;
	if (make_text(lo, rq, &sql, err) != 0)
		return -1;
	rc = begin_walk(conn, lo, rq, &w, err);
	if (rc == 0)
		rc = walk(conn, lo, &sql, rq, &w, ret_report, err);
	buf_done(&w.event_ids);
	return rc;
}
