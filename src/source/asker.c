/* asker.c - in: queries and time; out: their answers, or why there is none. Must not know what becomes of them. */
#include "source/asker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* Undoes what pins the claim's plans, for these are not ours. A query may rest for longer than a session may be silent, and
 * a relay that hangs holds nothing by this one. A query ends soon after its daemon, where the server can see that: other
 * systems refuse the setting. */
#define SETTINGS                                                                                                           \
	"SELECT set_config(name, reset_val, false) FROM pg_settings"                                                       \
	" WHERE name IN ('enable_seqscan', 'enable_bitmapscan', 'enable_sort', 'plan_cache_mode')"
#define LIMITS                                                                                                             \
	"SELECT set_config('idle_session_timeout', '0', false), set_config('extra_float_digits', '1', false),"              \
	" set_config('DateStyle', 'ISO', false),"                                                                          \
	" CASE WHEN version() LIKE '%linux%' THEN set_config('client_connection_check_interval', '1s', false) END"

/* Sent with each query, in one transaction. Not a setting of the session's: a pooler that shares server processes would hand it on
 * to the application, which could write no more. */
#define READ_ONLY "SELECT set_config('transaction_read_only', 'on', true)"
#define ROUND_ANSWER 1 /* the query's result, behind that one's */

/* From src/include/catalog/pg_type.dat of PostgreSQL, where they are fixed. */
enum { TYPE_BOOL = 16, TYPE_INT8 = 20, TYPE_INT2 = 21, TYPE_INT4 = 23, TYPE_FLOAT4 = 700, TYPE_FLOAT8 = 701, TYPE_TIMESTAMP = 1114,
       TYPE_TIMESTAMPTZ = 1184, TYPE_INTERVAL = 1186, TYPE_NUMERIC = 1700 };

enum phase { PHASE_SETTINGS, PHASE_COLUMNS, PHASE_ROWS };

struct question {
	int64_t next_us;
	char *rows_sql; /* NULL = its columns are not known */
};

struct asker {
	struct session *session;
	struct watch timer;
	struct asker_options opt;
	struct asker_events events;
	enum phase phase; /* of the round in flight, */
	size_t current;   /* and its query */
	int64_t columns_us; /* what asking for its columns took just now */
	bool ready;
	struct question questions[];
};

bool
asker_is_value(Oid type)
{
	switch (type) {
	case TYPE_BOOL:
	case TYPE_INT8:
	case TYPE_INT2:
	case TYPE_INT4:
	case TYPE_FLOAT4:
	case TYPE_FLOAT8:
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
	case TYPE_INTERVAL:
	case TYPE_NUMERIC:
		return true;
	default:
		return false;
	}
}

/* --- texts --- */

/* On lines of its own, so that a comment at its end ends there. */
static void
add_subquery(const char *sql, struct buf *out)
{
	size_t len = strlen(sql);

	while (len > 0 && strchr(" \t\r\n;", sql[len - 1]) != NULL)
		len--;
	buf_add_str(out, " FROM (\n");
	buf_add(out, sql, len);
	buf_add_str(out, "\n) AS q");
}

void
asker_columns_text(const char *sql, struct buf *out)
{
	buf_add_str(out, "SELECT *");
	add_subquery(sql, out);
	buf_add_str(out, " LIMIT 0");
}

static void
add_quoted(struct buf *out, const char *name)
{
	buf_add_char(out, '"');
	for (; *name != '\0'; name++)
		buf_printf(out, *name == '"' ? "%c\"" : "%c", *name);
	buf_add_char(out, '"');
}

/* Prometheus knows numbers of one kind, double precision, and times as seconds. */
static void
add_column(struct buf *out, const char *name, Oid type)
{
	bool seconds = type == TYPE_TIMESTAMP || type == TYPE_TIMESTAMPTZ || type == TYPE_INTERVAL;

	if (!asker_is_value(type))
		buf_add_str(out, "left(");
	else if (seconds)
		buf_add_str(out, "extract(epoch FROM ");
	buf_add_str(out, "q.");
	add_quoted(out, name);
	if (!asker_is_value(type))
		buf_printf(out, "::text, %d)", ASKER_TEXT_MAX);
	else
		buf_add_str(out, seconds ? ")::float8" : type == TYPE_BOOL ? "::int" : "::float8");
	buf_add_str(out, " AS ");
	add_quoted(out, name);
}

static char *
rows_text(const char *sql, const PGresult *columns)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_add_str(&out, "SELECT ");
	for (int c = 0; c < PQnfields(columns); c++) {
		buf_add_str(&out, c > 0 ? ", " : "");
		add_column(&out, PQfname(columns, c), PQftype(columns, c));
	}
	add_subquery(sql, &out);
	buf_printf(&out, " LIMIT %d", ASKER_ROWS_MAX + 1);
	return buf_take(&out);
}

/* --- failures --- */

static const char *
hint_of(const char *state)
{
	if (strcmp(state, "42501") == 0)
		return "grant the relay's role what the query reads; the kits' files do, run again with -v operator=ROLE";
	if (strcmp(state, "42883") == 0 || strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0)
		return "is it installed in this database, and its schema in the search path or in the query? pgoutbox.reconcile() comes with "
		       "kit-reconcile.sql";
	if (strcmp(state, "57014") == 0)
		return "make it cheaper, by an index for example, or raise queries.timeout";
	/* A function that would have the transaction write again is refused with a state of its own. */
	if (strncmp(state, "25", 2) == 0)
		return "the queries' transactions are read-only: a query that changes something belongs elsewhere";
	if (strncmp(state, "42", 2) == 0 || strcmp(state, "0A000") == 0)
		return "a query is one SELECT, with a name for each column: try it with psql";
	return NULL;
}

/* Of class 22 (data exception) the server's words may quote what is in a row. */
void
asker_error(const PGresult *res, const struct asker_query *q, struct error *err)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	char doing[64];

	snprintf(doing, sizeof(doing), "query \"%.40s\" failed", q->name);
	if (state != NULL && strncmp(state, "22", 2) == 0) {
		error_set(err, ERR_CONFIG, "%s: PostgreSQL could not make a value of what is in a row (SQLSTATE %s)", doing, state);
		error_hint(err, "run it with psql to see which value");
		return;
	}
	session_result_error(res, doing, err);
	if (state != NULL && hint_of(state) != NULL)
		error_hint(err, "%s", hint_of(state));
}

/* --- rounds --- */

static void
ask(struct asker *a, enum phase phase, const char *sql, int64_t now_us)
{
	a->phase = phase;
	session_query(a->session, READ_ONLY);
	session_query(a->session, sql);
	session_round_send(a->session, now_us);
}

static void
ask_columns(struct asker *a, int64_t now_us)
{
	struct buf sql __attribute__((cleanup(buf_done))) = BUF_INIT;

	asker_columns_text(a->opt.queries[a->current].sql, &sql);
	if (buf_failed(&sql))
		session_spoil(a->session);
	ask(a, PHASE_COLUMNS, buf_str(&sql), now_us);
}

static void
ask_rows(struct asker *a, int64_t now_us)
{
	ask(a, PHASE_ROWS, a->questions[a->current].rows_sql, now_us);
}

static void
schedule(struct asker *a)
{
	int64_t next_us = CLOCK_NEVER;

	for (size_t i = 0; i < a->opt.count; i++)
		if (a->questions[i].next_us < next_us)
			next_us = a->questions[i].next_us;
	a->timer.deadline_us = next_us;
}

/* The one that has been due for longest. */
static void
timer_fired(struct watch *w, short revents, int64_t now_us)
{
	struct asker *a = (struct asker *)(void *)((char *)w - offsetof(struct asker, timer));

	(void)revents;
	a->timer.deadline_us = CLOCK_NEVER;
	if (!a->ready || session_is_busy(a->session))
		return;
	for (size_t i = 0; i < a->opt.count; i++)
		if (i == 0 || a->questions[i].next_us < a->questions[a->current].next_us)
			a->current = i;
	if (a->questions[a->current].next_us > now_us) {
		schedule(a);
		return;
	}
	/* Should the session end meanwhile, the others come first. */
	a->questions[a->current].next_us = now_us + a->opt.interval_ms * 1000;
	a->columns_us = 0;
	if (a->questions[a->current].rows_sql == NULL)
		ask_columns(a, now_us);
	else
		ask_rows(a, now_us);
}

static void
forget(struct question *q)
{
	free(q->rows_sql);
	q->rows_sql = NULL;
}

static void
rest(struct asker *a, int64_t elapsed_us)
{
	int64_t rest_us = elapsed_us * ASKER_SHARE;

	if (rest_us < a->opt.interval_ms * 1000)
		rest_us = a->opt.interval_ms * 1000;
	a->questions[a->current].next_us = clock_mono_us() + rest_us;
}

/* What it reads may be another table by the next time. */
static void
failed(struct asker *a, const struct error *err)
{
	forget(&a->questions[a->current]);
	a->events.failed(a->events.ctx, a->current, err);
}

static void
columns_came(struct asker *a, const struct round *r)
{
	const struct asker_query *q = &a->opt.queries[a->current];
	const PGresult *res = r->results[ROUND_ANSWER];
	struct error err;

	if (PQnfields(res) > ASKER_COLUMNS_MAX) {
		error_set(&err, ERR_CONFIG, "query \"%s\" has more than %d columns", q->name, ASKER_COLUMNS_MAX);
		error_hint(&err, "select fewer, or make several queries of it");
		failed(a, &err);
		return;
	}
	/* PostgreSQL would say that a reference is ambiguous. */
	for (int c = 0; c < PQnfields(res); c++)
		for (int other = 0; other < c; other++)
			if (strcmp(PQfname(res, c), PQfname(res, other)) == 0) {
				error_set(&err, ERR_CONFIG, "two columns of query \"%s\" are named \"%s\"", q->name, PQfname(res, c));
				error_hint(&err, "name one of them otherwise, by AS");
				failed(a, &err);
				return;
			}
	a->questions[a->current].rows_sql = rows_text(q->sql, res);
	if (a->questions[a->current].rows_sql == NULL)
		session_spoil(a->session);
	a->columns_us = r->elapsed_us;
	ask_rows(a, clock_mono_us());
}

static void
rows_came(struct asker *a, const struct round *r)
{
	const PGresult *res = r->results[ROUND_ANSWER];
	size_t columns = (size_t)PQnfields(res), rows = (size_t)PQntuples(res);
	const char *names[ASKER_COLUMNS_MAX], *cells[(ASKER_ROWS_MAX + 1) * ASKER_COLUMNS_MAX];
	bool values[ASKER_COLUMNS_MAX];
	struct asker_answer answer = {.columns = columns, .rows = rows, .names = names, .values = values, .cells = cells,
	                              .elapsed_us = r->elapsed_us};

	for (size_t c = 0; c < columns; c++) {
		names[c] = PQfname(res, (int)c);
		values[c] = asker_is_value(PQftype(res, (int)c));
	}
	for (size_t i = 0; i < rows * columns; i++) {
		int row = (int)(i / columns), col = (int)(i % columns);

		cells[i] = PQgetisnull(res, row, col) ? NULL : PQgetvalue(res, row, col);
	}
	a->events.answered(a->events.ctx, a->current, &answer);
}

static void
settings_failed(struct asker *a, const struct round *r)
{
	struct error err;

	session_result_error(r->results[r->failed], "could not set up the session of the queries", &err);
	asker_close(a);
	a->events.lost(a->events.ctx, &err);
}

static void
query_failed(struct asker *a, const struct round *r)
{
	struct error err;

	asker_error(r->results[r->failed], &a->opt.queries[a->current], &err);
	failed(a, &err);
}

static void
on_round(void *ctx, struct round *r)
{
	struct asker *a = ctx;

	if (a->phase == PHASE_SETTINGS) {
		if (r->failed >= 0) {
			settings_failed(a, r);
			return;
		}
		a->ready = true;
		a->events.opened(a->events.ctx);
	} else if (r->failed >= 0) {
		query_failed(a, r);
	} else if (a->phase == PHASE_COLUMNS) {
		columns_came(a, r);
	} else {
		rows_came(a, r);
	}
	if (session_is_busy(a->session))
		return;
	if (a->phase != PHASE_SETTINGS)
		rest(a, a->columns_us + r->elapsed_us);
	schedule(a);
}

static void
on_ready(void *ctx)
{
	struct asker *a = ctx;

	a->phase = PHASE_SETTINGS;
	session_query(a->session, SETTINGS);
	session_query(a->session, LIMITS);
	session_round_send(a->session, clock_mono_us());
}

static void
on_lost(void *ctx, const struct error *err)
{
	struct asker *a = ctx;

	asker_close(a);
	a->events.lost(a->events.ctx, err);
}

struct asker *
asker_new(const struct asker_options *opt, const struct asker_events *events)
{
	struct asker *a = calloc(1, sizeof(*a) + opt->count * sizeof(a->questions[0]));
	struct session_events se = {.ready = on_ready, .round = on_round, .lost = on_lost, .ctx = a};

	if (a == NULL)
		return NULL;
	a->session = session_new(opt->session, "pgoutboxd queries", &se);
	if (a->session == NULL) {
		free(a);
		return NULL;
	}
	a->timer = (struct watch){.fd = -1, .deadline_us = CLOCK_NEVER, .fire = timer_fired};
	a->opt = *opt;
	a->events = *events;
	return a;
}

void
asker_free(struct asker *a)
{
	if (a == NULL)
		return;
	session_free(a->session);
	for (size_t i = 0; i < a->opt.count; i++)
		forget(&a->questions[i]);
	free(a);
}

struct watch *
asker_watch(struct asker *a)
{
	return session_watch(a->session);
}

struct watch *
asker_timer(struct asker *a)
{
	return &a->timer;
}

void
asker_open(struct asker *a)
{
	session_open(a->session);
}

/* The next session may meet other tables. */
void
asker_close(struct asker *a)
{
	a->ready = false;
	a->timer.deadline_us = CLOCK_NEVER;
	for (size_t i = 0; i < a->opt.count; i++)
		forget(&a->questions[i]);
	session_close(a->session);
}
