/* tls.h - a PostgreSQL and an Apache Kafka that want TLS, for the tests of one program, beside the usual ones. See
 * tls.sh for the certificates and for whom the servers let in.
 *
 * What fails here fails the running test (CUnit's fatal kind) with a diagnostic: no caller checks.
 */
#ifndef PGOUTBOX_TESTS_TLS_H
#define PGOUTBOX_TESTS_TLS_H

#include <stdbool.h>

#include "support/env.h"

#define TLS_KAFKA_PASSWORD "relay's \"own\" $ecret" /* of Kafka's SCRAM user "relay" */

/* env_begin() on these servers, which the first call starts; the environment's role becomes a member of the group
 * ("by_password"). Skips the test and returns false when there are no servers or no openssl. */
bool tls_begin(struct env *env, const char *group);
void tls_end(struct env *env); /* ends env */
void tls_down(void);           /* ends the servers: the last thing that a program does */

/* Texts that are good until tls_end(). */
const char *tls_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *tls_path(const char *file);        /* among the certificates */
const char *tls_brokers(const char *listener); /* "SCRAM" */

/* The role's own connection over TCP, verified to the full; what more adds comes last, so that it overrides. */
const char *tls_conninfo(const struct env *env, const char *more);

/* Writes a file of the environment's own, with mode 0600, and returns its path. */
const char *tls_secret(const struct env *env, const char *name, const char *text);

/* A verb of tls.sh for these servers; arguments may be NULL from some on. */
void tls_run(const char *verb, const char *a, const char *b, const char *c);

#endif
