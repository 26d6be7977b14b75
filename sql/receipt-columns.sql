-- Where outbox.receipts keeps them with "settle: mark": in the row. Without a default, so nothing is rewritten.
-- Variables: schema, table; partition_column, offset_column.

ALTER TABLE :"schema".:"table"
	ADD COLUMN IF NOT EXISTS :"partition_column" integer,
	ADD COLUMN IF NOT EXISTS :"offset_column" bigint;
