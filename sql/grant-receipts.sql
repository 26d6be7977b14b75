-- Only where rows are deleted and receipts are kept. Old ones are deleted too, some day.
-- Variables: role.

GRANT SELECT, INSERT, DELETE ON pgoutbox.receipts TO :"role";
