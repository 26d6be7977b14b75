/* parked.c - the verbs for events that were set aside. In: arguments; out: lines or JSON, an exit status. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "admin/outbox.h"
#include "admin/parked.h"
#include "ctl/report.h"
#include "ctl/table.h"
#include "ctl/verb.h"

#define LIMIT 100
#define LIMIT_MAX 10000
#define PREVIEW_MAX 1000
#define IDS_HINT "\"pgoutboxctl parked list\" shows the ids"

static struct parked_choice
choice_of(const struct arguments *args)
{
	return (struct parked_choice){.key = args->key, .topic = args->topic, .reason_like = args->reason_like};
}

/* Later events wait for a parked one of their key only where the relay has them wait. */
static bool
blocks(const struct config *cfg)
{
	return cfg->outbox.poison == POISON_BLOCK_KEY;
}

/* --- an event in JSON --- */

static json_t *
event_json(const struct parked_rows *rows, int row)
{
	static const struct {
		const char *name;
		enum parked_column col;
		json_t *(*make)(const char *text);
	} members[] = {
		{"id", PARKED_ID, report_number},
		{"event_row", PARKED_EVENT_ROW, report_number},
		{"event_id", PARKED_EVENT_ID, report_text},
		{"parked_at", PARKED_AT, report_text},
		{"key", PARKED_KEY, report_text},
		{"topic", PARKED_TOPIC, report_text},
		{"reason", PARKED_REASON, report_text},
		{"state", PARKED_STATE, report_text},
		{"resolved_at", PARKED_RESOLVED_AT, report_text},
		{"resolved_by", PARKED_RESOLVED_BY, report_text},
		{"waiting", PARKED_WAITING, report_number},
	};
	json_t *o = json_object();

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		report_put(&o, members[i].name, members[i].make(parked_value(rows, row, members[i].col)));
	report_put(&o, "waiting_exact", json_boolean(parked_value(rows, row, PARKED_WAITING_MORE)[0] != 't'));
	return o;
}

static json_t *
events_json(const struct parked_rows *rows, int count)
{
	json_t *events = json_array();

	for (int row = 0; row < count; row++)
		if (json_array_append_new(events, event_json(rows, row)) != 0) {
			json_decref(events);
			return NULL;
		}
	return events;
}

/* --- events for people --- */

/* NULL where nothing waits for the event. "12+": there may be more. */
static const char *
waiting_text(const struct parked_rows *rows, int row, char *text, size_t size)
{
	const char *count = parked_value(rows, row, PARKED_WAITING);

	if (count == NULL)
		return NULL;
	snprintf(text, size, "%s%s", count, parked_value(rows, row, PARKED_WAITING_MORE)[0] == 't' ? "+" : "");
	return text;
}

/* Returns status, or what went wrong. */
static int
print_events(const struct parked_rows *rows, int count, int status)
{
	static const char *const titles[] = {"ID",    "PARKED AT", "EVENT ID", "KEY",
	                                     "TOPIC", "STATE",     "WAITING",  "REASON"};
	static const enum parked_column columns[] = {PARKED_ID,    PARKED_AT,    PARKED_EVENT_ID, PARKED_KEY,
	                                             PARKED_TOPIC, PARKED_STATE, PARKED_WAITING,  PARKED_REASON};
	struct table t __attribute__((cleanup(table_done))) = TABLE_INIT(titles);
	struct error err;

	for (int row = 0; row < count; row++) {
		const char *cells[sizeof(columns) / sizeof(columns[0])];
		char waiting[32];

		for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
			cells[i] = columns[i] == PARKED_WAITING ? waiting_text(rows, row, waiting, sizeof(waiting))
			                                        : parked_value(rows, row, columns[i]);
		table_add(&t, cells);
	}
	if (table_print(&t, stdout) != 0) {
		error_set(&err, ERR_RETRY, "out of memory");
		return verb_fail(&err);
	}
	if (count < rows->count)
		puts("there are more: --limit shows them");
	return verb_finish(status);
}

static int
nothing_parked(void)
{
	puts("nothing is parked");
	return verb_finish(EX_OK);
}

/* --- list --- */

static int
list_json(const struct outbox *o, const struct parked_rows *rows, int shown)
{
	json_t *root = json_object();

	report_put(&root, "outbox", report_text(o->layout.relation));
	report_put(&root, "events", events_json(rows, shown));
	report_put(&root, "more", json_boolean(shown < rows->count));
	return report_print(&root, EX_OK);
}

int
verb_parked_list(const struct arguments *args, const struct config *cfg)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct parked_rows rows __attribute__((cleanup(parked_rows_done))) = PARKED_ROWS_INIT;
	struct parked_choice choice = choice_of(args);
	int64_t limit = args->limit == NULL ? LIMIT : verb_number(args->limit, LIMIT_MAX);
	struct error err;
	int shown;

	if (limit < 0)
		return verb_misused(NULL, "--limit: \"%s\" is no number from 1 to %d", args->limit, LIMIT_MAX);
	choice.resolved = args->all;
	if (outbox_open(cfg, args->database, &o, &err) != 0 ||
	    parked_list(o.target.conn, &o.layout, &choice, limit, blocks(cfg), &rows, &err) != 0)
		return verb_fail(&err);
	shown = rows.count < limit ? rows.count : (int)limit;
	if (args->json)
		return list_json(&o, &rows, shown);
	return shown == 0 ? nothing_parked() : print_events(&rows, shown, EX_OK);
}

/* --- show --- */

static void
show_line(const char *title, int width, const char *value)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;

	table_add_harmless(&text, title);
	for (int pad = width - table_width(title); pad >= 0; pad--)
		buf_add_char(&text, ' ');
	table_add_harmless(&text, value != NULL && value[0] != '\0' ? value : "-");
	puts(buf_str(&text));
}

static void
show_fields(const struct parked_event *e)
{
	int width = 0;

	for (int i = 0; i < e->fields.count; i++)
		if (table_width(parked_field_name(e, i)) > width)
			width = table_width(parked_field_name(e, i));
	for (int i = 0; i < e->fields.count; i++) {
		fputs("  ", stdout);
		show_line(parked_field_name(e, i), width, parked_field_value(e, i));
	}
}

static int
show_lines(const struct parked_event *e)
{
	static const char *const titles[] = {
		[PARKED_ID] = "id",         [PARKED_EVENT_ROW] = "event row",     [PARKED_EVENT_ID] = "event id",
		[PARKED_AT] = "parked at",  [PARKED_KEY] = "key",                 [PARKED_TOPIC] = "topic",
		[PARKED_REASON] = "reason", [PARKED_STATE] = "state",             [PARKED_RESOLVED_AT] = "resolved at",
		[PARKED_WAITING] = NULL,    [PARKED_RESOLVED_BY] = "resolved by",
	};
	char waiting[32];

	for (enum parked_column col = PARKED_ID; col < PARKED_WAITING; col++)
		if (col < PARKED_RESOLVED_AT || parked_value(&e->rows, 0, col) != NULL)
			show_line(titles[col], 11, parked_value(&e->rows, 0, col));
	if (waiting_text(&e->rows, 0, waiting, sizeof(waiting)) != NULL)
		printf("%-11s %s later events of its key\n", "waiting", waiting);
	puts("event");
	show_fields(e);
	return verb_finish(EX_OK);
}

int
verb_parked_show(const struct arguments *args, const struct config *cfg)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct parked_event e __attribute__((cleanup(parked_event_done))) = PARKED_EVENT_INIT;
	int64_t id = args->operands_count == 1 ? verb_number(args->operands[0], INT64_MAX) : -1;
	struct error err;
	json_t *root;

	if (id < 0)
		return verb_misused(IDS_HINT, "parked show takes the id of one event");
	if (outbox_open(cfg, args->database, &o, &err) != 0 ||
	    parked_show(o.target.conn, &o.layout, id, args->payload, blocks(cfg), &e, &err) != 0)
		return verb_fail(&err);
	if (!args->json)
		return show_lines(&e);
	root = event_json(&e.rows, 0);
	report_put(&root, "outbox", report_text(o.layout.relation));
	return report_print_with(&root, "event", e.json, EX_OK);
}

/* --- retry, skip --- */

/* EX_OK, or how it ends. *ret_ids is NULL with --all. */
static int
read_ids(const struct arguments *args, const char *verb, int64_t **ret_ids, struct parked_choice *choice)
{
	struct error err;
	int64_t *ids;

	if (args->all != (args->operands_count == 0))
		return verb_misused(IDS_HINT, "%s takes either the ids of events or --all", verb);
	if (args->all)
		return EX_OK;
	if (args->key != NULL || args->topic != NULL || args->reason_like != NULL)
		return verb_misused(NULL, "%s: --key, --topic and --reason-like go with --all, not with ids", verb);
	ids = calloc((size_t)args->operands_count, sizeof(*ids));
	if (ids == NULL) {
		error_set(&err, ERR_RETRY, "out of memory");
		return verb_fail(&err);
	}
	for (int i = 0; i < args->operands_count; i++) {
		ids[i] = verb_number(args->operands[i], INT64_MAX);
		if (ids[i] < 0) {
			free(ids);
			return verb_misused(IDS_HINT, "%s: \"%s\" is no id", verb, args->operands[i]);
		}
	}
	choice->ids = *ret_ids = ids;
	choice->ids_count = (size_t)args->operands_count;
	return EX_OK;
}

static void
free_ids(int64_t **ids)
{
	free(*ids);
}

static int
tell_json(const struct outbox *o, enum parked_decision decision, bool late, const struct parked_outcome *done)
{
	json_t *root = json_object(), *ids = json_array();

	for (size_t i = 0; i < done->count; i++)
		if (json_array_append_new(ids, json_integer(done->ids[i])) != 0) {
			json_decref(ids);
			ids = NULL;
		}
	report_put(&root, "outbox", report_text(o->layout.relation));
	report_put(&root, decision == PARKED_RETRY ? "retried" : "skipped", ids);
	if (decision == PARKED_RETRY) {
		report_put(&root, "written_again", json_integer((json_int_t)done->again));
		report_put(&root, "late", json_boolean(late));
	}
	return report_print(&root, EX_OK);
}

static int
tell(enum parked_decision decision, bool late, const struct parked_outcome *done)
{
	if (done->count == 0)
		return nothing_parked();
	printf("%zu event%s %s:", done->count, done->count == 1 ? "" : "s",
	       decision == PARKED_RETRY ? "unsent again" : "given up");
	for (size_t i = 0; i < done->count; i++)
		printf(" %" PRId64, done->ids[i]);
	putchar('\n');
	if (done->again > 0)
		printf("%zu of them had left the table and %s written again from the copy\n", done->again,
		       done->again == 1 ? "was" : "were");
	if (decision == PARKED_SKIP)
		puts("they are never sent; the later events of their keys go on within a second or two");
	else if (late)
		puts("a relay sends them within seconds, but late: later events of their keys did not wait\n"
		     "(poison: skip); what fails again is parked again, under a new id");
	else
		puts("a relay sends them within seconds, before the later events of their keys that wait;\n"
		     "what fails again is parked again, under a new id");
	return verb_finish(EX_OK);
}

static int
run_decision(const struct arguments *args, const struct config *cfg, enum parked_decision decision)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct parked_outcome done __attribute__((cleanup(parked_outcome_done))) = PARKED_OUTCOME_INIT;
	struct parked_choice choice = choice_of(args);
	int64_t *ids __attribute__((cleanup(free_ids))) = NULL;
	int status = read_ids(args, decision == PARKED_RETRY ? "parked retry" : "parked skip", &ids, &choice);
	struct error err;

	if (status != EX_OK)
		return status;
	if (outbox_open(cfg, args->database, &o, &err) != 0 ||
	    parked_decide(o.target.conn, &o.layout, &choice, decision, &done, &err) != 0)
		return verb_fail(&err);
	return args->json ? tell_json(&o, decision, !blocks(cfg), &done) : tell(decision, !blocks(cfg), &done);
}

int
verb_parked_retry(const struct arguments *args, const struct config *cfg)
{
	return run_decision(args, cfg, PARKED_RETRY);
}

static int
print_preview(const struct outbox *o, const struct parked_rows *rows, int shown, bool json)
{
	json_t *root;

	if (!json)
		return print_events(rows, shown, EX_USAGE);
	root = json_object();
	report_put(&root, "outbox", report_text(o->layout.relation));
	report_put(&root, "skipped", json_array());
	report_put(&root, "would_skip", events_json(rows, shown));
	report_put(&root, "more", json_boolean(shown < rows->count));
	return report_print(&root, EX_USAGE);
}

/* What would be given up, and that nothing was. */
static int
preview_skip(const struct arguments *args, const struct config *cfg)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct parked_rows rows __attribute__((cleanup(parked_rows_done))) = PARKED_ROWS_INIT;
	struct parked_choice choice = choice_of(args);
	int64_t *ids __attribute__((cleanup(free_ids))) = NULL;
	int shown, status = read_ids(args, "parked skip", &ids, &choice);
	struct error err;

	if (status != EX_OK)
		return status;
	if (outbox_open(cfg, args->database, &o, &err) != 0 ||
	    parked_check(o.target.conn, &o.layout, &choice, &err) != 0 ||
	    parked_list(o.target.conn, &o.layout, &choice, PREVIEW_MAX, blocks(cfg), &rows, &err) != 0)
		return verb_fail(&err);
	shown = rows.count < PREVIEW_MAX ? rows.count : PREVIEW_MAX;
	if (shown == 0 && !args->json)
		return nothing_parked();
	status = print_preview(&o, &rows, shown, args->json);
	if (status != EX_USAGE)
		return status;
	return verb_misused("parked skip --yes gives these events up for good, and consumers will miss them",
	                    "nothing was done: --yes is missing");
}

int
verb_parked_skip(const struct arguments *args, const struct config *cfg)
{
	return args->yes ? run_decision(args, cfg, PARKED_SKIP) : preview_skip(args, cfg);
}
