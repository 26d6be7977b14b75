/* pgoutboxctl.c - the operator's tool: arguments in, one verb done. A tour; the verbs are in ctl/, their work is in
 * admin/. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/buf.h"
#include "ctl/verb.h"
#include "relay/plan.h"

#define DEFAULT_FILE "/etc/pgoutboxd/pgoutboxd.yaml"

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
	{{"key", required_argument, NULL, 'k'}, "  --key KEY            only events of this key\n"},
	{{"topic", required_argument, NULL, 't'}, "  --topic TOPIC        only events for this topic\n"},
	{{"reason-like", required_argument, NULL, 'R'},
         "  --reason-like PAT    only events whose reason is like this, by SQL's LIKE\n"},
	{{"limit", required_argument, NULL, 'l'}, "  --limit N            so many at the most (default 100)\n"},
	{{"all", no_argument, NULL, 'a'},
         "  --all                all of them; in a list, those that were decided about, too\n"},
	{{"payload", no_argument, NULL, 'P'}, "  --payload            show the payload, too\n"},
	{{"yes", no_argument, NULL, 'y'}, "  --yes                do what cannot be undone\n"},
	{{"json", no_argument, NULL, 'j'}, "  --json               print JSON, for programs\n"},
};

#define VERB_OPTIONS_COUNT (sizeof(verb_options) / sizeof(verb_options[0]))

static int
usage(FILE *out, int status)
{
	fputs("usage: pgoutboxctl [-c FILE] VERB [options]\n\n", out);
	for (size_t i = 0; i < verbs_count; i++)
		fprintf(out, "  %-13s %s\n", verbs[i].name, verbs[i].sentence);
	fputs("  version       print the version\n\n"
	      "  -c, --config FILE  the daemon's configuration\n"
	      "                     (default " DEFAULT_FILE ")\n"
	      "      --version      print the version\n"
	      "      --help         this, or after a verb what it does\n\n"
	      "Exit status: 0 done, 64 usage, 70 a defect, 74 output failed,\n"
	      "75 try again, 78 something is to be mended.\n",
	      out);
	return verb_finish(status);
}

static int
verb_help(const struct verb *verb)
{
	printf("usage: pgoutboxctl [-c FILE] %s%s%s [options]\n\n%s\n", verb->name, verb->operands != NULL ? " " : "",
	       verb->operands != NULL ? verb->operands : "", verb->help);
	for (size_t i = 0; i < VERB_OPTIONS_COUNT; i++)
		if (strchr(verb->options, verb_options[i].option.val) != NULL)
			fputs(verb_options[i].help, stdout);
	return verb_finish(EX_OK);
}

static void
take_option(struct arguments *args, int letter, const char *value)
{
	switch (letter) {
	case 'c': args->file = value; break;
	case 'h': args->help = true; break;
	case 'V': args->version = true; break;
	case 'd': args->database = value; break;
	case 'r': args->role = value; break;
	case 'n': args->notify = true; break;
	case 'p': args->print_sql = true; break;
	case 'k': args->key = value; break;
	case 't': args->topic = value; break;
	case 'R': args->reason_like = value; break;
	case 'l': args->limit = value; break;
	case 'a': args->all = true; break;
	case 'P': args->payload = true; break;
	case 'y': args->yes = true; break;
	case 'j': args->json = true; break;
	}
}

/* Options may stand before or after the verb; ret_used collects those that belong to verbs. */
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
		if (letter == '?')
			return -1;
		take_option(args, letter, optarg);
		if (strchr("chV", letter) == NULL && memchr(ret_used, letter, used) == NULL)
			ret_used[used++] = (char)letter;
	}
	ret_used[used] = '\0';
	return 0;
}

/* How many words of argv name the verb; 0 = another. */
static int
words(const struct verb *verb, char *const *argv, int argc)
{
	const char *space = strchr(verb->name, ' ');
	size_t first = space != NULL ? (size_t)(space - verb->name) : strlen(verb->name);

	if (strlen(argv[0]) != first || memcmp(argv[0], verb->name, first) != 0)
		return 0;
	if (space == NULL)
		return 1;
	return argc > 1 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

static void
tell_unknown(char *const *argv, int argc)
{
	size_t len = strlen(argv[0]);
	bool family = false;

	fprintf(stderr, "pgoutboxctl: there is no verb \"%s%s%s\"\n", argv[0], argc > 1 ? " " : "",
	        argc > 1 ? argv[1] : "");
	for (size_t i = 0; i < verbs_count; i++) {
		if (strncmp(verbs[i].name, argv[0], len) != 0 || verbs[i].name[len] != ' ')
			continue;
		fprintf(stderr, "%s%s", family ? ", " : "hint: there are ", verbs[i].name);
		family = true;
	}
	fputs(family ? "\n" : "", stderr);
}

static const struct verb *
find_verb(struct arguments *args)
{
	for (size_t i = 0; i < verbs_count; i++) {
		int n = words(&verbs[i], args->operands, args->operands_count);

		args->operands += n;
		args->operands_count -= n;
		if (n > 0)
			return &verbs[i];
	}
	tell_unknown(args->operands, args->operands_count);
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
	int rc = config_load_beside(args->file, plan_check_config, &cfg, &problems);

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
		return verb_finish(EX_OK);
	}
	if (optind == argc)
		return args.help ? usage(stdout, EX_OK) : usage(stderr, EX_USAGE);
	args.operands = argv + optind;
	args.operands_count = argc - optind;
	verb = find_verb(&args);
	if (verb == NULL || (verb->operands == NULL && args.operands_count > 0))
		return usage(stderr, EX_USAGE);
	if (!takes_options(verb, used))
		return EX_USAGE;
	return args.help ? verb_help(verb) : run_verb(verb, &args);
}
