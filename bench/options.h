/* options.h - what the programs that drain may be told on the command line. */
#ifndef PGOUTBOX_BENCH_OPTIONS_H
#define PGOUTBOX_BENCH_OPTIONS_H

#include "bench/drain_run.h"

struct options {
	struct drain_options drain;
	int rounds;
	const char *part; /* what the figures are said to belong to */
	const char *name; /* of the case; NULL = the program chooses */
	bool ceiling;
	bool bare;
	bool quiet;
	const char *only; /* some cases of several, with commas; NULL = all */
	int64_t scale;    /* sizes are divided by it */
	double seconds;   /* that one measurement takes, where it is a matter of time */
	int connections;  /* of a writer */
};

/* Ends the program with status 64 on a wrong option, and with 0 after --help. */
void options_read(int argc, char **argv, const char *summary, struct options *opt);

bool options_wants(const struct options *opt, const char *name); /* --only */

#endif
