/* drain.c - how fast a backlog is sent, and what an event costs PostgreSQL, the broker and the relay. */
#include <stdio.h>

#include "bench/ceiling_run.h"
#include "bench/drain_run.h"
#include "bench/options.h"

static void
name_case(const struct drain_options *d, char *out, size_t size)
{
	snprintf(out, size, "%s %d B", d->world.settle_delete ? "delete" : "mark", d->fill.payload_bytes);
}

/* The database alone in the same round: what nobody who publishes could pass, and what an event has to cost it. */
static void
say_against(const struct say *say, const struct drain_result *r, const struct ceiling_result *ceiling)
{
	say_figure(say, "ceiling_events_per_s", ceiling->events_per_s);
	say_figure(say, "ceiling_postgres_us_per_event", ceiling->postgres_us);
	say_figure(say, "ceiling_wal_bytes_per_event", ceiling->wal_bytes);
	say_ratio(say, "postgres_cpu_ratio", r->postgres_us, ceiling->postgres_us);
	say_ratio(say, "rate_ratio", r->events_per_s, ceiling->events_per_s);
}

static void
say_bare(const struct say *say, const struct drain_result *bare)
{
	say_figure(say, "bare_events_per_s", bare->events_per_s);
	say_figure(say, "bare_us_per_event", bare->relay_us);
	say_figure(say, "bare_postgres_us_per_event", bare->postgres_us);
	say_figure(say, "bare_broker_us_per_event", bare->broker_us);
}

/* The least that the design can cost, in the same round: what is above it is what the product takes care of. */
static void
say_beside(const struct say *say, const struct drain_result *r, const struct drain_result *bare)
{
	say_bare(say, bare);
	say_ratio(say, "relay_to_bare_cpu_ratio", r->relay_us, bare->relay_us);
	say_ratio(say, "rate_to_bare_ratio", r->events_per_s, bare->events_per_s);
}

static void
run_bare(const struct options *opt, struct drain_result *ret_result)
{
	struct drain_options drain = opt->drain;

	drain.world.bare = BARE_DRAINS;
	drain.relays = 1;
	drain_run(&drain, ret_result);
}

int
main(int argc, char **argv)
{
	struct options opt = {
		.drain = {.fill = {.events = 1000000, .payload_bytes = 200, .keys = 10000}},
		.rounds = 3,
		.part = "drain",
		.scale = 1,
	};
	char name[64];
	struct say say;

	options_read(argc, argv, "drain: sends a backlog and says how fast, and at what cost", &opt);
	opt.drain.fill.events /= opt.scale;
	name_case(&opt.drain, name, sizeof(name));
	say = (struct say){.part = opt.part, .name = opt.name != NULL ? opt.name : name, .quiet = opt.quiet};
	for (int i = 1; i <= opt.rounds; i++) {
		struct ceiling_result ceiling;
		struct drain_result r, bare;

		say.round = i;
		if (opt.ceiling)
			ceiling_statements(&opt.drain, &ceiling);
		if (!options_wants(&opt, "relay")) {
			run_bare(&opt, &bare);
			say_bare(&say, &bare);
			continue;
		}
		if (opt.bare && i % 2 == 0) /* whatever the order does to the figures, it does to both */
			run_bare(&opt, &bare);
		drain_run(&opt.drain, &r);
		if (opt.bare && i % 2 == 1)
			run_bare(&opt, &bare);
		drain_say(&say, &r);
		if (opt.ceiling)
			say_against(&say, &r, &ceiling);
		if (opt.bare)
			say_beside(&say, &r, &bare);
	}
	return 0;
}
