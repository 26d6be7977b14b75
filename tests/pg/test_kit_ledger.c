/* test_kit_ledger.c - sql/kit-ledger.sql: operations that are posted once, sum to zero, are never changed, and leave no
 * account below its limit, whoever posts at the same time. */
#include <CUnit/CUnit.h>

#include "support/db.h"
#include "support/kit.h"
#include "support/tap.h"

#define POST(operation, from, to, amount)                                                                                   \
	"SELECT pgoutbox.ledger_post('" operation "', '[{\"account\": \"" from "\", \"amount\": -" amount "}, {\"account\": \"" \
	to "\", \"amount\": " amount "}]')"

/* Accounts ann and bob may not fall below zero; ann has 100 from world, which may. */
static void
prepare(struct sandbox *sb)
{
	kit_install(sb, "kit-ledger.sql");
	sandbox_exec(sb->db, "SELECT pgoutbox.ledger_open('ann', 'EUR'), pgoutbox.ledger_open('bob', 'EUR'),"
	                     " pgoutbox.ledger_open('aaa', 'EUR'), pgoutbox.ledger_open('world', 'EUR', NULL), pgoutbox.ledger_open('bank', 'EUR', NULL),"
	                     " pgoutbox.ledger_open('dollars', 'USD', NULL)");
	TAP_STR(kit_ask(sb->db, POST("first", "world", "ann", "100")), "t");
}

#define LEDGER(sb, one, two)                                                      \
	SANDBOX(sb);                                                              \
	prepare(&sb);                                                             \
	PGconn *one __attribute__((cleanup(db_close), unused)) = sandbox_open(sb.role);   \
	PGconn *two __attribute__((cleanup(db_close), unused)) = sandbox_open(sb.role)

static int64_t
balance(struct sandbox *sb, const char *account)
{
	return sandbox_int(sb->db, "SELECT pgoutbox.ledger_balance('%s')", account);
}

static void
posts(void)
{
	LEDGER(sb, one, two);

	TAP_STR(kit_ask(one, POST("o", "ann", "bob", "30")), "t");
	TAP_STR(kit_ask(two, POST("o", "ann", "bob", "30")), "f");
	TAP_STR(kit_ask(two, POST("o", "ann", "bob", "31")), "23505");
	TAP_STR(kit_ask(two, "SELECT pgoutbox.ledger_post('o', '[{\"account\": \"ann\", \"amount\": -30}]')"), "23505");
	TAP_INT(balance(&sb, "ann"), 70);
	TAP_INT(balance(&sb, "bob"), 30);
	TAP_INT(balance(&sb, "world"), -100);
	TAP_STR(kit_ask(one, "SELECT pgoutbox.ledger_open('ann', 'EUR')"), "f");
	TAP_STR(kit_ask(one, "SELECT pgoutbox.ledger_open('ann', 'EUR', NULL)"), "23505");
}

static void
refusals(void)
{
	LEDGER(sb, one, two);
	static const char *const wrong[][2] = {
		{"[]", "22023"},
		{"{}", "22023"},
		{"[{\"account\": \"world\", \"amount\": -5}, {\"account\": \"bob\", \"amount\": 4}]", "23514"},
		{"[{\"account\": \"world\", \"amount\": -5}, {\"account\": \"dollars\", \"amount\": 5}]", "23514"},
		{"[{\"account\": \"world\", \"amount\": -5}, {\"account\": \"nobody\", \"amount\": 5}]", "23503"},
		{"[{\"account\": \"world\", \"amount\": 0}, {\"account\": \"bob\", \"amount\": 0}]", "23514"},
		{"[{\"account\": \"world\", \"amount\": null}, {\"account\": \"bob\", \"amount\": null}]", "23502"},
		{"[{\"account\": \"world\", \"amount\": -0.5}, {\"account\": \"bob\", \"amount\": 0.5}]", "22P02"},
		{"[{\"account\": \"ann\", \"amount\": -101}, {\"account\": \"bob\", \"amount\": 101}]", "23514"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		TAP_STR(kit_ask(one, "SELECT pgoutbox.ledger_post('o', '%s')", wrong[i][0]), wrong[i][1]);
	TAP_STR(kit_ask(one, POST("o", "ann", "bob", "100")), "t");
	TAP_INT(balance(&sb, "ann"), 0);
}

static void
append_only(void)
{
	LEDGER(sb, one, two);
	static const char *const tables[] = {"ledger_entries", "ledger_operations"};

	for (size_t i = 0; i < 2; i++) {
		/* the owner is stopped by the trigger, others by their rights before that */
		TAP_STR(sandbox_state(sb.db, "UPDATE pgoutbox.%s SET operation_id = 'x'", tables[i]), "42501");
		TAP_STR(sandbox_state(sb.db, "DELETE FROM pgoutbox.%s", tables[i]), "42501");
		TAP_STR(sandbox_state(sb.db, "TRUNCATE pgoutbox.%s CASCADE", tables[i]), "42501");
		TAP_STR(sandbox_state(one, "INSERT INTO pgoutbox.%s (operation_id) VALUES ('x')", tables[i]), "42501");
	}
	TAP_STR(sandbox_state(sb.db, "UPDATE pgoutbox.ledger_accounts SET currency = 'USD'"), "42501");
	TAP_STR(sandbox_state(sb.db, "UPDATE pgoutbox.ledger_accounts SET min_balance = -10 WHERE account = 'ann'"), "");
	TAP_STR(kit_ask(one, POST("o", "ann", "bob", "110")), "t");
	TAP_STR(sandbox_state(one, "UPDATE pgoutbox.ledger_accounts SET min_balance = NULL"), "42501");
	TAP_STR(sandbox_state(one, "SELECT pgoutbox.ledger_snapshot('ann')"), "42501");
	TAP_STR(sandbox_state(one, "SELECT * FROM pgoutbox.ledger_deltas"), "42501");
}

/* Two debits that the account can bear one at a time only. */
static void
two_debits(struct sandbox *sb, PGconn *one, PGconn *two, const char *end, const char *answer)
{
	sandbox_exec(one, "BEGIN");
	TAP_STR_FATAL(kit_ask(one, POST("one", "ann", "bob", "80")), "t");
	kit_send(two, POST("two", "ann", "world", "80"));
	kit_wait_blocked(sb->db, two);
	sandbox_exec(one, "%s", end);
	TAP_STR(kit_answer(two), answer);
}

static void
the_first_debit_rolls_back(void)
{
	LEDGER(sb, one, two);

	two_debits(&sb, one, two, "ROLLBACK", "t");
	TAP_INT(balance(&sb, "ann"), 20);
}

static void
overdraft_in_read_committed(void)
{
	LEDGER(sb, one, two);

	two_debits(&sb, one, two, "COMMIT", "23514");
	TAP_INT(balance(&sb, "ann"), 20);
}

static void
overdraft_in_repeatable_read(void)
{
	LEDGER(sb, one, two);

	sandbox_exec(two, "BEGIN ISOLATION LEVEL REPEATABLE READ");
	TAP_INT(sandbox_int(two, "SELECT pgoutbox.ledger_balance('ann')"), 100);
	TAP_STR(kit_ask(one, POST("one", "ann", "bob", "80")), "t");
	TAP_STR(kit_ask(two, POST("two", "ann", "bob", "80")), "40001");
	sandbox_exec(two, "ROLLBACK");
	TAP_INT(balance(&sb, "ann"), 20);
}

static void
the_same_operation_twice(void)
{
	LEDGER(sb, one, two);

	sandbox_exec(one, "BEGIN");
	TAP_STR_FATAL(kit_ask(one, POST("o", "ann", "bob", "60")), "t");
	kit_send(two, POST("o", "ann", "bob", "60"));
	kit_wait_blocked(sb.db, two);
	sandbox_exec(one, "COMMIT");
	TAP_STR(kit_answer(two), "f");
	TAP_INT(balance(&sb, "bob"), 60);
}

/* Whoever waits for the first account holds no later one, so nobody can wait in a circle. */
static void
one_order_of_locks(void)
{
	LEDGER(sb, one, two);

	sandbox_exec(sb.db, POST("more", "world", "bob", "100"));
	sandbox_exec(one, "BEGIN");
	sandbox_exec(one, POST("one", "ann", "world", "1"));
	kit_send(two, "SELECT pgoutbox.ledger_post('two', '[{\"account\": \"bob\", \"amount\": -1}, {\"account\": \"ann\", \"amount\": -1},"
	              " {\"account\": \"world\", \"amount\": 2}]')");
	kit_wait_blocked(sb.db, two);
	TAP_STR(sandbox_state(sb.db, "SELECT FROM pgoutbox.ledger_accounts WHERE account = 'bob' FOR UPDATE NOWAIT"), "");
	sandbox_exec(one, "COMMIT");
	TAP_STR(kit_answer(two), "t");
}

/* An entry that commits late has a lower id than those that the snapshot sees. */
static void
snapshot_waits_for_late_entries(void)
{
	LEDGER(sb, one, two);

	sandbox_exec(one, "BEGIN");
	sandbox_exec(one, POST("late", "world", "bank", "7"));
	TAP_STR(kit_ask(two, POST("early", "world", "bank", "5")), "t");
	PGconn *operator __attribute__((cleanup(db_close))) = sandbox_open(sb.super);
	sandbox_exec(operator, "SET ROLE pg_monitor");
	kit_send(operator, "SELECT pgoutbox.ledger_snapshot('bank')");
	kit_wait_blocked(sb.db, operator);
	sandbox_exec(one, "COMMIT");
	TAP_STR(kit_answer(operator), "12");
	TAP_INT(balance(&sb, "bank"), 12);
	sandbox_exec(two, POST("next", "world", "bank", "3"));
	TAP_INT(balance(&sb, "bank"), 15);
	TAP_INT(sandbox_int(sb.db, "SELECT tail FROM pgoutbox.ledger_balances WHERE account = 'bank'"), 1);
	TAP_STR(kit_ask(operator, "SELECT pgoutbox.ledger_snapshot('bank')"), "15");
	TAP_STR(kit_ask(operator, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pgoutbox.ledger_snapshot('bank')"), "25000");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.ledger_verify()"), 0);
}

/* Whoever is going to write entries keeps snapshots out from before their ids are drawn. */
static void
snapshot_waits_for_entries_to_come(void)
{
	LEDGER(sb, one, two);

	sandbox_exec(one, "BEGIN");
	sandbox_exec(one, POST("one", "ann", "world", "1"));
	kit_send(two, "SELECT pgoutbox.ledger_post('two', '[{\"account\": \"aaa\", \"amount\": 1}, {\"account\": \"ann\", \"amount\": -1}]')");
	kit_wait_blocked(sb.db, two);
	PGconn *operator __attribute__((cleanup(db_close))) = sandbox_open(sb.super);
	kit_send(operator, "SELECT pgoutbox.ledger_snapshot('aaa')");
	kit_wait_blocked(sb.db, operator);
	sandbox_exec(one, "COMMIT");
	TAP_STR(kit_answer(two), "t");
	TAP_STR(kit_answer(operator), "1");
}

static void
deltas(void)
{
	LEDGER(sb, one, two);
#define DELTAS(from) "SELECT string_agg(concat_ws(' ', kind, subject, delta), ', ' ORDER BY kind, subject) FROM " from

	sandbox_exec(sb.db, "SELECT pgoutbox.ledger_snapshot('ann')");
	sandbox_exec(sb.db, "SET ROLE pg_monitor");
	TAP_STR(kit_ask(sb.db, DELTAS("pgoutbox.ledger_deltas")), "");
	TAP_STR(kit_ask(sb.db, DELTAS("pgoutbox.ledger_verify()")), "");
	sandbox_exec(sb.db, "RESET ROLE; INSERT INTO pgoutbox.ledger_operations VALUES ('forged', now()), ('old', '2020-01-01');"
	                    " INSERT INTO pgoutbox.ledger_entries (operation_id, account, amount) VALUES ('forged', 'bob', -4), ('old', 'bank', 6)");
	TAP_STR(kit_ask(sb.db, DELTAS("pgoutbox.ledger_deltas")), "currency EUR 2, limit bob -4, operation forged -4");
	sandbox_exec(sb.db, "UPDATE pgoutbox.ledger_snapshots SET balance = balance + 1");
	TAP_STR(kit_ask(sb.db, DELTAS("pgoutbox.ledger_verify()")),
	        "currency EUR 3, limit bob -4, operation forged -4, operation old 6, snapshot ann 1");
}

int
main(void)
{
	tap_suite("ledger kit");
	tap_test("an operation is posted once", posts);
	tap_test("what is refused", refusals);
	tap_test("append-only, by trigger and by rights", append_only);
	tap_test("two debits at once: the first rolls back", the_first_debit_rolls_back);
	tap_test("two debits at once: overdraft is refused", overdraft_in_read_committed);
	tap_test("two debits at once: overdraft in repeatable read", overdraft_in_repeatable_read);
	tap_test("the same operation in two sessions", the_same_operation_twice);
	tap_test("locks are taken in one order", one_order_of_locks);
	tap_test("a snapshot waits for entries under way", snapshot_waits_for_late_entries);
	tap_test("a snapshot waits for entries to come", snapshot_waits_for_entries_to_come);
	tap_test("deltas are found", deltas);
	return tap_run();
}
