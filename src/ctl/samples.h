/* samples.h - figures out of the Prometheus text that the daemon shows. Pure. */
#ifndef PGOUTBOX_CTL_SAMPLES_H
#define PGOUTBOX_CTL_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>

/* The value of a metric for an outbox (the label "outbox"); more are the labels behind it, as in the text ("side=\"kafka\""),
 * NULL = none. false: there is no such sample. */
bool samples_get(const char *text, const char *name, const char *outbox, const char *more, double *ret_value);

#define SAMPLES_BUCKETS_MAX 64

struct samples_histogram {
	size_t count;
	double bounds[SAMPLES_BUCKETS_MAX]; /* the last is infinite */
	double counts[SAMPLES_BUCKETS_MAX]; /* of observations up to the bound */
};

/* Empty where there is none. */
struct samples_histogram samples_histogram(const char *text, const char *name, const char *outbox);

/* The value that the share q (0..1) of the observations between two looks did not exceed, by straight lines within a bucket;
 * beyond the last finite bound it is that bound. Below 0: there was no observation. earlier may be empty. */
double samples_quantile(const struct samples_histogram *earlier, const struct samples_histogram *later, double q);

#endif
