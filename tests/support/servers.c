/* servers.c - hurts the servers of a test and heals them. Knows the shell scripts that started them. */
#include "support/servers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/proc.h"
#include "support/tap.h"

enum { VERB_MS = 90000 };

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

static bool
run(const char *shell, const char *name, const char *const args[3])
{
	const char *srcdir = getenv("srcdir");
	const char *argv[] = {shell, NULL, args[0], args[1], args[2], NULL};
	char script[512], *output;
	int rc;

	snprintf(script, sizeof(script), "%s/tests/support/%s", srcdir == NULL ? "." : srcdir, name);
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
