-- The three databases of the example, the roles of its programs, and the role of pgoutboxd.
--
--	psql -d postgres -f schema.sql
--
-- Run it once, as a superuser, on a server of its own. Variables, each a choice: customers, how many have accounts; sql,
-- where the kits are, if not ../../sql.

\set ON_ERROR_STOP on
\set QUIET on

CREATE ROLE shop LOGIN;
CREATE ROLE provider LOGIN;
CREATE ROLE reports LOGIN;
CREATE ROLE pgoutboxd LOGIN;

CREATE DATABASE shop;
CREATE DATABASE provider;
CREATE DATABASE reports;

\connect shop
\set role shop
\set relay pgoutboxd
\ir schema-shop.sql
\connect provider
\set role provider
\ir schema-provider.sql
\connect reports
\set role reports
\ir schema-reports.sql
