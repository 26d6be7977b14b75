/* status.c - the verb that tells how an outbox does. In: arguments; out: lines or JSON, an exit status that is the verdict. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "admin/outbox.h"
#include "admin/survey.h"
#include "ctl/endpoint.h"
#include "ctl/report.h"
#include "ctl/samples.h"
#include "ctl/table.h"
#include "ctl/term.h"
#include "ctl/verb.h"
#include "ctl/verdict.h"
#include "ctl/words.h"

#define OLD_SNAPSHOT_US (INT64_C(60) * 1000000) /* what people are told of */
#define PRUNE_LATE_US (INT64_C(3600) * 1000000) /* a pass takes its time */

struct view {
	const struct config *cfg;
	const struct layout *layout;
	struct survey survey;
	struct endpoint endpoint;
	struct verdict verdict;
};

static void
view_done(struct view *v)
{
	endpoint_done(&v->endpoint);
}

static bool
sample(const struct view *v, const char *name, const char *more, double *ret_value)
{
	return samples_get(buf_str(&v->endpoint.metrics), name, v->cfg->outbox.table, more, ret_value);
}

/* --- for programs --- */

static json_t *
time_json(int64_t us)
{
	char text[WORDS_SIZE];

	return us > 0 ? json_string(words_time(text, us)) : json_null();
}

static json_t *
session_json(const struct survey_session *session)
{
	json_t *o = json_object();

	if (session->pid == 0) {
		json_decref(o);
		return json_null();
	}
	report_put(&o, "host", session->host[0] != '\0' ? report_text(session->host) : json_null());
	report_put(&o, "pid", json_integer(session->pid));
	report_put(&o, "since", time_json(session->since_us));
	return o;
}

static json_t *
sessions_json(const struct survey_session *sessions, int count)
{
	json_t *list = json_array();

	for (int i = 0; i < count; i++)
		if (json_array_append_new(list, session_json(&sessions[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *
pending_json(const struct survey *s)
{
	json_t *o = json_object();
	int64_t oldest = s->stats.oldest_unsent_us;

	report_put(&o, "events", json_integer(s->stats.pending));
	report_put(&o, "exact", json_boolean(s->stats.pending_exact));
	report_put(&o, "oldest_created_at", time_json(oldest));
	report_put(&o, "oldest_age_seconds",
	           oldest > 0 ? json_real((double)(s->now_us > oldest ? s->now_us - oldest : 0) / 1e6) : json_null());
	return o;
}

static json_t *
table_json(const struct survey *s)
{
	json_t *o = json_object();

	report_put(&o, "table_bytes", json_integer(s->table_bytes));
	report_put(&o, "index_bytes", json_integer(s->index_bytes));
	report_put(&o, "live_rows", json_integer(s->live_rows));
	report_put(&o, "dead_rows", json_integer(s->dead_rows));
	report_put(&o, "vacuumed_at", time_json(s->vacuumed_us));
	report_put(&o, "oldest_row_sent_at", time_json(s->oldest_sent_us));
	return o;
}

static json_t *
horizon_json(const struct survey_horizon *h)
{
	json_t *o;

	if (h->kind[0] == '\0')
		return json_null();
	o = json_object();
	report_put(&o, "kind", report_text(h->kind));
	report_put(&o, "name", report_text(h->name));
	report_put(&o, "pid", h->pid != 0 ? json_integer(h->pid) : json_null());
	report_put(&o, "state", h->state[0] != '\0' ? report_text(h->state) : json_null());
	report_put(&o, "since", time_json(h->since_us));
	report_put(&o, "transactions", json_integer(h->transactions));
	return o;
}

static json_t *
pauses_json(const struct survey *s)
{
	json_t *list = json_array();

	for (int i = 0; i < s->pauses && i < SURVEY_PAUSES_MAX; i++) {
		const struct survey_pause *p = &s->pause[i];
		json_t *o = json_object();

		report_put(&o, "scope", report_text(p->scope));
		report_put(&o, "value", p->value[0] != '\0' ? report_text(p->value) : json_null());
		report_put(&o, "by", report_text(p->by));
		report_put(&o, "reason", report_text(p->reason));
		report_put(&o, "since", time_json(p->since_us));
		if (json_array_append_new(list, o) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *
lines_json(const char *text)
{
	json_t *list = json_array();

	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		char line[512];

		snprintf(line, sizeof(line), "%.*s", (int)len, text);
		if (json_array_append_new(list, report_text(line)) != 0) {
			json_decref(list);
			return NULL;
		}
		text += len + (text[len] == '\n');
	}
	return list;
}

static json_t *
endpoint_json(const struct view *v)
{
	static const struct {
		const char *member, *metric, *more;
	} rows[] = {
		{"postgresql_up", "pgoutbox_up", "side=\"postgresql\""},
		{"kafka_up", "pgoutbox_up", "side=\"kafka\""},
		{"lanes_owned", "pgoutbox_lanes_owned", NULL},
		{"in_flight_events", "pgoutbox_in_flight_events", NULL},
		{"held_topics", "pgoutbox_held_topics", NULL},
		{"held_partitions", "pgoutbox_held_partitions", NULL},
		{"events_sent_total", "pgoutbox_events_sent_total", NULL},
		{"events_pruned_total", "pgoutbox_events_pruned_total", NULL},
	};
	const struct endpoint *e = &v->endpoint;
	bool answers = e->state == ENDPOINT_READY || e->state == ENDPOINT_NOT_READY;
	json_t *o = json_object();
	double value;

	report_put(&o, "address", e->address[0] != '\0' ? report_text(e->address) : json_null());
	report_put(&o, "answers", json_boolean(answers));
	report_put(&o, "problem", e->problem[0] != '\0' ? report_text(e->problem) : json_null());
	report_put(&o, "ready", answers ? json_boolean(e->state == ENDPOINT_READY) : json_null());
	report_put(&o, "reasons", lines_json(buf_str(&e->reasons)));
	report_put(&o, "notes", lines_json(buf_str(&e->notes)));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		report_put(&o, rows[i].member,
		           sample(v, rows[i].metric, rows[i].more, &value) ? json_integer((json_int_t)value) : json_null());
	return o;
}

static int
print_json(const struct view *v, int status)
{
	const struct survey *s = &v->survey;
	json_t *root = json_object();

	report_put(&root, "outbox", report_text(v->layout->relation));
	report_put(&root, "verdict", json_string(verdict_name(v->verdict.kind)));
	report_put(&root, "message", report_text(v->verdict.message));
	report_put(&root, "hint", v->verdict.hint[0] != '\0' ? report_text(v->verdict.hint) : json_null());
	report_put(&root, "time", time_json(s->now_us));
	report_put(&root, "pending", pending_json(s));
	report_put(&root, "parked", json_integer(s->parked));
	report_put(&root, "pauses", pauses_json(s));
	report_put(&root, "lanes", sessions_json(s->owners, s->lanes));
	report_put(&root, "relays", sessions_json(s->relay, s->relays < SURVEY_RELAYS_MAX ? s->relays : SURVEY_RELAYS_MAX));
	report_put(&root, "table", table_json(s));
	report_put(&root, "pruner", session_json(&s->pruner));
	report_put(&root, "oldest_snapshot", horizon_json(&s->horizon));
	report_put(&root, "hidden_sessions", json_integer(s->hidden));
	report_put(&root, "endpoint", endpoint_json(v));
	return report_print(&root, status);
}

/* --- for people --- */

static void
line(const char *title, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
line(const char *title, const char *fmt, ...)
{
	va_list ap;

	printf("%-10s ", title);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void
print_harmless(const char *title, const char *text)
{
	struct buf harmless __attribute__((cleanup(buf_done))) = BUF_INIT;

	table_add_harmless(&harmless, text);
	line(title, "%s", buf_str(&harmless));
}

static void
print_verdict(const struct verdict *v)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	bool colour = term_has_colour(stdout);

	table_add_harmless(&text, v->message);
	line("relay", "%s%s%s", colour ? verdict_colour(v) : "", buf_str(&text), colour ? "\033[0m" : "");
	if (v->hint[0] == '\0')
		return;
	buf_reset(&text);
	table_add_harmless(&text, v->hint);
	line("", "hint: %s", buf_str(&text));
}

static void
print_pending(const struct survey *s)
{
	char age[WORDS_SIZE], when[WORDS_SIZE];
	int64_t oldest = s->stats.oldest_unsent_us;

	line("pending", "%s%" PRId64 " event%s", s->stats.pending_exact ? "" : "about ", s->stats.pending, s->stats.pending == 1 ? "" : "s");
	if (oldest > 0)
		line("oldest", "%s, created at %s", words_duration(age, s->now_us - oldest), words_time(when, oldest));
	if (s->parked > 0)
		line("parked", "%" PRId64 " event%s wait%s for a decision: pgoutboxctl parked list", s->parked, s->parked == 1 ? "" : "s",
		     s->parked == 1 ? "s" : "");
	else
		line("parked", "none");
}

static void
print_pauses(const struct survey *s)
{
	for (int i = 0; i < s->pauses && i < SURVEY_PAUSES_MAX; i++) {
		const struct survey_pause *p = &s->pause[i];
		struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
		char age[WORDS_SIZE];

		buf_printf(&text, "%s%s%s, by %s for %s: %s", p->scope, p->value[0] != '\0' ? " " : "", p->value, p->by,
		           words_duration(age, s->now_us - p->since_us), p->reason);
		print_harmless(i == 0 ? "paused" : "", buf_str(&text));
	}
	if (s->pauses > SURVEY_PAUSES_MAX)
		line("", "and %d more", s->pauses - SURVEY_PAUSES_MAX);
}

static void
print_daemon(const struct view *v)
{
	double flight, topics = 0, partitions = 0;

	if (sample(v, "pgoutbox_in_flight_events", NULL, &flight))
		line("in flight", "%.0f events of this relay", flight);
	if ((sample(v, "pgoutbox_held_topics", NULL, &topics) && topics > 0) ||
	    (sample(v, "pgoutbox_held_partitions", NULL, &partitions) && partitions > 0))
		line("held", "%.0f topics and %.0f partitions take no events now; theirs wait", topics, partitions);
}

static void
print_table(const struct view *v)
{
	const struct survey *s = &v->survey;
	char table[WORDS_SIZE], index[WORDS_SIZE], age[WORDS_SIZE];

	line("table", "%s, indexes %s", words_bytes(table, s->table_bytes), words_bytes(index, s->index_bytes));
	if (s->vacuumed_us > 0)
		line("rows", "about %" PRId64 " live, %" PRId64 " dead; vacuumed %s ago", s->live_rows, s->dead_rows,
		     words_duration(age, s->now_us - s->vacuumed_us));
	else
		line("rows", "about %" PRId64 " live, %" PRId64 " dead; never vacuumed", s->live_rows, s->dead_rows);
}

static void
print_pruning(const struct view *v)
{
	const struct survey *s = &v->survey;
	int64_t retention_ms = v->cfg->outbox.retention_ms;
	char age[WORDS_SIZE], wanted[WORDS_SIZE];

	if (retention_ms == CONFIG_NEVER || s->oldest_sent_us <= 0)
		return;
	words_duration(age, s->now_us - s->oldest_sent_us);
	words_duration(wanted, retention_ms * 1000);
	if (s->now_us - s->oldest_sent_us > retention_ms * 1000 + PRUNE_LATE_US)
		line("pruning", "behind: the oldest row was sent %s ago, outbox.retention is %s%s", age, wanted,
		     s->pruner.pid == 0 ? ", and no relay prunes" : "");
	else
		line("pruning", "the oldest row was sent %s ago, outbox.retention is %s", age, wanted);
}

static void
print_horizon(const struct survey *s)
{
	const struct survey_horizon *h = &s->horizon;
	struct buf name __attribute__((cleanup(buf_done))) = BUF_INIT;
	char age[WORDS_SIZE];

	if (s->hidden > 0)
		line("snapshots", "%d sessions are hidden from this role: a member of pg_read_all_stats sees them", s->hidden);
	if (h->kind[0] == '\0' || (h->since_us > 0 && s->now_us - h->since_us < OLD_SNAPSHOT_US))
		return;
	table_add_harmless(&name, h->name);
	line("snapshots", "%s \"%s\"%s%s keeps dead rows from being removed%s%s", h->kind, buf_str(&name), h->state[0] != '\0' ? ", " : "",
	     h->state, h->since_us > 0 ? ", for " : "", h->since_us > 0 ? words_duration(age, s->now_us - h->since_us) : "");
	if (h->pid != 0 && strcmp(h->kind, "session") == 0)
		line("", "hint: it is process %d; SELECT pg_terminate_backend(%d) ends it", h->pid, h->pid);
}

static int
print_lanes(const struct survey *s)
{
	static const char *const titles[] = {"LANE", "OWNER", "PID", "SINCE"};
	struct table t __attribute__((cleanup(table_done))) = TABLE_INIT(titles);

	for (int i = 0; i < s->lanes; i++) {
		const struct survey_session *o = &s->owners[i];
		char lane[16], pid[16], since[WORDS_SIZE];

		snprintf(lane, sizeof(lane), "%d", i);
		snprintf(pid, sizeof(pid), "%d", o->pid);
		words_duration(since, s->now_us - o->since_us);
		table_add(&t, o->pid == 0 ? (const char *const[]){lane, "nobody", NULL, NULL}
		                          : (const char *const[]){lane, o->host[0] != '\0' ? o->host : "hidden", pid,
		                                                  o->since_us > 0 ? since : NULL});
	}
	return table_print(&t, stdout);
}

static int
print_lines(const struct view *v, int status)
{
	const struct survey *s = &v->survey;
	struct error err;

	line("outbox", "%s, %d lanes", v->layout->relation, s->lanes);
	print_verdict(&v->verdict);
	print_pending(s);
	print_pauses(s);
	print_daemon(v);
	print_table(v);
	print_pruning(v);
	print_horizon(s);
	putchar('\n');
	if (print_lanes(s) != 0) {
		error_set(&err, ERR_RETRY, "out of memory");
		return verb_fail(&err);
	}
	return verb_finish(status);
}

int
verb_status(const struct arguments *args, const struct config *cfg)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct view v __attribute__((cleanup(view_done))) = {.cfg = cfg, .endpoint = ENDPOINT_INIT};
	struct error err;
	int status;

	if (outbox_open(cfg, args->database, &o, &err) != 0 || survey_take(o.target.conn, &o.layout, &v.survey, &err) != 0)
		return verb_fail(&err);
	v.layout = &o.layout;
	endpoint_ask(cfg->http.listen, cfg->outbox.table, &v.endpoint);
	v.verdict = verdict_of(&v.survey, &v.endpoint);
	status = verdict_exit_status(v.verdict.kind);
	return args->json ? print_json(&v, status) : print_lines(&v, status);
}
