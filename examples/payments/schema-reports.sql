-- The database of the reports: what a consumer makes of the events.
--
--	psql -d reports -v role=reports -f schema-reports.sql
--
-- Run it once. Variables: role, of the consumer; and, a choice, sql, where the kits are, if not ../../sql.

\set ON_ERROR_STOP on
\set QUIET on
\if :{?sql} \else \set sql ../../sql \endif
\ir :sql/kit-inbox.sql
