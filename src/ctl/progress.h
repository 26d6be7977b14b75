/* progress.h - how far something long has come, for the people who wait for it.
 *
 *	struct progress p = progress_begin(stderr, "drain", "events", total);
 *	while (...)
 *		progress_to(&p, done);
 *	progress_end(&p);
 *
 * At a terminal it is one line with a bar, drawn anew in place a few times a second; elsewhere a plain line at the start
 * and every ten seconds, so that a log stays short. Rate and time left are judged by the last half a minute or so. Nothing is
 * shown of what ends within half a second. Use standard error: standard output is for results. Never fails; what cannot
 * be written is dropped.
 */
#ifndef PGOUTBOX_CTL_PROGRESS_H
#define PGOUTBOX_CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PROGRESS_UNKNOWN (-1) /* as a total: rate and count are shown, no bar */

struct progress {
	FILE *out;
	const char *what; /* "drain" */
	const char *unit; /* "events" */
	int64_t total, done;
	bool live;        /* a terminal */
	bool shown;       /* a line of a terminal is there */
	int64_t begun_us, next_us, last_us;
	int64_t last_done;
	double rate;      /* a second; below 0 = not known yet */
};

/* The strings must outlive it. */
struct progress progress_begin(FILE *out, const char *what, const char *unit, int64_t total);

/* May be called as often as one likes. done may fall, where a total is only an estimate. */
void progress_to(struct progress *p, int64_t done);

/* A better estimate of the total. */
void progress_total(struct progress *p, int64_t total);

/* Leaves nothing of the bar, so that what is printed next begins at the start of a line. To be called before every
 * other message too; progress_to() draws it again. */
void progress_clear(struct progress *p);

/* The last word: at a terminal nothing is left of the bar, in a log the last line says how far it came. */
void progress_end(struct progress *p);

#endif
