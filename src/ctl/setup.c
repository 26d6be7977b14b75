/* setup.c - the verbs that prepare a database and look whether it is ready. In: arguments; out: lines, an exit
 * status. */
#include <stdio.h>
#include <sysexits.h>

#include "admin/inspect.h"
#include "admin/install.h"
#include "admin/migrate.h"
#include "admin/target.h"
#include "ctl/verb.h"

static void
tell_steps(const struct install_plan *plan, int wanted_lanes)
{
	for (size_t i = 0; i < plan->count; i++)
		printf("%s: %s\n", plan->steps[i].what, plan->steps[i].sql != NULL ? "done" : "already there");
	if (plan->lanes != wanted_lanes)
		printf("the table has %d lanes and keeps them, though outbox.lanes says %d\n", plan->lanes,
		       wanted_lanes);
}

int
verb_init(const struct arguments *args, const struct config *cfg)
{
	struct target target __attribute__((cleanup(target_close))) = TARGET_INIT;
	struct install_plan plan __attribute__((cleanup(install_plan_done))) = INSTALL_PLAN_INIT;
	struct buf script __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct install_request rq;
	struct error err;

	if (target_open(cfg, args->database, args->role, &target, &err) != 0)
		return verb_fail(&err);
	rq = (struct install_request){target.request, (int)cfg->outbox.lanes, args->notify || cfg->outbox.notify};
	if (!args->print_sql) {
		if (install_run(target.conn, &rq, &plan, &err) != 0)
			return verb_fail(&err);
		tell_steps(&plan, rq.lanes);
		return verb_finish(EX_OK);
	}
	if (install_make_plan(target.conn, &rq, &plan, &err) != 0)
		return verb_fail(&err);
	install_script(&plan, &script);
	fputs(buf_str(&script), stdout);
	return verb_finish(EX_OK);
}

int
verb_migrate(const struct arguments *args, const struct config *cfg)
{
	struct target target __attribute__((cleanup(target_close))) = TARGET_INIT;
	struct migrate_result result;
	struct error err;

	if (target_open(cfg, args->database, NULL, &target, &err) != 0 || migrate_run(target.conn, &result, &err) != 0)
		return verb_fail(&err);
	if (result.from == result.to)
		printf("schema \"pgoutbox\" has version %d already\n", result.to);
	else
		printf("schema \"pgoutbox\": version %d is now %d\n", result.from, result.to);
	return verb_finish(EX_OK);
}

int
verb_check(const struct arguments *args, const struct config *cfg)
{
	struct target target __attribute__((cleanup(target_close))) = TARGET_INIT;
	struct layout lo __attribute__((cleanup(layout_done))) = LAYOUT_INIT;
	struct error problems[LAYOUT_PROBLEMS_MAX], err;
	size_t count;
	int status = EX_OK;

	if (args->full)
		return verb_check_full(args, cfg);
	if (args->json)
		return verb_misused(NULL, "check: --json goes with --full");
	if (target_open(cfg, args->database, args->role, &target, &err) != 0 ||
	    inspect_role(target.conn, target.role, &err) != 0 || inspect(target.conn, &target.request, &lo, &err) != 0)
		return verb_fail(&err);
	count = layout_problems(&lo, &target.request, LAYOUT_ALL, problems, LAYOUT_PROBLEMS_MAX);
	for (size_t i = 0; i < count; i++) {
		printf("%s\nhint: %s\n", problems[i].message, problems[i].hint);
		if (status != EX_CONFIG)
			status = problems[i].kind == ERR_CONFIG ? EX_CONFIG : EX_TEMPFAIL;
	}
	if (count == 0)
		printf("table \"%s\" with %d lanes is ready for role \"%s\"\n", lo.relation, lo.lanes, lo.facts.role);
	return verb_finish(status);
}
