/* verdict.c - in: what the database and the daemon say; out: a sentence. */
#include "ctl/verdict.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/buf.h"
#include "ctl/words.h"

const char *
verdict_name(enum verdict_kind kind)
{
	switch (kind) {
	case VERDICT_READY:
		return "ready";
	case VERDICT_ELSEWHERE:
		return "elsewhere";
	case VERDICT_PAUSED:
		return "paused";
	case VERDICT_NOT_READY:
		return "not-ready";
	case VERDICT_UNOWNED:
		return "unowned";
	case VERDICT_NO_RELAY:
		return "not-running";
	}
	return "";
}

int
verdict_exit_status(enum verdict_kind kind)
{
	switch (kind) {
	case VERDICT_READY:
	case VERDICT_ELSEWHERE:
		return EX_OK;
	case VERDICT_PAUSED:
	case VERDICT_NOT_READY:
	case VERDICT_UNOWNED:
		return EX_TEMPFAIL;
	case VERDICT_NO_RELAY:
		return EX_UNAVAILABLE;
	}
	return EX_SOFTWARE;
}

const char *
verdict_colour(const struct verdict *v)
{
	if (v->kind == VERDICT_NO_RELAY)
		return "\033[31m";
	return v->trouble ? "\033[33m" : "\033[32m";
}

const char *
verdict_host(const struct survey_session *session)
{
	if (strcmp(session->host, "local") == 0)
		return "the database's own host";
	return session->host[0] != '\0' ? session->host : "a host that this role may not see";
}

static bool
belongs(const struct survey *s, int lane, const char *host)
{
	if (host == NULL)
		return s->owners[lane].pid == 0;
	return s->owners[lane].pid != 0 && strcmp(s->owners[lane].host, host) == 0;
}

/* "lane 2", "lanes 0-3, 5"; host NULL = those that nobody owns. */
static void
add_lanes(struct buf *out, const struct survey *s, const char *host)
{
	int n = 0;
	bool first = true;

	for (int i = 0; i < s->lanes; i++)
		n += belongs(s, i, host);
	buf_add_str(out, n == 1 ? "lane " : "lanes ");
	for (int i = 0; i < s->lanes; i++) {
		int end = i;

		if (!belongs(s, i, host))
			continue;
		while (end + 1 < s->lanes && belongs(s, end + 1, host))
			end++;
		buf_printf(out, "%s%d", first ? "" : ", ", i);
		if (end > i)
			buf_printf(out, "-%d", end);
		first = false;
		i = end;
	}
}

/* "lanes 0-1 are owned by 10.0.0.5, lanes 2-3 by 10.0.0.6" */
static void
add_owners(struct buf *out, const struct survey *s)
{
	bool first = true;

	for (int i = 0; i < s->lanes; i++) {
		const struct survey_session *o = &s->owners[i];
		bool told = o->pid == 0;

		for (int k = 0; k < i && !told; k++)
			told = belongs(s, k, o->host);
		if (told)
			continue;
		buf_add_str(out, first ? "" : "; ");
		add_lanes(out, s, o->host);
		buf_printf(out, " owned by %s", verdict_host(o));
		first = false;
	}
}

static struct verdict
make(enum verdict_kind kind, const struct buf *message, const char *hint)
{
	struct verdict v = {.kind = kind, .trouble = kind != VERDICT_READY && kind != VERDICT_ELSEWHERE};

	snprintf(v.message, sizeof(v.message), "%s", buf_failed(message) ? "out of memory" : buf_str(message));
	snprintf(v.hint, sizeof(v.hint), "%s", hint);
	return v;
}

/* Why the daemon of this configuration is not heard. */
static void
add_silence(struct buf *out, const struct endpoint *e)
{
	if (e->state == ENDPOINT_OFF)
		buf_add_str(out, "http.listen names no endpoint to ask");
	else
		buf_printf(out, "%s: %s", e->address, e->problem);
}

static void
add_joined(struct buf *out, const char *lines)
{
	while (*lines != '\0') {
		size_t len = strcspn(lines, "\n");

		buf_add(out, lines, len);
		lines += len + (lines[len] == '\n');
		buf_add_str(out, *lines != '\0' ? "; " : "");
	}
}

static struct verdict
not_ready(const struct endpoint *e)
{
	struct buf m __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_add_str(&m, "running but not ready, because ");
	add_joined(&m, buf_str(&e->reasons));
	return make(VERDICT_NOT_READY, &m, "no event is lost meanwhile; the daemon's log tells more: journalctl -u pgoutboxd");
}

static struct verdict
no_relay(const struct endpoint *e)
{
	struct buf m __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_add_str(&m, "daemon not running: nobody owns a lane, and ");
	add_silence(&m, e);
	return make(VERDICT_NO_RELAY, &m, "start it: systemctl start pgoutboxd; where it ends at once, journalctl -u pgoutboxd says why");
}

static struct verdict
paused(const struct survey_pause *p, int64_t now_us)
{
	struct buf m __attribute__((cleanup(buf_done))) = BUF_INIT;
	char age[WORDS_SIZE];

	buf_printf(&m, "paused by %s for %s: %s", p->by, words_duration(age, now_us - p->since_us), p->reason);
	return make(VERDICT_PAUSED, &m, "\"pgoutboxctl resume\" ends the pause; the events wait meanwhile");
}

static struct verdict
unowned(const struct survey *s)
{
	struct buf m __attribute__((cleanup(buf_done))) = BUF_INIT;

	add_lanes(&m, s, NULL);
	buf_printf(&m, " without an owner, though %d relay%s run%s", s->relays, s->relays == 1 ? "" : "s", s->relays == 1 ? "s" : "");
	return make(VERDICT_UNOWNED, &m, "a free lane is taken within seconds; where it is not, the log of each relay says why");
}

static struct verdict
elsewhere(const struct survey *s, const struct endpoint *e)
{
	struct buf m __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct buf h __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_add_str(&m, "runs elsewhere: ");
	add_owners(&m, s);
	buf_add_str(&h, "whether it is ready it says itself: no relay of this table answers here (");
	add_silence(&h, e);
	buf_add_char(&h, ')');
	return make(VERDICT_ELSEWHERE, &m, buf_str(&h));
}

struct verdict
verdict_of(const struct survey *s, const struct endpoint *e)
{
	struct buf m __attribute__((cleanup(buf_done))) = BUF_INIT;
	int owned = survey_owned(s);
	struct verdict v;

	if (e->state == ENDPOINT_NOT_READY)
		return not_ready(e);
	if (e->state != ENDPOINT_READY && owned == 0 && s->relays == 0)
		return no_relay(e);
	if (survey_paused(s) != NULL)
		return paused(survey_paused(s), s->now_us);
	if (owned < s->lanes)
		return unowned(s);
	if (e->state != ENDPOINT_READY)
		return elsewhere(s, e);
	buf_printf(&m, "ready: %s", e->address);
	if (e->notes.len > 0) {
		buf_add_str(&m, ", but ");
		add_joined(&m, buf_str(&e->notes));
	}
	v = make(VERDICT_READY, &m, "");
	v.trouble = e->notes.len > 0;
	return v;
}
