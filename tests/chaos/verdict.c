/* verdict.c - the stage after the storm in, a verdict out. */
#include "chaos/verdict.h"

#include <stdlib.h>

#include "support/db.h"
#include "support/tap.h"

enum { APPEAR_MS = 20000, IDLE_MS = 10000 };

void
verdict_ask_relays(struct stage *s, struct verdict *v)
{
	for (int i = 0; i < s->opt.relays; i++) {
		double poison = env_metric(&s->env, i, "pgoutbox_events_failed_total{outbox=\"outbox_events\",class=\"poison\"}");

		v->failed += poison > 0 ? (int64_t)poison : 0;
	}
}

/* A crash repeats at most what was between claim and settle: lanes x batch_rows. A relay that hung, one that gave up
 * its producer, and one that could not stop in order, count as one. Where there are two relays, a lane whose session
 * was lost may go to the other one before what Kafka acknowledged is settled: one batch. */
static void
set_bound(struct stage *s, struct verdict *v)
{
	int64_t batch = s->opt.batch_rows, all = batch * s->opt.lanes;

	v->kills = v->storm.struck[FAULT_RELAY_KILL];
	v->hangs = stage_log_count(s, "relay-hung");
	v->unclean_stops = stage_log_count(s, "stop-unclean") + stage_log_count(s, "stop-purge");
	v->rebuilds = stage_log_count(s, "producer-fatal");
	v->lost_lanes = s->opt.relays > 1 ? stage_log_count(s, "lane-lost") : 0;
	v->bound = all * (v->kills + v->hangs + v->unclean_stops + v->rebuilds) + batch * v->lost_lanes;
}

static void
count_parked(struct stage *s, struct verdict *v)
{
	PGconn *conn __attribute__((cleanup(db_close))) = NULL;
	struct error err;

	conn = db_open(s->env.super, &err);
	env_must(conn == NULL ? -1 : 0, &err, "connect");
	ENV_MUST(db_int(conn, &v->parked, &err, "SELECT count(*) FROM pgoutbox.parked"), &err);
	v->parked += stage_log_count(s, "event-parked");
	v->overtaken = stage_log_count(s, "events-overtaken");
}

static void
read_topics(struct stage *s, struct verdict *v)
{
	struct audit *a __attribute__((cleanup(audit_free))) = NULL;
	struct audit_read read = {.brokers = s->env.kafka, .topics = s->topics, .topics_count = LOADS,
		.appear_ms = APPEAR_MS, .idle_ms = IDLE_MS};
	PGconn *conn __attribute__((cleanup(db_close))) = NULL;
	char path[512];
	struct error err;
	FILE *examples;

	conn = db_open(s->env.super, &err);
	env_must(conn == NULL ? -1 : 0, &err, "connect");
	ENV_MUST(db_int(conn, &read.expected, &err, "SELECT sum(events)::int8 FROM accounts"), &err);
	snprintf(path, sizeof(path), "%s/examples", s->opt.keep);
	examples = fopen(path, "we");
	ENV_MUST(audit_new(examples, &a, &err), &err);
	ENV_MUST(audit_consume(a, &read, &err), &err);
	if (s->opt.settle_delete)
		ENV_MUST(audit_judge_accounts(a, s->env.super, &v->audit, &err), &err);
	else
		ENV_MUST(audit_judge_rows(a, s->env.super, "outbox_events", &v->audit, &err), &err);
	if (examples != NULL)
		fclose(examples);
}

void
verdict_reach(struct stage *s, struct verdict *v)
{
	v->written = stage_written(s);
	for (int i = 0; i < s->opt.relays; i++)
		v->bad_ends += s->relays[i].bad_ends;
	set_bound(s, v);
	count_parked(s, v);
	read_topics(s, v);
	v->reached = true;
}

/* ---- telling ---- */

static const char *
commits_text(enum commits c)
{
	static const char *const texts[] = {
	    [COMMITS_SYNC] = "on", [COMMITS_ASYNC] = "off", [COMMITS_MIXED] = "on for one half, off for the other"};

	return texts[c];
}

void
verdict_tell(const struct stage_options *opt, const struct verdict *v)
{
	const struct audit_report *r = &v->audit;
	int64_t missed = 0;

	tap_diag("seed %llu: %d relays, %d brokers, %d lanes of %d, settle: %s, synchronous_commit: %s",
	         (unsigned long long)opt->seed, opt->relays, opt->nodes, opt->lanes, opt->batch_rows,
	         opt->settle_delete ? "delete" : "mark", commits_text(opt->commits));
	tap_diag("what was done to the parts:");
	for (int f = 0; f < FAULTS; f++) {
		if (v->storm.struck[f] > 0)
			tap_diag("%7lld  %s", (long long)v->storm.struck[f], plan_fault_text((enum fault)f));
		missed += v->storm.missed[f];
	}
	tap_diag("%7lld  that could not be done, because what they were for was away", (long long)missed);
	if (!v->reached) {
		tap_diag("the run did not come to its end: nothing can be said about the promises");
		return;
	}
	tap_diag("what came of it:");
	tap_diag("%9lld events in the end; the writers saw %lld committed, of which a crash of PostgreSQL may have taken some",
	         (long long)r->committed, (long long)v->written);
	tap_diag("%9lld lost, of %lld checked", (long long)r->missing, (long long)r->committed);
	tap_diag("%9lld reordered, of %lld checked, of %lld keys", (long long)(r->out_of_order + r->split_keys),
	         (long long)r->delivered, (long long)r->keys);
	tap_diag("%9lld published though rolled back or lost by the database, of %lld messages checked", (long long)r->unknown,
	         (long long)r->messages);
	tap_diag("%9lld altered, of %lld checked", (long long)(r->altered + r->without_id), (long long)r->compared);
	tap_diag("%9lld duplicates, of at most %lld", (long long)r->duplicates, (long long)v->bound);
	tap_diag("          which are %d x %d for each of %lld kills, %lld hangs, %lld unclean stops, %lld new producers;",
	         opt->lanes, opt->batch_rows, (long long)v->kills, (long long)v->hangs, (long long)v->unclean_stops,
	         (long long)v->rebuilds);
	tap_diag("          and %d for each of %lld lanes lost to another relay", opt->batch_rows, (long long)v->lost_lanes);
	tap_diag("%9lld parked, %lld attempts burnt, %lld overtaken", (long long)v->parked, (long long)v->failed,
	         (long long)v->overtaken);
	tap_diag("%9lld unsent in the end, %d relays ended by themselves", (long long)v->undrained, v->bad_ends);
}

int
verdict_write_json(const char *path, const struct stage_options *opt, const struct verdict *v)
{
	const struct audit_report *r = &v->audit;
	FILE *out = fopen(path, "we");
	const char *comma = "";

	if (out == NULL)
		return -1;
	fprintf(out, "{\n  \"seed\": %llu, \"relays\": %d, \"brokers\": %d, \"lanes\": %d, \"batch_rows\": %d,\n",
	        (unsigned long long)opt->seed, opt->relays, opt->nodes, opt->lanes, opt->batch_rows);
	fprintf(out, "  \"settle\": \"%s\", \"seconds\": %lld, \"injected\": {", opt->settle_delete ? "delete" : "mark",
	        (long long)opt->seconds);
	for (int f = 0; f < FAULTS; f++) {
		if (v->storm.struck[f] == 0)
			continue;
		fprintf(out, "%s\n    \"%s\": %lld", comma, plan_fault_name((enum fault)f), (long long)v->storm.struck[f]);
		comma = ",";
	}
	fprintf(out, "\n  },\n  \"judged\": %s, \"committed\": %lld, \"delivered\": %lld, \"messages\": %lld,\n",
	        v->reached ? "true" : "false", (long long)r->committed, (long long)r->delivered, (long long)r->messages);
	fprintf(out, "  \"keys\": %lld, \"written\": %lld,\n", (long long)r->keys, (long long)v->written);
	fprintf(out, "  \"lost\": %lld, \"reordered\": %lld, \"unknown\": %lld, \"altered\": %lld, \"compared\": %lld,\n",
	        (long long)r->missing, (long long)(r->out_of_order + r->split_keys), (long long)r->unknown,
	        (long long)(r->altered + r->without_id), (long long)r->compared);
	fprintf(out, "  \"duplicates\": %lld, \"duplicates_bound\": %lld, \"parked\": %lld, \"attempts_burnt\": %lld,\n",
	        (long long)r->duplicates, (long long)v->bound, (long long)v->parked, (long long)v->failed);
	fprintf(out, "  \"overtaken\": %lld, \"unsent\": %lld, \"relays_ended\": %d\n}\n", (long long)v->overtaken,
	        (long long)v->undrained, v->bad_ends);
	return fclose(out) == 0 ? 0 : -1;
}
