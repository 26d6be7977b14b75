-- Outbox kit: one call that writes an event. For a table as "pgoutboxctl init" makes it.
--
--	psql -v role=shop -f kit-outbox.sql
--
-- Creates: pgoutbox.emit(aggregate_type, aggregate_id, event_type, payload, headers), pgoutbox.event_headers(headers).
-- Variables, each a choice: role, which may call them, and then needs no right on the table (run the file again for
-- each further role); schema and table of the outbox; function, another name than emit, for a second outbox.

\set ON_ERROR_STOP on
\set QUIET on
\if :{?schema} \else \set schema public \endif
\if :{?table} \else \set table outbox_events \endif
\if :{?function} \else \set function emit \endif
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
	IF EXISTS (SELECT FROM pgoutbox.kit WHERE name = 'outbox' AND version > 1) THEN
		RAISE EXCEPTION 'kit "outbox" is installed in a version newer than 1';
	END IF;
END
$body$;
INSERT INTO pgoutbox.kit (name, version) VALUES ('outbox', 1)
	ON CONFLICT (name) DO UPDATE SET version = excluded.version;

-- What goes into column headers: those of the session's request, and over them those of the caller. Headers that
-- pgoutboxd could only park are refused here, where the mistake is made. NULL when there are none.
CREATE OR REPLACE FUNCTION pgoutbox.event_headers(headers jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $body$
DECLARE
	all_headers jsonb := jsonb_strip_nulls(jsonb_build_object(
		'request_id', nullif(current_setting('pgoutbox.request_id', true), ''),
		'traceparent', nullif(current_setting('pgoutbox.traceparent', true), '')));
	wrong text;
BEGIN
	IF jsonb_typeof(headers) <> 'object' THEN
		RAISE EXCEPTION 'headers of an event are not an object' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT h.key INTO wrong FROM jsonb_each(headers) h
		WHERE h.key IN ('id', 'type') OR jsonb_typeof(h.value) IN ('object', 'array') LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'header "%" of an event cannot be sent', wrong USING ERRCODE = 'invalid_parameter_value',
			HINT = 'headers are flat, and "id" and "type" are set by pgoutboxd';
	END IF;
	all_headers := all_headers || coalesce(headers, '{}');
	RETURN nullif(all_headers, '{}');
END
$body$;

-- The body is bound to the table here and now, so neither its name nor a search_path is looked at later. Payload and
-- headers have the types that the table has.
SELECT format_type(p.atttypid, p.atttypmod) AS payload_type, format_type(h.atttypid, h.atttypmod) AS headers_type
	FROM pg_attribute p JOIN pg_attribute h USING (attrelid)
	WHERE p.attrelid = format('%I.%I', :'schema', :'table')::regclass AND p.attname = 'payload' AND h.attname = 'headers'
\gset
CREATE OR REPLACE FUNCTION pgoutbox.:"function"(aggregate_type text, aggregate_id text, event_type text,
		payload :payload_type DEFAULT NULL, headers jsonb DEFAULT NULL) RETURNS uuid
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	BEGIN ATOMIC
		INSERT INTO :"schema".:"table" (aggregate_type, aggregate_id, event_type, payload, headers)
			VALUES ($1, $2, $3, $4, CAST(pgoutbox.event_headers($5) AS :headers_type))
			RETURNING event_id;
	END;
REVOKE ALL ON FUNCTION pgoutbox.event_headers(jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgoutbox.:"function"(text, text, text, :payload_type, jsonb) FROM PUBLIC;
\if :{?role}
GRANT USAGE ON SCHEMA pgoutbox TO :"role";
GRANT EXECUTE ON FUNCTION pgoutbox.:"function"(text, text, text, :payload_type, jsonb) TO :"role";
\endif
COMMIT;
