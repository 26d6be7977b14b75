-- run.sh --break compensation: what the provider declined is not given back.
\connect shop
ALTER FUNCTION pgoutbox.ledger_post(text, jsonb) RENAME TO ledger_post_really;
CREATE FUNCTION pgoutbox.ledger_post(operation_id text, entries jsonb) RETURNS boolean
	LANGUAGE sql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$SELECT $1 LIKE 'release %' OR pgoutbox.ledger_post_really($1, $2)$$;
