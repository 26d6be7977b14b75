/* verb.c - the table of verbs, and how each of them ends. Knows nothing of what they do. */
#include "ctl/verb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

const struct verb verbs[] = {
	{"init", "drnp", NULL, verb_init, "create what the daemon needs in the database",
         "Creates schema pgoutbox, the outbox table if it is missing, the index that\n"
         "events are claimed by, and grants the daemon's role what it needs. What is\n"
         "there already is left alone.\n"},
	{"adopt", "dpy", "[LAYOUT]", verb_adopt, "map the outbox table of another tool",
         "Recognises the table of Debezium's outbox event router, Open Outbox, goharvest\n"
         "or Eventuate Tram (debezium, open-outbox, goharvest, eventuate-tram), and prints\n"
         "what to put into the configuration, and which columns the table lacks. They are\n"
         "added with --yes only, and never where rows would have to be put into an order\n"
         "by guess. Then run init. docs/migrate.md tells how to change over.\n"},
	{"migrate", "d", NULL, verb_migrate, "bring schema pgoutbox to this program's version",
         "Brings what an older pgoutboxctl created to this program's version, in one\n"
         "transaction.\n"},
	{"check", "drfj", NULL, verb_check, "find out whether table and rights serve",
         "Looks at the table, its index, schema pgoutbox and the role's rights, and says\n"
         "for each finding what to do. --full connects to Kafka, too: server settings, a\n"
         "pooler in between, topics and their limits, clocks. Changes nothing. The exit\n"
         "status is 78 if something is wrong, 75 if a side did not answer.\n"},
	{"status", "dj", NULL, verb_status, "tell how the outbox does, and whether it is relayed",
         "Tells what the database knows: how much waits and since when, who owns the\n"
         "lanes, sizes, what keeps vacuum from its work; and what the daemon's endpoint\n"
         "(http.listen) says, where it answers. The exit status is 0 where the outbox is\n"
         "relayed, 69 where no relay runs, 75 where one does but is not ready or paused,\n"
         "or a lane has no owner.\n"},
	{"top", "diC", NULL, verb_top, "look on: rates, latency, lanes, refreshed in place",
         "Shows every second how many events come and go, how many wait and since when,\n"
         "how long they take, and who owns the lanes; latencies where the daemon's\n"
         "endpoint answers. The key q or Ctrl-C ends it. Where the output is no terminal,\n"
         "it prints a line of name=value words for each look.\n"},
	{"drain", "dTN", NULL, verb_drain, "wait until nothing unsent is left",
         "Waits until the table has no unsent event, for a switch-over or before a\n"
         "maintenance; it sends nothing itself, the relays do. With --through-now it waits\n"
         "only for what is there when it starts, where the application goes on writing.\n"
         "The exit status is 0 when all is sent, 75 when --timeout was over or everything\n"
         "is paused, 69 when no relay runs, 78 when what is left waits behind parked\n"
         "events. An outage is told and waited for.\n"},
	{"pause", "dLtw", NULL, verb_pause, "relay nothing for now: all, a lane or a topic",
         "Relays finish and settle what they have in flight, then claim no more of it,\n"
         "until it is resumed; restarts change nothing. Events wait in the table. Who\n"
         "paused, when and why (--reason) is kept in pgoutbox.audit. Waits until running\n"
         "relays have taken notice, ten seconds at most; the exit status is 75 if not.\n"},
	{"resume", "dLt", NULL, verb_resume, "go on with what was paused",
         "Ends the pause of all, of --lane or of --topic; each was begun for itself and\n"
         "ends for itself. Events that waited go out in their order.\n"},
	{"lanes", "dTj", "[N]", verb_lanes, "list the lanes, or change their number",
         "Lists the lanes and who owns them. With N the outbox gets so many lanes while\n"
         "relays and writers go on: an index is built concurrently, relays settle what\n"
         "they have and let go (--timeout, default 60s), take the new lanes, and the old\n"
         "index is dropped. Nothing is lost, repeated or reordered. Interrupted, the same\n"
         "again finishes it, and the old N undoes it. Needs the rights that init needs.\n"},
	{"parked list", "dktRlaj", NULL, verb_parked_list, "list the events that were set aside",
         "Lists the events that could never be sent as they are and wait for a decision,\n"
         "the oldest first; with --all those that were decided about, too. WAITING is how\n"
         "many later events of the key are unsent, as far as a look at the next ones of\n"
         "its lane tells.\n"},
	{"parked show", "dPj", "ID", verb_parked_show, "show one of them",
         "Shows one parked event with its reason, the row as it was, and how many events\n"
         "wait behind it. The payload may be confidential, so it is shown only if\n"
         "--payload asks for it.\n"},
	{"parked retry", "dktRaj", "ID... | --all", verb_parked_retry, "offer parked events again, unchanged",
         "Makes the events unsent again, once their cause was mended: the topic takes\n"
         "larger messages now, say. They go out before whatever of their keys waits\n"
         "behind them; where later events of the key went out already (poison: skip),\n"
         "they come late. One that fails again is parked again. All that is named is\n"
         "done, or nothing.\n"},
	{"parked skip", "dktRajy", "ID... | --all", verb_parked_skip, "give parked events up for good",
         "The events are never sent. They stay in pgoutbox.parked, marked, and the events\n"
         "of their keys go on. Without --yes it says what would be given up, and does\n"
         "nothing.\n"},
	{"verify", "dtsuTmj", NULL, verb_verify, "hold Kafka against the database, event by event",
         "Reads the topics and the table, and tells what differs: events missing in Kafka,\n"
         "sent twice, out of order within their key, altered, or unknown to the table.\n"
         "Changes nothing; needs the right to read the topics, and room in TMPDIR (default\n"
         "/var/tmp): 200 bytes an event. What Kafka or the table has dropped for its age\n"
         "is counted, and is no difference. The exit status is 0 where nothing differs, 65\n"
         "where something does, 75 where an open transaction hides some of it.\n"},
	{"replay", "dkesutIHDyj", "[ID | FROM-TO]...", verb_replay, "offer sent events once more",
         "Makes rows unsent again that were sent already and are still in the table\n"
         "(outbox.settle: mark), with a header that marks them. Keys with parked events\n"
         "are left alone. More than one event needs --yes.\n"},
	{"prune", "dODj", NULL, verb_prune, "delete sent rows that are old enough",
         "Deletes rows that were sent longer ago than --older-than, in small transactions\n"
         "with pauses. Unsent and parked ones stay.\n"},
};

const size_t verbs_count = sizeof(verbs) / sizeof(verbs[0]);

/* How many of the words name the verb; 0 = another. */
static int
words_of(const struct verb *verb, char *const *words, int count)
{
	const char *space = strchr(verb->name, ' ');
	size_t first = space != NULL ? (size_t)(space - verb->name) : strlen(verb->name);

	if (strlen(words[0]) != first || memcmp(words[0], verb->name, first) != 0)
		return 0;
	if (space == NULL)
		return 1;
	return count > 1 && strcmp(words[1], space + 1) == 0 ? 2 : 0;
}

const struct verb *
verb_find(struct arguments *args)
{
	for (size_t i = 0; i < verbs_count; i++) {
		int n = words_of(&verbs[i], args->operands, args->operands_count);

		if (n == 0)
			continue;
		args->operands += n;
		args->operands_count -= n;
		return &verbs[i];
	}
	return NULL;
}

int
verb_fail(const struct error *err)
{
	fprintf(stderr, "pgoutboxctl: %s\n", err->message);
	if (err->hint[0] != '\0')
		fprintf(stderr, "hint: %s\n", err->hint);
	return error_exit_status(err->kind);
}

int
verb_misused(const char *hint, const char *fmt, ...)
{
	va_list ap;

	fputs("pgoutboxctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n%s%s%s", hint != NULL ? "hint: " : "", hint != NULL ? hint : "", hint != NULL ? "\n" : "");
	return EX_USAGE;
}

int64_t
verb_number(const char *text, int64_t max)
{
	char *end;
	long long n;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	n = strtoll(text, &end, 10);
	return *end == '\0' && errno == 0 && n >= 1 && n <= max ? n : -1;
}

int64_t
verb_duration_ms(const char *text)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 9)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(text + digits, units[i].name) == 0) {
			int64_t ms = strtoll(text, NULL, 10) * units[i].ms;

			return ms <= INT64_C(3600000000) ? ms : -1;
		}
	return -1;
}

int
verb_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "pgoutboxctl: could not write: %s\n", strerror(errno));
	return status != EX_OK ? status : EX_IOERR;
}
