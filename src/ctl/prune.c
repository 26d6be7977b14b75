/* prune.c - the verb that deletes sent rows which are old enough. In: arguments; out: lines or JSON, an exit status. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "admin/outbox.h"
#include "admin/pruning.h"
#include "config/value.h"
#include "ctl/progress.h"
#include "ctl/report.h"
#include "ctl/verb.h"
#include "ctl/words.h"

/* EX_OK, or how it ends. */
static int
read_age(const struct arguments *args, const struct config *cfg, int64_t *ret_age_ms)
{
	const struct option *opt = options_find("outbox", NULL, "retention");
	struct outbox_config given = {.retention_ms = cfg->outbox.retention_ms};
	struct error err;

	if (args->older_than != NULL && value_set(opt, &given, args->older_than, &err) != 0)
		return verb_misused("a duration is written as 12h or 7d", "--older-than: %s", err.message);
	if (given.retention_ms == CONFIG_NEVER)
		return verb_misused("--older-than=30d, for example, deletes what was sent longer ago than that",
		                    "outbox.retention is never, so nothing says what is old");
	*ret_age_ms = given.retention_ms;
	return EX_OK;
}

static void
on_progress(void *ctx, const struct pruning *so_far)
{
	progress_to(ctx, so_far->looked);
}

static int
tell_json(const struct outbox *o, const struct pruning *done, int64_t age_ms, bool dry)
{
	json_t *root = json_object();

	report_put(&root, "outbox", report_text(o->layout.relation));
	report_put(&root, "older_than_seconds", json_integer(age_ms / 1000));
	report_put(&root, dry ? "would_delete" : "deleted", json_integer(done->deleted));
	report_put(&root, "parked", json_integer(done->spared));
	return report_print(&root, EX_OK);
}

static int
tell(const struct pruning *done, const char *what, int64_t age_ms, bool dry)
{
	char age[WORDS_SIZE];

	printf("%" PRId64 " %s%s%s deleted: sent more than %s ago\n", done->deleted, what, done->deleted == 1 ? "" : "s",
	       dry ? " would be" : "", words_duration(age, age_ms * 1000));
	if (done->spared > 0)
		printf("%" PRId64 " stay%s that old, because they are parked\n", done->spared, done->spared == 1 ? "s" : "");
	return verb_finish(EX_OK);
}

int
verb_prune(const struct arguments *args, const struct config *cfg)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct progress p;
	struct pruning_request rq = {.dry = args->dry_run, .progress = on_progress, .ctx = &p};
	struct pruning done;
	int status = read_age(args, cfg, &rq.age_ms);
	const char *what;
	struct error err;
	int rc;

	if (status != EX_OK)
		return status;
	if (outbox_open(cfg, args->database, &o, &err) != 0)
		return verb_fail(&err);
	rq.receipts = cfg->outbox.receipts && cfg->outbox.settle == SETTLE_DELETE;
	what = rq.receipts ? "receipt" : "row";
	p = progress_begin(stderr, args->dry_run ? "look" : "prune", "rows looked at", PROGRESS_UNKNOWN);
	rc = pruning_run(o.target.conn, &o.layout, &rq, &done, &err);
	progress_end(&p);
	if (rc == 0)
		return args->json ? tell_json(&o, &done, rq.age_ms, args->dry_run) : tell(&done, what, rq.age_ms, args->dry_run);
	if (done.deleted > 0 && !args->dry_run)
		fprintf(stderr, "%" PRId64 " %ss were deleted before this:\n", done.deleted, what);
	return verb_fail(&err);
}
