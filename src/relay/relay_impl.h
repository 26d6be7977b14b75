/* relay_impl.h - what relay.c, relay_lanes.c and relay_reload.c share: the state of one relay. For these alone. */
#ifndef PGOUTBOX_RELAY_RELAY_IMPL_H
#define PGOUTBOX_RELAY_RELAY_IMPL_H

#include "relay/crew.h"
#include "relay/doorman.h"
#include "relay/holds.h"
#include "relay/link.h"
#include "relay/outage.h"
#include "relay/outlet.h"
#include "relay/pausing.h"
#include "relay/plan.h"
#include "relay/progress.h"
#include "relay/relay.h"
#include "relay/upkeep.h"
#include "source/barrier.h"

struct relay {
	struct relay_options opt;
	struct outage postgresql, kafka;
	struct plan plan;
	struct statements statements;
	struct pipe_shared shared;
	struct outlet *outlet;
	struct holds holds;
	bool lifted; /* holds are over: to be told to the pipes */
	bool drained; /* Kafka has done with all that it got: the next wave may go */
	struct upkeep upkeep;
	struct barrier *barrier;
	struct link barrier_link;
	struct doorman *doorman;
	struct crew crew;
	struct watch timer; /* looks at what changed */
	struct loop_gap gap;
	struct progress progress;
	struct pausing pausing;
	struct keeper_members members;
	bool members_known;
	bool stopping;
	int64_t purge_us, give_up_us;
	int64_t reroute_until_us;
	int64_t look_us; /* the table is not looked at again before because something failed */
	bool done;
	struct error failure;
	bool has_failure;
};

/* relay.c: nothing but a person can help; the relay stops by itself. Of what fails the first counts. */
void relay_fail(void *ctx, const struct error *err);

/* relay_lanes.c; as upkeep's events. */
void relay_on_layout(void *ctx, const struct layout *lo);
void relay_on_pauses(void *ctx, struct pauses *p);

/* The same; to be asked at each look at the members. Whether the number of lanes is being changed, or was: then none is to be
 * taken. */
bool relay_change_lanes(struct relay *r, const struct keeper_members *m);

/* relay_reload.c; while shared.rerouting. Says when to look again. */
int64_t relay_step_reroute(struct relay *r, int64_t now_us);
void relay_warm_topic(struct relay *r); /* the one that all events go to, where there is one */

#endif
