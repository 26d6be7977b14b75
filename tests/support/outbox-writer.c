/* outbox-writer - runs the application of writer.h from the command line; its counts go to standard output. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/writer.h"

static const char usage[] =
    "usage: outbox-writer --database CONNINFO [OPTION]...\n"
    "Runs business transactions which write events into an outbox table.\n\n"
    "  --table NAME      outbox table (outbox_events)\n"
    "  --type NAME       aggregate_type of the events (account)\n"
    "  --events N        events to commit (10000)\n"
    "  --keys N          accounts (1000)\n"
    "  --writers N       concurrent connections (8)\n"
    "  --pad BYTES       padding in each payload (40)\n"
    "  --rollback SHARE  share of the transactions that roll back (0.05)\n"
    "  --rate N          events a second, 0 = as fast as it goes (0)\n"
    "  --seed N          for another run of the same kind (1)\n"
    "  --reconnect MS    go on after a lost connection, trying so long to have another (0)\n"
    "  --progress FILE   keep \"COMMITTED ROLLED-BACK\" in FILE while it runs\n"
    "  --json            print the counts as JSON\n";

static void
write_progress(void *ctx, const struct writer_counts *counts)
{
	FILE *out = ctx;

	rewind(out);
	fprintf(out, "%10lld %10lld\n", (long long)counts->committed, (long long)counts->rolled_back);
	fflush(out);
}

static void
print_counts(const struct writer_counts *c, int json)
{
	if (json)
		printf("{\"committed\": %lld, \"rolled_back\": %lld, \"transactions\": %lld, \"rollbacks\": %lld,"
		    " \"seconds\": %.3f}\n", (long long)c->committed, (long long)c->rolled_back,
		    (long long)c->transactions, (long long)c->rollbacks, c->seconds);
	else
		printf("%lld events committed, %lld rolled back, in %lld + %lld transactions, %.1f s\n",
		    (long long)c->committed, (long long)c->rolled_back, (long long)c->transactions,
		    (long long)c->rollbacks, c->seconds);
}

enum { OPT_DATABASE, OPT_TABLE, OPT_TYPE, OPT_EVENTS, OPT_KEYS, OPT_WRITERS, OPT_PAD, OPT_ROLLBACK, OPT_RATE, OPT_SEED, OPT_RECONNECT,
	OPT_PROGRESS, OPT_JSON, OPT_HELP };

static const struct option long_options[] = {
    {"database", required_argument, NULL, OPT_DATABASE},
    {"table", required_argument, NULL, OPT_TABLE},
    {"type", required_argument, NULL, OPT_TYPE},
    {"events", required_argument, NULL, OPT_EVENTS},
    {"keys", required_argument, NULL, OPT_KEYS},
    {"writers", required_argument, NULL, OPT_WRITERS},
    {"pad", required_argument, NULL, OPT_PAD},
    {"rollback", required_argument, NULL, OPT_ROLLBACK},
    {"rate", required_argument, NULL, OPT_RATE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"reconnect", required_argument, NULL, OPT_RECONNECT},
    {"progress", required_argument, NULL, OPT_PROGRESS},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static int
set_option(struct writer_options *opt, int which, const char *value)
{
	switch (which) {
	case OPT_DATABASE: opt->conninfo = value; return 0;
	case OPT_TABLE: opt->table = value; return 0;
	case OPT_TYPE: opt->aggregate_type = value; return 0;
	case OPT_EVENTS: opt->events = atoll(value); return 0;
	case OPT_KEYS: opt->keys = atoi(value); return 0;
	case OPT_WRITERS: opt->writers = atoi(value); return 0;
	case OPT_PAD: opt->pad_bytes = atoi(value); return 0;
	case OPT_ROLLBACK: opt->rollback_share = atof(value); return 0;
	case OPT_RATE: opt->events_per_second = atof(value); return 0;
	case OPT_RECONNECT: opt->reconnect_ms = atoi(value); return 0;
	case OPT_SEED: opt->seed = strtoull(value, NULL, 10); return 0;
	default: return -1;
	}
}

int
main(int argc, char **argv)
{
	struct writer_options opt = WRITER_DEFAULTS;
	struct writer_counts counts;
	FILE *progress = NULL;
	struct error err;
	int which, json = 0;

	while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (which == OPT_JSON) {
			json = 1;
		} else if (which == OPT_PROGRESS) {
			progress = fopen(optarg, "we");
		} else if (set_option(&opt, which, optarg) == -1) {
			fputs(usage, which == OPT_HELP ? stdout : stderr);
			return which == OPT_HELP ? 0 : 64;
		}
	}
	if (opt.conninfo == NULL || opt.keys < 1 || opt.writers < 1 || opt.pad_bytes < 0 || optind != argc) {
		fputs(usage, stderr);
		return 64;
	}
	if (progress != NULL) {
		opt.progress = write_progress;
		opt.ctx = progress;
	}
	if (writer_prepare(&opt, &err) == -1 || writer_run(&opt, &counts, &err) == -1) {
		fprintf(stderr, "outbox-writer: %s\n", err.message);
		return 1;
	}
	if (progress != NULL) {
		write_progress(progress, &counts);
		fclose(progress);
	}
	print_counts(&counts, json);
	return 0;
}
