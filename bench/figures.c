/* figures.c - in: lines; out: figures with their medians. */
#include "bench/figures.h"

#include <stdlib.h>
#include <string.h>

#include "bench/say.h"

#define FIELDS 5

/* Cuts the line at its tabs; how many fields there are. */
static int
split(char *line, char *fields[FIELDS])
{
	int n = 0;

	line[strcspn(line, "\n")] = '\0';
	for (char *at = line; at != NULL && n < FIELDS; n++) {
		fields[n] = at;
		at = strchr(at, '\t');
		if (at != NULL)
			*at++ = '\0';
	}
	return n;
}

static struct figure *
find(const struct figures *f, const char *part, const char *name, const char *figure)
{
	for (size_t i = 0; i < f->count; i++) {
		struct figure *one = &f->all[i];

		if (strcmp(one->part, part) == 0 && strcmp(one->name, name) == 0 && strcmp(one->figure, figure) == 0)
			return one;
	}
	return NULL;
}

static struct figure *
add(struct figures *f, char *const fields[FIELDS])
{
	struct figure *one;

	f->all = realloc(f->all, (f->count + 1) * sizeof(*f->all));
	if (f->all == NULL)
		say_die("out of memory");
	one = &f->all[f->count++];
	*one = (struct figure){.count = 0};
	snprintf(one->part, sizeof(one->part), "%s", fields[0]);
	snprintf(one->name, sizeof(one->name), "%s", fields[1]);
	snprintf(one->figure, sizeof(one->figure), "%s", fields[3]);
	return one;
}

static void
take_figure(struct figures *f, char *const fields[FIELDS])
{
	struct figure *one = find(f, fields[0], fields[1], fields[3]);

	if (one == NULL)
		one = add(f, fields);
	if (one->count == FIGURES_ROUNDS)
		say_die("more than %d rounds", FIGURES_ROUNDS);
	one->values[one->count++] = strtod(fields[4], NULL);
}

static void
take_setting(struct figures *f, char *const fields[FIELDS])
{
	struct setting *one;

	if (f->settings_count == sizeof(f->settings) / sizeof(*f->settings))
		say_die("too many settings");
	one = &f->settings[f->settings_count++];
	snprintf(one->name, sizeof(one->name), "%s", fields[1]);
	snprintf(one->value, sizeof(one->value), "%s", fields[2]);
}

void
figures_read(FILE *in, struct figures *ret_figures)
{
	struct figures f = {.all = NULL};
	char line[1024], *fields[FIELDS];

	while (fgets(line, sizeof(line), in) != NULL) {
		int n = split(line, fields);

		if (n == 3 && strcmp(fields[0], "setting") == 0)
			take_setting(&f, fields);
		else if (n == FIELDS)
			take_figure(&f, fields);
		else
			say_die("\"%s\" is no figure", line);
	}
	for (size_t i = 0; i < f.count; i++) {
		double sorted[FIGURES_ROUNDS];

		memcpy(sorted, f.all[i].values, sizeof(sorted));
		f.all[i].median = say_median(sorted, f.all[i].count);
	}
	*ret_figures = f;
}

void
figures_done(struct figures *f)
{
	free(f->all);
	*f = (struct figures){.all = NULL};
}

const struct figure *
figures_find(const struct figures *f, const char *part, const char *name, const char *figure)
{
	return find(f, part, name, figure);
}
