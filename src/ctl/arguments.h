/* arguments.h - the options of the tool: one row each, and a command line read by them. */
#ifndef PGOUTBOX_CTL_ARGUMENTS_H
#define PGOUTBOX_CTL_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#define ARGUMENTS_FILE "/etc/pgoutboxd/pgoutboxd.yaml"

struct arguments {
	const char *file;
	const char *outbox;   /* a table; NULL = none named */
	const char *database; /* NULL = the configuration's */
	const char *role;     /* NULL = the configuration's */
	const char *key, *topic, *reason_like; /* NULL = any */
	const char *limit;    /* NULL = the verb's own */
	const char *timeout;  /* NULL = for ever */
	const char *interval; /* NULL = the verb's own */
	const char *count;    /* NULL = no end */
	bool notify, print_sql, json, payload, all, yes;
	bool through_now;
	const char *since, *until, *event_ids, *replay_id;
	const char *older_than;
	const char *write_missing;
	const char *lane, *reason;
	bool dry_run, no_header;
	bool full;
	bool help, version;
	char used[64];         /* the letters of the options that were given, but for those that every verb takes */
	char *const *operands; /* behind the verb */
	int operands_count;
};

struct argument_row {
	char letter;       /* by which a verb names it; an option "-x" too where brief */
	bool brief;
	const char *name;  /* "--name" */
	const char *value; /* what its argument is called; NULL = it takes none */
	size_t offset;     /* of a const char * in struct arguments, of a bool where value is NULL */
	const char *sentence;
};

extern const struct argument_row argument_rows[];
extern const size_t argument_rows_count;

/* Options may stand before or after the verb; operands are all the rest. -1: one is wrong, and getopt has said so.
 * argv is reordered, and *ret_args points into it. */
int arguments_parse(int argc, char **argv, struct arguments *ret_args) __attribute__((warn_unused_result));

/* The row of that letter, NULL when there is none. */
const struct argument_row *arguments_row(char letter);

#endif
