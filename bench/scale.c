/* scale.c - the drain with more or fewer lanes, events, relays, bytes and keys, each as a ratio to the plain one of the same round. */
#include <stdio.h>
#include <string.h>

#include "bench/drain_run.h"
#include "bench/options.h"

#define BYTES_MAX 400000000 /* of payloads in one backlog */

static const struct scale_case {
	const char *name;
	int lanes, relays;
	int64_t events;
	int payload_bytes;
	int64_t keys;
	enum world_keys kind;
} cases[] = {
	{.name = "lanes 1", .lanes = 1},
	{.name = "lanes 2", .lanes = 2},
	{.name = "lanes 4", .lanes = 4},
	{.name = "lanes 8", .lanes = 8},
	{.name = "lanes 16", .lanes = 16},
	{.name = "backlog 10000", .events = 10000},
	{.name = "backlog 100000", .events = 100000},
	{.name = "backlog 10000000", .events = 10000000},
	{.name = "relays 1", .relays = 1},
	{.name = "relays 2", .relays = 2},
	{.name = "relays 4", .relays = 4},
	{.name = "payload 100", .payload_bytes = 100},
	{.name = "payload 1000", .payload_bytes = 1000},
	{.name = "payload 10000", .payload_bytes = 10000},
	{.name = "payload 100000", .payload_bytes = 100000},
	{.name = "payload 1000000", .payload_bytes = 1000000},
	{.name = "one key", .kind = KEYS_ONE},
	{.name = "zipf keys", .kind = KEYS_ZIPF},
	{.name = "1000000 keys", .keys = 1000000},
};

static struct drain_options
vary(const struct options *opt, const struct scale_case *c)
{
	struct drain_options d = opt->drain;
	int64_t room;

	if (c->lanes > 0)
		d.world.lanes = c->lanes;
	if (c->events > 0)
		d.fill.events = c->events / opt->scale;
	if (c->payload_bytes > 0)
		d.fill.payload_bytes = c->payload_bytes;
	room = BYTES_MAX / opt->scale / d.fill.payload_bytes + 1;
	if (c->payload_bytes > 0 && d.fill.events > room)
		d.fill.events = room;
	if (c->keys > 0)
		d.fill.keys = c->keys;
	d.fill.kind = c->kind;
	d.relays = c->relays;
	d.relays_first = c->relays > 0;
	return d;
}

static void
run_round(const struct options *opt, int round)
{
	struct say say = {.part = opt->part, .name = "plain", .round = round, .quiet = opt->quiet};
	struct drain_result plain, r;

	drain_run(&opt->drain, &plain);
	drain_say(&say, &plain);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct drain_options d = vary(opt, &cases[i]);

		if (!options_wants(opt, cases[i].name))
			continue;
		say_progress("%s", cases[i].name);
		drain_run(&d, &r);
		say.name = cases[i].name;
		say_ratio(&say, "rate_ratio", r.events_per_s, plain.events_per_s);
		drain_say(&say, &r);
		say_figure(&say, "payload_mb_per_s", r.events_per_s * d.fill.payload_bytes / 1e6);
	}
}

int
main(int argc, char **argv)
{
	struct options opt = {
		.drain = {.fill = {.events = 1000000, .payload_bytes = 200, .keys = 10000}},
		.rounds = 3,
		.part = "scale",
		.scale = 1,
	};

	options_read(argc, argv, "scale: drains with more or less of everything, beside a plain one", &opt);
	opt.drain.fill.events /= opt.scale;
	for (int i = 1; i <= opt.rounds; i++)
		run_round(&opt, i);
	return 0;
}
