/* verb.c - the table of verbs, and how each of them ends. Knows nothing of what they do. */
#include "ctl/verb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

const struct verb verbs[] = {
	{"init", "drnp", NULL, verb_init, "create what the daemon needs in the database",
         "Creates schema pgoutbox, the outbox table if it is missing, the index that events are claimed\n"
         "by, and grants the daemon's role what it needs. What is there already is left alone.\n"},
	{"migrate", "d", NULL, verb_migrate, "bring schema pgoutbox to this program's version",
         "Brings what an older pgoutboxctl created to this program's version, in one transaction.\n"},
	{"check", "dr", NULL, verb_check, "find out whether table and rights serve",
         "Looks at the table, its index, schema pgoutbox and the role's rights, and says for each\n"
         "finding what to do. Changes nothing. The exit status is 78 if there are any.\n"},
	{"parked list", "dktlaj", NULL, verb_parked_list, "list the events that were set aside",
         "Lists the events that could never be sent as they are and wait for a decision, the oldest\n"
         "first; with --all those that were decided about, too.\n"},
	{"parked show", "dPj", "ID", verb_parked_show, "show one of them",
         "Shows one parked event with its reason, and how many events of its key wait behind it.\n"
         "The payload is shown only if it is asked for.\n"},
	{"parked retry", "dktaj", "ID...", verb_parked_retry, "offer parked events again, unchanged",
         "Makes the events unsent again, once their cause was mended: the topic takes larger messages\n"
         "now, say. They go out before whatever of their keys waits behind them; where later events of\n"
         "the key went out already (poison: skip), they come late. One that fails again is parked again.\n"},
	{"parked skip", "dktajy", "ID...", verb_parked_skip, "give parked events up for good",
         "The events are never sent. They stay in pgoutbox.parked, marked, and the events of their keys\n"
         "go on. Asks for --yes, because consumers will miss these events.\n"},
};

const size_t verbs_count = sizeof(verbs) / sizeof(verbs[0]);

int
verb_fail(const struct error *err)
{
	fprintf(stderr, "pgoutboxctl: %s\n", err->message);
	if (err->hint[0] != '\0')
		fprintf(stderr, "hint: %s\n", err->hint);
	return error_exit_status(err->kind);
}

int
verb_misused(const char *fmt, ...)
{
	va_list ap;

	fputs("pgoutboxctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EX_USAGE;
}

int
verb_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "pgoutboxctl: could not write: %s\n", strerror(errno));
	return status != EX_OK ? status : EX_IOERR;
}
