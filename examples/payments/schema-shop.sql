-- The shop's database: the outbox, the kits, payments and their states, and the customers' accounts.
--
--	psql -d shop -v role=shop -v relay=pgoutboxd -f schema-shop.sql
--
-- Run it once, as a superuser. Variables: role, of the service and of the saga; relay, of pgoutboxd; each a choice:
-- customers, c1 and so on, who have accounts (100); sql, where the kits are, if not ../../sql.

\set ON_ERROR_STOP on
\set QUIET on
\if :{?customers} \else \set customers 100 \endif
\if :{?sql} \else \set sql ../../sql \endif

-- The outbox is the relay's to read, the kits are the application's to call.
\set application :role
\set role :relay
\ir :sql/init.sql
\set role :application
\ir :sql/kit-outbox.sql
\ir :sql/kit-inbox.sql
\ir :sql/kit-idempotency.sql
\ir :sql/kit-ledger.sql
\ir :sql/kit-machine.sql
\ir :sql/kit-reconcile.sql

BEGIN;

-- What was asked for does not change; the state is the machine's, the money is in the ledger. Amounts are in the
-- currency's smallest unit. Whoever updates a row writes the version that he has read.
CREATE TABLE payment (
	id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
	customer   text        NOT NULL,
	amount     bigint      NOT NULL CHECK (amount > 0),
	currency   text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
	charge     uuid        UNIQUE,                        -- the provider's name for it, once it was captured
	version    bigint      NOT NULL DEFAULT 1,
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER payment_version BEFORE UPDATE ON payment FOR EACH ROW EXECUTE FUNCTION pgoutbox.guard_version();

-- One a payment, whatever is delivered twice.
CREATE TABLE notification (
	payment_id  uuid        PRIMARY KEY REFERENCES payment,
	outcome     text        NOT NULL CHECK (outcome IN ('captured', 'failed')),
	notified_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE (charge, version) ON payment TO :"role";
GRANT SELECT, INSERT ON notification TO :"role";

-- reserved, captured, notified; or, where the provider declines, reserved, failed, closed. What stays longer than its
-- timeout is in pgoutbox.machine_overdue.
INSERT INTO pgoutbox.machine_states (machine, state, rank, is_first, timeout) VALUES
	('payment', 'reserved', 1, true,  '5 minutes'),
	('payment', 'captured', 2, false, '5 minutes'),
	('payment', 'failed',   2, false, '5 minutes'),
	('payment', 'notified', 3, false, NULL),
	('payment', 'closed',   3, false, NULL);
INSERT INTO pgoutbox.machine_transitions (machine, from_state, to_state) VALUES
	('payment', 'reserved', 'captured'),
	('payment', 'reserved', 'failed'),
	('payment', 'captured', 'notified'),
	('payment', 'failed',   'closed');

-- A customer's account cannot be overdrawn. The others have no limit, so payments of different customers never wait for
-- each other: only what was reserved comes into "held", and the machine lets it leave once.
SELECT count(pgoutbox.ledger_open(name || ' EUR', 'EUR', NULL)) AS opened
	FROM unnest('{funding, held, merchant}'::text[]) name \gset
SELECT count(pgoutbox.ledger_open(format('customer c%s EUR', n), 'EUR')) AS opened
	FROM generate_series(1, :customers) n \gset
-- Every tenth customer has 200 EUR and runs out of it, the others have 10,000.
SELECT count(pgoutbox.ledger_post('deposit c' || n, jsonb_build_array(
		jsonb_build_object('account', 'funding EUR', 'amount', -cents),
		jsonb_build_object('account', format('customer c%s EUR', n), 'amount', cents)))) AS deposited
	FROM generate_series(1, :customers) n
	CROSS JOIN LATERAL (SELECT CASE n % 10 WHEN 0 THEN 20000 ELSE 1000000 END AS cents) deposit \gset

COMMIT;
