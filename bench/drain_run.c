/* drain_run.c - in: a backlog and options; out: rate and costs of sending it. */
#include "bench/drain_run.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/cpu.h"
#include "support/db.h"

#define LOOK_MS 100      /* a look costs the daemon some 0.2 ms */
#define LOOK_CLOSE_MS 5  /* near the beginning and the end */
#define STALL_US 120000000

struct mark {
	struct world_usage usage;
	double sent;
	int64_t lsn, full_pages;
};

static int64_t
wal_position(struct world *w)
{
	return world_int(w, "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8");
}

static struct mark
mark(struct world *w, double sent)
{
	return (struct mark){
		.usage = world_usage(w),
		.sent = sent,
		.lsn = wal_position(w),
		.full_pages = world_int(w, "SELECT wal_fpi FROM pg_stat_wal"),
	};
}

/* All of it is acknowledged, and each batch that was claimed is settled. */
static bool
is_done(const struct world_progress *now, int64_t events)
{
	return now->sent >= (double)events && now->settled_batches >= now->claimed_batches;
}

static struct mark
wait_for_start(struct world *w, const struct mark *launch, int relays, int64_t events)
{
	int64_t limit_us = clock_mono_us() + STALL_US;

	for (;;) {
		struct world_progress now = world_progress(w);

		if (now.sent > 0 && now.lanes > 0 && now.lanes_owned >= now.lanes && now.serving >= relays)
			return mark(w, now.sent);
		if (is_done(&now, events) && events < DRAIN_TIMED)
			return *launch;
		if (is_done(&now, events))
			say_die("%" PRId64 " events were gone before all lanes were served: take more", events);
		if (clock_mono_us() > limit_us)
			say_die("the drain did not begin within %d s", STALL_US / 1000000);
		proc_sleep_ms(LOOK_CLOSE_MS);
	}
}

/* As long as the end is far, by the rate so far, looks are rare. */
static int
pause_ms(const struct mark *start, const struct world_progress *now, int64_t events)
{
	double passed_ms = (double)(clock_mono_us() - start->usage.mono_us) / 1000;
	double left_ms = passed_ms * ((double)events - now->sent) / (now->sent - start->sent + 1);

	return left_ms > 2 * LOOK_MS ? LOOK_MS : LOOK_CLOSE_MS;
}

static struct mark
wait_for_end(struct world *w, const struct mark *start, int64_t events)
{
	int64_t moved_us = clock_mono_us();
	double last = 0;

	for (;;) {
		struct world_progress now = world_progress(w);

		if (is_done(&now, events))
			return mark(w, now.sent);
		if (now.sent > last) {
			last = now.sent;
			moved_us = clock_mono_us();
		} else if (clock_mono_us() - moved_us > STALL_US) {
			say_die("nothing was sent for %d s; %.0f of %" PRId64 " events are", STALL_US / 1000000, now.sent, events);
		}
		proc_sleep_ms(pause_ms(start, &now, events));
	}
}

static void
judge(const struct mark *start, const struct mark *end, struct drain_result *ret_result)
{
	double events = end->sent - start->sent;
	double seconds = (double)(end->usage.mono_us - start->usage.mono_us) / 1e6;

	*ret_result = (struct drain_result){
		.events_per_s = events / seconds,
		.postgres_us = (double)(end->usage.postgres_us - start->usage.postgres_us) / events,
		.broker_us = (double)(end->usage.broker_us - start->usage.broker_us) / events,
		.relay_us = (double)(end->usage.relay_us - start->usage.relay_us) / events,
		.wal_bytes = (double)(end->lsn - start->lsn) / events,
		.full_pages = (double)(end->full_pages - start->full_pages) / events,
	};
	ret_result->efficiency = ret_result->events_per_s *
		(ret_result->postgres_us + ret_result->broker_us + ret_result->relay_us) / 1e6 / cpu_cores();
}

/* The relays of a backlog that waits for them start with it; several need a while to share the lanes, and a backlog that comes when
 * they have, which they do not leave until it is written out. */
static struct mark
set_off(struct world *w, const struct drain_options *opt)
{
	int relays = opt->relays > 0 ? opt->relays : 1;
	struct mark launch;

	if (opt->sent.events > 0)
		world_fill(w, &opt->sent);
	if (opt->relays_first)
		world_start(w, relays);
	world_fill(w, &opt->fill);
	if (opt->before != NULL)
		opt->before(w, opt->ctx);
	if (!opt->relays_first)
		world_write_out();
	launch = mark(w, 0);
	if (!opt->relays_first)
		world_launch(w, relays);
	return wait_for_start(w, &launch, relays, opt->fill.events);
}

void
drain_run(const struct drain_options *opt, struct drain_result *ret_result)
{
	struct mark start, end;
	struct world w;
	int64_t more = 0;

	world_begin(&w, &opt->world);
	start = set_off(&w, opt);
	end = wait_for_end(&w, &start, opt->fill.events);
	judge(&start, &end, ret_result);
	ret_result->peak_bytes = (double)world_peak_bytes(&w);
	if (opt->after != NULL)
		more = opt->after(&w, opt->ctx);
	world_verify(&w, opt->fill.events + more);
	world_end(&w);
}

void
drain_say(const struct say *say, const struct drain_result *r)
{
	say_figure(say, "events_per_s", r->events_per_s);
	say_figure(say, "postgres_us_per_event", r->postgres_us);
	say_figure(say, "broker_us_per_event", r->broker_us);
	say_figure(say, "relay_us_per_event", r->relay_us);
	say_figure(say, "efficiency", r->efficiency);
	say_figure(say, "wal_bytes_per_event", r->wal_bytes);
	say_figure(say, "full_pages_per_event", r->full_pages);
	say_figure(say, "peak_rss_mib", r->peak_bytes / 1048576);
}
