-- The database of the reports: what a consumer makes of the events.
--
--	psql -d reports -v role=reports -f schema-reports.sql
--
-- Run it once. Variables: role, of the consumer; and, a choice, sql, where the kits are, if not ../../sql.

\set ON_ERROR_STOP on
\set QUIET on
\if :{?sql} \else \set sql ../../sql \endif
\ir :sql/kit-inbox.sql

BEGIN;

-- Both tables bear disorder, in two ways. A payment keeps its latest version, so an event that comes late changes
-- nothing. An account adds up what each event moved, in whatever order; a duplicate would be added up too, and only the
-- inbox keeps it out.
CREATE TABLE payment_report (
	payment  text   PRIMARY KEY,
	customer text   NOT NULL,
	amount   bigint NOT NULL,
	currency text   NOT NULL,
	state    text   NOT NULL,
	version  bigint NOT NULL,
	late     bigint NOT NULL DEFAULT 0     -- events that came after a later one
);

CREATE TABLE account_report (
	account text   PRIMARY KEY,
	moved   bigint NOT NULL                -- by all payments so far
);

-- What a new event changes; the caller has asked the inbox. Whichever comes first, the end is the same.
CREATE FUNCTION report_event(event_type text, payment text, customer text, amount bigint, currency text, state text,
		version bigint) RETURNS void
	LANGUAGE sql
	BEGIN ATOMIC
		INSERT INTO payment_report AS r (payment, customer, amount, currency, state, version)
			VALUES ($2, $3, $4, $5, $6, $7)
			ON CONFLICT ON CONSTRAINT payment_report_pkey DO UPDATE SET
				state = CASE WHEN r.version < excluded.version THEN excluded.state ELSE r.state END,
				late = r.late + (r.version > excluded.version)::integer,
				version = greatest(r.version, excluded.version);
		-- in one order for everybody, so that two consumers could not wait for each other
		INSERT INTO account_report AS a (account, moved)
			SELECT m.account, m.moved FROM (VALUES
					('payment.reserved', format('customer %s %s', $3, $5), -$4),
					('payment.reserved', 'held ' || $5, $4),
					('payment.captured', 'held ' || $5, -$4),
					('payment.captured', 'merchant ' || $5, $4),
					('payment.failed', 'held ' || $5, -$4),
					('payment.failed', format('customer %s %s', $3, $5), $4)) m (event_type, account, moved)
				WHERE m.event_type = $1 ORDER BY m.account
			ON CONFLICT ON CONSTRAINT account_report_pkey DO UPDATE SET moved = a.moved + excluded.moved;
	END;

GRANT SELECT, INSERT, UPDATE ON payment_report, account_report TO :"role";
REVOKE ALL ON FUNCTION report_event(text, text, text, bigint, text, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION report_event(text, text, text, bigint, text, text, bigint) TO :"role";

COMMIT;
