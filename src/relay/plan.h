/* plan.h - the configuration turned into what each room wants to be told. Does no I/O.
 *
 * The structs borrow from the configuration and from the plan, so both must outlive whoever is given them.
 */
#ifndef PGOUTBOX_RELAY_PLAN_H
#define PGOUTBOX_RELAY_PLAN_H

#include "base/error.h"
#include "config/config.h"
#include "route/router.h"
#include "sink/producer.h"
#include "source/layout.h"
#include "source/session.h"
#include "source/statements.h"

struct plan {
	struct router *router;
	char *topic; /* the template that the router was made of */
	const char **extra; /* the columns that the topic template needs beyond the known ones */
	struct producer_property *properties;
	size_t properties_count;
	struct producer_options producer;
	struct session_options session;
	struct layout_request request;
	struct statements_options statements;
};

/* ERR_CONFIG: the topic template is not good. A plan of zeros is fine for plan_done(). */
int plan_init(struct plan *plan, const struct config *cfg, struct error *err) __attribute__((warn_unused_result));
void plan_done(struct plan *plan);

/* What each session to PostgreSQL is opened with. */
struct session_options plan_session(const struct config *cfg) __attribute__((warn_unused_result));

/* Takes the limits over that the configuration has now. */
void plan_reload_limits(struct plan *plan, const struct config *cfg);

/* Whether the configuration has another topic template than the plan. ERR_CONFIG: it needs other columns than the
 * statements read. */
int plan_route_differs(const struct plan *plan, const struct config *cfg, bool *ret_differs, struct error *err)
	__attribute__((warn_unused_result));

/* Takes that template over, while nothing is being routed; fails as above. */
int plan_reload_route(struct plan *plan, const struct config *cfg, struct error *err) __attribute__((warn_unused_result));

/* Adds what is wrong with the connection string, the topic templates and the librdkafka properties, all of it. */
void plan_check_config(const struct config *cfg, struct config_problems *problems);

#endif
