'use strict';
// Writes events through pgoutboxd's outbox kit, and consumes them once each with its inbox kit.
//
//   outbox.js emit ACCOUNT AMOUNT REQUEST_ID    withdraws, and says so in an event of the same transaction
//   outbox.js consume MESSAGES SECONDS          ends after so many messages, or when none came for so long
//
// Environment: DATABASE_URL, KAFKA_BROKERS, KAFKA_TOPIC, KAFKA_GROUP. Whatever goes wrong ends the program, not with
// status 0: nothing of the message is in the database then, and it comes again.

const { Kafka, KafkaJSNonRetriableError, logLevel } = require('kafkajs');
const { Client } = require('pg');

const CONSUMER = 'statements'; // who remembers what was processed: one name for one purpose, and never another later

async function withDatabase(work) {
	const db = new Client({ connectionString: process.env.DATABASE_URL });
	db.on('error', () => {}); // a connection that is lost fails the next query
	await db.connect();
	try {
		return await work(db);
	} finally {
		await db.end();
	}
}

// What work() does is one transaction: committed, or rolled back when anything throws.
async function transaction(db, work) {
	await db.query('BEGIN');
	try {
		const answer = await work();
		await db.query('COMMIT');
		return answer;
	} catch (error) {
		await db.query('ROLLBACK').catch(() => {}); // without a connection there is nothing to roll back
		throw error;
	}
}

async function emit(db, account, amount, requestId) {
	// One transaction: both the change and the event, or neither.
	const event = await transaction(db, async () => {
		// SET LOCAL, with a parameter.
		await db.query("SELECT set_config('pgoutbox.request_id', $1, true)", [requestId]);
		// The change comes first: its row lock gives the events of an account their order.
		const changed = await db.query('UPDATE account SET balance = balance - $1 WHERE id = $2',
			[amount, account]);
		if (changed.rowCount !== 1)
			throw new Error(`there is no account "${account}"`);
		const emitted = await db.query("SELECT pgoutbox.emit('account', $1, 'withdrawn', $2) AS id",
			[account, { account, amount }]);
		return emitted.rows[0].id;
	});
	console.log(`emitted ${event}`);
}

// Tells whether the message was new. When it does, its transaction is committed.
async function handle(db, message) {
	const header = (name) => message.headers?.[name]?.toString();
	const [id, type] = [header('id'), header('type')];
	if (id === undefined || type === undefined)
		throw new Error(`offset ${message.offset} is no event`);
	return transaction(db, async () => {
		const begun = await db.query('SELECT pgoutbox.inbox_begin($1, $2) AS new', [CONSUMER, id]);
		if (begun.rows[0].new && type === 'withdrawn') {
			const event = JSON.parse(message.value.toString());
			await db.query('INSERT INTO statement (account, amount, request_id) VALUES ($1, $2, $3)',
				[event.account, event.amount, header('request_id')]);
		}
		return begun.rows[0].new; // a duplicate commits too: the inbox counts it
	});
}

async function consume(db, messages, seconds) {
	const kafka = new Kafka({ brokers: process.env.KAFKA_BROKERS.split(','), logLevel: logLevel.NOTHING });
	const consumer = kafka.consumer({ groupId: process.env.KAFKA_GROUP, maxWaitTimeInMs: 500 });
	let fresh = 0, duplicates = 0, last, timer;

	const eachMessage = async ({ topic, partition, message }) => {
		if (fresh + duplicates >= messages)
			return; // its offset is not committed: it comes again
		try {
			const isNew = await handle(db, message);
			const offset = String(BigInt(message.offset) + 1n);
			await consumer.commitOffsets([{ topic, partition, offset }]);
			if (isNew)
				fresh++;
			else
				duplicates++;
			last = Date.now();
		} catch (error) {
			throw new KafkaJSNonRetriableError(error); // else kafkajs tries again by itself
		}
	};
	const crashed = new Promise((resolve, reject) => {
		consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || reject(payload.error));
	});
	try {
		await consumer.connect();
		await consumer.subscribe({ topic: process.env.KAFKA_TOPIC, fromBeginning: true }); // nothing is missed
		last = Date.now();
		const finished = new Promise((resolve) => {
			timer = setInterval(() => {
				if (fresh + duplicates >= messages || Date.now() - last > seconds * 1000)
					resolve();
			}, 50);
		});
		// An offset is committed after the database, by us.
		await Promise.race([crashed, consumer.run({ autoCommit: false, eachMessage }).then(() => finished)]);
	} finally {
		clearInterval(timer);
		await consumer.disconnect();
	}
	console.log(`${fresh} new, ${duplicates} duplicates`);
}

async function main([verb, ...args]) {
	if (verb === 'emit' && args.length === 3)
		return withDatabase((db) => emit(db, args[0], Number(args[1]), args[2]));
	if (verb === 'consume' && args.length === 2)
		return withDatabase((db) => consume(db, Number(args[0]), Number(args[1])));
	throw new Error('usage: outbox.js emit ACCOUNT AMOUNT REQUEST_ID | consume MESSAGES SECONDS');
}

main(process.argv.slice(2)).catch((error) => {
	console.error(error);
	process.exitCode = 1;
});
