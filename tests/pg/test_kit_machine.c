/* test_kit_machine.c - sql/kit-machine.sql: legal steps only, one after the other, and nothing pending unseen. */
#include <CUnit/CUnit.h>

#include "support/db.h"
#include "support/kit.h"
#include "support/tap.h"

#define STATES                                                                                                      \
	"INSERT INTO pgoutbox.machine_states (machine, state, rank, is_first, timeout) VALUES"                       \
	" ('payment', 'pending', 1, true, '1 minute'), ('payment', 'sent', 2, false, '1 hour'),"                    \
	" ('payment', 'paid', 3, false, NULL), ('payment', 'failed', 3, false, NULL)"
#define TRANSITION(from, to) "INSERT INTO pgoutbox.machine_transitions VALUES ('payment', '" from "', 0, '" to "', 9)"
#define START(item, state) "SELECT pgoutbox.machine_start('payment', '" item "', '" state "')"
#define MOVE(item, more) "SELECT pgoutbox.machine_move('payment', '" item "', " more ")"

static void
prepare(struct sandbox *sb)
{
	kit_install(sb, "kit-machine.sql");
	sandbox_exec(sb->db, STATES ";" TRANSITION("pending", "sent") ";" TRANSITION("pending", "failed") ";" TRANSITION("sent", "paid")
	             ";" TRANSITION("sent", "failed"));
}

#define MACHINE(sb, one, two)                                                     \
	SANDBOX(sb);                                                              \
	prepare(&sb);                                                             \
	PGconn *one __attribute__((cleanup(db_close), unused)) = sandbox_open(sb.role);   \
	PGconn *two __attribute__((cleanup(db_close), unused)) = sandbox_open(sb.role)

static void
legal_steps(void)
{
	MACHINE(sb, one, two);

	TAP_STR(kit_ask(one, START("p", "sent")), "22023");
	TAP_STR(kit_ask(one, START("p", "pending")), "1");
	TAP_STR(kit_ask(one, START("p", "pending")), "23505");
	TAP_STR(kit_ask(one, MOVE("p", "'paid'")), "55000");
	TAP_STR(kit_ask(one, MOVE("p", "'pending'")), "55000");
	TAP_STR(kit_ask(one, MOVE("p", "'nowhere'")), "55000");
	TAP_STR(kit_ask(one, MOVE("q", "'sent'")), "P0002");
	TAP_STR(kit_ask(one, MOVE("p", "'sent', 2")), "55000");
	TAP_STR(kit_ask(one, MOVE("p", "'sent', 1")), "2");
	TAP_STR(kit_ask(one, MOVE("p", "'sent'")), "55000");
	TAP_STR(kit_ask(one, MOVE("p", "'failed', NULL, 'card expired'")), "3");
	TAP_STR(kit_ask(one, MOVE("p", "'paid'")), "55000");
	TAP_STR(kit_ask(one, "SELECT concat_ws(' ', state, version, deadline) FROM pgoutbox.machine_now('payment', 'p')"), "failed 3");
	TAP_STR(kit_ask(sb.db, "SELECT string_agg(concat_ws(' ', version, from_state, to_state, reason), ', ' ORDER BY version)"
	                       " FROM pgoutbox.machine_history"),
	        "1 pending, 2 pending sent, 3 sent failed card expired");
}

/* What leads back, or out of a final state, is no transition. */
static void
monotonic(void)
{
	MACHINE(sb, one, two);

	TAP_STR(sandbox_state(sb.db, TRANSITION("sent", "pending")), "23514");
	TAP_STR(sandbox_state(sb.db, TRANSITION("sent", "sent")), "23514");
	TAP_STR(sandbox_state(sb.db, TRANSITION("paid", "failed")), "23503");
	TAP_STR(sandbox_state(sb.db, TRANSITION("sent", "nowhere")), "23502");
	TAP_STR(sandbox_state(sb.db, "UPDATE pgoutbox.machine_states SET rank = 3 WHERE state = 'sent'"), "23514");
}

static void
two_movers(const char *end, const char *answer)
{
	MACHINE(sb, one, two);

	sandbox_exec(one, START("p", "pending"));
	sandbox_exec(one, MOVE("p", "'sent'"));
	sandbox_exec(one, "BEGIN");
	TAP_STR_FATAL(kit_ask(one, MOVE("p", "'paid'")), "3");
	kit_send(two, MOVE("p", "'failed'"));
	kit_wait_blocked(sb.db, two);
	sandbox_exec(one, "%s", end);
	TAP_STR(kit_answer(two), answer);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.machine_history WHERE version = 3"), 1);
}

static void
the_first_commits(void)
{
	two_movers("COMMIT", "55000");
}

static void
the_first_rolls_back(void)
{
	two_movers("ROLLBACK", "3");
}

static void
nothing_pending_unseen(void)
{
	MACHINE(sb, one, two);

	sandbox_exec(one, START("p", "pending"));
	sandbox_exec(one, START("q", "pending"));
	sandbox_exec(one, START("r", "pending"));
	sandbox_exec(one, MOVE("r", "'failed'"));
	sandbox_exec(sb.db, "SET ROLE pg_monitor");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.machine_overdue"), 0);
	sandbox_exec(sb.db, "RESET ROLE; UPDATE pgoutbox.machine_items SET deadline = deadline - interval '1 minute'");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.machine_overdue WHERE item IN ('p', 'q')"), 2);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.machine_overdue"), 2);
	/* a step gives it the time of its new state */
	sandbox_exec(one, MOVE("p", "'sent'"));
	TAP_STR(kit_ask(sb.db, "SET ROLE pg_monitor; SELECT string_agg(concat_ws(' ', state, items, overdue), ', ' ORDER BY state)"
	                       " FROM pgoutbox.machine_pending"),
	        "pending 1 1, sent 1 0");
	sandbox_exec(sb.db, "RESET ROLE");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.machine_items WHERE item = 'p' AND deadline BETWEEN"
	                           " now() + interval '50 minutes' AND now() + interval '1 hour'"), 1);
}

static void
versions_of_own_tables(void)
{
	MACHINE(sb, one, two);

	sandbox_exec(sb.db, "CREATE TABLE page (text text, version bigint NOT NULL DEFAULT 1); INSERT INTO page VALUES ('a');"
	                    " GRANT SELECT, UPDATE ON page TO PUBLIC; CREATE TRIGGER guard BEFORE UPDATE ON page FOR EACH ROW"
	                    " EXECUTE FUNCTION pgoutbox.guard_version()");
	sandbox_exec(one, "BEGIN; UPDATE page SET text = 'b', version = 1");
	kit_send(two, "UPDATE page SET text = 'c', version = 1");
	kit_wait_blocked(sb.db, two);
	sandbox_exec(one, "COMMIT");
	TAP_STR(kit_answer(two), "55000");
	TAP_STR(kit_ask(two, "UPDATE page SET text = 'c', version = 2 RETURNING version"), "3");
	TAP_STR(kit_ask(two, "UPDATE page SET text = 'd' RETURNING version"), "4");
}

static void
rights(void)
{
	MACHINE(sb, one, two);

	kit_install(&sb, "kit-machine.sql");
	sandbox_exec(one, START("p", "pending"));
	TAP_STR(sandbox_state(one, "UPDATE pgoutbox.machine_items SET state = 'paid'"), "42501");
	TAP_STR(sandbox_state(one, TRANSITION("pending", "paid")), "42501");
	TAP_STR(sandbox_state(one, "SELECT * FROM pgoutbox.machine_overdue"), "42501");
	TAP_STR(sandbox_state(sb.db, "DELETE FROM pgoutbox.machine_history"), "42501");
	TAP_STR(sandbox_state(sb.db, "UPDATE pgoutbox.machine_history SET who = 'x'"), "42501");
	sandbox_exec(sb.db, "SET ROLE pg_monitor");
	TAP_STR(sandbox_state(sb.db, MOVE("p", "'sent'")), "42501");
}

int
main(void)
{
	tap_suite("state machine kit");
	tap_test("legal steps only", legal_steps);
	tap_test("no transition leads back", monotonic);
	tap_test("two move the same item: the first commits", the_first_commits);
	tap_test("two move the same item: the first rolls back", the_first_rolls_back);
	tap_test("nothing stays pending unseen", nothing_pending_unseen);
	tap_test("versions of the application's own tables", versions_of_own_tables);
	tap_test("rights of application and operator", rights);
	return tap_run();
}
