/* idle.c - what a relay costs that has nothing to do: CPU time of all three, and queries a second. */
#include <stdio.h>

#include "base/clock.h"
#include "bench/options.h"

#define QUIET_MS 3000 /* after the start, at most: sessions are made, statistics were taken once */

/* Of all databases: each round of the relay's is one transaction. */
static int64_t
transactions(struct world *w)
{
	return world_int(w, "SELECT sum(xact_commit + xact_rollback)::int8 FROM pg_stat_database");
}

/* The server's statistics lag behind by up to a second; both looks do. */
static void
measure(const struct options *opt, const struct say *say)
{
	struct world_usage start, end;
	struct world w;
	int64_t before, after;
	double seconds, bells;

	world_begin(&w, &opt->drain.world);
	world_start(&w, 1);
	proc_sleep_ms(opt->seconds * 500 < QUIET_MS ? (int)(opt->seconds * 500) : QUIET_MS);
	before = transactions(&w);
	bells = world_metric(&w, 0, "pgoutbox_doorbell_queries_total");
	start = world_usage(&w);
	proc_sleep_ms((int)(opt->seconds * 1000));
	end = world_usage(&w);
	bells = world_metric(&w, 0, "pgoutbox_doorbell_queries_total") - bells;
	after = transactions(&w);
	seconds = (double)(end.mono_us - start.mono_us) / 1e6;
	say_figure(say, "relay_cpu_percent", (double)(end.relay_us - start.relay_us) / seconds / 1e4);
	say_figure(say, "postgres_cpu_percent", (double)(end.postgres_us - start.postgres_us) / seconds / 1e4);
	say_figure(say, "broker_cpu_percent", (double)(end.broker_us - start.broker_us) / seconds / 1e4);
	say_figure(say, "relay_and_postgres_cpu_percent",
	           (double)(end.relay_us - start.relay_us + end.postgres_us - start.postgres_us) / seconds / 1e4);
	say_figure(say, "transactions_per_s", (double)(after - before) / seconds);
	say_figure(say, "doorbell_queries_per_s", bells / seconds);
	say_figure(say, "peak_rss_mib", (double)world_peak_bytes(&w) / 1048576);
	world_end(&w);
}

int
main(int argc, char **argv)
{
	struct options opt = {.rounds = 3, .part = "idle", .seconds = 20, .scale = 1};
	struct say say;

	options_read(argc, argv, "idle: what a relay costs that has nothing to do", &opt);
	for (int i = 1; i <= opt.rounds; i++) {
		for (int notify = 0; notify <= 1; notify++) {
			say = (struct say){opt.part, notify ? "notify" : "default", i, opt.quiet};
			opt.drain.world.notify = notify;
			if (options_wants(&opt, say.name))
				measure(&opt, &say);
		}
	}
	return 0;
}
