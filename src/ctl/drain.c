/* drain.c - the verb that waits until an outbox is empty. In: arguments, time; out: progress, an exit status. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "admin/outbox.h"
#include "admin/survey.h"
#include "base/clock.h"
#include "ctl/endpoint.h"
#include "ctl/progress.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "ctl/verdict.h"
#include "ctl/words.h"

#define LOOK_US 500000
#define JUDGE_US 2000000      /* how often it is asked who relays, and how that does */
#define RESTART_US 10000000   /* a relay that was there may be away for so long */
#define GOES_ON (-1)

struct drain {
	const struct config *cfg;
	const struct outbox *outbox;
	int64_t up_to_id; /* INT64_MAX = all */
	int64_t begun_us, deadline_us, judge_us;
	int64_t relay_seen_us; /* 0 = never */
	struct stats left;
	struct progress progress;
	bool pauses_told;
	bool troubled; /* people were told that it does not go on */
};

static void
tell(struct drain *d, const char *message, const char *hint)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;

	progress_clear(&d->progress);
	table_add_harmless(&text, message);
	fprintf(stderr, "pgoutboxctl: %s\n", buf_str(&text));
	if (hint[0] == '\0')
		return;
	buf_reset(&text);
	table_add_harmless(&text, hint);
	fprintf(stderr, "hint: %s\n", buf_str(&text));
}

/* Trouble that may pass is told when it begins and when it ends. */
static int
judge_relay(struct drain *d, const struct verdict *v, int64_t now_us)
{
	if (v->kind != VERDICT_NO_RELAY)
		d->relay_seen_us = now_us;
	else if (d->relay_seen_us == 0 || now_us - d->relay_seen_us > RESTART_US) {
		tell(d, v->message, v->hint);
		return verdict_exit_status(v->kind);
	}
	if (v->trouble && !d->troubled)
		tell(d, v->message, v->hint);
	else if (!v->trouble && d->troubled)
		tell(d, "it goes on", "");
	d->troubled = v->trouble;
	return GOES_ON;
}

/* Nobody ends a pause but a person; one of a part is told, since the rest goes on. */
static int
judge_pauses(struct drain *d, const struct survey *s, const struct verdict *v)
{
	if (v->kind == VERDICT_PAUSED) {
		tell(d, v->message, v->hint);
		return verdict_exit_status(v->kind);
	}
	if (s->pauses > 0 && !d->pauses_told)
		tell(d, "a part of the outbox is paused, and its events wait", "\"pgoutboxctl status\" lists the pauses");
	d->pauses_told = s->pauses > 0;
	return GOES_ON;
}

/* What waits for a decision about a parked event waits for a person. */
static int
judge_parked(struct drain *d, const struct survey *s, struct error *err)
{
	bool blocked;

	if (s->parked == 0 || d->cfg->outbox.poison != POISON_BLOCK_KEY)
		return GOES_ON;
	if (survey_blocked(d->outbox->target.conn, &d->outbox->layout, d->up_to_id, &blocked, err) != 0)
		return verb_fail(err);
	if (!blocked)
		return GOES_ON;
	tell(d, "what is left waits behind parked events of its keys", "decide about them: pgoutboxctl parked list");
	return EX_CONFIG;
}

static int
judge(struct drain *d, int64_t now_us)
{
	struct endpoint e __attribute__((cleanup(endpoint_done))) = ENDPOINT_INIT;
	struct survey s;
	struct verdict v;
	struct error err;
	int status;

	if (now_us < d->judge_us)
		return GOES_ON;
	if (survey_take(d->outbox->target.conn, &d->outbox->layout, &s, &err) != 0) {
		progress_clear(&d->progress);
		return verb_fail(&err);
	}
	endpoint_ask(d->cfg->http.listen, d->cfg->outbox.table, &e);
	v = verdict_of(&s, &e);
	d->judge_us = clock_mono_us() + JUDGE_US;
	status = judge_pauses(d, &s, &v);
	if (status == GOES_ON)
		status = judge_relay(d, &v, now_us);
	return status != GOES_ON ? status : judge_parked(d, &s, &err);
}

static int
finish(const struct drain *d)
{
	char age[WORDS_SIZE];

	printf("%s, after %s\n", d->up_to_id == INT64_MAX ? "nothing unsent is left" : "what was there at the start is sent",
	       words_duration(age, clock_mono_us() - d->begun_us));
	return verb_finish(EX_OK);
}

static int
give_up(struct drain *d)
{
	char message[128];

	snprintf(message, sizeof(message), "timed out while %s%" PRId64 " event%s unsent", d->left.pending_exact ? "" : "about ",
	         d->left.pending, d->left.pending == 1 ? " was" : "s were");
	tell(d, message, d->troubled ? "see what is said above" : "give it more by --timeout; \"pgoutboxctl top\" shows how fast it goes");
	return EX_TEMPFAIL;
}

/* One look at what is left. */
static int
look(struct drain *d)
{
	int64_t now_us;
	struct error err;
	int status;

	if (survey_waiting(d->outbox->target.conn, &d->outbox->layout, d->up_to_id, &d->left, &err) != 0) {
		progress_clear(&d->progress);
		return verb_fail(&err);
	}
	if (d->left.pending > d->progress.total)
		progress_total(&d->progress, d->left.pending);
	progress_to(&d->progress, d->progress.total - d->left.pending);
	now_us = clock_mono_us();
	if (d->left.pending == 0) {
		progress_end(&d->progress);
		return finish(d);
	}
	status = judge(d, now_us);
	if (status == GOES_ON && now_us >= d->deadline_us)
		status = give_up(d);
	return status;
}

static int
wait_for_empty(struct drain *d)
{
	const struct timespec pause = {.tv_nsec = LOOK_US * 1000L};
	int status;

	while ((status = look(d)) == GOES_ON)
		nanosleep(&pause, NULL);
	progress_clear(&d->progress);
	return status;
}

int
verb_drain(const struct arguments *args, const struct config *cfg)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	int64_t timeout_ms = args->timeout == NULL ? -1 : verb_duration_ms(args->timeout);
	struct drain d = {.cfg = cfg, .outbox = &o, .up_to_id = INT64_MAX, .begun_us = clock_mono_us(), .deadline_us = CLOCK_NEVER};
	struct stats all;
	struct error err;

	if (args->timeout != NULL && timeout_ms < 0)
		return verb_misused("write a whole number and ms, s, m or h, for example 30s", "--timeout: \"%s\" is no duration",
		                    args->timeout);
	if (timeout_ms >= 0)
		d.deadline_us = d.begun_us + timeout_ms * 1000;
	if (outbox_open(cfg, args->database, &o, &err) != 0)
		return verb_fail(&err);
	if (args->through_now) {
		if (survey_waiting(o.target.conn, &o.layout, INT64_MAX, &all, &err) != 0)
			return verb_fail(&err);
		d.up_to_id = all.last_id;
	}
	d.progress = progress_begin(stderr, "drain", "events", 0);
	return wait_for_empty(&d);
}
