/* pgoutboxctl.c - the operator's tool: arguments in, one verb done. A tour; the options are in ctl/arguments.c, the
 * verbs in ctl/, their work is in admin/. */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/buf.h"
#include "ctl/arguments.h"
#include "ctl/outboxes.h"
#include "ctl/usage.h"
#include "ctl/verb.h"
#include "relay/plan.h"

static int
run_verb(const struct verb *verb, const struct arguments *args)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct config cfg = {0};
	int status = EX_CONFIG;
	/* Kafka's secrets are of use to those alone that connect there. */
	int rc = (args->full || verb->run == verb_verify ? config_load : config_load_beside)(args->file, plan_check_config, &cfg, &problems);

	config_problems_print(&problems, &text);
	fputs(buf_str(&text), stderr);
	config_problems_done(&problems);
	if (rc == 0)
		status = outboxes_run(verb, args, &cfg);
	config_done(&cfg);
	return status;
}

static int
help(void)
{
	usage_print(stdout);
	return verb_finish(EX_OK);
}

/* No verb that we know, or too many words behind it. */
static int
misused(const struct verb *verb, const struct arguments *args)
{
	if (verb != NULL) {
		fprintf(stderr, "pgoutboxctl: %s takes no \"%s\"\n", verb->name, args->operands[0]);
		usage_print_verb(stderr, verb);
	} else if (args->help && usage_is_family(args->operands[0])) {
		usage_print_family(stdout, args->operands[0]);
		return verb_finish(EX_OK);
	} else
		usage_tell_unknown(args->operands, args->operands_count);
	return EX_USAGE;
}

int
main(int argc, char **argv)
{
	struct arguments args;
	const struct verb *verb;

	if (arguments_parse(argc, argv, &args) != 0) {
		fputs("hint: \"pgoutboxctl --help\", or --help behind a verb, lists the options\n", stderr);
		return EX_USAGE;
	}
	if (args.version || (args.operands_count > 0 && strcmp(args.operands[0], "version") == 0)) {
		printf("pgoutboxctl %s\n", PACKAGE_VERSION);
		return verb_finish(EX_OK);
	}
	if (args.operands_count == 0 && args.help)
		return help();
	if (args.operands_count == 0) {
		usage_print(stderr);
		return EX_USAGE;
	}
	verb = verb_find(&args);
	if (verb == NULL || (verb->operands == NULL && args.operands_count > 0))
		return misused(verb, &args);
	if (!usage_check_options(verb, &args))
		return EX_USAGE;
	if (!args.help)
		return run_verb(verb, &args);
	usage_print_verb(stdout, verb);
	return verb_finish(EX_OK);
}
