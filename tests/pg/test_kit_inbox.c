/* test_kit_inbox.c - sql/kit-inbox.sql: a message is new once, whoever asks at the same time. */
#include <CUnit/CUnit.h>

#include "support/db.h"
#include "support/kit.h"
#include "support/tap.h"

#define BEGIN(message) "SELECT pgoutbox.inbox_begin('billing', '" message "')"

/* Two sessions of the consumer, and an effect that must happen once. */
#define CONSUMERS(sb, one, two)                                                   \
	SANDBOX(sb);                                                              \
	kit_install(&sb, "kit-inbox.sql");                                        \
	PGconn *one __attribute__((cleanup(db_close), unused)) = sandbox_open(sb.role);   \
	PGconn *two __attribute__((cleanup(db_close), unused)) = sandbox_open(sb.role)

static void
new_once(void)
{
	CONSUMERS(sb, one, two);

	TAP_STR(kit_ask(one, BEGIN("m")), "t");
	TAP_STR(kit_ask(one, BEGIN("m")), "f");
	TAP_STR(kit_ask(two, BEGIN("m")), "f");
	TAP_STR(kit_ask(two, BEGIN("n")), "t");
	TAP_STR(kit_ask(two, "SELECT pgoutbox.inbox_begin('mail', 'm')"), "t");
	TAP_STR(kit_ask(two, "SELECT pgoutbox.inbox_begin('mail', NULL)"), "23502");
}

static void
second_delivery(struct sandbox *sb, PGconn *one, PGconn *two, const char *end, const char *answer)
{
	sandbox_exec(one, "BEGIN");
	TAP_STR_FATAL(kit_ask(one, BEGIN("m")), "t");
	kit_send(two, BEGIN("m"));
	kit_wait_blocked(sb->db, two);
	sandbox_exec(one, "%s", end);
	TAP_STR(kit_answer(two), answer);
}

static void
the_first_commits(void)
{
	CONSUMERS(sb, one, two);

	second_delivery(&sb, one, two, "COMMIT", "f");
	TAP_INT(sandbox_int(sb.db, "SELECT duplicates FROM pgoutbox.inbox_counts"), 1);
}

static void
the_first_rolls_back(void)
{
	CONSUMERS(sb, one, two);

	second_delivery(&sb, one, two, "ROLLBACK", "t");
	TAP_STR(kit_ask(one, BEGIN("m")), "f");
}

static void
the_first_dies(void)
{
	CONSUMERS(sb, one, two);

	sandbox_exec(one, "BEGIN");
	TAP_STR_FATAL(kit_ask(one, BEGIN("m")), "t");
	kit_send(two, BEGIN("m"));
	kit_wait_blocked(sb.db, two);
	sandbox_exec(sb.db, "SELECT pg_terminate_backend(%d)", PQbackendPID(one));
	TAP_STR(kit_answer(two), "t");
}

static void
repeatable_read_tries_again(void)
{
	CONSUMERS(sb, one, two);

	sandbox_exec(two, "BEGIN ISOLATION LEVEL REPEATABLE READ");
	sandbox_int(two, "SELECT 1");
	second_delivery(&sb, one, two, "COMMIT", "40001");
	sandbox_exec(two, "ROLLBACK");
	TAP_STR(kit_ask(two, BEGIN("m")), "f");
}

/* Duplicates that are met at the same time wait for nothing, and each counts. */
static void
duplicates_are_counted(void)
{
	CONSUMERS(sb, one, two);

	sandbox_exec(one, BEGIN("m"));
	sandbox_exec(one, "BEGIN; SET lock_timeout = '10s'");
	sandbox_exec(two, "BEGIN; SET lock_timeout = '10s'");
	TAP_STR(kit_ask(one, BEGIN("m")), "f");
	TAP_STR(kit_ask(two, BEGIN("m")), "f");
	sandbox_exec(one, "COMMIT");
	sandbox_exec(two, "COMMIT");
	TAP_INT(sandbox_int(sb.db, "SELECT duplicates_1h FROM pgoutbox.inbox_counts WHERE consumer = 'billing'"), 2);
	TAP_INT(sandbox_int(sb.db, "SELECT processed_1h FROM pgoutbox.inbox_counts WHERE consumer = 'billing'"), 1);
	/* what is old is added up, and still counts */
	sandbox_exec(sb.db, "UPDATE pgoutbox.inbox_duplicates SET seen_at = now() - interval '2 hours' WHERE id = 1");
	for (int i = 0; i < 2; i++) {
		sandbox_exec(sb.db, "SET ROLE pg_monitor; SELECT pgoutbox.inbox_prune('1 day')");
		TAP_INT(sandbox_int(sb.db, "SELECT duplicates FROM pgoutbox.inbox_counts"), 2);
		TAP_INT(sandbox_int(sb.db, "SELECT duplicates_1h FROM pgoutbox.inbox_counts"), 1);
		sandbox_exec(sb.db, "RESET ROLE");
	}
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.inbox_duplicates"), 1);
	sandbox_exec(sb.db, "UPDATE pgoutbox.inbox_duplicates SET seen_at = now() - interval '2 hours'");
	sandbox_exec(sb.db, "SELECT pgoutbox.inbox_prune('1 day')");
	TAP_INT(sandbox_int(sb.db, "SELECT duplicates FROM pgoutbox.inbox_counts"), 2);
}

static void
pruning(void)
{
	CONSUMERS(sb, one, two);

	sandbox_exec(sb.db, "INSERT INTO pgoutbox.processed_messages SELECT 'billing', i, now() - make_interval(hours => i)"
	                    " FROM generate_series(0, 9) i");
	TAP_INT(sandbox_int(sb.db, "SELECT pgoutbox.inbox_prune('270 minutes', 3)"), 3);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.processed_messages WHERE message_id::int <= 6"), 7);
	TAP_INT(sandbox_int(sb.db, "SELECT pgoutbox.inbox_prune('270 minutes', 3)"), 2);
	TAP_INT(sandbox_int(sb.db, "SELECT pgoutbox.inbox_prune('270 minutes', 3)"), 0);
	TAP_INT(sandbox_int(sb.db, "SELECT max(message_id::int) FROM pgoutbox.processed_messages"), 4);
	TAP_STR(kit_ask(one, BEGIN("4")), "f");
	TAP_STR(kit_ask(one, BEGIN("5")), "t");
	TAP_STR(sandbox_state(sb.db, "SELECT pgoutbox.inbox_prune('59 minutes')"), "22023");
	TAP_STR(sandbox_state(sb.db, "SELECT pgoutbox.inbox_prune('1 day', 0)"), "22023");
}

static void
rights(void)
{
	CONSUMERS(sb, one, two);

	kit_install(&sb, "kit-inbox.sql");
	TAP_STR(sandbox_state(one, "DELETE FROM pgoutbox.processed_messages"), "42501");
	TAP_STR(sandbox_state(one, "INSERT INTO pgoutbox.processed_messages VALUES ('a', 'b')"), "42501");
	TAP_STR(sandbox_state(one, "SELECT pgoutbox.inbox_prune('1 day')"), "42501");
	TAP_STR(sandbox_state(one, "SELECT * FROM pgoutbox.inbox_counts"), "42501");
	sandbox_exec(sb.db, "SET ROLE pg_monitor");
	TAP_STR(sandbox_state(sb.db, BEGIN("m")), "42501");
	TAP_STR(sandbox_state(sb.db, "SELECT * FROM pgoutbox.inbox_counts"), "");
}

int
main(void)
{
	tap_suite("inbox kit");
	tap_test("a message is new once to each consumer", new_once);
	tap_test("a second delivery waits: the first commits", the_first_commits);
	tap_test("a second delivery waits: the first rolls back", the_first_rolls_back);
	tap_test("a second delivery waits: the first dies", the_first_dies);
	tap_test("with repeatable read the second tries again", repeatable_read_tries_again);
	tap_test("duplicates are counted, and wait for nothing", duplicates_are_counted);
	tap_test("pruning in small steps", pruning);
	tap_test("rights of consumer and operator", rights);
	return tap_run();
}
