/* test_payments.c - the worked example, shortly: its books balance although each of its processes dies, and they do not
 * where a safeguard is missing. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "support/proc.h"
#include "support/tap.h"

enum { LIMIT_MS = 240000 };

static const char *
missing_program(void)
{
	static const char *const programs[] = {"bash", "curl", "perl", "psql", "shuf"};
	char *output;

	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		const char *const argv[] = {"sh", "-c", "command -v \"$1\"", "sh", programs[i], NULL};
		int rc = proc_run(argv, 10000, &output);

		free(output);
		if (rc != 0)
			return programs[i];
	}
	return NULL;
}

static bool
can_run(void)
{
	const char *missing = missing_program();

	if (getenv("PGOUTBOX_TEST_PG") == NULL || getenv("PGOUTBOX_TEST_KAFKA") == NULL)
		tap_skip("needs PostgreSQL and Kafka: tests/with-postgres tests/with-kafka make check-e2e");
	else if (missing != NULL)
		tap_skip("there is no \"%s\" here", missing);
	else
		return true;
	return false;
}

/* The exit status; what it said goes to the log where it is another than wanted. */
static char *
run_example(const char *const more[], int wanted)
{
	const char *srcdir = getenv("srcdir");
	const char *argv[12];
	char program[512];
	char *output;
	int rc, n = 0;

	snprintf(program, sizeof(program), "%s/examples/payments/run.sh", srcdir == NULL ? "." : srcdir);
	argv[n++] = program;
	argv[n++] = "--quick";
	argv[n++] = "--build";
	argv[n++] = ".";
	while (*more != NULL)
		argv[n++] = *more++;
	argv[n] = NULL;
	rc = proc_run(argv, LIMIT_MS, &output);
	if (rc != wanted)
		tap_diag("%s", output);
	TAP_INT(rc, wanted);
	return output;
}

/* Two runs beside one Kafka would take each other's part of the group. */
static void
no_run_shares_its_groups(void)
{
	static const char *const shared[] = {"saga", "report", "injector"};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	const struct rd_kafka_group_list *groups;
	char reason[256];
	rd_kafka_t *rk;
	int own = 0;

	(void)rd_kafka_conf_set(conf, "bootstrap.servers", getenv("PGOUTBOX_TEST_KAFKA"), reason, sizeof(reason));
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	CU_ASSERT_PTR_NOT_NULL_FATAL(rk);
	CU_ASSERT_EQUAL_FATAL(rd_kafka_list_groups(rk, NULL, &groups, 30000), RD_KAFKA_RESP_ERR_NO_ERROR);
	for (int i = 0; i < groups->group_cnt; i++) {
		own += strstr(groups->groups[i].group, ".saga") != NULL;
		for (size_t j = 0; j < sizeof(shared) / sizeof(*shared); j++)
			CU_ASSERT(strcmp(groups->groups[i].group, shared[j]) != 0);
	}
	CU_ASSERT(own > 0);
	rd_kafka_group_list_destroy(groups);
	rd_kafka_destroy(rk);
}

static void
the_books_balance_although_each_process_dies(void)
{
	const char *const more[] = {NULL};
	char *output;

	if (!can_run())
		return;
	output = run_example(more, 0);
	TAP_HAS(output, "The books balance.");
	TAP_HAS(output, "killed: pgoutboxd");
	CU_ASSERT_PTR_NULL(strstr(output, "WRONG"));
	free(output);
	no_run_shares_its_groups();
}

static void
the_books_tell_of_a_safeguard_that_is_missing(void)
{
	const char *const more[] = {"--payments", "60", "--break", "inbox", NULL};
	char *output;

	if (!can_run())
		return;
	output = run_example(more, 1);
	TAP_HAS(output, "duplicates suppressed, by the inbox of the report                         0   WRONG");
	TAP_HAS(output, "THE BOOKS DO NOT BALANCE");
	CU_ASSERT_PTR_NULL(strstr(output, "The books balance."));
	free(output);
}

int
main(void)
{
	tap_suite("payments");
	tap_test("the books balance although each process dies", the_books_balance_although_each_process_dies);
	tap_test("the books tell of a safeguard that is missing", the_books_tell_of_a_safeguard_that_is_missing);
	return tap_run();
}
