/* config.h - the configuration: a YAML file goes in, one struct comes out, or every complaint about the file at once.
 *
 * The structs are made from options.def; see there for each field. Strings are never NULL, durations are in
 * milliseconds and sizes in bytes. The room knows nothing of the rooms below it: whether a topic template or a
 * librdkafka property is good is for them to say, and for the mains to report with config_complain() before they use
 * the struct.
 */
#ifndef PGOUTBOX_CONFIG_CONFIG_H
#define PGOUTBOX_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "model/event.h"

#define CONFIG_NEVER INT64_MAX /* outbox.retention_ms: "never" */
#define CONFIG_TEXT_MAX ((size_t)1 << 20) /* a longer file is refused */

enum settle_mode {
	SETTLE_MARK,
	SETTLE_DELETE,
};

enum poison_policy {
	POISON_BLOCK_KEY,
	POISON_SKIP,
};

struct config_property {
	char *name;
	char *value;
};

struct config_properties {
	struct config_property *items;
	size_t count;
};

#define SECTION(name, sentence) struct name##_config {
#define OPTION(section, name, kind, type, field, limits, default, unit, when, secrecy, sentence) type field;
#define KEPT(section, type, field) type field;
#define END_SECTION(name) };
#include "config/options.def"

/* Where the file gave an option its value. */
struct config_place {
	char *path; /* "kafka.topic", "kafka.properties.linger.ms" */
	unsigned line;
	unsigned column;
};

struct config {
#define SECTION(name, sentence) struct name##_config name;
#include "config/options.def"
	char *file; /* as it was named, for messages */
	struct config_place *places;
	size_t places_count;
	struct config *outboxes; /* see config_outbox() */
	size_t outboxes_count;   /* 0 = the one of the section outbox */
	char *entry;             /* of an outbox in the list: "outboxes[1]", else NULL */
};

/* How many outboxes there are, at least one, and each of them: a configuration in which outbox and kafka.topic are that
 * outbox's, and all else is cfg's own. It lasts as long as cfg does; a copy of *cfg has the same outboxes. Complaints
 * about it point to its entry in the list. */
size_t config_outboxes(const struct config *cfg);
const struct config *config_outbox(const struct config *cfg, size_t i);

/* The outbox of that table, written as in SQL; NULL when there is none. */
const struct config *config_find_outbox(const struct config *cfg, const char *table);

/* The table's name for the column, "" where the table has none or nothing reads it: those of receipts may be missing where they
 * are not kept in the row. */
const char *config_column(const struct config *cfg, enum event_column col);

#define CONFIG_OUTBOXES_MAX 64

#define CONFIG_QUERIES_MAX 32 /* beside the one of the kit */
#define CONFIG_QUERY_NAME_MAX 40
#define CONFIG_QUERY_SQL_MAX 8192
#define CONFIG_QUERY_RECONCILIATION "reconciliation" /* the name of the one that queries.reconciliation stands for */

enum config_level {
	CONFIG_ERROR,
	CONFIG_WARNING, /* the configuration is usable all the same */
};

struct config_problem {
	char *line_text; /* "pgoutboxd.yaml:14:5: outbox.batch_rows: 0 is outside 1..100000 rows" */
	enum config_level level;
	unsigned line; /* 0 = of the file as a whole */
	unsigned column;
};

/* In the order of the file. The list is bounded: what is beyond is only counted. */
struct config_problems {
	struct config_problem *items;
	size_t count;
	size_t errors;  /* of all, the dropped ones included */
	size_t dropped; /* not kept: too many, or memory was out */
};

#define CONFIG_PROBLEMS_INIT ((struct config_problems){NULL, 0, 0, 0})

/* A check of what only other rooms know: it adds to problems. Options that were wrong have their defaults then. */
typedef void config_check(const struct config *cfg, struct config_problems *problems);

/* Reads and checks the file, and the files of secrets that it names; also may be NULL. Blocks on those files only;
 * needs no server.
 * 0: *ret_cfg is complete, the caller ends it with config_done(); problems may hold warnings.
 * -1: *ret_cfg is untouched and problems holds at least one error. */
int config_load(const char *path, config_check *also, struct config *ret_cfg, struct config_problems *problems)
	__attribute__((warn_unused_result));

/* The same for a tool beside the daemon, run by somebody who may not be allowed to read the daemon's secrets, or before
 * they are there: what is wrong with a file of the database's is a warning, and Kafka's are not opened. */
int config_load_beside(const char *path, config_check *also, struct config *ret_cfg, struct config_problems *problems)
	__attribute__((warn_unused_result));

/* The same for a text in memory; file is its name in messages. Opens nothing: the passwords are left empty. */
int config_parse(const char *file, struct slice text, struct config *ret_cfg, struct config_problems *problems)
	__attribute__((warn_unused_result));

/* Frees everything and wipes the secrets; cfg may be loaded again. An all-zero struct is fine. */
void config_done(struct config *cfg);

/* Adds a problem about the option at path ("kafka.topic", "kafka.properties.acks") where the file gave it, or where its
 * section is, or without a place if the file says nothing of it. The text must not hold a secret. */
void config_complain(const struct config *cfg, const char *path, struct config_problems *problems,
                     enum config_level level, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The same with the message and the hint of an error. */
void config_complain_error(const struct config *cfg, const char *path, struct config_problems *problems,
                           enum config_level level, const struct error *err);

/* line 0 = about the file as a whole. */
void config_problems_add(struct config_problems *problems, enum config_level level, const char *file, unsigned line,
                         unsigned column, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
void config_problems_print(const struct config_problems *problems, struct buf *out); /* one line each */
void config_problems_done(struct config_problems *problems);

/* Takes from next, the same file read again, what may change at once (RELOAD in options.def), for each outbox that is in
 * both. Appends what it took to taken ("outbox.batch_rows=500, log.level=debug"), and what differs but takes a restart to
 * waiting ("database.conninfo"). Strings that others borrow from cfg stay where they are, but for kafka.topic. next is still
 * to be ended. */
void config_reload(struct config *cfg, struct config *next, struct buf *taken, struct buf *waiting);

/* The configuration in force as YAML. Secrets are redacted; all else loads back to the same values. */
void config_print(const struct config *cfg, struct buf *out);

/* The commented example: every option with its default. It loads once the two addresses are filled in. */
void config_print_defaults(struct buf *out);

/* A JSON schema (draft 2020-12) of the file as YAML reads it, for editors and for checks before it is shipped. What two
 * options say together it cannot know. */
void config_print_schema(struct buf *out);

/* The options as mdoc(7), one subsection for each section of the file, for the manual page of the file. */
void config_print_man(struct buf *out);

#endif
