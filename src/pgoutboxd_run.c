/* pgoutboxd_run.c - the daemon at work: wires the rooms, runs a relay for each outbox in one loop, ends cleanly.
 *
 * In: a configuration and signals; out: log lines, what systemd is told, an exit status. Belongs to the main, above all
 * rooms.
 */
#include "config.h"

#include "pgoutboxd_reload.h"
#include "pgoutboxd_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "hook/webhook.h"
#include "metrics/metrics.h"
#include "relay/budget.h"
#include "relay/queries.h"
#include "relay/relay.h"
#include "serve/descriptors.h"
#include "serve/health.h"
#include "serve/http.h"
#include "serve/loop.h"
#include "serve/notify.h"
#include "serve/signals.h"
#include "sink/producer.h"
#include "source/session.h"

#ifndef LOOP_STALL_US /* the variant for tests has less patience */
#define LOOP_STALL_US 10000000
#endif
#define STATUS_US 1000000
#define WEBHOOK_STOP_US 2000000
#define STOP_MARGIN_US 10000000 /* beside outbox.stop_timeout: the last settlements, and what ends after the loop */

struct served {
	struct daemon *daemon;
	const struct config *cfg; /* a view of the daemon's */
	struct log log;           /* the daemon's, which names the outbox where there are several */
	struct metrics_scope *metrics;
	struct relay *relay;
};

struct daemon {
	struct config *cfg;
	struct log log;
	struct loop *loop;
	struct metrics *metrics;
	struct health *health;
	struct http *http;
	struct notify *notify;
	struct signals *signals;
	struct watch status; /* systemd's status line and watchdog */
	uint64_t log_dropped; /* as far as the metric tells, */
	struct webhook_counts posts; /* and so are these */
	struct webhook *webhook; /* NULL = none */
	struct queries *queries; /* NULL = none */
	const char *query_names[CONFIG_QUERIES_MAX + 1];
	size_t query_count;
	int log_format; /* of the command line; -1 = none */
	int exit_status;
	bool stopping;
	size_t running; /* relays that have not stopped */
	size_t count;
	const char **tables;
	struct served *outboxes;
};

static void
stop_all(struct daemon *d)
{
	int64_t timeout_ms = 0;

	if (d->stopping)
		return;
	d->stopping = true;
	for (size_t i = 0; i < d->count; i++)
		if (d->outboxes[i].cfg->outbox.stop_timeout_ms > timeout_ms)
			timeout_ms = d->outboxes[i].cfg->outbox.stop_timeout_ms;
	notify_stopping(d->notify);
	notify_extend_timeout(d->notify, timeout_ms * 1000 + STOP_MARGIN_US);
	for (size_t i = 0; i < d->count; i++)
		relay_stop(d->outboxes[i].relay);
}

static void
tell_waiting(const struct daemon *d, const struct buf *waiting)
{
	struct error err;

	if (waiting->len == 0)
		return;
	error_set(&err, ERR_CONFIG, "these have changed but take effect only at the next start: %s", buf_str(waiting));
	error_hint(&err, "restart the daemon: it settles what is in flight and sends nothing twice");
	log_error(&d->log, LOG_WARNING, "reload-needs-restart", &err);
}

static void
count_reload(const struct daemon *d, enum metric_result result)
{
	struct metrics_scope *m = metrics_daemon(d->metrics);

	metrics_add_at(m, METRIC_CONFIG_RELOADS, result, 1);
	metrics_set(m, METRIC_CONFIG_RELOAD_OK, result == METRIC_RESULT_OK);
	if (result == METRIC_RESULT_OK)
		metrics_set(m, METRIC_CONFIG_RELOAD_TIME, clock_wall_us());
}

static void
reload(struct daemon *d)
{
	struct buf waiting __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct error err;

	notify_reloading(d->notify);
	if (pgoutboxd_reload(d->cfg, d->log_format >= 0, &d->log, &waiting) != 0) {
		count_reload(d, METRIC_RESULT_FAILED);
		webhook_tell(d->webhook, WEBHOOK_NEWS(WEBHOOK_RELOAD_FAILED, .reason = "the configuration is not good; the log says why"));
	} else {
		d->log.level = d->cfg->log.level;
		for (size_t i = 0; i < d->count; i++) {
			struct served *o = &d->outboxes[i];

			o->log.level = d->cfg->log.level;
			if (relay_reload(o->relay, &err) != 0)
				buf_printf(&waiting, "%s%s.topic (%s)", waiting.len > 0 ? ", " : "",
				           o->cfg->entry != NULL ? o->cfg->entry : "kafka", err.message);
		}
		tell_waiting(d, &waiting);
		count_reload(d, METRIC_RESULT_OK);
	}
	notify_ready(d->notify);
}

static void
on_signal(void *ctx, int signo)
{
	struct daemon *d = ctx;

	if (signo == SIGUSR1) {
		for (size_t i = 0; i < d->count; i++)
			relay_dump(d->outboxes[i].relay);
		return;
	}
	if (signo == SIGHUP) {
		if (!d->stopping)
			reload(d);
		return;
	}
	log_write(&d->log, LOG_NOTICE, "stopping", "stopping on %s", signo == SIGINT ? "SIGINT" : "SIGTERM");
	stop_all(d);
}

/* One that cannot go on takes the others with it: whoever starts the daemon again must see that something is wrong. */
static void
on_stopped(void *ctx, const struct error *err)
{
	struct served *o = ctx;
	struct daemon *d = o->daemon;

	if (err != NULL) {
		log_error(&o->log, LOG_CRIT, "cannot-run", err);
		if (d->exit_status == EX_OK)
			d->exit_status = error_exit_status(err->kind);
		stop_all(d);
	}
	if (--d->running == 0)
		loop_stop(d->loop);
}

static void
on_lag(void *ctx, int64_t lag_us)
{
	struct daemon *d = ctx;

	metrics_observe(metrics_daemon(d->metrics), METRIC_LOOP_LAG_SECONDS, lag_us);
}

/* In the endpoint's thread, so that it is true when the loop hangs. */
static void
render_metrics(void *ctx, struct buf *ret_out)
{
	const struct daemon *d = ctx;

	metrics_set(metrics_daemon(d->metrics), METRIC_READY, health_ready(d->health, false, clock_mono_us(), NULL));
	metrics_render(d->metrics, ret_out);
	queries_render(d->queries, ret_out);
}

static unsigned long long
sum(const struct daemon *d, enum metric id, unsigned label)
{
	unsigned long long n = 0;

	for (size_t i = 0; i < d->count; i++)
		n += metrics_get(d->outboxes[i].metrics, id, label);
	return n;
}

/* A side is up where it is for all. */
static const char *
side(const struct daemon *d, enum metric_side side)
{
	return sum(d, METRIC_UP, side) == d->count ? "up" : "down";
}

static void
count_posts(struct daemon *d)
{
	struct metrics_scope *m = metrics_daemon(d->metrics);
	struct webhook_counts now = webhook_counts(d->webhook);

	metrics_add_at(m, METRIC_WEBHOOK_POSTS, METRIC_POST_DELIVERED, now.delivered - d->posts.delivered);
	metrics_add_at(m, METRIC_WEBHOOK_POSTS, METRIC_POST_FAILED, now.failed - d->posts.failed);
	metrics_add_at(m, METRIC_WEBHOOK_POSTS, METRIC_POST_REFUSED, now.refused - d->posts.refused);
	metrics_add_at(m, METRIC_WEBHOOK_POSTS, METRIC_POST_DROPPED, now.dropped - d->posts.dropped);
	d->posts = now;
}

static void
status_fired(struct watch *w, short revents, int64_t now_us)
{
	struct daemon *d = (struct daemon *)(void *)((char *)w - offsetof(struct daemon, status));
	int64_t watchdog_us = notify_watchdog_interval_us(d->notify);
	uint64_t log_dropped_now = log_dropped(&d->log);
	char outboxes[32] = "", text[192];

	(void)revents;
	w->deadline_us = now_us + (watchdog_us > 0 && watchdog_us < STATUS_US ? watchdog_us : STATUS_US);
	notify_watchdog(d->notify);
	log_tick(&d->log);
	metrics_add(metrics_daemon(d->metrics), METRIC_LOG_DROPPED, log_dropped_now - d->log_dropped);
	d->log_dropped = log_dropped_now;
	count_posts(d);
	if (d->count > 1)
		snprintf(outboxes, sizeof(outboxes), "%zu outboxes, ", d->count);
	snprintf(text, sizeof(text), "%s%llu events sent, %llu pending, %llu lanes, PostgreSQL %s, Kafka %s", outboxes,
	         sum(d, METRIC_EVENTS_SENT, 0), sum(d, METRIC_PENDING_EVENTS, 0), sum(d, METRIC_LANES_OWNED, 0),
	         side(d, METRIC_SIDE_POSTGRESQL), side(d, METRIC_SIDE_KAFKA));
	notify_status(d->notify, text);
}

/* Returns how many HTTP connections there may be: where descriptors are short, they are the first to go. */
static int
allow_descriptors(const struct daemon *d)
{
	uint64_t wanted = budget_descriptors(d->cfg->kafka.brokers, d->count) + HTTP_DESCRIPTORS_MAX +
	                  (d->cfg->webhook.url != NULL ? WEBHOOK_DESCRIPTORS_MAX : 0) + (d->query_count > 0 ? 1 : 0);
	uint64_t limit = descriptors_allow(wanted), missing = limit < wanted ? wanted - limit : 0;

	if (missing > 0)
		log_write(&d->log, LOG_WARNING, "descriptors-few",
		          "only %llu files and sockets may be open at once, up to %llu can be needed: raise LimitNOFILE of the "
		          "unit, or \"ulimit -n\"", (unsigned long long)limit, (unsigned long long)wanted);
	return missing < HTTP_CONNECTIONS_MAX ? HTTP_CONNECTIONS_MAX - (int)missing : 0;
}

static int
list_outboxes(struct daemon *d, struct error *err)
{
	d->tables = calloc(d->count, sizeof(*d->tables));
	d->outboxes = calloc(d->count, sizeof(*d->outboxes));
	if (d->tables == NULL || d->outboxes == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	for (size_t i = 0; i < d->count; i++) {
		const struct config *cfg = config_outbox(d->cfg, i);

		d->tables[i] = cfg->outbox.table;
		d->outboxes[i] = (struct served){.daemon = d, .cfg = cfg, .log = d->log};
		if (d->count > 1)
			d->outboxes[i].log.outbox = cfg->outbox.table;
	}
	return 0;
}

/* A producer each: what waits for one of them keeps no other waiting. */
static int
start_relays(struct daemon *d, struct error *err)
{
	for (size_t i = 0; i < d->count; i++) {
		struct served *o = &d->outboxes[i];
		struct relay_options opt = {
			.cfg = o->cfg,
			.outbox = i,
			.loop = d->loop,
			.log = &o->log,
			.metrics = metrics_outbox(d->metrics, i),
			.health = d->health,
			.webhook = d->webhook,
			.stopped = on_stopped,
			.ctx = o,
		};

		o->metrics = opt.metrics;
		if (relay_new(&opt, &o->relay, err) != 0)
			return -1;
		d->running++;
	}
	return 0;
}

static int
make_webhook(struct daemon *d, struct error *err)
{
	const struct webhook_config *c = &d->cfg->webhook;
	struct webhook_options opt = {.url = c->url, .secret = c->secret, .ca_file = c->ca_file, .timeout_ms = c->timeout_ms,
	                              .version = PACKAGE_VERSION, .log = &d->log};

	if (c->url == NULL || c->secret == NULL)
		return 0;
	opt.kinds = 1U << WEBHOOK_RELOAD_FAILED | (c->starts ? 1U << WEBHOOK_STARTED | 1U << WEBHOOK_STOPPED : 0) |
	            (c->outages ? 1U << WEBHOOK_OUTAGE_BEGIN | 1U << WEBHOOK_OUTAGE_END : 0) | (c->parked ? 1U << WEBHOOK_PARKED : 0);
	return webhook_new(&opt, &d->webhook, err);
}

static void
list_queries(struct daemon *d, struct metrics_labels *labels)
{
	struct asker_query list[CONFIG_QUERIES_MAX + 1];

	d->query_count = queries_list(d->cfg, list);
	for (size_t i = 0; i < d->query_count; i++)
		d->query_names[i] = list[i].name;
	labels->queries = d->query_names;
	labels->queries_count = d->query_count;
}

/* Before the endpoint, whose thread shows what they give. */
static int
make_queries(struct daemon *d, struct error *err)
{
	struct queries_options opt = {.cfg = d->cfg, .loop = d->loop, .log = &d->log, .metrics = d->metrics};

	return queries_new(&opt, &d->queries, err);
}

/* Everything that the relays need around them; on failure daemon_done() takes back what was made. */
static int
daemon_init(struct daemon *d, struct error *err)
{
	char libpq[16];
	struct metrics_labels labels = {
		.outboxes_count = d->count, .version = PACKAGE_VERSION, .librdkafka = producer_library_version(), .libpq = libpq};
	struct health_options health = {
		.outboxes_count = d->count, .loop_stall_us = LOOP_STALL_US,
		.outage_threshold_us = d->cfg->http.ready_after_ms * 1000};
	struct http_options http = {.listen = d->cfg->http.listen, .metrics = render_metrics};

	snprintf(libpq, sizeof(libpq), "%d.%d", session_library_version() / 10000, session_library_version() % 10000);
	if (list_outboxes(d, err) != 0)
		return -1;
	labels.outboxes = health.outboxes = d->tables;
	list_queries(d, &labels);
	if (loop_new(&d->loop, err) != 0 || metrics_new(&labels, &d->metrics, err) != 0)
		return -1;
	health.loop = d->loop;
	if (health_new(&health, &d->health, err) != 0 || notify_new(&d->notify, err) != 0)
		return -1;
	http.health = d->health;
	http.metrics_ctx = d;
	http.connections = allow_descriptors(d);
	if (make_queries(d, err) != 0 || http_new(&http, &d->http, err) != 0 || signals_new(on_signal, d, &d->signals, err) != 0 ||
	    loop_add(d->loop, signals_watch(d->signals), err) != 0)
		return -1;
	d->status = (struct watch){.fd = -1, .fire = status_fired};
	if (loop_add(d->loop, &d->status, err) != 0)
		return -1;
	loop_on_lag(d->loop, on_lag, d);
	return make_webhook(d, err) == 0 ? start_relays(d, err) : -1;
}

static void
daemon_done(struct daemon *d)
{
	http_free(d->http);
	for (size_t i = 0; i < d->count && d->outboxes != NULL; i++)
		relay_free(d->outboxes[i].relay);
	queries_free(d->queries);
	webhook_free(d->webhook, WEBHOOK_STOP_US);
	signals_free(d->signals);
	notify_free(d->notify);
	health_free(d->health);
	metrics_free(d->metrics);
	loop_free(d->loop);
	free(d->outboxes);
	free(d->tables);
	config_done(d->cfg);
}

/* What runs, with which limits. How many lanes there are the database says, and "lanes-share". */
static void
tell_started(const struct daemon *d)
{
	struct buf tables __attribute__((cleanup(buf_done))) = BUF_INIT;

	for (size_t i = 0; i < d->count; i++) {
		const struct outbox_config *o = &d->outboxes[i].cfg->outbox;

		buf_printf(&tables, "%s\"%s\" (batches of %lld rows or %lld bytes, held for %lld ms at most, settles by %s; at most %lld events "
		           "in flight a lane)", i > 0 ? ", " : "", o->table, (long long)o->batch_rows, (long long)o->batch_bytes,
		           (long long)o->hold_max_ms, o->settle == SETTLE_DELETE ? "delete" : "mark", (long long)o->batch_rows);
	}
	log_fields(&d->log, LOG_NOTICE, "started", LOG_FIELDS(LOG_NUMBER("pid", getpid()), LOG_TEXT("version", PACKAGE_VERSION)), "pgoutboxd %s relays to %s, http on %s: %s", PACKAGE_VERSION,
	          d->cfg->kafka.brokers, d->cfg->http.listen, buf_str(&tables));
}

static int
run(struct daemon *d)
{
	struct error err;

	log_init(&d->log, STDERR_FILENO, d->cfg->log.level, d->log_format >= 0 ? (enum log_format)d->log_format : d->cfg->log.format);
	if (log_start(&d->log, &err) != 0 || daemon_init(d, &err) != 0) {
		log_error(&d->log, LOG_CRIT, "cannot-start", &err);
		return error_exit_status(err.kind);
	}
	tell_started(d);
	webhook_tell(d->webhook, WEBHOOK_NEWS(WEBHOOK_STARTED, .reason = NULL));
	metrics_set(metrics_daemon(d->metrics), METRIC_CONFIG_RELOAD_OK, 1);
	metrics_set(metrics_daemon(d->metrics), METRIC_CONFIG_RELOAD_TIME, clock_wall_us());
	notify_ready(d->notify); /* started; whether events flow is for /readyz to say */
	if (loop_run(d->loop, &err) != 0) {
		log_error(&d->log, LOG_CRIT, "loop-failed", &err);
		return EX_OSERR;
	}
	log_write(&d->log, LOG_NOTICE, "stopped", "stopped after %llu events", sum(d, METRIC_EVENTS_SENT, 0));
	webhook_tell(d->webhook, WEBHOOK_NEWS(WEBHOOK_STOPPED, .reason = NULL));
	return d->exit_status;
}

int
pgoutboxd_run(struct config *cfg, int log_format)
{
	struct daemon d = {.cfg = cfg, .log_format = log_format, .exit_status = EX_OK, .count = config_outboxes(cfg)};
	int status = run(&d);

	daemon_done(&d);
	log_stop(&d.log);
	return status;
}
