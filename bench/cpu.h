/* cpu.h - how much CPU time and memory others have used, from /proc.
 *
 * Times are user and system in microseconds, in steps of a clock tick (10 ms) a process. What the children of a process used counts as
 * its own, whether they still run or were reaped.
 */
#ifndef PGOUTBOX_BENCH_CPU_H
#define PGOUTBOX_BENCH_CPU_H

#include <stdint.h>
#include <sys/types.h>

/* -1: there is no such process. */
int64_t cpu_of_family(pid_t pid);

pid_t cpu_parent(pid_t pid); /* -1 as above */

int cpu_cores(void); /* that this process may use */

int64_t cpu_peak_bytes(pid_t pid); /* the most memory that was ever resident; -1 as above */

#endif
