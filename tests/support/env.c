/* env.c - the surroundings of one end-to-end test. Knows the daemon from outside only. */
#include "support/env.h"

#include <CUnit/CUnit.h>
#include <curl/curl.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/db.h"
#include "support/ports.h"
#include "support/tap.h"
#include "support/topic.h"

void
env_must(int rc, const struct error *err, const char *what)
{
	if (rc != -1)
		return;
	tap_diag("%s: %s%s%s", what, err->message, err->hint[0] == '\0' ? "" : "; hint: ", err->hint);
	CU_FAIL_FATAL("the surroundings failed");
}

/* Texts that tests may hold on to until env_end(). */
static struct text {
	struct text *next;
	char bytes[];
} *texts;

static char *
kept(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *
kept(const char *fmt, ...)
{
	struct text *text;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	text = len < 0 ? NULL : malloc(sizeof(*text) + (size_t)len + 1);
	if (text == NULL)
		abort();
	va_start(args, fmt);
	vsnprintf(text->bytes, (size_t)len + 1, fmt, args);
	va_end(args);
	text->next = texts;
	texts = text;
	return text->bytes;
}

static void
drop_texts(void)
{
	while (texts != NULL) {
		struct text *next = texts->next;

		free(texts);
		texts = next;
	}
}

const char *
env_program(const char *name)
{
	const char *builddir = getenv("builddir");

	return kept("%s/%s", builddir == NULL ? "." : builddir, name);
}

static void
own_names(struct env *env)
{
	static int number;

	snprintf(env->name, sizeof(env->name), "e2e_%d_%d", (int)getpid(), ++number);
	snprintf(env->dir, sizeof(env->dir), "/tmp/pgoutbox-e2e.XXXXXX");
	if (mkdtemp(env->dir) == NULL)
		CU_FAIL_FATAL("mkdtemp");
}

bool
env_begin(struct env *env)
{
	const char *super = getenv("PGOUTBOX_TEST_PG");
	PGconn *conn __attribute__((cleanup(db_close))) = NULL;
	struct error err;

	*env = (struct env){.kafka = getenv("PGOUTBOX_TEST_KAFKA")};
	if (super == NULL || env->kafka == NULL) {
		tap_skip("PGOUTBOX_TEST_PG and PGOUTBOX_TEST_KAFKA say where the servers are; they are not set");
		return false;
	}
	own_names(env);
	conn = db_open(super, &err);
	env_must(conn == NULL ? -1 : 0, &err, "connect");
	ENV_MUST(db_exec(conn, &err, "CREATE DATABASE %s", env->name), &err);
	ENV_MUST(db_exec(conn, &err, "CREATE ROLE %s LOGIN", env->name), &err);
	env->super = db_conninfo(super, "dbname", env->name, NULL);
	env->conninfo = db_conninfo(super, "dbname", env->name, "user", env->name, NULL);
	env->db = db_open(env->super, &err);
	env_must(env->db == NULL ? -1 : 0, &err, "connect");
	return true;
}

static void
remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(path);
}

/* The daemons' logs matter once a test has failed; make check keeps what a test prints. */
static void
show_logs(const struct env *env)
{
	for (int i = 0; i < ENV_DAEMONS; i++) {
		char *text = env->daemons[i].log[0] == '\0' ? NULL : proc_log_text(&env->daemons[i]), *line, *rest;
		size_t len = text == NULL ? 0 : strlen(text);

		if (len > 0)
			tap_diag("daemon %d said last:", i);
		line = len == 0 ? NULL : strtok_r(len > 4000 ? text + len - 4000 : text, "\n", &rest);
		for (; line != NULL; line = strtok_r(NULL, "\n", &rest))
			tap_diag("%s", line);
		free(text);
	}
}

void
env_end(struct env *env)
{
	PGconn *conn __attribute__((cleanup(db_close))) = NULL;
	struct error err;

	if (env->name[0] == '\0')
		return;
	if (CU_get_number_of_failures() > 0)
		show_logs(env);
	for (int i = 0; i < ENV_DAEMONS; i++)
		proc_kill(&env->daemons[i]);
	db_close(&env->db);
	conn = db_open(getenv("PGOUTBOX_TEST_PG"), &err);
	if (conn == NULL || db_exec(conn, &err, "DROP DATABASE IF EXISTS %s WITH (FORCE)", env->name) == -1 ||
	    db_exec(conn, &err, "DROP ROLE IF EXISTS %s", env->name) == -1)
		tap_diag("%s", err.message);
	remove_dir(env->dir);
	drop_texts();
	free(env->super);
	free(env->conninfo);
	*env = (struct env){.kafka = NULL};
}

static const char *
or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

static const char *
quoted(const char *text)
{
	char *out = kept("%*s", (int)strlen(text) * 2 + 3, ""), *p = out;

	*p++ = '"';
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			*p++ = '\\';
		*p++ = *text;
	}
	*p++ = '"';
	*p = '\0';
	return out;
}

const char *
env_write_config(struct env *env, const char *name, int http_port, const struct env_config *cfg)
{
	char *path = kept("%s/%s.yaml", env->dir, name);
	FILE *out = fopen(path, "we");

	if (out == NULL)
		CU_FAIL_FATAL("could not write a configuration file");
	fprintf(out, "database:\n  conninfo: %s\n%s", quoted(cfg->conninfo == NULL ? env->conninfo : cfg->conninfo),
	    or_empty(cfg->database_lines));
	if (cfg->outbox_lines != NULL)
		fprintf(out, "outbox:\n%s", cfg->outbox_lines);
	fprintf(out, "kafka:\n  brokers: \"%s\"\n", cfg->brokers == NULL ? env->kafka : cfg->brokers);
	if (cfg->topic == NULL)
		fprintf(out, "  topic: \"%s.${aggregate_type}\"\n", env->name);
	else
		fprintf(out, "  topic: %s\n", quoted(cfg->topic));
	fputs(or_empty(cfg->kafka_lines), out);
	fprintf(out, "http:\n  listen: \"127.0.0.1:%d\"\n%s", http_port, or_empty(cfg->http_lines));
	fclose(out);
	chmod(path, 0600);
	return path;
}

void
env_init(struct env *env, const struct env_config *cfg)
{
	const char *path = env_write_config(env, "init", ports_take(), cfg);
	char *output;
	const char *const argv[] = {env_program("pgoutboxctl"), "-c", path, "init", "--database", env->super, "--role",
	    env->name, NULL};
	int rc = proc_run(argv, 120000, &output);

	if (rc != 0)
		tap_diag("pgoutboxctl init: %s", output);
	free(output);
	TAP_INT_FATAL(rc, 0);
}

void
env_daemon_start(struct env *env, int i, const struct env_config *cfg)
{
	char name[16];
	const char *argv[] = {env_program(cfg->program == NULL ? "pgoutboxd" : cfg->program), "-c", NULL, NULL};
	struct error err;

	snprintf(name, sizeof(name), "daemon-%d", i);
	env->ports[i] = ports_take();
	argv[2] = env_write_config(env, name, env->ports[i], cfg);
	ENV_MUST(proc_start(&env->daemons[i], kept("%s/%s.log", env->dir, name), argv, &err), &err);
}

void
env_daemon_ready(struct env *env, int i, int timeout_ms)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;

	for (;;) {
		char *body;
		int status = env_get(env, i, "/readyz", &body);

		if (status == 200) {
			free(body);
			return;
		}
		if (!proc_running(&env->daemons[i]) || clock_mono_us() > deadline_us) {
			tap_diag("daemon %d is not ready: %d %s", i, status, body);
			free(body);
			CU_FAIL_FATAL("the daemon did not become ready");
		}
		free(body);
		proc_sleep_ms(20);
	}
}

void
env_daemon_stop(struct env *env, int i)
{
	TAP_INT(proc_terminate(&env->daemons[i], 40000), 0);
}

void
env_daemon_refuses(struct env *env, const struct env_config *cfg, int status, const char *text, const char *hint)
{
	const char *path = env_write_config(env, "refused", ports_take(), cfg);
	char *output;
	const char *const argv[] = {env_program("pgoutboxd"), "-c", path, NULL};
	int rc = proc_run(argv, 60000, &output);

	TAP_INT(rc, status);
	TAP_HAS(output, text);
	TAP_HAS(output, hint);
	free(output);
}

static size_t
take_body(char *data, size_t size, size_t count, void *out)
{
	return fwrite(data, size, count, out);
}

int
env_get(const struct env *env, int i, const char *path, char **ret_body)
{
	CURL *curl = curl_easy_init();
	size_t len = 0;
	FILE *out = open_memstream(ret_body, &len);
	char url[256];
	long status = 0;

	if (curl == NULL || out == NULL)
		abort();
	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", env->ports[i], path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 20000L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	fclose(out);
	return (int)status;
}

double
env_metric(const struct env *env, int i, const char *name)
{
	char *body, *line, *rest;
	size_t len = strlen(name);
	double sum = 0;
	bool found = false;

	(void)env_get(env, i, "/metrics", &body);
	for (line = strtok_r(body, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, name, len) != 0 || (line[len] != ' ' && line[len] != '{'))
			continue;
		sum += strtod(strrchr(line, ' ') + 1, NULL);
		found = true;
	}
	free(body);
	return found ? sum : -1;
}

static char *
printed(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));

static char *
printed(const char *fmt, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		abort();
	return text;
}

void
env_exec(struct env *env, const char *fmt, ...)
{
	struct error err;
	va_list args;
	char *sql;
	int rc;

	va_start(args, fmt);
	sql = printed(fmt, args);
	va_end(args);
	rc = db_exec(env->db, &err, "%s", sql);
	free(sql);
	env_must(rc, &err, "SQL");
}

static int64_t
int_of(struct env *env, const char *sql)
{
	struct error err;
	int64_t value = 0;

	ENV_MUST(db_int(env->db, &value, &err, "%s", sql), &err);
	return value;
}

int64_t
env_int(struct env *env, const char *fmt, ...)
{
	va_list args;
	int64_t value;
	char *sql;

	va_start(args, fmt);
	sql = printed(fmt, args);
	va_end(args);
	value = int_of(env, sql);
	free(sql);
	return value;
}

void
env_wait_int(struct env *env, int64_t wanted, int timeout_ms, const char *fmt, ...)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000, value;
	va_list args;
	char *sql;

	va_start(args, fmt);
	sql = printed(fmt, args);
	va_end(args);
	while ((value = int_of(env, sql)) != wanted && clock_mono_us() < deadline_us)
		proc_sleep_ms(20);
	if (value != wanted)
		tap_diag("waited %d ms for: %s", timeout_ms, sql);
	free(sql);
	TAP_INT_FATAL(value, wanted);
}

const char *
env_topic(struct env *env, const char *suffix)
{
	char *topic = kept("%s.%s", env->name, suffix);
	struct error err;

	ENV_MUST(topic_create(env->kafka, topic, 4, &err), &err);
	return topic;
}

static void
judge(struct env *env, const char *topic, bool by_accounts, struct audit_report *ret_report)
{
	struct audit *a __attribute__((cleanup(audit_free))) = NULL;
	struct audit_read read = {.brokers = env->kafka, .topics = &topic, .topics_count = 1, .appear_ms = 30000,
		.idle_ms = 30000};
	char *examples = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&examples, &len);
	struct error err;
	int rc;

	read.expected = env_int(env,
	    by_accounts ? "SELECT sum(events)::int8 FROM accounts" : "SELECT count(*) FROM outbox_events");
	ENV_MUST(audit_new(out, &a, &err), &err);
	ENV_MUST(audit_consume(a, &read, &err), &err);
	rc = by_accounts ? audit_judge_accounts(a, env->super, ret_report, &err)
	                 : audit_judge_rows(a, env->super, "outbox_events", ret_report, &err);
	fclose(out);
	if (len > 0)
		tap_diag("%s", examples);
	free(examples);
	env_must(rc, &err, "judge");
	TAP_INT(ret_report->missing, 0);
	TAP_INT(ret_report->unknown, 0);
	TAP_INT(ret_report->out_of_order, 0);
	TAP_INT(ret_report->split_keys, 0);
	TAP_INT(ret_report->altered, 0);
	TAP_INT(ret_report->without_id, 0);
	TAP_INT(ret_report->delivered, read.expected);
}

void
env_audit(struct env *env, const char *topic, bool by_accounts, struct audit_report *ret_report)
{
	judge(env, topic, by_accounts, ret_report);
	TAP_INT(ret_report->duplicates, 0);
}

void
env_audit_repeats(struct env *env, const char *topic, struct audit_report *ret_report)
{
	judge(env, topic, false, ret_report);
}
