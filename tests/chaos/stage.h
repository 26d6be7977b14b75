/* stage.h - what a run of chaos takes place on: the database and the topics, the writers, the relays, and the proxies
 * between these and their servers.
 *
 * Everything fails the running test by itself, as env.h does. One thread.
 */
#ifndef PGOUTBOX_TESTS_STAGE_H
#define PGOUTBOX_TESTS_STAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "chaos/plan.h"
#include "support/env.h"
#include "support/load.h"
#include "support/proxy.h"

enum { NODES_MAX = 8, LOADS = 2 };

enum commits { COMMITS_SYNC, COMMITS_ASYNC, COMMITS_MIXED };

struct stage_options {
	int relays, nodes, lanes, batch_rows, keys;
	double rate;             /* events a second, all writers together */
	int64_t seconds;         /* how long they write */
	bool settle_delete;
	enum commits commits;
	uint64_t seed;
	const char *keep;        /* where logs go: a directory */
};

struct relay_place {
	struct env_config config;
	struct proxy *postgres;
	struct proxy *kafka[NODES_MAX];
	bool away;               /* on purpose: it need not run */
	int bad_ends;            /* by itself, or not with 0 when it was asked to stop */
};

struct stage {
	struct stage_options opt;
	struct env env;
	struct relay_place relays[RELAYS_MAX];
	const char *topics[LOADS]; /* the first with as many copies as there are nodes, up to 3; the second with one */
	FILE *journal;
	int64_t start_us;        /* of the writers */
	int late_keys;           /* so far, by faults.c */
};

/* Skips the test and returns false where the servers are not there or not as wanted. */
bool stage_begin(struct stage *s, const struct stage_options *opt);
void stage_start_writers(struct stage *s);
void stage_relay_start(struct stage *s, int i);

/* Starts relays again that ended by themselves. */
void stage_look_after_relays(struct stage *s);

/* A line for the journal, with the time. */
void stage_note(struct stage *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int64_t stage_written(const struct stage *s); /* events that the writers saw committed, so far */

/* Brings servers and ways back, waits for the writers' end. */
void stage_calm_down(struct stage *s);
/* Waits until nothing is unsent; what is left when nothing was sent for stuck_ms, or the time is over. */
int64_t stage_drain(struct stage *s, int stuck_ms, int timeout_ms);
void stage_stop_relays(struct stage *s);

/* How often the relays logged an entry with this id, over all their lives. */
int64_t stage_log_count(const struct stage *s, const char *id);

/* Copies the logs of all parts to opt.keep. */
void stage_keep_logs(const struct stage *s);
void stage_end(struct stage *s);

#endif
