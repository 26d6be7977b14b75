/* pgoutboxd.c - the daemon: reads its command line and configuration, wires the rooms, runs the loop, ends cleanly. */
#include "config.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "metrics/metrics.h"
#include "relay/budget.h"
#include "relay/plan.h"
#include "relay/relay.h"
#include "serve/descriptors.h"
#include "serve/health.h"
#include "serve/http.h"
#include "serve/loop.h"
#include "serve/notify.h"
#include "serve/signals.h"
#include "sink/producer.h"
#include "source/session.h"

#define DEFAULT_CONFIG "/etc/pgoutboxd/pgoutboxd.yaml"
#define LOOP_STALL_US 10000000
#define OUTAGE_THRESHOLD_US 10000000
#define STATUS_US 1000000
#define STOP_MARGIN_US 10000000 /* beside outbox.stop_timeout: the last settlements, and what ends after the loop */

static const char usage[] =
	"Usage: pgoutboxd [-c FILE] [OPTION]\n"
	"Relays the events of a PostgreSQL outbox table to Kafka.\n\n"
	"  -c, --config FILE   the configuration (default " DEFAULT_CONFIG ")\n"
	"      --check-config  check the configuration without connecting, and exit\n"
	"      --print-config  print the configuration in force, secrets redacted, and exit\n"
	"      --print-defaults  print a commented example with every option, and exit\n"
	"  -V, --version       print the versions and exit\n"
	"  -h, --help          print this help and exit\n\n"
	"Signals: SIGTERM and SIGINT stop after settling what is in flight, SIGUSR1 logs the state.\n"
	"Exit status: 0 stopped as asked, 64 usage, 75 try again, 78 configuration.  See pgoutboxd(8).\n";

struct daemon {
	struct config cfg;
	struct log log;
	struct loop *loop;
	struct metrics *metrics;
	struct health *health;
	struct http *http;
	struct notify *notify;
	struct signals *signals;
	struct relay *relay;
	struct watch status; /* systemd's status line and watchdog */
	uint64_t log_dropped; /* as far as the metric tells */
	int exit_status;
};

static void
on_signal(void *ctx, int signo)
{
	struct daemon *d = ctx;

	if (signo == SIGUSR1) {
		relay_dump(d->relay);
		return;
	}
	if (signo == SIGHUP) {
		log_write(&d->log, LOG_WARNING, "reload-unsupported", "SIGHUP does nothing: restart to read the configuration again");
		return;
	}
	log_write(&d->log, LOG_NOTICE, "stopping", "stopping on %s", signo == SIGINT ? "SIGINT" : "SIGTERM");
	notify_stopping(d->notify);
	notify_extend_timeout(d->notify, d->cfg.outbox.stop_timeout_ms * 1000 + STOP_MARGIN_US);
	relay_stop(d->relay);
}

static void
on_stopped(void *ctx, const struct error *err)
{
	struct daemon *d = ctx;

	if (err != NULL) {
		log_error(&d->log, LOG_CRIT, "cannot-run", err);
		d->exit_status = error_exit_status(err->kind);
	}
	loop_stop(d->loop);
}

static void
on_lag(void *ctx, int64_t lag_us)
{
	struct daemon *d = ctx;

	metrics_observe(metrics_daemon(d->metrics), METRIC_LOOP_LAG_SECONDS, lag_us);
}

static void
render_metrics(void *ctx, struct buf *ret_out)
{
	metrics_render(ctx, ret_out);
}

static void
status_fired(struct watch *w, short revents, int64_t now_us)
{
	struct daemon *d = (struct daemon *)(void *)((char *)w - offsetof(struct daemon, status));
	struct metrics_scope *m = metrics_outbox(d->metrics, 0);
	int64_t watchdog_us = notify_watchdog_interval_us(d->notify);
	uint64_t log_dropped_now = log_dropped(&d->log);
	char text[160];

	(void)revents;
	w->deadline_us = now_us + (watchdog_us > 0 && watchdog_us < STATUS_US ? watchdog_us : STATUS_US);
	notify_watchdog(d->notify);
	metrics_add(metrics_daemon(d->metrics), METRIC_LOG_DROPPED, log_dropped_now - d->log_dropped);
	d->log_dropped = log_dropped_now;
	snprintf(text, sizeof(text), "%llu events sent, %llu pending, %llu lanes, PostgreSQL %s, Kafka %s",
	         (unsigned long long)metrics_get(m, METRIC_EVENTS_SENT, 0), (unsigned long long)metrics_get(m, METRIC_PENDING_EVENTS, 0),
	         (unsigned long long)metrics_get(m, METRIC_LANES_OWNED, 0),
	         metrics_get(m, METRIC_UP, METRIC_SIDE_POSTGRESQL) != 0 ? "up" : "down",
	         metrics_get(m, METRIC_UP, METRIC_SIDE_KAFKA) != 0 ? "up" : "down");
	notify_status(d->notify, text);
}

/* Returns how many HTTP connections there may be: where descriptors are short, they are the first to go. */
static int
allow_descriptors(const struct daemon *d)
{
	uint64_t wanted = budget_descriptors(d->cfg.kafka.brokers) + HTTP_DESCRIPTORS_MAX;
	uint64_t limit = descriptors_allow(wanted), missing = limit < wanted ? wanted - limit : 0;

	if (missing > 0)
		log_write(&d->log, LOG_WARNING, "descriptors-few",
		          "only %llu files and sockets may be open at once, up to %llu can be needed: raise LimitNOFILE of the "
		          "unit, or \"ulimit -n\"", (unsigned long long)limit, (unsigned long long)wanted);
	return HTTP_CONNECTIONS_MAX - (int)missing;
}

/* Everything that the relay needs around it; on failure daemon_done() takes back what was made. */
static int
daemon_init(struct daemon *d, struct error *err)
{
	const char *const outboxes[] = {d->cfg.outbox.table};
	char libpq[16];
	struct metrics_labels labels = {
		.outboxes = outboxes, .outboxes_count = 1, .version = PACKAGE_VERSION, .librdkafka = producer_library_version(), .libpq = libpq};
	struct health_options health = {
		.outboxes = outboxes, .outboxes_count = 1, .loop_stall_us = LOOP_STALL_US, .outage_threshold_us = OUTAGE_THRESHOLD_US};
	struct http_options http = {.listen = d->cfg.http.listen, .metrics = render_metrics};
	struct relay_options relay = {.cfg = &d->cfg, .log = &d->log, .stopped = on_stopped, .ctx = d};

	snprintf(libpq, sizeof(libpq), "%d.%d", session_library_version() / 10000, session_library_version() % 10000);
	if (loop_new(&d->loop, err) != 0 || metrics_new(&labels, &d->metrics, err) != 0)
		return -1;
	health.loop = d->loop;
	if (health_new(&health, &d->health, err) != 0 || notify_new(&d->notify, err) != 0)
		return -1;
	http.health = d->health;
	http.metrics_ctx = d->metrics;
	http.connections = allow_descriptors(d);
	if (http_new(&http, &d->http, err) != 0 || signals_new(on_signal, d, &d->signals, err) != 0 ||
	    loop_add(d->loop, signals_watch(d->signals), err) != 0)
		return -1;
	d->status = (struct watch){.fd = -1, .fire = status_fired};
	if (loop_add(d->loop, &d->status, err) != 0)
		return -1;
	loop_on_lag(d->loop, on_lag, d);
	relay.loop = d->loop;
	relay.metrics = metrics_outbox(d->metrics, 0);
	relay.health = d->health;
	return relay_new(&relay, &d->relay, err);
}

static void
daemon_done(struct daemon *d)
{
	http_free(d->http);
	relay_free(d->relay);
	signals_free(d->signals);
	notify_free(d->notify);
	health_free(d->health);
	metrics_free(d->metrics);
	loop_free(d->loop);
	config_done(&d->cfg);
}

static int
run(struct daemon *d)
{
	struct error err;

	log_init(&d->log, STDERR_FILENO, d->cfg.log.level, d->cfg.log.format);
	if (log_start(&d->log, &err) != 0 || daemon_init(d, &err) != 0) {
		log_error(&d->log, LOG_CRIT, "cannot-start", &err);
		return error_exit_status(err.kind);
	}
	log_write(&d->log, LOG_NOTICE, "started", "pgoutboxd %s relays \"%s\" to %s: batches of %lld rows or %lld bytes, settles by %s, http on %s",
	          PACKAGE_VERSION, d->cfg.outbox.table, d->cfg.kafka.brokers, (long long)d->cfg.outbox.batch_rows,
	          (long long)d->cfg.outbox.batch_bytes, d->cfg.outbox.settle == SETTLE_DELETE ? "delete" : "mark", d->cfg.http.listen);
	notify_ready(d->notify); /* started; whether events flow is for /readyz to say */
	if (loop_run(d->loop, &err) != 0) {
		log_error(&d->log, LOG_CRIT, "loop-failed", &err);
		return EX_OSERR;
	}
	log_write(&d->log, LOG_NOTICE, "stopped", "stopped after %llu events",
	          (unsigned long long)metrics_get(metrics_outbox(d->metrics, 0), METRIC_EVENTS_SENT, 0));
	return d->exit_status;
}

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

int
main(int argc, char **argv)
{
	enum { RUN, CHECK_CONFIG, PRINT_CONFIG, PRINT_DEFAULTS } task = RUN;
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
	                                        {"check-config", no_argument, NULL, 'C'},
	                                        {"print-config", no_argument, NULL, 'P'},
	                                        {"print-defaults", no_argument, NULL, 'D'},
	                                        {"version", no_argument, NULL, 'V'},
	                                        {"help", no_argument, NULL, 'h'},
	                                        {NULL, 0, NULL, 0}};
	const char *path = DEFAULT_CONFIG;
	struct daemon d = {.exit_status = EX_OK};
	struct buf text = BUF_INIT;
	int opt, status;

	while ((opt = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1)
		switch (opt) {
		case 'c':
			path = optarg;
			break;
		case 'C':
			task = CHECK_CONFIG;
			break;
		case 'P':
			task = PRINT_CONFIG;
			break;
		case 'D':
			task = PRINT_DEFAULTS;
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
	if (task == PRINT_DEFAULTS) {
		config_print_defaults(&text);
		return print(&text);
	}
	if (task == RUN)
		signals_block(); /* a stop that comes while starting is heard once the loop runs */
	if (load(path, &d.cfg) != 0)
		return EX_CONFIG;
	if (task == RUN) {
		status = run(&d);
		daemon_done(&d);
		log_stop(&d.log);
		return status;
	}
	if (task == PRINT_CONFIG)
		config_print(&d.cfg, &text);
	else
		buf_printf(&text, "%s: the configuration is good\n", path);
	config_done(&d.cfg);
	return print(&text);
}
