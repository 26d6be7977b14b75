/* consumer.c - the consumer of the example, in one of two roles: "saga" takes payments on, "report" keeps the read model.
 *
 * A message is handled in one transaction, its offset is committed after that, and one that cannot be handled now holds
 * up all behind it: nothing is skipped.
 */
#include <curl/curl.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/log.h"
#include "options.h"
#include "report.h"
#include "saga.h"
#include "stop.h"
#include "stream.h"

enum { POLL_MS = 200, FIRST_WAIT_MS = 20, LONGEST_WAIT_MS = 1000 };

struct consumer {
	const char *role, *group, *instance, *brokers, *topic, *conninfo, *provider;
	int64_t timeout_ms;
	struct log log;
	struct database db;
	struct fetch *fetch; /* NULL in role "report" */
	struct stream *in;
	struct backoff backoff;
};

static int
handle(struct consumer *c, const struct message *msg, struct error *err)
{
	struct saga saga = {.db = &c->db, .provider = c->fetch, .timeout_ms = c->timeout_ms};

	return c->fetch == NULL ? report_handle(&c->db, msg, err) : saga_handle(&saga, msg, err);
}

static void
wait_a_little(struct consumer *c)
{
	uint32_t ms = backoff_next_ms(&c->backoff);

	nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000L}, NULL);
}

/* 1: done. 0: we are to stop before it could be. -1: it can never be done as it is. */
static int
handle_until_done(struct consumer *c, const struct message *msg, struct error *err)
{
	backoff_reset(&c->backoff);
	while (!stop_wanted()) {
		if (handle(c, msg, err) == 0)
			return 1;
		error_prefix(err, "event \"%s\"", msg->id);
		if (err->kind != ERR_RETRY)
			return -1;
		log_error(&c->log, LOG_WARNING, "try-again", err);
		wait_a_little(c);
	}
	return 0;
}

static int
take_next(struct consumer *c, struct error *err)
{
	struct message msg = {.raw = NULL};
	int rc = stream_next(c->in, POLL_MS, &msg, err);

	if (rc == -1 && err->kind == ERR_RETRY) {
		log_error(&c->log, LOG_WARNING, "kafka", err);
		rc = 0;
	} else if (rc == 1) {
		rc = handle_until_done(c, &msg, err);
		if (rc == 1)
			stream_done(c->in, &msg);
	}
	stream_release(&msg);
	return rc;
}

static int
run(struct consumer *c, struct error *err)
{
	bool ready = false;

	if (*c->provider != '\0' && fetch_new(c->provider, &c->fetch, err) == -1)
		return -1;
	if (stream_open(c->brokers, *c->group != '\0' ? c->group : c->role, c->instance, c->topic, &c->in, err) == -1)
		return -1;
	while (!stop_wanted()) {
		if (take_next(c, err) == -1)
			return -1;
		if (!ready && stream_assigned(c->in)) {
			log_write(&c->log, LOG_INFO, "ready", "role \"%s\" reads topic \"%s\"", c->role, c->topic);
			ready = true;
		}
	}
	return 0;
}

static int
parse(struct consumer *c, int argc, char *argv[])
{
	const struct option_row rows[] = {
		OPTION_TEXT("role", &c->role, "saga or report"),
		OPTION_TEXT("group", &c->group, "the consumer group; empty: as the role"),
		OPTION_TEXT("instance", &c->instance, "this member of the group, the same after a restart"),
		OPTION_TEXT("brokers", &c->brokers, "Kafka's addresses"),
		OPTION_TEXT("topic", &c->topic, "what is read"),
		OPTION_TEXT("conninfo", &c->conninfo, "the database of the role"),
		OPTION_TEXT("provider", &c->provider, "the provider's URL; role saga only"),
		OPTION_NUMBER("timeout-ms", &c->timeout_ms, 10, 60000, "how long the provider may take to answer"),
		OPTION_END,
	};
	int rc = options_parse(argc, argv, "consumes the events of payments", rows);

	if (rc != -1)
		return rc;
	if ((strcmp(c->role, "saga") != 0 || *c->provider == '\0') && (strcmp(c->role, "report") != 0 || *c->provider != '\0')) {
		fputs("payments-consumer: --role is saga, with a --provider, or report, without\n", stderr);
		return EX_USAGE;
	}
	return -1;
}

int
main(int argc, char *argv[])
{
	struct consumer c = {.group = "", .instance = "1", .topic = "shop.payment", .provider = "", .timeout_ms = 500};
	int rc = parse(&c, argc, argv);
	struct error err;

	if (rc != -1)
		return rc;
	stop_block();
	curl_global_init(CURL_GLOBAL_DEFAULT);
	log_init(&c.log, STDERR_FILENO, LOG_INFO, LOG_FORMAT_LOGFMT);
	database_init(&c.db, c.conninfo);
	backoff_init(&c.backoff, FIRST_WAIT_MS, LONGEST_WAIT_MS, (uint64_t)getpid());
	rc = run(&c, &err);
	if (rc == -1)
		log_error(&c.log, LOG_ERR, "given-up", &err);
	stream_close(&c.in);
	database_done(&c.db);
	fetch_free(&c.fetch);
	curl_global_cleanup();
	return rc == -1 ? error_exit_status(err.kind) : 0;
}
