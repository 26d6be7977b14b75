/* latency.c - the time from insert to acknowledgement and to a consumer: at steady rates, and from idle; with and without NOTIFY. */
#include <stdio.h>
#include <string.h>

#include "bench/latency_run.h"
#include "bench/options.h"

#define IDLE_RATE 1.9 /* an event every half second or so: the relay has gone to sleep, and no poll keeps step with it */

static const struct {
	const char *name;
	double events_per_s;
	double seconds; /* of options.seconds */
} rates[] = {
	{"from idle", IDLE_RATE, 4},
	{"100/s", 100, 1},
	{"1000/s", 1000, 1},
	{"5000/s", 5000, 1},
	{"10000/s", 10000, 1},
};

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
	for (int i = 1; i <= opt.rounds; i++) {
		for (size_t k = 0; k < sizeof(rates) / sizeof(*rates); k++) {
			for (int notify = 0; notify <= 1; notify++) {
				char name[64];
				struct say say = {.part = opt.part, .name = name, .round = i, .quiet = opt.quiet};
				struct latency_result r;
				struct latency_options run = {
					.world = opt.drain.world,
					.events_per_s = rates[k].events_per_s,
					.seconds = opt.seconds * rates[k].seconds,
					.warm_seconds = opt.seconds / 5,
					.connections = opt.connections,
					.payload_bytes = opt.drain.fill.payload_bytes,
					.keys = opt.drain.fill.keys,
				};

				snprintf(name, sizeof(name), "%s%s", rates[k].name, notify ? " notify" : "");
				if (!options_wants(&opt, name))
					continue;
				run.world.notify = notify;
				latency_run(&run, &r);
				latency_say(&say, &r);
			}
		}
	}
	return 0;
}
