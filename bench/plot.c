/* plot.c - in: figures; out: SVG. Three panels of horizontal bars, one below the other. */
#include "bench/plot.h"

#include <stdlib.h>

#include "bench/say.h"

#define WIDTH 760
#define LEFT 150  /* of the bars: names stand before it */
#define RIGHT 620 /* the longest bar ends here: values stand behind it */
#define ROW 22
#define BAR 14
#define GAP 46 /* before a panel's first bar: its title */
#define LATENCY_MAX 50 /* ms; a longer bar is cut off, or a rate that the machine cannot take would hide the others */

struct bar {
	char name[96];
	double parts[3]; /* side by side, in the panel's colours */
	char label[128];
};

struct panel {
	const char *title;
	const char *legend[3];
	struct bar bars[24];
	int count;
};

static struct bar *
add_bar(struct panel *p)
{
	if (p->count == sizeof(p->bars) / sizeof(*p->bars))
		say_die("too many bars in a plot");
	return &p->bars[p->count++];
}

static double
value(const struct figures *f, const char *part, const char *name, const char *figure)
{
	const struct figure *one = figures_find(f, part, name, figure);

	return one == NULL ? -1 : one->median;
}

static const char *const drains[] = {"mark 200 B", "delete 200 B", "mark 1000 B", "delete 1000 B"};
static const char *const rates[] = {"from idle", "100/s", "1000/s", "5000/s", "10000/s"};

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

static void
add_rates(const struct figures *f, struct panel *p)
{
	for (size_t i = 0; i < LENGTH(drains); i++) {
		double rate = value(f, "drain", drains[i], "events_per_s");
		double ceiling = value(f, "drain", drains[i], "ceiling_events_per_s");
		struct bar *b;

		if (rate <= 0)
			continue;
		b = add_bar(p);
		b->parts[0] = rate;
		b->parts[1] = ceiling > rate ? ceiling - rate : 0;
		snprintf(b->name, sizeof(b->name), "%s", drains[i]);
		if (ceiling > 0)
			snprintf(b->label, sizeof(b->label), "%.0fk of %.0fk", rate / 1000, ceiling / 1000);
		else
			snprintf(b->label, sizeof(b->label), "%.0fk", rate / 1000);
	}
}

static void
add_costs(const struct figures *f, struct panel *p)
{
	for (size_t i = 0; i < LENGTH(drains); i++) {
		double relay = value(f, "drain", drains[i], "relay_us_per_event");
		struct bar *b;

		if (relay < 0)
			continue;
		b = add_bar(p);
		b->parts[0] = value(f, "drain", drains[i], "postgres_us_per_event");
		b->parts[1] = value(f, "drain", drains[i], "broker_us_per_event");
		b->parts[2] = relay;
		snprintf(b->name, sizeof(b->name), "%s", drains[i]);
		snprintf(b->label, sizeof(b->label), "%.1f + %.1f + %.1f", b->parts[0], b->parts[1], b->parts[2]);
	}
}

static void
add_latencies(const struct figures *f, struct panel *p)
{
	for (size_t i = 0; i < LENGTH(rates); i++) {
		double p50 = value(f, "latency", rates[i], "acknowledged_p50_ms");
		double p99 = value(f, "latency", rates[i], "acknowledged_p99_ms");
		struct bar *b;

		if (p50 < 0 || p99 < p50)
			continue;
		b = add_bar(p);
		b->parts[0] = p50 < LATENCY_MAX ? p50 : LATENCY_MAX;
		b->parts[1] = (p99 < LATENCY_MAX ? p99 : LATENCY_MAX) - b->parts[0];
		snprintf(b->name, sizeof(b->name), "%s", rates[i]);
		snprintf(b->label, sizeof(b->label), "%.1f, %.1f", p50, p99);
	}
}

static double
longest(const struct panel *p)
{
	double most = 0;

	for (int i = 0; i < p->count; i++) {
		double sum = p->bars[i].parts[0] + p->bars[i].parts[1] + p->bars[i].parts[2];

		most = sum > most ? sum : most;
	}
	return most > 0 ? most : 1;
}

static void
write_legend(const struct panel *p, int y, FILE *out)
{
	int x = LEFT;

	for (int i = 0; i < 3 && p->legend[i] != NULL; i++) {
		fprintf(out, "<rect class=\"c%d\" x=\"%d\" y=\"%d\" width=\"10\" height=\"10\"/><text x=\"%d\" y=\"%d\">%s</text>\n", i, x,
		        y - 9, x + 15, y, p->legend[i]);
		x += 200;
	}
}

/* Returns where the next panel begins. */
static int
write_panel(const struct panel *p, int y, FILE *out)
{
	double scale = (RIGHT - LEFT) / longest(p);

	if (p->count == 0)
		return y;
	fprintf(out, "<text class=\"title\" x=\"8\" y=\"%d\">%s</text>\n", y + 16, p->title);
	write_legend(p, y + 36, out);
	y += GAP;
	for (int i = 0; i < p->count; i++, y += ROW) {
		const struct bar *b = &p->bars[i];
		double x = LEFT;

		fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", LEFT - 8, y + BAR - 2, b->name);
		for (int k = 0; k < 3; k++) {
			fprintf(out, "<rect class=\"c%d\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n", k, x, y, b->parts[k] * scale,
			        BAR);
			x += b->parts[k] * scale;
		}
		fprintf(out, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", x + 6, y + BAR - 2, b->label);
	}
	return y + 14;
}

void
plot_write(const struct figures *f, FILE *out)
{
	struct panel panels[] = {
		{.title = "A backlog sent: thousand events a second",
	         .legend = {"the relay, end to end", "up to the database alone", NULL}},
		{.title = "CPU time of one event: microseconds", .legend = {"PostgreSQL", "broker", "relay"}},
		{.title = "From insert to acknowledgement: milliseconds, bars cut off at 50", .legend = {"half of all events", "99% of them", NULL}},
	};
	int height = 8;

	add_rates(f, &panels[0]);
	add_costs(f, &panels[1]);
	add_latencies(f, &panels[2]);
	for (size_t i = 0; i < LENGTH(panels); i++)
		height += panels[i].count > 0 ? GAP + panels[i].count * ROW + 14 : 0;
	fprintf(out,
	        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n"
	        "<title>Rates, costs and latencies of pgoutboxd</title>\n"
	        "<style>\n"
	        "text { font: 13px sans-serif; fill: #3b434b; }\n"
	        ".title { font-weight: bold; font-size: 14px; }\n"
	        ".c0 { fill: #3d7fd0; } .c1 { fill: #9a9fa6; } .c2 { fill: #d9822b; }\n"
	        "@media (prefers-color-scheme: dark) { text { fill: #c9d1d9; } .c1 { fill: #6e7681; } }\n"
	        "</style>\n", WIDTH, height, WIDTH, height);
	height = 8;
	for (size_t i = 0; i < LENGTH(panels); i++)
		height = write_panel(&panels[i], height, out);
	fputs("</svg>\n", out);
}
