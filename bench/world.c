/* world.c - in: options, rows to write; out: daemons at work, and what they, PostgreSQL and the broker have used. */
#include "bench/world.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bare_run.h"
#include "bench/cpu.h"
#include "bench/say.h"
#include "support/db.h"
#include "support/ports.h"
#include "support/topic.h"

#define TEXT_BLOB_SPARE 4096 /* payloads begin at so many places of one random text */

/* --- SQL --- */

static char *
printed(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));

static char *
printed(const char *fmt, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		say_die("out of memory");
	return text;
}

void
world_exec(struct world *w, const char *fmt, ...)
{
	struct error err;
	va_list args;
	char *sql;

	va_start(args, fmt);
	sql = printed(fmt, args);
	va_end(args);
	say_must(db_exec(w->db, &err, "%s", sql), &err, sql);
	free(sql);
}

int64_t
world_int(struct world *w, const char *fmt, ...)
{
	struct error err;
	int64_t value = 0;
	va_list args;
	char *sql;

	va_start(args, fmt);
	sql = printed(fmt, args);
	va_end(args);
	say_must(db_int(w->db, &value, &err, "%s", sql), &err, sql);
	free(sql);
	return value;
}

/* --- beginning and ending --- */

static const char *
needed(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL || *value == '\0')
		say_die("%s is not set: run it under tests/with-postgres and tests/with-kafka", name);
	return value;
}

/* A program that ends early leaves no directory behind; only one world is there at a time. */
static char dir_to_remove[256];

static void
remove_dir(void)
{
	static const char *const names[] = {"daemon", "counters", "d0.yaml", "d1.yaml", "d2.yaml", "d3.yaml", "d0.log", "d1.log", "d2.log", "d3.log"};
	char path[300];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && dir_to_remove[0] != '\0'; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir_to_remove, names[i]);
		unlink(path);
	}
	if (dir_to_remove[0] != '\0')
		rmdir(dir_to_remove);
	dir_to_remove[0] = '\0';
}

static void
make_dir(struct world *w)
{
	static bool registered;
	const char *tmp = getenv("TMPDIR");

	snprintf(w->dir, sizeof(w->dir), "%s/pgoutbox-bench.XXXXXX", tmp == NULL || *tmp == '\0' ? "/tmp" : tmp);
	if (mkdtemp(w->dir) == NULL)
		say_die("could not make a directory like %s", w->dir);
	snprintf(dir_to_remove, sizeof(dir_to_remove), "%s", w->dir);
	if (!registered)
		atexit(remove_dir);
	registered = true;
}

static void
find_servers(struct world *w)
{
	char path[512];
	FILE *in;
	int pid = 0;

	w->postmaster = cpu_parent(PQbackendPID(w->db));
	snprintf(path, sizeof(path), "%s/node-1/pid", needed("PGOUTBOX_TEST_KAFKA_DIR"));
	in = fopen(path, "re");
	if (in == NULL || fscanf(in, "%d", &pid) != 1)
		say_die("%s does not tell the broker's process", path);
	fclose(in);
	w->broker = pid;
	if (cpu_of_family(w->postmaster) < 0 || cpu_of_family(w->broker) < 0)
		say_die("/proc does not show the processes of PostgreSQL or Kafka");
}

static const char *
program(const char *name)
{
	static char path[512];
	const char *builddir = getenv("builddir");

	snprintf(path, sizeof(path), "%s/%s", builddir == NULL ? "." : builddir, name);
	return path;
}

static void
run_init(struct world *w)
{
	const char *const argv[] = {program("pgoutboxctl"), "-c", world_config(w, 0), "init", "--database", w->super, "--role", w->name,
	    NULL};
	char *output;
	int rc = proc_run(argv, WORLD_LIMIT_MS, &output);

	if (rc != 0)
		say_die("pgoutboxctl init: exit status %d: %s", rc, output);
	free(output);
}

void
world_begin(struct world *w, const struct world_options *opt)
{
	static int number;
	const char *server = needed("PGOUTBOX_TEST_PG");
	PGconn *conn;
	struct error err;

	*w = (struct world){.opt = *opt, .kafka = needed("PGOUTBOX_TEST_KAFKA")};
	snprintf(w->name, sizeof(w->name), "bench_%d_%d", (int)getpid(), ++number);
	make_dir(w);
	conn = db_open(server, &err);
	say_must(conn == NULL ? -1 : 0, &err, "connect");
	say_must(db_exec(conn, &err, "CREATE DATABASE %s", w->name), &err, "CREATE DATABASE");
	say_must(db_exec(conn, &err, "CREATE ROLE %s LOGIN", w->name), &err, "CREATE ROLE");
	db_close(&conn);
	w->super = db_conninfo(server, "dbname", w->name, NULL);
	w->conninfo = db_conninfo(server, "dbname", w->name, "user", w->name, NULL);
	w->db = db_open(w->super, &err);
	say_must(w->db == NULL ? -1 : 0, &err, "connect");
	find_servers(w);
	say_must(topic_create(w->kafka, w->name, WORLD_PARTITIONS, &err), &err, "topic");
	run_init(w);
}

static rd_kafka_t *
client(const struct world *w)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256];
	rd_kafka_t *rk = NULL;

	if (rd_kafka_conf_set(conf, "bootstrap.servers", w->kafka, reason, sizeof(reason)) == RD_KAFKA_CONF_OK)
		rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
	if (rk == NULL)
		say_die("could not make a Kafka client: %s", reason);
	return rk;
}

/* Disks are finite, and runs are many. */
static void
delete_topic(const struct world *w)
{
	rd_kafka_t *rk = client(w);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(w->name);
	rd_kafka_event_t *ev;

	rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
	ev = rd_kafka_queue_poll(queue, 30000);
	if (ev == NULL || rd_kafka_event_error(ev) != RD_KAFKA_RESP_ERR_NO_ERROR)
		say_progress("topic \"%s\" could not be deleted", w->name);
	rd_kafka_event_destroy(ev);
	rd_kafka_DeleteTopic_destroy(topic);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(rk);
}

static void
die_with_log(const struct proc *p, const char *what)
{
	char *log = proc_log_text(p);
	size_t len = strlen(log);

	fprintf(stderr, "%s\n", len > 2000 ? log + len - 2000 : log);
	free(log);
	say_die("%s", what);
}

void
world_end(struct world *w)
{
	PGconn *conn;
	struct error err;

	for (int i = 0; i < w->daemons_count; i++) {
		if (proc_terminate(&w->daemons[i], 60000) != 0)
			die_with_log(&w->daemons[i], "the daemon did not stop in order");
	}
	db_close(&w->db);
	conn = db_open(needed("PGOUTBOX_TEST_PG"), &err);
	say_must(conn == NULL ? -1 : 0, &err, "connect");
	say_must(db_exec(conn, &err, "DROP DATABASE %s WITH (FORCE)", w->name), &err, "DROP DATABASE");
	say_must(db_exec(conn, &err, "DROP ROLE %s", w->name), &err, "DROP ROLE");
	db_close(&conn);
	delete_topic(w);
	bare_forget(w);
	remove_dir();
	free(w->super);
	free(w->conninfo);
	*w = (struct world){.kafka = NULL};
}

/* --- rows --- */

/* As text, what key the i-th event has. A key's events are spread over the whole backlog, as concurrent writers leave them. */
static void
key_expression(const struct world_fill *fill, char *out, size_t size)
{
	switch (fill->kind) {
	case KEYS_SPREAD:
		snprintf(out, size, "'key-' || (i * 7919) %% %" PRId64, fill->keys);
		break;
	case KEYS_ONE:
		snprintf(out, size, "'key-0'");
		break;
	case KEYS_ZIPF: /* rank r comes with a share of 1/r: the inverse of its sum, which is a logarithm */
		snprintf(out, size, "'key-' || floor(%" PRId64 " ^ random())::bigint", fill->keys);
		break;
	}
}

/* Random text, so that neither PostgreSQL nor Kafka makes it smaller than it is. In a jsonb some bytes go around it. */
static void
make_blob(struct world *w, int bytes)
{
	world_exec(w, "CREATE TEMP TABLE bench_blob AS SELECT string_agg(md5(i::text), '') AS text FROM generate_series(1, %d) i",
	           (bytes + TEXT_BLOB_SPARE) / 32 + 1);
}

void
world_fill(struct world *w, const struct world_fill *fill)
{
	char key[128];
	int pad = fill->payload_bytes > 11 ? fill->payload_bytes - 11 : 1; /* {"pad": ""} */

	key_expression(fill, key, sizeof(key));
	make_blob(w, pad);
	if (fill->unknown)
		world_exec(w, "ALTER TABLE outbox_events SET (autovacuum_enabled = false)");
	world_exec(w, "CHECKPOINT");
	world_exec(w,
	           "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, created_at, sent_at)"
	           " SELECT 'account', %s, 'changed', jsonb_build_object('pad', substr(b.text, 1 + (i * 31 %% %d)::int, %d)), %s"
	           " FROM generate_series(1, %" PRId64 "::bigint) i, bench_blob b",
	           key, TEXT_BLOB_SPARE, pad,
	           fill->sent ? "now() - interval '1 minute', now() - interval '30 seconds'" : "now(), NULL", fill->events);
	world_exec(w, "DROP TABLE bench_blob");
	if (!fill->unknown)
		world_exec(w, "ANALYZE outbox_events");
}

void
world_write_out(void)
{
	sync();
}

/* --- daemons --- */

static void
write_properties(FILE *out, const char *properties)
{
	char *text = strdup(properties == NULL ? "" : properties), *rest = NULL;
	const char *comma = "";

	fputs("  properties: {", out);
	for (char *one = strtok_r(text, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(one, '=');

		if (value == NULL)
			say_die("\"%s\" is not NAME=VALUE", one);
		*value++ = '\0';
		fprintf(out, "%s\"%s\": \"%s\"", comma, one, value);
		comma = ", ";
	}
	fputs("}\n", out);
	free(text);
}

/* libpq's conninfo from db_conninfo() holds single quotes and no double ones. */
const char *
world_config(struct world *w, int i)
{
	static char path[300];
	FILE *out;

	snprintf(path, sizeof(path), "%s/d%d.yaml", w->dir, i);
	w->ports[i] = ports_take();
	out = fopen(path, "we");
	if (out == NULL)
		say_die("could not write %s", path);
	fprintf(out, "database:\n  conninfo: \"%s\"\noutbox:\n  settle: %s\n  receipts: %s\n", w->conninfo,
	        w->opt.settle_delete ? "delete" : "mark", w->opt.receipts ? "true" : "false");
	if (w->opt.lanes > 0)
		fprintf(out, "  lanes: %d\n", w->opt.lanes);
	if (w->opt.batch_rows > 0)
		fprintf(out, "  batch_rows: %d\n", w->opt.batch_rows);
	if (w->opt.batch_bytes > 0)
		fprintf(out, "  batch_bytes: %" PRId64 "B\n", w->opt.batch_bytes);
	if (w->opt.notify)
		fprintf(out, "  notify: true\n");
	fprintf(out, "kafka:\n  brokers: \"%s\"\n  topic: \"%s\"\n", w->kafka, w->name);
	write_properties(out, w->opt.properties);
	fprintf(out, "http:\n  listen: \"127.0.0.1:%d\"\n", w->ports[i]);
	if (fclose(out) != 0)
		say_die("could not write %s", path);
	chmod(path, 0600);
	return path;
}

void
world_launch(struct world *w, int daemons)
{
	struct error err;

	if (daemons < 1 || daemons > WORLD_DAEMONS)
		say_die("%d daemons are not 1 to %d", daemons, WORLD_DAEMONS);
	if (w->opt.bare != BARE_NONE) {
		bare_launch(w, program("bench/bare"));
		return;
	}
	for (int i = 0; i < daemons; i++) {
		const char *argv[] = {w->opt.program != NULL ? w->opt.program : program("pgoutboxd"), "-c", world_config(w, i), NULL};
		char log[300];

		snprintf(log, sizeof(log), "%s/d%d.log", w->dir, i);
		say_must(proc_start(&w->daemons[i], log, argv, &err), &err, "start the daemon");
		w->daemons_count = i + 1;
	}
}

void
world_start(struct world *w, int daemons)
{
	int64_t limit_us = clock_mono_us() + 60000000;
	struct world_progress now;

	world_launch(w, daemons);
	do {
		if (clock_mono_us() > limit_us)
			die_with_log(&w->daemons[0], "the daemons do not get their lanes");
		proc_sleep_ms(20);
		now = world_progress(w);
	} while (now.lanes <= 0 || now.lanes_owned < now.lanes || now.serving < daemons);
}

static size_t
take_body(char *data, size_t size, size_t count, void *out)
{
	return fwrite(data, size, count, out);
}

/* NULL as long as nothing answers; malloc'd. */
static char *
read_metrics(struct world *w, int i)
{
	static CURL *curl;
	char url[128], *body = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&body, &len);
	CURLcode code;

	if (!proc_running(&w->daemons[i]))
		die_with_log(&w->daemons[i], "the daemon ended");
	if (curl == NULL)
		curl = curl_easy_init();
	if (curl == NULL || out == NULL)
		say_die("out of memory");
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/metrics", w->ports[i]);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 10000L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
	code = curl_easy_perform(curl);
	fclose(out);
	if (code == CURLE_OK)
		return body;
	free(body);
	return NULL;
}

static double
find_metric(const char *body, const char *name)
{
	size_t len = strlen(name);
	double sum = 0;
	bool found = false;

	for (const char *line = body; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL) {
		const char *value = line + len;

		if (strncmp(line, name, len) != 0 || (*value != ' ' && *value != '{'))
			continue;
		if (*value == '{')
			value = strchr(value, '}') + 1;
		sum += strtod(value, NULL);
		found = true;
	}
	return found ? sum : -1;
}

double
world_metric(struct world *w, int i, const char *name)
{
	char *body = read_metrics(w, i);
	double value = body == NULL ? -1 : find_metric(body, name);

	free(body);
	return value;
}

struct world_progress
world_progress(struct world *w)
{
	struct world_progress sum = {.serving = 0};

	if (w->bare != NULL && !proc_running(&w->daemons[0]))
		die_with_log(&w->daemons[0], "the bare relay ended");
	if (w->bare != NULL)
		return bare_progress(w);
	for (int i = 0; i < w->daemons_count; i++) {
		char *body = read_metrics(w, i);
		double owned;

		if (body == NULL)
			continue;
		owned = find_metric(body, "pgoutbox_lanes_owned");
		sum.sent += find_metric(body, "pgoutbox_events_sent_total");
		sum.claimed_batches += find_metric(body, "pgoutbox_batch_events_count");
		sum.settled_batches += find_metric(body, "pgoutbox_batches_total");
		sum.lanes = find_metric(body, "pgoutbox_lanes");
		sum.lanes_owned += owned > 0 ? owned : 0;
		sum.serving += owned > 0;
		free(body);
	}
	return sum;
}

/* --- what was used --- */

struct world_usage
world_usage(const struct world *w)
{
	struct world_usage u = {
		.mono_us = clock_mono_us(),
		.postgres_us = cpu_of_family(w->postmaster),
		.broker_us = cpu_of_family(w->broker),
	};

	for (int i = 0; i < w->daemons_count; i++) {
		int64_t used_us = cpu_of_family(w->daemons[i].pid);

		if (used_us < 0)
			die_with_log(&w->daemons[i], "the daemon ended");
		u.relay_us += used_us;
	}
	if (u.postgres_us < 0 || u.broker_us < 0)
		say_die("PostgreSQL or the broker ended");
	return u;
}

int64_t
world_peak_bytes(const struct world *w)
{
	int64_t most = 0;

	for (int i = 0; i < w->daemons_count; i++) {
		int64_t bytes = cpu_peak_bytes(w->daemons[i].pid);

		most = bytes > most ? bytes : most;
	}
	return most;
}

/* --- that it was sound --- */

int64_t
world_topic_messages(struct world *w)
{
	rd_kafka_t *rk = client(w);
	int64_t sum = 0, low, high;

	for (int i = 0; i < WORLD_PARTITIONS; i++) {
		rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(rk, w->name, i, &low, &high, 30000);

		if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
			say_die("topic \"%s\": %s", w->name, rd_kafka_err2str(code));
		sum += high - low;
	}
	rd_kafka_destroy(rk);
	return sum;
}

void
world_verify(struct world *w, int64_t events)
{
	int64_t messages = world_topic_messages(w);
	int64_t unsent = world_int(w, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");

	if (unsent != 0)
		say_die("%" PRId64 " of %" PRId64 " events are still unsent in the table", unsent, events);
	if (messages != events)
		say_die("%" PRId64 " events were written, %" PRId64 " messages are in the topic", events, messages);
}
