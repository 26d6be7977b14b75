-- Version 2 of schema pgoutbox, from version 1: what operators order, and what they did. "pgoutboxctl init" runs it
-- behind schema.sql, "pgoutboxctl migrate" on a database that has version 1. No variables.

-- An index of the table that is none of the claim's: one that is being built for another number of lanes, or that a
-- change of lanes left behind. Whoever changes them next drops it.
ALTER TABLE pgoutbox.outbox ADD COLUMN spare_index text;

-- What is not to be relayed for now. The relays read it; an ended pause is history.
CREATE TABLE pgoutbox.pause (
	id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	relation   regclass    NOT NULL,
	scope      text        NOT NULL CHECK (scope IN ('all', 'lane', 'topic')),
	value      text        CHECK ((value IS NULL) = (scope = 'all')), -- the lane's number, or the topic
	reason     text        NOT NULL,
	paused_at  timestamptz NOT NULL DEFAULT now(),
	paused_by  text        NOT NULL DEFAULT session_user,
	resumed_at timestamptz,
	resumed_by text        CHECK ((resumed_by IS NULL) = (resumed_at IS NULL))
);
CREATE UNIQUE INDEX pause_active ON pgoutbox.pause (relation, scope, (coalesce(value, ''))) WHERE resumed_at IS NULL;

-- Every act of an operator that changes what is relayed, written in the transaction of the act.
CREATE TABLE pgoutbox.audit (
	id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at       timestamptz NOT NULL DEFAULT now(),
	who      text        NOT NULL DEFAULT session_user,
	verb     text        NOT NULL,
	relation regclass    NOT NULL,
	detail   jsonb       NOT NULL DEFAULT '{}'
);

-- Whoever may read which outboxes there are, the relays that is, may read what is paused.
DO $body$
DECLARE
	reader text;
BEGIN
	FOR reader IN
		SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END
		FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) x
		WHERE c.oid = 'pgoutbox.outbox'::pg_catalog.regclass AND x.privilege_type = 'SELECT' AND x.grantee <> c.relowner
	LOOP
		EXECUTE 'GRANT SELECT ON pgoutbox.pause TO ' || reader;
	END LOOP;
END
$body$;

UPDATE pgoutbox.meta SET version = 2;
