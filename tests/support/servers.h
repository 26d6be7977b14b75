/* servers.h - hurts the servers that with-postgres and with-kafka started: stops them, kills them, brings them back.
 *
 * What fails here fails the running test.
 */
#ifndef PGOUTBOX_TESTS_SERVERS_H
#define PGOUTBOX_TESTS_SERVERS_H

#include <stdbool.h>

/* False, and the test is skipped, when the servers are there but not ours to stop. */
bool servers_ours(void);

/* A verb of support/kafka.sh for all nodes: "start", "stop", "kill9", "restart". start waits until they answer. */
void servers_kafka(const char *verb);
void servers_kafka_signal(int signal); /* to all nodes */

/* A verb of support/pg.sh: "start", "stop", "restart", "kill"; mode: "fast", "immediate". All sessions die with it. */
void servers_postgres(const char *verb, const char *mode);

/* Brings back whatever a failed test left stopped. For teardowns; does nothing when nothing was hurt. */
void servers_heal(void);

#endif
