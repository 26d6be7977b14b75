/* test_replay.c - a running relay finds rows that were made unsent far below its floor, and sends them with the header. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/env.h"
#include "support/tap.h"
#include "support/topic.h"

enum { SOON_MS = 15000, EVENTS = 300 };

static struct env env;
static struct topic_reader *reader;

static void
end(void)
{
	topic_reader_close(&reader);
	env_end(&env);
}

static void
replay(const struct env_config *cfg, const char *what)
{
	char database[256], *output = NULL;
	const char *argv[] = {env_program("pgoutboxctl"), "-c", env_write_config(&env, "ctl", 1, cfg), database, "replay",
	                      "--replay-id=again", "--yes", what, NULL};

	snprintf(database, sizeof(database), "--database=%s", env.super);
	TAP_INT(proc_run(argv, 30000, &output), 0);
	TAP_HAS(output, "unsent again");
	free(output);
}

/* Counts what arrives, and what of it is marked. */
static void
read_all(int count, int *ret_marked)
{
	*ret_marked = 0;
	for (int i = 0; i < count; i++) {
		rd_kafka_message_t *m = topic_reader_next(reader, SOON_MS);

		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		*ret_marked += slice_equal(topic_header(m, "replay"), slice_from("again"));
		rd_kafka_message_destroy(m);
	}
}

static void
write_events(void)
{
	env_exec(&env, "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
	               " SELECT 'account', 'k' || n %% 20, 't', '{}' FROM generate_series(1, %d) n", EVENTS);
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
}

static void
rows_below_the_floor_are_sent_again(void)
{
	struct env_config cfg = {.conninfo = NULL};
	const char *topic;
	struct error err;
	int marked;

	if (!env_begin(&env))
		return;
	topic = env_topic(&env, "account");
	env_init(&env, &cfg);
	ENV_MUST(topic_reader_open(env.kafka, &topic, 1, 10000, &reader, &err), &err);
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 60000);
	write_events();
	write_events(); /* the floors are above the first ones now */
	read_all(2 * EVENTS, &marked);
	TAP_INT(marked, 0);
	replay(&cfg, "5-104");
	read_all(100, &marked);
	TAP_INT(marked, 100);
	env_wait_int(&env, 0, SOON_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	replay(&cfg, "--key=k7");
	read_all(2 * EVENTS / 20, &marked);
	TAP_INT(marked, 2 * EVENTS / 20);
	env_daemon_stop(&env, 0);
}

int
main(void)
{
	tap_suite_fixture("replay", NULL, end);
	tap_test("rows below the floor are sent again", rows_below_the_floor_are_sent_again);
	return tap_run();
}
