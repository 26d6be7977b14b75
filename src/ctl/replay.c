/* replay.c - the verb that offers sent events once more. In: arguments, perhaps a file of event ids; out: lines or JSON, an
 * exit status. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "admin/outbox.h"
#include "admin/replay.h"
#include "ctl/progress.h"
#include "ctl/report.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "ctl/words.h"

#define EVENT_IDS_MAX 10000
#define MARK_SIZE 64
#define MARK_MAX 200 /* bytes of an operator's own */
#define IDS_HINT "name the ids of rows (17, or 20-40), or choose by --event-ids, --since, --until, --key or --topic"

struct selection {
	struct replay_choice choice;
	struct replay_range *ranges;
	int64_t asked; /* rows that were named one by one; 0 where ranges were */
	char **event_ids;
	size_t event_ids_count;
};

static void
selection_done(struct selection *s)
{
	for (size_t i = 0; i < s->event_ids_count; i++)
		free(s->event_ids[i]);
	free(s->event_ids);
	free(s->ranges);
}

static int
out_of_memory(void)
{
	struct error err;

	error_set(&err, ERR_RETRY, "out of memory");
	return verb_fail(&err);
}

/* --- rows by their ids --- */

static bool
parse_range(const char *text, struct replay_range *ret_range)
{
	char *end;

	errno = 0;
	ret_range->from = ret_range->to = strtoll(text, &end, 10);
	if (end == text || errno != 0)
		return false;
	if (*end == '-') {
		text = end + 1;
		ret_range->to = strtoll(text, &end, 10);
		if (end == text || errno != 0)
			return false;
	}
	return *end == '\0' && ret_range->from <= ret_range->to;
}

static int
compare(const void *a, const void *b)
{
	const struct replay_range *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* Ascending, without overlap; how many ids were named, 0 where any was a range. */
static void
merge(struct selection *s, size_t count)
{
	bool singles = true;
	size_t n = 0;

	qsort(s->ranges, count, sizeof(*s->ranges), compare);
	for (size_t i = 0; i < count; i++) {
		singles = singles && s->ranges[i].from == s->ranges[i].to;
		if (n > 0 && s->ranges[i].from <= s->ranges[n - 1].to) {
			if (s->ranges[i].to > s->ranges[n - 1].to)
				s->ranges[n - 1].to = s->ranges[i].to;
		} else
			s->ranges[n++] = s->ranges[i];
	}
	s->choice.ranges = s->ranges;
	s->choice.ranges_count = n;
	s->asked = singles ? (int64_t)n : 0;
}

static int
read_ranges(const struct arguments *args, struct selection *s)
{
	if (args->operands_count == 0)
		return EX_OK;
	s->ranges = calloc((size_t)args->operands_count, sizeof(*s->ranges));
	if (s->ranges == NULL)
		return out_of_memory();
	for (int i = 0; i < args->operands_count; i++)
		if (!parse_range(args->operands[i], &s->ranges[i]))
			return verb_misused(IDS_HINT, "replay: \"%s\" is neither an id nor a range of ids", args->operands[i]);
	merge(s, (size_t)args->operands_count);
	return EX_OK;
}

/* --- events by their own ids --- */

static int
add_event_id(struct selection *s, char *line)
{
	size_t len = strcspn(line, "\r\n");

	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	line[len] = '\0';
	line += strspn(line, " \t");
	if (*line == '\0')
		return EX_OK;
	if (s->event_ids_count == EVENT_IDS_MAX)
		return verb_misused("split the file", "--event-ids: more than %d ids", EVENT_IDS_MAX);
	s->event_ids[s->event_ids_count] = strdup(line);
	if (s->event_ids[s->event_ids_count] == NULL)
		return out_of_memory();
	s->event_ids_count++;
	return EX_OK;
}

static int
read_lines(FILE *f, const char *name, struct selection *s)
{
	char *line = NULL;
	size_t size = 0;
	int status = EX_OK;

	while (status == EX_OK && getline(&line, &size, f) >= 0)
		status = add_event_id(s, line);
	free(line);
	if (status == EX_OK && ferror(f))
		return verb_misused(NULL, "--event-ids: could not read \"%s\": %s", name, strerror(errno));
	if (status == EX_OK && s->event_ids_count == 0)
		return verb_misused("it holds one id a line, as consumers know them by the header \"id\"",
		                    "--event-ids: there is no id in \"%s\"", name);
	s->choice.event_ids = (const char *const *)s->event_ids;
	s->choice.event_ids_count = s->event_ids_count;
	return status;
}

static int
read_event_ids(const char *name, struct selection *s)
{
	FILE *f;
	int status;

	if (name == NULL)
		return EX_OK;
	s->event_ids = calloc(EVENT_IDS_MAX, sizeof(*s->event_ids));
	if (s->event_ids == NULL)
		return out_of_memory();
	if (strcmp(name, "-") == 0)
		return read_lines(stdin, "-", s);
	f = fopen(name, "re");
	if (f == NULL)
		return verb_misused(NULL, "--event-ids: could not open \"%s\": %s", name, strerror(errno));
	status = read_lines(f, name, s);
	fclose(f);
	return status;
}

/* EX_OK, or how it ends. */
static int
read_selection(const struct arguments *args, struct selection *s)
{
	int status = read_ranges(args, s);

	s->choice.key = args->key;
	s->choice.topic = args->topic;
	s->choice.since = args->since;
	s->choice.until = args->until;
	if (status != EX_OK)
		return status;
	if (args->operands_count == 0 && args->event_ids == NULL && args->key == NULL && args->topic == NULL &&
	    args->since == NULL && args->until == NULL)
		return verb_misused(IDS_HINT, "replay: nothing says which events");
	if (args->no_header && args->replay_id != NULL)
		return verb_misused(NULL, "replay: --replay-id is what --no-header leaves out");
	if (args->replay_id != NULL && (args->replay_id[0] == '\0' || strlen(args->replay_id) > MARK_MAX))
		return verb_misused(NULL, "--replay-id: it has 1 to %d bytes", MARK_MAX);
	return read_event_ids(args->event_ids, s);
}

/* The second that it was begun in tells replays apart well enough for people, who may name them otherwise. */
static const char *
mark_of(const struct arguments *args, char text[MARK_SIZE])
{
	struct tm tm;
	time_t now = time(NULL);

	if (args->no_header)
		return NULL;
	if (args->replay_id != NULL)
		return args->replay_id;
	if (gmtime_r(&now, &tm) == NULL || strftime(text, MARK_SIZE, "%Y%m%dT%H%M%SZ", &tm) == 0)
		snprintf(text, MARK_SIZE, "%lld", (long long)now);
	return text;
}

/* --- what is said --- */

static json_t *
time_json(int64_t us)
{
	char text[WORDS_SIZE];

	return us == 0 ? json_null() : json_string(words_time(text, us));
}

static json_t *
topics_json(const struct replay_report *r)
{
	json_t *topics = json_array();

	for (size_t i = 0; i < r->topics_count; i++) {
		json_t *topic = json_object();

		report_put(&topic, "topic", report_text(r->topics[i].name));
		report_put(&topic, "events", json_integer(r->topics[i].count));
		report_put(&topic, "oldest_created_at", time_json(r->topics[i].oldest_us));
		report_put(&topic, "newest_created_at", time_json(r->topics[i].newest_us));
		if (json_array_append_new(topics, topic) != 0) {
			json_decref(topics);
			return NULL;
		}
	}
	return topics;
}

/* How many of the events that were named are not in the table; -1: none was named. */
static int64_t
missing(const struct selection *s, const struct replay_report *r)
{
	int64_t asked = s->choice.event_ids != NULL ? (int64_t)s->event_ids_count : s->asked;
	int64_t found = s->choice.event_ids != NULL ? r->count + r->unsent + r->parked : r->looked;

	if (asked == 0)
		return -1;
	return asked > found ? asked - found : 0;
}

static int
tell_json(const struct outbox *o, const struct selection *s, const struct replay_report *r, const char *mark, bool dry,
          int status)
{
	json_t *root = json_object();

	report_put(&root, "outbox", report_text(o->layout.relation));
	report_put(&root, dry ? "would_replay" : "replayed", json_integer(r->count));
	report_put(&root, "replay_id", dry ? json_null() : report_text(mark));
	report_put(&root, "topics", topics_json(r));
	report_put(&root, "unsent", json_integer(r->unsent));
	report_put(&root, "parked", json_integer(r->parked));
	report_put(&root, "missing", missing(s, r) < 0 ? json_null() : json_integer(missing(s, r)));
	return report_print(&root, status);
}

static int
print_topics(const struct replay_report *r)
{
	static const char *const titles[] = {"EVENTS", "OLDEST", "NEWEST", "TOPIC"};
	struct table t __attribute__((cleanup(table_done))) = TABLE_INIT(titles);

	for (size_t i = 0; i < r->topics_count; i++) {
		const struct replay_topic *topic = &r->topics[i];
		char count[32], oldest[WORDS_SIZE], newest[WORDS_SIZE];
		const char *cells[] = {count, NULL, NULL, topic->name};

		snprintf(count, sizeof(count), "%" PRId64, topic->count);
		if (topic->oldest_us != 0) {
			cells[1] = words_time(oldest, topic->oldest_us);
			cells[2] = words_time(newest, topic->newest_us);
		}
		table_add(&t, cells);
	}
	return table_print(&t, stdout);
}

static const char *
plural(int64_t n)
{
	return n == 1 ? "" : "s";
}

static int
tell(const struct selection *s, const struct replay_report *r, const char *mark, bool dry, int status)
{
	int64_t gone = missing(s, r);

	if (r->count > 0 && print_topics(r) != 0)
		return out_of_memory();
	if (dry)
		printf("%" PRId64 " event%s would be offered again\n", r->count, plural(r->count));
	else {
		printf("%" PRId64 " event%s unsent again", r->count, plural(r->count));
		if (mark != NULL && r->count > 0)
			printf(", with the header " REPLAY_HEADER ": %s", mark);
		putchar('\n');
	}
	if (r->unsent > 0)
		printf("%" PRId64 " more %s not been sent yet\n", r->unsent, r->unsent == 1 ? "has" : "have");
	if (r->parked > 0)
		printf("%" PRId64 " more left alone: events of their keys are parked\n", r->parked);
	if (gone > 0)
		printf("%" PRId64 " that %s named %s not in the table\n", gone, gone == 1 ? "was" : "were", gone == 1 ? "is" : "are");
	if (!dry && r->count > 0)
		puts("a relay sends them within seconds; later events of their keys went out before");
	return verb_finish(status);
}

static void
on_progress(void *ctx, const struct replay_report *so_far)
{
	progress_to(ctx, so_far->looked);
}

/* --- the verb --- */

static int
run(const struct outbox *o, struct replay_request *rq, struct replay_report *r, struct error *err)
{
	struct progress p = progress_begin(stderr, rq->dry ? "look" : "replay", "rows looked at", PROGRESS_UNKNOWN);
	int rc;

	rq->ctx = &p;
	rc = replay_run(o->target.conn, &o->layout, rq, r, err);
	progress_end(&p);
	return rc;
}

/* What would be done, and whether it may be: one event may be offered again without a question. EX_OK, or how it ends. */
static int
preview(const struct arguments *args, const struct outbox *o, const struct selection *s, struct replay_request *rq)
{
	struct replay_report r __attribute__((cleanup(replay_report_done))) = REPLAY_REPORT_INIT;
	struct error err;
	int status;

	rq->dry = true;
	if (run(o, rq, &r, &err) != 0)
		return verb_fail(&err);
	rq->dry = false;
	if (!args->dry_run && r.count == 1)
		return EX_OK;
	status = args->dry_run || r.count == 0 ? EX_OK : EX_USAGE;
	if (args->json)
		status = tell_json(o, s, &r, NULL, true, status);
	else
		status = tell(s, &r, NULL, true, status);
	if (status == EX_USAGE)
		return verb_misused("consumers that do not recognise events by their header \"id\" handle them twice; --yes does it",
		                    "nothing was done: --yes is missing");
	return status == EX_OK ? -1 : status;
}

int
verb_replay(const struct arguments *args, const struct config *cfg)
{
	struct outbox o __attribute__((cleanup(outbox_close))) = OUTBOX_INIT;
	struct selection s __attribute__((cleanup(selection_done))) = {.ranges = NULL};
	struct replay_report done __attribute__((cleanup(replay_report_done))) = REPLAY_REPORT_INIT;
	char text[MARK_SIZE];
	struct replay_request rq = {.choice = &s.choice, .topic_template = cfg->kafka.topic, .header = mark_of(args, text),
	                            .progress = on_progress};
	struct error err;
	int status = read_selection(args, &s);

	if (status != EX_OK)
		return status;
	if (outbox_open(cfg, args->database, &o, &err) != 0 ||
	    replay_check(o.target.conn, &o.layout, cfg->outbox.settle == SETTLE_DELETE, &rq, &err) != 0)
		return verb_fail(&err);
	if (args->dry_run || !args->yes)
		status = preview(args, &o, &s, &rq);
	if (status != EX_OK)
		return status < 0 ? EX_OK : status;
	if (run(&o, &rq, &done, &err) != 0) {
		if (done.count > 0)
			fprintf(stderr, "%" PRId64 " events were made unsent before this:\n", done.count);
		return verb_fail(&err);
	}
	return args->json ? tell_json(&o, &s, &done, rq.header, false, EX_OK) : tell(&s, &done, rq.header, false, EX_OK);
}
