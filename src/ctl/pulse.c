/* pulse.c - in: two looks; out: rates and latencies. */
#include "ctl/pulse.h"

#include "ctl/samples.h"

static bool
sample(const struct look *l, const char *name, const struct config *cfg, double *ret_value)
{
	return samples_get(buf_str(&l->endpoint.metrics), name, cfg->outbox.table, NULL, ret_value);
}

/* What the relay has sent in between, where nobody else sends; below 0 = not known. A counter that fell has begun anew. */
static double
sent_between(const struct look *earlier, const struct look *later, const struct config *cfg)
{
	double before, after, owned;

	if (!sample(earlier, "pgoutbox_events_sent_total", cfg, &before) || !sample(later, "pgoutbox_events_sent_total", cfg, &after) ||
	    !sample(later, "pgoutbox_lanes_owned", cfg, &owned) || owned < later->survey.lanes)
		return -1;
	return after >= before ? after - before : after;
}

/* Statistics may be reset. */
static double
difference(int64_t earlier, int64_t later)
{
	return later >= earlier ? (double)(later - earlier) : -1;
}

static double
settled_between(const struct survey *earlier, const struct survey *later, const struct config *cfg)
{
	if (cfg->outbox.settle == SETTLE_DELETE)
		return difference(earlier->deleted, later->deleted);
	return difference(earlier->updated, later->updated);
}

static void
quantiles(const struct look *earlier, const struct look *later, const char *name, const struct config *cfg, double *ret_p50, double *ret_p99)
{
	struct samples_histogram before = samples_histogram(buf_str(&earlier->endpoint.metrics), name, cfg->outbox.table);
	struct samples_histogram after = samples_histogram(buf_str(&later->endpoint.metrics), name, cfg->outbox.table);

	*ret_p50 = before.count > 0 ? samples_quantile(&before, &after, 0.5) : -1;
	*ret_p99 = before.count > 0 ? samples_quantile(&before, &after, 0.99) : -1;
}

struct pulse
pulse_of(const struct look *earlier, const struct look *later, const struct config *cfg)
{
	const struct stats *was = &earlier->survey.stats, *is = &later->survey.stats;
	double seconds = (double)(later->at_us - earlier->at_us) / 1e6;
	double sent = sent_between(earlier, later, cfg);
	struct pulse p = {.in = -1, .out = -1};

	quantiles(earlier, later, "pgoutbox_end_to_end_seconds", cfg, &p.end_to_end_p50, &p.end_to_end_p99);
	quantiles(earlier, later, "pgoutbox_acknowledgement_seconds", cfg, &p.acknowledgement_p50, &p.acknowledgement_p99);
	if (seconds <= 0)
		return p;
	if (sent >= 0 && was->pending_exact && is->pending_exact) {
		p.in = sent + (double)(is->pending - was->pending);
		p.in = p.in > 0 ? p.in / seconds : 0; /* what is acknowledged is settled a moment later */
	} else
		p.in = difference(earlier->survey.inserted, later->survey.inserted) / seconds;
	p.out = (sent >= 0 ? sent : settled_between(&earlier->survey, &later->survey, cfg)) / seconds;
	return p;
}
