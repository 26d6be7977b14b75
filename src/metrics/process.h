/* process.h - what the kernel knows of this process, from /proc (see proc(5)). Internal to this room. */
#ifndef PGOUTBOX_METRICS_PROCESS_H
#define PGOUTBOX_METRICS_PROCESS_H

#include <stdint.h>

struct process_figures {
	int64_t cpu_us;
	int64_t resident_bytes;
	int64_t virtual_bytes;
	int64_t open_fds;
	int64_t max_fds;
	int64_t start_us; /* since 1970-01-01 UTC */
};

/* A figure that cannot be read is -1. Reads files of /proc only, which does not wait for a disk. */
struct process_figures process_read(void);

#endif
