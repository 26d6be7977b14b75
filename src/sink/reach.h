/* reach.h - is any broker there? What librdkafka said and what a knock found come in, changes worth telling come out.
 *
 * librdkafka says once that all brokers are down, also when it was only an idle connection that closed, and never says
 * that one is back. So as long as no broker is known to be there, the producer knocks several times a second, and
 * "down" counts after two seconds without one. Knows no librdkafka.
 */
#ifndef PGOUTBOX_SINK_REACH_H
#define PGOUTBOX_SINK_REACH_H

#include <stdbool.h>
#include <stdint.h>

enum reach_state { REACH_UNKNOWN, REACH_UP, REACH_DOWN };

struct reach {
	enum reach_state state;
	int64_t knock_due_us; /* when to knock; CLOCK_NEVER while a broker is there */
	int64_t down_due_us;  /* when a suspicion becomes the state; CLOCK_NEVER without one */
};

void reach_init(struct reach *r, int64_t now_us);

/* librdkafka says that all brokers are down. */
void reach_suspect(struct reach *r, int64_t now_us);

/* What a knock found. True when the state changed. */
bool reach_knocked(struct reach *r, bool there, int64_t now_us);

#endif
