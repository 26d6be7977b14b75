/* pgoutboxd.c - the daemon's main: in: a command line and a file; out: what they ask for. Running is pgoutboxd_run.c's. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "admin/checkup.h"
#include "base/log.h"
#include "config/config.h"
#include "pgoutboxd_run.h"
#include "relay/plan.h"
#include "serve/signals.h"
#include "sink/producer.h"
#include "source/session.h"

#define DEFAULT_CONFIG "/etc/pgoutboxd/pgoutboxd.yaml"

static const char usage[] =
	"Usage: pgoutboxd [-c FILE] [OPTION]\n"
	"Relays the events of PostgreSQL outbox tables to Kafka.\n\n"
	"  -c, --config FILE   the configuration (default " DEFAULT_CONFIG ")\n"
	"      --log-format=FORMAT  logfmt or json, whatever log.format says\n"
	"      --check-config[=full]  check the configuration without connecting, and exit;\n"
	"                      full: connect to both sides and look at everything\n"
	"      --print-config  print the configuration in force, secrets redacted, and exit\n"
	"      --print-defaults  print a commented example with every option, and exit\n"
	"      --print-schema  print a JSON schema of the configuration, and exit\n"
	"  -V, --version       print the versions and exit\n"
	"  -h, --help          print this help and exit\n\n"
	"Signals: SIGTERM and SIGINT stop after settling what is in flight, SIGHUP reads the configuration again,\n"
	"SIGUSR1 logs the state.\n"
	"Exit status: 0 stopped as asked, 64 usage, 75 try again, 78 configuration.  See pgoutboxd(8).\n";

/* Reads and checks the file; prints everything that is wrong with it. */
static int
load(const char *path, struct config *ret_cfg)
{
	struct config_problems problems = CONFIG_PROBLEMS_INIT;
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;
	int rc = config_load(path, plan_check_config, ret_cfg, &problems);

	config_problems_print(&problems, &text);
	fputs(buf_str(&text), stderr);
	config_problems_done(&problems);
	return rc;
}

static int
print(struct buf *text)
{
	bool ok = !buf_failed(text) && fputs(buf_str(text), stdout) >= 0 && fflush(stdout) == 0;

	buf_done(text);
	return ok ? EX_OK : EX_IOERR;
}

/* The first outbox that is not good decides how it ends, but what must be changed before what may pass. */
static int
check_full(struct config *cfg)
{
	struct buf text = BUF_INIT;
	struct checkup c;
	int status = EX_OK, printed;

	for (size_t i = 0; i < config_outboxes(cfg); i++) {
		const struct config *outbox = config_outbox(cfg, i);
		int rc;

		if (config_outboxes(cfg) > 1)
			buf_printf(&text, "%soutbox: %s\n", i > 0 ? "\n" : "", outbox->outbox.table);
		checkup_run(outbox, NULL, NULL, &c);
		checkup_print(&c, &text);
		rc = checkup_exit_status(&c);
		if (status != EX_CONFIG && rc != EX_OK)
			status = rc;
	}
	config_done(cfg);
	printed = print(&text);
	return status != EX_OK ? status : printed;
}

int
main(int argc, char **argv)
{
	enum { RUN, CHECK_CONFIG, CHECK_FULL, PRINT_CONFIG, PRINT_DEFAULTS, PRINT_SCHEMA } task = RUN;
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
	                                        {"log-format", required_argument, NULL, 'F'},
	                                        {"check-config", optional_argument, NULL, 'C'},
	                                        {"print-config", no_argument, NULL, 'P'},
	                                        {"print-defaults", no_argument, NULL, 'D'},
	                                        {"print-schema", no_argument, NULL, 'S'},
	                                        {"version", no_argument, NULL, 'V'},
	                                        {"help", no_argument, NULL, 'h'},
	                                        {NULL, 0, NULL, 0}};
	const char *path = DEFAULT_CONFIG;
	struct config cfg = {0};
	struct buf text = BUF_INIT;
	int opt, log_format = -1;

	while ((opt = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1)
		switch (opt) {
		case 'c':
			path = optarg;
			break;
		case 'F':
			log_format = log_format_parse(optarg);
			if (log_format >= 0)
				break;
			fprintf(stderr, "pgoutboxd: \"%s\" is no format of a log: it is logfmt or json\n", optarg);
			return EX_USAGE;
		case 'C':
			task = optarg != NULL ? CHECK_FULL : CHECK_CONFIG;
			if (optarg == NULL || strcmp(optarg, "full") == 0)
				break;
			fprintf(stderr, "pgoutboxd: --check-config=%s: there is --check-config and --check-config=full\n", optarg);
			return EX_USAGE;
		case 'P':
			task = PRINT_CONFIG;
			break;
		case 'D':
			task = PRINT_DEFAULTS;
			break;
		case 'S':
			task = PRINT_SCHEMA;
			break;
		case 'V':
			buf_printf(&text, "pgoutboxd %s (librdkafka %s, libpq %d.%d)\n", PACKAGE_VERSION, producer_library_version(),
			           session_library_version() / 10000, session_library_version() % 10000);
			return print(&text);
		case 'h':
			buf_add_str(&text, usage);
			return print(&text);
		default:
			fputs("Try \"pgoutboxd --help\".\n", stderr);
			return EX_USAGE;
		}
	if (optind < argc) {
		fprintf(stderr, "pgoutboxd: unexpected argument \"%s\"\nTry \"pgoutboxd --help\".\n", argv[optind]);
		return EX_USAGE;
	}
	if (task == PRINT_DEFAULTS || task == PRINT_SCHEMA) {
		if (task == PRINT_DEFAULTS)
			config_print_defaults(&text);
		else
			config_print_schema(&text);
		return print(&text);
	}
	if (task == RUN)
		signals_block(); /* a stop that comes while starting is heard once the loop runs */
	if (load(path, &cfg) != 0)
		return EX_CONFIG;
	if (task == RUN)
		return pgoutboxd_run(&cfg, log_format);
	if (log_format >= 0)
		cfg.log.format = (enum log_format)log_format;
	if (task == CHECK_FULL)
		return check_full(&cfg);
	if (task == PRINT_CONFIG)
		config_print(&cfg, &text);
	else
		buf_printf(&text, "%s: the configuration is good\n", path);
	config_done(&cfg);
	return print(&text);
}
