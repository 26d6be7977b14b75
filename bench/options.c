/* options.c - in: argv; out: struct options. */
#include "bench/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option longs[] = {
	{"events", required_argument, NULL, 'e'},
	{"payload", required_argument, NULL, 'p'},
	{"keys", required_argument, NULL, 'k'},
	{"settle", required_argument, NULL, 's'},
	{"receipts", no_argument, NULL, 'R'},
	{"lanes", required_argument, NULL, 'l'},
	{"relays", required_argument, NULL, 'r'},
	{"batch-rows", required_argument, NULL, 'b'},
	{"batch-bytes", required_argument, NULL, 'B'},
	{"properties", required_argument, NULL, 'P'},
	{"program", required_argument, NULL, 'x'},
	{"rounds", required_argument, NULL, 'n'},
	{"part", required_argument, NULL, 't'},
	{"case", required_argument, NULL, 'c'},
	{"ceiling", no_argument, NULL, 'C'},
	{"bare", no_argument, NULL, 'A'},
	{"quiet", no_argument, NULL, 'q'},
	{"only", required_argument, NULL, 'o'},
	{"scale", required_argument, NULL, 'S'},
	{"seconds", required_argument, NULL, 'd'},
	{"connections", required_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"  --events N          the backlog\n"
	"  --payload BYTES     of each event\n"
	"  --keys N|one|zipf   how many keys; all events of one; 10,000 of them with Zipf's shares\n"
	"  --settle MODE       mark or delete\n"
	"  --receipts          keeps them\n"
	"  --lanes N  --relays N  --batch-rows N  --batch-bytes N\n"
	"  --properties LIST   kafka.properties: NAME=VALUE,NAME=VALUE\n"
	"  --program PATH      another pgoutboxd\n"
	"  --rounds N          how often all of it is measured\n"
	"  --part TEXT --case TEXT  how the figures are labelled\n"
	"  --ceiling           runs the same statements with nobody publishing too, in each round\n"
	"  --bare              runs a relay that takes care of nothing too, in each round; with a drain's --only bare that alone\n"
	"  --quiet             says no figures: to warm up the broker\n"
	"  --only CASE,CASE    some cases of several\n"
	"  --scale N           divides the sizes of all cases\n"
	"  --seconds N         how long one measurement takes\n"
	"  --connections N     of a writer\n"
	"Run it under tests/with-postgres and tests/with-kafka, in a build directory.\n";

static int64_t
number(const char *name, const char *text)
{
	char *end;
	long long value = strtoll(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < 1) {
		fprintf(stderr, "--%s: \"%s\" is not a number above 0\n", name, text);
		exit(64);
	}
	return value;
}

static void
read_keys(const char *text, struct world_fill *fill)
{
	if (strcmp(text, "one") == 0)
		fill->kind = KEYS_ONE;
	else if (strcmp(text, "zipf") == 0)
		fill->kind = KEYS_ZIPF;
	else
		fill->keys = number("keys", text);
}

static bool
is_delete(const char *text)
{
	if (strcmp(text, "mark") != 0 && strcmp(text, "delete") != 0) {
		fprintf(stderr, "--settle: \"%s\" is neither mark nor delete\n", text);
		exit(64);
	}
	return strcmp(text, "delete") == 0;
}

static void
read_one(int c, struct options *opt)
{
	struct drain_options *drain = &opt->drain;

	switch (c) {
	case 'e': drain->fill.events = number("events", optarg); break;
	case 'p': drain->fill.payload_bytes = (int)number("payload", optarg); break;
	case 'k': read_keys(optarg, &drain->fill); break;
	case 's': drain->world.settle_delete = is_delete(optarg); break;
	case 'R': drain->world.receipts = true; break;
	case 'l': drain->world.lanes = (int)number("lanes", optarg); break;
	case 'r': drain->relays = (int)number("relays", optarg); break;
	case 'b': drain->world.batch_rows = (int)number("batch-rows", optarg); break;
	case 'B': drain->world.batch_bytes = number("batch-bytes", optarg); break;
	case 'P': drain->world.properties = optarg; break;
	case 'x': drain->world.program = optarg; break;
	case 'n': opt->rounds = (int)number("rounds", optarg); break;
	case 't': opt->part = optarg; break;
	case 'c': opt->name = optarg; break;
	case 'C': opt->ceiling = true; break;
	case 'A': opt->bare = true; break;
	case 'q': opt->quiet = true; break;
	case 'o': opt->only = optarg; break;
	case 'd': opt->seconds = (double)number("seconds", optarg); break;
	case 'j': opt->connections = (int)number("connections", optarg); break;
	case 'S': opt->scale = number("scale", optarg); break;
	default: exit(64);
	}
}

void
options_read(int argc, char **argv, const char *summary, struct options *opt)
{
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			printf("%s\n%s", summary, help);
			exit(0);
		}
		read_one(c, opt);
	}
	if (optind < argc) {
		fprintf(stderr, "\"%s\" is no option; see --help\n", argv[optind]);
		exit(64);
	}
}

bool
options_wants(const struct options *opt, const char *name)
{
	size_t len = strlen(name);

	if (opt->only == NULL)
		return true;
	for (const char *at = opt->only;; at++) {
		if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
		at = strchr(at, ',');
		if (at == NULL)
			return false;
	}
}
