/* outboxes.c - in: a verb, and a configuration of one or several outboxes; out: the verb done for the right ones. */
#include "ctl/outboxes.h"

#include <stdio.h>
#include <sysexits.h>

/* These say or do the same for any number of tables. All others work on one, so that nobody meets the wrong one. */
static bool
runs_for_each(const struct verb *verb)
{
	return verb->run == verb_init || verb->run == verb_check || verb->run == verb_status;
}

static void
print_tables(const struct config *cfg, struct buf *out)
{
	for (size_t i = 0; i < config_outboxes(cfg); i++)
		buf_printf(out, "%s\"%s\"", i > 0 ? ", " : "", config_outbox(cfg, i)->outbox.table);
}

static int
run_each(const struct verb *verb, const struct arguments *args, const struct config *cfg)
{
	int status = EX_OK;

	for (size_t i = 0; i < config_outboxes(cfg); i++) {
		const struct config *outbox = config_outbox(cfg, i);
		int rc;

		/* What is printed for a program, JSON or SQL, is to be taken by it as it is. */
		if (!args->json)
			printf("%s%s: %s\n", i > 0 ? "\n" : "", args->print_sql ? "-- outbox" : "outbox", outbox->outbox.table);
		rc = verb->run(args, outbox);
		if (status == EX_OK)
			status = rc;
	}
	return status;
}

int
outboxes_run(const struct verb *verb, const struct arguments *args, const struct config *cfg)
{
	struct buf hint __attribute__((cleanup(buf_done))) = BUF_INIT;
	const struct config *outbox = args->outbox == NULL ? NULL : config_find_outbox(cfg, args->outbox);

	if (outbox != NULL)
		return verb->run(args, outbox);
	buf_add_str(&hint, args->outbox == NULL ? "name one with --outbox: " : "there is ");
	print_tables(cfg, &hint);
	if (args->outbox != NULL)
		return verb_misused(buf_str(&hint), "%s has no outbox \"%s\"", args->file, args->outbox);
	if (config_outboxes(cfg) == 1 || verb->run == verb_migrate)
		return verb->run(args, config_outbox(cfg, 0));
	if (runs_for_each(verb))
		return run_each(verb, args, cfg);
	return verb_misused(buf_str(&hint), "%s works on one outbox, and %s has %zu", verb->name, args->file,
	                    config_outboxes(cfg));
}
