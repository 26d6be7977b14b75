/* test_database.c - each way in which PostgreSQL fails while it runs, under load: nothing is lost, reordered or
 * published twice, the daemon says what is wrong, waits cheaply, and goes on by itself. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/away.h"
#include "support/db.h"
#include "support/servers.h"
#include "support/tap.h"

enum { RATE = 1000 };

static struct env env;
static struct load load;
static const char *topic;

static void
end(void)
{
	servers_heal();
	if (env.db != NULL && PQstatus(env.db) != CONNECTION_OK)
		PQreset(env.db);
	env_end(&env);
}

static void
write_for(double seconds)
{
	away_write(&load, env.super, RATE, seconds);
}

static bool
begin(const struct env_config *cfg, int daemons)
{
	if (!servers_ours() || !env_begin(&env))
		return false;
	env_init(&env, cfg);
	topic = env_topic(&env, "account");
	for (int i = 0; i < daemons; i++)
		env_daemon_start(&env, i, cfg);
	for (int i = 0; i < daemons; i++) {
		env_daemon_ready(&env, i, AWAY_HEAL_MS);
		away_wait_least(&env, i, LANES_OWNED, 4 / daemons);
	}
	return true;
}

static void
finish(int daemons)
{
	load_join(&load);
	away_finish(&env, daemons, topic);
}

/* --- sessions end --- */

static const char *const kinds[] = {"lane", "bell", "keeper", "barrier"};

enum { KINDS = 4 };

static int64_t
end_one(const char *kind)
{
	return env_int(&env,
	    "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE usename = '%s'"
	    " AND application_name LIKE 'pgoutboxd %s%%' ORDER BY random() LIMIT 1) r",
	    env.name, kind);
}

/* Of all kinds in random order, at times several at once; the writers commit without waiting, so that the barrier has
 * work. */
static void
sessions_are_ended(void)
{
	struct env_config cfg = {.conninfo = NULL};
	int64_t ended[KINDS] = {0}, start_us;
	unsigned seed = 4;

	if (!begin(&cfg, 1))
		return;
	env_exec(&env, "ALTER DATABASE %s SET synchronous_commit = off", env.name);
	write_for(5);
	start_us = clock_mono_us();
	while (clock_mono_us() - start_us < 4500000) {
		int kind = rand_r(&seed) % KINDS;

		for (int n = rand_r(&seed) % 3; n >= 0; n--)
			ended[kind] += end_one(kinds[kind]);
		proc_sleep_ms(20 + rand_r(&seed) % 120);
	}
	for (int kind = 0; kind < KINDS; kind++) {
		tap_diag("%lld sessions of a %s ended", (long long)ended[kind], kinds[kind]);
		CU_ASSERT(ended[kind] > 0);
	}
	finish(1);
}

enum { KILLS = 6, BACK_MS = 350 };

/* How long until the second daemon, whose sessions come by TCP, has its two lanes again. */
static int64_t
ms_without_lanes(void)
{
	int64_t start_us = clock_mono_us();

	env_wait_int(&env, 2, AWAY_HEAL_MS,
	    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE usename = '%s' AND client_addr IS NOT NULL"
	    " AND locktype = 'advisory' AND objid < 64",
	    env.name);
	return (clock_mono_us() - start_us) / 1000;
}

/* All sessions of one of two relays end at once: it is back before the other one takes it for dead, and settles what it
 * sent. On a machine that is too slow for that, some of it may be repeated. */
static void
a_relay_keeps_its_lanes(void)
{
	struct env_config cfg = {.conninfo = NULL};
	struct audit_report report;
	int64_t slowest_ms = 0;
	char *tcp;

	if (!begin(&cfg, 1))
		return;
	tcp = db_conninfo(env.conninfo, "host", "127.0.0.1", NULL);
	cfg.conninfo = tcp;
	env_daemon_start(&env, 1, &cfg);
	away_wait_least(&env, 1, LANES_OWNED, 2);
	write_for(5);
	for (int i = 0; i < KILLS; i++) {
		int64_t ms;

		away_wait_more_sent(&env, 1);
		env_exec(&env, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%s' AND client_addr IS NOT NULL",
		         env.name);
		ms = ms_without_lanes();
		slowest_ms = ms > slowest_ms ? ms : slowest_ms;
		proc_sleep_ms(600);
	}
	tap_diag("back after %lld ms at most", (long long)slowest_ms);
	free(tcp);
	load_join(&load);
	if (slowest_ms <= BACK_MS) {
		away_finish(&env, 2, topic);
		return;
	}
	away_settled(&env, 2);
	env_audit_repeats(&env, topic, &report);
	CU_ASSERT(report.duplicates <= (int64_t)KILLS * 2 * 1000);
}

/* --- the server answers, but not as it should --- */

static void
on_update(const char *body)
{
	env_exec(&env, "CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s RETURN NEW; END $$", body);
	env_exec(&env, "CREATE TRIGGER trouble BEFORE UPDATE ON outbox_events FOR EACH ROW EXECUTE FUNCTION trouble()");
}

static void
off_update(void)
{
	env_exec(&env, "DROP TRIGGER trouble ON outbox_events; DROP FUNCTION trouble()");
}

/* What was sent is kept until it can be settled, and nothing is claimed before. */
static void
settle_fails(const char *body, const char *said)
{
	double failed = env_metric(&env, 0, SETTLES_FAILED), sent;

	away_wait_more_sent(&env, 0);
	on_update(body);
	away_said(&env, 0, said);
	proc_sleep_ms(500);
	sent = env_metric(&env, 0, EVENTS_SENT);
	away_cheap(&env, 0, 500);
	CU_ASSERT(env_metric(&env, 0, EVENTS_SENT) == sent);
	CU_ASSERT(env_metric(&env, 0, SETTLES_FAILED) > failed);
	CU_ASSERT(env_metric(&env, 0, UP_POSTGRESQL) == 1);
	away_page(&env, 0, "lanes ok, but");
	off_update();
	away_wait_more_sent(&env, 0);
	away_wait_least(&env, 0, LANES_OWNED, 4);
	away_page(&env, 0, "[+]lanes ok\n");
}

static void
settling_fails_for_a_while(void)
{
	struct env_config cfg = {.database_lines = "  statement_timeout: 500ms\n"};

	if (!begin(&cfg, 1))
		return;
	write_for(6);
	settle_fails("RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full';", "SQLSTATE 53100");
	settle_fails("RAISE EXCEPTION 'not now';", "SQLSTATE P0001");
	settle_fails("PERFORM pg_sleep(5);", "SQLSTATE 57014");
	finish(1);
}

static void
table_is_locked(void)
{
	struct env_config cfg = {.database_lines = "  statement_timeout: 500ms\n"};

	if (!begin(&cfg, 2))
		return;
	write_for(3);
	away_wait_more_sent(&env, 0);
	env_exec(&env, "BEGIN; LOCK TABLE outbox_events IN ACCESS EXCLUSIVE MODE");
	away_said(&env, 0, "SQLSTATE 55P03");
	proc_sleep_ms(1000);
	env_exec(&env, "COMMIT");
	away_wait_more_sent(&env, 0);
	/* every row moves to another place */
	for (int i = 0; i < 3; i++) {
		env_exec(&env, "VACUUM FULL outbox_events");
		env_exec(&env, "ALTER TABLE outbox_events ALTER headers TYPE jsonb USING (headers::text)::jsonb");
		proc_sleep_ms(200);
	}
	away_wait_more_sent(&env, 0);
	finish(2);
}

static void
end_sessions(void)
{
	env_exec(&env, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%s'", env.name);
}

static void
expect_both_back(void)
{
	for (int i = 0; i < 2; i++)
		away_back(&env, i, 2);
}

/* With events in flight at a Kafka that hangs, which acknowledges them while PostgreSQL is away: they are settled before
 * anything is claimed, and nothing is repeated. */
static void
no_more_sessions(void)
{
	servers_kafka_signal(SIGSTOP);
	away_wait_least(&env, 0, IN_FLIGHT, 1);
	env_exec(&env, "ALTER ROLE %s CONNECTION LIMIT 0", env.name);
	end_sessions();
	away_wait_most(&env, 0, UP_POSTGRESQL, 0);
	away_page(&env, 0, "53300: too many connections");
	servers_kafka_signal(SIGCONT);
	away_wait_most(&env, 0, IN_FLIGHT, 0);
	env_exec(&env, "ALTER ROLE %s CONNECTION LIMIT -1", env.name);
	expect_both_back();
}

/* Once it has worked, a login that is refused is waited for like any outage. */
static void
no_more_login(void)
{
	env_exec(&env, "ALTER ROLE %s NOLOGIN", env.name);
	end_sessions();
	away_expect(&env, 1, 500);
	away_page(&env, 1, "28000: ");
	CU_ASSERT(proc_running(&env.daemons[1]));
	env_exec(&env, "ALTER ROLE %s LOGIN", env.name);
	expect_both_back();
}

static void
no_more_changes(void)
{
	env_exec(&env, "ALTER SYSTEM SET default_transaction_read_only = on");
	env_exec(&env, "SELECT pg_reload_conf()");
	away_expect(&env, 0, 500);
	away_page(&env, 0, "read-only");
	env_exec(&env, "ALTER SYSTEM RESET default_transaction_read_only");
	env_exec(&env, "SELECT pg_reload_conf()");
	expect_both_back();
}

static void
server_refuses(void)
{
	struct env_config cfg = {.conninfo = NULL};

	if (!begin(&cfg, 2))
		return;
	write_for(5);
	away_wait_more_sent(&env, 0);
	no_more_sessions();
	no_more_login();
	no_more_changes();
	finish(2);
}

/* --- a disk that is full in truth --- */

static char disk[160];

static void
end_disk(void)
{
	end();
	if (disk[0] == '\0')
		return;
	if (umount2(disk, MNT_DETACH) != 0)
		tap_diag("could not unmount %s", disk);
	rmdir(disk);
	disk[0] = '\0';
}

static bool
make_disk(void)
{
	struct stat data;

	snprintf(disk, sizeof(disk), "/tmp/pgoutbox-disk.XXXXXX");
	if (geteuid() != 0 || stat(getenv("PGOUTBOX_TEST_PGDATA"), &data) != 0 || mkdtemp(disk) == NULL) {
		tap_skip("only root can mount a small disk");
		disk[0] = '\0';
		return false;
	}
	if (mount("none", disk, "tmpfs", 0, "size=16m,mode=0700") != 0 || chown(disk, data.st_uid, data.st_gid) != 0) {
		tap_skip("a small disk cannot be mounted here");
		rmdir(disk);
		disk[0] = '\0';
		return false;
	}
	return true;
}

static void
fill_disk(const char *file)
{
	static const char zeros[65536];
	FILE *out = fopen(file, "we");

	CU_ASSERT_FATAL(out != NULL);
	setvbuf(out, NULL, _IONBF, 0);
	while (fwrite(zeros, sizeof(zeros), 1, out) == 1)
		;
	fclose(out);
}

static void
disk_is_full(void)
{
	struct env_config cfg = {.conninfo = NULL};
	char filler[200];
	double sent;

	if (!servers_ours() || !make_disk() || !begin(&cfg, 1))
		return;
	env_exec(&env, "CREATE TABLESPACE %s LOCATION '%s'", env.name, disk);
	env_exec(&env, "ALTER TABLE outbox_events SET TABLESPACE %s", env.name);
	env_exec(&env, "ALTER TABLE outbox_events SET (fillfactor = 100)"); /* with room in its pages it could go on */
	write_for(3);
	away_wait_more_sent(&env, 0);
	snprintf(filler, sizeof(filler), "%s/filler", disk);
	fill_disk(filler);
	away_said(&env, 0, "SQLSTATE 53100");
	away_said(&env, 0, "No space left on device");
	proc_sleep_ms(1000);
	CU_ASSERT(env_metric(&env, 0, UP_POSTGRESQL) == 1);
	sent = env_metric(&env, 0, EVENTS_SENT);
	unlink(filler);
	away_wait_least(&env, 0, EVENTS_SENT, sent + 1);
	finish(1);
	env_exec(&env, "ALTER TABLE outbox_events SET TABLESPACE pg_default");
	env_exec(&env, "DROP TABLESPACE %s", env.name);
}

/* --- the daemon hangs --- */

static bool
server_said(const char *text)
{
	char path[512], line[1024];
	bool found = false;
	FILE *in;

	snprintf(path, sizeof(path), "%s/log", getenv("PGOUTBOX_TEST_PGSTATE"));
	in = fopen(path, "re");
	while (in != NULL && fgets(line, sizeof(line), in) != NULL)
		found = found || strstr(line, text) != NULL;
	if (in != NULL)
		fclose(in);
	return found;
}

/* The daemon sets this timeout itself. It strikes where the daemon hangs while its transaction waits for Kafka. What was
 * with the producer is taken back then, for nobody knows how long it stood still: only that much may be repeated. */
static void
idle_in_transaction(void)
{
	struct env_config cfg = {.database_lines = "  session_timeout: 3s\n"};
	struct audit_report report;
	double repeatable;

	if (!begin(&cfg, 1))
		return;
	write_for(4);
	away_wait_more_sent(&env, 0);
	servers_kafka_signal(SIGSTOP);
	env_wait_int(&env, 4, 60000, "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND state = 'idle in transaction'"
	             " AND application_name LIKE 'pgoutboxd lane%%'", env.name);
	proc_stop(&env.daemons[0]);
	env_wait_int(&env, 0, 60000, "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s'", env.name);
	CU_ASSERT(server_said("terminating connection due to idle-in-transaction timeout"));
	servers_kafka_signal(SIGCONT);
	proc_continue(&env.daemons[0]);
	away_wait_more_sent(&env, 0);
	away_wait_least(&env, 0, UP_POSTGRESQL, 1);
	away_wait_least(&env, 0, LANES_OWNED, 4);
	load_join(&load);
	env_wait_int(&env, 0, AWAY_HEAL_MS, "SELECT count(*) FROM (SELECT FROM outbox_events WHERE sent_at IS NULL LIMIT 1) r");
	repeatable = env_metric(&env, 0, EVENTS_REPEATABLE);
	env_daemon_stop(&env, 0);
	env_audit_repeats(&env, topic, &report);
	tap_diag("%lld repeated of %g that might be", (long long)report.duplicates, repeatable);
	CU_ASSERT((double)report.duplicates <= repeatable);
}

int
main(void)
{
	tap_suite_fixture("database", NULL, end);
	tap_test("sessions of every kind are ended at random", sessions_are_ended);
	tap_test("a relay that loses all sessions keeps its lanes", a_relay_keeps_its_lanes);
	tap_test("settling fails for a while", settling_fails_for_a_while);
	tap_test("the table is locked, then rewritten", table_is_locked);
	tap_test("the server gives no session, no login, and then takes no changes", server_refuses);
	tap_test("a hung daemon's transactions are ended", idle_in_transaction);
	tap_suite_fixture("database disk", NULL, end_disk);
	tap_test("the disk is full", disk_is_full);
	return tap_run();
}
