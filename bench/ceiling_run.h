/* ceiling_run.h - what the machine could do if the relay were not there: the database's part alone, and Kafka's alone. */
#ifndef PGOUTBOX_BENCH_CEILING_RUN_H
#define PGOUTBOX_BENCH_CEILING_RUN_H

#include "bench/drain_run.h"

struct ceiling_result {
	double events_per_s;
	double postgres_us, broker_us; /* CPU time an event */
	double own_us;                 /* the same of what stands in for the relay */
	double wal_bytes;              /* an event */
};

/* The product's own lanes (source/lane.h) claim and settle the backlog; nobody publishes: what was claimed counts as acknowledged
 * at once. The clock runs from the first claim to the last settled row. What opt->after returns is not looked at. */
void ceiling_statements(const struct drain_options *opt, struct ceiling_result *ret_result);

/* The product's own producer (sink/producer.h) sends as many messages of that size into a fresh topic, as fast as it takes them;
 * the first few, which wait for the broker to know the producer, are not counted. */
void ceiling_producer(const struct drain_options *opt, struct ceiling_result *ret_result);

void ceiling_say(const struct say *say, const struct ceiling_result *r);

#endif
