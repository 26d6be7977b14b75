/* hostile.c - the drain in surroundings that make it hard, each as a ratio to the plain one of the same round; and in each how long
 * a straggler takes that commits when all after it is sent. With --ceiling, what the same statements take there with nobody publishing. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/ceiling_run.h"
#include "bench/drain_run.h"
#include "bench/options.h"
#include "support/db.h"

#define PASSING_EVENTS 20000 /* that overtake the straggler */
#define STRAGGLER_LIMIT_US 120000000

struct hostile {
	const struct hostile_case *one;
	PGconn *conn; /* a session that does harm */
	struct proc dump;
	double straggler_ms;
};

static const struct hostile_case {
	const char *name;
	void (*before)(struct world *w, struct hostile *h);
	void (*after)(struct world *w, struct hostile *h);
	bool unknown;   /* the table was never analysed */
	int sent_times; /* so many times the backlog are there as sent rows */
} cases[];

static PGconn *
open_session(struct world *w)
{
	struct error err;
	PGconn *conn = db_open(w->super, &err);

	say_must(conn == NULL ? -1 : 0, &err, "connect");
	return conn;
}

static void
hold_snapshot(struct world *w, struct hostile *h)
{
	struct error err;

	h->conn = open_session(w);
	say_must(db_exec(h->conn, &err, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class"), &err, "old snapshot");
}

static void
hold_xid(struct world *w, struct hostile *h)
{
	struct error err;

	h->conn = open_session(w);
	say_must(db_exec(h->conn, &err, "BEGIN; SELECT pg_current_xact_id()"), &err, "idle writer");
}

static void
leave_session(struct world *w, struct hostile *h)
{
	(void)w;
	db_close(&h->conn);
}

/* One dump after the other. */
static void
start_dump(struct world *w, struct hostile *h)
{
	static const char script[] = "trap 'kill $child; exit' TERM; while :; do \"$0\" -d \"$1\" -f /dev/null & child=$!; wait $child || exit; done";
	const char *dir = getenv("PGOUTBOX_TEST_PGBIN");
	char program[512], log[300];
	const char *const argv[] = {"sh", "-c", script, program, w->super, NULL};
	struct error err;

	snprintf(program, sizeof(program), "%s%spg_dump", dir != NULL ? dir : "", dir != NULL ? "/" : "");
	snprintf(log, sizeof(log), "%s/d3.log", w->dir);
	say_must(proc_start(&h->dump, log, argv, &err), &err, "pg_dump");
}

static void
stop_dump(struct world *w, struct hostile *h)
{
	(void)w;
	if (!proc_running(&h->dump))
		say_die("pg_dump failed: %s", proc_log_text(&h->dump));
	(void)proc_terminate(&h->dump, 10000);
}

static void
rush_autovacuum(struct world *w, struct hostile *h)
{
	(void)h;
	world_exec(w, "ALTER SYSTEM SET autovacuum_naptime = '1s'");
	world_exec(w, "ALTER SYSTEM SET autovacuum_vacuum_cost_delay = 0");
	world_exec(w, "SELECT pg_reload_conf()");
	world_exec(w, "ALTER TABLE outbox_events SET (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0,"
	              " autovacuum_vacuum_insert_threshold = 1000, autovacuum_vacuum_insert_scale_factor = 0,"
	              " autovacuum_analyze_threshold = 1000, autovacuum_analyze_scale_factor = 0)");
}

static void
calm_autovacuum(struct world *w, struct hostile *h)
{
	(void)h;
	world_exec(w, "ALTER SYSTEM RESET autovacuum_naptime");
	world_exec(w, "ALTER SYSTEM RESET autovacuum_vacuum_cost_delay");
	world_exec(w, "SELECT pg_reload_conf()");
}

static const struct hostile_case cases[] = {
	{.name = "plain"},
	{.name = "old snapshot", .before = hold_snapshot, .after = leave_session},
	{.name = "idle writer", .before = hold_xid, .after = leave_session},
	{.name = "sent rows", .sent_times = 10},
	{.name = "pg_dump", .before = start_dump, .after = stop_dump},
	{.name = "autovacuum", .before = rush_autovacuum, .after = calm_autovacuum},
	{.name = "never analysed", .unknown = true},
};

/* --- the straggler --- */

/* Returns the lowest id of those written. */
static int64_t
write_events(PGconn *conn, int count)
{
	struct error err;
	int64_t id = 0;

	say_must(db_int(conn, &id, &err,
	                "WITH written AS (INSERT INTO outbox_events (aggregate_type, aggregate_id, event_type)"
	                " SELECT 'account', 'key-' || i, 'changed' FROM generate_series(1, %d) i RETURNING id) SELECT min(id) FROM written",
	                count), &err, "insert");
	return id;
}

/* Wall time at which none of these was unsent any more. */
static int64_t
wait_until_sent(struct world *w, int64_t from_id, int64_t to_id)
{
	int64_t limit_us = clock_mono_us() + STRAGGLER_LIMIT_US;

	while (world_int(w, "SELECT count(*) FROM outbox_events WHERE sent_at IS NULL AND id BETWEEN %" PRId64 " AND %" PRId64, from_id,
	                 to_id) > 0) {
		if (clock_mono_us() > limit_us)
			say_die("events from %" PRId64 " on are not sent", from_id);
		proc_sleep_ms(5);
	}
	return clock_wall_us();
}

/* Its id is drawn, others with higher ones are sent, and only then it commits. Where the row stays it says when it was sent. */
static double
measure_straggler(struct world *w)
{
	PGconn *conn = open_session(w);
	int64_t straggler, committed_us, sent_us;
	struct error err;

	say_must(db_exec(conn, &err, "BEGIN"), &err, "BEGIN");
	straggler = write_events(conn, 1);
	(void)wait_until_sent(w, write_events(w->db, PASSING_EVENTS), INT64_MAX);
	say_must(db_exec(conn, &err, "COMMIT"), &err, "COMMIT");
	committed_us = clock_wall_us();
	sent_us = wait_until_sent(w, straggler, straggler);
	if (!w->opt.settle_delete)
		sent_us = world_int(w, "SELECT (extract(epoch FROM sent_at) * 1000000)::int8 FROM outbox_events WHERE id = %" PRId64, straggler);
	db_close(&conn);
	return (double)(sent_us - committed_us) / 1000;
}

/* --- rounds --- */

static void
begin_harm(struct world *w, void *ctx)
{
	struct hostile *h = ctx;

	if (h->one->before != NULL)
		h->one->before(w, h);
}

/* The harm goes on while the straggler is waited for. */
static int64_t
end_harm(struct world *w, void *ctx)
{
	struct hostile *h = ctx;

	h->straggler_ms = measure_straggler(w);
	if (h->one->after != NULL)
		h->one->after(w, h);
	return PASSING_EVENTS + 1;
}

static int64_t
end_harm_alone(struct world *w, void *ctx)
{
	struct hostile *h = ctx;

	if (h->one->after != NULL)
		h->one->after(w, h);
	return 0;
}

/* plain: of the plain case of the same round; NULL = this is it. */
static void
say_ceiling(const struct say *say, const struct ceiling_result *c, const struct ceiling_result *plain)
{
	say_figure(say, "ceiling_events_per_s", c->events_per_s);
	say_figure(say, "ceiling_postgres_us_per_event", c->postgres_us);
	say_figure(say, "ceiling_wal_bytes_per_event", c->wal_bytes);
	if (plain != NULL)
		say_ratio(say, "ceiling_postgres_ratio", c->postgres_us, plain->postgres_us);
}

static void
run_round(const struct options *opt, int round)
{
	struct ceiling_result plain_ceiling = {.postgres_us = 0};
	double plain_rate = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct say say = {.part = opt->part, .name = cases[i].name, .round = round, .quiet = opt->quiet};
		struct hostile h = {.one = &cases[i]};
		struct drain_options d = opt->drain;
		struct drain_result r;

		if (i > 0 && !options_wants(opt, cases[i].name))
			continue;
		say_progress("%s", cases[i].name);
		d.before = begin_harm;
		d.after = end_harm;
		d.ctx = &h;
		d.fill.unknown = cases[i].unknown;
		d.sent = opt->drain.fill;
		d.sent.sent = true;
		d.sent.events *= cases[i].sent_times;
		if (opt->ceiling) {
			struct ceiling_result c;

			d.after = end_harm_alone;
			ceiling_statements(&d, &c);
			d.after = end_harm;
			say_ceiling(&say, &c, i == 0 ? NULL : &plain_ceiling);
			if (i == 0)
				plain_ceiling = c;
		}
		drain_run(&d, &r);
		if (i == 0)
			plain_rate = r.events_per_s;
		else
			say_ratio(&say, "rate_ratio", r.events_per_s, plain_rate);
		say_figure(&say, "straggler_ms", h.straggler_ms);
		drain_say(&say, &r);
	}
}

int
main(int argc, char **argv)
{
	struct options opt = {
		.drain = {.fill = {.events = 1000000, .payload_bytes = 200, .keys = 10000}},
		.rounds = 3,
		.part = "hostile",
		.scale = 1,
	};

	options_read(argc, argv, "hostile: drains in surroundings that make it hard, beside a plain one", &opt);
	opt.drain.fill.events /= opt.scale;
	for (int i = 1; i <= opt.rounds; i++)
		run_round(&opt, i);
	return 0;
}
