/* report.c - what was measured as a table (standard output), as JSON and as a plot.
 *
 *   bench/report [--json FILE] [--svg FILE] <FIGURES
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/figures.h"
#include "bench/plot.h"
#include "bench/say.h"

/* What the product is to reach. least: at least so much; else at most. */
static const struct bar {
	const char *part, *name, *figure;
	int least;
	double value;
} bars[] = {
	{"drain", "mark 200 B", "efficiency", 1, 0.92},
	{"drain", "delete 200 B", "efficiency", 1, 0.92},
	{"drain", "mark 200 B", "relay_us_per_event", 0, 1.8},
	{"drain", "delete 200 B", "relay_us_per_event", 0, 1.8},
	{"drain", "mark 1000 B", "relay_us_per_event", 0, 2.8},
	{"drain", "delete 1000 B", "relay_us_per_event", 0, 2.8},
	{"drain", "mark 200 B", "relay_to_bare_cpu_ratio", 0, 1.2},
	{"drain", "delete 200 B", "relay_to_bare_cpu_ratio", 0, 1.2},
	{"drain", "mark 200 B", "rate_to_bare_ratio", 1, 0.85},
	{"drain", "delete 200 B", "rate_to_bare_ratio", 1, 0.93},
	{"drain", "mark 200 B", "postgres_cpu_ratio", 0, 1.05},
	{"drain", "delete 200 B", "postgres_cpu_ratio", 0, 1.05},
	{"drain", "mark 200 B", "events_per_s", 1, 150000},
	{"drain", "delete 200 B", "events_per_s", 1, 250000},
	{"drain", "mark 200 B", "peak_rss_mib", 0, 32},
	{"drain", "delete 200 B", "peak_rss_mib", 0, 32},
	{"latency", "1000/s", "acknowledged_p50_ms", 0, 3},
	{"latency", "1000/s", "acknowledged_p99_ms", 0, 10},
	{"latency", "10000/s", "acknowledged_p99_ms", 0, 20},
	{"latency", "from idle", "acknowledged_p99_ms", 0, 30},
	{"idle", "default", "relay_and_postgres_cpu_percent", 0, 1},
	{"scale", "one key", "rate_ratio", 1, 0.6},
	{"scale", "backlog 10000000", "rate_ratio", 1, 0.9},
	{"hostile", "old snapshot", "rate_ratio", 1, 0.9},
	{"hostile", "idle writer", "rate_ratio", 1, 0.9},
	{"hostile", "sent rows", "rate_ratio", 1, 0.9},
	{"hostile", "old snapshot", "straggler_ms", 0, 1000},
	{"hostile", "idle writer", "straggler_ms", 0, 1000},
	{"hostile", "sent rows", "straggler_ms", 0, 1000},
	{"hostile", "plain", "straggler_ms", 0, 1000},
};

static const struct bar *
bar_of(const struct figure *f)
{
	for (size_t i = 0; i < sizeof(bars) / sizeof(*bars); i++)
		if (strcmp(bars[i].part, f->part) == 0 && strcmp(bars[i].name, f->name) == 0 && strcmp(bars[i].figure, f->figure) == 0)
			return &bars[i];
	return NULL;
}

static void
print_value(FILE *out, double value)
{
	double size = value < 0 ? -value : value;

	fprintf(out, size >= 100 ? "%.0f" : size >= 10 ? "%.1f" : size >= 1 ? "%.2f" : "%.3f", value);
}

static void
print_line(const struct figure *f)
{
	const struct bar *bar = bar_of(f);
	char *text = NULL;
	size_t len = 0;
	FILE *median = open_memstream(&text, &len);

	if (median == NULL)
		say_die("out of memory");
	print_value(median, f->median);
	fclose(median);
	printf("  %-34s %10s   (", f->figure, text);
	free(text);
	for (int i = 0; i < f->count; i++) {
		fputs(i > 0 ? " " : "", stdout);
		print_value(stdout, f->values[i]);
	}
	putchar(')');
	if (bar != NULL)
		printf("   %s %g: %s", bar->least ? ">=" : "<=", bar->value,
		       (bar->least ? f->median >= bar->value : f->median <= bar->value) ? "reached" : "MISSED");
	putchar('\n');
}

static void
print_table(const struct figures *f)
{
	const struct figure *before = NULL;

	for (size_t i = 0; i < f->settings_count; i++)
		printf("%s: %s\n", f->settings[i].name, f->settings[i].value);
	printf("\nmedian (and the value of each round)\n");
	for (size_t i = 0; i < f->count; i++) {
		const struct figure *one = &f->all[i];

		if (before == NULL || strcmp(before->part, one->part) != 0 || strcmp(before->name, one->name) != 0)
			printf("\n%s: %s\n", one->part, one->name);
		print_line(one);
		before = one;
	}
}

static void
put_json_text(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if ((unsigned char)*text >= ' ')
			fputc(*text, out);
	}
	fputc('"', out);
}

static void
write_figure(FILE *out, const struct figure *f, const char *comma)
{
	fputs("  {\"part\": ", out);
	put_json_text(out, f->part);
	fputs(", \"case\": ", out);
	put_json_text(out, f->name);
	fputs(", \"figure\": ", out);
	put_json_text(out, f->figure);
	fprintf(out, ", \"median\": %.6g, \"values\": [", f->median);
	for (int i = 0; i < f->count; i++)
		fprintf(out, "%s%.6g", i > 0 ? ", " : "", f->values[i]);
	fprintf(out, "]}%s\n", comma);
}

static void
write_json(const struct figures *f, FILE *out)
{
	fputs("{\n \"settings\": {\n", out);
	for (size_t i = 0; i < f->settings_count; i++) {
		fputs("  ", out);
		put_json_text(out, f->settings[i].name);
		fputs(": ", out);
		put_json_text(out, f->settings[i].value);
		fputs(i + 1 < f->settings_count ? ",\n" : "\n", out);
	}
	fputs(" },\n \"figures\": [\n", out);
	for (size_t i = 0; i < f->count; i++)
		write_figure(out, &f->all[i], i + 1 < f->count ? "," : "");
	fputs(" ]\n}\n", out);
}

static void
write_file(const char *path, const struct figures *f, void (*write)(const struct figures *f, FILE *out))
{
	FILE *out = fopen(path, "we");

	if (out == NULL)
		say_die("could not write %s", path);
	write(f, out);
	if (fclose(out) != 0)
		say_die("could not write %s", path);
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", required_argument, NULL, 'j'}, {"svg", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
	const char *json = NULL, *svg = NULL;
	struct figures f;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'j')
			json = optarg;
		else if (c == 's')
			svg = optarg;
		else
			return 64;
	}
	figures_read(stdin, &f);
	print_table(&f);
	if (json != NULL)
		write_file(json, &f, write_json);
	if (svg != NULL)
		write_file(svg, &f, plot_write);
	figures_done(&f);
	return 0;
}
