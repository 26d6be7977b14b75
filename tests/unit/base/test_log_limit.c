/* Tests of src/base/log_limit.c: buckets and what is told of those that are empty. */
#include "base/log_limit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "support/tap.h"

#define SECOND INT64_C(1000000)

static struct log_limit *limit;
static int64_t now_us;

static void
setup(void)
{
	struct error err;

	now_us = 1000 * SECOND;
	TAP_INT_FATAL(log_limit_new(&limit, &err), 0);
}

static void
teardown(void)
{
	log_limit_free(limit);
}

/* How many of n entries are admitted at once. */
static int
admitted(const char *id, int n)
{
	int count = 0;

	for (int i = 0; i < n; i++)
		count += log_limit_admit(limit, id, LOG_WARNING, "text", now_us);
	return count;
}

static void
test_burst_then_one_a_second(void)
{
	TAP_INT(admitted("lane-lost", 25), LOG_LIMIT_BURST);
	now_us += SECOND - 1;
	TAP_INT(admitted("lane-lost", 3), 0);
	now_us += 1;
	TAP_INT(admitted("lane-lost", 3), 1);
	now_us += 3 * SECOND;
	TAP_INT(admitted("lane-lost", 9), 3);
	now_us += 3600 * SECOND;
	TAP_INT(admitted("lane-lost", 25), LOG_LIMIT_BURST);
}

static void
test_ids_share_nothing(void)
{
	char copy[] = "lane-lost"; /* the same id from another file may stand elsewhere in memory */

	TAP_INT(admitted("lane-lost", 25), LOG_LIMIT_BURST);
	TAP_INT(admitted("lane-lost-too", 25), LOG_LIMIT_BURST);
	TAP_INT(admitted(copy, 25), 0);
}

static void
test_told_once_quiet(void)
{
	struct log_repeats r = {.count = 99};

	admitted("bell-lost", 12);
	CU_ASSERT(!log_limit_admit(limit, "bell-lost", LOG_ERR, "the very last", now_us));
	now_us += LOG_LIMIT_QUIET_US - 1;
	CU_ASSERT(!log_limit_take(limit, false, now_us, &r));
	TAP_INT(r.count, 99);
	now_us += 1;
	CU_ASSERT_FATAL(log_limit_take(limit, false, now_us, &r));
	TAP_STR(r.id, "bell-lost");
	TAP_INT(r.count, 3);
	TAP_INT(r.priority, LOG_ERR);
	TAP_STR(r.text, "the very last");
	CU_ASSERT(!log_limit_take(limit, true, now_us, &r));
}

/* A flood that never ends is told of while it lasts. */
static void
test_told_in_a_flood(void)
{
	struct log_repeats r;
	int told = 0;

	for (int second = 0; second < 180; second++, now_us += SECOND) {
		admitted("bell-lost", 20);
		while (log_limit_take(limit, false, now_us, &r))
			told++;
	}
	TAP_INT(told, 2);
	CU_ASSERT(log_limit_take(limit, true, now_us, &r));
	CU_ASSERT(!log_limit_take(limit, true, now_us, &r));
}

static void
test_never_held_back(void)
{
	static const char *const ids[] = {"state-relay", "state-lane", "started", "stopping", "stopped", "kafka-outage-begin",
	                                  "postgresql-outage-end"};
	struct log_repeats r;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		TAP_INT(admitted(ids[i], 100), 100);
	CU_ASSERT(!log_limit_take(limit, true, now_us, &r));
}

static void
test_more_ids_than_room(void)
{
	static char ids[LOG_LIMIT_IDS + 1][16];

	for (int i = 0; i <= LOG_LIMIT_IDS; i++)
		snprintf(ids[i], sizeof(ids[i]), "id-%d", i);
	for (int i = 0; i < LOG_LIMIT_IDS; i++)
		TAP_INT(admitted(ids[i], 11), LOG_LIMIT_BURST);
	TAP_INT(admitted(ids[LOG_LIMIT_IDS], 11), 11);
}

static void
test_long_text_is_cut(void)
{
	char text[1000];
	struct log_repeats r;

	memset(text, 'a', LOG_LIMIT_TEXT_MAX - 1);
	strcpy(text + LOG_LIMIT_TEXT_MAX - 1, "\xe2\x82\xac\xe2\x82\xac");
	admitted("x", LOG_LIMIT_BURST);
	CU_ASSERT(!log_limit_admit(limit, "x", LOG_ERR, text, now_us));
	CU_ASSERT_FATAL(log_limit_take(limit, true, now_us, &r));
	TAP_INT(strlen(r.text), LOG_LIMIT_TEXT_MAX - 1);
}

static void *
flood(void *ctx)
{
	long *count = ctx;

	for (int i = 0; i < 10000; i++)
		*count += log_limit_admit(limit, "flood", LOG_WARNING, "text", now_us);
	return NULL;
}

static void
test_threads(void)
{
	pthread_t threads[4];
	long counts[4] = {0};
	struct log_repeats r;

	for (int i = 0; i < 4; i++)
		CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, flood, &counts[i]) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	TAP_INT(counts[0] + counts[1] + counts[2] + counts[3], LOG_LIMIT_BURST);
	CU_ASSERT_FATAL(log_limit_take(limit, true, now_us, &r));
	TAP_INT(r.count, 40000 - LOG_LIMIT_BURST);
}

int
main(void)
{
	tap_suite_fixture("log_limit", setup, teardown);
	tap_test("a burst, then one a second", test_burst_then_one_a_second);
	tap_test("ids share no bucket", test_ids_share_nothing);
	tap_test("repeats are told once it is quiet", test_told_once_quiet);
	tap_test("repeats are told in a flood that lasts", test_told_in_a_flood);
	tap_test("some are never held back", test_never_held_back);
	tap_test("an id too many is not limited", test_more_ids_than_room);
	tap_test("a long text is cut", test_long_text_is_cut);
	tap_test("from several threads", test_threads);
	return tap_run();
}
