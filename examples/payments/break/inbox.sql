-- run.sh --break inbox: the read model takes each message for a new one.
\connect reports
CREATE OR REPLACE FUNCTION pgoutbox.inbox_begin(consumer text, message_id text) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $body$
BEGIN
	INSERT INTO pgoutbox.processed_messages (consumer, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING;
	RETURN true;
END
$body$;
