-- An index whose concurrent build was interrupted is of no use, and is in the way of the next.
-- Variables: schema, claim_index.

DROP INDEX CONCURRENTLY :"schema".:"claim_index";
