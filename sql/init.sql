-- All of "pgoutboxctl init" for a new table, by psql alone:
--
--	psql -v ON_ERROR_STOP=1 -v role=pgoutboxd -f init.sql
--
-- For a table that exists, let "pgoutboxctl init --print-sql" write the statements. Further variables: schema, table,
-- lanes.

\set QUIET on
\if :{?schema} \else \set schema public \endif
\if :{?table} \else \set table outbox_events \endif
\if :{?lanes} \else \set lanes 4 \endif
\if :{?role} \else \set role pgoutboxd \endif
SELECT format('%I.%I', :'schema', :'table') AS relation, :'table' || '_lane' || :'lanes' AS claim_index \gset
\set key aggregate_id
\set id id
\set unsent 'WHERE sent_at IS NULL'
\set concurrently
\set update_column sent_at
\set fillfactor 50

BEGIN;
SET LOCAL lock_timeout = '5s';
\ir schema.sql
\ir schema-2.sql
\ir schema-3.sql
\ir table.sql
\ir claim-index.sql
\ir register.sql
\ir grants.sql
\ir grant-delete.sql
COMMIT;
