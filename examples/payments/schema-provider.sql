-- The provider's database: what it charged and declined, and the keys that keep it from charging twice.
--
--	psql -d provider -v role=provider -f schema-provider.sql
--
-- Run it once. Variables: role, of the provider; and, a choice, sql, where the kits are, if not ../../sql.

\set ON_ERROR_STOP on
\set QUIET on
\if :{?sql} \else \set sql ../../sql \endif
\ir :sql/kit-idempotency.sql

BEGIN;

-- The payment is the shop's name for it, and on purpose not unique: two charges under two keys are two charges, and the
-- settlement shows them.
CREATE TABLE charge (
	id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
	payment    text        NOT NULL,
	amount     bigint      NOT NULL CHECK (amount > 0),
	currency   text        NOT NULL,
	state      text        NOT NULL CHECK (state IN ('charged', 'declined')),
	created_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON charge TO :"role";

COMMIT;
