/* lanes.c - the verb that lists the lanes, or changes their number. In: arguments; out: lines or JSON, an exit
 * status. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "admin/lanes.h"
#include "admin/outbox.h"
#include "admin/survey.h"
#include "base/clock.h"
#include "ctl/progress.h"
#include "ctl/report.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "ctl/words.h"

#define TIMEOUT_MS 60000
#define OWNED_US 10000000 /* how long relays are waited for, to take the lanes again */
#define WAITS_US 3000000  /* of a build for another transaction: short ones are nobody's concern */
#define LOOK_MS 100

/* --- the list --- */

static const char *
paused_by(const struct survey *s, int lane)
{
	return survey_paused(s) != NULL ? "all" : s->lane_paused[lane] ? "lane" : NULL;
}

static int
print_list(const struct survey *s, const char *spare)
{
	static const char *const titles[] = {"LANE", "PID", "APPLICATION", "HOST", "SINCE", "PAUSED"};
	struct table t __attribute__((cleanup(table_done))) = TABLE_INIT(titles);

	for (int i = 0; i < s->lanes; i++) {
		const struct survey_session *o = &s->owners[i];
		char lane[16], pid[16], since[WORDS_SIZE];

		snprintf(lane, sizeof(lane), "%d", i);
		snprintf(pid, sizeof(pid), "%d", o->pid);
		words_duration(since, s->now_us - o->since_us);
		table_add(&t, o->pid == 0 ? (const char *const[]){lane, NULL, "nobody", NULL, NULL, paused_by(s, i)}
		                          : (const char *const[]){lane, pid, o->application[0] != '\0' ? o->application : NULL,
		                                                  o->host[0] != '\0' ? o->host : "hidden",
		                                                  o->since_us > 0 ? since : NULL, paused_by(s, i)});
	}
	if (table_print(&t, stdout) != 0)
		return EX_SOFTWARE;
	if (spare[0] != '\0')
		printf("index \"%s\" is left of a change that was interrupted: pgoutboxctl lanes %d removes it\n", spare, s->lanes);
	return verb_finish(EX_OK);
}

static json_t *
lane_json(const struct survey *s, int lane)
{
	const struct survey_session *owner = &s->owners[lane];
	json_t *o = json_object();
	char since[WORDS_SIZE];

	report_put(&o, "lane", json_integer(lane));
	report_put(&o, "pid", owner->pid != 0 ? json_integer(owner->pid) : json_null());
	report_put(&o, "application", report_text(owner->application[0] != '\0' ? owner->application : NULL));
	report_put(&o, "host", report_text(owner->host[0] != '\0' ? owner->host : NULL));
	report_put(&o, "since", owner->since_us > 0 ? json_string(words_time(since, owner->since_us)) : json_null());
	report_put(&o, "paused", json_boolean(paused_by(s, lane) != NULL));
	return o;
}

static int
print_json(const struct outbox *o, const struct survey *s, const char *spare)
{
	json_t *root = json_object(), *list = json_array();

	for (int i = 0; i < s->lanes && list != NULL; i++)
		if (json_array_append_new(list, lane_json(s, i)) != 0) {
			json_decref(list);
			list = NULL;
		}
	report_put(&root, "outbox", report_text(o->layout.relation));
	report_put(&root, "lanes", list);
	report_put(&root, "spare_index", report_text(spare[0] != '\0' ? spare : NULL));
	return report_print(&root, EX_OK);
}

static int
list_lanes(const struct arguments *args, const struct outbox *o)
{
	char spare[CLAIM_INDEX_NAME_SIZE];
	struct survey survey;
	struct error err;

	if (survey_sessions(o->target.conn, &o->layout, &survey, &err) != 0 ||
	    lanes_spare(o->target.conn, o->layout.relation_oid, spare, &err) != 0)
		return verb_fail(&err);
	return args->json ? print_json(o, &survey, spare) : print_list(&survey, spare);
}

/* --- the change --- */

struct tell {
	const struct outbox *outbox;
	int lanes;
	struct progress progress;
	bool building;
	char phase[64];
	int waits_for;     /* the session, 0 = none */
	int64_t waits_since_us;
	bool waits_told;
	bool relayed;      /* relays ran when they were asked to let go; they are not to be seen while they begin anew */
	bool unowned;      /* relays run, and some lanes had no owner in time */
};

static void
end_progress(struct tell *t)
{
	if (t->building)
		progress_end(&t->progress);
	t->building = false;
}

static void
on_build(void *ctx, const struct lanes_build *build)
{
	struct tell *t = ctx;

	if (strcmp(t->phase, build->phase) != 0) {
		end_progress(t);
		snprintf(t->phase, sizeof(t->phase), "%s", build->phase);
		t->progress = progress_begin(stderr, t->phase, "steps", build->total > 0 ? build->total : PROGRESS_UNKNOWN);
		t->building = true;
	}
	if (build->waits_for != t->waits_for) {
		t->waits_for = build->waits_for;
		t->waits_since_us = clock_mono_us();
		t->waits_told = false;
	}
	if (t->waits_for != 0 && !t->waits_told && clock_mono_us() - t->waits_since_us >= WAITS_US) {
		progress_clear(&t->progress);
		fprintf(stderr, "the build waits for the transaction of session %d to end; it blocks nobody\n", t->waits_for);
		t->waits_told = true;
	}
	progress_to(&t->progress, build->done);
}

static void
note_relays(struct tell *t)
{
	struct survey survey;
	struct error ignored;

	if (survey_sessions(t->outbox->target.conn, &t->outbox->layout, &survey, &ignored) == 0)
		t->relayed = survey.relays > 0;
}

/* The old index serves until the relays have gone over to the new one. */
static void
wait_for_owners(struct tell *t)
{
	struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	struct layout layout = t->outbox->layout; /* borrowed */
	int64_t since_us = clock_mono_us();
	struct survey survey;
	struct error ignored;
	char took[WORDS_SIZE];

	layout.lanes = t->lanes;
	for (;;) {
		if (survey_sessions(t->outbox->target.conn, &layout, &survey, &ignored) != 0)
			return;
		t->relayed = t->relayed || survey.relays > 0;
		if (!t->relayed || survey_owned(&survey) == t->lanes || clock_mono_us() - since_us >= OWNED_US)
			break;
		nanosleep(&pause, NULL);
	}
	t->unowned = t->relayed && survey_owned(&survey) < t->lanes;
	if (!t->relayed)
		puts("no relay runs; whichever starts will know");
	else if (t->unowned)
		printf("%d of %d lanes have an owner after ten seconds\n", survey_owned(&survey), t->lanes);
	else
		printf("all %d lanes are owned again, after %s\n", t->lanes,
		       words_latency(took, (double)(clock_mono_us() - since_us) / 1e6));
}

static void
on_step(void *ctx, enum lanes_step step, const char *index)
{
	struct tell *t = ctx;

	end_progress(t);
	switch (step) {
	case LANES_DROPPING_SPARE:
		printf("index \"%s\": left of an earlier change, is dropped\n", index);
		break;
	case LANES_BUILDING:
		printf("index \"%s\": is built; the application goes on\n", index);
		break;
	case LANES_BUILT:
		printf("index \"%s\": done\n", index);
		break;
	case LANES_FOUND:
		printf("index \"%s\": already there\n", index);
		break;
	case LANES_WAITING:
		note_relays(t);
		puts("lanes: relays settle what they have and let go");
		break;
	case LANES_SWITCHED:
		printf("lanes: %d now\n", t->lanes);
		wait_for_owners(t);
		break;
	case LANES_DROPPING_OLD:
		printf("index \"%s\": is dropped\n", index);
		break;
	case LANES_DROPPED_SPARE:
	case LANES_DROPPED_OLD:
		printf("index \"%s\": gone\n", index);
		break;
	}
	fflush(stdout);
}

static int
change_lanes(struct outbox *o, PGconn *watch, int lanes, int64_t timeout_ms)
{
	struct tell t = {.outbox = o, .lanes = lanes};
	struct lanes_request rq = {lanes, timeout_ms, watch, on_step, on_build, &t};
	struct lanes_result result;
	struct error err;
	char took[WORDS_SIZE];
	int rc = lanes_change(o, &rq, &result, &err);

	end_progress(&t);
	if (rc != 0)
		return verb_fail(&err);
	if (result.from == lanes)
		printf("the outbox has %d lane%s already%s\n", lanes, lanes == 1 ? "" : "s",
		       result.leftover ? "; what was left of another change is gone" : "");
	else
		printf("the outbox has %d lane%s instead of %d; nothing was relayed for %s\n", lanes, lanes == 1 ? "" : "s",
		       result.from, words_latency(took, (double)result.switched_us / 1e6));
	return verb_finish(t.unowned ? EX_TEMPFAIL : EX_OK);
}

/* EX_OK, or how it ends. */
static int
read_request(const struct arguments *args, int *ret_lanes, int64_t *ret_timeout_ms)
{
	int64_t timeout_ms = args->timeout != NULL ? verb_duration_ms(args->timeout) : TIMEOUT_MS;
	int64_t lanes = args->operands_count > 0 ? verb_number(args->operands[0], LANES_MAX) : 0;

	if (args->operands_count > 1 || lanes < 0)
		return verb_misused(NULL, "lanes: takes one number from 1 to %d", LANES_MAX);
	if (timeout_ms < 0)
		return verb_misused("a duration is written as 30s or 5m", "--timeout: \"%s\" is no duration", args->timeout);
	if (lanes > 0 && args->json)
		return verb_misused(NULL, "lanes: --json goes with the list, without a number");
	*ret_lanes = (int)lanes;
	*ret_timeout_ms = timeout_ms;
	return EX_OK;
}

int
verb_lanes(const struct arguments *args, const struct config *cfg)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct target watch __attribute__((cleanup(target_close))) = TARGET_INIT;
	struct error err, no_progress;
	int64_t timeout_ms = TIMEOUT_MS;
	int lanes = 0, status = read_request(args, &lanes, &timeout_ms);

	if (status != EX_OK)
		return status;
	if (outbox_open(cfg, args->database, &o, &err) != 0)
		return verb_fail(&err);
	if (lanes == 0)
		return list_lanes(args, &o);
	if (target_open(cfg, args->database, NULL, &watch, &no_progress) != 0)
		watch = TARGET_INIT;
	return change_lanes(&o, watch.conn, lanes, timeout_ms);
}
