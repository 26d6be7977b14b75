import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Writes events through pgoutboxd's outbox kit, and consumes them once each with its inbox kit.
 *
 *   Outbox emit ACCOUNT AMOUNT REQUEST_ID    withdraws, and says so in an event of the same transaction
 *   Outbox consume MESSAGES SECONDS          ends after so many messages, or when none came for so long
 *
 * Environment: DATABASE_URL, KAFKA_BROKERS, KAFKA_TOPIC, KAFKA_GROUP. Whatever goes wrong ends the program, not with
 * status 0: nothing of the message is in the database then, and it comes again.
 */
class Outbox {
	/** Who remembers what was processed: one name for one purpose, and never another later. */
	static final String CONSUMER = "statements";
	static final ObjectMapper JSON = new ObjectMapper();

	record Withdrawal(String account, long amount) {}

	/** All that is done is one transaction until commit(). A connection that is closed before rolls back. */
	static Connection connect() throws SQLException {
		Connection db = DriverManager.getConnection("jdbc:" + System.getenv("DATABASE_URL"));
		db.setAutoCommit(false);
		return db;
	}

	/** The first column of the row that a statement returns; how many it changed where it returns none. */
	static Object run(Connection db, String sql, Object... parameters) throws SQLException {
		try (PreparedStatement statement = db.prepareStatement(sql)) {
			for (int i = 0; i < parameters.length; i++)
				statement.setObject(i + 1, parameters[i]);
			if (!statement.execute())
				return statement.getUpdateCount();
			try (ResultSet rows = statement.getResultSet()) {
				rows.next();
				return rows.getObject(1);
			}
		}
	}

	static void emit(Withdrawal w, String requestId) throws Exception {
		// One transaction: both the change and the event, or neither.
		try (Connection db = connect()) {
			// SET LOCAL, with a parameter.
			run(db, "SELECT set_config('pgoutbox.request_id', ?, true)", requestId);
			// The change comes first: its row lock gives the events of an account their order.
			Object changed = run(db, "UPDATE account SET balance = balance - ? WHERE id = ?",
					w.amount(), w.account());
			if (!changed.equals(1))
				throw new IllegalArgumentException("there is no account \"" + w.account() + "\"");
			Object event = run(db, "SELECT pgoutbox.emit('account', ?, 'withdrawn', ?::jsonb)",
					w.account(), JSON.writeValueAsString(w));
			db.commit();
			System.out.println("emitted " + event);
		}
	}

	static String header(ConsumerRecord<byte[], byte[]> message, String name) {
		Header header = message.headers().lastHeader(name);
		byte[] value = header == null ? null : header.value();
		return value == null ? null : new String(value, StandardCharsets.UTF_8);
	}

	/** Returns whether the message was new. When this returns, its transaction is committed. */
	static boolean process(Connection db, ConsumerRecord<byte[], byte[]> message) throws Exception {
		String id = header(message, "id"), type = header(message, "type");
		if (id == null || type == null)
			throw new IllegalArgumentException("this is no event: " + message);
		boolean isNew = (Boolean) run(db, "SELECT pgoutbox.inbox_begin(?, ?)", CONSUMER, id);
		if (isNew && type.equals("withdrawn")) {
			Withdrawal w = JSON.readValue(message.value(), Withdrawal.class);
			run(db, "INSERT INTO statement (account, amount, request_id) VALUES (?, ?, ?)",
					w.account(), w.amount(), header(message, "request_id"));
		}
		db.commit(); // a duplicate too: the inbox counts it
		return isNew;
	}

	static void consume(int messages, int seconds) throws Exception {
		int fresh = 0, duplicates = 0;
		Map<String, Object> properties = Map.of(
				"bootstrap.servers", System.getenv("KAFKA_BROKERS"),
				"group.id", System.getenv("KAFKA_GROUP"),
				"enable.auto.commit", false, // an offset is committed after the database, by us
				"auto.offset.reset", "earliest", // a new group misses nothing
				"max.poll.records", 1);
		var bytes = new ByteArrayDeserializer();
		try (Connection db = connect(); var consumer = new KafkaConsumer<>(properties, bytes, bytes)) {
			consumer.subscribe(List.of(System.getenv("KAFKA_TOPIC")));
			long last = System.nanoTime();
			while (fresh + duplicates < messages && System.nanoTime() - last < seconds * 1000000000L) {
				for (var message : consumer.poll(Duration.ofMillis(100))) {
					if (process(db, message))
						fresh++;
					else
						duplicates++;
					var partition = new TopicPartition(message.topic(), message.partition());
					consumer.commitSync(Map.of(partition, new OffsetAndMetadata(message.offset() + 1)));
					last = System.nanoTime();
				}
			}
		}
		System.out.println(fresh + " new, " + duplicates + " duplicates");
	}

	public static void main(String[] args) throws Exception {
		if (args.length == 4 && args[0].equals("emit"))
			emit(new Withdrawal(args[1], Long.parseLong(args[2])), args[3]);
		else if (args.length == 3 && args[0].equals("consume"))
			consume(Integer.parseInt(args[1]), Integer.parseInt(args[2]));
		else
			throw new IllegalArgumentException("emit ACCOUNT AMOUNT REQUEST_ID | consume MESSAGES SECONDS");
	}
}
