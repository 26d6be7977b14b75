/* test_kit_idempotency.c - sql/kit-idempotency.sql: one request, one change, one response; owners that die, and those
 * that come back too late. */
#include <CUnit/CUnit.h>
#include <string.h>

#include "support/db.h"
#include "support/kit.h"
#include "support/tap.h"

#define BEGIN(print) "SELECT concat_ws(' ', answer, attempt, response) FROM pgoutbox.idempotency_begin('pay', 'k', '" print "')"
#define COMPLETE(attempt) "SELECT pgoutbox.idempotency_complete('pay', 'k', " #attempt ", '{\"paid\": " #attempt "}')"
#define OVERDUE "UPDATE pgoutbox.idempotency_keys SET deadline = clock_timestamp()"

#define SERVERS(sb, one, two)                                                     \
	SANDBOX(sb);                                                              \
	kit_install(&sb, "kit-idempotency.sql");                                  \
	PGconn *one __attribute__((cleanup(db_close), unused)) = sandbox_open(sb.role);   \
	PGconn *two __attribute__((cleanup(db_close), unused)) = sandbox_open(sb.role)

static void
four_answers(void)
{
	SERVERS(sb, one, two);

	TAP_STR(kit_ask(one, BEGIN("f")), "new 1");
	TAP_STR(kit_ask(two, BEGIN("f")), "in_progress");
	TAP_STR(kit_ask(two, "SELECT retry_after BETWEEN '1 second' AND '1 minute' FROM pgoutbox.idempotency_begin('pay', 'k', 'f')"), "t");
	TAP_STR(kit_ask(two, BEGIN("other")), "conflict");
	sandbox_exec(one, COMPLETE(1));
	TAP_STR(kit_ask(two, BEGIN("f")), "completed {\"paid\": 1}");
	TAP_STR(kit_ask(two, BEGIN("other")), "conflict");
	TAP_STR(kit_ask(two, "SELECT answer FROM pgoutbox.idempotency_begin('refund', 'k', 'other')"), "new");
	TAP_STR(kit_ask(one, COMPLETE(1)), "55000");
	TAP_STR(kit_ask(one, "SELECT pgoutbox.idempotency_begin('pay', 'x', 'f', '0')"), "22023");
	TAP_STR(kit_ask(one, "SELECT pgoutbox.idempotency_begin('pay', 'x', NULL)"), "23502");
}

/* Begin, change and completion in one transaction: the second waits. */
static void
in_one_transaction(const char *end, const char *answer)
{
	SERVERS(sb, one, two);

	sandbox_exec(one, "BEGIN");
	TAP_STR_FATAL(kit_ask(one, BEGIN("f")), "new 1");
	kit_send(two, BEGIN("f"));
	kit_wait_blocked(sb.db, two);
	sandbox_exec(one, COMPLETE(1));
	sandbox_exec(one, "%s", end);
	TAP_STR(kit_answer(two), answer);
}

static void
commits(void)
{
	in_one_transaction("COMMIT", "completed {\"paid\": 1}");
}

static void
rolls_back(void)
{
	in_one_transaction("ROLLBACK", "new 1");
}

/* The owner completes, is over its deadline, and has not committed yet: nobody may take over what is as good as done. */
static void
completion_keeps_takeover_out(void)
{
	SERVERS(sb, one, two);

	sandbox_exec(one, BEGIN("f"));
	sandbox_exec(sb.db, OVERDUE);
	sandbox_exec(one, "BEGIN");
	sandbox_exec(one, COMPLETE(1));
	kit_send(two, BEGIN("f"));
	kit_wait_blocked(sb.db, two);
	sandbox_exec(one, "COMMIT");
	TAP_STR(kit_answer(two), "completed {\"paid\": 1}");
}

/* The owner is slow rather than dead: its change must not be committed beside that of the one that took over. */
static void
takeover_keeps_the_late_owner_out(void)
{
	SERVERS(sb, one, two);

	sandbox_exec(sb.db, "CREATE TABLE change (who text); GRANT INSERT ON change TO PUBLIC");
	sandbox_exec(one, BEGIN("f"));
	/* the deadline passes while the transaction is open */
	sandbox_exec(two, "BEGIN");
	sandbox_exec(sb.db, OVERDUE);
	TAP_STR(kit_ask(two, BEGIN("f")), "new 2");
	sandbox_exec(two, "INSERT INTO change VALUES ('two')");
	sandbox_exec(one, "BEGIN; INSERT INTO change VALUES ('one')");
	kit_send(one, COMPLETE(1));
	kit_wait_blocked(sb.db, one);
	sandbox_exec(two, COMPLETE(2));
	sandbox_exec(two, "COMMIT");
	TAP_STR(kit_answer(one), "55000");
	sandbox_exec(one, "COMMIT");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM change WHERE who = 'two'"), 1);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM change"), 1);
	TAP_STR(kit_ask(one, BEGIN("f")), "completed {\"paid\": 2}");
}

static void
one_of_two_takes_over(void)
{
	SERVERS(sb, one, two);
	PGconn *holder __attribute__((cleanup(db_close))) = sandbox_open(sb.super);

	sandbox_exec(sb.db, "SELECT pgoutbox.idempotency_begin('pay', 'k', 'f')");
	sandbox_exec(sb.db, OVERDUE);
	TAP_STR(kit_ask(one, BEGIN("other")), "conflict");
	/* both come to the row before either has it */
	sandbox_exec(holder, "BEGIN; SELECT FROM pgoutbox.idempotency_keys FOR UPDATE");
	kit_send(one, BEGIN("f"));
	kit_send(two, BEGIN("f"));
	kit_wait_blocked(sb.db, one);
	kit_wait_blocked(sb.db, two);
	sandbox_exec(holder, "COMMIT");
	const char *answer = kit_answer(one);
	bool first = strcmp(answer, "new 2") == 0;
	if (!first)
		TAP_STR(answer, "in_progress");
	TAP_STR(kit_answer(two), first ? "in_progress" : "new 2");
	/* the former owner is late, though nobody has completed yet */
	TAP_STR(kit_ask(one, COMPLETE(1)), "55000");
	TAP_STR(kit_ask(one, COMPLETE(2)), "");
}

static void
release(void)
{
	SERVERS(sb, one, two);

	sandbox_exec(one, BEGIN("f"));
	TAP_STR(kit_ask(two, "SELECT pgoutbox.idempotency_release('pay', 'k', 2)"), "f");
	TAP_STR(kit_ask(two, BEGIN("f")), "in_progress");
	TAP_STR(kit_ask(one, "SELECT pgoutbox.idempotency_release('pay', 'k', 1)"), "t");
	TAP_STR(kit_ask(two, BEGIN("f")), "new 2");
	sandbox_exec(two, COMPLETE(2));
	TAP_STR(kit_ask(two, "SELECT pgoutbox.idempotency_release('pay', 'k', 2)"), "f");
	TAP_STR(kit_ask(two, BEGIN("f")), "completed {\"paid\": 2}");
}

static void
expiry(void)
{
	SERVERS(sb, one, two);

	sandbox_exec(one, BEGIN("f"));
	sandbox_exec(sb.db, OVERDUE);
	TAP_INT(sandbox_int(sb.db, "SELECT pgoutbox.idempotency_prune()"), 0);
	sandbox_exec(one, COMPLETE(1));
	TAP_INT(sandbox_int(sb.db, "SELECT pgoutbox.idempotency_prune()"), 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.idempotency_keys WHERE expires_at BETWEEN now() + interval '23 hours'"
	                           " AND now() + interval '1 day'"), 1);
	sandbox_exec(sb.db, "UPDATE pgoutbox.idempotency_keys SET expires_at = clock_timestamp()");
	TAP_STR(kit_ask(two, BEGIN("other")), "new 2");
	TAP_STR(kit_ask(one, BEGIN("other")), "in_progress");
	sandbox_exec(two, COMPLETE(2));
	sandbox_exec(sb.db, "UPDATE pgoutbox.idempotency_keys SET expires_at = clock_timestamp()");
	TAP_INT(sandbox_int(sb.db, "SELECT pgoutbox.idempotency_prune()"), 1);
	TAP_STR(kit_ask(one, BEGIN("f")), "new 1");
}

static void
counts(void)
{
	SERVERS(sb, one, two);

	sandbox_exec(one, BEGIN("f"));
	sandbox_exec(one, BEGIN("f"));
	sandbox_exec(one, BEGIN("other"));
	sandbox_exec(sb.db, "SET ROLE pg_monitor");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.idempotency_stuck"), 0);
	sandbox_exec(sb.db, "RESET ROLE; " OVERDUE);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.idempotency_stuck WHERE scope = 'pay' AND attempt = 1"), 1);
	sandbox_exec(one, BEGIN("f"));
	sandbox_exec(one, COMPLETE(2));
	sandbox_exec(two, BEGIN("f"));
	sandbox_exec(two, BEGIN("f"));
#define COUNTS "SELECT concat_ws(' ', duplicates, conflicts, in_progress, takeovers, repeats_1h, begun_1h) FROM pgoutbox.idempotency_counts"
	TAP_STR(kit_ask(sb.db, COUNTS), "2 1 1 1 5 1");
	sandbox_exec(sb.db, "UPDATE pgoutbox.idempotency_repeats SET seen_at = now() - interval '2 hours' WHERE answer <> 'conflict';"
	                    " SET ROLE pg_monitor; SELECT pgoutbox.idempotency_prune(2); SELECT pgoutbox.idempotency_prune(2)");
	TAP_STR(kit_ask(sb.db, COUNTS), "2 1 1 1 1 1");
	sandbox_exec(sb.db, "RESET ROLE");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.idempotency_repeats"), 1);
}

static void
rights(void)
{
	SERVERS(sb, one, two);

	kit_install(&sb, "kit-idempotency.sql");
	TAP_STR(sandbox_state(one, "UPDATE pgoutbox.idempotency_keys SET state = 'completed'"), "42501");
	TAP_STR(sandbox_state(one, "SELECT pgoutbox.idempotency_prune()"), "42501");
	TAP_STR(sandbox_state(one, "SELECT * FROM pgoutbox.idempotency_stuck"), "42501");
	sandbox_exec(sb.db, "SET ROLE pg_monitor");
	TAP_STR(sandbox_state(sb.db, BEGIN("f")), "42501");
}

int
main(void)
{
	tap_suite("idempotency kit");
	tap_test("new, in progress, conflict, completed", four_answers);
	tap_test("in one transaction: a second request waits for the commit", commits);
	tap_test("in one transaction: a second request waits for the rollback", rolls_back);
	tap_test("a completion that is not committed yet keeps takeovers out", completion_keeps_takeover_out);
	tap_test("a takeover keeps the late owner out", takeover_keeps_the_late_owner_out);
	tap_test("one of two takes over", one_of_two_takes_over);
	tap_test("a key that is given up", release);
	tap_test("expiry and pruning", expiry);
	tap_test("counts and stuck keys", counts);
	tap_test("rights of application and operator", rights);
	return tap_run();
}
