/* foreign.h - the outbox tables of other tools, as those document them (docs/migrate.md names the sources). table is a
 * literal. */
#ifndef PGOUTBOX_TESTS_FOREIGN_H
#define PGOUTBOX_TESTS_FOREIGN_H

#define FOREIGN_DEBEZIUM(table) \
	"CREATE TABLE " table " (id uuid NOT NULL PRIMARY KEY, aggregatetype varchar(255) NOT NULL," \
	" aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb)"

#define FOREIGN_OPEN_OUTBOX(table) \
	"CREATE TABLE " table " (event_id uuid PRIMARY KEY, event_type text NOT NULL, partition_key text," \
	" payload bytea NOT NULL, headers jsonb NOT NULL DEFAULT '{}', status text NOT NULL DEFAULT 'PENDING'," \
	" attempts int NOT NULL DEFAULT 0, last_error text, available_at timestamptz NOT NULL DEFAULT now()," \
	" locked_by text, locked_at timestamptz, delivered_at timestamptz," \
	" created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()," \
	" CHECK (status IN ('PENDING', 'DELIVERING', 'DELIVERED', 'DEAD')))"

#define FOREIGN_GOHARVEST(table) \
	"CREATE TABLE " table " (id bigserial PRIMARY KEY, create_time timestamptz NOT NULL," \
	" kafka_topic varchar(249) NOT NULL, kafka_key varchar(100) NOT NULL, kafka_value varchar(10000)," \
	" kafka_header_keys text[] NOT NULL, kafka_header_values text[] NOT NULL, leader_id uuid)"

#define FOREIGN_EVENTUATE(table) \
	"CREATE TABLE " table " (id varchar(255) PRIMARY KEY, destination text NOT NULL, headers text NOT NULL," \
	" payload text NOT NULL, published smallint DEFAULT 0, message_partition smallint, creation_time bigint)"

#endif
