/* stage.c - what a run of chaos takes place on. Does no harm: faults.c does. */
#include "chaos/stage.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/db.h"
#include "support/servers.h"
#include "support/tap.h"
#include "support/topic.h"

enum { PARTITIONS = 4, WRITERS = 3, RECONNECT_MS = 300000, READY_MS = 90000, STOP_MS = 40000 };

/* The writers outlive a test that fails. */
static struct load loads[LOADS];
static _Atomic int64_t written[LOADS];

void
stage_note(struct stage *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(s->journal, "%9.3f ", s->start_us == 0 ? 0.0 : (double)(clock_mono_us() - s->start_us) / 1e6);
	vfprintf(s->journal, fmt, args);
	fputc('\n', s->journal);
	fflush(s->journal);
	va_end(args);
}

static char *
printed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *
printed(const char *fmt, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		abort();
	va_end(args);
	return text;
}

/* ---- beginning ---- */

static bool
servers_fit(const struct stage_options *opt)
{
	char path[512];

	if (!servers_ours())
		return false;
	snprintf(path, sizeof(path), "%s/node-%d/door-RELAY%d", getenv("PGOUTBOX_TEST_KAFKA_DIR"), opt->nodes, opt->relays);
	if (servers_kafka_nodes() == opt->nodes && access(path, R_OK) == 0)
		return true;
	tap_skip("needs with-kafka -n %d -l RELAY1:PLAINTEXT:proxied -l RELAY2:PLAINTEXT:proxied", opt->nodes);
	return false;
}

static int
read_port(int node, const char *name)
{
	char path[512];
	FILE *in;
	int port = 0;

	snprintf(path, sizeof(path), "%s/node-%d/%s", getenv("PGOUTBOX_TEST_KAFKA_DIR"), node, name);
	in = fopen(path, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(in);
	CU_ASSERT_FATAL(fscanf(in, "%d", &port) == 1);
	fclose(in);
	return port;
}

/* Its own way to PostgreSQL, and one to each broker, which the broker tells it by a listener of this relay's own. */
static void
open_ways(struct stage *s, int i)
{
	struct relay_place *r = &s->relays[i];
	struct error err;

	ENV_MUST(proxy_new("127.0.0.1", atoi(getenv("PGOUTBOX_TEST_PGPORT")), &r->postgres, &err), &err);
	for (int node = 1; node <= s->opt.nodes; node++) {
		char port[32], door[32];

		snprintf(port, sizeof(port), "port-RELAY%d", i + 1);
		snprintf(door, sizeof(door), "door-RELAY%d", i + 1);
		ENV_MUST(proxy_listen_on(read_port(node, door), "127.0.0.1", read_port(node, port), &r->kafka[node - 1], &err), &err);
	}
}

static char *
broker_list(const struct stage *s, int i)
{
	char *list = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&list, &len);

	for (int node = 0; node < s->opt.nodes; node++)
		fprintf(out, "%s127.0.0.1:%d", node == 0 ? "" : ",", proxy_port(s->relays[i].kafka[node]));
	fclose(out);
	return list;
}

static void
configure(struct stage *s, int i)
{
	const struct stage_options *opt = &s->opt;
	struct relay_place *r = &s->relays[i];
	char port[16];

	snprintf(port, sizeof(port), "%d", proxy_port(r->postgres));
	r->config = (struct env_config){
	    .conninfo = db_conninfo(s->env.conninfo, "host", "127.0.0.1", "port", port, NULL),
	    .database_lines = "  session_timeout: 3s\n  connect_timeout: 3s\n  statement_timeout: 5s\n",
	    .outbox_lines = printed("  lanes: %d\n  batch_rows: %d\n  settle: %s\n  hold_max: 500ms\n  stop_timeout: 5s\n",
	                            opt->lanes, opt->batch_rows, opt->settle_delete ? "delete" : "mark"),
	    .brokers = broker_list(s, i),
	};
}

static void
make_topics(struct stage *s)
{
	static const char *const names[LOADS] = {"account", "solo"};
	int copies = s->opt.nodes < 3 ? s->opt.nodes : 3;
	struct error err;

	for (int i = 0; i < LOADS; i++) {
		s->topics[i] = printed("%s.%s", s->env.name, names[i]);
		ENV_MUST(topic_create_copies(s->env.kafka, s->topics[i], PARTITIONS, i == 0 ? copies : 1, &err), &err);
	}
}

bool
stage_begin(struct stage *s, const struct stage_options *opt)
{
	char *path;

	*s = (struct stage){.opt = *opt};
	if (!servers_fit(opt) || !env_begin(&s->env))
		return false;
	path = printed("%s/journal", opt->keep);
	s->journal = fopen(path, "we");
	free(path);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s->journal);
	make_topics(s);
	for (int i = 0; i < opt->relays; i++) {
		open_ways(s, i);
		configure(s, i);
	}
	env_init(&s->env, &s->relays[0].config);
	/* What was committed without waiting for its flush stays unflushed for longer. */
	env_exec(&s->env, "ALTER SYSTEM SET wal_writer_delay = '2s'");
	env_exec(&s->env, "SELECT pg_reload_conf()");
	for (int i = 0; i < opt->relays; i++)
		stage_relay_start(s, i);
	for (int i = 0; i < opt->relays; i++)
		env_daemon_ready(&s->env, i, READY_MS);
	return true;
}

void
stage_relay_start(struct stage *s, int i)
{
	env_daemon_start(&s->env, i, &s->relays[i].config);
	s->relays[i].away = false;
}

/* ---- writers ---- */

static void
take_progress(void *ctx, const struct writer_counts *counts)
{
	atomic_store((_Atomic int64_t *)ctx, counts->committed);
}

int64_t
stage_written(const struct stage *s)
{
	int64_t sum = 0;

	(void)s;
	for (int i = 0; i < LOADS; i++)
		sum += atomic_load(&written[i]);
	return sum;
}

/* One waits for the flush of its commits and the other does not, unless all are wanted to be of one kind. */
void
stage_start_writers(struct stage *s)
{
	static const char *const types[LOADS] = {"account", "solo"};

	s->start_us = clock_mono_us();
	for (int i = 0; i < LOADS; i++) {
		bool async = s->opt.commits == COMMITS_ASYNC || (s->opt.commits == COMMITS_MIXED && i == 1);

		loads[i].opt = WRITER_DEFAULTS;
		loads[i].opt.conninfo =
		    db_conninfo(s->env.super, "options", async ? "-c synchronous_commit=off" : "-c synchronous_commit=on", NULL);
		loads[i].opt.aggregate_type = types[i];
		loads[i].opt.writers = WRITERS;
		loads[i].opt.keys = s->opt.keys;
		loads[i].opt.events = (int64_t)(s->opt.rate / LOADS * (double)s->opt.seconds) + 1;
		loads[i].opt.events_per_second = s->opt.rate / LOADS;
		loads[i].opt.seed = s->opt.seed * LOADS + (uint64_t)i;
		loads[i].opt.reconnect_ms = RECONNECT_MS;
		loads[i].opt.rollback_share = 0.1;
		loads[i].opt.dawdle_share = 0.02;
		loads[i].opt.progress = take_progress;
		loads[i].opt.ctx = &written[i];
		load_start(&loads[i]);
	}
}

/* ---- relays ---- */

void
stage_look_after_relays(struct stage *s)
{
	for (int i = 0; i < s->opt.relays; i++) {
		if (s->relays[i].away || proc_running(&s->env.daemons[i]))
			continue;
		s->relays[i].bad_ends++;
		stage_note(s, "RELAY %d ENDED BY ITSELF, status %#x", i, (unsigned int)s->env.daemons[i].status);
		stage_relay_start(s, i);
	}
}

void
stage_stop_relays(struct stage *s)
{
	for (int i = 0; i < s->opt.relays; i++) {
		int rc = proc_terminate(&s->env.daemons[i], STOP_MS);

		if (rc != 0)
			stage_note(s, "RELAY %d ended with %d at the last stop", i, rc);
		s->relays[i].away = true;
		s->relays[i].bad_ends += rc != 0;
	}
}

int64_t
stage_log_count(const struct stage *s, const char *id)
{
	char *mark = printed(" id=%s ", id);
	int64_t count = 0;

	for (int i = 0; i < s->opt.relays; i++) {
		char *text = proc_log_text(&s->env.daemons[i]);

		for (char *at = strstr(text, mark); at != NULL; at = strstr(at + 1, mark))
			count++;
		free(text);
	}
	free(mark);
	return count;
}

/* ---- the end ---- */

void
stage_calm_down(struct stage *s)
{
	for (int i = 0; i < s->opt.relays; i++) {
		proxy_set_mode(s->relays[i].postgres, PROXY_PASS);
		for (int node = 0; node < s->opt.nodes; node++)
			proxy_set_mode(s->relays[i].kafka[node], PROXY_PASS);
	}
	servers_kafka("start");
	stage_note(s, "calm; the writers come to their end");
	for (int i = 0; i < LOADS; i++) {
		load_join(&loads[i]);
		atomic_store(&written[i], loads[i].counts.committed);
		free((char *)(uintptr_t)loads[i].opt.conninfo);
	}
}

int64_t
stage_drain(struct stage *s, int stuck_ms, int timeout_ms)
{
	int64_t start_us = clock_mono_us(), moved_us = start_us, left = -1, before;
	PGconn *conn __attribute__((cleanup(db_close))) = NULL;
	struct error err;

	conn = db_open(s->env.super, &err);
	env_must(conn == NULL ? -1 : 0, &err, "connect");
	do {
		proc_sleep_ms(100);
		stage_look_after_relays(s);
		before = left;
		ENV_MUST(db_int(conn, &left, &err, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"), &err);
		if (left != before)
			moved_us = clock_mono_us();
	} while (left > 0 && clock_mono_us() - moved_us < (int64_t)stuck_ms * 1000 &&
	         clock_mono_us() - start_us < (int64_t)timeout_ms * 1000);
	stage_note(s, "drained: %lld left", (long long)left);
	return left;
}

static void
keep(const struct stage *s, const char *path, const char *name)
{
	char *target = printed("%s/%s", s->opt.keep, name), *output;
	const char *const argv[] = {"cp", "--", path, target, NULL};

	(void)proc_run(argv, 10000, &output);
	free(output);
	free(target);
}

void
stage_keep_logs(const struct stage *s)
{
	char path[600], name[64];

	for (int i = 0; i < s->opt.relays; i++) {
		snprintf(name, sizeof(name), "relay-%d.log", i);
		keep(s, s->env.daemons[i].log, name);
	}
	for (int node = 1; node <= s->opt.nodes; node++) {
		snprintf(path, sizeof(path), "%s/node-%d/server.log", getenv("PGOUTBOX_TEST_KAFKA_DIR"), node);
		snprintf(name, sizeof(name), "broker-%d.log", node);
		keep(s, path, name);
	}
	snprintf(path, sizeof(path), "%s/log", getenv("PGOUTBOX_TEST_PGSTATE"));
	keep(s, path, "postgresql.log");
}

void
stage_end(struct stage *s)
{
	if (s->journal == NULL)
		return;
	fclose(s->journal);
	env_end(&s->env);
	for (int i = 0; i < s->opt.relays; i++) {
		proxy_close(&s->relays[i].postgres);
		for (int node = 0; node < s->opt.nodes; node++)
			proxy_close(&s->relays[i].kafka[node]);
		free((char *)(uintptr_t)s->relays[i].config.conninfo);
		free((char *)(uintptr_t)s->relays[i].config.outbox_lines);
		free((char *)(uintptr_t)s->relays[i].config.brokers);
	}
	for (int i = 0; i < LOADS; i++)
		free((char *)(uintptr_t)s->topics[i]);
	s->journal = NULL;
}
