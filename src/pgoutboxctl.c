/* pgoutboxctl.c - the operator's tool: arguments in, one verb done, words for people out. A tour; the work is in
 * admin/. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "admin/inspect.h"
#include "admin/install.h"
#include "admin/migrate.h"
#include "admin/target.h"

#define DEFAULT_FILE "/etc/pgoutboxd/pgoutboxd.yaml"

struct arguments {
	const char *file;
	const char *database; /* NULL = the configuration's */
	const char *role;     /* NULL = the configuration's */
	bool notify;
	bool print_sql;
	bool help;
	bool version;
};

struct verb {
	const char *name;
	const char *options; /* the letters of those it takes, see verb_options */
	int (*run)(const struct arguments *args, const struct config *cfg);
	const char *sentence;
	const char *help;
};

/* --- what verbs share --- */

static int
fail(const struct error *err)
{
	fprintf(stderr, "pgoutboxctl: %s\n", err->message);
	if (err->hint[0] != '\0')
		fprintf(stderr, "hint: %s\n", err->hint);
	return error_exit_status(err->kind);
}

/* What was said must have reached its reader: else the status says so, unless there is worse to say. */
static int
finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "pgoutboxctl: could not write: %s\n", strerror(errno));
	return status != EX_OK ? status : EX_IOERR;
}

/* --- verbs --- */

static void
tell_steps(const struct install_plan *plan, int wanted_lanes)
{
	for (size_t i = 0; i < plan->count; i++)
		printf("%s: %s\n", plan->steps[i].what, plan->steps[i].sql != NULL ? "done" : "already there");
	if (plan->lanes != wanted_lanes)
		printf("the table has %d lanes and keeps them, though outbox.lanes says %d\n", plan->lanes,
		       wanted_lanes);
}

static int
run_init(const struct arguments *args, const struct config *cfg)
{
	struct target target __attribute__((cleanup(target_close))) = TARGET_INIT;
	struct install_plan plan __attribute__((cleanup(install_plan_done))) = INSTALL_PLAN_INIT;
	struct buf script __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct install_request rq;
	struct error err;

	if (target_open(cfg, args->database, args->role, &target, &err) != 0)
		return fail(&err);
	rq = (struct install_request){target.request, (int)cfg->outbox.lanes, args->notify || cfg->outbox.notify};
	if (!args->print_sql) {
		if (install_run(target.conn, &rq, &plan, &err) != 0)
			return fail(&err);
		tell_steps(&plan, rq.lanes);
		return finish(EX_OK);
	}
	if (install_make_plan(target.conn, &rq, &plan, &err) != 0)
		return fail(&err);
	install_script(&plan, &script);
	fputs(buf_str(&script), stdout);
	return finish(EX_OK);
}

static int
run_migrate(const struct arguments *args, const struct config *cfg)
{
	struct target target __attribute__((cleanup(target_close))) = TARGET_INIT;
	struct migrate_result result;
	struct error err;

	if (target_open(cfg, args->database, NULL, &target, &err) != 0 || migrate_run(target.conn, &result, &err) != 0)
		return fail(&err);
	if (result.from == result.to)
		printf("schema \"pgoutbox\" has version %d already\n", result.to);
	else
		printf("schema \"pgoutbox\": version %d is now %d\n", result.from, result.to);
	return finish(EX_OK);
}

static int
run_check(const struct arguments *args, const struct config *cfg)
{
	struct target target __attribute__((cleanup(target_close))) = TARGET_INIT;
	struct layout lo __attribute__((cleanup(layout_done))) = LAYOUT_INIT;
	struct error problems[LAYOUT_PROBLEMS_MAX], err;
	size_t count;
	int status = EX_OK;

	if (target_open(cfg, args->database, args->role, &target, &err) != 0 ||
	    inspect_role(target.conn, target.role, &err) != 0 || inspect(target.conn, &target.request, &lo, &err) != 0)
		return fail(&err);
	count = layout_problems(&lo, &target.request, LAYOUT_ALL, problems, LAYOUT_PROBLEMS_MAX);
	for (size_t i = 0; i < count; i++) {
		printf("%s\nhint: %s\n", problems[i].message, problems[i].hint);
		if (status != EX_CONFIG)
			status = problems[i].kind == ERR_CONFIG ? EX_CONFIG : EX_TEMPFAIL;
	}
	if (count == 0)
		printf("table \"%s\" with %d lanes is ready for role \"%s\"\n", lo.relation, lo.lanes, lo.facts.role);
	return finish(status);
}

static const struct verb verbs[] = {
	{"init", "drnp", run_init, "create what the daemon needs in the database",
         "Creates schema pgoutbox, the outbox table if it is missing, the index that events are claimed\n"
         "by, and grants the daemon's role what it needs. What is there already is left alone.\n"},
	{"migrate", "d", run_migrate, "bring schema pgoutbox to this program's version",
         "Brings what an older pgoutboxctl created to this program's version, in one transaction.\n"},
	{"check", "dr", run_check, "find out whether table and rights serve",
         "Looks at the table, its index, schema pgoutbox and the role's rights, and says for each\n"
         "finding what to do. Changes nothing. The exit status is 78 if there are any.\n"},
};

#define VERBS_COUNT (sizeof(verbs) / sizeof(verbs[0]))

/* --- arguments --- */

static const struct {
	struct option option;
	const char *help;
} verb_options[] = {
	{{"database", required_argument, NULL, 'd'},
         "  --database CONNINFO  connect so, as an administrator (default: as the daemon does)\n"},
	{{"role", required_argument, NULL, 'r'},
         "  --role NAME          the daemon's role (default: the user of database.conninfo)\n"},
	{{"notify", no_argument, NULL, 'n'}, "  --notify             add the trigger that outbox.notify listens to\n"},
	{{"print-sql", no_argument, NULL, 'p'},
         "  --print-sql          print the statements that are still to be run, and run none\n"},
};

#define VERB_OPTIONS_COUNT (sizeof(verb_options) / sizeof(verb_options[0]))

static int
usage(FILE *out, int status)
{
	fputs("usage: pgoutboxctl [-c FILE] VERB [options]\n\n", out);
	for (size_t i = 0; i < VERBS_COUNT; i++)
		fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].sentence);
	fputs("  version    print the version\n\n"
	      "  -c, --config FILE  the daemon's configuration\n"
	      "                     (default " DEFAULT_FILE ")\n"
	      "      --version      print the version\n"
	      "      --help         this, or after a verb what it does\n\n"
	      "Exit status: 0 done, 64 usage, 70 a defect, 74 output failed,\n"
	      "75 try again, 78 something is to be mended.\n",
	      out);
	return finish(status);
}

static int
verb_help(const struct verb *verb)
{
	printf("usage: pgoutboxctl [-c FILE] %s [options]\n\n%s\n", verb->name, verb->help);
	for (size_t i = 0; i < VERB_OPTIONS_COUNT; i++)
		if (strchr(verb->options, verb_options[i].option.val) != NULL)
			fputs(verb_options[i].help, stdout);
	return finish(EX_OK);
}

/* Options may stand before or after the verb; *ret_used collects those that belong to verbs. */
static int
parse(int argc, char **argv, struct arguments *args, char ret_used[static VERB_OPTIONS_COUNT + 1])
{
	struct option options[VERB_OPTIONS_COUNT + 4] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
	};
	size_t used = 0;
	int letter;

	for (size_t i = 0; i < VERB_OPTIONS_COUNT; i++)
		options[i + 3] = verb_options[i].option;
	while ((letter = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		if (letter == 'c')
			args->file = optarg;
		else if (letter == 'h')
			args->help = true;
		else if (letter == 'V')
			args->version = true;
		else if (letter == 'd')
			args->database = optarg;
		else if (letter == 'r')
			args->role = optarg;
		else if (letter == 'n')
			args->notify = true;
		else if (letter == 'p')
			args->print_sql = true;
		else
			return -1;
		if (strchr("chV", letter) == NULL && memchr(ret_used, letter, used) == NULL)
			ret_used[used++] = (char)letter;
	}
	ret_used[used] = '\0';
	return 0;
}

static const struct verb *
find_verb(const char *name)
{
	for (size_t i = 0; i < VERBS_COUNT; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	fprintf(stderr, "pgoutboxctl: there is no verb \"%s\"\n", name);
	return NULL;
}

static bool
takes_options(const struct verb *verb, const char *used)
{
	char letter = used[strspn(used, verb->options)];

	for (size_t i = 0; letter != '\0' && i < VERB_OPTIONS_COUNT; i++)
		if (verb_options[i].option.val == letter)
			fprintf(stderr, "pgoutboxctl: %s takes no option --%s\n", verb->name,
			        verb_options[i].option.name);
	return letter == '\0';
}

static int
run_verb(const struct verb *verb, const struct arguments *args)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0};
	int status = EX_CONFIG;
	int rc = config_load(args->file, plan_check_config, &cfg, &problems);

	config_problems_print(&problems, &text);
	fputs(buf_str(&text), stderr);
	config_problems_done(&problems);
	if (rc == 0)
		status = verb->run(args, &cfg);
	config_done(&cfg);
	return status;
}

int
main(int argc, char **argv)
{
	struct arguments args = {.file = DEFAULT_FILE};
	char used[VERB_OPTIONS_COUNT + 1] = "";
	const struct verb *verb;

	if (parse(argc, argv, &args, used) != 0)
		return usage(stderr, EX_USAGE);
	if (args.version || (optind < argc && strcmp(argv[optind], "version") == 0)) {
		printf("pgoutboxctl %s\n", PACKAGE_VERSION);
		return finish(EX_OK);
	}
	if (optind == argc)
		return args.help ? usage(stdout, EX_OK) : usage(stderr, EX_USAGE);
	verb = find_verb(argv[optind]);
	if (verb == NULL || optind + 1 != argc)
		return usage(stderr, EX_USAGE);
	if (!takes_options(verb, used))
		return EX_USAGE;
	return args.help ? verb_help(verb) : run_verb(verb, &args);
}
