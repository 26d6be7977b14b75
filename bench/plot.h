/* plot.h - figures as an SVG picture: rates beside their ceilings, what an event costs, latencies.
 *
 * Without a background, in colours that are seen on white and on black. What was not measured is left out.
 */
#ifndef PGOUTBOX_BENCH_PLOT_H
#define PGOUTBOX_BENCH_PLOT_H

#include <stdio.h>

#include "bench/figures.h"

void plot_write(const struct figures *f, FILE *out);

#endif
