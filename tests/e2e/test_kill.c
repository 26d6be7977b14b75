/* test_kill.c - kill -9 at each point of base/failpoint.def: the next daemon loses nothing, reorders nothing and
 * repeats no more than was between claim and settle.
 *
 * One database and one set of keys for all, held against Kafka at the end. PGOUTBOX_KILL_ROUNDS=1000 does as many kills
 * instead, at points and arrivals drawn at random from PGOUTBOX_KILL_SEED; PGOUTBOX_KILL_POINT=settle_sent draws that
 * point alone.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/db.h"
#include "support/env.h"
#include "support/servers.h"
#include "support/tap.h"
#include "support/topic.h"

enum { LANES = 2, BATCH = 10, ROWS = 60, BAD_ROWS = 2, DEATH_MS = 30000, DRAIN_MS = 20000 };
enum { VICTIM, HEIR };

#define OUTBOX "  lanes: 2\n  batch_rows: 10\n"
#define PATIENT OUTBOX "  hold_max: 10s\n"
#define HASTY OUTBOX "  hold_max: 100ms\n  stop_timeout: 1s\n"

static struct env env;
static PGconn *locker; /* has, or waits for, a lane's lock */
static const char *topics[3];
static char picky[96], small[96];
static int kills;

/* --- what goes on around a kill --- */

static void
insert(int rows, const char *topic_sql)
{
	env_exec(&env,
	         "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, topic)"
	         " SELECT 'account', 'k' || n %% 10, 'x', jsonb_build_object('n', n), %s FROM generate_series(1, %d) n",
	         topic_sql, rows);
}

static void
insert_rows(void)
{
	insert(ROWS, "NULL");
}

static void
insert_bad_rows(void)
{
	insert(ROWS, "CASE WHEN n IN (13, 34) THEN 'bad topic!' END");
}

/* The producer learns that the topic takes less at a time than it sends, and has to be made anew. */
static void
insert_for_small(void)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "'%s'", small);
	insert(ROWS, sql);
}

static bool
victim_lives(void)
{
	return proc_running(&env.daemons[VICTIM]);
}

static void
wait_sent(void)
{
	env_wait_int(&env, 0, DRAIN_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
}

static void
wait_all_owned(void)
{
	env_wait_int(&env, LANES, DRAIN_MS,
	             "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 'outbox_events'::regclass"
	             " AND objid < %d AND granted"
	             " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
	             LANES);
}

/* Commits that are not flushed yet when they are claimed. */
static void
commit_carelessly(void)
{
	env_exec(&env, "SET synchronous_commit = off");
	for (int i = 0; i < 2000 && victim_lives(); i++) {
		insert(1, "NULL");
		proc_sleep_ms(5);
	}
	env_exec(&env, "RESET synchronous_commit");
}

/* Where the topic's setting has not arrived yet the event is accepted. */
static void
send_what_is_refused(void)
{
	for (int i = 0; i < 100 && victim_lives(); i++) {
		env_exec(&env,
		         "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, topic, created_at)"
		         " VALUES ('account', 'k', 'x', '{}', '%s', now() - interval '1 hour')", picky);
		proc_sleep_ms(100);
	}
}

static void
set_picky(const char *most_ms)
{
	struct error err;

	ENV_MUST(topic_set(env.kafka, picky, "message.timestamp.difference.max.ms", most_ms, &err), &err);
}

static void
be_picky(void)
{
	set_picky("60000");
}

static void
be_easy(void)
{
	set_picky("9223372036854775807");
}

/* On a busy machine it may be where it is to be killed before we are. */
static void
wait_sent_or_dead(void)
{
	int64_t deadline_us = clock_mono_us() + DRAIN_MS * 1000LL;

	while (victim_lives() && env_int(&env, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL") > 0 &&
	       clock_mono_us() < deadline_us)
		proc_sleep_ms(10);
}

static void
freeze_over_bad_rows(void)
{
	wait_sent_or_dead();
	servers_kafka_signal(SIGSTOP);
	insert_bad_rows();
}

static void
thaw(void)
{
	servers_kafka_signal(SIGCONT);
}

static void
freeze_and_thaw(void)
{
	for (int i = 0; i < 10 && victim_lives(); i++) {
		wait_sent_or_dead();
		servers_kafka_signal(SIGSTOP);
		insert_rows();
		for (int ms = 0; ms < 5000 && victim_lives() && env_metric(&env, VICTIM, "pgoutbox_lanes_detached") < 1; ms += 20)
			proc_sleep_ms(20);
		proc_sleep_ms(100);
		thaw();
		(void)proc_wait(&env.daemons[VICTIM], 3000);
	}
}

static void
freeze_and_stop(void)
{
	freeze_over_bad_rows();
	proc_sleep_ms(300);
	proc_signal(&env.daemons[VICTIM], SIGTERM);
}

static void
stop_under_load(void)
{
	wait_all_owned();
	insert(ROWS * 5, "NULL");
	proc_signal(&env.daemons[VICTIM], SIGTERM);
}

static void
end_sessions(void)
{
	wait_all_owned();
	env_exec(&env,
	         "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
	         " WHERE application_name LIKE 'pgoutboxd lane%%' AND usename = '%s'",
	         env.name);
}

/* Next in the line for lane 0, then its session ends. */
static void
take_lane(void)
{
	char sql[128];

	wait_all_owned();
	locker = PQconnectdb(env.super);
	snprintf(sql, sizeof(sql), "SELECT pg_advisory_lock(%lld, 0)",
	         (long long)env_int(&env, "SELECT 'outbox_events'::regclass::oid::int"));
	TAP_INT_FATAL(PQsendQuery(locker, sql), 1);
	env_wait_int(&env, 1, DRAIN_MS,
	             "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = %d",
	             PQbackendPID(locker));
	end_sessions();
}

static void
leave_lane(void)
{
	PQfinish(locker);
	locker = NULL;
}

/* --- points and what leads to them --- */

struct scenario {
	const char *outbox_lines;
	void (*prepare)(void); /* before the daemon starts; any may be NULL */
	void (*provoke)(void); /* while it runs */
	void (*heal)(void);    /* after its death */
	int parked;            /* events that are set aside in the end */
};

static const struct scenario rows = {PATIENT, insert_rows, NULL, NULL, 0};
static const struct scenario careless = {PATIENT, NULL, commit_carelessly, NULL, 0};
static const struct scenario bad_rows = {PATIENT, insert_bad_rows, NULL, NULL, BAD_ROWS};
static const struct scenario refused = {PATIENT, be_picky, send_what_is_refused, be_easy, 0};
static const struct scenario frozen = {HASTY, insert_rows, freeze_over_bad_rows, thaw, BAD_ROWS};
static const struct scenario thawed = {HASTY, insert_rows, freeze_and_thaw, NULL, 0};
static const struct scenario frozen_stop = {HASTY, insert_rows, freeze_and_stop, thaw, BAD_ROWS};
static const struct scenario stop = {PATIENT, NULL, stop_under_load, NULL, 0};
static const struct scenario cut = {PATIENT, insert_rows, end_sessions, NULL, 0};
static const struct scenario taken = {PATIENT, insert_rows, take_lane, leave_lane, 0};
static const struct scenario fatal = {PATIENT, insert_for_small, NULL, NULL, 0};

static const struct point {
	const char *name;
	const struct scenario *scenario;
	int arrival; /* to be killed at */
	int reached; /* so often at least */
} points[] = {
	{"lane_opening", &rows, 2, 2},
	{"lane_owned", &rows, 1, 2},
	{"lane_refused", &taken, 1, 1},
	{"claim_due", &rows, 2, 6},
	{"claim_sent", &rows, 3, 6},
	{"claim_received", &rows, 3, 6},
	{"flush_awaited", &careless, 1, 3},
	{"flushed", &careless, 1, 3},
	{"event_due", &rows, 7, ROWS},
	{"event_produced", &rows, 13, ROWS},
	{"event_poisoned", &bad_rows, 2, BAD_ROWS},
	{"event_refused", &refused, 1, 1},
	{"batch_produced", &rows, 2, 6},
	{"event_acked", &rows, 24, ROWS},
	{"batch_half_acked", &rows, 8, 20},
	{"batch_acked", &rows, 3, 6},
	{"settle_due", &rows, 3, 6},
	{"settle_sent", &rows, 3, 6},
	{"settle_answered", &rows, 3, 6},
	{"settled", &rows, 2, 6},
	{"park_due", &bad_rows, 1, 1},
	{"park_sent", &bad_rows, 1, 1},
	{"parked", &bad_rows, 1, 1},
	{"detaching", &frozen, 1, 1},
	{"detached", &frozen, 1, 1},
	{"stranded", &frozen, 1, 1},
	{"stranded_reported", &thawed, 4, 8},
	{"late_settle_due", &thawed, 1, 1},
	{"late_settle_sent", &thawed, 1, 1},
	{"late_settle_answered", &thawed, 1, 1},
	{"lane_lost", &cut, 1, 2},
	{"producer_broken", &fatal, 1, 1},
	{"producer_dropped", &fatal, 1, 1},
	{"producer_made", &fatal, 1, 1},
	{"stop_begun", &stop, 1, 1},
	{"purge_due", &frozen_stop, 1, 1},
	{"purged", &frozen_stop, 1, 1},
	{"lane_closing", &stop, 1, 2},
	{"lane_released", &stop, 2, 2},
	{"stopped", &stop, 1, 1},
};
enum { POINTS = sizeof(points) / sizeof(points[0]) };

/* --- one kill --- */

static bool
begin(void)
{
	struct env_config cfg = {.outbox_lines = OUTBOX};
	struct error err;

	if (env.name[0] != '\0')
		return true;
	if (!servers_ours() || !env_begin(&env))
		return false;
	env_exec(&env, "ALTER SYSTEM SET wal_writer_delay = '10s'");
	env_exec(&env, "SELECT pg_reload_conf()");
	env_init(&env, &cfg);
	topics[0] = env_topic(&env, "account");
	topics[1] = picky;
	topics[2] = small;
	snprintf(picky, sizeof(picky), "%s.picky", env.name);
	snprintf(small, sizeof(small), "%s.small", env.name);
	ENV_MUST(topic_create(env.kafka, picky, 1, &err), &err);
	ENV_MUST(topic_create_with(env.kafka, small, 1, "max.message.bytes", "2000", &err), &err);
	return true;
}

static void
start(int daemon, const struct env_config *cfg, const char *failpoint)
{
	unlink(env.daemons[daemon].log); /* whoever waits for a text means this one's */
	if (failpoint != NULL)
		setenv("PGOUTBOX_FAILPOINT", failpoint, 1);
	env_daemon_start(&env, daemon, cfg);
	unsetenv("PGOUTBOX_FAILPOINT");
}

/* Parked once each, whatever became of the daemon; then repaired, so that all arrive in the end. */
static void
repair_parked(int count)
{
	env_wait_int(&env, count, DRAIN_MS, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
	env_wait_int(&env, 0, DRAIN_MS,
	             "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL"
	             " AND aggregate_id NOT IN (SELECT key FROM pgoutbox.parked WHERE state = 'parked')");
	env_exec(&env,
	         "BEGIN; UPDATE outbox_events SET topic = NULL, sent_at = NULL WHERE topic = 'bad topic!';"
	         " UPDATE pgoutbox.parked SET state = 'retried', resolved_at = now() WHERE state = 'parked'; COMMIT");
}

static void
drain(const struct scenario *s)
{
	struct env_config cfg = {.outbox_lines = PATIENT};
	int64_t parked;

	start(HEIR, &cfg, NULL);
	env_daemon_ready(&env, HEIR, DRAIN_MS);
	if (s->parked > 0)
		repair_parked(s->parked);
	wait_sent();
	parked = env_int(&env, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'");
	TAP_INT(parked, 0);
	env_daemon_stop(&env, HEIR);
}

static void
kill_at(const struct point *point, int arrival)
{
	const struct scenario *s = point->scenario;
	struct env_config cfg = {.outbox_lines = s->outbox_lines, .program = "tests/support/pgoutboxd-failpoints"};
	int64_t began_us = clock_mono_us();
	char failpoint[80];
	int status;

	snprintf(failpoint, sizeof(failpoint), "%s:%d", point->name, arrival);
	if (s->prepare != NULL)
		s->prepare();
	start(VICTIM, &cfg, failpoint);
	if (s->provoke != NULL)
		s->provoke();
	status = proc_wait(&env.daemons[VICTIM], DEATH_MS);
	if (s->heal != NULL)
		s->heal();
	TAP_INT_FATAL(status, 128 + SIGKILL);
	kills++;
	drain(s);
	tap_diag("%s: %lld ms, rows up to %lld", failpoint, (long long)(clock_mono_us() - began_us) / 1000,
	         (long long)env_int(&env, "SELECT max(id) FROM outbox_events"));
}

static void
test_point(const char *name)
{
	const struct point *point = NULL;

	for (size_t i = 0; i < POINTS; i++)
		if (strcmp(points[i].name, name) == 0)
			point = &points[i];
	CU_ASSERT_PTR_NOT_NULL_FATAL(point); /* a point without a scenario */
	if (begin())
		kill_at(point, point->arrival);
}

#define FAILPOINT_ROW(name, sentence) \
	static void               \
	test_##name(void)         \
	{                         \
		test_point(#name); \
	}
#include "base/failpoint.def"
#undef FAILPOINT_ROW

static void
test_random_points(void)
{
	const char *seed = getenv("PGOUTBOX_KILL_SEED"), *only = getenv("PGOUTBOX_KILL_POINT");
	long rounds = strtol(getenv("PGOUTBOX_KILL_ROUNDS"), NULL, 10);
	unsigned short state[3] = {0x330e, (unsigned short)(seed != NULL ? strtol(seed, NULL, 10) : 1), 0};

	while (kills < rounds && begin()) {
		const struct point *point = &points[nrand48(state) % POINTS];

		if (only == NULL || strcmp(only, point->name) == 0)
			kill_at(point, 1 + (int)(nrand48(state) % point->reached));
	}
}

static void
test_audit(void)
{
	struct audit *a __attribute__((cleanup(audit_free))) = NULL;
	struct audit_read read = {.topics = topics, .topics_count = 3, .appear_ms = 30000, .idle_ms = 30000};
	struct audit_report r;
	struct error err;

	if (!begin())
		return;
	read.brokers = env.kafka;
	read.expected = env_int(&env, "SELECT count(*) FROM outbox_events");
	ENV_MUST(audit_new(stdout, &a, &err), &err);
	ENV_MUST(audit_consume(a, &read, &err), &err);
	ENV_MUST(audit_judge_rows(a, env.super, "outbox_events", &r, &err), &err);
	tap_diag("%d kills, %lld events, %lld repeated", kills, (long long)r.committed, (long long)r.duplicates);
	CU_ASSERT(audit_sound(&r));
	TAP_INT(r.delivered, read.expected);
	TAP_INT(r.missing, 0);
	TAP_INT(r.out_of_order, 0);
	TAP_INT(r.unknown, 0);
	CU_ASSERT(r.duplicates <= (int64_t)kills * LANES * BATCH);
	env_exec(&env, "ALTER SYSTEM RESET wal_writer_delay");
	env_exec(&env, "SELECT pg_reload_conf()");
	env_end(&env);
}

/* After a test that failed half-way the next begins with a database of its own. */
static void
clean_up(void)
{
	static unsigned failures;

	if (locker != NULL)
		leave_lane();
	if (env.name[0] != '\0')
		thaw();
	if (CU_get_number_of_failures() == failures)
		return;
	failures = CU_get_number_of_failures();
	kills = 0;
	for (int i = VICTIM; i <= HEIR; i++) {
		tap_diag("daemon %d %s, status %d", i, proc_running(&env.daemons[i]) ? "runs" : "has ended",
		         env.daemons[i].status);
		proc_signal(&env.daemons[i], SIGUSR1); /* its state, for the log */
	}
	proc_sleep_ms(200);
	env_end(&env);
	servers_heal();
}

int
main(void)
{
	int status;

	tap_suite_fixture("kill", NULL, clean_up);
	if (getenv("PGOUTBOX_KILL_ROUNDS") != NULL)
		tap_test("points at random", test_random_points);
	else {
#define FAILPOINT_ROW(name, sentence) tap_test(#name ": " sentence, test_##name);
#include "base/failpoint.def"
#undef FAILPOINT_ROW
	}
	tap_test("nothing is lost, reordered or invented", test_audit);
	status = tap_run();
	env_end(&env);
	return status;
}
