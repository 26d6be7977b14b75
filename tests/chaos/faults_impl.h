/* faults_impl.h - shared by faults*.c alone: how each is done. As fault_begin() and fault_end(). */
#ifndef PGOUTBOX_TESTS_FAULTS_IMPL_H
#define PGOUTBOX_TESTS_FAULTS_IMPL_H

#include "chaos/faults.h"

/* faults_postgres.c */
bool postgres_down(struct stage *s, struct blow *b);
bool postgres_up(struct stage *s, struct blow *b);
bool sessions_terminate(struct stage *s, struct blow *b);
bool read_only_begin(struct stage *s, struct blow *b);
bool read_only_end(struct stage *s, struct blow *b);
bool crowd_begin(struct stage *s, struct blow *b);
bool crowd_end(struct stage *s, struct blow *b);
bool lock_begin(struct stage *s, struct blow *b);
bool session_end(struct stage *s, struct blow *b);
bool late_begin(struct stage *s, struct blow *b);
bool late_end(struct stage *s, struct blow *b);
bool snapshot_begin(struct stage *s, struct blow *b);

/* faults_brokers.c */
bool broker_signal(struct stage *s, struct blow *b);
bool broker_continue(struct stage *s, struct blow *b);
bool broker_up(struct stage *s, struct blow *b);
bool broker_short(struct stage *s, struct blow *b);
bool broker_enough(struct stage *s, struct blow *b);

#endif
