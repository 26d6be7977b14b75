-- The books: what the shop, the provider, the read model and the clients say about the same payments. The script
-- "books" runs this in the shop's database.
--
-- Reads in the current directory what is not in the shop's database:
--	client.tsv           the answers that clients got
--	settlement.txt       the provider's GET /settlement
--	payment_report.tsv, account_report.tsv, report_inbox.tsv, report_duplicates.tsv   of the reports' database
--	charges.tsv          the provider's idempotency counts
--	copies.tsv           how many messages were delivered again on purpose
-- Writes a line a check, "name <tab> value <tab> number of faults", and behind it the first faults, each behind a tab.

\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;

CREATE TEMP TABLE client (key text, status int, payment text, customer text, amount bigint, currency text, kind text,
	attempts bigint);
CREATE TEMP TABLE settlement (payment text, amount bigint, currency text);
CREATE TEMP TABLE payment_report (payment text, customer text, amount bigint, currency text, state text, version bigint,
	late bigint);
CREATE TEMP TABLE account_report (account text, moved bigint);
CREATE TEMP TABLE report_inbox (message_id text);
CREATE TEMP TABLE report_duplicates (duplicates bigint);
CREATE TEMP TABLE charges (duplicates bigint, in_progress bigint);
CREATE TEMP TABLE copies (copies bigint);
\copy client FROM 'client.tsv'
\copy settlement FROM 'settlement.txt' (DELIMITER ' ')
\copy payment_report FROM 'payment_report.tsv'
\copy account_report FROM 'account_report.tsv'
\copy report_inbox FROM 'report_inbox.tsv'
\copy report_duplicates FROM 'report_duplicates.tsv'
\copy charges FROM 'charges.tsv'
\copy copies FROM 'copies.tsv'

-- A payment as the shop has it.
CREATE TEMP TABLE ours AS
	SELECT p.id::text AS payment, p.customer, p.amount, p.currency, i.state, i.version, p.charge
		FROM payment p LEFT JOIN pgoutbox.machine_items i ON i.machine = 'payment' AND i.item = p.id::text;
CREATE TEMP TABLE moved AS
	SELECT account, sum(amount) AS moved FROM pgoutbox.ledger_entries WHERE operation_id NOT LIKE 'deposit %'
		GROUP BY account;
ANALYZE;

CREATE TEMP TABLE book (line int GENERATED ALWAYS AS IDENTITY, name text, value text, faults bigint, first_faults text[]);

-- A line of the books: what is shown, and the query of what must not be.
CREATE FUNCTION pg_temp.book(name text, value_query text, faults_query text) RETURNS void
	LANGUAGE plpgsql
	AS $body$
DECLARE
	value  text;
	faults bigint;
	firsts text[];
BEGIN
	EXECUTE value_query INTO value;
	EXECUTE format('SELECT count(*), (array_agg(fault ORDER BY fault))[1:5] FROM (%s) f (fault)', faults_query)
		INTO faults, firsts;
	INSERT INTO book (name, value, faults, first_faults) VALUES ($1, value, faults, firsts);
END
$body$;

CREATE PROCEDURE pg_temp.write_books()
	LANGUAGE plpgsql
	AS $body$
BEGIN
	PERFORM pg_temp.book('payments that clients were promised',
		$$SELECT count(DISTINCT payment) FROM client WHERE status = 201$$,
		$$SELECT format('client has payment %s, %s, %s %s; the shop has not', c.payment, c.customer, c.amount, c.currency)
				FROM client c LEFT JOIN ours o USING (payment, customer, amount, currency)
				WHERE c.status = 201 AND o.payment IS NULL
			UNION ALL SELECT format('payment %s, of which no client knows', o.payment)
				FROM ours o WHERE NOT EXISTS (SELECT FROM client c WHERE c.payment = o.payment AND c.status = 201)
			UNION ALL SELECT format('key %s made %s payments', key, count(DISTINCT payment)) FROM client
				WHERE status = 201 GROUP BY key HAVING count(DISTINCT payment) > 1
			UNION ALL SELECT format('payment %s was made by %s keys', payment, count(DISTINCT key)) FROM client
				WHERE status = 201 GROUP BY payment HAVING count(DISTINCT key) > 1$$);
	PERFORM pg_temp.book('requests refused for lack of money',
		$$SELECT count(DISTINCT key) FROM client WHERE status = 402$$,
		$$SELECT format('key %s was refused and accepted', key) FROM client
				WHERE kind <> 'reused' GROUP BY key HAVING count(DISTINCT status) > 1
			UNION ALL SELECT format('key %s was answered %s', key, status) FROM client
				WHERE kind <> 'reused' AND status NOT IN (201, 402)$$);
	PERFORM pg_temp.book('keys used again for another request, refused',
		$$SELECT count(*) FROM client WHERE kind = 'reused'$$,
		$$SELECT format('key %s was answered %s for another request', key, status) FROM client
			WHERE kind = 'reused' AND status <> 422$$);
	PERFORM pg_temp.book('payments in a final state',
		$$SELECT count(*) FROM ours WHERE state IN ('notified', 'closed')$$,
		$$SELECT format('payment %s is %s', payment, coalesce(state, 'in no state')) FROM ours
				WHERE state IS NULL OR state NOT IN ('notified', 'closed')
			UNION ALL SELECT format('%s "%s" is stuck in state "%s"', kit, operation, state) FROM pgoutbox.stuck$$);
	PERFORM pg_temp.book('charged by the provider, once each',
		$$SELECT count(*) FROM settlement$$,
		$$SELECT format('payment %s was charged %s times', payment, count(*)) FROM settlement
				GROUP BY payment HAVING count(*) > 1
			UNION ALL SELECT format('payment %s was charged %s %s and is not captured so', s.payment, s.amount, s.currency)
				FROM settlement s LEFT JOIN ours o ON o.payment = s.payment AND o.amount = s.amount
					AND o.currency = s.currency AND o.state = 'notified'
				WHERE o.payment IS NULL
			UNION ALL SELECT format('payment %s is captured and was not charged', o.payment) FROM ours o
				WHERE o.state = 'notified' AND NOT EXISTS (SELECT FROM settlement s WHERE s.payment = o.payment)$$);
	PERFORM pg_temp.book('settlement, which is what the merchant has',
		$$SELECT to_char(coalesce(sum(amount), 0) / 100.0, 'FM999999990.00') FROM settlement$$,
		$$SELECT format('merchant has %s, the settlement says %s', m.amount, s.amount)
			FROM (SELECT coalesce(sum(balance), 0) AS amount FROM pgoutbox.ledger_balances
					WHERE account LIKE 'merchant %') m,
				(SELECT coalesce(sum(amount), 0) AS amount FROM settlement) s
			WHERE m.amount <> s.amount$$);
	PERFORM pg_temp.book('declined by the provider, money given back',
		$$SELECT count(*) FROM ours WHERE state = 'closed'$$,
		$$SELECT format('payment %s of %s is %s', payment, amount, state) FROM ours
				WHERE (state = 'closed') <> (amount % 100 = 13)
			UNION ALL SELECT format('payment %s is closed, and its money was not given back', payment) FROM ours
				WHERE state = 'closed' AND NOT EXISTS (SELECT FROM pgoutbox.ledger_operations
					WHERE operation_id = 'release ' || payment)$$);
	PERFORM pg_temp.book('ledger, sum over all accounts',
		$$SELECT to_char(coalesce(sum(balance), 0) / 100.0, 'FM999999990.00') FROM pgoutbox.ledger_balances$$,
		$$SELECT format('%s "%s" is off by %s', kind, subject, delta) FROM pgoutbox.ledger_verify()$$);
	PERFORM pg_temp.book('ledger, reserved and neither captured nor given back',
		$$SELECT to_char(coalesce(sum(balance), 0) / 100.0, 'FM999999990.00') FROM pgoutbox.ledger_balances
			WHERE account LIKE 'held %'$$,
		$$SELECT format('account "%s" has %s', account, balance) FROM pgoutbox.ledger_balances
			WHERE account LIKE 'held %' AND balance <> 0$$);
	PERFORM pg_temp.book('ledger, operations of payments',
		$$SELECT count(*) FROM pgoutbox.ledger_operations WHERE operation_id NOT LIKE 'deposit %'$$,
		$$WITH wanted AS (
				SELECT 'reserve ' || payment AS operation_id FROM ours
				UNION ALL SELECT 'capture ' || payment FROM ours WHERE state = 'notified'
				UNION ALL SELECT 'release ' || payment FROM ours WHERE state = 'closed'
			)
			SELECT format('"%s" is missing or should not be', coalesce(w.operation_id, l.operation_id))
				FROM wanted w FULL JOIN (SELECT operation_id FROM pgoutbox.ledger_operations
					WHERE operation_id NOT LIKE 'deposit %') l USING (operation_id)
				WHERE w.operation_id IS NULL OR l.operation_id IS NULL$$);
	PERFORM pg_temp.book('customers told of the outcome, once each',
		$$SELECT count(*) FROM notification$$,
		$$SELECT format('payment %s is %s, its customer was told %s', o.payment, o.state, coalesce(n.outcome, 'nothing'))
			FROM ours o LEFT JOIN notification n ON n.payment_id::text = o.payment
			WHERE n.outcome IS DISTINCT FROM CASE o.state WHEN 'notified' THEN 'captured' WHEN 'closed' THEN 'failed' END$$);
	PERFORM pg_temp.book('read model, payments as the shop has them',
		$$SELECT count(*) FROM payment_report$$,
		$$SELECT format('payment %s is %s at version %s, the read model has %s at %s', coalesce(o.payment, r.payment), o.state,
				o.version, r.state, r.version)
			FROM ours o FULL JOIN payment_report r USING (payment)
			WHERE (o.customer, o.amount, o.currency, o.state, o.version)
				IS DISTINCT FROM (r.customer, r.amount, r.currency, r.state, r.version)$$);
	PERFORM pg_temp.book('read model, accounts as the ledger has them',
		$$SELECT count(*) FROM account_report$$,
		$$SELECT format('account "%s" was moved by %s, in the read model by %s', coalesce(m.account, r.account), m.moved,
				r.moved)
			FROM moved m FULL JOIN account_report r USING (account) WHERE m.moved IS DISTINCT FROM r.moved$$);
	PERFORM pg_temp.book('events relayed',
		$$SELECT count(*) FROM outbox_events WHERE sent_at IS NOT NULL$$,
		$$SELECT format('event %s was not sent', event_id) FROM outbox_events WHERE sent_at IS NULL$$);
	PERFORM pg_temp.book('events that the saga has taken in',
		$$SELECT count(*) FROM pgoutbox.processed_messages WHERE consumer = 'saga'$$,
		$$SELECT format('event %s was written or taken in, not both', coalesce(e.event_id::text, m.message_id))
			FROM outbox_events e FULL JOIN (SELECT message_id FROM pgoutbox.processed_messages WHERE consumer = 'saga') m
				ON m.message_id = e.event_id::text
			WHERE e.event_id IS NULL OR m.message_id IS NULL$$);
	PERFORM pg_temp.book('events that the report has taken in',
		$$SELECT count(*) FROM report_inbox$$,
		$$SELECT format('event %s was written or taken in, not both', coalesce(e.event_id::text, m.message_id))
			FROM outbox_events e FULL JOIN report_inbox m ON m.message_id = e.event_id::text
			WHERE e.event_id IS NULL OR m.message_id IS NULL$$);
	PERFORM pg_temp.book('of those behind a later one of their payment',
		$$SELECT coalesce(sum(late), 0) FROM payment_report$$,
		$$SELECT 'nothing came out of order: the injector is not at work' WHERE coalesce((SELECT sum(late)
			FROM payment_report), 0) = 0$$);
	PERFORM pg_temp.book('duplicates suppressed, by the inbox of the saga',
		$$SELECT coalesce(sum(duplicates), 0) FROM pgoutbox.inbox_counts WHERE consumer = 'saga'$$,
		$$SELECT format('%s messages were delivered again on purpose, %s were suppressed', c.copies, d.duplicates)
			FROM copies c, (SELECT coalesce(sum(duplicates), 0) AS duplicates FROM pgoutbox.inbox_counts
				WHERE consumer = 'saga') d
			WHERE d.duplicates < c.copies OR c.copies = 0$$);
	PERFORM pg_temp.book('duplicates suppressed, by the inbox of the report',
		$$SELECT duplicates FROM report_duplicates$$,
		$$SELECT format('%s messages were delivered again on purpose, %s were suppressed', c.copies, d.duplicates)
			FROM copies c, report_duplicates d WHERE d.duplicates < c.copies OR c.copies = 0$$);
	PERFORM pg_temp.book('duplicates suppressed, by the idempotency keys of the shop',
		$$SELECT coalesce(sum(duplicates), 0) FROM pgoutbox.idempotency_counts$$,
		$$SELECT format('%s requests were sent again, %s were answered from the key', c.repeats, d.duplicates)
			FROM (SELECT count(*) - count(DISTINCT key) AS repeats FROM client WHERE kind <> 'reused') c,
				(SELECT coalesce(sum(duplicates), 0) AS duplicates FROM pgoutbox.idempotency_counts) d
			WHERE d.duplicates < c.repeats OR c.repeats = 0$$);
	PERFORM pg_temp.book('duplicates suppressed, by the idempotency keys of the provider',
		$$SELECT coalesce(sum(duplicates), 0) FROM charges$$,
		$$SELECT 'no charge was asked for twice: the provider answers too well' WHERE coalesce((SELECT sum(duplicates)
			FROM charges), 0) = 0$$);
END
$body$;
CALL pg_temp.write_books();

SELECT format(E'%s\t%s\t%s', b.name, b.value, b.faults) || coalesce((SELECT string_agg(E'\n\t' || f, '')
		FROM unnest(b.first_faults) f), '')
	FROM book b ORDER BY b.line;
