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
		struct drain_result r;

		say.round = i;
		if (opt.ceiling)
			ceiling_statements(&opt.drain, &ceiling);
		drain_run(&opt.drain, &r);
		drain_say(&say, &r);
		if (opt.ceiling)
			say_against(&say, &r, &ceiling);
	}
	return 0;
}
