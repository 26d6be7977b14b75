/* away.h - how a daemon bears that PostgreSQL is away: what it says, what it costs, and that it comes back by itself.
 *
 * What fails here fails the running test.
 */
#ifndef PGOUTBOX_TESTS_AWAY_H
#define PGOUTBOX_TESTS_AWAY_H

#include <stdbool.h>

#include "support/env.h"
#include "support/load.h"

#define UP_POSTGRESQL "pgoutbox_up{outbox=\"outbox_events\",side=\"postgresql\"}"
#define POSTGRESQL_OUTAGES "pgoutbox_outages_total{outbox=\"outbox_events\",side=\"postgresql\"}"
#define POSTGRESQL_SINCE "pgoutbox_outage_since_timestamp_seconds{outbox=\"outbox_events\",side=\"postgresql\"}"
#define LANES_OWNED "pgoutbox_lanes_owned"
#define EVENTS_SENT "pgoutbox_events_sent_total"
#define EVENTS_REPEATABLE "pgoutbox_events_repeatable_total"
#define SETTLES_FAILED "pgoutbox_settles_failed_total"
#define IN_FLIGHT "pgoutbox_in_flight_events"

enum { AWAY_HEAL_MS = 20000 }; /* within which everything has to come back */

/* Waits for a metric of daemon i to be at least, or at most, that. */
void away_wait_least(const struct env *env, int i, const char *name, double value);
void away_wait_most(const struct env *env, int i, const char *name, double value);
/* Writes a few events of all lanes, for the writer may be done, and waits until daemon i has sent more. */
void away_wait_more_sent(struct env *env, int i);

/* What /readyz?verbose says, or comes to say within a few seconds. */
void away_page(const struct env *env, int i, const char *part);

/* What the daemon has logged, or comes to log. */
void away_said(struct env *env, int i, const char *text);

/* The daemon's CPU time in the next so many ms is a small share of them. */
void away_cheap(const struct env *env, int i, int ms);

/* PostgreSQL is away for daemon i, which says so everywhere and costs next to nothing for so long. */
void away_expect(const struct env *env, int i, int ms);
/* It serves again, and the daemon has so many lanes. */
void away_back(const struct env *env, int i, int lanes);

/* A writer that bears it, in the background. */
void away_write(struct load *load, const char *conninfo, double events_per_second, double seconds);

/* Waits until all is settled; nothing has failed for Kafka's sake, nothing is parked or overtaken. */
void away_settled(struct env *env, int daemons);
/* Then stops the daemons and audits the topic: everything is there once, and nothing might have been repeated. */
void away_finish(struct env *env, int daemons, const char *topic);

#endif
