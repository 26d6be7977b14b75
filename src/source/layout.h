/* layout.h - what the database says about an outbox table, and the rules that it has to meet.
 *
 * One statement asks for everything, whether the table, schema pgoutbox or the rights are there or not; every role
 * may run it, in a read-only transaction and on a standby too. What comes back are facts. layout_problems() judges
 * them, which is pure. The daemon and pgoutboxctl ask the same question and use the same rules.
 */
#ifndef PGOUTBOX_SOURCE_LAYOUT_H
#define PGOUTBOX_SOURCE_LAYOUT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "model/event.h"
#include "source/session.h"

#define LAYOUT_SCHEMA_VERSION 3 /* of schema pgoutbox, as this program knows it */
#define LAYOUT_PROBLEMS_MAX 32

/* What the configuration asks for. Strings are borrowed. */
struct layout_request {
	const char *table; /* as in SQL: with or without a schema, quoted where it must be */
	const char *columns[COL_COUNT]; /* exact names, not quoted; "" or NULL = the table has none */
	const char *const *extra;       /* further columns, for the topic template */
	size_t extra_count;
	const char *role; /* whose rights count, NULL = the session's */
	bool settle_delete;
	bool prune; /* settled rows are deleted some day */
	bool receipts; /* in the row's columns, or in pgoutbox.receipts with settle_delete */
};

enum layout_type {
	TYPE_NONE, /* no such column */
	TYPE_INTEGER, /* smallint, integer, bigint */
	TYPE_TEXT,
	TYPE_VARCHAR,
	TYPE_UUID,
	TYPE_JSON,
	TYPE_JSONB,
	TYPE_BYTEA,
	TYPE_TIMESTAMP,
	TYPE_TIMESTAMPTZ,
	TYPE_OTHER
};

struct layout_column {
	char *quoted; /* ready for SQL; NULL = the table has none */
	enum layout_type type; /* a domain counts as what it is made of */
	bool bigint;           /* of TYPE_INTEGER the one that holds any offset */
	char *type_name;       /* as PostgreSQL writes it, for messages */
	bool not_null;
	bool unique;         /* a valid unique index has it as its only column; of a partitioned table, as its first */
	bool text_immutable; /* its text form depends on no setting: fit for an index */
	bool may_update;
};

struct layout_facts {
	bool exists;
	char kind;          /* pg_class.relkind */
	char persistence;   /* pg_class.relpersistence */
	bool has_children;  /* by inheritance; partitions do not count */
	bool hides_rows;    /* row-level security applies to the role */
	bool in_recovery;   /* the server is a standby */
	char *role;         /* whose rights these are */
	bool may_use_schema; /* the table's own */
	bool may_select;    /* every column */
	bool may_lock;      /* UPDATE of any column, which FOR UPDATE asks for */
	bool may_delete;
	char *missing;      /* of extra: names, quoted, with commas between; NULL = none */

	bool schema_exists; /* pgoutbox, with what belongs in it */
	bool may_use_pgoutbox;
	bool may_read_pgoutbox; /* meta, outbox and pause */
	bool may_park;
	bool may_call_lane;
	bool readable; /* the asking session could read what follows */
	int schema_version;
	bool registered;   /* pgoutbox.outbox has a row for the table */
	bool index_exists; /* an index of the registered name, on this table */
	bool index_valid;
	bool index_fits; /* over the lane of the key, the id, and the unsent rows */
	bool notifies;   /* the trigger of init --notify is there */
	bool receipts_exist; /* table pgoutbox.receipts */
	bool may_keep_receipts;
};

struct layout {
	char *relation; /* with its schema, ready for SQL */
	uint32_t relation_oid;
	int lanes;         /* as the database has it; 0 = not registered */
	char *claim_index; /* its name, not quoted; NULL = not registered */
	bool tids_unique;  /* one heap: a ctid names one row */
	struct layout_column columns[COL_COUNT];
	/* Columns, mapped or not, as lists for SQL, names as literals; NULL = there is none. Those of type json; and all that hold json,
	 * arrays and composite types among them, with their texts of a row "t". */
	char *json_names, *holder_names, *holder_texts;
	struct layout_facts facts;
};

#define LAYOUT_INIT ((struct layout){.relation = NULL})

/* The statement; buf_failed() tells when memory is out. It gives text columns. */
void layout_text(const struct layout_request *rq, struct buf *sql);

/* Adds it to the session's round, as one statement. */
void layout_ask(struct session *s, const struct layout_request *rq);

/* Takes the facts over. A table that does not exist is no failure here: facts.exists is false then. ERR_RETRY: memory
 * is out. */
int layout_take(const struct layout_request *rq, const PGresult *res, struct layout *ret_layout, struct error *err)
	__attribute__((warn_unused_result));

/* The answer of a round that layout_ask() filled: fails with the first of all problems. The caller ends *ret_layout. */
int layout_read(const struct layout_request *rq, PGresult *const results[], int count, struct layout *ret_layout,
                struct error *err) __attribute__((warn_unused_result));
void layout_done(struct layout *lo); /* leaves it empty; an empty one is fine */

/* Which rules to judge by. */
#define LAYOUT_TABLE 1U   /* the table and its columns */
#define LAYOUT_INSTALL 2U /* schema pgoutbox, lanes, the claim's index */
#define LAYOUT_RIGHTS 4U  /* what the role may do */
#define LAYOUT_ALL (LAYOUT_TABLE | LAYOUT_INSTALL | LAYOUT_RIGHTS)

/* Fills up to max problems, the ones that others follow from first, each with a hint; returns how many. None: the
 * layout serves. ERR_CONFIG, but ERR_RETRY for a standby, which a failover may promote. */
size_t layout_problems(const struct layout *lo, const struct layout_request *rq, unsigned rules,
                       struct error problems[],
                       size_t max);

/* Whether schema pgoutbox has the version that this program knows: ERR_CONFIG when it is newer or older. */
int layout_check_version(int version, struct error *err) __attribute__((warn_unused_result));

/* An identifier in double quotes; malloc'd, NULL when memory is out. */
char *layout_quote(const char *name) __attribute__((warn_unused_result));

#endif
