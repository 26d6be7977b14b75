-- run.sh --break provider: the provider takes the second request with a key for a new one. Not the third: as he draws by
-- the key which answers he keeps to himself, there would be no end.
\connect provider
CREATE TABLE pgoutbox.forgotten (key text PRIMARY KEY);
ALTER FUNCTION pgoutbox.idempotency_begin(text, text, text, interval, interval) RENAME TO idempotency_begin_really;
CREATE FUNCTION pgoutbox.idempotency_begin(scope text, key text, fingerprint text,
		takeover_after interval DEFAULT '1 minute', keep interval DEFAULT '1 day',
		OUT answer text, OUT attempt bigint, OUT response jsonb, OUT retry_after interval)
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	INSERT INTO pgoutbox.forgotten SELECT k.key FROM pgoutbox.idempotency_keys k WHERE k.scope = $1 AND k.key = $2
		ON CONFLICT DO NOTHING;
	IF FOUND THEN
		DELETE FROM pgoutbox.idempotency_keys k WHERE k.scope = $1 AND k.key = $2;
	END IF;
	SELECT b.answer, b.attempt, b.response, b.retry_after INTO answer, attempt, response, retry_after
		FROM pgoutbox.idempotency_begin_really($1, $2, $3, $4, $5) b;
END
$body$;
