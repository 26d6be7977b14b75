/* verify.c - the verb that holds Kafka against the database. In: arguments; out: what differs as lines or JSON, perhaps a file of the
 * events that are missing, an exit status. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "admin/verify.h"
#include "ctl/progress.h"
#include "ctl/report.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "ctl/words.h"

#define PATIENCE_MS 60000
#define PATIENCE_MAX_MS 86400000
#define REPLAY_IDS_MAX 10000 /* of "replay --event-ids" */
#define SHOWN 5              /* examples of a kind, for people; programs get all */

static const char *const kind_names[COMPARE_KINDS] = {
	[COMPARE_MISSING] = "missing",
	[COMPARE_DUPLICATE] = "duplicate",
	[COMPARE_OUT_OF_ORDER] = "out_of_order",
	[COMPARE_SPLIT_KEY] = "split_key",
	[COMPARE_ALTERED] = "altered",
	[COMPARE_UNKNOWN] = "unknown",
};

static const char *const kind_titles[COMPARE_KINDS] = {
	[COMPARE_MISSING] = "missing",
	[COMPARE_DUPLICATE] = "duplicate",
	[COMPARE_OUT_OF_ORDER] = "out of order",
	[COMPARE_SPLIT_KEY] = "split key",
	[COMPARE_ALTERED] = "altered",
	[COMPARE_UNKNOWN] = "unknown",
};

static const struct {
	unsigned bit;
	const char *name;
} parts[] = {
	{COMPARE_KEY, "key"},
	{COMPARE_PAYLOAD, "payload"},
	{COMPARE_HEADERS, "headers"},
	{COMPARE_TIMESTAMP, "timestamp"},
	{COMPARE_TOPIC, "topic"},
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

/* What is in order, or could not be judged. */
struct note {
	const char *name, *title;
	int64_t count;
};

#define NOTES 8

static void
list_notes(const struct compare_report *c, struct note notes[NOTES])
{
	const struct note all[NOTES] = {
		{"replayed", "messages that were replayed on purpose (header \"replay\")", c->replayed},
		{"unsent", "rows that have not been sent yet", c->unsent},
		{"unsettled", "rows that are in Kafka, and about to be marked as sent", c->unsettled},
		{"recent", "rows sent after the ends of the topics were looked up", c->recent},
		{"aside", "rows that are parked or were skipped", c->aside},
		{"expired_rows", "rows whose messages Kafka may have dropped for their age", c->expired_rows},
		{"expired_messages", "messages whose rows may have been pruned", c->expired_messages},
		{"repeated_ids", "rows with the event id of another row", c->repeated_ids},
	};

	memcpy(notes, all, sizeof(all));
}

struct verifying {
	struct progress progress;
	enum verify_phase phase;
	bool begun;
	FILE *missing;
	int64_t written;
	bool gone; /* a missing event's row went away before its id could be written */
};

static void
on_progress(void *ctx, enum verify_phase phase, int64_t done, int64_t total)
{
	static const char *const units[] = {
		[VERIFY_MESSAGES] = "messages read",
		[VERIFY_ROWS] = "rows read",
		[VERIFY_JUDGE] = "rows and messages compared",
	};
	struct verifying *w = ctx;

	if (!w->begun || phase != w->phase) {
		if (w->begun)
			progress_end(&w->progress);
		w->progress = progress_begin(stderr, "verify", units[phase], total);
		w->phase = phase;
		w->begun = true;
	}
	/* An estimate that was too low. */
	if (total >= 0 && done > total)
		progress_total(&w->progress, done);
	progress_to(&w->progress, done);
}

static void
on_missing(void *ctx, int64_t row_id, const char *event_id)
{
	struct verifying *w = ctx;

	(void)row_id;
	if (event_id == NULL)
		w->gone = true;
	else if (w->missing != NULL) {
		fprintf(w->missing, "%s\n", event_id);
		w->written++;
	}
}

/* --- JSON --- */

static json_t *
altered_json(unsigned altered)
{
	json_t *list = json_array();

	for (size_t i = 0; i < PARTS; i++)
		if ((altered & parts[i].bit) != 0 && json_array_append_new(list, json_string(parts[i].name)) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *
example_json(const struct verify_example *e)
{
	const struct compare_finding *f = &e->finding;
	json_t *o = json_object();

	report_put(&o, "row_id", f->has_row ? json_integer(f->row_id) : json_null());
	report_put(&o, "event_id", report_text(e->event_id));
	report_put(&o, "topic", report_text(e->topic));
	report_put(&o, "partition", f->has_message ? json_integer(e->partition) : json_null());
	report_put(&o, "offset", f->has_message ? json_integer(f->offset) : json_null());
	if (f->kind == COMPARE_ALTERED)
		report_put(&o, "altered", altered_json(f->altered));
	return o;
}

static json_t *
examples_json(const struct verify_report *r)
{
	json_t *all = json_object();

	for (size_t kind = 0; kind < COMPARE_KINDS; kind++) {
		json_t *list = json_array();

		for (size_t i = 0; i < r->examples_count[kind]; i++)
			if (json_array_append_new(list, example_json(&r->examples[kind][i])) != 0) {
				json_decref(list);
				list = NULL;
				break;
			}
		report_put(&all, kind_names[kind], list);
	}
	return all;
}

static json_t *
topics_json(const struct verify_report *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->topics_count; i++)
		if (json_array_append_new(list, json_string(r->topics[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static int
tell_json(const struct outbox *o, const struct verify_report *r, int status)
{
	json_t *root = json_object();
	struct note notes[NOTES];

	report_put(&root, "outbox", report_text(o->layout.relation));
	report_put(&root, "differs", json_boolean(verify_differs(r)));
	report_put(&root, "topics", topics_json(r));
	report_put(&root, "partitions", json_integer((json_int_t)r->partitions));
	report_put(&root, "rows", json_integer(r->found.rows));
	report_put(&root, "messages", json_integer(r->found.messages));
	report_put(&root, "events", json_integer(r->found.events));
	report_put(&root, "keys", json_integer(r->found.keys));
	for (size_t kind = 0; kind < COMPARE_KINDS; kind++)
		report_put(&root, kind_names[kind], json_integer(r->found.counts[kind]));
	list_notes(&r->found, notes);
	for (size_t i = 0; i < NOTES; i++)
		report_put(&root, notes[i].name, json_integer(notes[i].count));
	report_put(&root, "undecided", json_integer(r->found.undecided));
	report_put(&root, "seconds", json_real((double)r->us / 1e6));
	report_put(&root, "examples", examples_json(r));
	return report_print(&root, status);
}

/* --- lines --- */

static void
print_example(const struct verify_example *e)
{
	struct buf line __attribute__((cleanup(buf_done))) = BUF_INIT;
	const struct compare_finding *f = &e->finding;
	const char *comma = "";

	if (f->has_row)
		buf_printf(&line, "row %" PRId64 ", ", f->row_id);
	if (e->event_id != NULL) {
		buf_add_str(&line, "event ");
		table_add_harmless(&line, e->event_id);
		buf_add_str(&line, ", ");
	}
	buf_printf(&line, "topic %s", e->topic);
	if (f->has_message)
		buf_printf(&line, ", partition %" PRId32 ", offset %" PRId64, e->partition, f->offset);
	if (f->altered != 0)
		buf_add_str(&line, ": ");
	for (size_t i = 0; i < PARTS; i++)
		if ((f->altered & parts[i].bit) != 0) {
			buf_printf(&line, "%s%s", comma, parts[i].name);
			comma = ", ";
		}
	printf("  %s\n", buf_str(&line));
}

static void
print_findings(const struct verify_report *r)
{
	for (size_t kind = 0; kind < COMPARE_KINDS; kind++) {
		int64_t count = r->found.counts[kind];

		printf("%-13s %" PRId64 "\n", kind_titles[kind], count);
		for (size_t i = 0; i < r->examples_count[kind] && i < SHOWN; i++)
			print_example(&r->examples[kind][i]);
		if (count > SHOWN)
			printf("  and %" PRId64 " more\n", count - SHOWN);
	}
}

static void
print_notes(const struct verify_report *r)
{
	struct note notes[NOTES];

	list_notes(&r->found, notes);
	for (size_t i = 0; i < NOTES; i++)
		if (notes[i].count > 0)
			printf("%" PRId64 " %s\n", notes[i].count, notes[i].title);
	if (r->absent_topics > 0)
		printf("%zu topic%s not exist\n", r->absent_topics, r->absent_topics == 1 ? " does" : "s do");
	if (r->found.undecided > 0)
		printf("%" PRId64 " rows could not be judged: a transaction of another producer is open in %zu partition%s\n",
		       r->found.undecided, r->open_partitions, r->open_partitions == 1 ? "" : "s");
}

static const char *
plural(int64_t n)
{
	return n == 1 ? "" : "s";
}

static int
tell(const struct verify_report *r, int status)
{
	char took[WORDS_SIZE], rate[WORDS_SIZE];
	double seconds = (double)(r->us > 0 ? r->us : 1) / 1e6;

	printf("%" PRId64 " row%s and %" PRId64 " message%s of %zu topic%s (%zu partitions) compared in %s (%s)\n", r->found.rows,
	       plural(r->found.rows), r->found.messages, plural(r->found.messages), r->topics_count, plural((int64_t)r->topics_count),
	       r->partitions, words_duration(took, r->us), words_rate(rate, (double)r->found.rows / seconds));
	printf("%" PRId64 " event%s of %" PRId64 " key%s are in both\n", r->found.events, plural(r->found.events), r->found.keys,
	       plural(r->found.keys));
	print_findings(r);
	print_notes(r);
	puts(verify_differs(r) ? "Kafka and the database differ" : "nothing differs");
	return verb_finish(status);
}

/* --- the verb --- */

static int
open_missing(const char *name, FILE **ret_file)
{
	*ret_file = name == NULL ? NULL : fopen(name, "we");
	if (name == NULL || *ret_file != NULL)
		return EX_OK;
	return verb_misused(NULL, "--write-missing: could not open \"%s\": %s", name, strerror(errno));
}

static int
close_missing(const char *name, struct verifying *w, int status)
{
	bool bad;

	if (w->missing == NULL)
		return status;
	bad = ferror(w->missing) != 0;
	if (fclose(w->missing) != 0 || bad) {
		fprintf(stderr, "pgoutboxctl: could not write \"%s\": %s\n", name, strerror(errno));
		return EX_IOERR;
	}
	if (w->written > REPLAY_IDS_MAX)
		fprintf(stderr, "hint: \"%s\" has %" PRId64 " ids, and replay takes %d at a time: split -l %d does it\n", name, w->written,
		        REPLAY_IDS_MAX, REPLAY_IDS_MAX);
	if (w->gone)
		fprintf(stderr, "pgoutboxctl: rows of missing events have left the table meanwhile: they are not in \"%s\"\n", name);
	return status;
}

static int
judged(const struct verify_report *r)
{
	if (verify_differs(r))
		return EX_DATAERR;
	return r->found.undecided > 0 ? EX_TEMPFAIL : EX_OK;
}

int
verb_verify(const struct arguments *args, const struct config *cfg)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct verify_report r __attribute__((cleanup(verify_report_done))) = VERIFY_REPORT_INIT;
	struct verifying w = {.begun = false};
	int64_t patience_ms = args->timeout == NULL ? PATIENCE_MS : verb_duration_ms(args->timeout);
	struct verify_request rq = {.topic = args->topic, .since = args->since, .until = args->until, .progress = on_progress, .ctx = &w};
	struct error err;
	int status, rc;

	if (patience_ms < 0 || patience_ms > PATIENCE_MAX_MS)
		return verb_misused("write a whole number and ms, s, m or h, up to 24h", "--timeout: \"%s\" is no such duration", args->timeout);
	rq.patience_ms = (int)patience_ms;
	if (outbox_open(cfg, args->database, &o, &err) != 0)
		return verb_fail(&err);
	status = open_missing(args->write_missing, &w.missing);
	if (status != EX_OK)
		return status;
	rq.missing = w.missing != NULL ? on_missing : NULL;
	rc = verify_run(cfg, &o, &rq, &r, &err);
	if (w.begun)
		progress_end(&w.progress);
	status = rc != 0 ? verb_fail(&err) : judged(&r);
	status = close_missing(args->write_missing, &w, status);
	if (rc != 0)
		return status;
	return args->json ? tell_json(&o, &r, status) : tell(&r, status);
}
