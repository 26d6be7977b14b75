/* plan.h - what happens when: the whole schedule of a run, made from its seed before anything happens.
 *
 * A line is what is done to one part (one relay, the brokers, ...), one strike after another. Lines know nothing of
 * each other. The same options and seed give the same plan, on any machine.
 */
#ifndef PGOUTBOX_TESTS_PLAN_H
#define PGOUTBOX_TESTS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RELAYS_MAX = 2 };

enum group { GROUP_RELAY, GROUP_POSTGRES, GROUP_SQL, GROUP_VISITORS, GROUP_PGNET, GROUP_KNET, GROUP_BROKERS, GROUPS };

enum fault {
#define FAULT(id, group, weight, min_ms, max_ms, text) FAULT_##id,
#include "chaos/faults.def"
	FAULTS
};

struct strike {
	enum fault fault;
	int64_t pause_ms; /* since the one before it was over, or since the beginning */
	int64_t lasts_ms;
	uint64_t draw;    /* for whatever else there is to choose */
};

struct line {
	enum group group;
	int target; /* the relay's number; 0 where there is only one of it */
	struct strike *strikes;
	size_t count;
};

struct plan_options {
	uint64_t seed;
	int64_t length_ms;
	int relays, nodes;
	int pause_ms;        /* between two strikes of one line, on average */
	int kills;           /* > 0: nothing but so many kills of relays; length_ms is then the plan's own */
	bool groups[GROUPS]; /* which take part */
};

struct plan {
	struct line *lines;
	size_t count;
	int64_t length_ms;
	bool whole; /* every strike is to be carried out, even if that takes longer */
};

struct plan plan_make(const struct plan_options *opt);
void plan_free(struct plan *p);

const char *plan_fault_text(enum fault f);
const char *plan_fault_name(enum fault f);    /* "RELAY_KILL" */
enum group plan_fault_group(enum fault f);
int plan_group_find(const char *name);        /* -1 = none of that name */
const char *plan_group_name(enum group g);

#endif
