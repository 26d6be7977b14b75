-- Idempotency kit: a request that is sent again gets the answer of the first, and its change happens once.
--
--	psql -v role=shop -v operator=ops -f kit-idempotency.sql
--
-- Creates: tables pgoutbox.idempotency_keys, idempotency_repeats and idempotency_repeats_total;
-- idempotency_begin(scope, key, fingerprint, takeover_after, keep), idempotency_complete(scope, key, attempt, response)
-- and idempotency_release(scope, key, attempt) for the application; idempotency_prune(rows) and the views
-- idempotency_counts and idempotency_stuck for the operator.
-- Variables, each a choice: role, which may begin, complete and release; operator, which may prune and read the views.
-- Run the file again for each further role.

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
	IF EXISTS (SELECT FROM pgoutbox.kit WHERE name = 'idempotency' AND version > 1) THEN
		RAISE EXCEPTION 'kit "idempotency" is installed in a version newer than 1';
	END IF;
END
$body$;
INSERT INTO pgoutbox.kit (name, version) VALUES ('idempotency', 1)
	ON CONFLICT (name) DO UPDATE SET version = excluded.version;

-- The attempt is the owner's token: whoever takes a key over raises it, and the former owner can complete no more.
CREATE TABLE IF NOT EXISTS pgoutbox.idempotency_keys (
	scope        text        NOT NULL,                    -- whose keys: a client, an endpoint
	key          text        NOT NULL,
	fingerprint  text        NOT NULL,                    -- of the request, a hash of its body
	state        text        NOT NULL DEFAULT 'in_progress' CHECK (state IN ('in_progress', 'completed')),
	attempt      bigint      NOT NULL DEFAULT 1,
	begun_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
	deadline     timestamptz NOT NULL,                    -- from when on another may take it over
	keep         interval    NOT NULL,
	response     jsonb,
	completed_at timestamptz,
	expires_at   timestamptz,
	PRIMARY KEY (scope, key),
	CHECK ((state = 'completed') = (completed_at IS NOT NULL AND expires_at IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS idempotency_keys_expiry ON pgoutbox.idempotency_keys (expires_at) WHERE state = 'completed';
CREATE INDEX IF NOT EXISTS idempotency_keys_pending ON pgoutbox.idempotency_keys (begun_at) WHERE state = 'in_progress';
CREATE INDEX IF NOT EXISTS idempotency_keys_begun ON pgoutbox.idempotency_keys (begun_at, scope);

-- A row for each request that was not new, and each takeover. Pruning adds old rows up.
CREATE TABLE IF NOT EXISTS pgoutbox.idempotency_repeats (
	id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	scope   text        NOT NULL,
	answer  text        NOT NULL,
	seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS idempotency_repeats_at ON pgoutbox.idempotency_repeats (seen_at);
CREATE TABLE IF NOT EXISTS pgoutbox.idempotency_repeats_total (
	scope   text   NOT NULL,
	answer  text   NOT NULL,
	repeats bigint NOT NULL,
	PRIMARY KEY (scope, answer)
);

-- The answer is one of
--	new          go on, and complete with this attempt; above 1 a former owner died or gave up, and may have acted
--	             outside of the database
--	completed    here is the response
--	in_progress  somebody is at it; ask again after retry_after
--	conflict     the key was used for another request
-- Where a transaction that has begun or completed the same key is still open, this waits for its end. A key whose
-- response has expired is new, for whatever request.
CREATE OR REPLACE FUNCTION pgoutbox.idempotency_begin(scope text, key text, fingerprint text,
		takeover_after interval DEFAULT '1 minute', keep interval DEFAULT '1 day',
		OUT answer text, OUT attempt bigint, OUT response jsonb, OUT retry_after interval)
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
#variable_conflict use_column
DECLARE
	k   pgoutbox.idempotency_keys;
	at  timestamptz;
BEGIN
	IF takeover_after IS NULL OR takeover_after <= interval '0' OR keep IS NULL OR keep <= interval '0' THEN
		RAISE EXCEPTION 'takeover_after and keep are not above 0' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	LOOP
		INSERT INTO pgoutbox.idempotency_keys (scope, key, fingerprint, deadline, keep)
			VALUES ($1, $2, $3, clock_timestamp() + takeover_after, $5) ON CONFLICT DO NOTHING;
		IF FOUND THEN
			answer := 'new';
			attempt := 1;
			RETURN;
		END IF;
		SELECT * INTO k FROM pgoutbox.idempotency_keys i WHERE i.scope = $1 AND i.key = $2 FOR UPDATE;
		-- it may have been pruned in between
		EXIT WHEN FOUND;
	END LOOP;
	-- not the transaction's time: it may have waited for the row
	at := clock_timestamp();
	answer := CASE
		WHEN k.state = 'completed' AND k.expires_at <= at THEN 'new'
		WHEN k.fingerprint IS DISTINCT FROM $3 THEN 'conflict'
		WHEN k.state = 'completed' THEN 'completed'
		WHEN k.deadline <= at THEN 'new'
		ELSE 'in_progress' END;
	IF answer = 'new' THEN
		UPDATE pgoutbox.idempotency_keys i SET fingerprint = $3, state = 'in_progress',
				attempt = i.attempt + 1, deadline = at + takeover_after, keep = $5, response = NULL,
				begun_at = CASE i.state WHEN 'completed' THEN at ELSE i.begun_at END,
				completed_at = NULL, expires_at = NULL
			WHERE i.scope = $1 AND i.key = $2
			RETURNING i.attempt INTO attempt;
	ELSIF answer = 'completed' THEN
		response := k.response;
	ELSIF answer = 'in_progress' THEN
		retry_after := k.deadline - at;
	END IF;
	IF answer <> 'new' OR k.state = 'in_progress' THEN
		INSERT INTO pgoutbox.idempotency_repeats (scope, answer)
			VALUES ($1, CASE answer WHEN 'new' THEN 'takeover' ELSE answer END);
	END IF;
END
$body$;

-- In the transaction of the change, as its last statement. Fails where the key was taken over, and the change with it.
CREATE OR REPLACE FUNCTION pgoutbox.idempotency_complete(scope text, key text, attempt bigint, response jsonb)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	UPDATE pgoutbox.idempotency_keys k SET state = 'completed', response = $4, completed_at = clock_timestamp(),
			expires_at = clock_timestamp() + k.keep
		WHERE k.scope = $1 AND k.key = $2 AND k.attempt = $3 AND k.state = 'in_progress';
	IF NOT FOUND THEN
		RAISE EXCEPTION 'attempt % does not own the idempotency key', $3
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'it was completed or taken over: roll back, and begin again to learn the response';
	END IF;
END
$body$;

-- Gives a key up that nothing came of, so that the next request need not wait for the deadline.
CREATE OR REPLACE FUNCTION pgoutbox.idempotency_release(scope text, key text, attempt bigint) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	UPDATE pgoutbox.idempotency_keys k SET deadline = clock_timestamp()
		WHERE k.scope = $1 AND k.key = $2 AND k.attempt = $3 AND k.state = 'in_progress';
	RETURN FOUND;
END
$body$;

-- Forgets up to so many keys whose responses have expired, and adds up as many repeats that are older than an hour.
-- Returns the number of keys: call it, each time in a transaction of its own, until it is 0. Keys in progress stay.
CREATE OR REPLACE FUNCTION pgoutbox.idempotency_prune(rows integer DEFAULT 1000) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
DECLARE
	pruned bigint;
BEGIN
	IF rows IS NULL OR rows < 1 THEN
		RAISE EXCEPTION 'keys are pruned one at least at a time' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	DELETE FROM pgoutbox.idempotency_keys k
		USING (SELECT o.scope, o.key FROM pgoutbox.idempotency_keys o
			WHERE o.state = 'completed' AND o.expires_at <= now()
			ORDER BY o.expires_at LIMIT rows FOR UPDATE SKIP LOCKED) old
		WHERE k.scope = old.scope AND k.key = old.key;
	GET DIAGNOSTICS pruned = ROW_COUNT;
	WITH old AS (
		DELETE FROM pgoutbox.idempotency_repeats r
			USING (SELECT o.id FROM pgoutbox.idempotency_repeats o WHERE o.seen_at < now() - interval '1 hour'
				ORDER BY o.seen_at LIMIT rows FOR UPDATE SKIP LOCKED) x
			WHERE r.id = x.id
			RETURNING r.scope, r.answer
	)
	INSERT INTO pgoutbox.idempotency_repeats_total AS t (scope, answer, repeats)
		SELECT old.scope, old.answer, count(*) FROM old GROUP BY old.scope, old.answer ORDER BY old.scope, old.answer
		ON CONFLICT (scope, answer) DO UPDATE SET repeats = t.repeats + excluded.repeats;
	RETURN pruned;
END
$body$;

-- By scope: requests so far that were answered from the key, refused, or told to wait, and takeovers; and all
-- repeats and first requests of the last hour.
CREATE OR REPLACE VIEW pgoutbox.idempotency_counts AS
	SELECT scope,
		coalesce(sum(repeats) FILTER (WHERE answer = 'completed'), 0)::bigint AS duplicates,
		coalesce(sum(repeats) FILTER (WHERE answer = 'conflict'), 0)::bigint AS conflicts,
		coalesce(sum(repeats) FILTER (WHERE answer = 'in_progress'), 0)::bigint AS in_progress,
		coalesce(sum(repeats) FILTER (WHERE answer = 'takeover'), 0)::bigint AS takeovers,
		sum(repeats_1h)::bigint AS repeats_1h,
		sum(begun_1h)::bigint AS begun_1h
	FROM (
		SELECT scope, answer, repeats, 0 AS repeats_1h, 0 AS begun_1h FROM pgoutbox.idempotency_repeats_total
		UNION ALL
		SELECT scope, answer, count(*), count(*) FILTER (WHERE seen_at >= now() - interval '1 hour'), 0
			FROM pgoutbox.idempotency_repeats GROUP BY scope, answer
		UNION ALL
		SELECT scope, NULL, 0, 0, count(*) FROM pgoutbox.idempotency_keys
			WHERE begun_at >= now() - interval '1 hour' GROUP BY scope
	) parts
	GROUP BY scope;

-- Keys whose owner should have completed by now. Nobody asks for them again, or each owner dies.
CREATE OR REPLACE VIEW pgoutbox.idempotency_stuck AS
	SELECT scope, key, attempt, begun_at, deadline, now() - begun_at AS pending_for FROM pgoutbox.idempotency_keys
		WHERE state = 'in_progress' AND deadline <= now();

REVOKE ALL ON FUNCTION pgoutbox.idempotency_begin(text, text, text, interval, interval),
	pgoutbox.idempotency_complete(text, text, bigint, jsonb), pgoutbox.idempotency_release(text, text, bigint),
	pgoutbox.idempotency_prune(integer) FROM PUBLIC;
\if :{?role}
GRANT USAGE ON SCHEMA pgoutbox TO :"role";
GRANT EXECUTE ON FUNCTION pgoutbox.idempotency_begin(text, text, text, interval, interval),
	pgoutbox.idempotency_complete(text, text, bigint, jsonb), pgoutbox.idempotency_release(text, text, bigint)
	TO :"role";
\endif
\if :{?operator}
GRANT USAGE ON SCHEMA pgoutbox TO :"operator";
GRANT EXECUTE ON FUNCTION pgoutbox.idempotency_prune(integer) TO :"operator";
GRANT SELECT ON pgoutbox.idempotency_counts, pgoutbox.idempotency_stuck TO :"operator";
\endif
COMMIT;
