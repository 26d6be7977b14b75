/* latency.c - the time from insert to acknowledgement and to a consumer: at steady rates, and from idle; with and without NOTIFY. */
#include <stdio.h>
#include <string.h>

#include "bench/latency_run.h"
#include "bench/options.h"

#define IDLE_RATE 0.71 /* an event every 1.4 s: the relay polls ever less often from a second after an event on, and no poll keeps step with it */

static const struct {
	const char *name;
	double events_per_s;
	double seconds; /* of options.seconds */
} rates[] = {
	{"from idle", IDLE_RATE, 8},
	{"100/s", 100, 1},
	{"1000/s", 1000, 1},
	{"5000/s", 5000, 1},
	{"10000/s", 10000, 1},
};

/* What one measurement is, but for who relays. */
static struct latency_options
options_of(const struct options *opt, size_t rate, bool notify)
{
	struct latency_options run = {
		.world = opt->drain.world,
		.events_per_s = rates[rate].events_per_s,
		.seconds = opt->seconds * rates[rate].seconds,
		.warm_seconds = opt->seconds / 5,
		.connections = opt->connections,
		.payload_bytes = opt->drain.fill.payload_bytes,
		.keys = opt->drain.fill.keys,
	};

	run.world.notify = notify;
	return run;
}

static void
run_bare(struct latency_options run, struct latency_result *ret_result)
{
	run.world.bare = BARE_FOLLOWS;
	latency_run(&run, ret_result);
}

/* The least that the design can take, in the same round: what is above it is what the product takes care of. */
static void
say_beside(const struct say *say, const struct latency_result *r, const struct latency_result *bare)
{
	latency_say(say, "bare_", bare);
	say_ratio(say, "acknowledged_p50_to_bare_ratio", r->acknowledged.p50_ms, bare->acknowledged.p50_ms);
	say_ratio(say, "acknowledged_p99_to_bare_ratio", r->acknowledged.p99_ms, bare->acknowledged.p99_ms);
}

/* The bare relay listens to nobody, so it is not beside the daemon with NOTIFY. */
static void
run_case(const struct options *opt, const char *name, int round, size_t rate, bool notify)
{
	struct say say = {.part = opt->part, .name = name, .round = round, .quiet = opt->quiet};
	struct latency_options run = options_of(opt, rate, notify);
	bool beside = opt->bare && !notify;
	struct latency_result r, bare;

	if (beside && round % 2 == 0) /* whatever the order does to the figures, it does to both */
		run_bare(run, &bare);
	latency_run(&run, &r);
	if (beside && round % 2 == 1)
		run_bare(run, &bare);
	latency_say(&say, "", &r);
	if (beside)
		say_beside(&say, &r, &bare);
}

static void
run_round(const struct options *opt, int round)
{
	for (size_t k = 0; k < sizeof(rates) / sizeof(*rates); k++) {
		for (int notify = 0; notify <= 1; notify++) {
			char name[64];

			snprintf(name, sizeof(name), "%s%s", rates[k].name, notify ? " notify" : "");
			if (options_wants(opt, name))
				run_case(opt, name, round, k, notify);
		}
	}
}

int
main(int argc, char **argv)
{
	struct options opt = {
		.drain = {.fill = {.payload_bytes = 200, .keys = 10000}},
		.rounds = 3,
		.part = "latency",
		.scale = 1,
		.seconds = 10,
		.connections = 16,
	};

	options_read(argc, argv, "latency: from insert to acknowledgement and consumer", &opt);
	for (int i = 1; i <= opt.rounds; i++)
		run_round(&opt, i);
	return 0;
}
