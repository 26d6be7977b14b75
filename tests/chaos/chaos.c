/* chaos.c - writers, relays, a real PostgreSQL, a real Kafka, and a seed that says what is done to each of them and
 * when. In the end all is put right again, and every promise is checked on every event.
 *
 * A promise is a test of its own; the first one is the run. usage[] tells the rest.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "chaos/plan.h"
#include "chaos/stage.h"
#include "chaos/storm.h"
#include "chaos/verdict.h"
#include "support/servers.h"
#include "support/tap.h"

static const char usage[] =
    "usage: with-postgres with-kafka [-n NODES] -l RELAY1:PLAINTEXT:proxied -l RELAY2:PLAINTEXT:proxied \\\n"
    "           chaos [OPTION]...\n"
    "Runs writers and relays between a real PostgreSQL and a real Kafka, hurts each part at random, and checks that\n"
    "nothing was lost, reordered, invented, altered, parked, or sent twice more often than crashes explain.\n"
    "\"make chaos\" runs it with what it needs. Options may also stand in the environment, in PGOUTBOX_CHAOS.\n\n"
    "  --seconds N      how long to go on (600)\n"
    "  --seed N         what happens when; the same seed gives the same schedule (by the clock, and told)\n"
    "  --relays N       1 or 2 (2)\n"
    "  --settle WHAT    mark, or delete: then events are judged by the writers' accounts (mark)\n"
    "  --commits WHAT   the writers' synchronous_commit: sync, async, mixed (mixed)\n"
    "  --rate N         events a second that the writers commit (500)\n"
    "  --lanes N        (4)\n"
    "  --batch N        outbox.batch_rows (50)\n"
    "  --keys N         (200)\n"
    "  --pause MS       between two strikes at one part, on average (8000)\n"
    "  --only LIST      hurt these parts alone, of: relay,postgres,sql,visitors,pgnet,knet,brokers\n"
    "  --kills N        instead of all that, kill -9 relays so many times, each at a random moment\n"
    "  --plan           print the schedule and do nothing\n"
    "  --json FILE      write the verdict there too\n"
    "  --keep DIR       keep the logs of all parts in DIR; else they are kept, in /tmp, only when the run fails\n\n"
    "Exit status: 0 every promise was kept, 1 one was not, 64 wrong usage.\n";

/* How long nothing may be sent, and how long it may take in all, once everything serves again. */
enum { STUCK_MS = 90000, DRAIN_MS = 900000, WORDS_MAX = 64 };

static struct {
	struct plan_options plan;
	struct stage_options stage;
	const char *json;
	bool only_plan, keeps;
	char own_dir[64];
} chaos;

static struct stage stage;
static struct verdict verdict;

/* ---- the tests ---- */

static void
let_it_happen(struct plan *plan)
{
	stage_start_writers(&stage);
	storm_run(&stage, plan, &verdict.storm);
	stage_calm_down(&stage);
	verdict.undrained = stage_drain(&stage, STUCK_MS, DRAIN_MS);
	verdict_ask_relays(&stage, &verdict);
	stage_stop_relays(&stage);
	verdict_reach(&stage, &verdict);
}

static void
the_run(void)
{
	struct plan plan;

	chaos.stage.nodes = chaos.plan.nodes = servers_kafka_nodes();
	plan = plan_make(&chaos.plan);
	chaos.stage.seconds = plan.length_ms / 1000;
	tap_diag("seed %llu, %lld s", (unsigned long long)chaos.plan.seed, (long long)chaos.stage.seconds);
	if (!stage_begin(&stage, &chaos.stage)) {
		plan_free(&plan);
		return;
	}
	let_it_happen(&plan);
	plan_free(&plan);
	TAP_INT(verdict.undrained, 0);
	TAP_INT(verdict.bad_ends, 0);
	CU_ASSERT(verdict.audit.committed > 0);
}

/* The run has to have come so far. */
static bool
judged(void)
{
	if (stage.journal == NULL)
		tap_skip("there was no run");
	else if (!verdict.reached)
		CU_FAIL("the run did not come to its end");
	return verdict.reached;
}

static void
nothing_lost(void)
{
	if (judged())
		TAP_INT(verdict.audit.missing, 0);
}

static void
nothing_reordered(void)
{
	if (!judged())
		return;
	TAP_INT(verdict.audit.out_of_order, 0);
	TAP_INT(verdict.audit.split_keys, 0);
}

static void
nothing_invented(void)
{
	if (judged())
		TAP_INT(verdict.audit.unknown, 0);
}

static void
nothing_altered(void)
{
	if (!judged())
		return;
	TAP_INT(verdict.audit.altered, 0);
	TAP_INT(verdict.audit.without_id, 0);
}

static void
no_more_duplicates_than_crashes_explain(void)
{
	if (judged())
		CU_ASSERT(verdict.audit.duplicates <= verdict.bound);
}

static void
nothing_parked(void)
{
	if (!judged())
		return;
	TAP_INT(verdict.parked, 0);
	TAP_INT(verdict.failed, 0);
}

/* ---- options ---- */

enum { OPT_SECONDS, OPT_SEED, OPT_RELAYS, OPT_SETTLE, OPT_COMMITS, OPT_RATE, OPT_LANES, OPT_BATCH, OPT_KEYS, OPT_PAUSE,
	OPT_ONLY, OPT_KILLS, OPT_PLAN, OPT_JSON, OPT_KEEP, OPT_HELP };

static const struct option long_options[] = {
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"seed", required_argument, NULL, OPT_SEED},
    {"relays", required_argument, NULL, OPT_RELAYS},
    {"settle", required_argument, NULL, OPT_SETTLE},
    {"commits", required_argument, NULL, OPT_COMMITS},
    {"rate", required_argument, NULL, OPT_RATE},
    {"lanes", required_argument, NULL, OPT_LANES},
    {"batch", required_argument, NULL, OPT_BATCH},
    {"keys", required_argument, NULL, OPT_KEYS},
    {"pause", required_argument, NULL, OPT_PAUSE},
    {"only", required_argument, NULL, OPT_ONLY},
    {"kills", required_argument, NULL, OPT_KILLS},
    {"plan", no_argument, NULL, OPT_PLAN},
    {"json", required_argument, NULL, OPT_JSON},
    {"keep", required_argument, NULL, OPT_KEEP},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool
read_number(const char *text, long low, long high, long *ret_value)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end != '\0' || value < low || value > high)
		return false;
	*ret_value = value;
	return true;
}

static bool
set_number(int which, const char *text)
{
	long n;

	switch (which) {
	case OPT_SECONDS:
		if (!read_number(text, 10, 1000000, &n))
			return false;
		chaos.plan.length_ms = n * 1000;
		return true;
	case OPT_RELAYS: return read_number(text, 1, RELAYS_MAX, &n) && (chaos.plan.relays = (int)n) > 0;
	case OPT_RATE: return read_number(text, 1, 1000000, &n) && (chaos.stage.rate = (double)n) > 0;
	case OPT_LANES: return read_number(text, 1, 64, &n) && (chaos.stage.lanes = (int)n) > 0;
	case OPT_BATCH: return read_number(text, 1, 100000, &n) && (chaos.stage.batch_rows = (int)n) > 0;
	case OPT_KEYS: return read_number(text, 1, 1000000, &n) && (chaos.stage.keys = (int)n) > 0;
	case OPT_PAUSE: return read_number(text, 1, 1000000, &n) && (chaos.plan.pause_ms = (int)n) > 0;
	case OPT_KILLS: return read_number(text, 1, 1000000, &n) && (chaos.plan.kills = (int)n) > 0;
	default: return false;
	}
}

static bool
set_only(const char *list)
{
	char *copy = strdup(list), *rest = NULL;
	bool good = copy != NULL;

	memset(chaos.plan.groups, 0, sizeof(chaos.plan.groups));
	for (char *name = strtok_r(copy, ",", &rest); good && name != NULL; name = strtok_r(NULL, ",", &rest)) {
		int g = plan_group_find(name);

		good = g >= 0;
		if (good)
			chaos.plan.groups[g] = true;
	}
	free(copy);
	return good;
}

static bool
set_commits(const char *text)
{
	static const char *const names[] = {[COMMITS_SYNC] = "sync", [COMMITS_ASYNC] = "async", [COMMITS_MIXED] = "mixed"};

	for (int i = 0; i < 3; i++) {
		if (strcmp(names[i], text) == 0) {
			chaos.stage.commits = (enum commits)i;
			return true;
		}
	}
	return false;
}

static bool
set_option(int which, const char *text)
{
	char *end;

	switch (which) {
	case OPT_SEED:
		chaos.plan.seed = strtoull(text, &end, 10);
		return end != text && *end == '\0';
	case OPT_SETTLE:
		chaos.stage.settle_delete = strcmp(text, "delete") == 0;
		return chaos.stage.settle_delete || strcmp(text, "mark") == 0;
	case OPT_COMMITS: return set_commits(text);
	case OPT_ONLY: return set_only(text);
	case OPT_PLAN: return chaos.only_plan = true;
	case OPT_JSON: chaos.json = text; return true;
	case OPT_KEEP: chaos.stage.keep = text; return chaos.keeps = true;
	default: return set_number(which, text);
	}
}

/* The exit status to leave with, or -1. */
static int
read_options(int argc, char **argv)
{
	int which;

	optind = 0;
	while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (!set_option(which, optarg)) {
			fputs(usage, which == OPT_HELP ? stdout : stderr);
			return which == OPT_HELP ? 0 : 64;
		}
	}
	if (optind == argc)
		return -1;
	fputs(usage, stderr);
	return 64;
}

static int
read_environment(char *program)
{
	const char *given = getenv("PGOUTBOX_CHAOS");
	char *words[WORDS_MAX] = {program}, *rest = NULL;
	static char copy[1024]; /* options point into it */
	int count = 1;

	snprintf(copy, sizeof(copy), "%s", given == NULL ? "" : given);
	for (char *word = strtok_r(copy, " ", &rest); word != NULL && count < WORDS_MAX - 1; word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	return read_options(count, words);
}

static void
set_defaults(void)
{
	chaos.plan = (struct plan_options){.seed = (uint64_t)clock_wall_us() / 1000 % 1000000, .length_ms = 600000,
		.relays = 2, .nodes = 1, .pause_ms = 8000};
	chaos.stage = (struct stage_options){.lanes = 4, .batch_rows = 50, .keys = 200, .rate = 500,
		.commits = COMMITS_MIXED};
	for (int g = 0; g < GROUPS; g++)
		chaos.plan.groups[g] = true;
}

static bool
settle_options(void)
{
	for (int g = 0; chaos.plan.kills > 0 && g < GROUPS; g++)
		chaos.plan.groups[g] = g == GROUP_RELAY;
	chaos.stage.seed = chaos.plan.seed;
	chaos.stage.relays = chaos.plan.relays;
	if (chaos.keeps) {
		mkdir(chaos.stage.keep, 0755);
		return access(chaos.stage.keep, W_OK) == 0;
	}
	snprintf(chaos.own_dir, sizeof(chaos.own_dir), "/tmp/pgoutbox-chaos.XXXXXX");
	chaos.stage.keep = mkdtemp(chaos.own_dir);
	return chaos.stage.keep != NULL;
}

static void
print_plan(void)
{
	struct plan plan;

	chaos.plan.nodes = servers_kafka_nodes() > 0 ? servers_kafka_nodes() : 1;
	plan = plan_make(&chaos.plan);
	for (size_t i = 0; i < plan.count; i++) {
		for (size_t k = 0; k < plan.lines[i].count; k++) {
			const struct strike *strike = &plan.lines[i].strikes[k];

			printf("[%s %d] after %.3f s, for %.3f s: %s\n",
			       plan_group_name(plan.lines[i].group), plan.lines[i].target, (double)strike->pause_ms / 1000,
			       (double)strike->lasts_ms / 1000, plan_fault_text(strike->fault));
		}
	}
	plan_free(&plan);
}

/* ---- */

static void
remove_own_dir(void)
{
	static const char *const names[] = {"journal", "verbs.log", "examples"};
	char path[512];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", chaos.stage.keep, names[i]);
		unlink(path);
	}
	rmdir(chaos.stage.keep);
}

static int
run(void)
{
	int status;

	tap_suite("chaos");
	tap_test("goes on, and is done in the end", the_run);
	tap_test("nothing lost", nothing_lost);
	tap_test("nothing reordered", nothing_reordered);
	tap_test("nothing published that never was", nothing_invented);
	tap_test("nothing altered", nothing_altered);
	tap_test("no more duplicates than crashes explain", no_more_duplicates_than_crashes_explain);
	tap_test("nothing parked, no attempt burnt", nothing_parked);
	status = tap_run();
	if (stage.journal == NULL)
		return status;
	verdict_tell(&chaos.stage, &verdict);
	if (chaos.json != NULL && verdict_write_json(chaos.json, &chaos.stage, &verdict) == -1)
		tap_diag("could not write \"%s\"", chaos.json);
	tap_diag("%s", status == 0 ? "every promise was kept" : "NOT EVERY PROMISE WAS KEPT");
	if (status != 0 || chaos.keeps) {
		stage_keep_logs(&stage);
		tap_diag("the logs of all parts are in %s", chaos.stage.keep);
	}
	stage_end(&stage);
	return status;
}

int
main(int argc, char **argv)
{
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	set_defaults();
	status = read_environment(argv[0]);
	if (status == -1)
		status = read_options(argc, argv);
	if (status != -1)
		return status;
	if (chaos.only_plan) {
		print_plan();
		return 0;
	}
	if (!settle_options()) {
		fprintf(stderr, "chaos: cannot write to the directory for logs\n");
		return 64;
	}
	status = run();
	if (!chaos.keeps && status == 0)
		remove_own_dir();
	return status;
}
