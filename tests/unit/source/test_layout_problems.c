/* test_layout_problems.c - the rules for a table, each broken alone. */
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

#include "source/layout.h"
#include "support/tap.h"

static const struct layout_request mark = {
	.table = "outbox_events",
	.columns = {"id", "event_id", "aggregate_type", "aggregate_id", "event_type", "payload", "headers", "topic",
	            "created_at",
                    "sent_at"},
	.prune = true,
};

static struct layout_column
column(const char *name, enum layout_type type, const char *type_name)
{
	return (struct layout_column){.quoted = (char *)(uintptr_t)name, .type = type,
	                              .type_name = (char *)(uintptr_t)type_name,
	                              .text_immutable = true, .may_update = true};
}

/* A layout that serves. Its strings are constants: nobody ends it. */
static struct layout
good(void)
{
	struct layout lo = {.relation = (char *)(uintptr_t)"public.outbox_events", .relation_oid = 16400, .lanes = 4,
	                    .tids_unique = true,
	                    .claim_index = (char *)(uintptr_t)"outbox_events_lane4"};
	struct layout_facts *f = &lo.facts;

	lo.columns[COL_ID] = column("id", TYPE_INTEGER, "bigint");
	lo.columns[COL_ID].not_null = lo.columns[COL_ID].unique = true;
	lo.columns[COL_EVENT_ID] = column("event_id", TYPE_UUID, "uuid");
	lo.columns[COL_AGGREGATE_TYPE] = column("aggregate_type", TYPE_TEXT, "text");
	lo.columns[COL_AGGREGATE_ID] = column("aggregate_id", TYPE_TEXT, "text");
	lo.columns[COL_EVENT_TYPE] = column("event_type", TYPE_TEXT, "text");
	lo.columns[COL_PAYLOAD] = column("payload", TYPE_JSONB, "jsonb");
	lo.columns[COL_HEADERS] = column("headers", TYPE_JSONB, "jsonb");
	lo.columns[COL_TOPIC] = column("topic", TYPE_TEXT, "text");
	lo.columns[COL_CREATED_AT] = column("created_at", TYPE_TIMESTAMPTZ, "timestamp with time zone");
	lo.columns[COL_SENT_AT] = column("sent_at", TYPE_TIMESTAMPTZ, "timestamp with time zone");
	f->exists = f->may_use_schema = f->may_select = f->may_lock = f->may_delete = true;
	f->kind = 'r';
	f->persistence = 'p';
	f->role = (char *)(uintptr_t)"relay";
	f->schema_exists = f->readable = true;
	f->may_use_pgoutbox = f->may_read_pgoutbox = f->may_park = f->may_call_lane = true;
	f->schema_version = LAYOUT_SCHEMA_VERSION;
	f->registered = f->index_exists = f->index_valid = f->index_fits = true;
	f->receipts_exist = f->may_keep_receipts = true;
	return lo;
}

static void
expect(const struct layout *lo, const struct layout_request *rq, unsigned rules, const char *message)
{
	struct error problems[LAYOUT_PROBLEMS_MAX];
	size_t count = layout_problems(lo, rq, rules, problems, LAYOUT_PROBLEMS_MAX);

	TAP_INT_FATAL(count, message == NULL ? 0 : 1);
	if (message == NULL)
		return;
	TAP_STR(problems[0].message, message);
	TAP_INT(problems[0].kind, ERR_CONFIG);
	CU_ASSERT_TRUE(problems[0].hint[0] != '\0');
	CU_ASSERT_TRUE(strlen(problems[0].hint) < sizeof(problems[0].hint) - 1);
	TAP_INT(layout_problems(lo, rq, LAYOUT_ALL & ~rules, problems, 1), 0);
}

/* Changes a good layout in one place, and says what comes of it. */
#define BROKEN(change, rq, rules, message)        \
	do {                                      \
		struct layout lo = good();        \
		lo.change;                        \
		expect(&lo, rq, rules, message);  \
	} while (0)

static void
test_good(void)
{
	struct layout_request rq = mark;

	BROKEN(lanes = 4, &rq, LAYOUT_ALL, NULL);
	rq.settle_delete = true;
	BROKEN(lanes = 4, &rq, LAYOUT_ALL, NULL);
	rq = mark;
	rq.columns[COL_TOPIC] = "";
	rq.columns[COL_HEADERS] = NULL;
	BROKEN(columns[COL_TOPIC] = (struct layout_column){0}, &rq, LAYOUT_ALL, NULL);
	BROKEN(columns[COL_PAYLOAD].type = TYPE_BYTEA, &mark, LAYOUT_ALL, NULL);
	BROKEN(columns[COL_PAYLOAD].type = TYPE_VARCHAR, &mark, LAYOUT_ALL, NULL);
	BROKEN(columns[COL_CREATED_AT].type = TYPE_TIMESTAMP, &mark, LAYOUT_ALL, NULL);
	BROKEN(columns[COL_EVENT_ID].type = TYPE_OTHER, &mark, LAYOUT_ALL, NULL);
	BROKEN(facts.kind = 'p', &mark, LAYOUT_ALL, NULL);
}

static void
test_table(void)
{
	BROKEN(facts.kind = 'v', &mark, LAYOUT_TABLE, "\"public.outbox_events\" is not a table");
	BROKEN(facts.kind = 'f', &mark, LAYOUT_TABLE, "\"public.outbox_events\" is not a table");
	BROKEN(facts.has_children = true, &mark, LAYOUT_TABLE,
	       "other tables inherit from table \"public.outbox_events\"");
	BROKEN(facts.persistence = 'u', &mark, LAYOUT_TABLE, "table \"public.outbox_events\" is unlogged");
	BROKEN(facts.persistence = 't', &mark, LAYOUT_TABLE, "table \"public.outbox_events\" is temporary");
	BROKEN(facts.missing = (char *)(uintptr_t)"tenant", &mark, LAYOUT_TABLE,
	       "table \"public.outbox_events\" has no column tenant");
}

static void
test_columns(void)
{
	BROKEN(columns[COL_ID].type = TYPE_TEXT, &mark, LAYOUT_TABLE,
	       "column \"id\" of table \"public.outbox_events\" has type bigint");
	BROKEN(columns[COL_ID].not_null = false, &mark, LAYOUT_TABLE,
	       "column \"id\" of table \"public.outbox_events\" may be null");
	BROKEN(columns[COL_ID].unique = false, &mark, LAYOUT_TABLE,
	       "column \"id\" of table \"public.outbox_events\" is not unique");
	BROKEN(columns[COL_AGGREGATE_ID].text_immutable = false, &mark, LAYOUT_TABLE,
	       "column \"aggregate_id\" of table \"public.outbox_events\" has type text, whose text form depends on "
	       "settings");
	BROKEN(columns[COL_PAYLOAD].type = TYPE_OTHER, &mark, LAYOUT_TABLE,
	       "column \"payload\" of table \"public.outbox_events\" has type jsonb");
	BROKEN(columns[COL_HEADERS].type = TYPE_TEXT, &mark, LAYOUT_TABLE,
	       "column \"headers\" of table \"public.outbox_events\" has type jsonb");
	BROKEN(columns[COL_CREATED_AT].type = TYPE_OTHER, &mark, LAYOUT_TABLE,
	       "column \"created_at\" of table \"public.outbox_events\" has type timestamp with time zone");
	BROKEN(columns[COL_SENT_AT].type = TYPE_OTHER, &mark, LAYOUT_TABLE,
	       "column \"sent_at\" of table \"public.outbox_events\" has type timestamp with time zone");
	BROKEN(columns[COL_SENT_AT].not_null = true, &mark, LAYOUT_TABLE,
	       "column \"sent_at\" of table \"public.outbox_events\" may not be null");
	BROKEN(columns[COL_TOPIC].type = TYPE_NONE, &mark, LAYOUT_TABLE,
	       "table \"public.outbox_events\" has no column \"topic\"");
	BROKEN(columns[COL_PAYLOAD].type = TYPE_NONE, &mark, LAYOUT_TABLE,
	       "table \"public.outbox_events\" has no column \"payload\"");
	BROKEN(columns[COL_ID].type = TYPE_NONE, &mark, LAYOUT_TABLE,
	       "table \"public.outbox_events\" has no column \"id\"");
}

static void
test_needed_columns(void)
{
	static const enum event_column needed[] = {COL_ID, COL_AGGREGATE_ID, COL_PAYLOAD, COL_SENT_AT};
	static const char *const names[] = {"id", "aggregate_id", "payload", "sent_at"};

	for (size_t i = 0; i < 4; i++) {
		struct layout_request rq = mark;
		struct layout lo = good();
		struct error problem;

		rq.columns[needed[i]] = "";
		lo.columns[needed[i]] = (struct layout_column){0};
		TAP_INT_FATAL(layout_problems(&lo, &rq, LAYOUT_TABLE, &problem, 1), 1);
		TAP_HAS(problem.message, "has no column for outbox.columns.");
		TAP_HAS(problem.message, names[i]);
		rq.settle_delete = true;
		TAP_INT(layout_problems(&lo, &rq, LAYOUT_ALL, &problem, 1), needed[i] == COL_SENT_AT ? 0 : 1);
	}
}

static void
test_install(void)
{
	BROKEN(facts.schema_exists = false, &mark, LAYOUT_INSTALL, "the database has no schema \"pgoutbox\"");
	BROKEN(facts.registered = false, &mark, LAYOUT_INSTALL,
	       "table \"public.outbox_events\" is not known as an outbox");
	BROKEN(facts.index_exists = false, &mark, LAYOUT_INSTALL,
	       "index \"outbox_events_lane4\" of table \"public.outbox_events\" is missing");
	BROKEN(facts.index_valid = false, &mark, LAYOUT_INSTALL,
	       "index \"outbox_events_lane4\" of table \"public.outbox_events\" is not valid");
	BROKEN(facts.index_fits = false, &mark, LAYOUT_INSTALL,
	       "index \"outbox_events_lane4\" of table \"public.outbox_events\" is not over the 4 lanes of the "
	       "configured columns");
	BROKEN(facts.schema_version = 9, &mark, LAYOUT_INSTALL,
	       "schema \"pgoutbox\" was made by a newer pgoutboxctl (schema version 9, this one knows 3)");
	BROKEN(facts.schema_version = 0, &mark, LAYOUT_INSTALL,
	       "schema \"pgoutbox\" was made by an older pgoutboxctl (schema version 0, this one needs 3)");
}

static void
test_rights(void)
{
	struct layout_request keep = mark, delete = mark;

	keep.prune = false;
	delete.prune = false;
	delete.settle_delete = true;
	BROKEN(facts.may_use_schema = false, &mark, LAYOUT_RIGHTS,
	       "role \"relay\" may not use the schema of table \"public.outbox_events\"");
	BROKEN(facts.may_select = false, &mark, LAYOUT_RIGHTS,
	       "role \"relay\" may not read every column of table \"public.outbox_events\"");
	BROKEN(columns[COL_SENT_AT].may_update = false, &mark, LAYOUT_RIGHTS,
	       "role \"relay\" may not update column \"sent_at\" of table \"public.outbox_events\"");
	BROKEN(columns[COL_SENT_AT].may_update = false, &delete, LAYOUT_RIGHTS, NULL);
	BROKEN(facts.may_lock = false, &delete, LAYOUT_RIGHTS,
	       "role \"relay\" may not lock rows of table \"public.outbox_events\": it may update no column");
	BROKEN(facts.may_delete = false, &mark, LAYOUT_RIGHTS,
	       "role \"relay\" may not delete from table \"public.outbox_events\"");
	BROKEN(facts.may_delete = false, &delete, LAYOUT_RIGHTS,
	       "role \"relay\" may not delete from table \"public.outbox_events\"");
	BROKEN(facts.may_delete = false, &keep, LAYOUT_RIGHTS, NULL);
	BROKEN(facts.hides_rows = true, &mark, LAYOUT_RIGHTS,
	       "row-level security may hide rows of table \"public.outbox_events\" from role \"relay\"");
	BROKEN(facts.may_use_pgoutbox = false, &mark, LAYOUT_RIGHTS, "role \"relay\" may not use schema \"pgoutbox\"");
	BROKEN(facts.may_read_pgoutbox = false, &mark, LAYOUT_RIGHTS,
	       "role \"relay\" may not read tables \"pgoutbox.meta\" and \"pgoutbox.outbox\", or not \"pgoutbox.pause\"");
	BROKEN(facts.may_park = false, &mark, LAYOUT_RIGHTS,
	       "role \"relay\" may not read and insert into table \"pgoutbox.parked\"");
	BROKEN(facts.may_call_lane = false, &mark, LAYOUT_RIGHTS,
	       "role \"relay\" may not call function \"pgoutbox.lane\"");
}

static void
test_receipts(void)
{
	static const unsigned both[] = {COL_SENT_PARTITION, COL_SENT_OFFSET};
	struct layout_request in_row = mark, apart = mark;
	struct layout kept = good();

	apart.receipts = apart.settle_delete = true;
	BROKEN(lanes = 4, &apart, LAYOUT_ALL, NULL);
	BROKEN(facts.receipts_exist = false, &apart, LAYOUT_INSTALL, "there is no table \"pgoutbox.receipts\"");
	BROKEN(facts.may_keep_receipts = false, &apart, LAYOUT_RIGHTS,
	       "role \"relay\" may not read, insert into and delete from table \"pgoutbox.receipts\"");
	BROKEN(facts.receipts_exist = false, &mark, LAYOUT_ALL, NULL);
	BROKEN(facts.may_keep_receipts = false, &mark, LAYOUT_ALL, NULL);
	in_row.receipts = true;
	in_row.columns[COL_SENT_PARTITION] = "sent_partition";
	in_row.columns[COL_SENT_OFFSET] = "sent_offset";
	kept.columns[COL_SENT_PARTITION] = column("sent_partition", TYPE_INTEGER, "integer");
	kept.columns[COL_SENT_OFFSET] = column("sent_offset", TYPE_INTEGER, "bigint");
	kept.columns[COL_SENT_OFFSET].bigint = true;
	kept.facts.receipts_exist = kept.facts.may_keep_receipts = false;
	expect(&kept, &in_row, LAYOUT_ALL, NULL);
	for (size_t i = 0; i < 2; i++) {
		const char *name = in_row.columns[both[i]];
		struct layout_column *c = &kept.columns[both[i]], was = *c;
		char message[160];

		c->type = TYPE_NONE;
		snprintf(message, sizeof(message), "table \"public.outbox_events\" has no column \"%s\" for receipts", name);
		expect(&kept, &in_row, LAYOUT_INSTALL, message);
		*c = was;
		c->type = TYPE_TEXT;
		snprintf(message, sizeof(message), "column \"%s\" of table \"public.outbox_events\" has type %s", name, was.type_name);
		expect(&kept, &in_row, LAYOUT_TABLE, message);
		*c = was;
		c->not_null = true;
		snprintf(message, sizeof(message), "column \"%s\" of table \"public.outbox_events\" may not be null", name);
		expect(&kept, &in_row, LAYOUT_TABLE, message);
		*c = was;
		c->may_update = false;
		snprintf(message, sizeof(message), "role \"relay\" may not update column \"%s\" of table \"public.outbox_events\"", name);
		expect(&kept, &in_row, LAYOUT_RIGHTS, message);
		*c = was;
	}
	/* an offset outgrows an integer */
	kept.columns[COL_SENT_OFFSET] = column("sent_offset", TYPE_INTEGER, "integer");
	expect(&kept, &in_row, LAYOUT_TABLE, "column \"sent_offset\" of table \"public.outbox_events\" has type integer");
}

static void
test_missing_table_is_all_there_is_to_say(void)
{
	struct layout lo = {.facts = {.role = (char *)(uintptr_t)"relay"}};
	struct error problems[4];

	TAP_INT_FATAL(layout_problems(&lo, &mark, LAYOUT_ALL, problems, 4), 1);
	TAP_STR(problems[0].message, "there is no table \"outbox_events\" in this database, or not for role \"relay\"");
	TAP_HAS(problems[0].hint, "pgoutboxctl init");
}

static void
test_standby_heals(void)
{
	struct layout lo = good();
	struct error problems[4];

	lo.facts.in_recovery = true;
	TAP_INT_FATAL(layout_problems(&lo, &mark, LAYOUT_ALL, problems, 4), 1);
	TAP_INT(problems[0].kind, ERR_RETRY);
	TAP_STR(problems[0].message, "the server is a standby");
}

static void
test_many(void)
{
	struct layout lo = good();
	struct error problems[3] = {{.kind = ERR_FATAL}, {.kind = ERR_FATAL}, {.kind = ERR_FATAL}};

	lo.facts.persistence = 'u';
	lo.facts.index_exists = false;
	lo.facts.may_select = false;
	TAP_INT(layout_problems(&lo, &mark, LAYOUT_ALL, problems, 2), 2);
	TAP_HAS(problems[0].message, "unlogged");
	TAP_HAS(problems[1].message, "missing");
	TAP_INT(problems[2].kind, ERR_FATAL);
	TAP_INT(layout_problems(&lo, &mark, LAYOUT_ALL, problems, 3), 3);
	TAP_HAS(problems[2].message, "read every column");
}

int
main(void)
{
	tap_suite("layout_problems");
	tap_test("a good layout has none", test_good);
	tap_test("the table", test_table);
	tap_test("its columns", test_columns);
	tap_test("columns that must be mapped", test_needed_columns);
	tap_test("schema pgoutbox and the index", test_install);
	tap_test("rights", test_rights);
	tap_test("receipts", test_receipts);
	tap_test("a missing table is all there is to say", test_missing_table_is_all_there_is_to_say);
	tap_test("a standby heals", test_standby_heals);
	tap_test("several, in order, and no more than asked for", test_many);
	return tap_run();
}
