/* world.h - the surroundings of one measured run: a database, a role, a topic and a directory of its own on the servers that
 * tests/with-postgres and tests/with-kafka started, the daemons there, and what all of them have used so far.
 *
 * Whatever fails here ends the program (say.h). What was started is gone then: daemons die with the program, and the servers
 * are thrown away.
 */
#ifndef PGOUTBOX_BENCH_WORLD_H
#define PGOUTBOX_BENCH_WORLD_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "support/proc.h"

#define WORLD_DAEMONS 4
#define WORLD_PARTITIONS 4
#define WORLD_LIMIT_MS 1800000 /* the longest that anything may take */

/* Which bench/bare: it drains a backlog, or follows a table. */
enum world_bare { BARE_NONE, BARE_DRAINS, BARE_FOLLOWS };

struct world_options {
	int lanes;              /* 0 = the default of the configuration, as with the next two */
	int batch_rows;
	int64_t batch_bytes;
	bool settle_delete;
	bool receipts;
	bool notify;            /* with the trigger, and a daemon that listens */
	const char *properties; /* of kafka.properties: "linger.ms=5,compression.type=lz4"; NULL = none */
	const char *program;    /* instead of the daemon beside us; NULL */
	enum world_bare bare;   /* instead of the daemon bench/bare: see bare_run.h. One, and without metrics */
};

enum world_keys { KEYS_SPREAD, KEYS_ONE, KEYS_ZIPF };

struct world_fill {
	int64_t events;
	int payload_bytes;
	int64_t keys;
	enum world_keys kind;
	bool sent;     /* as if they had been sent a while ago */
	bool unknown;  /* leave the planner without statistics */
};

struct world {
	char name[48];  /* of the database, the role and the topic */
	char dir[256];
	struct world_options opt;
	char *super;    /* superuser's conninfo, in this database */
	char *conninfo; /* the daemon's */
	const char *kafka;
	PGconn *db;
	pid_t postmaster, broker;
	struct proc daemons[WORLD_DAEMONS];
	int ports[WORLD_DAEMONS];
	int daemons_count;
	struct bare_counters *bare; /* NULL = it is not there */
};

void world_begin(struct world *w, const struct world_options *opt);
void world_end(struct world *w); /* stops the daemons, which must exit 0 */

/* Writes rows, in one transaction, as quickly as PostgreSQL can. */
void world_fill(struct world *w, const struct world_fill *fill);

/* What is in the page cache to be written out, is: or it would be while something is measured, and take the disk from WAL and broker. */
void world_write_out(void);

/* Starts that many daemons, and waits until they own all lanes between them. */
void world_start(struct world *w, int daemons);
void world_launch(struct world *w, int daemons); /* the same without waiting */

/* Writes the configuration of daemon i, and says where: good until world_end(). */
const char *world_config(struct world *w, int i);

void world_exec(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int64_t world_int(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What was used so far. relay_us is the daemons'. */
struct world_usage {
	int64_t mono_us;
	int64_t postgres_us, broker_us, relay_us;
};
struct world_usage world_usage(const struct world *w);
int64_t world_peak_bytes(const struct world *w); /* the largest daemon's */

/* Sums over the daemons, from /metrics; what bench/bare counts, where that runs. */
struct world_progress {
	double sent, claimed_batches, settled_batches, lanes_owned, lanes;
	int serving; /* daemons that own lanes */
};
struct world_progress world_progress(struct world *w);

/* A metric of one daemon by its name, summed over its labels; -1 when there is none. */
double world_metric(struct world *w, int i, const char *name);

/* Every event is in the topic once, and settled in the table; dies otherwise. */
void world_verify(struct world *w, int64_t events);

int64_t world_topic_messages(struct world *w);

#endif
