/* outbox-audit - holds topics against the database and prints the verdict; audit.h says how it is reached. */
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/audit.h"
#include "support/db.h"
#include "support/topic.h"

static const char usage[] =
    "usage: outbox-audit --database CONNINFO --brokers LIST --topic NAME [OPTION]...\n"
    "Reads topics from the beginning and compares them with the outbox table.\n\n"
    "  --topic NAME      may be repeated\n"
    "  --table NAME      outbox table (outbox_events)\n"
    "  --by WHAT         rows: each row is still there; accounts: judge by the writer's accounts (rows)\n"
    "  --expect N        wait for N distinct events (as many as the database holds)\n"
    "  --idle SECONDS    how long to wait for another event (15)\n"
    "  --live            start now and follow; SIGTERM or SIGINT ends the following\n"
    "  --progress FILE   keep \"DISTINCT DUPLICATES\" in FILE while following\n"
    "  --peek N          only show the first N messages\n"
    "  --json            print the report as JSON\n"
    "Exit status: 0 all is well and nothing is there twice, 1 otherwise, 64 wrong usage, 69 no answer.\n";

enum { MAX_TOPICS = 64 };

struct request {
	const char *database, *table;
	struct audit_read read;
	const char *topics[MAX_TOPICS];
	bool by_accounts, live, json;
	int peek;
	FILE *progress;
};

static volatile sig_atomic_t told;

static void
on_signal(int number)
{
	(void)number;
	told = 1;
}

static bool
until_told(void *ctx, int64_t distinct, int64_t messages)
{
	FILE *out = ctx;

	if (out != NULL) {
		rewind(out);
		fprintf(out, "%10lld %10lld\n", (long long)distinct, (long long)(messages - distinct));
		fflush(out);
	}
	return told != 0;
}

static int
expected_events(const struct request *q, int64_t *ret_count, struct error *err)
{
	PGconn *conn __attribute__((cleanup(db_close))) = db_open(q->database, err);

	if (conn == NULL)
		return -1;
	if (q->by_accounts)
		return db_int(conn, ret_count, err, "SELECT sum(events)::int8 FROM accounts");
	return db_int(conn, ret_count, err, "SELECT count(*) FROM %s", q->table);
}

static void
print_table(const struct audit_report *r)
{
	const struct {
		const char *name;
		int64_t value;
	} lines[] = {
	    {"committed in the database", r->committed},
	    {"delivered to Kafka", r->delivered},
	    {"missing", r->missing},
	    {"  of these, marked as sent", r->missing_settled},
	    {"duplicates", r->duplicates},
	    {"in Kafka, yet never committed", r->unknown},
	    {"out of order within a key", r->out_of_order},
	    {"keys in two partitions", r->split_keys},
	    {"altered", r->altered},
	    {"without an id", r->without_id},
	    {"content compared", r->compared},
	    {"keys", r->keys},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		printf("  %-32s %10lld\n", lines[i].name, (long long)lines[i].value);
}

static void
print_json(const struct audit_report *r)
{
	printf("{\"messages\": %lld, \"committed\": %lld, \"delivered\": %lld, \"missing\": %lld,"
	    " \"missing_settled\": %lld, ",
	    (long long)r->messages, (long long)r->committed, (long long)r->delivered, (long long)r->missing,
	    (long long)r->missing_settled);
	printf("\"duplicates\": %lld, \"unknown\": %lld, \"out_of_order\": %lld, \"split_keys\": %lld, \"altered\": %lld, ",
	    (long long)r->duplicates, (long long)r->unknown, (long long)r->out_of_order, (long long)r->split_keys,
	    (long long)r->altered);
	printf("\"without_id\": %lld, \"compared\": %lld, \"keys\": %lld}\n", (long long)r->without_id,
	    (long long)r->compared, (long long)r->keys);
}

static void
print_message(const rd_kafka_message_t *m)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	size_t len;

	printf("  %s[%d]@%lld  key %.*s\n", rd_kafka_topic_name(m->rkt), m->partition, (long long)m->offset,
	    (int)topic_key(m).len, topic_key(m).data == NULL ? "" : topic_key(m).data);
	if (rd_kafka_message_headers(m, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
		fputs("    ", stdout);
		for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
			printf("%s%s: %.*s", i == 0 ? "" : ", ", name, (int)len, value == NULL ? "" : (const char *)value);
		putchar('\n');
	}
	printf("    %.*s\n", (int)topic_value(m).len, topic_value(m).data == NULL ? "" : topic_value(m).data);
}

static int
peek(const struct request *q, struct error *err)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	rd_kafka_message_t *m;

	if (topic_reader_open(q->read.brokers, q->read.topics, q->read.topics_count, 5000, &reader, err) == -1)
		return -1;
	for (int i = 0; i < q->peek && (m = topic_reader_next(reader, 3000)) != NULL; i++) {
		print_message(m);
		rd_kafka_message_destroy(m);
	}
	return 0;
}

static int
audit(const struct request *q, struct audit_report *ret_report, struct error *err)
{
	struct audit *a __attribute__((cleanup(audit_free))) = NULL;
	struct audit_read read = q->read;

	if (audit_new(stderr, &a, err) == -1)
		return -1;
	read.topics = q->topics;
	read.until_told = until_told;
	read.ctx = q->progress;
	if (!q->live && read.expected < 0 && expected_events(q, &read.expected, err) == -1)
		return -1;
	if (audit_consume(a, &read, err) == -1)
		return -1;
	if (q->by_accounts)
		return audit_judge_accounts(a, q->database, ret_report, err);
	return audit_judge_rows(a, q->database, q->table, ret_report, err);
}

enum { OPT_DATABASE, OPT_BROKERS, OPT_TOPIC, OPT_TABLE, OPT_BY, OPT_EXPECT, OPT_IDLE, OPT_LIVE, OPT_PROGRESS, OPT_PEEK,
	OPT_JSON, OPT_HELP };

static const struct option long_options[] = {
    {"database", required_argument, NULL, OPT_DATABASE},
    {"brokers", required_argument, NULL, OPT_BROKERS},
    {"topic", required_argument, NULL, OPT_TOPIC},
    {"table", required_argument, NULL, OPT_TABLE},
    {"by", required_argument, NULL, OPT_BY},
    {"expect", required_argument, NULL, OPT_EXPECT},
    {"idle", required_argument, NULL, OPT_IDLE},
    {"live", no_argument, NULL, OPT_LIVE},
    {"progress", required_argument, NULL, OPT_PROGRESS},
    {"peek", required_argument, NULL, OPT_PEEK},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool
set_option(struct request *q, int which, const char *value)
{
	switch (which) {
	case OPT_DATABASE: q->database = value; return true;
	case OPT_BROKERS: q->read.brokers = value; return true;
	case OPT_TABLE: q->table = value; return true;
	case OPT_EXPECT: q->read.expected = atoll(value); return true;
	case OPT_IDLE: q->read.idle_ms = atoi(value) * 1000; return true;
	case OPT_LIVE: q->live = true; return true;
	case OPT_PEEK: q->peek = atoi(value); return true;
	case OPT_JSON: q->json = true; return true;
	case OPT_PROGRESS: q->progress = fopen(value, "we"); return q->progress != NULL;
	case OPT_BY: q->by_accounts = strcmp(value, "accounts") == 0; return q->by_accounts || strcmp(value, "rows") == 0;
	case OPT_TOPIC:
		if (q->read.topics_count == MAX_TOPICS)
			return false;
		q->topics[q->read.topics_count++] = value;
		return true;
	default: return false;
	}
}

int
main(int argc, char **argv)
{
	struct request q = {.table = "outbox_events", .read = {.expected = -1, .idle_ms = 15000, .appear_ms = 60000}};
	struct audit_report report;
	struct error err;
	int which;

	while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (!set_option(&q, which, optarg)) {
			fputs(usage, which == OPT_HELP ? stdout : stderr);
			return which == OPT_HELP ? 0 : 64;
		}
	}
	q.read.topics = q.topics;
	if ((q.database == NULL && q.peek == 0) || q.read.brokers == NULL || q.read.topics_count == 0 || optind != argc) {
		fputs(usage, stderr);
		return 64;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	if (q.peek > 0 ? peek(&q, &err) == -1 : audit(&q, &report, &err) == -1) {
		fprintf(stderr, "outbox-audit: %s\n", err.message);
		return 69;
	}
	if (q.peek > 0)
		return 0;
	if (q.json)
		print_json(&report);
	else
		print_table(&report);
	return audit_sound(&report) && report.duplicates == 0 ? 0 : 1;
}
