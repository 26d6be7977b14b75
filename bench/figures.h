/* figures.h - what the benchmark programs said, read back: a figure has a value a round. */
#ifndef PGOUTBOX_BENCH_FIGURES_H
#define PGOUTBOX_BENCH_FIGURES_H

#include <stddef.h>
#include <stdio.h>

#define FIGURES_ROUNDS 32

struct figure {
	char part[32], name[64], figure[64]; /* the program's part, its case, what was measured */
	double values[FIGURES_ROUNDS];       /* in the order of the rounds */
	int count;
	double median;
};

struct setting { /* of the machine and the servers */
	char name[64], value[256];
};

struct figures {
	struct figure *all; /* in the order in which they were said first */
	size_t count;
	struct setting settings[64];
	size_t settings_count;
};

/* Lines of say_figure(), and "setting", name, value. Dies on any other line. */
void figures_read(FILE *in, struct figures *ret_figures);
void figures_done(struct figures *f);

/* NULL when it was not measured. */
const struct figure *figures_find(const struct figures *f, const char *part, const char *name, const char *figure);

#endif
