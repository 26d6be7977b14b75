/* test_audit.c - the audit that other tests rest on finds each fault that it is there for.
 *
 * The relay's place is taken by a few lines that copy rows into librdkafka's mock cluster, and spoil one event.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/audit.h"
#include "support/db.h"
#include "support/tap.h"
#include "support/writer.h"

enum fault { NONE, LEAVE_OUT, SEND_TWICE, SEND_EARLY, CHANGE_PAYLOAD, CHANGE_HEADER, CHANGE_TIME, UNKNOWN_ID, NO_ID,
	OTHER_PARTITION };
enum { EVENTS = 300, KEYS = 5, SPOILT = 100, PARTITIONS = 4 };

static char database[48];
static char *conninfo;
static rd_kafka_t *producer;
static rd_kafka_mock_cluster_t *cluster;

static void
must(int rc, const struct error *err)
{
	if (rc == -1)
		tap_diag("%s", err->message);
	CU_ASSERT_FATAL(rc == 0);
}

static void
create_database(void)
{
	PGconn *conn __attribute__((cleanup(db_close))) = NULL, *own __attribute__((cleanup(db_close))) = NULL;
	const char *super = getenv("PGOUTBOX_TEST_PG");
	struct error err;

	snprintf(database, sizeof(database), "audit_%d", (int)getpid());
	conn = db_open(super, &err);
	must(conn == NULL ? -1 : 0, &err);
	must(db_exec(conn, &err, "CREATE DATABASE %s", database), &err);
	conninfo = db_conninfo(super, "dbname", database, NULL);
	own = db_open(conninfo, &err);
	must(own == NULL ? -1 : 0, &err);
	must(db_exec(own, &err,
	         "CREATE TABLE outbox_events (id bigint GENERATED ALWAYS AS IDENTITY,"
	         " event_id uuid DEFAULT gen_random_uuid(), aggregate_type text, aggregate_id text, event_type text, payload jsonb, headers jsonb,"
	         " created_at timestamptz DEFAULT now(), sent_at timestamptz)"), &err);
}

static void
write_events(void)
{
	struct writer_options opt = WRITER_DEFAULTS;
	struct writer_counts counts;
	struct error err;

	opt.conninfo = conninfo;
	opt.writers = 2;
	opt.keys = KEYS;
	opt.events = EVENTS;
	must(writer_prepare(&opt, &err), &err);
	must(writer_run(&opt, &counts, &err), &err);
	TAP_INT_FATAL(counts.committed, EVENTS);
}

static void
start_mock(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256];

	producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	CU_ASSERT_FATAL(producer != NULL);
	cluster = rd_kafka_mock_cluster_new(producer, 1);
	CU_ASSERT_FATAL(cluster != NULL);
	CU_ASSERT_FATAL(rd_kafka_brokers_add(producer, rd_kafka_mock_cluster_bootstraps(cluster)) > 0);
}

static void
begin(void)
{
	if (conninfo != NULL)
		return;
	create_database();
	write_events();
	start_mock();
}

static void
finish(void)
{
	PGconn *conn __attribute__((cleanup(db_close))) = NULL;
	struct error err;

	if (conninfo == NULL)
		return;
	if (cluster != NULL)
		rd_kafka_mock_cluster_destroy(cluster);
	if (producer != NULL)
		rd_kafka_destroy(producer);
	conn = db_open(getenv("PGOUTBOX_TEST_PG"), &err);
	if (conn == NULL || db_exec(conn, &err, "DROP DATABASE %s WITH (FORCE)", database) == -1)
		tap_diag("%s", err.message);
	free(conninfo);
}

static void
send_row(const char *topic, const PGresult *res, int row, enum fault fault)
{
	const char *id = PQgetvalue(res, row, 0), *key = PQgetvalue(res, row, 1), *payload = PQgetvalue(res, row, 3);
	int64_t time_ms = strtoll(PQgetvalue(res, row, 5), NULL, 10);
	int partition = (key[strlen(key) - 1] - '0') % PARTITIONS;
	rd_kafka_headers_t *headers = rd_kafka_headers_new(3);

	if (fault == CHANGE_PAYLOAD)
		payload = "{\"seq\": 1}";
	if (fault == UNKNOWN_ID)
		id = "00000000-0000-0000-0000-000000000000";
	if (fault == CHANGE_TIME)
		time_ms += 5000;
	if (fault == OTHER_PARTITION)
		partition = (partition + 1) % PARTITIONS;
	if (fault != NO_ID)
		rd_kafka_header_add(headers, "id", -1, id, -1);
	rd_kafka_header_add(headers, "type", -1, PQgetvalue(res, row, 2), -1);
	if (!PQgetisnull(res, row, 4))
		rd_kafka_header_add(headers, "trace", -1, PQgetvalue(res, row, 4), -1);
	if (fault == CHANGE_HEADER)
		rd_kafka_header_add(headers, "more", -1, "than there was", -1);
	CU_ASSERT(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
	    RD_KAFKA_V_KEY(key, strlen(key)), RD_KAFKA_V_VALUE((void *)(uintptr_t)payload, strlen(payload)),
	    RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_TIMESTAMP(time_ms), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
	    RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* Copies the table into a new topic, one event spoilt, and gives what the audit makes of it. */
static void
relay(enum fault fault, bool by_accounts, struct audit_report *ret_report)
{
	static int topics;
	PGconn *conn __attribute__((cleanup(db_close))) = NULL;
	PGresult *res __attribute__((cleanup(db_clear))) = NULL;
	struct audit *a __attribute__((cleanup(audit_free))) = NULL;
	struct audit_read read = {.topics_count = 1, .appear_ms = 5000, .expected = EVENTS, .idle_ms = 1000};
	char topic[32];
	const char *one = topic;
	struct error err;

	snprintf(topic, sizeof(topic), "audited-%d", ++topics);
	CU_ASSERT_FATAL(rd_kafka_mock_topic_create(cluster, topic, PARTITIONS, 1) == RD_KAFKA_RESP_ERR_NO_ERROR);
	conn = db_open(conninfo, &err);
	must(conn == NULL ? -1 : 0, &err);
	res = db_query(conn, &err,
	    "SELECT event_id, aggregate_id, event_type, payload, headers->>'trace',"
	    " floor(extract(epoch FROM created_at) * 1000)::int8 FROM outbox_events"
	    " ORDER BY aggregate_id, CASE WHEN %d = %d AND id = (SELECT max(id) FROM outbox_events) THEN 0 ELSE id END",
	    (int)fault, (int)SEND_EARLY);
	must(res == NULL ? -1 : 0, &err);
	for (int i = 0; i < PQntuples(res); i++) {
		if (i != SPOILT || fault != LEAVE_OUT)
			send_row(topic, res, i, i == SPOILT ? fault : NONE);
		if (i == SPOILT && fault == SEND_TWICE)
			send_row(topic, res, i, NONE);
	}
	CU_ASSERT_FATAL(rd_kafka_flush(producer, 10000) == RD_KAFKA_RESP_ERR_NO_ERROR);
	read.brokers = rd_kafka_mock_cluster_bootstraps(cluster);
	read.topics = &one;
	must(audit_new(NULL, &a, &err), &err);
	must(audit_consume(a, &read, &err), &err);
	must(by_accounts ? audit_judge_accounts(a, conninfo, ret_report, &err)
	                 : audit_judge_rows(a, conninfo, "outbox_events", ret_report, &err), &err);
}

/* The report must differ from a sound one in what the fault changes, and in nothing else. */
static void
expect(enum fault fault, bool by_accounts, struct audit_report wanted)
{
	struct audit_report got;

	begin();
	relay(fault, by_accounts, &got);
	TAP_INT(got.committed, EVENTS);
	TAP_INT(got.keys, KEYS);
	TAP_INT(got.delivered, EVENTS - wanted.missing);
	TAP_INT(got.missing, wanted.missing);
	TAP_INT(got.duplicates, wanted.duplicates);
	TAP_INT(got.unknown, wanted.unknown);
	TAP_INT(got.altered, wanted.altered);
	TAP_INT(got.without_id, wanted.without_id);
	TAP_INT(got.split_keys, wanted.split_keys);
	if (wanted.out_of_order > 0)
		CU_ASSERT(got.out_of_order > 0);
	if (wanted.out_of_order == 0)
		TAP_INT(got.out_of_order, 0);
	CU_ASSERT_EQUAL(audit_sound(&got), fault == NONE || fault == SEND_TWICE);
}

#define WANTED(...) ((struct audit_report){__VA_ARGS__})

static void
sound(void)
{
	expect(NONE, false, WANTED(.missing = 0));
	expect(NONE, true, WANTED(.missing = 0));
}

static void
missing(void)
{
	expect(LEAVE_OUT, false, WANTED(.missing = 1));
	expect(LEAVE_OUT, true, WANTED(.missing = 1));
}

static void
duplicate(void)
{
	expect(SEND_TWICE, false, WANTED(.duplicates = 1));
	expect(SEND_TWICE, true, WANTED(.duplicates = 1));
}

static void
out_of_order(void)
{
	expect(SEND_EARLY, false, WANTED(.out_of_order = 1));
	expect(SEND_EARLY, true, WANTED(.out_of_order = 1));
}

static void
altered(void)
{
	expect(CHANGE_PAYLOAD, false, WANTED(.altered = 1));
	expect(CHANGE_HEADER, false, WANTED(.altered = 1));
	expect(CHANGE_TIME, false, WANTED(.altered = 1));
}

static void
unknown(void)
{
	expect(UNKNOWN_ID, false, WANTED(.unknown = 1, .missing = 1));
	expect(NO_ID, false, WANTED(.without_id = 1, .missing = 1));
}

static void
two_partitions(void)
{
	struct audit_report got;

	begin();
	relay(OTHER_PARTITION, false, &got);
	TAP_INT(got.split_keys, 1);
	CU_ASSERT(!audit_sound(&got));
}

int
main(void)
{
	int rc;

	if (getenv("PGOUTBOX_TEST_PG") == NULL)
		return tap_skip_all("PGOUTBOX_TEST_PG says where PostgreSQL is; it is not set");
	tap_suite("audit");
	tap_test("what arrived as written is sound", sound);
	tap_test("a missing event is missed", missing);
	tap_test("a duplicate is seen", duplicate);
	tap_test("an event ahead of an earlier one is seen", out_of_order);
	tap_test("a changed payload, header or timestamp is seen", altered);
	tap_test("what was never committed, or has no id, is seen", unknown);
	tap_test("a key in two partitions is seen", two_partitions);
	rc = tap_run();
	finish();
	return rc;
}
