/* descriptors.h - how many files and sockets may be open at once: RLIMIT_NOFILE, see getrlimit(2). */
#ifndef PGOUTBOX_SERVE_DESCRIPTORS_H
#define PGOUTBOX_SERVE_DESCRIPTORS_H

#include <stdint.h>

/* Raises the soft limit to the hard one where it is below wanted. Returns what is in force then, which may still be too
 * little. */
uint64_t descriptors_allow(uint64_t wanted);

#endif
