-- Inbox kit: a consumer learns, in the transaction of what it does with a message, whether it has done so before.
--
--	psql -v role=shop -v operator=ops -f kit-inbox.sql
--
-- Creates: tables pgoutbox.processed_messages, inbox_duplicates and inbox_duplicates_total; inbox_begin(consumer,
-- message_id) for the consumer; inbox_prune(keep, rows) and the view inbox_counts for the operator.
-- Variables, each a choice: role, which may call inbox_begin; operator, which may prune and read the counts. Run the
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
	IF EXISTS (SELECT FROM pgoutbox.kit WHERE name = 'inbox' AND version > 1) THEN
		RAISE EXCEPTION 'kit "inbox" is installed in a version newer than 1';
	END IF;
END
$body$;
INSERT INTO pgoutbox.kit (name, version) VALUES ('inbox', 1)
	ON CONFLICT (name) DO UPDATE SET version = excluded.version;

-- Not partitioned by time: a unique key over partitions would have to hold the time, and a repeat at another time
-- would be new.
CREATE TABLE IF NOT EXISTS pgoutbox.processed_messages (
	consumer     text        NOT NULL,
	message_id   text        NOT NULL,
	processed_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (consumer, message_id)
);
-- For pruning and for the counts of the last hour, both by this index alone.
CREATE INDEX IF NOT EXISTS processed_messages_at ON pgoutbox.processed_messages (processed_at, consumer);

-- A row a duplicate rather than a counter: consumers that meet duplicates at the same time wait for nothing. Pruning
-- adds old rows up.
CREATE TABLE IF NOT EXISTS pgoutbox.inbox_duplicates (
	id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	consumer   text        NOT NULL,
	message_id text        NOT NULL,
	seen_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS inbox_duplicates_at ON pgoutbox.inbox_duplicates (seen_at);
CREATE TABLE IF NOT EXISTS pgoutbox.inbox_duplicates_total (
	consumer   text   PRIMARY KEY,
	duplicates bigint NOT NULL
);

-- Whether the message is new to this consumer. Where another transaction has begun the same one, this waits for its
-- end: false when it commits, true when it rolls back. Above READ COMMITTED the first case is a serialization failure
-- instead, and the answer comes with the next try.
CREATE OR REPLACE FUNCTION pgoutbox.inbox_begin(consumer text, message_id text) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	INSERT INTO pgoutbox.processed_messages (consumer, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING;
	IF FOUND THEN
		RETURN true;
	END IF;
	INSERT INTO pgoutbox.inbox_duplicates (consumer, message_id) VALUES ($1, $2);
	RETURN false;
END
$body$;

-- Forgets up to so many messages that are older than that, and adds up as many duplicates that are older than an hour.
-- Returns the number of messages: call it, each time in a transaction of its own, until it is 0. What is forgotten is
-- new when it comes again; pgoutbox(7) says how long to keep.
CREATE OR REPLACE FUNCTION pgoutbox.inbox_prune(keep interval, rows integer DEFAULT 1000) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
DECLARE
	pruned bigint;
BEGIN
	IF keep IS NULL OR keep < interval '1 hour' OR rows IS NULL OR rows < 1 THEN
		RAISE EXCEPTION 'messages are kept for an hour at least, and pruned one at least at a time'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	DELETE FROM pgoutbox.processed_messages m
		USING (SELECT o.consumer, o.message_id FROM pgoutbox.processed_messages o WHERE o.processed_at < now() - keep
			ORDER BY o.processed_at LIMIT rows FOR UPDATE SKIP LOCKED) old
		WHERE m.consumer = old.consumer AND m.message_id = old.message_id;
	GET DIAGNOSTICS pruned = ROW_COUNT;
	WITH old AS (
		DELETE FROM pgoutbox.inbox_duplicates d
			USING (SELECT o.id FROM pgoutbox.inbox_duplicates o WHERE o.seen_at < now() - interval '1 hour'
				ORDER BY o.seen_at LIMIT rows FOR UPDATE SKIP LOCKED) x
			WHERE d.id = x.id
			RETURNING d.consumer
	)
	INSERT INTO pgoutbox.inbox_duplicates_total AS t (consumer, duplicates)
		SELECT old.consumer, count(*) FROM old GROUP BY old.consumer ORDER BY old.consumer
		ON CONFLICT (consumer) DO UPDATE SET duplicates = t.duplicates + excluded.duplicates;
	RETURN pruned;
END
$body$;

-- By consumer: duplicates ever, and both kinds in the last hour. It reads the last hour, not the table.
CREATE OR REPLACE VIEW pgoutbox.inbox_counts AS
	SELECT consumer,
		sum(duplicates)::bigint AS duplicates,
		sum(duplicates_1h)::bigint AS duplicates_1h,
		sum(processed_1h)::bigint AS processed_1h
	FROM (
		SELECT consumer, duplicates, 0 AS duplicates_1h, 0 AS processed_1h FROM pgoutbox.inbox_duplicates_total
		UNION ALL
		SELECT consumer, count(*), count(*) FILTER (WHERE seen_at >= now() - interval '1 hour'), 0
			FROM pgoutbox.inbox_duplicates GROUP BY consumer
		UNION ALL
		SELECT consumer, 0, 0, count(*) FROM pgoutbox.processed_messages
			WHERE processed_at >= now() - interval '1 hour' GROUP BY consumer
	) parts
	GROUP BY consumer;

REVOKE ALL ON FUNCTION pgoutbox.inbox_begin(text, text), pgoutbox.inbox_prune(interval, integer) FROM PUBLIC;
\if :{?role}
GRANT USAGE ON SCHEMA pgoutbox TO :"role";
GRANT EXECUTE ON FUNCTION pgoutbox.inbox_begin(text, text) TO :"role";
\endif
\if :{?operator}
GRANT USAGE ON SCHEMA pgoutbox TO :"operator";
GRANT EXECUTE ON FUNCTION pgoutbox.inbox_prune(interval, integer) TO :"operator";
GRANT SELECT ON pgoutbox.inbox_counts TO :"operator";
\endif
COMMIT;
