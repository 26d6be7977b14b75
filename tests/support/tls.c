/* tls.c - runs tls.sh, and points the environment of tests at what it started. */
#include "support/tls.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/db.h"
#include "support/tap.h"

enum { UP_MS = 120000 };

static char dir[64]; /* "" = nothing runs */
static int pg_port;

static struct text {
	struct text *next;
	char bytes[];
} *texts;

const char *
tls_text(const char *fmt, ...)
{
	struct text *text;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	text = malloc(sizeof(*text) + (size_t)len + 1);
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

static const char *
script(void)
{
	const char *srcdir = getenv("srcdir");

	return tls_text("%s/tests/support/tls.sh", srcdir == NULL ? "." : srcdir);
}

void
tls_run(const char *verb, const char *a, const char *b, const char *c)
{
	const char *const argv[] = {"bash", script(), verb, dir, a, b, c, NULL};
	char *output;
	int rc = proc_run(argv, UP_MS, &output);

	if (rc != 0)
		tap_diag("tls.sh %s: %d %s", verb, rc, output);
	free(output);
	TAP_INT_FATAL(rc, 0);
}

/* Somebody else cleans up if this program is killed. */
static void
watch_over(void)
{
	const char *command = tls_text("setsid bash '%s' down-after %s %d </dev/null >/dev/null 2>&1 &", script(), dir,
	    (int)getpid());
	const char *const argv[] = {"sh", "-c", command, NULL};
	char *output;

	TAP_INT_FATAL(proc_run(argv, 10000, &output), 0);
	free(output);
}

static int
read_number(const char *path, const char *format)
{
	FILE *in = fopen(path, "re");
	char line[256];
	int number = 0;

	CU_ASSERT_FATAL(in != NULL);
	while (number == 0 && fgets(line, sizeof(line), in) != NULL) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)sscanf(line, format, &number);
#pragma GCC diagnostic pop
	}
	fclose(in);
	CU_ASSERT_FATAL(number > 0);
	return number;
}

static void
start_servers(void)
{
	snprintf(dir, sizeof(dir), "/tmp/pgoutbox-tls.XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(dir) != NULL);
	CU_ASSERT_FATAL(chmod(dir, 0755) == 0); /* for PostgreSQL's own user */
	watch_over();
	setenv("PGOUTBOX_TLS_PASSWORD", TLS_KAFKA_PASSWORD, 1);
	tls_run("up", NULL, NULL, NULL);
	pg_port = read_number(tls_text("%s/pg/conf", dir), "pg_port=%d");
	setenv("PGOUTBOX_TEST_PG", tls_text("host=%s/pg port=%d dbname=postgres user=postgres", dir, pg_port), 1);
	setenv("PGOUTBOX_TEST_KAFKA",
	    tls_text("127.0.0.1:%d", read_number(tls_text("%s/kafka/node-1/port", dir), "%d")), 1);
}

static bool
can_start(void)
{
	const char *const argv[] = {"openssl", "version", NULL};
	char *output;
	int rc;

	if (getenv("PGOUTBOX_TEST_PG") == NULL || getenv("PGOUTBOX_TEST_KAFKA") == NULL) {
		tap_skip("PGOUTBOX_TEST_PG and PGOUTBOX_TEST_KAFKA say where the servers are; they are not set");
		return false;
	}
	rc = proc_run(argv, 10000, &output);
	free(output);
	if (rc != 0)
		tap_skip("openssl is not installed");
	return rc == 0;
}

bool
tls_begin(struct env *env, const char *group)
{
	*env = (struct env){.kafka = NULL};
	if (dir[0] == '\0') {
		if (!can_start())
			return false;
		start_servers();
	}
	if (!env_begin(env))
		return false;
	env_exec(env, "GRANT %s TO %s", group, env->name);
	return true;
}

void
tls_end(struct env *env)
{
	env_end(env);
	drop_texts();
}

void
tls_down(void)
{
	const char *const argv[] = {"bash", script(), "down", dir, NULL};
	char *output;

	if (dir[0] != '\0') {
		(void)proc_run(argv, UP_MS, &output);
		free(output);
	}
	drop_texts();
}

const char *
tls_path(const char *file)
{
	return tls_text("%s/%s", dir, file);
}

const char *
tls_brokers(const char *listener)
{
	return tls_text("127.0.0.1:%d", read_number(tls_text("%s/kafka/node-1/port-%s", dir, listener), "%d"));
}

const char *
tls_conninfo(const struct env *env, const char *more)
{
	return tls_text("host=localhost hostaddr=127.0.0.1 port=%d dbname=%s user=%s sslmode=verify-full"
	                " sslrootcert=%s/ca.crt %s",
	    pg_port, env->name, env->name, dir, more);
}

const char *
tls_secret(const struct env *env, const char *name, const char *text)
{
	const char *path = tls_text("%s/%s", env->dir, name);
	FILE *out = fopen(path, "we");

	CU_ASSERT_FATAL(out != NULL);
	fputs(text, out);
	CU_ASSERT_FATAL(fclose(out) == 0 && chmod(path, 0600) == 0);
	return path;
}
