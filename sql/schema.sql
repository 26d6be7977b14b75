-- Schema pgoutbox: what the relay keeps beside the outbox tables of a database. One a database, whatever the number
-- of tables. This is version 1; schema-2.sql makes version 2 of it, and so on. Run it as an administrator, in a transaction. No
-- variables.

CREATE SCHEMA IF NOT EXISTS pgoutbox;
COMMENT ON SCHEMA pgoutbox IS 'kept by pgoutboxctl, used by pgoutboxd';

-- One row: which version of this schema it is. "pgoutboxctl migrate" brings it forward.
CREATE TABLE pgoutbox.meta (
	only_row     boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
	version      integer     NOT NULL,
	installed_at timestamptz NOT NULL DEFAULT now(),
	migrated_at  timestamptz
);
INSERT INTO pgoutbox.meta (version) VALUES (1);

-- One row an outbox table. The number of lanes is part of the index, so it is kept here and nowhere else. The index
-- goes by name: pg_restore loads data before it builds indexes, when its oid does not exist yet.
CREATE TABLE pgoutbox.outbox (
	relation    regclass    PRIMARY KEY,
	lanes       integer     NOT NULL CHECK (lanes BETWEEN 1 AND 64),
	claim_index text        NOT NULL,
	created_at  timestamptz NOT NULL DEFAULT now()
);

-- Events that can never be sent as they are. The row travels in full, so that it survives whatever settles the outbox
-- row.
CREATE TABLE pgoutbox.parked (
	id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	relation    regclass    NOT NULL,
	event_row   bigint      NOT NULL,          -- the id in the outbox table
	key         text,
	topic       text,                          -- where it was to go, as far as that is known
	reason      text        NOT NULL,
	event       jsonb       NOT NULL,          -- the row; of type json as a string
	parked_at   timestamptz NOT NULL DEFAULT now(),
	parked_by   text        NOT NULL DEFAULT session_user,
	state       text        NOT NULL DEFAULT 'parked' CHECK (state IN ('parked', 'retried', 'skipped')),
	resolved_at timestamptz,
	resolved_by text,
	CHECK ((state = 'parked') = (resolved_at IS NULL))
);
-- Which keys are held back is asked again and again; resolved events are history.
CREATE INDEX parked_key ON pgoutbox.parked (relation, key) WHERE state = 'parked';

-- The lane of a key. Its body is inlined into the claim's index and into the claim, which makes both the same
-- expression; hence SQL, not strict, no SET. The body is parsed here, so a key hashes by the database's collation
-- whatever its column has. Events without a key are in lane 0.
CREATE FUNCTION pgoutbox.lane(key text, lanes integer) RETURNS integer
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (coalesce(pg_catalog.hashtext(key), 0) OPERATOR(pg_catalog.&) 2147483647)
		OPERATOR(pg_catalog.%) lanes;

-- The applications that insert evaluate the index, so every role may call it. It tells nothing.
GRANT EXECUTE ON FUNCTION pgoutbox.lane(text, integer) TO PUBLIC;

-- For the trigger of "pgoutboxctl init --notify": wakes the relay up. PostgreSQL sends one notification a transaction,
-- however many statements it has.
CREATE FUNCTION pgoutbox.notify() RETURNS trigger
	LANGUAGE plpgsql
	AS $body$
BEGIN
	PERFORM pg_catalog.pg_notify('pgoutbox', TG_RELID::pg_catalog.text);
	RETURN NULL;
END
$body$;
