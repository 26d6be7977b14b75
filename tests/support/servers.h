/* servers.h - hurts the servers that with-postgres and with-kafka started: stops them, kills them, brings them back.
 *
 * What fails here fails the running test.
 */
#ifndef PGOUTBOX_TESTS_SERVERS_H
#define PGOUTBOX_TESTS_SERVERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "support/proc.h"

/* False, and the test is skipped, when the servers are there but not ours to stop. */
bool servers_ours(void);

/* A verb of support/kafka.sh for all nodes: "start", "stop", "kill9", "restart". start waits until they answer. */
void servers_kafka(const char *verb);
void servers_kafka_signal(int signal); /* to all nodes */
void servers_kafka_node(const char *verb, int node); /* the same for one, from 1 */
int servers_kafka_nodes(void);

pid_t servers_kafka_pid(int node);                   /* 0 = it does not run */

/* A verb of support/pg.sh: "start", "stop", "restart", "kill"; mode: "fast", "immediate". All sessions die with it. */
void servers_postgres(const char *verb, const char *mode);

/* The same for those who have other things to do meanwhile: the verb runs as a child, and a failure fails nothing.
 * "launch" for Kafka is a start that does not wait for answers; node 0 = all. */
int servers_kafka_begin(struct proc *p, const char *log, const char *verb, int node, struct error *err)
    __attribute__((warn_unused_result));
int servers_postgres_begin(struct proc *p, const char *log, const char *verb, const char *mode, struct error *err)
    __attribute__((warn_unused_result));

/* Brings back whatever a failed test left stopped. For teardowns; does nothing when nothing was hurt. */
void servers_heal(void);

#endif
