-- Only where rows are deleted: settle is delete, or sent rows are pruned some day.
-- Variables: role, schema, table.

GRANT DELETE ON :"schema".:"table" TO :"role";
