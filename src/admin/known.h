/* known.h - the layouts of other outbox tools, as a table of constants, and the rule by which a table is recognised.
 *
 * Pure. What each tool documents of its table is cited in docs/migrate.md.
 */
#ifndef PGOUTBOX_ADMIN_KNOWN_H
#define PGOUTBOX_ADMIN_KNOWN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "model/event.h"

#define KNOWN_COLUMNS_MAX 10
#define KNOWN_ADDED_MAX 4
#define KNOWN_NOTES_MAX 4

/* Of a layout: by these a table is recognised. Types as format_type() writes them without a modifier, with "|" between
 * them. */
struct known_column {
	const char *name;
	const char *types;
};

/* What the daemon needs and the layout has not. The definition is SQL, as ALTER TABLE ... ADD COLUMN takes it. */
struct known_addition {
	const char *name;
	const char *definition;
	const char *reason;
};

struct known_layout {
	const char *name; /* as operators write it */
	const char *tool;
	struct known_column columns[KNOWN_COLUMNS_MAX]; /* up to the first without a name */
	const char *refused;        /* a column that a variant has which cannot be relayed; NULL = none */
	const char *refused_reason; /* a hint: why, and what to do */
	const char *map[COL_RECEIPTS]; /* outbox.columns; "" = the table has none */
	bool settle_delete;
	const char *topic; /* kafka.topic, by the names of the table's columns */
	struct known_addition added[KNOWN_ADDED_MAX];
	const char *leftover; /* rows that must not be there when a column is added, as a condition; NULL = any may */
	const char *leftover_what; /* "table ... holds %s" */
	const char *leftover_hint;
	const char *notes[KNOWN_NOTES_MAX]; /* what the operator should know, a sentence each */
};

extern const struct known_layout known_layouts[];
extern const size_t known_layouts_count;

/* A table as the catalogs have it: its columns' names, and their types as above, where a domain counts as what it is
 * made of. Borrowed. */
struct known_table {
	const char *relation; /* for messages */
	const struct known_column *columns;
	size_t count;
};

/* The layout of that name; NULL when there is none. */
const struct known_layout *known_find(const char *name);

/* ERR_CONFIG, with a hint, where the table does not have the layout: a column is missing, has a type that does not
 * serve, or belongs to a variant that cannot be relayed. */
int known_judge(const struct known_layout *layout, const struct known_table *table, struct error *err)
	__attribute__((warn_unused_result));

/* The one layout that fits. ERR_CONFIG where none does, or more than one: nothing is guessed. */
int known_recognise(const struct known_table *table, const struct known_layout **ret_layout, struct error *err)
	__attribute__((warn_unused_result));

bool known_has_column(const struct known_table *table, const char *name);

#endif
