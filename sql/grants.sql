-- What the daemon's role needs, and no more. It owns nothing.
-- Variables: role; schema, table; update_column: sent_at, or id where rows are deleted and there is no sent_at.

GRANT USAGE ON SCHEMA pgoutbox, :"schema" TO :"role";
GRANT SELECT ON pgoutbox.meta, pgoutbox.outbox, pgoutbox.pause TO :"role";
GRANT SELECT, INSERT ON pgoutbox.parked TO :"role";
-- FOR UPDATE asks for the right to update some column. The least harmful is one that identity makes GENERATED ALWAYS.
GRANT SELECT, UPDATE (:"update_column") ON :"schema".:"table" TO :"role";
