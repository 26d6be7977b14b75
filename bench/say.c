/* say.c - in: figures and failures; out: lines. */
#include "bench/say.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
say_die(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("bench: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void
say_must(int rc, const struct error *err, const char *what)
{
	if (rc == -1)
		say_die("%s: %s%s%s", what, err->message, err->hint[0] == '\0' ? "" : "; hint: ", err->hint);
}

void
say_progress(const char *fmt, ...)
{
	va_list args;

	fputs("# ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

void
say_figure(const struct say *say, const char *name, double value)
{
	if (say->quiet)
		return;
	if (!isfinite(value))
		say_die("%s, %s: \"%s\" is no number", say->part, say->name, name);
	printf("%s\t%s\t%d\t%s\t%.6g\n", say->part, say->name, say->round, name, value);
	fflush(stdout);
}

void
say_ratio(const struct say *say, const char *name, double a, double b)
{
	if (b > 0)
		say_figure(say, name, a / b);
	else
		say_progress("%s: too little to tell \"%s\"", say->name, name);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
say_median(double *values, int count)
{
	if (count == 0)
		return 0;
	qsort(values, (size_t)count, sizeof(*values), compare);
	return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
