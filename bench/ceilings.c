/* ceilings.c - what the database can hand out and settle with nobody publishing, and what librdkafka can send with no database. */
#include <stdio.h>

#include "bench/ceiling_run.h"
#include "bench/options.h"

int
main(int argc, char **argv)
{
	struct options opt = {
		.drain = {.fill = {.events = 1000000, .payload_bytes = 200, .keys = 10000}},
		.rounds = 3,
		.part = "ceilings",
		.scale = 1,
	};
	struct say say;
	char statements[64], producer[64];

	options_read(argc, argv, "ceilings: the database's part alone (\"statements\"), and Kafka's (\"producer\")", &opt);
	opt.drain.fill.events /= opt.scale;
	snprintf(statements, sizeof(statements), "statements %s %d B", opt.drain.world.settle_delete ? "delete" : "mark",
	         opt.drain.fill.payload_bytes);
	snprintf(producer, sizeof(producer), "producer %d B", opt.drain.fill.payload_bytes);
	for (int i = 1; i <= opt.rounds; i++) {
		struct ceiling_result r;

		if (options_wants(&opt, "statements")) {
			say = (struct say){opt.part, statements, i, opt.quiet};
			ceiling_statements(&opt.drain, &r);
			ceiling_say(&say, &r);
		}
		if (options_wants(&opt, "producer")) {
			say = (struct say){opt.part, producer, i, opt.quiet};
			ceiling_producer(&opt.drain, &r);
			ceiling_say(&say, &r);
		}
	}
	return 0;
}
