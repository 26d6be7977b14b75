/* say.h - what all benchmark programs do with failures and figures.
 *
 * A benchmark that is not sound ends at once, loudly: exit status 1. Figures go to standard output, one a line, separated by tabs:
 * part, case, round, name, value. All else goes to standard error.
 */
#ifndef PGOUTBOX_BENCH_SAY_H
#define PGOUTBOX_BENCH_SAY_H

#include "base/error.h"

_Noreturn void say_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_must(int rc, const struct error *err, const char *what); /* dies when rc is -1 */
void say_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Where figures belong that follow. Both texts are borrowed. quiet: to nobody, for what only warms up. */
struct say {
	const char *part;
	const char *name; /* of the case */
	int round;        /* from 1 */
	int quiet;
};

/* The unit is part of the figure's name: "events_per_s", "relay_us_per_event", "p99_ms". Ratios have none. */
void say_figure(const struct say *say, const char *name, double value);

/* The figure a / b; nothing where b is 0: below what could be measured. */
void say_ratio(const struct say *say, const char *name, double a, double b);

double say_median(double *values, int count); /* sorts them */

#endif
