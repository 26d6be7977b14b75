/* drain.c - how fast a backlog is sent, and what an event costs PostgreSQL, the broker and the relay. */
#include <stdio.h>

#include "bench/drain_run.h"
#include "bench/options.h"

static void
name_case(const struct drain_options *d, char *out, size_t size)
{
	snprintf(out, size, "%s %d B", d->world.settle_delete ? "delete" : "mark", d->fill.payload_bytes);
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
		struct drain_result r;

		say.round = i;
		drain_run(&opt.drain, &r);
		drain_say(&say, &r);
	}
	return 0;
}
