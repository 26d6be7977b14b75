-- Reconciliation kit: one query over the other kits that says what is stuck, what does not add up, and what repeats.
--
--	psql -v operator=ops -f kit-reconcile.sql
--
-- Creates: functions pgoutbox.reconcile() and stuck_operations(), and the views reconciliation and stuck of the same.
-- They look at the kits that are installed when they are called, whichever came first.
-- Variable, a choice: operator, which may call them and read the views. Run the file again for each further role.

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;

BEGIN;
SET LOCAL lock_timeout = '5s';
CREATE SCHEMA IF NOT EXISTS pgoutbox;

-- One row a kit. A file that is run again brings its kit to the file's version, never back.
CREATE TABLE IF NOT EXISTS pgoutbox.kit (
	name         text        PRIMARY KEY,
	version      integer     NOT NULL,
	installed_at timestamptz NOT NULL DEFAULT now()
);
DO $body$
BEGIN
	IF EXISTS (SELECT FROM pgoutbox.kit WHERE name = 'reconcile' AND version > 1) THEN
		RAISE EXCEPTION 'kit "reconcile" is installed in a version newer than 1';
	END IF;
END
$body$;
INSERT INTO pgoutbox.kit (name, version) VALUES ('reconcile', 1)
	ON CONFLICT (name) DO UPDATE SET version = excluded.version;

-- Requests whose owners should have completed, and items that stay longer than their states allow; the oldest first.
CREATE OR REPLACE FUNCTION pgoutbox.stuck_operations()
	RETURNS TABLE (kit text, subject text, operation text, state text, since timestamptz, stuck_for interval)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	IF to_regclass('pgoutbox.idempotency_stuck') IS NOT NULL THEN
		RETURN QUERY EXECUTE $query$
			SELECT 'idempotency', scope, key, 'in_progress', begun_at, now() - deadline
				FROM pgoutbox.idempotency_stuck ORDER BY begun_at $query$;
	END IF;
	IF to_regclass('pgoutbox.machine_overdue') IS NOT NULL THEN
		RETURN QUERY EXECUTE $query$
			SELECT 'machine', machine, item, state, entered_at, overdue_for
				FROM pgoutbox.machine_overdue ORDER BY entered_at $query$;
	END IF;
END
$body$;

-- Numbers, each with its kit, name and subject: few enough for a metric each. A row with alarm wants a person. Rates
-- are of the last hour, between 0 and 1, and NULL where nothing came.
CREATE OR REPLACE FUNCTION pgoutbox.reconcile()
	RETURNS TABLE (kit text, name text, subject text, value numeric, alarm boolean)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	IF to_regclass('pgoutbox.inbox_counts') IS NOT NULL THEN
		RETURN QUERY EXECUTE $query$
			SELECT 'inbox', v.name, c.consumer, v.value, false
				FROM pgoutbox.inbox_counts c CROSS JOIN LATERAL (VALUES
					('duplicates', c.duplicates::numeric),
					('duplicate_rate', round(c.duplicates_1h::numeric
						/ nullif(c.duplicates_1h + c.processed_1h, 0), 6))) v (name, value)
				ORDER BY 3, 2 $query$;
	END IF;
	IF to_regclass('pgoutbox.idempotency_counts') IS NOT NULL THEN
		RETURN QUERY EXECUTE $query$
			WITH pending AS (
				SELECT k.scope, count(*) FILTER (WHERE k.deadline <= now()) AS stuck, min(k.begun_at) AS oldest
					FROM pgoutbox.idempotency_keys k WHERE k.state = 'in_progress' GROUP BY k.scope
			), scopes AS (
				SELECT scope, c.conflicts, c.repeats_1h, c.begun_1h, coalesce(p.stuck, 0) AS stuck, p.oldest
					FROM pgoutbox.idempotency_counts c FULL JOIN pending p USING (scope)
			)
			SELECT 'idempotency', v.name, s.scope, v.value, v.name = 'stuck' AND v.value > 0
				FROM scopes s CROSS JOIN LATERAL (VALUES
					('conflicts', coalesce(s.conflicts, 0)::numeric),
					('retry_rate', round(s.repeats_1h::numeric / nullif(s.repeats_1h + s.begun_1h, 0), 6)),
					('stuck', s.stuck::numeric),
					('oldest_pending_seconds', coalesce(round(extract(epoch FROM now() - s.oldest)::numeric, 3), 0))
				) v (name, value)
				ORDER BY 3, 2 $query$;
	END IF;
	IF to_regclass('pgoutbox.machine_pending') IS NOT NULL THEN
		RETURN QUERY EXECUTE $query$
			SELECT 'machine', v.name, m.machine, v.value, v.name = 'stuck' AND v.value > 0
				FROM (SELECT s.machine, coalesce(sum(p.overdue), 0) AS stuck, min(p.oldest_entered_at) AS oldest
					FROM (SELECT DISTINCT machine FROM pgoutbox.machine_states) s
						LEFT JOIN pgoutbox.machine_pending p USING (machine)
					GROUP BY s.machine) m
				CROSS JOIN LATERAL (VALUES
					('stuck', m.stuck::numeric),
					('oldest_pending_seconds', coalesce(round(extract(epoch FROM now() - m.oldest)::numeric, 3), 0))
				) v (name, value)
				ORDER BY 3, 2 $query$;
	END IF;
	IF to_regclass('pgoutbox.ledger_deltas') IS NOT NULL THEN
		RETURN QUERY EXECUTE $query$
			SELECT 'ledger', 'deltas', k.kind, count(d.kind)::numeric, count(d.kind) > 0
				FROM (VALUES ('currency'), ('limit'), ('operation')) k (kind)
					LEFT JOIN pgoutbox.ledger_deltas d ON d.kind = k.kind
				GROUP BY k.kind ORDER BY k.kind $query$;
	END IF;
END
$body$;

CREATE OR REPLACE VIEW pgoutbox.stuck AS SELECT * FROM pgoutbox.stuck_operations();
CREATE OR REPLACE VIEW pgoutbox.reconciliation AS SELECT * FROM pgoutbox.reconcile();

REVOKE ALL ON FUNCTION pgoutbox.stuck_operations(), pgoutbox.reconcile() FROM PUBLIC;
\if :{?operator}
GRANT USAGE ON SCHEMA pgoutbox TO :"operator";
GRANT EXECUTE ON FUNCTION pgoutbox.stuck_operations(), pgoutbox.reconcile() TO :"operator";
GRANT SELECT ON pgoutbox.stuck, pgoutbox.reconciliation TO :"operator";
\endif
COMMIT;
