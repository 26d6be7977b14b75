-- Only where receipts are kept in the row. SELECT of the whole table is in grants.sql.
-- Variables: role; schema, table; partition_column, offset_column.

GRANT UPDATE (:"partition_column", :"offset_column") ON :"schema".:"table" TO :"role";
