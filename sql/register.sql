-- Makes the table known as an outbox, with its number of lanes and the name of its index.
-- Variables: relation, the table as in SQL; lanes; claim_index.

INSERT INTO pgoutbox.outbox (relation, lanes, claim_index) VALUES (:'relation'::regclass, :lanes, :'claim_index');
