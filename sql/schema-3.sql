-- Version 3 of schema pgoutbox, from version 2: receipts. "pgoutboxctl init" runs it behind schema-2.sql, "pgoutboxctl
-- migrate" on a database that has version 2. No variables.

-- Where the events went whose rows were deleted, with outbox.receipts and settle: delete. Parked events have none.
-- The digest is the SHA-256 of the message's value: of a payload of type bytea as it is, of any other as text in UTF-8.
CREATE TABLE pgoutbox.receipts (
	outbox          text        NOT NULL,  -- the table with its schema, each as quote_ident() writes it
	row_id          bigint      NOT NULL,
	event_id        text,
	key             text,
	topic           text        NOT NULL,
	kafka_partition integer,
	kafka_offset    bigint,                -- NULL = acknowledged, but Kafka did not tell where
	digest          bytea,                 -- NULL = a tombstone
	sent_at         timestamptz NOT NULL
);
-- A turn's receipts share their time, so this takes little room. Old ones are found by it.
CREATE INDEX receipts_sent_at ON pgoutbox.receipts (outbox, sent_at);
ALTER TABLE pgoutbox.receipts SET (
	autovacuum_vacuum_scale_factor = 0.02,
	autovacuum_analyze_scale_factor = 0.02,
	autovacuum_vacuum_insert_scale_factor = 0.05
);

UPDATE pgoutbox.meta SET version = 3;
