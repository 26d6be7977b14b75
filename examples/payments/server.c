/* server.c - in: connections; out: requests to the functions of the routes. Knows neither payments nor charges. */
#include "server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/buf.h"

enum { CONNECTIONS_MAX = 500, IDLE_MAX_S = 30, CONNECTION_MEMORY_BYTES = 32768 };

struct worker {
	struct database db;
	bool busy;
};

struct server {
	const struct server_options *opt;
	pthread_mutex_t mutex;
	struct worker workers[SERVER_THREADS_MAX];
};

void
server_problem(struct server_answer *ret_answer, unsigned status, const char *fmt, ...)
{
	char detail[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	*ret_answer = (struct server_answer){
		.status = status,
		.json = json_pack("{s:i, s:s, s:s}", "status", (int)status, "title", MHD_get_reason_phrase_for(status), "detail", detail),
	};
}

void
server_failure(struct server_answer *ret_answer, const struct log *log, const struct error *err)
{
	log_error(log, LOG_ERR, "request-failed", err);
	if (err->kind == ERR_RETRY) {
		server_problem(ret_answer, MHD_HTTP_SERVICE_UNAVAILABLE, "try again with the same key");
		ret_answer->retry_after_s = 1;
	} else {
		server_problem(ret_answer, MHD_HTTP_INTERNAL_SERVER_ERROR, "this should not have happened");
	}
}

/* There are as many as threads, so one is free. */
static struct worker *
take_worker(struct server *s)
{
	struct worker *w = s->workers;

	pthread_mutex_lock(&s->mutex);
	while (w->busy)
		w++;
	assert(w < s->workers + s->opt->threads);
	w->busy = true;
	pthread_mutex_unlock(&s->mutex);
	return w;
}

static void
give_worker(struct server *s, struct worker *w)
{
	pthread_mutex_lock(&s->mutex);
	w->busy = false;
	pthread_mutex_unlock(&s->mutex);
}

static bool
route_matches(const struct server_route *route, const char *path)
{
	size_t len = strlen(route->path);

	return route->path[len - 1] == '/' ? strncmp(path, route->path, len) == 0 : strcmp(path, route->path) == 0;
}

/* NULL where there is none; ret_allow is then what the path knows, NULL where there is no such path. */
static const struct server_route *
find_route(const struct server_route routes[], const char *method, const char *path, const char **ret_allow)
{
	*ret_allow = NULL;
	for (const struct server_route *route = routes; route->method != NULL; route++) {
		if (!route_matches(route, path))
			continue;
		if (strcmp(route->method, method) == 0)
			return route;
		*ret_allow = route->method;
	}
	return NULL;
}

static bool
add_headers(struct MHD_Response *response, const struct server_answer *a, const char *allow)
{
	const char *type = a->text != NULL ? "text/plain; charset=utf-8" : a->status >= 400 ? "application/problem+json" : "application/json";
	char seconds[16];

	snprintf(seconds, sizeof(seconds), "%" PRIu32, a->retry_after_s);
	return MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
	       MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
	       (a->retry_after_s == 0 || MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds) == MHD_YES) &&
	       (allow == NULL || MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow) == MHD_YES);
}

/* Takes the answer's content over. MHD_NO closes the connection, which is also all that is left without memory. Keys are
 * sorted, so that an answer that was stored and comes again is the same to the byte. */
static enum MHD_Result
send_answer(struct MHD_Connection *connection, struct server_answer *a, const char *allow)
{
	char *text = a->text != NULL ? a->text : json_dumps(a->json, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(a->json);
	if (text == NULL || a->hang_up) {
		free(text);
		return MHD_NO;
	}
	struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(text);
		return MHD_NO;
	}
	enum MHD_Result result = MHD_NO;
	if (add_headers(response, a, allow))
		result = MHD_queue_response(connection, a->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
send_problem(struct MHD_Connection *connection, unsigned status, const char *detail, const char *allow)
{
	struct server_answer a;

	server_problem(&a, status, "%s", detail);
	return send_answer(connection, &a, allow);
}

/* NULL where it is there and cannot be used. */
static const char *
header(struct MHD_Connection *connection, const char *name)
{
	const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);

	if (value == NULL)
		return "";
	size_t len = 0;
	while (value[len] >= 0x20 && value[len] < 0x7f)
		len++;
	return value[len] != '\0' || len > SERVER_HEADER_MAX ? NULL : value;
}

static enum MHD_Result
answer_request(struct server *s, struct MHD_Connection *connection, const char *path, const char *method, const struct buf *body)
{
	const char *allow;
	const struct server_route *route = find_route(s->opt->routes, method, path, &allow);
	if (route == NULL)
		return send_problem(connection, allow != NULL ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND,
		                    "there is nothing like that here", allow);
	size_t len = strlen(route->path);
	const struct server_request request = {
		.rest = path + len,
		.key = header(connection, "Idempotency-Key"),
		.request_id = header(connection, "X-Request-Id"),
		.traceparent = header(connection, "traceparent"),
		.body = {buf_str(body), body->len},
	};
	if (request.key == NULL || request.request_id == NULL || request.traceparent == NULL)
		return send_problem(connection, MHD_HTTP_BAD_REQUEST, "a header is too long or not printable ASCII", NULL);
	struct server_answer a = {0};
	struct worker *w = take_worker(s);
	route->answer(s->opt->ctx, &w->db, &request, &a);
	give_worker(s, w);
	return send_answer(connection, &a, NULL);
}

static bool
says_too_long(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return length != NULL && strtoull(length, NULL, 10) > SERVER_BODY_MAX;
}

/* Called once for the header, then for each part of the body, then once more without one. */
static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
           const char *upload, size_t *upload_len, void **state)
{
	struct server *s = ctx;
	struct buf *body = *state;

	(void)version;
	if (body == NULL) {
		if (says_too_long(connection))
			return send_problem(connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too long", NULL);
		*state = calloc(1, sizeof(*body));
		return *state != NULL ? MHD_YES : MHD_NO;
	}
	if (*upload_len == 0)
		return answer_request(s, connection, url, method, body);
	/* it did not say how long it would be */
	if (body->len + *upload_len > SERVER_BODY_MAX)
		return MHD_NO;
	buf_add(body, upload, *upload_len);
	*upload_len = 0;
	return buf_failed(body) ? MHD_NO : MHD_YES;
}

static void
on_completed(void *ctx, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
	(void)ctx;
	(void)connection;
	(void)code;
	if (*state != NULL)
		buf_done(*state);
	free(*state);
	*state = NULL;
}

static bool
parse_address(const char *listen, struct sockaddr_in *ret_addr)
{
	const char *colon = strrchr(listen, ':');
	char host[INET_ADDRSTRLEN], *end;

	if (colon == NULL || (size_t)(colon - listen) >= sizeof(host))
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - listen), listen);
	unsigned long port = strtoul(colon + 1, &end, 10);
	*ret_addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	return colon[1] != '\0' && *end == '\0' && port <= UINT16_MAX && inet_pton(AF_INET, host, &ret_addr->sin_addr) == 1;
}

static void
wait_for_the_end(struct MHD_Daemon *daemon, const sigset_t *ends, const struct log *log)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
	int signal;

	log_write(log, LOG_INFO, "listening", "port %u", info != NULL ? (unsigned)info->port : 0);
	sigwait(ends, &signal);
	log_write(log, LOG_INFO, "stopping", "signal %d", signal);
	MHD_stop_daemon(daemon);
}

int
server_run(const struct server_options *opt)
{
	struct server s = {.opt = opt, .mutex = PTHREAD_MUTEX_INITIALIZER};
	struct sockaddr_in addr;
	sigset_t ends;

	if (!parse_address(opt->listen, &addr)) {
		log_write(opt->log, LOG_ERR, "usage", "\"%s\" is not an address and a port, such as 127.0.0.1:8080", opt->listen);
		return EX_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	assert(opt->threads >= 2 && opt->threads <= SERVER_THREADS_MAX);
	for (unsigned i = 0; i < opt->threads; i++)
		database_init(&s.workers[i].db, opt->conninfo);
	struct MHD_Daemon *daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, &s, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&addr,
		MHD_OPTION_THREAD_POOL_SIZE, opt->threads, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_MAX_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	if (daemon == NULL)
		log_write(opt->log, LOG_ERR, "no-server", "could not listen on \"%s\"", opt->listen);
	else
		wait_for_the_end(daemon, &ends, opt->log);
	for (unsigned i = 0; i < opt->threads; i++)
		database_done(&s.workers[i].db);
	return daemon == NULL ? EX_UNAVAILABLE : EX_OK;
}
