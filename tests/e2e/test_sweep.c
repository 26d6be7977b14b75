/* test_sweep.c - the n-th call of libpq, of librdkafka or of the allocator fails: the daemon goes on by itself or ends
 * with a message and a documented status, and nothing is lost, reordered or parked by it.
 *
 * A sample, from PGOUTBOX_SWEEP_SEED; PGOUTBOX_SWEEP_RUNS=all tries every call there is ("make sweep"),
 * PGOUTBOX_SWEEP_FAMILY=alloc those of one family, PGOUTBOX_SWEEP_SHOW=1 shows the logs of all daemons that ended by
 * themselves. Two databases at a time.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/db.h"
#include "support/env.h"
#include "support/tap.h"

enum { LANES = 2, BATCH = 5, ROWS = 60, TRACKS = 2, RUNS = 40, DONE_MS = 30000, STOP_MS = 30000 };
enum { SWEPT, ORDINARY };

#define OUTBOX                                                                                                 \
	{                                                                                                      \
		.database_lines = "  connect_timeout: 1s\n  statement_timeout: 1s\n",                          \
		.outbox_lines = "  lanes: 2\n  batch_rows: 5\n  hold_max: 1s\n  stop_timeout: 5s\n",           \
	}

/* A database of its own, in which one run follows another. */
static struct track {
	struct env env;
	const char *topic;
	int runs, recovered, ended;
	unsigned long n; /* of the run under way */
	bool over;       /* a run ended with fewer calls */
} tracks[TRACKS];

static const char *family;
static bool may_repeat; /* what Kafka has may be reported as failed; nothing else makes a repeat of it */

/* --- one run --- */

/* What is to be sent, and is not held back by a parked event; the parked event itself too, until it is. */
#define LEFT                                                                                                \
	"SELECT count(*) + abs((SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked') - %d)"         \
	" FROM outbox_events WHERE sent_at IS NULL"                                                         \
	" AND aggregate_id NOT IN (SELECT key FROM pgoutbox.parked WHERE state = 'parked')"

static void
insert_events(struct track *t)
{
	env_exec(&t->env,
	         "INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type, payload, topic)"
	         " SELECT 'account', CASE WHEN n IN (5, 12) THEN 'bad%d' ELSE 'k' || n %% 6 END, 'x',"
	         " jsonb_build_object('n', n),"
	         " CASE WHEN n = 5 THEN 'bad topic!' END FROM generate_series(1, %d) n",
	         t->runs, ROWS);
}

/* The operator's work: the parked event and the one behind it are sent in the next run. */
static void
repair(struct track *t)
{
	TAP_INT(env_int(&t->env, "SELECT count(*) FROM pgoutbox.parked WHERE state = 'parked'"), 1);
	env_exec(&t->env,
	         "BEGIN; UPDATE outbox_events SET topic = NULL, sent_at = NULL WHERE topic = 'bad topic!';"
	         " UPDATE pgoutbox.parked SET state = 'retried', resolved_at = now() WHERE state = 'parked'; COMMIT");
}

static void
run_begin(struct track *t, unsigned long n)
{
	struct env_config cfg = OUTBOX;
	char sweep[64];

	cfg.program = "tests/support/pgoutboxd-sweep";
	snprintf(sweep, sizeof(sweep), "%s:%lu", family, n);
	t->n = n;
	insert_events(t);
	unlink(t->env.daemons[SWEPT].log);
	setenv("PGOUTBOX_SWEEP", sweep, 1);
	env_daemon_start(&t->env, SWEPT, &cfg);
	unsetenv("PGOUTBOX_SWEEP");
}

/* False: it has ended, or does not come to an end. */
static bool
wait_done(struct track *t)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)DONE_MS * 1000;

	while (proc_running(&t->env.daemons[SWEPT]) && clock_mono_us() < deadline_us) {
		if (env_int(&t->env, LEFT, 1) == 0)
			return true;
		proc_sleep_ms(5);
	}
	return false;
}

static void
show(const struct track *t, const char *what, const char *log)
{
	const char *line = log;

	tap_diag("PGOUTBOX_SWEEP=%s:%lu: %s", family, t->n, what);
	for (size_t len; *line != '\0'; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		tap_diag("%.*s", (int)len, line);
	}
}

static bool
documented(int status)
{
	return status == EX_SOFTWARE || status == EX_OSERR || status == EX_TEMPFAIL || status == EX_CONFIG;
}

static void
judge_end(struct track *t, bool done, int status)
{
	char *log = proc_log_text(&t->env.daemons[SWEPT]);

	if (strstr(log, "sweep: call ") == NULL)
		t->over = true;
	if (done && status == 0) {
		t->recovered++;
	} else if (!done && documented(status) && (strstr(log, "id=cannot-") != NULL || strstr(log, ".yaml") != NULL)) {
		t->ended++;
		if (getenv("PGOUTBOX_SWEEP_SHOW") != NULL)
			show(t, "ended", log);
	} else {
		show(t, done ? "did not stop cleanly" : "neither went on nor ended cleanly", log);
		tap_diag("its status: %d", status);
		CU_FAIL("a run");
	}
	free(log);
}

static void
deliver_the_rest(struct track *t)
{
	struct env_config cfg = OUTBOX;

	unlink(t->env.daemons[ORDINARY].log);
	env_daemon_start(&t->env, ORDINARY, &cfg);
	env_daemon_ready(&t->env, ORDINARY, DONE_MS);
	env_wait_int(&t->env, 0, DONE_MS, LEFT, 1);
	env_daemon_stop(&t->env, ORDINARY);
}

static void
run_end(struct track *t)
{
	bool done = wait_done(t);
	struct proc *p = &t->env.daemons[SWEPT];
	int status;

	if (!done && proc_running(p)) {
		proc_signal(p, SIGUSR1);
		proc_sleep_ms(100);
	}
	status = proc_running(p) ? proc_terminate(p, STOP_MS) : proc_wait(p, 0);
	t->runs++;
	judge_end(t, done, status);
	if (!done)
		deliver_the_rest(t);
	repair(t);
}

/* --- all of them --- */

static bool
begin(void)
{
	struct env_config cfg = OUTBOX;

	for (int i = 0; i < TRACKS; i++) {
		struct track *t = &tracks[i];

		*t = (struct track){.n = 0};
		if (!env_begin(&t->env))
			return false;
		env_init(&t->env, &cfg);
		t->topic = env_topic(&t->env, "account");
	}
	return true;
}

static void
end(void)
{
	for (int i = 0; i < TRACKS; i++)
		env_end(&tracks[i].env);
}

/* How many calls a run makes in which none fails. */
static unsigned long
count_calls(void)
{
	struct track *t = &tracks[0];
	char told[32], *log, *found;
	unsigned long calls;

	run_begin(t, 1000000000);
	run_end(t);
	t->over = false;
	log = proc_log_text(&t->env.daemons[SWEPT]);
	snprintf(told, sizeof(told), "sweep: %s calls: ", family);
	TAP_HAS_FATAL(log, told);
	found = strstr(log, told) + strlen(told);
	calls = strtoul(found, NULL, 10);
	free(log);
	CU_ASSERT_FATAL(calls > 0);
	return calls;
}

static void
check_track(struct track *t)
{
	struct env_config cfg = OUTBOX;
	struct audit_report report;

	env_daemon_start(&t->env, ORDINARY, &cfg);
	env_daemon_ready(&t->env, ORDINARY, DONE_MS);
	env_wait_int(&t->env, 0, DONE_MS, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL");
	env_daemon_stop(&t->env, ORDINARY);
	env_audit_repeats(&t->env, t->topic, &report);
	tap_diag("%s: %d runs, %d went on, %d ended; %lld events, %lld repeated", family, t->runs, t->recovered, t->ended,
	         (long long)report.committed, (long long)report.duplicates);
	CU_ASSERT(report.duplicates <= (may_repeat ? (int64_t)t->runs * LANES * BATCH : 0));
}

static void
sweep(const char *name, bool repeats)
{
	const char *runs = getenv("PGOUTBOX_SWEEP_RUNS"), *seed = getenv("PGOUTBOX_SWEEP_SEED");
	unsigned long calls, stride, n;

	family = name;
	may_repeat = repeats;
	if (!begin())
		return;
	calls = count_calls();
	stride = runs != NULL && strcmp(runs, "all") == 0 ? 1 : calls / (runs != NULL ? strtoul(runs, NULL, 10) : RUNS) + 1;
	n = 1 + (seed != NULL ? strtoul(seed, NULL, 10) : 1) % stride;
	tap_diag("%lu calls of %s, of which every %lu. from %lu on fails", calls, family, stride, n);
	while (!tracks[0].over && !tracks[1].over) {
		for (int i = 0; i < TRACKS; i++, n += stride)
			run_begin(&tracks[i], n);
		for (int i = 0; i < TRACKS; i++)
			run_end(&tracks[i]);
	}
	for (int i = 0; i < TRACKS; i++)
		check_track(&tracks[i]);
}

static void
a_call_of_libpq_fails(void)
{
	sweep("pg", false);
}

static void
a_call_of_librdkafka_fails(void)
{
	sweep("kafka", true);
}

static void
an_allocation_fails(void)
{
	sweep("alloc", false);
}

static bool
wanted(const char *name)
{
	const char *only = getenv("PGOUTBOX_SWEEP_FAMILY");

	return only == NULL || strcmp(only, name) == 0;
}

int
main(void)
{
	tap_suite_fixture("sweep", NULL, end);
	if (wanted("pg"))
		tap_test("a call of libpq fails", a_call_of_libpq_fails);
	if (wanted("kafka"))
		tap_test("a call of librdkafka fails", a_call_of_librdkafka_fails);
	if (wanted("alloc"))
		tap_test("an allocation fails", an_allocation_fails);
	return tap_run();
}
