/* layout_problems.c - in: facts about a table; out: what must be changed before it can be relayed, and how. Pure. */
#include "source/layout.h"

#include <stdio.h>

#define INIT_HINT "run \"pgoutboxctl init\" with an administrator's connection"
#define GRANT_HINT "run \"pgoutboxctl init\" with an administrator's connection: it grants what the role needs"
#define SENT_AT_HINT "add a column of type timestamptz, or set outbox.settle to delete"
#define RECEIPTS_HINT "run \"pgoutboxctl init\" with an administrator's connection: it adds them; or set outbox.receipts to false"
#define MAP_HINT "name the table's own column in outbox.columns"

struct problems {
	struct error *list;
	size_t count;
	size_t max;
};

static const char *const column_options[COL_COUNT] = {
	[COL_ID] = "id",
	[COL_EVENT_ID] = "event_id",
	[COL_AGGREGATE_TYPE] = "aggregate_type",
	[COL_AGGREGATE_ID] = "aggregate_id",
	[COL_EVENT_TYPE] = "event_type",
	[COL_PAYLOAD] = "payload",
	[COL_HEADERS] = "headers",
	[COL_TOPIC] = "topic",
	[COL_CREATED_AT] = "created_at",
	[COL_SENT_AT] = "sent_at",
	[COL_SENT_PARTITION] = "sent_partition",
	[COL_SENT_OFFSET] = "sent_offset",
};

/* The types that the claim can read in each place; 0 = whatever has a text form. */
static const unsigned column_types[COL_COUNT] = {
	[COL_ID] = 1U << TYPE_INTEGER,
	[COL_PAYLOAD] = 1U << TYPE_JSONB | 1U << TYPE_JSON | 1U << TYPE_TEXT | 1U << TYPE_VARCHAR | 1U << TYPE_BYTEA,
	[COL_HEADERS] = 1U << TYPE_JSONB | 1U << TYPE_JSON,
	[COL_CREATED_AT] = 1U << TYPE_TIMESTAMPTZ | 1U << TYPE_TIMESTAMP,
	[COL_SENT_AT] = 1U << TYPE_TIMESTAMPTZ | 1U << TYPE_TIMESTAMP,
	[COL_SENT_PARTITION] = 1U << TYPE_INTEGER,
	[COL_SENT_OFFSET] = 1U << TYPE_INTEGER,
};

static const char *const column_types_text[COL_COUNT] = {
	[COL_ID] = "bigint, integer or smallint",
	[COL_PAYLOAD] = "jsonb, json, text, varchar or bytea",
	[COL_HEADERS] = "jsonb or json",
	[COL_CREATED_AT] = "timestamptz or timestamp",
	[COL_SENT_AT] = "timestamptz or timestamp",
	[COL_SENT_PARTITION] = "integer",
	[COL_SENT_OFFSET] = "bigint",
};

/* The next free place, or a place that is thrown away. */
static struct error *
next(struct problems *p, struct error *spare)
{
	return p->count < p->max ? &p->list[p->count++] : spare;
}

#define PROBLEM(p, kind, hint, ...)                         \
	do {                                                \
		struct error spare_;                        \
		struct error *err_ = next(p, &spare_);      \
		error_set(err_, kind, __VA_ARGS__);         \
		error_hint(err_, "%s", hint);               \
	} while (0)

static void
judge_kind(const struct layout *lo, struct problems *p)
{
	const struct layout_facts *f = &lo->facts;

	if (f->kind != 'r' && f->kind != 'p')
		PROBLEM(p, ERR_CONFIG, "name the table itself in outbox.table: rows of views and foreign tables cannot "
		                       "be locked",
		        "\"%s\" is not a table", lo->relation);
	if (f->has_children)
		PROBLEM(p, ERR_CONFIG, "name a table without children in outbox.table: an id must be unique in it",
		        "other tables inherit from table \"%s\"", lo->relation);
	if (f->persistence == 'u')
		PROBLEM(p, ERR_CONFIG, "run ALTER TABLE ... SET LOGGED: a crash of PostgreSQL empties unlogged tables",
		        "table \"%s\" is unlogged", lo->relation);
	if (f->persistence == 't')
		PROBLEM(p, ERR_CONFIG, "name a permanent table in outbox.table", "table \"%s\" is temporary",
		        lo->relation);
}

static void
judge_column(const struct layout *lo, const struct layout_request *rq, int col, struct problems *p)
{
	const struct layout_column *c = &lo->columns[col];
	bool needed = col == COL_ID || col == COL_AGGREGATE_ID || col == COL_PAYLOAD ||
	              (col == COL_SENT_AT && !rq->settle_delete);
	char hint[sizeof(((struct error *)NULL)->hint)];

	if (c->quoted == NULL) {
		if (needed)
			PROBLEM(p, ERR_CONFIG, col == COL_SENT_AT ? SENT_AT_HINT : MAP_HINT,
			        "table \"%s\" has no column for outbox.columns.%s", lo->relation, column_options[col]);
		return;
	}
	if (c->type == TYPE_NONE && col >= COL_RECEIPTS)
		return; /* init adds it */
	if (c->type == TYPE_NONE) {
		snprintf(hint, sizeof(hint), "name the table's own column in outbox.columns.%s%s", column_options[col],
		         needed ? "" : ", or \"\" if it has none");
		PROBLEM(p, ERR_CONFIG, hint, "table \"%s\" has no column \"%s\"", lo->relation, rq->columns[col]);
		return;
	}
	if ((column_types[col] != 0 && (column_types[col] & 1U << c->type) == 0) || (col == COL_SENT_OFFSET && !c->bigint)) {
		snprintf(hint, sizeof(hint), "outbox.columns.%s needs a column of type %s", column_options[col],
		         column_types_text[col]);
		PROBLEM(p, ERR_CONFIG, hint, "column \"%s\" of table \"%s\" has type %s", rq->columns[col],
		        lo->relation, c->type_name);
	}
}

static void
judge_id(const struct layout *lo, const struct layout_request *rq, struct problems *p)
{
	const struct layout_column *id = &lo->columns[COL_ID];

	if (id->type == TYPE_NONE)
		return;
	if (!id->not_null)
		PROBLEM(p, ERR_CONFIG, "run ALTER TABLE ... ALTER COLUMN ... SET NOT NULL: an event without an id has "
		                       "no place in the order",
		        "column \"%s\" of table \"%s\" may be null", rq->columns[COL_ID], lo->relation);
	if (!id->unique)
		PROBLEM(p, ERR_CONFIG, "create a unique index on this column alone, or make it the primary key: rows "
		                       "are settled by it",
		        "column \"%s\" of table \"%s\" is not unique", rq->columns[COL_ID], lo->relation);
}

static void
judge_rest(const struct layout *lo, const struct layout_request *rq, struct problems *p)
{
	const struct layout_column *key = &lo->columns[COL_AGGREGATE_ID];
	const struct layout_column *sent_at = &lo->columns[COL_SENT_AT];

	if (key->type != TYPE_NONE && !key->text_immutable)
		PROBLEM(p, ERR_CONFIG, "map outbox.columns.aggregate_id to a column of type text, uuid or bigint",
		        "column \"%s\" of table \"%s\" has type %s, whose text form depends on settings",
			rq->columns[COL_AGGREGATE_ID],
		        lo->relation, key->type_name);
	if (sent_at->type != TYPE_NONE && sent_at->not_null)
		PROBLEM(p, ERR_CONFIG, "run ALTER TABLE ... ALTER COLUMN ... DROP NOT NULL: null is what tells an "
		                       "unsent event",
		        "column \"%s\" of table \"%s\" may not be null", rq->columns[COL_SENT_AT], lo->relation);
	for (int col = COL_RECEIPTS; col < COL_COUNT; col++)
		if (lo->columns[col].type != TYPE_NONE && lo->columns[col].not_null)
			PROBLEM(p, ERR_CONFIG, "run ALTER TABLE ... ALTER COLUMN ... DROP NOT NULL: an unsent event has no receipt",
			        "column \"%s\" of table \"%s\" may not be null", rq->columns[col], lo->relation);
	if (lo->facts.missing != NULL)
		PROBLEM(p, ERR_CONFIG, "kafka.topic may name the table's own columns only",
		        "table \"%s\" has no column %s", lo->relation,
		        lo->facts.missing);
}

int
layout_check_version(int version, struct error *err)
{
	if (version > LAYOUT_SCHEMA_VERSION) {
		error_set(err, ERR_CONFIG, "schema \"pgoutbox\" was made by a newer pgoutboxctl (schema version %d, "
		                           "this one knows %d)",
		          version, LAYOUT_SCHEMA_VERSION);
		return error_hint(err, "install the version of pgoutboxd that goes with it");
	}
	if (version < LAYOUT_SCHEMA_VERSION) {
		error_set(err, ERR_CONFIG, "schema \"pgoutbox\" was made by an older pgoutboxctl (schema version %d, "
		                           "this one needs %d)",
		          version, LAYOUT_SCHEMA_VERSION);
		return error_hint(err, "run \"pgoutboxctl migrate\" with an administrator's connection");
	}
	return 0;
}

static void
judge_receipts(const struct layout *lo, const struct layout_request *rq, struct problems *p)
{
	for (int col = COL_RECEIPTS; col < COL_COUNT; col++)
		if (lo->columns[col].quoted != NULL && lo->columns[col].type == TYPE_NONE)
			PROBLEM(p, ERR_CONFIG, RECEIPTS_HINT, "table \"%s\" has no column \"%s\" for receipts", lo->relation,
			        rq->columns[col]);
	if (rq->receipts && rq->settle_delete && lo->facts.schema_version == LAYOUT_SCHEMA_VERSION && !lo->facts.receipts_exist)
		PROBLEM(p, ERR_CONFIG, "create it again as sql/schema-3.sql does, or set outbox.receipts to false",
		        "there is no table \"pgoutbox.receipts\"");
}

static void
judge_install(const struct layout *lo, const struct layout_request *rq, struct problems *p)
{
	const struct layout_facts *f = &lo->facts;
	struct error version, spare;

	if (!f->schema_exists) {
		PROBLEM(p, ERR_CONFIG, INIT_HINT, "the database has no schema \"pgoutbox\"");
		return;
	}
	if (!f->readable)
		return; /* a matter of rights */
	if (layout_check_version(f->schema_version, &version) != 0)
		*next(p, &spare) = version;
	judge_receipts(lo, rq, p);
	if (!f->registered) {
		PROBLEM(p, ERR_CONFIG, INIT_HINT, "table \"%s\" is not known as an outbox", lo->relation);
		return;
	}
	if (!f->index_exists)
		PROBLEM(p, ERR_CONFIG, INIT_HINT, "index \"%s\" of table \"%s\" is missing", lo->claim_index,
		        lo->relation);
	else if (!f->index_valid)
		PROBLEM(p, ERR_CONFIG, "if it is not being built just now, run \"pgoutboxctl init\" again: it builds "
		                       "the index anew",
		        "index \"%s\" of table \"%s\" is not valid", lo->claim_index, lo->relation);
	else if (!f->index_fits)
		PROBLEM(p, ERR_CONFIG, "drop the index and run \"pgoutboxctl init\" again, or correct outbox.columns",
		        "index \"%s\" of table \"%s\" is not over the %d lanes of the configured columns",
			lo->claim_index, lo->relation,
		        lo->lanes);
}

static void
judge_table_rights(const struct layout *lo, const struct layout_request *rq, struct problems *p)
{
	const struct layout_facts *f = &lo->facts;

	if (!f->may_use_schema)
		PROBLEM(p, ERR_CONFIG, GRANT_HINT, "role \"%s\" may not use the schema of table \"%s\"", f->role,
		        lo->relation);
	if (!f->may_select)
		PROBLEM(p, ERR_CONFIG, GRANT_HINT, "role \"%s\" may not read every column of table \"%s\"", f->role,
		        lo->relation);
	if (!rq->settle_delete && lo->columns[COL_SENT_AT].type != TYPE_NONE && !lo->columns[COL_SENT_AT].may_update)
		PROBLEM(p, ERR_CONFIG, GRANT_HINT, "role \"%s\" may not update column \"%s\" of table \"%s\"", f->role,
		        rq->columns[COL_SENT_AT], lo->relation);
	else if (!f->may_lock)
		PROBLEM(p, ERR_CONFIG, GRANT_HINT, "role \"%s\" may not lock rows of table \"%s\": it may update no "
		                                   "column", f->role,
		        lo->relation);
	for (int col = COL_RECEIPTS; col < COL_COUNT; col++)
		if (lo->columns[col].type != TYPE_NONE && !lo->columns[col].may_update)
			PROBLEM(p, ERR_CONFIG, GRANT_HINT, "role \"%s\" may not update column \"%s\" of table \"%s\"", f->role,
			        rq->columns[col], lo->relation);
	if ((rq->settle_delete || rq->prune) && !f->may_delete)
		PROBLEM(p, ERR_CONFIG,
		        rq->settle_delete ? GRANT_HINT : GRANT_HINT "; or set outbox.retention to never",
		        "role \"%s\" may not delete from table \"%s\"", f->role, lo->relation);
	if (f->hides_rows)
		PROBLEM(p, ERR_CONFIG, "run ALTER ROLE ... BYPASSRLS as a superuser, or disable row-level security on "
		                       "the table",
		        "row-level security may hide rows of table \"%s\" from role \"%s\"", lo->relation, f->role);
}

static void
judge_pgoutbox_rights(const struct layout *lo, const struct layout_request *rq, struct problems *p)
{
	const struct layout_facts *f = &lo->facts;

	if (!f->schema_exists)
		return;
	if (!f->may_use_pgoutbox)
		PROBLEM(p, ERR_CONFIG, GRANT_HINT, "role \"%s\" may not use schema \"pgoutbox\"", f->role);
	if (!f->may_read_pgoutbox)
		PROBLEM(p, ERR_CONFIG, GRANT_HINT, "role \"%s\" may not read tables \"pgoutbox.meta\" and "
		                                   "\"pgoutbox.outbox\", or not \"pgoutbox.pause\"", f->role);
	if (!f->may_park)
		PROBLEM(p, ERR_CONFIG, GRANT_HINT, "role \"%s\" may not read and insert into table \"pgoutbox.parked\"",
		        f->role);
	if (rq->receipts && rq->settle_delete && f->receipts_exist && !f->may_keep_receipts)
		PROBLEM(p, ERR_CONFIG, GRANT_HINT "; or set outbox.receipts to false",
		        "role \"%s\" may not read, insert into and delete from table \"pgoutbox.receipts\"", f->role);
	if (!f->may_call_lane)
		PROBLEM(p, ERR_CONFIG, GRANT_HINT, "role \"%s\" may not call function \"pgoutbox.lane\"", f->role);
}

size_t
layout_problems(const struct layout *lo, const struct layout_request *rq, unsigned rules, struct error problems[],
                size_t max)
{
	struct problems p = {.list = problems, .max = max};

	if (!lo->facts.exists) {
		PROBLEM(&p, ERR_CONFIG, "correct outbox.table, or create it with \"pgoutboxctl init\"; the role must "
		                        "also be allowed to use "
		                        "the schema, and find it by its search path or by name",
		        "there is no table \"%s\" in this database, or not for role \"%s\"", rq->table, lo->facts.role);
		return p.count;
	}
	if ((rules & LAYOUT_TABLE) != 0) {
		judge_kind(lo, &p);
		for (int col = 0; col < COL_COUNT; col++)
			judge_column(lo, rq, col, &p);
		judge_id(lo, rq, &p);
		judge_rest(lo, rq, &p);
	}
	if ((rules & LAYOUT_INSTALL) != 0)
		judge_install(lo, rq, &p);
	if ((rules & LAYOUT_RIGHTS) != 0) {
		judge_table_rights(lo, rq, &p);
		judge_pgoutbox_rights(lo, rq, &p);
	}
	/* What a standby lacks comes from its primary, so this is the last thing to say, and time heals it. */
	if (lo->facts.in_recovery)
		PROBLEM(&p, ERR_RETRY, "connect to the primary: target_session_attrs=read-write in database.conninfo "
		                       "finds it",
		        "the server is a standby");
	return p.count;
}
