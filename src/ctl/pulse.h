/* pulse.h - how fast an outbox goes, by two looks at it. Pure. */
#ifndef PGOUTBOX_CTL_PULSE_H
#define PGOUTBOX_CTL_PULSE_H

#include "admin/survey.h"
#include "config/config.h"
#include "ctl/endpoint.h"

struct look {
	int64_t at_us; /* of clock_mono_us() */
	struct survey survey;
	struct endpoint endpoint;
};

/* Below 0: not known. Rates are events a second, latencies seconds. */
struct pulse {
	double in;  /* written by the application */
	double out; /* sent */
	double end_to_end_p50, end_to_end_p99;
	double acknowledgement_p50, acknowledgement_p99;
};

/* out is what the relay that answers has sent, where it owns all lanes; else what the database's statistics say was settled, which
 * lag by a second or more. in follows from it and from what waits, where that is counted; else the statistics tell. Latencies are
 * those of the relay that answers. */
struct pulse pulse_of(const struct look *earlier, const struct look *later, const struct config *cfg);

#endif
