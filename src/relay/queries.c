/* queries.c - in: what the session of the queries brings; out: their metrics, and a word in the log when one begins or ends to fail. */
#include "relay/queries.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "metrics/readings.h"
#include "relay/link.h"
#include "relay/plan.h"

_Static_assert((int)ASKER_ROWS_MAX == (int)READINGS_ROWS_MAX, "what is fetched is what is shown, and one row that tells of more");

/* Where there are more consumers and scopes than rows are shown, what alarms is. */
#define RECONCILIATION_SQL "SELECT kit, name, subject, value, alarm FROM pgoutbox.reconcile() ORDER BY alarm DESC, kit DESC, name, subject"

struct queries {
	struct queries_options opt;
	struct session_options session;
	struct asker_query list[CONFIG_QUERIES_MAX + 1];
	const char *names[CONFIG_QUERIES_MAX + 1];
	size_t count;
	struct asker *asker;
	struct readings *readings;
	struct link link;
	bool joined; /* the loop has the watches */
	bool away;   /* the session was lost, which was said */
	struct error failures[CONFIG_QUERIES_MAX + 1]; /* what was said of a query that fails; "" = it does not */
	bool cut[CONFIG_QUERIES_MAX + 1];              /* the same of one that gives too much */
};

size_t
queries_list(const struct config *cfg, struct asker_query ret_list[CONFIG_QUERIES_MAX + 1])
{
	const struct config_properties *sql = &cfg->queries.sql;
	size_t count = 0;

	if (cfg->queries.reconciliation)
		ret_list[count++] = (struct asker_query){CONFIG_QUERY_RECONCILIATION, RECONCILIATION_SQL};
	for (size_t i = 0; i < sql->count && i < CONFIG_QUERIES_MAX; i++)
		ret_list[count++] = (struct asker_query){sql->items[i].name, sql->items[i].value};
	return count;
}

static void
failed(struct queries *q, size_t i, const struct error *err)
{
	struct error *said = &q->failures[i];
	struct metrics_scope *m = metrics_query(q->opt.metrics, i);

	readings_clear(q->readings, i);
	metrics_add(m, METRIC_QUERIES_FAILED, 1);
	metrics_unset(m, METRIC_QUERIES_SUCCESS);
	metrics_unset(m, METRIC_QUERIES_DURATION);
	if (strcmp(said->message, err->message) == 0)
		return;
	*said = *err;
	log_error(q->opt.log, LOG_WARNING, "query-failed", err);
}

static void
on_failed(void *ctx, size_t i, const struct error *err)
{
	failed(ctx, i, err);
}

static void
tell_cut(struct queries *q, size_t i, bool dropped)
{
	struct error err;

	if (dropped)
		metrics_add(metrics_query(q->opt.metrics, i), METRIC_QUERIES_DROPPED, 1);
	if (dropped && !q->cut[i]) {
		error_set(&err, ERR_CONFIG, "query \"%s\" gives more than %d rows or %d bytes: the rest is not shown", q->list[i].name,
		          READINGS_ROWS_MAX, READINGS_BYTES_MAX);
		error_hint(&err, "group its rows, or have it select only those that count, with ORDER BY and LIMIT");
		log_error(q->opt.log, LOG_WARNING, "query-cut", &err);
	}
	q->cut[i] = dropped;
}

static void
on_answered(void *ctx, size_t i, const struct asker_answer *a)
{
	struct queries *q = ctx;
	struct metrics_scope *m = metrics_query(q->opt.metrics, i);
	struct readings_table t = {.columns = a->columns, .rows = a->rows, .names = a->names, .values = a->values, .cells = a->cells};
	bool dropped;
	struct error err;

	if (readings_put(q->readings, i, &t, &dropped, &err) != 0) {
		failed(q, i, &err);
		return;
	}
	tell_cut(q, i, dropped);
	metrics_set(m, METRIC_QUERIES_SUCCESS, clock_wall_us());
	metrics_set(m, METRIC_QUERIES_DURATION, a->elapsed_us);
	if (q->failures[i].message[0] == '\0')
		return;
	q->failures[i] = (struct error){.kind = ERR_RETRY};
	log_write(q->opt.log, LOG_NOTICE, "query-works", "query \"%s\" gives metrics again", q->list[i].name);
}

static void
on_opened(void *ctx)
{
	struct queries *q = ctx;

	link_up(&q->link);
	q->away = false;
}

/* That PostgreSQL is away the relays say; here is said what only this session meets, such as a limit of connections. */
static void
on_lost(void *ctx, const struct error *err)
{
	struct queries *q = ctx;
	struct error said;

	for (size_t i = 0; i < q->count; i++) {
		readings_clear(q->readings, i);
		metrics_unset(metrics_query(q->opt.metrics, i), METRIC_QUERIES_SUCCESS);
		metrics_unset(metrics_query(q->opt.metrics, i), METRIC_QUERIES_DURATION);
		metrics_add(metrics_query(q->opt.metrics, i), METRIC_QUERIES_FAILED, !q->away);
	}
	if (!q->away) {
		said = *err;
		error_prefix(&said, "the queries have no session");
		log_error(q->opt.log, LOG_WARNING, "queries-away", &said);
	}
	q->away = true;
	link_down(&q->link);
}

static void
reopen(void *ctx)
{
	struct queries *q = ctx;

	asker_open(q->asker);
}

static void
plan(struct queries *q)
{
	const struct config *cfg = q->opt.cfg;

	q->session = plan_session(cfg);
	q->session.statement_timeout_ms = cfg->queries.timeout_ms;
	q->count = queries_list(cfg, q->list);
	for (size_t i = 0; i < q->count; i++) {
		q->names[i] = q->list[i].name;
		q->failures[i] = (struct error){.kind = ERR_RETRY};
	}
}

static int
join(struct queries *q, struct error *err)
{
	q->joined = true;
	if (loop_add(q->opt.loop, asker_watch(q->asker), err) != 0 || loop_add(q->opt.loop, asker_timer(q->asker), err) != 0)
		return -1;
	return loop_add(q->opt.loop, &q->link.timer, err);
}

int
queries_new(const struct queries_options *opt, struct queries **ret_queries, struct error *err)
{
	struct asker_events events = {.answered = on_answered, .failed = on_failed, .opened = on_opened, .lost = on_lost};
	struct asker_options ao = {.interval_ms = opt->cfg->queries.interval_ms};
	struct queries *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	q->opt = *opt;
	plan(q);
	if (q->count == 0) {
		free(q);
		*ret_queries = NULL;
		return 0;
	}
	link_init(&q->link, reopen, q);
	ao.session = &q->session;
	ao.queries = q->list;
	ao.count = q->count;
	events.ctx = q;
	q->asker = asker_new(&ao, &events);
	if (q->asker == NULL)
		error_set(err, ERR_FATAL, "out of memory");
	if (q->asker == NULL || readings_new(q->names, q->count, &q->readings, err) != 0 || join(q, err) != 0) {
		queries_free(q);
		return -1;
	}
	asker_open(q->asker);
	*ret_queries = q;
	return 0;
}

void
queries_free(struct queries *q)
{
	if (q == NULL)
		return;
	if (q->joined) {
		loop_remove(q->opt.loop, asker_watch(q->asker));
		loop_remove(q->opt.loop, asker_timer(q->asker));
		loop_remove(q->opt.loop, &q->link.timer);
	}
	asker_free(q->asker);
	readings_free(q->readings);
	free(q);
}

void
queries_render(struct queries *q, struct buf *out)
{
	if (q != NULL)
		readings_render(q->readings, out);
}
