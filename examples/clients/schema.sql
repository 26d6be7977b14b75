-- The tables that the clients work on: "account" is of the service that emits, "statement" of the one that consumes.
--
--	psql -d shop -v role=shop -f schema.sql

\set ON_ERROR_STOP on
\set QUIET on

BEGIN;
CREATE TABLE account (
	id      text   PRIMARY KEY,
	balance bigint NOT NULL CHECK (balance >= 0) -- minor units
);
INSERT INTO account VALUES ('alice', 100000), ('bob', 100000);

-- Nothing here is unique but the line's number: a message that is handled twice shows.
CREATE TABLE statement (
	line       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	account    text   NOT NULL,
	amount     bigint NOT NULL,
	request_id text
);
\if :{?role}
GRANT SELECT, UPDATE ON account TO :"role";
GRANT INSERT ON statement TO :"role";
\endif
COMMIT;
