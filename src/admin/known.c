/* known.c - in: the columns of a table; out: which tool's layout that is, or why it is none. Knows no database. */
#include "admin/known.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

#define ORDER                                                                                                      \
	"no column tells which of two events came first: this one numbers them as they are inserted, and rows are " \
	"settled by it"
#define NAMES "text|character varying"
#define MAP_HINT "docs/migrate.md tells how to map such a table by hand, in outbox.columns"

const struct known_layout known_layouts[] = {
	{
		.name = "debezium",
		.tool = "Debezium's outbox event router",
		.columns = {{"id", "uuid|" NAMES},
	                    {"aggregatetype", NAMES},
	                    {"aggregateid", NAMES "|uuid|bigint|integer"},
	                    {"type", NAMES},
	                    {"payload", "jsonb|json|bytea|" NAMES}},
		.map = {[COL_ID] = "pgoutbox_id",
	                [COL_EVENT_ID] = "id",
	                [COL_AGGREGATE_TYPE] = "aggregatetype",
	                [COL_AGGREGATE_ID] = "aggregateid",
	                [COL_EVENT_TYPE] = "type",
	                [COL_PAYLOAD] = "payload",
	                [COL_HEADERS] = "",
	                [COL_TOPIC] = "",
	                [COL_CREATED_AT] = "pgoutbox_created_at",
	                [COL_SENT_AT] = ""},
		.settle_delete = true,
		.topic = "outbox.event.${aggregatetype}",
		.added = {{"pgoutbox_id", "bigint GENERATED ALWAYS AS IDENTITY UNIQUE", ORDER},
	                  {"pgoutbox_created_at", "timestamptz NOT NULL DEFAULT now()",
	                   "no column tells the time of an event: metrics and alerts go by the age of the oldest"}},
		.leftover = "true",
		.leftover_what = "rows, and nothing in them tells what the connector has sent already, or their order",
		.leftover_hint = "stop the writers, let the connector catch up, stop it, then delete the rows: see "
	                         "docs/migrate.md",
		.notes = {"the table has no mark for what was sent, so rows are deleted once they are acknowledged",
	                  "the application must no longer delete the rows that it inserts: a row that is gone at "
	                  "commit is never seen",
	                  "payloads go out as they are stored: the connector's converters may have wrapped them"},
	},
	{
		.name = "open-outbox",
		.tool = "the Open Outbox relay",
		.columns = {{"event_id", "uuid"},
	                    {"event_type", NAMES},
	                    {"partition_key", NAMES},
	                    {"payload", "bytea|jsonb|json|" NAMES},
	                    {"headers", "jsonb|json"},
	                    {"status", NAMES},
	                    {"available_at", "timestamp with time zone"},
	                    {"delivered_at", "timestamp with time zone"},
	                    {"created_at", "timestamp with time zone"}},
		.map = {[COL_ID] = "pgoutbox_id",
	                [COL_EVENT_ID] = "event_id",
	                [COL_AGGREGATE_TYPE] = "",
	                [COL_AGGREGATE_ID] = "partition_key",
	                [COL_EVENT_TYPE] = "event_type",
	                [COL_PAYLOAD] = "payload",
	                [COL_HEADERS] = "headers",
	                [COL_TOPIC] = "",
	                [COL_CREATED_AT] = "created_at",
	                [COL_SENT_AT] = "delivered_at"},
		.topic = "${event_type}",
		.added = {{"pgoutbox_id", "bigint GENERATED ALWAYS AS IDENTITY UNIQUE", ORDER}},
		.leftover = "delivered_at IS NULL",
		.leftover_what = "events without delivered_at, whose order nothing in them tells",
		.leftover_hint = "let the old relay send them, and decide about those of status DEAD: see "
	                         "docs/migrate.md",
		.notes = {"column \"status\" stays as the application writes it: delivered_at alone tells what was "
	                  "sent",
	                  "available_at is not looked at: an event goes out as soon as it is committed",
	                  "an event without partition_key has no key, and goes to any partition"},
	},
	{
		.name = "goharvest",
		.tool = "goharvest",
		.columns = {{"id", "bigint|integer"},
	                    {"create_time", "timestamp with time zone"},
	                    {"kafka_topic", NAMES},
	                    {"kafka_key", NAMES},
	                    {"kafka_value", "bytea|jsonb|json|" NAMES},
	                    {"kafka_header_keys", "text[]"},
	                    {"kafka_header_values", "text[]"},
	                    {"leader_id", "uuid"}},
		.map = {[COL_ID] = "id",
	                [COL_EVENT_ID] = "",
	                [COL_AGGREGATE_TYPE] = "",
	                [COL_AGGREGATE_ID] = "kafka_key",
	                [COL_EVENT_TYPE] = "",
	                [COL_PAYLOAD] = "kafka_value",
	                [COL_HEADERS] = "pgoutbox_headers",
	                [COL_TOPIC] = "",
	                [COL_CREATED_AT] = "create_time",
	                [COL_SENT_AT] = ""},
		.settle_delete = true,
		.topic = "${kafka_topic}",
		.added = {{"pgoutbox_headers",
	                   "jsonb GENERATED ALWAYS AS (jsonb_object(kafka_header_keys, kafka_header_values)) STORED",
	                   "the headers are two arrays, the daemon reads one JSON object"}},
		.notes = {"rows are deleted once they are acknowledged, as goharvest does",
	                  "of several headers of one name only the last is kept; none may be called \"id\" or \"type\"",
	                  "the table has no event id, so messages have no header \"id\" to tell a repetition by"},
	},
	{
		.name = "eventuate-tram",
		.tool = "Eventuate Tram",
		.columns = {{"id", NAMES},
	                    {"destination", NAMES},
	                    {"headers", "json|jsonb|" NAMES},
	                    {"payload", "json|jsonb|" NAMES},
	                    {"published", "smallint|integer"},
	                    {"creation_time", "bigint"}},
		.refused = "dbid",
		.refused_reason = "messages get their ID from it in the CDC service, after they are read; have the "
	                          "application generate ids, in a table without it",
		.map = {[COL_ID] = "pgoutbox_id",
	                [COL_EVENT_ID] = "id",
	                [COL_AGGREGATE_TYPE] = "",
	                [COL_AGGREGATE_ID] = "pgoutbox_key",
	                [COL_EVENT_TYPE] = "",
	                [COL_PAYLOAD] = "pgoutbox_value",
	                [COL_HEADERS] = "",
	                [COL_TOPIC] = "",
	                [COL_CREATED_AT] = "pgoutbox_created_at",
	                [COL_SENT_AT] = ""},
		.settle_delete = true,
		.topic = "${destination}",
		.added = {{"pgoutbox_id", "bigint GENERATED ALWAYS AS IDENTITY UNIQUE", ORDER},
	                  {"pgoutbox_key",
	                   "text GENERATED ALWAYS AS (coalesce(headers::text::jsonb ->> 'PARTITION_ID', "
	                   "headers::text::jsonb ->> 'ID')) STORED",
	                   "the key is a header of the message, PARTITION_ID or else ID"},
	                  {"pgoutbox_value",
	                   "jsonb GENERATED ALWAYS AS (jsonb_object(ARRAY['payload', payload::text]) || "
	                   "jsonb_set('{\"headers\": null}', '{headers}', headers::text::jsonb)) STORED",
	                   "consumers expect payload and headers in one JSON object"},
	                  {"pgoutbox_created_at",
	                   "timestamptz GENERATED ALWAYS AS (to_timestamp(creation_time / 1000.0)) STORED",
	                   "creation_time is a number of milliseconds"}},
		.leftover = "true",
		.leftover_what = "rows, and nothing in them tells for sure what was sent already, or their order",
		.leftover_hint = "stop the writers, let the CDC service catch up, stop it, then delete the rows: see "
	                         "docs/migrate.md",
		.notes = {"rows are deleted once they are acknowledged; column \"published\" is not looked at",
	                  "where messages are spread over several tables, each of them is an outbox of its own"},
	},
};

const size_t known_layouts_count = sizeof(known_layouts) / sizeof(known_layouts[0]);

const struct known_layout *
known_find(const char *name)
{
	for (size_t i = 0; i < known_layouts_count; i++)
		if (strcmp(known_layouts[i].name, name) == 0)
			return &known_layouts[i];
	return NULL;
}

/* NULL = the table has no such column. */
static const char *
type_of(const struct known_table *table, const char *name)
{
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->columns[i].name, name) == 0)
			return table->columns[i].types;
	return NULL;
}

bool
known_has_column(const struct known_table *table, const char *name)
{
	return type_of(table, name) != NULL;
}

static bool
is_one_of(const char *type, const char *types)
{
	size_t len = strlen(type);

	for (const char *p = types; p != NULL; p = strchr(p, '|')) {
		p += *p == '|';
		if (strncmp(p, type, len) == 0 && (p[len] == '|' || p[len] == '\0'))
			return true;
	}
	return false;
}

/* The first column of the layout that the table has not; NULL = it has all. */
static const char *
missing_column(const struct known_layout *layout, const struct known_table *table)
{
	for (size_t i = 0; i < KNOWN_COLUMNS_MAX && layout->columns[i].name != NULL; i++)
		if (!known_has_column(table, layout->columns[i].name))
			return layout->columns[i].name;
	return NULL;
}

static int
judge_type(const struct known_layout *layout, const struct known_table *table, const struct known_column *column,
           struct error *err)
{
	const char *type = type_of(table, column->name);
	char types[128];

	if (is_one_of(type, column->types))
		return 0;
	(void)snprintf(types, sizeof(types), "%s", column->types);
	for (char *p = types; *p != '\0'; p++)
		if (*p == '|')
			*p = '/';
	error_set(err, ERR_CONFIG, "column \"%s\" of table \"%s\" has type %s, where layout \"%s\" has %s",
	          column->name, table->relation, type, layout->name, types);
	return error_hint(err, MAP_HINT);
}

int
known_judge(const struct known_layout *layout, const struct known_table *table, struct error *err)
{
	const char *missing = missing_column(layout, table);

	if (missing != NULL) {
		error_set(err, ERR_CONFIG, "table \"%s\" has no column \"%s\", which layout \"%s\" has",
		          table->relation, missing, layout->name);
		return error_hint(err, MAP_HINT);
	}
	for (size_t i = 0; i < KNOWN_COLUMNS_MAX && layout->columns[i].name != NULL; i++)
		if (judge_type(layout, table, &layout->columns[i], err) != 0)
			return -1;
	if (layout->refused == NULL || !known_has_column(table, layout->refused))
		return 0;
	error_set(err, ERR_CONFIG, "table \"%s\" has column \"%s\": this variant of layout \"%s\" cannot be relayed",
	          table->relation, layout->refused, layout->name);
	return error_hint(err, "%s", layout->refused_reason);
}

static int
none_fits(const struct known_table *table, struct error *err)
{
	struct buf names __attribute__((cleanup(buf_done))) = BUF_INIT;

	for (size_t i = 0; i < known_layouts_count; i++)
		buf_printf(&names, "%s%s", i == 0 ? "" : ", ", known_layouts[i].name);
	error_set(err, ERR_CONFIG, "table \"%s\" has no layout that is known (%s)", table->relation, buf_str(&names));
	return error_hint(err, MAP_HINT);
}

int
known_recognise(const struct known_table *table, const struct known_layout **ret_layout, struct error *err)
{
	const struct known_layout *found = NULL;
	struct error judged, *problem = NULL;

	for (size_t i = 0; i < known_layouts_count; i++) {
		const struct known_layout *layout = &known_layouts[i];

		if (missing_column(layout, table) != NULL)
			continue;
		if (known_judge(layout, table, &judged) != 0) {
			problem = &judged;
			continue;
		}
		if (found != NULL) {
			error_set(err, ERR_CONFIG, "table \"%s\" fits two layouts, \"%s\" and \"%s\"", table->relation,
			          found->name, layout->name);
			return error_hint(err, "name the right one: pgoutboxctl adopt %s", layout->name);
		}
		found = layout;
	}
	if (found != NULL) {
		*ret_layout = found;
		return 0;
	}
	if (problem == NULL)
		return none_fits(table, err);
	*err = *problem;
	return -1;
}
