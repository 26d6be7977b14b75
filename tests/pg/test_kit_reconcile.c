/* test_kit_reconcile.c - sql/kit-reconcile.sql: what the other kits know is seen in one place, whichever of them are there. */
#include <CUnit/CUnit.h>

#include "support/db.h"
#include "support/kit.h"
#include "support/tap.h"

#define ALL                                                                                                                 \
	"SELECT string_agg(concat_ws(' ', kit, name, subject, coalesce(value::float8::text, 'null'), CASE WHEN alarm THEN '!' END), ', ')" \
	" FROM pgoutbox.reconciliation WHERE name <> 'oldest_pending_seconds'"

/* As the operator. */
static const char *
report(struct sandbox *sb)
{
	sandbox_exec(sb->db, "SET ROLE pg_monitor");
	const char *text = kit_ask(sb->db, ALL);
	sandbox_exec(sb->db, "RESET ROLE");
	return text;
}

static void
without_other_kits(void)
{
	SANDBOX(sb);

	kit_install(&sb, "kit-reconcile.sql");
	kit_install(&sb, "kit-reconcile.sql");
	TAP_STR(report(&sb), "");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.stuck"), 0);
	PGconn *app __attribute__((cleanup(db_close))) = sandbox_open(sb.role);
	sandbox_exec(sb.db, "GRANT USAGE ON SCHEMA pgoutbox TO PUBLIC");
	TAP_STR(sandbox_state(app, "SELECT * FROM pgoutbox.reconciliation"), "42501");
	TAP_STR(sandbox_state(app, "SELECT * FROM pgoutbox.stuck_operations()"), "42501");
}

static void
inbox_and_ledger(void)
{
	SANDBOX(sb);

	kit_install(&sb, "kit-reconcile.sql");
	kit_install(&sb, "kit-inbox.sql");
	sandbox_exec(sb.db, "SELECT pgoutbox.inbox_begin('billing', m) FROM unnest('{a,b,c,a}'::text[]) m");
	TAP_STR(report(&sb), "inbox duplicate_rate billing 0.25, inbox duplicates billing 1");
	sandbox_exec(sb.db, "DELETE FROM pgoutbox.processed_messages; UPDATE pgoutbox.inbox_duplicates SET seen_at = '2020-01-01'");
	TAP_STR(report(&sb), "inbox duplicate_rate billing null, inbox duplicates billing 1");
	sandbox_exec(sb.db, "DELETE FROM pgoutbox.inbox_duplicates");
	kit_install(&sb, "kit-ledger.sql");
	TAP_STR(report(&sb), "ledger deltas currency 0, ledger deltas limit 0, ledger deltas operation 0");
	sandbox_exec(sb.db, "SELECT pgoutbox.ledger_open('a', 'EUR'), pgoutbox.ledger_open('b', 'EUR');"
	                    " INSERT INTO pgoutbox.ledger_operations VALUES ('o');"
	                    " INSERT INTO pgoutbox.ledger_entries (operation_id, account, amount) VALUES ('o', 'a', -1), ('o', 'b', -2)");
	TAP_STR(report(&sb), "ledger deltas currency 1 !, ledger deltas limit 2 !, ledger deltas operation 1 !");
}

#define OLDEST "SELECT (value BETWEEN 7200 AND 7300)::int FROM pgoutbox.reconcile() WHERE name = 'oldest_pending_seconds'"

static void
idempotency(void)
{
	SANDBOX(sb);

	kit_install(&sb, "kit-idempotency.sql");
	kit_install(&sb, "kit-reconcile.sql");
	sandbox_exec(sb.db, "SELECT pgoutbox.idempotency_begin('pay', k, f) FROM (VALUES ('a', 'f'), ('b', 'f'), ('b', 'f'), ('b', 'other')) x (k, f)");
	TAP_STR(report(&sb), "idempotency conflicts pay 1, idempotency retry_rate pay 0.5, idempotency stuck pay 0");
	/* long ago is no reason to go unseen */
	sandbox_exec(sb.db, "DELETE FROM pgoutbox.idempotency_repeats;"
	                    " UPDATE pgoutbox.idempotency_keys SET begun_at = now() - interval '2 hours', deadline = now() - interval '1 hour'");
	TAP_STR(report(&sb), "idempotency conflicts pay 0, idempotency retry_rate pay null, idempotency stuck pay 2 !");
	TAP_INT(sandbox_int(sb.db, OLDEST), 1);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.stuck WHERE kit = 'idempotency' AND subject = 'pay' AND operation IN ('a', 'b')"
	                           " AND state = 'in_progress' AND stuck_for > '59 minutes'"), 2);
	sandbox_exec(sb.db, "SELECT pgoutbox.idempotency_complete('pay', k, 1, NULL) FROM unnest('{a,b}'::text[]) k");
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.reconcile() WHERE alarm"), 0);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.stuck"), 0);
}

static void
machines(void)
{
	SANDBOX(sb);

	kit_install(&sb, "kit-machine.sql");
	kit_install(&sb, "kit-reconcile.sql");
	sandbox_exec(sb.db, "INSERT INTO pgoutbox.machine_states VALUES ('m', 'new', 1, true, '1 hour'), ('n', 'new', 1, true, '1 hour');"
	                    " SELECT pgoutbox.machine_start('m', 'i', 'new')");
	TAP_STR(report(&sb), "machine stuck m 0, machine stuck n 0");
	sandbox_exec(sb.db, "UPDATE pgoutbox.machine_items SET entered_at = now() - interval '2 hours', deadline = now() - interval '1 hour'");
	TAP_STR(report(&sb), "machine stuck m 1 !, machine stuck n 0");
	TAP_INT(sandbox_int(sb.db, OLDEST " AND subject = 'm'"), 1);
	TAP_INT(sandbox_int(sb.db, "SELECT count(*) FROM pgoutbox.stuck WHERE kit = 'machine' AND operation = 'i' AND stuck_for > '59 minutes'"), 1);
}

int
main(void)
{
	tap_suite("reconciliation kit");
	tap_test("without other kits there is nothing to say", without_other_kits);
	tap_test("duplicates and ledger deltas", inbox_and_ledger);
	tap_test("requests: retries, stuck, the oldest", idempotency);
	tap_test("state machines: stuck, the oldest", machines);
	return tap_run();
}
