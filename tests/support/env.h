/* env.h - the surroundings of one end-to-end test: a database, a role, a topic prefix and a directory of its own on the
 * real servers, and the daemons that it starts there. All of it is gone after env_end().
 *
 * What fails here fails the running test (CUnit's fatal kind) with a diagnostic: no caller checks.
 */
#ifndef PGOUTBOX_TESTS_ENV_H
#define PGOUTBOX_TESTS_ENV_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/audit.h"
#include "support/proc.h"

enum { ENV_DAEMONS = 5 };

struct env {
	char name[48];     /* unique: database, role, topic prefix ("name.") */
	char dir[128];
	char *super;       /* superuser's conninfo, in this database */
	char *conninfo;    /* the daemon's */
	const char *kafka; /* brokers */
	PGconn *db;        /* superuser */
	struct proc daemons[ENV_DAEMONS];
	int ports[ENV_DAEMONS]; /* of their http.listen */
};

/* What a configuration file says. "" or NULL leaves a line out; sections' extra lines are indented by the caller. */
struct env_config {
	const char *conninfo;       /* the role's own */
	const char *database_lines; /* "  password_file: ...\n" */
	const char *outbox_lines;
	const char *brokers;        /* PGOUTBOX_TEST_KAFKA */
	const char *topic;          /* "<name>.${aggregate_type}" */
	const char *kafka_lines;
	const char *http_lines;
	const char *program;        /* instead of "pgoutboxd": a variant of it, from the build directory */
};

/* Skips the test (and returns false) when the servers are not there. */
bool env_begin(struct env *env);
void env_end(struct env *env);

/* Table, schema pgoutbox and grants, by pgoutboxctl init with the given configuration. */
void env_init(struct env *env, const struct env_config *cfg);

/* Writes NAME.yaml and returns its path, good until env_end(). */
const char *env_write_config(struct env *env, const char *name, int http_port, const struct env_config *cfg);

/* Starts daemon number i; env_daemon_ready() waits until /readyz says so. */
void env_daemon_start(struct env *env, int i, const struct env_config *cfg);
void env_daemon_ready(struct env *env, int i, int timeout_ms);
void env_daemon_stop(struct env *env, int i); /* SIGTERM; it must exit 0 */

/* Runs a daemon that should give up by itself: asserts the exit status, and that the output holds both texts. */
void env_daemon_refuses(struct env *env, const struct env_config *cfg, int status, const char *text, const char *hint);

/* GET from daemon i. The status, 0 when nothing answers; the body malloc'd, never NULL. */
int env_get(const struct env *env, int i, const char *path, char **ret_body);
/* From /metrics: one sample's value by its name with all labels, or the sum over all labels by its bare name; -1 when
 * there is none. */
double env_metric(const struct env *env, int i, const char *name);

void env_exec(struct env *env, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int64_t env_int(struct env *env, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Waits until a query gives the wanted number; fails the test when it does not. */
void env_wait_int(struct env *env, int64_t wanted, int timeout_ms, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* "<name>.suffix", good until env_end(); the topic is created with 4 partitions. */
const char *env_topic(struct env *env, const char *suffix);

/* Everything in the topic against everything in outbox_events (or the accounts), nothing there twice. */
void env_audit(struct env *env, const char *topic, bool by_accounts, struct audit_report *ret_report);
/* The same where repeats are allowed. */
void env_audit_repeats(struct env *env, const char *topic, struct audit_report *ret_report);

/* Fails the test with a diagnostic when rc is -1. */
void env_must(int rc, const struct error *err, const char *what);
#define ENV_MUST(call, err) env_must((call), (err), #call)

/* The program of that name from the build directory, good until env_end(). */
const char *env_program(const char *name);

#endif
