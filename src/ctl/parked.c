/* parked.c - the verbs for events that were set aside. In: arguments; out: lines or JSON, an exit status. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "admin/inspect.h"
#include "admin/parked.h"
#include "admin/target.h"
#include "ctl/table.h"
#include "ctl/verb.h"

#define LIMIT 100
#define LIMIT_MAX 100000

struct outbox {
	struct target target;
	struct layout layout;
};

#define OUTBOX_INIT ((struct outbox){TARGET_INIT, LAYOUT_INIT})

static void
outbox_close(struct outbox *o)
{
	layout_done(&o->layout);
	target_close(&o->target);
}

static int
outbox_open(const struct arguments *args, const struct config *cfg, struct outbox *o, struct error *err)
{
	struct error problem;

	if (target_open(cfg, args->database, NULL, &o->target, err) != 0 ||
	    inspect(o->target.conn, &o->target.request, &o->layout, err) != 0)
		return -1;
	if (layout_problems(&o->layout, &o->target.request, LAYOUT_TABLE | LAYOUT_INSTALL, &problem, 1) == 0)
		return 0;
	*err = problem;
	return -1;
}

static struct parked_filter
filter_of(const struct arguments *args)
{
	return (struct parked_filter){.key = args->key, .topic = args->topic};
}

/* --- JSON --- */

static int
print_json(json_t *root)
{
	int rc = root == NULL ? -1 : json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	struct error err;

	json_decref(root);
	if (rc == 0 && putchar('\n') != EOF)
		return verb_finish(EX_OK);
	error_set(&err, ERR_RETRY, "could not write JSON");
	return verb_fail(&err);
}

static json_t *
text_or_null(const char *text)
{
	return text == NULL ? json_null() : json_string(text);
}

static json_t *
event_json(const struct parked_rows *rows, int row)
{
	static const struct {
		const char *name;
		enum parked_column col;
	} texts[] = {
		{"event_id", PARKED_EVENT_ID},       {"parked_at", PARKED_AT},
		{"key", PARKED_KEY},                 {"topic", PARKED_TOPIC},
		{"reason", PARKED_REASON},           {"state", PARKED_STATE},
		{"resolved_at", PARKED_RESOLVED_AT}, {"resolved_by", PARKED_RESOLVED_BY},
	};
	json_t *o = json_object();

	json_object_set_new(o, "id", json_integer(strtoll(parked_value(rows, row, PARKED_ID), NULL, 10)));
	json_object_set_new(o, "event_row", json_integer(strtoll(parked_value(rows, row, PARKED_EVENT_ROW), NULL, 10)));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		json_object_set_new(o, texts[i].name, text_or_null(parked_value(rows, row, texts[i].col)));
	return o;
}

/* --- list --- */

static int
list_json(const struct outbox *o, const struct parked_rows *rows, int shown)
{
	json_t *root = json_object(), *events = json_array();

	for (int row = 0; row < shown; row++)
		json_array_append_new(events, event_json(rows, row));
	json_object_set_new(root, "outbox", json_string(o->layout.relation));
	json_object_set_new(root, "events", events);
	json_object_set_new(root, "more", json_boolean(shown < rows->count));
	return print_json(root);
}

static int
list_table(const struct parked_rows *rows, int shown)
{
	static const char *const titles[] = {"ID", "PARKED", "ROW", "KEY", "TOPIC", "STATE", "REASON"};
	static const enum parked_column columns[] = {PARKED_ID, PARKED_AT, PARKED_EVENT_ROW, PARKED_KEY, PARKED_TOPIC, PARKED_STATE, PARKED_REASON};
	struct table t __attribute__((cleanup(table_done))) = TABLE_INIT(titles);
	struct error err;

	if (shown == 0) {
		puts("nothing is parked");
		return verb_finish(EX_OK);
	}
	for (int row = 0; row < shown; row++) {
		const char *cells[7];

		for (size_t i = 0; i < 7; i++)
			cells[i] = parked_value(rows, row, columns[i]);
		table_add(&t, cells);
	}
	if (table_print(&t, stdout) != 0) {
		error_set(&err, ERR_RETRY, "out of memory");
		return verb_fail(&err);
	}
	if (shown < rows->count)
		printf("there are more: see --limit\n");
	return verb_finish(EX_OK);
}

/* -1: not a number within the bounds. */
static int64_t
number(const char *text, int64_t max)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && n >= 1 && n <= max ? n : -1;
}

int
verb_parked_list(const struct arguments *args, const struct config *cfg)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct parked_filter filter = filter_of(args);
	int64_t limit = args->limit == NULL ? LIMIT : number(args->limit, LIMIT_MAX);
	struct parked_rows rows __attribute__((cleanup(parked_rows_done))) = PARKED_ROWS_INIT;
	struct error err;
	int shown;

	if (limit < 0)
		return verb_misused("--limit: \"%s\" is no number from 1 to %d", args->limit, LIMIT_MAX);
	filter.resolved = args->all;
	if (outbox_open(args, cfg, &o, &err) != 0 || parked_list(o.target.conn, &o.layout, &filter, limit, &rows, &err) != 0)
		return verb_fail(&err);
	shown = rows.count < limit ? rows.count : (int)limit;
	return args->json ? list_json(&o, &rows, shown) : list_table(&rows, shown);
}

/* --- show --- */

static int
show_json(const struct outbox *o, const struct parked_event *e)
{
	json_t *root = event_json(&e->rows, 0);

	json_object_set_new(root, "outbox", json_string(o->layout.relation));
	json_object_set_new(root, "waiting", json_integer(e->waiting));
	json_object_set_new(root, "waiting_exact", json_boolean(e->waiting_all));
	json_object_set_new(root, "event", json_loads(e->json, JSON_DECODE_ANY, NULL));
	return print_json(root);
}

static void
show_line(const char *title, const char *value)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;

	table_add_harmless(&text, value != NULL && value[0] != '\0' ? value : "-");
	printf("%-10s %s\n", title, buf_str(&text));
}

/* The columns of the row, one a line. */
static void
show_event(const char *text)
{
	json_t *event = json_loads(text, JSON_DECODE_ANY, NULL), *value;
	const char *name;

	json_object_foreach(event, name, value)
	{
		char *dump = json_string_value(value) != NULL ? strdup(json_string_value(value))
		                                              : json_dumps(value, JSON_ENCODE_ANY | JSON_PRESERVE_ORDER);
		struct buf title __attribute__((cleanup(buf_done))) = BUF_INIT;

		buf_printf(&title, "  %s", name);
		show_line(buf_str(&title), dump != NULL ? dump : "");
		free(dump);
	}
	json_decref(event);
}

static int
show_lines(const struct parked_event *e)
{
	static const char *const titles[PARKED_COLUMNS] = {"id", "row", "event id", "parked", "key", "topic", "reason", "state", "resolved", "by"};

	for (enum parked_column col = 0; col < PARKED_COLUMNS; col++)
		if (col < PARKED_RESOLVED_AT || parked_value(&e->rows, 0, col) != NULL)
			show_line(titles[col], parked_value(&e->rows, 0, col));
	printf("%-10s %" PRId64 "%s later events of its key are unsent\n", "waiting", e->waiting, e->waiting_all ? "" : " or more");
	puts("event");
	show_event(e->json);
	return verb_finish(EX_OK);
}

int
verb_parked_show(const struct arguments *args, const struct config *cfg)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct parked_event e __attribute__((cleanup(parked_event_done))) = PARKED_EVENT_INIT;
	int64_t id = args->operands_count == 1 ? number(args->operands[0], INT64_MAX) : -1;
	struct error err;

	if (id < 0)
		return verb_misused("parked show takes the id of one event, as \"parked list\" shows it");
	if (outbox_open(args, cfg, &o, &err) != 0 || parked_show(o.target.conn, &o.layout, id, args->payload, &e, &err) != 0)
		return verb_fail(&err);
	return args->json ? show_json(&o, &e) : show_lines(&e);
}

/* --- retry, skip --- */

typedef int decide(PGconn *, const struct layout *, const int64_t *, size_t, const struct parked_filter *, struct parked_outcome *,
                   struct error *);

/* The ids that were named; NULL and 0 with --all. */
static int
read_ids(const struct arguments *args, const char *verb, int64_t **ret_ids, size_t *ret_count)
{
	int64_t *ids;

	*ret_ids = NULL;
	*ret_count = 0;
	if (args->all != (args->operands_count == 0))
		return verb_misused("%s takes the ids of events, as \"parked list\" shows them, or --all", verb);
	if (args->all)
		return EX_OK;
	if (args->key != NULL || args->topic != NULL)
		return verb_misused("%s: --key and --topic go with --all, not with ids", verb);
	ids = calloc((size_t)args->operands_count, sizeof(*ids));
	for (int i = 0; ids != NULL && i < args->operands_count; i++) {
		ids[i] = number(args->operands[i], INT64_MAX);
		if (ids[i] < 0) {
			free(ids);
			return verb_misused("%s: \"%s\" is no id", verb, args->operands[i]);
		}
	}
	*ret_ids = ids;
	*ret_count = (size_t)args->operands_count;
	return ids == NULL ? EX_TEMPFAIL : EX_OK;
}

static int
tell_json(const struct outbox *o, const char *state, const struct parked_outcome *done)
{
	json_t *root = json_object(), *ids = json_array();

	for (size_t i = 0; i < done->count; i++)
		json_array_append_new(ids, json_integer(done->ids[i]));
	json_object_set_new(root, "outbox", json_string(o->layout.relation));
	json_object_set_new(root, state, ids);
	json_object_set_new(root, "written_again", json_integer((json_int_t)done->again));
	return print_json(root);
}

static int
tell(bool retry, enum poison_policy poison, const struct parked_outcome *done)
{
	if (done->count == 0) {
		puts("nothing is parked");
		return verb_finish(EX_OK);
	}
	printf("%zu %s %s:", done->count, done->count == 1 ? "event" : "events", retry ? "unsent again" : "given up");
	for (size_t i = 0; i < done->count; i++)
		printf(" %" PRId64, done->ids[i]);
	putchar('\n');
	if (done->again > 0)
		printf("%zu of them had left the table and were written again\n", done->again);
	if (!retry)
		puts("they are never sent; later events of their keys go on within a second");
	else if (poison == POISON_SKIP)
		puts("the relay sends them within a second or two, after later events of their keys, which went out already");
	else
		puts("the relay sends them within a second or two, before later events of their keys; what fails again is parked again");
	return verb_finish(EX_OK);
}

static int
run_decision(const struct arguments *args, const struct config *cfg, bool retry)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct parked_outcome done __attribute__((cleanup(parked_outcome_done))) = PARKED_OUTCOME_INIT;
	struct parked_filter filter = filter_of(args);
	decide *decision = retry ? parked_retry : parked_skip;
	int64_t *ids;
	size_t count;
	struct error err;
	int rc, status = read_ids(args, retry ? "parked retry" : "parked skip", &ids, &count);

	if (status != EX_OK)
		return status;
	rc = outbox_open(args, cfg, &o, &err);
	if (rc == 0)
		rc = decision(o.target.conn, &o.layout, ids, count, &filter, &done, &err);
	free(ids);
	if (rc != 0)
		return verb_fail(&err);
	return args->json ? tell_json(&o, retry ? "retried" : "skipped", &done) : tell(retry, cfg->outbox.poison, &done);
}

int
verb_parked_retry(const struct arguments *args, const struct config *cfg)
{
	return run_decision(args, cfg, true);
}

int
verb_parked_skip(const struct arguments *args, const struct config *cfg)
{
	if (!args->yes)
		return verb_misused("parked skip gives events up for good: consumers will miss them. Say --yes to do so");
	return run_decision(args, cfg, false);
}
