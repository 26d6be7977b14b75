/* arguments.c - in: a command line; out: struct arguments. Knows no verb. */
#include "ctl/arguments.h"

#include <getopt.h>
#include <string.h>

#define FIELD(name) offsetof(struct arguments, name)

/* A line of help has 80 columns, of which a sentence has 57. */
const struct argument_row argument_rows[] = {
	{'c', true, "config", "FILE", FIELD(file), "configuration (default " ARGUMENTS_FILE ")"},
	{'o', false, "outbox", "TABLE", FIELD(outbox), "this outbox, where the configuration has several"},
	{'h', true, "help", NULL, FIELD(help), "say how to use the program, or what a verb does"},
	{'V', true, "version", NULL, FIELD(version), "print the version"},
	{'d', false, "database", "CONNINFO", FIELD(database), "connect so, as an administrator (default: as the daemon)"},
	{'r', false, "role", "NAME", FIELD(role), "the daemon's role (default: of database.conninfo)"},
	{'n', false, "notify", NULL, FIELD(notify), "add the trigger that outbox.notify listens to"},
	{'p', false, "print-sql", NULL, FIELD(print_sql), "print the statements still to be run, and run none"},
	{'k', false, "key", "KEY", FIELD(key), "only events of this key"},
	{'t', false, "topic", "TOPIC", FIELD(topic), "only events for this topic"},
	{'R', false, "reason-like", "PAT", FIELD(reason_like), "only events whose reason is like this, by SQL's LIKE"},
	{'l', false, "limit", "N", FIELD(limit), "so many at the most (default 100)"},
	{'T', false, "timeout", "DURATION", FIELD(timeout), "give up after so long (30s, 5m; drain: default never)"},
	{'N', false, "through-now", NULL, FIELD(through_now), "wait only for what is there at the start"},
	{'i', true, "interval", "S", FIELD(interval), "so many seconds between two looks (default 1)"},
	{'C', false, "count", "N", FIELD(count), "end after so many looks"},
	{'e', false, "event-ids", "FILE", FIELD(event_ids), "only events of these ids, one a line (- for stdin)"},
	{'s', false, "since", "TIME", FIELD(since), "only events created from then on"},
	{'u', false, "until", "TIME", FIELD(until), "only events created before"},
	{'I', false, "replay-id", "ID", FIELD(replay_id), "value of the header \"replay\" (default: the time)"},
	{'H', false, "no-header", NULL, FIELD(no_header), "do not mark them by the header \"replay\""},
	{'O', false, "older-than", "AGE", FIELD(older_than), "sent longer ago than this (default outbox.retention)"},
	{'f', false, "full", NULL, FIELD(full), "connect to Kafka, too, and look at everything"},
	{'L', false, "lane", "N", FIELD(lane), "this lane"},
	{'m', false, "write-missing", "FILE", FIELD(write_missing), "write ids of missing events, for replay --event-ids"},
	{'w', false, "reason", "TEXT", FIELD(reason), "why; kept in the database"},
	{'D', false, "dry-run", NULL, FIELD(dry_run), "say what would be done, and do nothing"},
	{'a', false, "all", NULL, FIELD(all), "all of them; in a list, those decided about, too"},
	{'P', false, "payload", NULL, FIELD(payload), "show the payload, too"},
	{'y', false, "yes", NULL, FIELD(yes), "do what cannot be undone"},
	{'j', false, "json", NULL, FIELD(json), "print JSON, for programs"},
};

const size_t argument_rows_count = sizeof(argument_rows) / sizeof(argument_rows[0]);

#define ROWS (sizeof(argument_rows) / sizeof(argument_rows[0]))
_Static_assert(ROWS < sizeof(((struct arguments *)NULL)->used), "room for all letters");

const struct argument_row *
arguments_row(char letter)
{
	for (size_t i = 0; i < ROWS; i++)
		if (argument_rows[i].letter == letter)
			return &argument_rows[i];
	return NULL;
}

static void
take(struct arguments *args, const struct argument_row *row, const char *value)
{
	char *field = (char *)args + row->offset;
	size_t used = strlen(args->used);

	if (row->value != NULL)
		memcpy(field, &value, sizeof(value));
	else
		memcpy(field, &(bool){true}, sizeof(bool));
	if (strchr("cohV", row->letter) == NULL && strchr(args->used, row->letter) == NULL)
		args->used[used] = row->letter;
}

int
arguments_parse(int argc, char **argv, struct arguments *ret_args)
{
	struct arguments args = {.file = ARGUMENTS_FILE};
	struct option options[ROWS + 1] = {0};
	char brief[2 * ROWS + 1];
	size_t n = 0;
	int letter;

	for (size_t i = 0; i < ROWS; i++) {
		const struct argument_row *row = &argument_rows[i];

		options[i] = (struct option){row->name, row->value != NULL ? required_argument : no_argument, NULL, row->letter};
		if (row->brief)
			brief[n++] = row->letter;
		if (row->brief && row->value != NULL)
			brief[n++] = ':';
	}
	brief[n] = '\0';
	while ((letter = getopt_long(argc, argv, brief, options, NULL)) != -1) {
		const struct argument_row *row = arguments_row((char)letter);

		if (row == NULL)
			return -1;
		take(&args, row, optarg);
	}
	args.operands = argv + optind;
	args.operands_count = argc - optind;
	*ret_args = args;
	return 0;
}
