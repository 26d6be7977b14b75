-- Ledger kit: double entry, each operation once, nothing ever changed, no account below its limit.
--
--	psql -v role=shop -v operator=ops -f kit-ledger.sql
--
-- Creates: tables pgoutbox.ledger_accounts, ledger_operations, ledger_entries and ledger_snapshots;
-- ledger_open(account, currency, min_balance), ledger_post(operation_id, entries) and ledger_balance(account) for the
-- application; ledger_snapshot(account), ledger_verify() and the views ledger_balances and ledger_deltas for the
-- operator.
-- Variables, each a choice: role, which may open, post and ask for a balance; operator, which may do the rest. Run the
-- file again for each further role.

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
	IF EXISTS (SELECT FROM pgoutbox.kit WHERE name = 'ledger' AND version > 1) THEN
		RAISE EXCEPTION 'kit "ledger" is installed in a version newer than 1';
	END IF;
END
$body$;
INSERT INTO pgoutbox.kit (name, version) VALUES ('ledger', 1)
	ON CONFLICT (name) DO UPDATE SET version = excluded.version;

-- Amounts are in the currency's smallest unit. The version goes up with each debit of an account that has a limit: two
-- of them meet there, whatever their isolation.
CREATE TABLE IF NOT EXISTS pgoutbox.ledger_accounts (
	account     text        PRIMARY KEY,
	currency    text        NOT NULL,
	min_balance bigint,                                   -- NULL = may fall without limit
	version     bigint      NOT NULL DEFAULT 0,
	opened_at   timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS pgoutbox.ledger_operations (
	operation_id text        PRIMARY KEY,
	posted_at    timestamptz NOT NULL DEFAULT now(),
	posted_by    text        NOT NULL DEFAULT session_user
);
CREATE INDEX IF NOT EXISTS ledger_operations_at ON pgoutbox.ledger_operations (posted_at);
CREATE TABLE IF NOT EXISTS pgoutbox.ledger_entries (
	id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	operation_id text   NOT NULL REFERENCES pgoutbox.ledger_operations,
	account      text   NOT NULL REFERENCES pgoutbox.ledger_accounts,
	amount       bigint NOT NULL CHECK (amount <> 0)
);
CREATE INDEX IF NOT EXISTS ledger_entries_account ON pgoutbox.ledger_entries (account, id) INCLUDE (amount);
CREATE INDEX IF NOT EXISTS ledger_entries_operation ON pgoutbox.ledger_entries (operation_id);

-- The sum of an account's entries up to one of them. The balance is this and what came later.
CREATE TABLE IF NOT EXISTS pgoutbox.ledger_snapshots (
	account  text        PRIMARY KEY REFERENCES pgoutbox.ledger_accounts,
	through  bigint      NOT NULL,
	balance  numeric     NOT NULL,
	taken_at timestamptz NOT NULL DEFAULT now()
);

CREATE OR REPLACE FUNCTION pgoutbox.ledger_refuse() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	RAISE EXCEPTION 'table "%" is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege',
		HINT = 'post an operation that corrects the other';
END
$body$;
CREATE OR REPLACE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON pgoutbox.ledger_operations
	FOR EACH STATEMENT EXECUTE FUNCTION pgoutbox.ledger_refuse();
CREATE OR REPLACE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON pgoutbox.ledger_entries
	FOR EACH STATEMENT EXECUTE FUNCTION pgoutbox.ledger_refuse();
-- A limit may be changed, by whoever owns the table; what the entries mean may not.
CREATE OR REPLACE TRIGGER ledger_append_only BEFORE UPDATE OF account, currency ON pgoutbox.ledger_accounts
	FOR EACH STATEMENT EXECUTE FUNCTION pgoutbox.ledger_refuse();

CREATE OR REPLACE VIEW pgoutbox.ledger_balances AS
	SELECT a.account, a.currency, a.min_balance, coalesce(s.balance, 0) + t.amount AS balance, t.entries AS tail
		FROM pgoutbox.ledger_accounts a
		LEFT JOIN pgoutbox.ledger_snapshots s USING (account)
		CROSS JOIN LATERAL (
			SELECT coalesce(sum(e.amount), 0) AS amount, count(*) AS entries FROM pgoutbox.ledger_entries e
				WHERE e.account = a.account AND e.id > coalesce(s.through, 0)
		) t;

-- False where the account was open already on the same terms.
CREATE OR REPLACE FUNCTION pgoutbox.ledger_open(account text, currency text, min_balance bigint DEFAULT 0)
	RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	INSERT INTO pgoutbox.ledger_accounts (account, currency, min_balance) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;
	IF FOUND THEN
		RETURN true;
	END IF;
	IF NOT EXISTS (SELECT FROM pgoutbox.ledger_accounts a
			WHERE a.account = $1 AND a.currency = $2 AND a.min_balance IS NOT DISTINCT FROM $3) THEN
		RAISE EXCEPTION 'account "%" is open on other terms', $1 USING ERRCODE = 'unique_violation';
	END IF;
	RETURN false;
END
$body$;

-- Posts [{"account": "a", "amount": -5}, {"account": "b", "amount": 5}], whose amounts sum to zero in each currency.
-- False where the same operation was posted before; an error where it was posted with other entries. Waits for a
-- transaction that posts the same operation, and for one that debits the same account where that has a limit.
CREATE OR REPLACE FUNCTION pgoutbox.ledger_post(operation_id text, entries jsonb) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
DECLARE
	part  record;
	least bigint;
	after numeric;
BEGIN
	IF jsonb_typeof(entries) IS DISTINCT FROM 'array' OR jsonb_array_length(entries) = 0 THEN
		RAISE EXCEPTION 'an operation is an array of entries' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO pgoutbox.ledger_operations (operation_id) VALUES ($1) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		IF EXISTS (
			SELECT x.account, x.amount, count(*) FROM jsonb_to_recordset(entries) AS x (account text, amount bigint)
				GROUP BY x.account, x.amount
			EXCEPT
			SELECT e.account, e.amount, count(*) FROM pgoutbox.ledger_entries e WHERE e.operation_id = $1
				GROUP BY e.account, e.amount
		) OR jsonb_array_length(entries) <> (SELECT count(*) FROM pgoutbox.ledger_entries e WHERE e.operation_id = $1) THEN
			RAISE EXCEPTION 'operation "%" was posted with other entries', $1 USING ERRCODE = 'unique_violation';
		END IF;
		RETURN false;
	END IF;
	-- In one order for everybody, or two operations could wait for each other. The shared lock is for ledger_snapshot(),
	-- and taken before the entries draw their ids.
	FOR part IN SELECT x.account, sum(x.amount) AS amount
			FROM jsonb_to_recordset(entries) AS x (account text, amount bigint)
			GROUP BY x.account ORDER BY x.account COLLATE "C" LOOP
		SELECT a.min_balance INTO least FROM pgoutbox.ledger_accounts a WHERE a.account = part.account FOR KEY SHARE;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'there is no account "%"', part.account USING ERRCODE = 'foreign_key_violation';
		END IF;
		CONTINUE WHEN least IS NULL OR part.amount >= 0;
		UPDATE pgoutbox.ledger_accounts a SET version = a.version + 1 WHERE a.account = part.account
			RETURNING a.min_balance INTO least;
		SELECT b.balance + part.amount INTO after FROM pgoutbox.ledger_balances b WHERE b.account = part.account;
		IF after < least THEN
			RAISE EXCEPTION 'account "%" would fall to %, below its limit of %', part.account, after, least
				USING ERRCODE = 'check_violation';
		END IF;
	END LOOP;
	INSERT INTO pgoutbox.ledger_entries (operation_id, account, amount)
		SELECT $1, x.account, x.amount FROM jsonb_to_recordset(entries) AS x (account text, amount bigint);
	SELECT a.currency, sum(e.amount) AS amount INTO part
		FROM pgoutbox.ledger_entries e JOIN pgoutbox.ledger_accounts a USING (account)
		WHERE e.operation_id = $1 GROUP BY a.currency HAVING sum(e.amount) <> 0 LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'entries of operation "%" sum to % %', $1, part.amount, part.currency
			USING ERRCODE = 'check_violation', HINT = 'what one account gives another gets';
	END IF;
	RETURN true;
END
$body$;

-- NULL where there is no such account.
CREATE OR REPLACE FUNCTION pgoutbox.ledger_balance(account text) RETURNS numeric
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS 'SELECT b.balance FROM pgoutbox.ledger_balances b WHERE b.account = $1';

-- Adds up what the account has, so that its balance is a short sum again. Waits until nobody is posting to it: an entry
-- under way may have an id below those that are seen. One account a transaction, or operations may wait in a circle.
CREATE OR REPLACE FUNCTION pgoutbox.ledger_snapshot(account text) RETURNS numeric
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
DECLARE
	total numeric;
BEGIN
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'a snapshot of an account is taken in READ COMMITTED' USING ERRCODE = 'invalid_transaction_state';
	END IF;
	PERFORM FROM pgoutbox.ledger_accounts a WHERE a.account = $1 FOR UPDATE;
	INSERT INTO pgoutbox.ledger_snapshots AS s (account, through, balance)
		SELECT b.account, e.id, b.balance FROM pgoutbox.ledger_balances b
			CROSS JOIN LATERAL (SELECT max(l.id) AS id FROM pgoutbox.ledger_entries l WHERE l.account = b.account) e
			WHERE b.account = $1 AND e.id IS NOT NULL
		ON CONFLICT ON CONSTRAINT ledger_snapshots_pkey
			DO UPDATE SET through = excluded.through, balance = excluded.balance, taken_at = now()
		RETURNING s.balance INTO total;
	RETURN total;
END
$body$;

-- What must not be: currencies whose balances do not sum to zero, accounts below their limit, and operations of the
-- last day that do not sum to zero. No row is the good case.
CREATE OR REPLACE VIEW pgoutbox.ledger_deltas AS
	SELECT 'currency' AS kind, b.currency AS subject, sum(b.balance) AS delta FROM pgoutbox.ledger_balances b
		GROUP BY b.currency HAVING sum(b.balance) <> 0
	UNION ALL
	SELECT 'limit', b.account, b.balance - b.min_balance FROM pgoutbox.ledger_balances b WHERE b.balance < b.min_balance
	UNION ALL
	SELECT 'operation', e.operation_id, sum(e.amount)
		FROM pgoutbox.ledger_operations o JOIN pgoutbox.ledger_entries e USING (operation_id)
			JOIN pgoutbox.ledger_accounts a USING (account)
		WHERE o.posted_at >= now() - interval '1 day'
		GROUP BY e.operation_id, a.currency HAVING sum(e.amount) <> 0;

-- The same for all operations ever, and snapshots that are not the sum of their entries. Reads the whole ledger.
CREATE OR REPLACE FUNCTION pgoutbox.ledger_verify() RETURNS TABLE (kind text, subject text, delta numeric)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
	SELECT d.kind, d.subject, d.delta FROM pgoutbox.ledger_deltas d WHERE d.kind <> 'operation'
	UNION ALL
	SELECT 'operation', e.operation_id, sum(e.amount)
		FROM pgoutbox.ledger_entries e JOIN pgoutbox.ledger_accounts a USING (account)
		GROUP BY e.operation_id, a.currency HAVING sum(e.amount) <> 0
	UNION ALL
	SELECT 'snapshot', s.account, s.balance - coalesce(sum(e.amount), 0)
		FROM pgoutbox.ledger_snapshots s
			LEFT JOIN pgoutbox.ledger_entries e ON e.account = s.account AND e.id <= s.through
		GROUP BY s.account, s.balance HAVING s.balance <> coalesce(sum(e.amount), 0)
$body$;

REVOKE ALL ON FUNCTION pgoutbox.ledger_refuse(), pgoutbox.ledger_open(text, text, bigint),
	pgoutbox.ledger_post(text, jsonb), pgoutbox.ledger_balance(text), pgoutbox.ledger_snapshot(text),
	pgoutbox.ledger_verify() FROM PUBLIC;
\if :{?role}
GRANT USAGE ON SCHEMA pgoutbox TO :"role";
GRANT EXECUTE ON FUNCTION pgoutbox.ledger_open(text, text, bigint), pgoutbox.ledger_post(text, jsonb),
	pgoutbox.ledger_balance(text) TO :"role";
\endif
\if :{?operator}
GRANT USAGE ON SCHEMA pgoutbox TO :"operator";
GRANT EXECUTE ON FUNCTION pgoutbox.ledger_snapshot(text), pgoutbox.ledger_verify() TO :"operator";
GRANT SELECT ON pgoutbox.ledger_balances, pgoutbox.ledger_deltas TO :"operator";
\endif
COMMIT;
