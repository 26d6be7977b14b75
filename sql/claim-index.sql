-- The index that claims are made from: the unsent events of each lane in id order. Variables: schema, table,
-- claim_index; key and id, the columns; lanes; unsent: the text WHERE "sent_at" IS NULL, or nothing where the table
-- has no such column; concurrently: the text CONCURRENTLY, or nothing. A table that is in use is indexed
-- concurrently, outside of any transaction, so that nobody waits.

CREATE INDEX :concurrently :"claim_index" ON :"schema".:"table" (pgoutbox.lane(:"key"::text, :lanes), :"id") :unsent;
