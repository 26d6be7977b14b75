/* relay_reload.c - in: the configuration's new values; out: word to all who have a copy, and another route once nothing
 * is under way. */
#include "relay/relay_impl.h"

#include <string.h>

#include "base/clock.h"

#define REROUTE_MAX_US 5000000 /* without a claim, at the most */

void
relay_warm_topic(struct relay *r)
{
	if (strchr(r->plan.topic, '$') == NULL)
		outlet_warm_topic(r->outlet, r->plan.topic);
}

/* An event that waits for its topic, and gets another, must not come there after later ones of its key: so the route changes
 * while nothing is under way, and each lane looks again from the bottom. Says when to look again. */
int64_t
relay_step_reroute(struct relay *r, int64_t now_us)
{
	struct error err;

	if (!crew_quiet(&r->crew) && now_us < r->reroute_until_us && !r->stopping)
		return r->reroute_until_us;
	if (!crew_quiet(&r->crew)) {
		error_set(&err, ERR_RETRY, "events with Kafka are not acknowledged: they and all that follow keep the topic \"%s\"",
		          r->plan.topic);
		error_hint(&err, "reload once the topic takes events again, or restart");
		log_error(r->opt.log, LOG_WARNING, "route-kept", &err);
	} else if (plan_reload_route(&r->plan, r->opt.cfg, &err) != 0) {
		log_error(r->opt.log, LOG_ERR, "route-kept", &err);
	} else {
		log_write(r->opt.log, LOG_NOTICE, "route-changed", "from here on the topic is \"%s\"", r->plan.topic);
		r->shared.router = r->plan.router;
		relay_warm_topic(r);
	}
	r->shared.rerouting = false;
	crew_each(&r->crew, pipe_rerouted);
	return CLOCK_NEVER;
}

int
relay_reload(struct relay *r, struct error *err)
{
	bool differs = false;
	int rc = plan_route_differs(&r->plan, r->opt.cfg, &differs, err);

	plan_reload_limits(&r->plan, r->opt.cfg);
	outlet_set_stall(r->outlet, r->opt.cfg->outbox.hold_max_ms * 2);
	upkeep_reload(&r->upkeep);
	crew_each(&r->crew, pipe_limits_changed);
	if (rc != 0 || !differs)
		return rc;
	r->shared.rerouting = true;
	r->reroute_until_us = clock_mono_us() + REROUTE_MAX_US;
	r->timer.deadline_us = 0;
	return 0;
}
