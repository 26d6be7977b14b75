-- run.sh --break provider: the provider takes each request for a new one.
\connect provider
CREATE OR REPLACE FUNCTION pgoutbox.idempotency_begin(scope text, key text, fingerprint text,
		takeover_after interval DEFAULT '1 minute', keep interval DEFAULT '1 day',
		OUT answer text, OUT attempt bigint, OUT response jsonb, OUT retry_after interval)
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	DELETE FROM pgoutbox.idempotency_keys k WHERE k.scope = $1 AND k.key = $2;
	INSERT INTO pgoutbox.idempotency_keys (scope, key, fingerprint, deadline, keep)
		VALUES ($1, $2, $3, clock_timestamp() + takeover_after, $5);
	answer := 'new';
	attempt := 1;
END
$body$;
