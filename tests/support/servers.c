/* servers.c - hurts the servers of a test and heals them. Knows the shell scripts that started them. */
#include "support/servers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/proc.h"
#include "support/tap.h"

enum { VERB_MS = 150000 };

/* What is not as it should be, for servers_heal(). */
static bool kafka_hurt, postgres_hurt;

bool
servers_ours(void)
{
	if (getenv("PGOUTBOX_TEST_KAFKA_DIR") != NULL && getenv("PGOUTBOX_TEST_PGSTATE") != NULL)
		return true;
	tap_skip("PGOUTBOX_TEST_KAFKA_DIR and PGOUTBOX_TEST_PGSTATE say which servers may be stopped; they are not set");
	return false;
}

static void
script_path(const char *name, char path[512])
{
	const char *srcdir = getenv("srcdir");

	snprintf(path, 512, "%s/tests/support/%s", srcdir == NULL ? "." : srcdir, name);
}

static bool
run(const char *shell, const char *name, const char *const args[3])
{
	const char *argv[] = {shell, NULL, args[0], args[1], args[2], NULL};
	char script[512], *output;
	int rc;

	script_path(name, script);
	argv[1] = script;
	rc = proc_run(argv, VERB_MS, &output);
	if (rc != 0)
		tap_diag("%s %s: %d %s", name, args[0], rc, output);
	free(output);
	return rc == 0;
}

static bool
kafka(const char *verb)
{
	return run("bash", "kafka.sh", (const char *const[]){verb, getenv("PGOUTBOX_TEST_KAFKA_DIR"), NULL});
}

void
servers_kafka_node(const char *verb, int node)
{
	char number[16];
	bool ok;

	kafka_hurt = true;
	snprintf(number, sizeof(number), "%d", node);
	ok = run("bash", "kafka.sh", (const char *const[]){verb, getenv("PGOUTBOX_TEST_KAFKA_DIR"), number});
	CU_ASSERT_FATAL(ok);
}

int
servers_kafka_nodes(void)
{
	const char *dir = getenv("PGOUTBOX_TEST_KAFKA_DIR");
	char path[512];
	int nodes = 0;

	do
		snprintf(path, sizeof(path), "%s/node-%d", dir == NULL ? "" : dir, ++nodes);
	while (dir != NULL && access(path, F_OK) == 0);
	return nodes - 1;
}

void
servers_kafka(const char *verb)
{
	bool ok;

	kafka_hurt = true;
	ok = kafka(verb);
	CU_ASSERT_FATAL(ok);
}

static pid_t
kafka_pid(int node)
{
	char path[512];
	FILE *in;
	int pid = 0;

	snprintf(path, sizeof(path), "%s/node-%d/pid", getenv("PGOUTBOX_TEST_KAFKA_DIR"), node);
	in = fopen(path, "re");
	if (in == NULL)
		return 0;
	if (fscanf(in, "%d", &pid) != 1)
		pid = 0;
	fclose(in);
	return pid;
}

void
servers_kafka_signal(int signo)
{
	pid_t pid;
	int node;

	kafka_hurt = true;
	for (node = 1; (pid = kafka_pid(node)) > 0; node++)
		TAP_INT_FATAL(kill(pid, signo), 0);
	CU_ASSERT_FATAL(node > 1);
}

/* A number that is not in use any more may belong to anybody. */
pid_t
servers_kafka_pid(int node)
{
	pid_t pid = kafka_pid(node);
	char path[64], mark[512], line[8192] = "";
	FILE *in;
	size_t n;

	if (pid <= 0)
		return 0;
	snprintf(mark, sizeof(mark), "%s/node-%d/server.properties", getenv("PGOUTBOX_TEST_KAFKA_DIR"), node);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	in = fopen(path, "re");
	if (in == NULL)
		return 0;
	n = fread(line, 1, sizeof(line) - 1, in);
	fclose(in);
	return memmem(line, n, mark, strlen(mark)) == NULL ? 0 : pid;
}

int
servers_kafka_begin(struct proc *p, const char *log, const char *verb, int node, struct error *err)
{
	char script[512], number[16];
	const char *const argv[] = {"bash", script, verb, getenv("PGOUTBOX_TEST_KAFKA_DIR"), node == 0 ? NULL : number, NULL};

	kafka_hurt = true;
	script_path("kafka.sh", script);
	snprintf(number, sizeof(number), "%d", node);
	return proc_start(p, log, argv, err);
}

int
servers_postgres_begin(struct proc *p, const char *log, const char *verb, const char *mode, struct error *err)
{
	char script[512];
	const char *const argv[] = {"sh", script, verb, getenv("PGOUTBOX_TEST_PGSTATE"), mode, NULL};

	postgres_hurt = true;
	script_path("pg.sh", script);
	return proc_start(p, log, argv, err);
}

static bool
postgres(const char *verb, const char *mode)
{
	return run("sh", "pg.sh", (const char *const[]){verb, getenv("PGOUTBOX_TEST_PGSTATE"), mode});
}

void
servers_postgres(const char *verb, const char *mode)
{
	bool ok;

	postgres_hurt = true;
	ok = postgres(verb, mode);
	CU_ASSERT_FATAL(ok);
}

void
servers_heal(void)
{
	pid_t pid;

	if (kafka_hurt) {
		for (int node = 1; (pid = kafka_pid(node)) > 0; node++)
			kill(pid, SIGCONT);
		(void)kafka("start");
	}
	if (postgres_hurt)
		(void)postgres("restart", "fast");
	kafka_hurt = postgres_hurt = false;
}
