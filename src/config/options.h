/* options.h - options.def as a table to walk. Constant; knows neither YAML nor files. */
#ifndef PGOUTBOX_CONFIG_OPTIONS_H
#define PGOUTBOX_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum option_kind {
	OPTION_STRING,
	OPTION_INTEGER,
	OPTION_DURATION,   /* milliseconds */
	OPTION_SIZE,       /* bytes */
	OPTION_BOOLEAN,
	OPTION_CHOICE,
	OPTION_COLUMNS,    /* a map whose entries are options of their own */
	OPTION_PROPERTIES, /* a map of anything */
};

enum option_when {
	OPTION_RELOAD,
	OPTION_RESTART,
};

struct choice {
	const char *name; /* NULL ends the list */
	int value;
};

struct option {
	const char *section;
	const char *group; /* "columns" for what stands in outbox.columns, else NULL */
	const char *name;
	enum option_kind kind;
	size_t offset; /* within the section's struct */
	int64_t min;
	int64_t max;
	bool never;    /* "never" is a value too */
	bool required; /* the file must give it */
	bool needed;   /* may not be empty */
	bool template; /* has ${column}, so no ${VARIABLE} */
	bool commas;   /* several in one string, separated by commas */
	const char *example;
	const struct choice *choices;
	int (*check)(const char *text, struct error *err);
	const char *fallback; /* the default, as in the file */
	const char *unit;
	enum option_when when;
	bool secret;
	const char *sentence;
};

struct section {
	const char *name;
	size_t offset; /* within struct config */
	const char *sentence;
};

extern const struct option options_all[];
extern const size_t options_count;
extern const struct section options_sections[];
extern const size_t options_sections_count;
extern const struct section options_outboxes; /* the list; it has no place in struct config of its own */

extern const struct choice options_settle[];
extern const struct choice options_poison[];
extern const struct choice options_level[];
extern const struct choice options_format[];

/* NULL when there is none. group may be NULL. */
const struct option *options_find(const char *section, const char *group, const char *name);
const struct section *options_find_section(const char *name);

/* Whether the option stands in this section and group (NULL = directly in the section), or in an entry of the list. */
bool options_stands_in(const struct option *opt, const char *section, const char *group);

#endif
