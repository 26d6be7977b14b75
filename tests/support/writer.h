/* writer.h - an application beside the outbox: concurrent transactions which change an account and write events.
 *
 * Each transaction locks its account by updating it, which is what gives the events of one key an order, as in any real
 * application. An event's number within its key comes from the locked row, so that the committed ones have no gap.
 * Payload, as a JSON object: "key", "seq", "label" (unique over the run), "fate" ("commit", or "rollback" for what must
 * never arrive), "balance", "pad". Every other event has a header of its own, "trace", equal to its label.
 */
#ifndef PGOUTBOX_TESTS_WRITER_H
#define PGOUTBOX_TESTS_WRITER_H

#include <stdint.h>

#include "base/error.h"

struct writer_counts {
	int64_t committed;        /* events */
	int64_t rolled_back;      /* events */
	int64_t transactions;     /* committed */
	int64_t rollbacks;        /* transactions */
	double seconds;
};

struct writer_options {
	const char *conninfo;
	const char *table;          /* of the events; columns as pgoutboxctl init makes them */
	const char *aggregate_type;
	int writers;                /* connections, a thread each */
	int keys;
	int64_t events;             /* to commit; the last transactions may pass it by a few */
	int events_per_tx;          /* 1..n, evenly */
	int pad_bytes;              /* in each payload; 0 leaves "pad" out */
	double rollback_share;      /* of the transactions */
	double dawdle_share;        /* of the transactions: 20 ms pass between the last event and the commit */
	double events_per_second;   /* all writers together; 0 = as fast as it goes */
	uint64_t seed;
	/* Four times a second, from the calling thread. May be NULL. */
	void (*progress)(void *ctx, const struct writer_counts *counts);
	void *ctx;
	/* A connection that breaks is made anew for so long. Its transaction may have committed or not: the counts are then a
	 * lower bound, and fewer events than wanted may be there in the end. 0 = the writer fails. */
	int reconnect_ms;
};

#define WRITER_DEFAULTS \
	((struct writer_options){NULL, "outbox_events", "account", 8, 1000, 10000, 3, 40, 0.05, 0.002, 0, 1, NULL, NULL, 0})

/* Creates the accounts table where it is missing, and the accounts acct-000000 on. */
int writer_prepare(const struct writer_options *opt, struct error *err) __attribute__((warn_unused_result));

/* Runs the transactions to the end. When one connection fails, all stop, and err tells why. */
int writer_run(const struct writer_options *opt, struct writer_counts *ret_counts, struct error *err)
    __attribute__((warn_unused_result));

#endif
