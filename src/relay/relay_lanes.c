/* relay_lanes.c - in: the table's number of lanes, and what is paused; out: a crew for that many, and word to it. Knows
 * nothing of who has which lane. */
#include "relay/relay_impl.h"

#include "base/clock.h"

#define GRACE_US (LINK_MAX_MS * 1000 + 1000000) /* longer than any pause before a reconnect */

/* Statements and a pipe for each lane. */
static bool
make_crew(struct relay *r, const struct layout *lo)
{
	struct error err;

	r->shared.lanes.layout = lo;
	if (statements_make(lo, &r->plan.statements, &r->statements, &err) != 0 ||
	    crew_make(&r->crew, &r->shared, lo->lanes, &err) != 0) {
		relay_fail(r, &err);
		return false;
	}
	metrics_set(r->opt.metrics, METRIC_LANES, lo->lanes);
	pausing_tell(&r->pausing, &r->crew);
	doorman_open(r->doorman);
	return true;
}

/* Every lane was let go, so nothing is left of the old ones. */
static void
renew_crew(struct relay *r, const struct layout *lo)
{
	int old = r->crew.count;

	doorman_close(r->doorman);
	crew_done(&r->crew);
	crew_init(&r->crew);
	statements_done(&r->statements);
	r->statements = (struct statements){.claim = NULL};
	r->members_known = false;
	if (!make_crew(r, lo))
		return;
	log_write(r->opt.log, LOG_NOTICE, "lanes-changed", "the outbox has %d lanes now, not %d", lo->lanes, old);
}

/* The statements are made once for a number of lanes; only what is copied of a parked row follows the table's columns. A table that
 * changed otherwise under a running relay is met by a restart, in the hands of systemd. */
void
relay_on_layout(void *ctx, const struct layout *lo)
{
	struct relay *r = ctx;
	struct error err;

	if (r->crew.count == 0) {
		if (make_crew(r, lo))
			barrier_open(r->barrier);
		return;
	}
	spread_returned(&r->crew.spread, clock_mono_us(), GRACE_US);
	if (lo->lanes != r->crew.count) {
		if (crew_closed(&r->crew))
			renew_crew(r, lo);
		return; /* else the next look at the members sees to it */
	}
	if (statements_renew(&r->statements, lo, &r->plan.statements))
		return;
	error_set(&err, ERR_RETRY, "the outbox table was changed while the relay ran");
	error_hint(&err, "the relay stops cleanly and is to be started again");
	relay_fail(r, &err);
}

void
relay_on_pauses(void *ctx, struct pauses *p)
{
	struct relay *r = ctx;

	pausing_look(&r->pausing, p, &r->holds, r->opt.log, r->opt.metrics, clock_mono_us());
	pausing_tell(&r->pausing, &r->crew);
}

/* The number of lanes is being changed, or was: all lanes are let go, as in a stop, and when the last of them is settled the
 * table is looked at anew. */
bool
relay_change_lanes(struct relay *r, const struct keeper_members *m)
{
	bool changed = m->lanes > 0 && m->lanes != r->crew.count;

	if (!m->switching && !changed)
		return false;
	if (m->switching && !r->members.switching)
		log_write(r->opt.log, LOG_NOTICE, "lanes-change", "the number of lanes is to be changed: this relay lets its lanes go");
	crew_each(&r->crew, pipe_leave);
	if (changed && !m->switching && crew_closed(&r->crew))
		upkeep_reopen(&r->upkeep);
	return true;
}
