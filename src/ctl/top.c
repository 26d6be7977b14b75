/* top.c - the verb that looks on while an outbox is relayed. In: arguments, time, keys; out: a screen, or a line for each look. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "admin/outbox.h"
#include "base/clock.h"
#include "ctl/pulse.h"
#include "ctl/samples.h"
#include "ctl/screen.h"
#include "ctl/table.h"
#include "ctl/term.h"
#include "ctl/verb.h"
#include "ctl/verdict.h"
#include "ctl/words.h"

#define INTERVAL_MAX_S 3600

struct top {
	const struct arguments *args;
	const struct config *cfg;
	struct outbox outbox;
	bool open; /* else PostgreSQL is tried again */
	int64_t interval_us, count;
	struct screen screen;
	struct look looks[2];
	bool have[2];
	int latest;
	struct error trouble; /* why there is no look, while open is false */
};

static void
top_done(struct top *t)
{
	screen_close(&t->screen);
	endpoint_done(&t->looks[0].endpoint);
	endpoint_done(&t->looks[1].endpoint);
	if (t->open)
		outbox_close(&t->outbox);
}

/* --- looking --- */

static int
connect_again(struct top *t, struct error *err)
{
	if (t->open)
		return 0;
	if (outbox_open(t->cfg, t->args->database, &t->outbox, err) != 0)
		return -1;
	t->open = true;
	return 0;
}

/* A look that fails leaves those before it, which the next is compared with. */
static int
look(struct top *t, struct error *err)
{
	struct look *l = &t->looks[!t->latest];
	struct survey survey;

	if (connect_again(t, err) != 0)
		return -1;
	if (survey_take(t->outbox.target.conn, &t->outbox.layout, &survey, err) != 0) {
		outbox_close(&t->outbox);
		t->open = false;
		return -1;
	}
	endpoint_done(&l->endpoint);
	l->survey = survey;
	l->at_us = clock_mono_us();
	endpoint_ask(t->cfg->http.listen, t->cfg->outbox.table, &l->endpoint);
	t->latest = !t->latest;
	t->have[t->latest] = true;
	return 0;
}

static struct pulse
pulse(const struct top *t)
{
	if (!t->have[!t->latest])
		return (struct pulse){-1, -1, -1, -1, -1, -1};
	return pulse_of(&t->looks[!t->latest], &t->looks[t->latest], t->cfg);
}

/* --- lines, where it is no terminal --- */

static void
add_figure(struct buf *out, const char *name, double value, double scale)
{
	if (value >= 0)
		buf_printf(out, " %s=%.1f", name, value * scale);
	else
		buf_printf(out, " %s=", name);
}

static void
print_line(const struct top *t)
{
	const struct look *l = &t->looks[t->latest];
	const struct survey *s = &l->survey;
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct verdict v = verdict_of(s, &l->endpoint);
	struct pulse p = pulse(t);
	char now[WORDS_SIZE];

	buf_printf(&out, "time=%s", words_time(now, s->now_us));
	add_figure(&out, "in", p.in, 1);
	add_figure(&out, "out", p.out, 1);
	buf_printf(&out, " pending=%" PRId64 " exact=%s", s->stats.pending, s->stats.pending_exact ? "true" : "false");
	add_figure(&out, "oldest_s", s->stats.oldest_unsent_us > 0 ? (double)(s->now_us - s->stats.oldest_unsent_us) / 1e6 : 0, 1);
	add_figure(&out, "p50_ms", p.end_to_end_p50, 1e3);
	add_figure(&out, "p99_ms", p.end_to_end_p99, 1e3);
	buf_printf(&out, " parked=%" PRId64 " lanes=%d/%d relay=%s", s->parked, survey_owned(s), s->lanes, verdict_name(v.kind));
	puts(buf_str(&out));
	fflush(stdout);
}

/* --- a screen --- */

static void
add_flow(struct buf *out, const struct top *t)
{
	const struct look *l = &t->looks[t->latest];
	const struct survey *s = &l->survey;
	struct pulse p = pulse(t);
	char a[WORDS_SIZE], b[WORDS_SIZE];
	double flight;

	buf_printf(out, "events     in %-12s out %s\n", words_rate(a, p.in), words_rate(b, p.out));
	buf_printf(out, "pending    %s%" PRId64, s->stats.pending_exact ? "" : "about ", s->stats.pending);
	if (s->stats.oldest_unsent_us > 0)
		buf_printf(out, ", the oldest for %s", words_duration(a, s->now_us - s->stats.oldest_unsent_us));
	if (samples_get(buf_str(&l->endpoint.metrics), "pgoutbox_in_flight_events", t->cfg->outbox.table, NULL, &flight))
		buf_printf(out, "; %.0f in flight", flight);
	buf_printf(out, "; %" PRId64 " parked\n", s->parked);
	buf_printf(out, "latency    end to end p50 %s", words_latency(a, p.end_to_end_p50));
	buf_printf(out, ", p99 %s;", words_latency(a, p.end_to_end_p99));
	buf_printf(out, " Kafka p50 %s", words_latency(a, p.acknowledgement_p50));
	buf_printf(out, ", p99 %s\n", words_latency(a, p.acknowledgement_p99));
	buf_printf(out, "table      %s, indexes %s; ", words_bytes(a, s->table_bytes), words_bytes(b, s->index_bytes));
	buf_printf(out, "about %" PRId64 " live and %" PRId64 " dead rows\n", s->live_rows, s->dead_rows);
}

static void
add_lanes(struct buf *out, const struct survey *s)
{
	buf_printf(out, "\n%-6s%-42s%-10s%s\n", "LANE", "OWNER", "PID", "SINCE");
	for (int i = 0; i < s->lanes; i++) {
		const struct survey_session *o = &s->owners[i];
		char since[WORDS_SIZE];

		if (o->pid == 0)
			buf_printf(out, "%-6dnobody\n", i);
		else
			buf_printf(out, "%-6d%-42s%-10d%s\n", i, o->host[0] != '\0' ? o->host : "hidden", o->pid,
			           o->since_us > 0 ? words_duration(since, s->now_us - o->since_us) : "-");
	}
}

static void
draw(struct top *t)
{
	const struct look *l = &t->looks[t->latest];
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct verdict v = verdict_of(&l->survey, &l->endpoint);
	char now[WORDS_SIZE];

	buf_printf(&out, "%s  %s  every %" PRId64 " s, q ends\n", t->outbox.layout.relation, words_time(now, l->survey.now_us),
	           t->interval_us / 1000000);
	buf_add_str(&out, "relay      ");
	table_add_harmless(&out, v.message);
	buf_add_char(&out, '\n');
	add_flow(&out, t);
	add_lanes(&out, &l->survey);
	screen_show(&t->screen, buf_str(&out), 1, term_has_colour(t->screen.out) ? verdict_colour(&v) : "");
}

static void
draw_trouble(struct top *t)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	table_add_harmless(&out, t->trouble.message);
	buf_add_str(&out, "\nhint: ");
	table_add_harmless(&out, t->trouble.hint);
	buf_printf(&out, "\n\ntried again every %" PRId64 " s, q ends\n", t->interval_us / 1000000);
	screen_show(&t->screen, buf_str(&out), 0, term_has_colour(t->screen.out) ? "\033[31m" : "");
}

static void
show(struct top *t, bool looked)
{
	if (t->screen.live && t->open)
		draw(t);
	else if (t->screen.live)
		draw_trouble(t);
	else if (!t->open)
		verb_fail(&t->trouble);
	else if (looked)
		print_line(t);
}

/* --- over time --- */

/* Lines begin with the second look, which knows rates; a screen shows the first, too. */
static int
run(struct top *t)
{
	int64_t next_us = clock_mono_us(), shown = 0;

	for (;;) {
		bool first = !t->have[t->latest];

		if (look(t, &t->trouble) != 0 && (first || t->trouble.kind != ERR_RETRY)) {
			screen_close(&t->screen);
			return verb_fail(&t->trouble);
		}
		if (t->screen.live || !first) {
			show(t, true);
			shown++;
		}
		if ((t->count > 0 && shown >= t->count) || ferror(stdout))
			return verb_finish(EX_OK);
		next_us += t->interval_us;
		if (next_us < clock_mono_us())
			next_us = clock_mono_us() + t->interval_us;
		for (enum screen_event event; (event = screen_wait(&t->screen, next_us)) != SCREEN_TIME;) {
			if (event == SCREEN_QUIT)
				return verb_finish(EX_OK);
			show(t, false);
		}
	}
}

int
verb_top(const struct arguments *args, const struct config *cfg)
{
	struct top t __attribute__((cleanup(top_done))) = {.args = args, .cfg = cfg, .outbox = OUTBOX_INIT};
	int64_t interval_s = args->interval == NULL ? 1 : verb_number(args->interval, INTERVAL_MAX_S);
	struct error err;

	t.count = args->count == NULL ? 0 : verb_number(args->count, INT64_MAX);
	if (interval_s < 0)
		return verb_misused(NULL, "--interval: \"%s\" is no number from 1 to %d", args->interval, INTERVAL_MAX_S);
	if (t.count < 0)
		return verb_misused(NULL, "--count: \"%s\" is no number from 1 on", args->count);
	t.interval_us = interval_s * 1000000;
	if (connect_again(&t, &err) != 0)
		return verb_fail(&err);
	t.screen = screen_open(stdout);
	return run(&t);
}
