-- Wakes the relay up whenever events are inserted. A choice: NOTIFY takes a lock at commit that all of the server's
-- sessions share. Variables: schema, table.

CREATE TRIGGER pgoutbox_notify AFTER INSERT ON :"schema".:"table"
	FOR EACH STATEMENT EXECUTE FUNCTION pgoutbox.notify();
