/* bare.c - in: a configuration and events; out: the events in Kafka, settled, with the least that the design can cost.
 *
 *   bench/bare drain|follow CONFIGURATION COUNTERS
 *
 * No product, but what the product is measured against: the same lanes, index, statements, batches and headers, one thread over
 * poll(2), and nothing that takes care of anything. Whatever fails ends it, and after that order and settled rows are a matter of
 * luck. It has no retries, no barrier, no ladder, no look at rows that were skipped, no holds, no metrics, no limits but batch_rows; all
 * goes to the one topic.
 *
 * drain: a backlog. A claim begins behind the last one; when nothing is left it waits for SIGTERM.
 * follow: a table that is written to. A lane that found nothing asks again after poll_min. A claim begins where its lane was one to two
 * seconds ago, so that rows which commit later than others with higher ids are found; those of longer transactions never are.
 */
#include <endian.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/be.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "bench/bare_run.h"
#include "bench/say.h"
#include "config/config.h"
#include "source/bell.h"
#include "source/statements.h"

#define TID_OID 27
#define WARM_UP_MS 30000
#define FLOOR_AGE_US 1000000 /* following; up to twice that */

/* Batches go out in waves, as the daemon's do: those that were claimed meanwhile wait until all in flight is acknowledged. Otherwise
 * librdkafka has more requests than the five that may be on their way, and its thread asks without a pause whether the next may go:
 * with a broker that is slow to answer that alone was up to three times the rest. With waves 1, 2 and 5 ms were measured: 2 cost least CPU
 * time (1.6 of 2.8 us in our thread, the rest in librdkafka's, on a busy machine), at a rate that could not be told from the others'.
 * Without waves 5 was best of 0, 1, 2, 5, 10 and 20, at 2.9 to 8.7 us. Reports as a callback or as events cost the same. Following, where
 * events come one by one, each would wait for it. */
#define LINGER_DRAIN_MS "2"
#define LINGER_FOLLOW_MS "0"

enum { OUT_TID, OUT_ID, OUT_EVENT_ID, OUT_KEY, OUT_TYPE, OUT_PAYLOAD };

struct bare {
	struct config cfg;
	bool follow;
	struct bare_counters *counters;
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	int bell; /* an eventfd: reports are there */
	struct lane *lanes;
	int lanes_count;
	int in_flight; /* events that Kafka has not acknowledged */
};

struct lane {
	struct bare *bare;
	int number;
	PGconn *conn;     /* NULL: nothing is left */
	PGresult *claimed; /* payloads are read from there until all are reported */
	int rows, reported;
	int64_t floor;      /* claims begin here */
	int64_t next_floor; /* following: where it is raised to at raise_us */
	int64_t raise_us;
	int64_t through;    /* behind the highest id that was claimed */
	int64_t ask_us;     /* following: nothing was there, and it asks again then; else CLOCK_NEVER */
	struct buf tids;
	bool begun, writing;
	bool waiting; /* claimed, for the next wave */
};

/* --- Kafka --- */

static void
on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque);

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[256];

	if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
		say_die("%s", reason);
}

static void
start_producer(struct bare *b)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	const struct rd_kafka_metadata *metadata;
	char reason[256];

	set(conf, "bootstrap.servers", b->cfg.kafka.brokers);
	set(conf, "acks", "all");
	set(conf, "enable.idempotence", "true");
	set(conf, "partitioner", "murmur2_random");
	set(conf, "socket.nagle.disable", "true");
	set(conf, "queue.buffering.max.messages", "10000000");
	set(conf, "linger.ms", b->follow ? LINGER_FOLLOW_MS : LINGER_DRAIN_MS);
	for (size_t i = 0; i < b->cfg.kafka.properties.count; i++)
		set(conf, b->cfg.kafka.properties.items[i].name, b->cfg.kafka.properties.items[i].value);
	rd_kafka_conf_set_dr_msg_cb(conf, on_report);
	b->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (b->rk == NULL)
		say_die("%s", reason);
	b->topic = rd_kafka_topic_new(b->rk, b->cfg.kafka.topic, NULL);
	if (b->topic == NULL || rd_kafka_metadata(b->rk, 0, b->topic, &metadata, WARM_UP_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
		say_die("Kafka does not know topic \"%s\"", b->cfg.kafka.topic);
	rd_kafka_metadata_destroy(metadata);
	b->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rd_kafka_queue_io_event_enable(rd_kafka_queue_get_main(b->rk), b->bell, &(uint64_t){1}, sizeof(uint64_t));
}

static rd_kafka_vu_t
column(rd_kafka_vtype_t type, const PGresult *res, int row, int col, size_t skip)
{
	return (rd_kafka_vu_t){
		.vtype = type,
		.u.mem = {.ptr = PQgetvalue(res, row, col) + skip, .size = (size_t)PQgetlength(res, row, col) - skip},
	};
}

/* The value is not copied; librdkafka always copies keys and headers. jsonb_send() puts a version byte before the text. */
static void
publish(const struct lane *l, const PGresult *res, int row)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
	rd_kafka_vu_t parts[] = {
		{.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = l->bare->topic},
		{.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)l},
		{.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
		column(RD_KAFKA_VTYPE_KEY, res, row, OUT_KEY, 0),
		column(RD_KAFKA_VTYPE_VALUE, res, row, OUT_PAYLOAD, 1),
	};
	rd_kafka_error_t *error;
	char id[UUID_TEXT_LEN];

	uuid_text(PQgetvalue(res, row, OUT_EVENT_ID), id);
	rd_kafka_header_add(headers, "id", 2, id, sizeof(id));
	rd_kafka_header_add(headers, "type", 4, PQgetvalue(res, row, OUT_TYPE), PQgetlength(res, row, OUT_TYPE));
	error = rd_kafka_produceva(l->bare->rk, parts, sizeof(parts) / sizeof(*parts));
	if (error != NULL)
		say_die("Kafka does not take an event: %s", rd_kafka_error_string(error));
}

static void
publish_batch(struct lane *l)
{
	for (int row = 0; row < l->rows; row++)
		publish(l, l->claimed, row);
	l->bare->in_flight += l->rows;
	l->waiting = false;
}

static void
publish_wave(struct bare *b)
{
	if (b->in_flight > 0)
		return;
	for (int i = 0; i < b->lanes_count; i++)
		if (b->lanes[i].waiting)
			publish_batch(&b->lanes[i]);
}

/* --- PostgreSQL --- */

static void
must(const struct lane *l, bool good)
{
	if (!good)
		say_die("lane %d: %s", l->number, PQerrorMessage(l->conn));
}

static void
done(const struct lane *l, PGresult *res)
{
	must(l, PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK);
	PQclear(res);
}

/* The plan is pinned as the daemon pins it (source/session.c). */
static void
open_lane(struct bare *b, int number)
{
	static const char settings[] = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET jit = off;"
		"SET max_parallel_workers_per_gather = 0; SET plan_cache_mode = force_generic_plan; SET synchronous_commit = on";
	struct lane *l = &b->lanes[number];
	char claim[512];

	*l = (struct lane){
		.bare = b, .number = number, .conn = PQconnectdb(b->cfg.database.conninfo), .ask_us = CLOCK_NEVER, .tids = BUF_INIT};
	snprintf(claim, sizeof(claim),
	         "SELECT ctid, id, event_id, aggregate_id, event_type, payload FROM outbox_events"
	         " WHERE pgoutbox.lane(aggregate_id, %d) = %d AND sent_at IS NULL AND id >= $1::bigint"
	         " ORDER BY id LIMIT %" PRId64 " FOR UPDATE SKIP LOCKED",
	         b->lanes_count, number, b->cfg.outbox.batch_rows);
	must(l, PQstatus(l->conn) == CONNECTION_OK);
	done(l, PQexec(l->conn, settings));
	done(l, PQprepare(l->conn, "begin", "BEGIN", 0, NULL));
	done(l, PQprepare(l->conn, "commit", "COMMIT", 0, NULL));
	done(l, PQprepare(l->conn, "claim", claim, 0, NULL));
	done(l, PQprepare(l->conn, "settle",
	                 b->cfg.outbox.settle == SETTLE_DELETE ? "DELETE FROM outbox_events WHERE ctid = ANY ($1::tid[])" :
	                 "UPDATE outbox_events SET sent_at = statement_timestamp() WHERE ctid = ANY ($1::tid[])", 0, NULL));
	must(l, PQsetnonblocking(l->conn, 1) == 0 && PQenterPipelineMode(l->conn) == 1);
}

static void
add(struct lane *l, const char *name, const char *value, size_t len)
{
	must(l, PQsendQueryPrepared(l->conn, name, value != NULL, &value, &(int){(int)len}, &(int){1}, 1) == 1);
}

static void
flush(struct lane *l)
{
	int rc = PQflush(l->conn);

	must(l, rc >= 0);
	l->writing = rc == 1;
}

/* One round trip. Of a claim that found nothing the transaction is still open, too. */
static void
turn(struct lane *l)
{
	uint64_t floor = htobe64((uint64_t)l->floor);

	l->ask_us = CLOCK_NEVER;
	if (l->rows > 0)
		add(l, "settle", l->tids.data, l->tids.len);
	if (l->begun)
		add(l, "commit", NULL, 0);
	add(l, "begin", NULL, 0);
	add(l, "claim", (const char *)&floor, sizeof(floor));
	must(l, PQpipelineSync(l->conn) == 1);
	flush(l);
}

static void
on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct lane *l = m->_private;

	(void)rk;
	(void)opaque;
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		say_die("Kafka refused an event: %s", rd_kafka_err2str(m->err));
	l->bare->in_flight--;
	if (++l->reported < l->rows)
		return;
	atomic_fetch_add(&l->bare->counters->sent, l->rows);
	turn(l);
}

static void
raise_floor(struct lane *l, int64_t last_id)
{
	int64_t now_us = clock_mono_us();

	if (last_id >= l->through)
		l->through = last_id + 1;
	if (!l->bare->follow) {
		l->floor = l->through;
	} else if (now_us >= l->raise_us) {
		l->floor = l->next_floor;
		l->next_floor = l->through;
		l->raise_us = now_us + FLOOR_AGE_US;
	}
}

static void
take(struct lane *l, PGresult *res)
{
	struct bare_counters *counters = l->bare->counters;

	l->claimed = res;
	l->rows = PQntuples(res);
	l->reported = 0;
	atomic_fetch_add(&counters->lanes_begun, !l->begun);
	l->begun = true;
	if (l->rows == 0)
		return;
	atomic_fetch_add(&counters->claimed_batches, 1);
	raise_floor(l, (int64_t)be64(PQgetvalue(res, l->rows - 1, OUT_ID)));
	buf_reset(&l->tids);
	statements_array_head(&l->tids, TID_OID, (size_t)l->rows, false);
	for (int row = 0; row < l->rows; row++) {
		buf_add_u32be(&l->tids, 6);
		buf_add(&l->tids, PQgetvalue(res, row, OUT_TID), 6);
	}
	l->waiting = true;
}

/* The claim ends the round, so all before it is done then. */
static void
on_result(struct lane *l, PGresult *res)
{
	must(l, PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK);
	if (PQresultStatus(res) == PGRES_COMMAND_OK) {
		PQclear(res);
		return;
	}
	atomic_fetch_add(&l->bare->counters->settled_batches, l->rows > 0);
	PQclear(l->claimed);
	take(l, res);
}

static void
end_lane(struct lane *l)
{
	PQclear(l->claimed);
	PQfinish(l->conn);
	l->conn = NULL;
}

/* The round is over, with nothing claimed. */
static void
on_empty(struct lane *l)
{
	if (l->bare->follow)
		l->ask_us = clock_mono_us() + l->bare->cfg.outbox.poll_min_ms * 1000;
	else
		end_lane(l);
}

static void
read_results(struct lane *l)
{
	must(l, PQconsumeInput(l->conn) == 1);
	while (!PQisBusy(l->conn)) {
		PGresult *res = PQgetResult(l->conn);

		if (res != NULL && PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
			PQclear(res);
			if (l->rows == 0)
				on_empty(l);
			break;
		}
		if (res != NULL)
			on_result(l, res);
	}
}

/* --- the loop --- */

static int
watch(const struct bare *b, struct pollfd *fds)
{
	int open = 0;

	fds[0] = (struct pollfd){.fd = b->bell, .events = POLLIN};
	for (int i = 0; i < b->lanes_count; i++) {
		const struct lane *l = &b->lanes[i];

		fds[i + 1] = (struct pollfd){.fd = -1};
		if (l->conn != NULL)
			fds[i + 1] = (struct pollfd){.fd = PQsocket(l->conn), .events = (short)(POLLIN | (l->writing ? POLLOUT : 0))};
		open += l->conn != NULL;
	}
	return open;
}

static int64_t
next_ask_us(const struct bare *b)
{
	int64_t next_us = CLOCK_NEVER;

	for (int i = 0; i < b->lanes_count; i++)
		if (b->lanes[i].ask_us < next_us)
			next_us = b->lanes[i].ask_us;
	return next_us;
}

/* Until something is readable, or a lane is to ask again. */
static void
await(const struct bare *b, struct pollfd *fds)
{
	int64_t next_us = next_ask_us(b), left_us = next_us - clock_mono_us();
	struct timespec limit = {0, 0};

	if (left_us > 0)
		limit = (struct timespec){left_us / 1000000, left_us % 1000000 * 1000};
	if (ppoll(fds, (nfds_t)b->lanes_count + 1, next_us == CLOCK_NEVER ? NULL : &limit, NULL) < 0)
		say_die("poll failed");
}

static void
ask_again(struct bare *b)
{
	int64_t now_us = clock_mono_us();

	for (int i = 0; i < b->lanes_count; i++)
		if (b->lanes[i].ask_us <= now_us)
			turn(&b->lanes[i]);
}

static void
run(struct bare *b)
{
	struct pollfd fds[LANES_MAX + 1];
	uint64_t rings;

	while (watch(b, fds) > 0) {
		await(b, fds);
		if (fds[0].revents != 0 && read(b->bell, &rings, sizeof(rings)) > 0)
			rd_kafka_poll(b->rk, 0);
		for (int i = 0; i < b->lanes_count; i++) {
			if (fds[i + 1].revents & POLLOUT)
				flush(&b->lanes[i]);
			if (fds[i + 1].revents & ~POLLOUT)
				read_results(&b->lanes[i]);
		}
		publish_wave(b);
		ask_again(b);
	}
}

static void
on_term(int signal)
{
	(void)signal;
	_exit(0);
}

int
main(int argc, char **argv)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct bare b = {.bell = -1};

	if (argc != 4 || (strcmp(argv[1], "drain") != 0 && strcmp(argv[1], "follow") != 0))
		say_die("usage: bench/bare drain|follow CONFIGURATION COUNTERS");
	signal(SIGTERM, on_term);
	b.follow = strcmp(argv[1], "follow") == 0;
	if (config_load(argv[2], NULL, &b.cfg, &problems) != 0)
		say_die("%s is wrong", argv[2]);
	b.counters = bare_map(argv[3]);
	b.lanes_count = (int)b.cfg.outbox.lanes;
	b.lanes = calloc((size_t)b.lanes_count, sizeof(*b.lanes));
	if (b.lanes == NULL)
		say_die("out of memory");
	start_producer(&b);
	for (int i = 0; i < b.lanes_count; i++)
		open_lane(&b, i);
	atomic_store(&b.counters->lanes, b.lanes_count);
	for (int i = 0; i < b.lanes_count; i++)
		turn(&b.lanes[i]);
	run(&b);
	for (;;)
		pause();
}
