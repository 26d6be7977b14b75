-- The outbox table, where the application has none yet.
-- Variables: schema, table, fillfactor.

CREATE TABLE :"schema".:"table" (
	id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- order within a key
	event_id       uuid        NOT NULL DEFAULT gen_random_uuid(),        -- what consumers deduplicate by
	aggregate_type text        NOT NULL,
	aggregate_id   text        NOT NULL,                                  -- the key
	event_type     text        NOT NULL,
	payload        jsonb,                                                 -- or bytea, or text; NULL = tombstone
	headers        jsonb,                                                 -- flat object of strings
	topic          text,                                                  -- NULL = from the configuration
	created_at     timestamptz NOT NULL DEFAULT now(),
	sent_at        timestamptz                                            -- NULL = unsent
);

-- Every row dies once: marked as sent it leaves its old version behind, deleted it leaves itself. So dead rows grow
-- with the traffic, not with the size of the table, and the usual 20 % of a table that keeps a week of sent rows
-- would be days of index entries for the claim to walk over. Statistics are asked for more often for the same reason.
-- Freezing by inserts is brought forward so that it comes in small pieces. What vacuum may cost the disk is left as
-- the server has it.
-- Where rows are marked, half of each page is left for their new versions: beside the old one a version costs a quarter
-- to a half of the WAL, and in the end the table is no larger, for the versions would take their place anyway.
ALTER TABLE :"schema".:"table" SET (
	fillfactor = :fillfactor,
	autovacuum_vacuum_threshold = 5000,
	autovacuum_vacuum_scale_factor = 0.01,
	autovacuum_analyze_threshold = 5000,
	autovacuum_analyze_scale_factor = 0.02,
	autovacuum_vacuum_insert_scale_factor = 0.05
);
