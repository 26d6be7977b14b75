/* test_flow.c - the main path on real servers: what is committed arrives once and in order, the rest never. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/sha256.h"
#include "support/env.h"
#include "support/tap.h"
#include "support/topic.h"
#include "support/writer.h"

static struct env env;

static void
end(void)
{
	env_end(&env);
}

static struct writer_options
application(void)
{
	struct writer_options opt = WRITER_DEFAULTS;

	opt.conninfo = env.super;
	return opt;
}

static void
wait_until_sent(int timeout_ms)
{
	env_wait_int(&env, 0, timeout_ms,
	    "SELECT count(*) FROM (SELECT FROM outbox_events WHERE sent_at IS NULL LIMIT 1) r");
}

static void
two_daemons_relay_what_eight_writers_commit(void)
{
	struct env_config cfg = {.conninfo = NULL};
	struct writer_options opt;
	struct writer_counts counts;
	struct audit_report report;
	const char *topic;
	struct error err;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	opt = application();
	opt.events = 200000;
	opt.keys = 10000;
	for (int i = 0; i < 2; i++)
		env_daemon_start(&env, i, &cfg);
	for (int i = 0; i < 2; i++)
		env_daemon_ready(&env, i, 60000);
	ENV_MUST(writer_prepare(&opt, &err), &err);
	ENV_MUST(writer_run(&opt, &counts, &err), &err);
	TAP_INT(counts.committed, 200000);
	CU_ASSERT(counts.rolled_back > 1000);
	wait_until_sent(60000);
	CU_ASSERT(env_metric(&env, 0, "pgoutbox_events_sent_total") > 0);
	CU_ASSERT(env_metric(&env, 1, "pgoutbox_events_sent_total") > 0);
	for (int i = 0; i < 2; i++)
		env_daemon_stop(&env, i);
	env_audit(&env, topic, false, &report);
	TAP_INT(report.compared, 200000);
	tap_diag("%lld events written in %.1f s, %lld rolled back", (long long)counts.committed, counts.seconds,
	    (long long)counts.rolled_back);
}

static void
settling_by_delete_empties_the_table(void)
{
	struct env_config cfg = {.outbox_lines = "  settle: delete\n"};
	struct writer_options opt;
	struct writer_counts counts;
	struct audit_report report;
	const char *topic;
	struct error err;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 60000);
	opt = application();
	opt.events = 20000;
	ENV_MUST(writer_prepare(&opt, &err), &err);
	ENV_MUST(writer_run(&opt, &counts, &err), &err);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM outbox_events");
	env_daemon_stop(&env, 0);
	env_audit(&env, topic, true, &report);
	TAP_INT(report.committed, 20000);
}

struct run {
	struct writer_options opt;
	struct writer_counts counts;
	struct error err;
	int rc;
};

static void *
write_in_background(void *arg)
{
	struct run *run = arg;

	run->rc = writer_run(&run->opt, &run->counts, &run->err);
	return NULL;
}

static void
restarts_send_nothing_twice(void)
{
	struct env_config cfg = {.conninfo = NULL};
	struct audit_report report;
	struct run run;
	const char *topic;
	pthread_t thread;
	struct error err;

	if (!env_begin(&env))
		return;
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	run = (struct run){.opt = application()};
	run.opt.events = 40000;
	run.opt.events_per_second = 4000;
	ENV_MUST(writer_prepare(&run.opt, &err), &err);
	env_daemon_start(&env, 0, &cfg);
	TAP_INT_FATAL(pthread_create(&thread, NULL, write_in_background, &run), 0);
	for (int i = 0; i < 5; i++) {
		proc_sleep_ms(1500);
		env_daemon_stop(&env, 0);
		env_daemon_start(&env, 0, &cfg);
	}
	pthread_join(thread, NULL);
	ENV_MUST(run.rc, &run.err);
	wait_until_sent(60000);
	env_daemon_stop(&env, 0);
	env_audit(&env, topic, false, &report);
	TAP_INT(report.committed, 40000);
}

#define RECEIPTS 3000

/* Each message as ('id', partition, offset, 'SHA-256 of its value'). */
static size_t
read_places(const char *topic, struct buf *out)
{
	struct topic_reader *reader __attribute__((cleanup(topic_reader_close))) = NULL;
	rd_kafka_message_t *m;
	struct error err;
	size_t seen = 0;

	ENV_MUST(topic_reader_open(env.kafka, &topic, 1, 10000, &reader, &err), &err);
	while (seen < RECEIPTS && (m = topic_reader_next(reader, 10000)) != NULL) {
		struct slice id = topic_header(m, "id");
		unsigned char digest[SHA256_BYTES];
		struct sha256 s;

		sha256_init(&s);
		sha256_add(&s, m->payload, m->len);
		sha256_end(&s, digest);
		buf_printf(out, "%s('%.*s', %d, %lld, '", seen > 0 ? ", " : "", (int)id.len, id.data, (int)m->partition,
		    (long long)m->offset);
		for (size_t i = 0; i < sizeof(digest); i++)
			buf_printf(out, "%02x", digest[i]);
		buf_add_str(out, "')");
		rd_kafka_message_destroy(m);
		seen++;
	}
	return seen;
}

/* What the consumer sees of each event is what the database says of it. */
static void
expect_receipts(const char *settle, const char *receipts)
{
	char lines[64];
	struct env_config cfg = {.outbox_lines = lines};
	struct buf places __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *topic;

	if (!env_begin(&env))
		return;
	snprintf(lines, sizeof(lines), "  receipts: true\n  settle: %s\n", settle);
	env_init(&env, &cfg);
	topic = env_topic(&env, "account");
	env_daemon_start(&env, 0, &cfg);
	env_daemon_ready(&env, 0, 15000);
	for (int i = 0; i < 3; i++)
		env_exec(&env,
		    "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload)"
		    " SELECT 'account', 'k' || n %% 300, 'e', jsonb_build_object('n', n, 'ü', repeat('x', n)) FROM generate_series(1, %d) n",
		    RECEIPTS / 3);
	wait_until_sent(30000);
	env_daemon_stop(&env, 0);
	TAP_INT_FATAL(read_places(topic, &places), RECEIPTS);
	env_exec(&env, "CREATE TABLE seen (event_id uuid, part int, off bigint, digest text)");
	env_exec(&env, "INSERT INTO seen VALUES %s", buf_str(&places));
	TAP_INT(env_int(&env, "SELECT count(*) FROM seen JOIN (%s) r USING (event_id, part, off, digest)", receipts), RECEIPTS);
	TAP_INT(env_int(&env, "SELECT count(DISTINCT part) FROM seen"), 4);
}

static void
receipts_in_the_row(void)
{
	expect_receipts("mark",
	    "SELECT event_id, sent_partition AS part, sent_offset AS off,"
	    " encode(sha256(convert_to(payload::text, 'UTF8')), 'hex') AS digest FROM outbox_events");
}

static void
receipts_of_deleted_rows(void)
{
	expect_receipts("delete",
	    "SELECT event_id::uuid, kafka_partition AS part, kafka_offset AS off, encode(digest, 'hex') AS digest"
	    " FROM pgoutbox.receipts WHERE outbox = 'public.outbox_events' AND topic LIKE '%.account' AND key ~ '^k[0-9]+$'");
}

int
main(void)
{
	tap_suite_fixture("flow", NULL, end);
	tap_test("two daemons relay what eight writers commit", two_daemons_relay_what_eight_writers_commit);
	tap_test("settling by delete empties the table", settling_by_delete_empties_the_table);
	tap_test("receipts in the row", receipts_in_the_row);
	tap_test("receipts of deleted rows", receipts_of_deleted_rows);
	tap_test("restarts in the middle send nothing twice", restarts_send_nothing_twice);
	return tap_run();
}
