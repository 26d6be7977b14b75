/* clock.h - time. Everything that decides uses the monotonic clock; wall time is only for display. */
#ifndef PGOUTBOX_BASE_CLOCK_H
#define PGOUTBOX_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_NEVER INT64_MAX /* a deadline that does not come */

int64_t clock_mono_us(void); /* CLOCK_MONOTONIC, microseconds */
int64_t clock_coarse_us(void); /* the monotonic clock as of some milliseconds ago, for a fraction of the price */
int64_t clock_boot_us(void); /* the same, but going on while the machine is suspended: how long we really were away */
int64_t clock_wall_us(void); /* since 1970-01-01 UTC, microseconds */

#endif
