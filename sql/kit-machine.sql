-- State machine kit: things that move through states by legal steps only, forward only, and never stay pending unseen.
--
--	psql -v role=shop -v operator=ops -f kit-machine.sql
--
-- Creates: tables pgoutbox.machine_states, machine_transitions, machine_items and machine_history;
-- machine_start(machine, item, state), machine_move(machine, item, to_state, version, reason) and machine_now(machine,
-- item) for the application; the views machine_overdue and machine_pending for the operator; guard_version(), a trigger
-- for the application's own tables.
-- The owner writes states and transitions into the first two tables. Variables, each a choice: role, which may start,
-- move and ask; operator, which may read the views. Run the file again for each further role.

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
	IF EXISTS (SELECT FROM pgoutbox.kit WHERE name = 'machine' AND version > 1) THEN
		RAISE EXCEPTION 'kit "machine" is installed in a version newer than 1';
	END IF;
END
$body$;
INSERT INTO pgoutbox.kit (name, version) VALUES ('machine', 1)
	ON CONFLICT (name) DO UPDATE SET version = excluded.version;

-- A state is final, or says how long an item may stay in it.
CREATE TABLE IF NOT EXISTS pgoutbox.machine_states (
	machine  text     NOT NULL,
	state    text     NOT NULL,
	rank     integer  NOT NULL,
	is_first boolean  NOT NULL DEFAULT false,             -- items may start here
	timeout  interval CHECK (timeout > interval '0'),     -- NULL = final
	PRIMARY KEY (machine, state),
	UNIQUE (machine, state, rank)
);
-- Each step leads to a higher rank: no item comes back, and each comes to an end. From final states there is none.
CREATE TABLE IF NOT EXISTS pgoutbox.machine_transitions (
	machine    text    NOT NULL,
	from_state text    NOT NULL,
	from_rank  integer NOT NULL,
	to_state   text    NOT NULL,
	to_rank    integer NOT NULL,
	PRIMARY KEY (machine, from_state, to_state),
	FOREIGN KEY (machine, from_state, from_rank) REFERENCES pgoutbox.machine_states (machine, state, rank)
		ON UPDATE CASCADE,
	FOREIGN KEY (machine, to_state, to_rank) REFERENCES pgoutbox.machine_states (machine, state, rank)
		ON UPDATE CASCADE,
	CHECK (from_rank < to_rank)
);
CREATE TABLE IF NOT EXISTS pgoutbox.machine_items (
	machine    text        NOT NULL,
	item       text        NOT NULL,
	state      text        NOT NULL,
	version    bigint      NOT NULL DEFAULT 1,
	entered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	deadline   timestamptz,                               -- NULL = in a final state
	PRIMARY KEY (machine, item),
	FOREIGN KEY (machine, state) REFERENCES pgoutbox.machine_states
);
CREATE INDEX IF NOT EXISTS machine_items_deadline ON pgoutbox.machine_items (deadline) WHERE deadline IS NOT NULL;
CREATE TABLE IF NOT EXISTS pgoutbox.machine_history (
	machine    text        NOT NULL,
	item       text        NOT NULL,
	version    bigint      NOT NULL,
	from_state text,
	to_state   text        NOT NULL,
	reason     text,
	at         timestamptz NOT NULL DEFAULT clock_timestamp(),
	who        text        NOT NULL DEFAULT session_user,
	PRIMARY KEY (machine, item, version)
);

-- Ranks are those of the states, so nobody has to repeat them.
CREATE OR REPLACE FUNCTION pgoutbox.machine_ranks() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	SELECT s.rank INTO NEW.from_rank FROM pgoutbox.machine_states s
		WHERE s.machine = NEW.machine AND s.state = NEW.from_state AND s.timeout IS NOT NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'machine "%" has no state "%" that can be left', NEW.machine, NEW.from_state
			USING ERRCODE = 'foreign_key_violation', HINT = 'a state without a timeout is final';
	END IF;
	SELECT s.rank INTO NEW.to_rank FROM pgoutbox.machine_states s
		WHERE s.machine = NEW.machine AND s.state = NEW.to_state;
	RETURN NEW;
END
$body$;
CREATE OR REPLACE TRIGGER machine_ranks BEFORE INSERT ON pgoutbox.machine_transitions
	FOR EACH ROW EXECUTE FUNCTION pgoutbox.machine_ranks();

CREATE OR REPLACE FUNCTION pgoutbox.machine_refuse() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	RAISE EXCEPTION 'table "%" is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$body$;
CREATE OR REPLACE TRIGGER machine_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON pgoutbox.machine_history
	FOR EACH STATEMENT EXECUTE FUNCTION pgoutbox.machine_refuse();

-- Returns version 1. A unique violation where the item was started before.
CREATE OR REPLACE FUNCTION pgoutbox.machine_start(machine text, item text, state text) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	INSERT INTO pgoutbox.machine_items (machine, item, state, deadline)
		SELECT s.machine, $2, s.state, clock_timestamp() + s.timeout FROM pgoutbox.machine_states s
			WHERE s.machine = $1 AND s.state = $3 AND s.is_first;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'nothing starts in state "%" of machine "%"', $3, $1 USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO pgoutbox.machine_history (machine, item, version, to_state) VALUES ($1, $2, 1, $3);
	RETURN 1;
END
$body$;

-- Makes a legal step and returns the item's new version. Two that move the same item meet at its row: the later one is
-- judged by the state that the earlier one left, and by its version, if the caller says which one it has seen.
CREATE OR REPLACE FUNCTION pgoutbox.machine_move(machine text, item text, to_state text, version bigint DEFAULT NULL,
		reason text DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
DECLARE
	i pgoutbox.machine_items;
BEGIN
	SELECT * INTO i FROM pgoutbox.machine_items x WHERE x.machine = $1 AND x.item = $2 FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'machine "%" has no item "%"', $1, $2 USING ERRCODE = 'no_data_found';
	END IF;
	IF $4 <> i.version THEN
		RAISE EXCEPTION 'item "%" is at version %, not %', $2, i.version, $4
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'read it again: somebody else has moved it';
	END IF;
	IF NOT EXISTS (SELECT FROM pgoutbox.machine_transitions t
			WHERE t.machine = $1 AND t.from_state = i.state AND t.to_state = $3) THEN
		RAISE EXCEPTION 'item "%" cannot go from "%" to "%"', $2, i.state, $3
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	UPDATE pgoutbox.machine_items x
		SET state = $3, version = i.version + 1, entered_at = clock_timestamp(),
			deadline = clock_timestamp() + (SELECT s.timeout FROM pgoutbox.machine_states s
				WHERE s.machine = $1 AND s.state = $3)
		WHERE x.machine = $1 AND x.item = $2;
	INSERT INTO pgoutbox.machine_history (machine, item, version, from_state, to_state, reason)
		VALUES ($1, $2, i.version + 1, i.state, $3, $5);
	RETURN i.version + 1;
END
$body$;

-- Nothing where there is no such item.
CREATE OR REPLACE FUNCTION pgoutbox.machine_now(machine text, item text, OUT state text, OUT version bigint,
		OUT deadline timestamptz)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS 'SELECT i.state, i.version, i.deadline FROM pgoutbox.machine_items i WHERE i.machine = $1 AND i.item = $2';

-- What stays longer than its state allows, and what is under way at all.
CREATE OR REPLACE VIEW pgoutbox.machine_overdue AS
	SELECT machine, item, state, version, entered_at, deadline, now() - deadline AS overdue_for
		FROM pgoutbox.machine_items WHERE deadline <= now();
CREATE OR REPLACE VIEW pgoutbox.machine_pending AS
	SELECT machine, state, count(*) AS items, count(*) FILTER (WHERE deadline <= now()) AS overdue,
			min(entered_at) AS oldest_entered_at
		FROM pgoutbox.machine_items WHERE deadline IS NOT NULL GROUP BY machine, state;

-- For a table of the application with a column version: whoever updates a row writes the version that he has read, and
-- fails where another was faster. BEFORE UPDATE ... FOR EACH ROW EXECUTE FUNCTION pgoutbox.guard_version()
CREATE OR REPLACE FUNCTION pgoutbox.guard_version() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	IF NEW.version IS DISTINCT FROM OLD.version THEN
		RAISE EXCEPTION 'row of table "%" is at version %, not %', TG_TABLE_NAME, OLD.version, NEW.version
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'read it again: somebody else has changed it';
	END IF;
	NEW.version := OLD.version + 1;
	RETURN NEW;
END
$body$;

REVOKE ALL ON FUNCTION pgoutbox.machine_ranks(), pgoutbox.machine_refuse(), pgoutbox.machine_start(text, text, text),
	pgoutbox.machine_move(text, text, text, bigint, text), pgoutbox.machine_now(text, text), pgoutbox.guard_version()
	FROM PUBLIC;
\if :{?role}
GRANT USAGE ON SCHEMA pgoutbox TO :"role";
GRANT EXECUTE ON FUNCTION pgoutbox.machine_start(text, text, text),
	pgoutbox.machine_move(text, text, text, bigint, text), pgoutbox.machine_now(text, text), pgoutbox.guard_version()
	TO :"role";
\endif
\if :{?operator}
GRANT USAGE ON SCHEMA pgoutbox TO :"operator";
GRANT SELECT ON pgoutbox.machine_overdue, pgoutbox.machine_pending TO :"operator";
\endif
COMMIT;
