/* http.c - requests in, pages out; one thread, which waits in poll(2) and lets libmicrohttpd do the rest.
 *
 * libmicrohttpd ends connections that are silent; a client that sends a byte now and then is ended here, by age.
 * Must not know what the figures mean, nor touch anything of the relay but what is made to be read by any thread.
 */
#include "serve/http.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve/listen.h"

enum { CONNECTIONS_MAX = HTTP_CONNECTIONS + 8 }; /* those that are being closed still count */

struct connection {
	struct MHD_Connection *handle; /* NULL = free */
	int fd;
	int64_t since_us;
	bool closing; /* shut down by us; libmicrohttpd has yet to notice */
};

struct http {
	struct health *health;
	void (*metrics)(void *ctx, struct buf *ret_out);
	void *metrics_ctx;
	struct MHD_Daemon *daemon;
	int listen_fd; /* -1 = the daemon's by now */
	int epoll_fd;  /* the daemon's */
	int stop_fd;
	uint16_t port;
	bool running;
	bool closed; /* a connection was, during the last run of the daemon */
	pthread_t thread;
	struct connection connections[CONNECTIONS_MAX];
};

/* A page writes its text and returns the HTTP status. */
struct page {
	const char *path;
	unsigned (*write)(struct http *h, bool verbose, struct buf *ret_out);
	const char *content_type;
};

static unsigned
page_metrics(struct http *h, bool verbose, struct buf *ret_out)
{
	(void)verbose;
	h->metrics(h->metrics_ctx, ret_out);
	return MHD_HTTP_OK;
}

static unsigned
page_live(struct http *h, bool verbose, struct buf *ret_out)
{
	return health_live(h->health, verbose, clock_mono_us(), ret_out) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned
page_ready(struct http *h, bool verbose, struct buf *ret_out)
{
	return health_ready(h->health, verbose, clock_mono_us(), ret_out) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static const char text_type[] = "text/plain; charset=utf-8";

static const struct page pages[] = {
	{"/metrics", page_metrics, "text/plain; version=0.0.4; charset=utf-8"},
	{"/livez", page_live, text_type},
	{"/readyz", page_ready, text_type},
	{"/healthz", page_ready, text_type},
};

static const struct page *
find_page(const char *path)
{
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(path, pages[i].path) == 0)
			return &pages[i];
	}
	return NULL;
}

/* Takes body over. MHD_NO makes libmicrohttpd close the connection without an answer. */
static enum MHD_Result
answer(struct MHD_Connection *c, unsigned status, const char *content_type, struct buf *body)
{
	size_t len = body->len;
	char *text = buf_take(body);
	if (text == NULL)
		return MHD_NO;
	struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (r == NULL) {
		free(text);
		return MHD_NO;
	}
	enum MHD_Result result = MHD_NO;
	if (MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, content_type) == MHD_YES &&
	    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
	    MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES &&
	    (status != MHD_HTTP_METHOD_NOT_ALLOWED ||
	     MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES))
		result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

/* libmicrohttpd calls this once when the header is complete, and answering then spares it the body. */
static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method, const char *version,
           const char *upload, size_t *upload_len, void **request)
{
	(void)version;
	(void)upload;
	(void)upload_len;
	(void)request;
	struct http *h = ctx;
	struct buf body __attribute__((cleanup(buf_done))) = BUF_INIT;
	const struct page *page = find_page(url);
	if (page == NULL) {
		buf_add_str(&body, "not found; there is /metrics, /livez, /readyz\n");
		return answer(c, MHD_HTTP_NOT_FOUND, text_type, &body);
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		buf_add_str(&body, "only GET and HEAD are served\n");
		return answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, text_type, &body);
	}
	bool verbose = MHD_lookup_connection_value_n(c, MHD_GET_ARGUMENT_KIND, "verbose", 7, NULL, NULL) == MHD_YES;
	unsigned status = page->write(h, verbose, &body);
	return answer(c, status, page->content_type, &body);
}

/* libmicrohttpd reads the end of the stream then, and closes. */
static void
shut(struct connection *k)
{
	shutdown(k->fd, SHUT_RDWR);
	k->closing = true;
}

static void
make_room(struct http *h)
{
	struct connection *oldest = NULL;
	size_t open = 0;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *k = &h->connections[i];
		if (k->handle == NULL || k->closing)
			continue;
		open++;
		if (oldest == NULL || k->since_us < oldest->since_us)
			oldest = k;
	}
	if (open > HTTP_CONNECTIONS)
		shut(oldest);
}

static struct connection *
find_connection(struct http *h, const struct MHD_Connection *handle)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		if (h->connections[i].handle == handle)
			return &h->connections[i];
	}
	return NULL;
}

static void
on_connection(void *ctx, struct MHD_Connection *handle, void **socket_ctx, enum MHD_ConnectionNotificationCode code)
{
	(void)socket_ctx;
	struct http *h = ctx;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		h->closed = true;
		*find_connection(h, handle) = (struct connection){0};
		return;
	}
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *k = find_connection(h, NULL);
	assert(k != NULL);
	*k = (struct connection){.handle = handle, .fd = info->connect_fd, .since_us = clock_mono_us()};
	make_room(h);
}

/* Shuts what is too old; returns the milliseconds until the next one may be, -1 when none is open. */
static int
end_old(struct http *h)
{
	int64_t now_us = clock_mono_us();
	int64_t wait_us = INT64_MAX;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *k = &h->connections[i];
		if (k->handle == NULL || k->closing)
			continue;
		int64_t left_us = k->since_us + HTTP_CONNECTION_MAX_S * INT64_C(1000000) - now_us;
		if (left_us <= 0)
			shut(k);
		else if (left_us < wait_us)
			wait_us = left_us;
	}
	return wait_us == INT64_MAX ? -1 : (int)(wait_us / 1000) + 1;
}

/* The daemon takes its listening socket out of the epoll set while its connections are at the limit, and puts it back
 * in the run after the one that closed some: so that run must follow at once. */
static int
time_to_wait_ms(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG idle_ms;
	int wait_ms = end_old(h);
	if (h->closed)
		return 0;
	if (MHD_get_timeout(h->daemon, &idle_ms) == MHD_YES && (wait_ms < 0 || idle_ms < (unsigned)wait_ms))
		wait_ms = (int)idle_ms;
	return wait_ms;
}

static void *
serve(void *ctx)
{
	struct http *h = ctx;
	for (;;) {
		struct pollfd fds[2] = {{.fd = h->epoll_fd, .events = POLLIN}, {.fd = h->stop_fd, .events = POLLIN}};
		poll(fds, 2, time_to_wait_ms(h));
		if (fds[1].revents != 0)
			return NULL;
		h->closed = false;
		MHD_run(h->daemon);
	}
}

static int
start_daemon(struct http *h, struct error *err)
{
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, h,
	                             MHD_OPTION_LISTEN_SOCKET, h->listen_fd,
	                             MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	                             MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_MAX_S,
	                             MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384,
	                             MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
	                             MHD_OPTION_END);
	if (h->daemon == NULL)
		return error_set(err, ERR_FATAL, "could not start the HTTP endpoint: %s", strerror(errno));
	h->listen_fd = -1;
	h->epoll_fd = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	return 0;
}

static int
start_thread(struct http *h, struct error *err)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&h->thread, NULL, serve, h);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed != 0)
		return error_set(err, ERR_FATAL, "could not start the HTTP thread: %s", strerror(failed));
	h->running = true;
	pthread_setname_np(h->thread, "http");
	return 0;
}

static int
start(struct http *h, const char *address, struct error *err)
{
	if (listen_open(address, &h->listen_fd, &h->port, err) < 0)
		return -1;
	h->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->stop_fd < 0)
		return error_set(err, ERR_FATAL, "could not create an event descriptor: %s", strerror(errno));
	if (start_daemon(h, err) < 0)
		return -1;
	return start_thread(h, err);
}

int
http_new(const struct http_options *opt, struct http **ret_http, struct error *err)
{
	if (strcmp(opt->listen, "off") == 0) {
		*ret_http = NULL;
		return 0;
	}
	struct http *h = calloc(1, sizeof(*h));
	if (h == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	h->health = opt->health;
	h->metrics = opt->metrics;
	h->metrics_ctx = opt->metrics_ctx;
	h->listen_fd = -1;
	h->stop_fd = -1;
	if (start(h, opt->listen, err) < 0) {
		http_free(h);
		return -1;
	}
	*ret_http = h;
	return 0;
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	if (h->running) {
		eventfd_write(h->stop_fd, 1);
		pthread_join(h->thread, NULL);
	}
	if (h->daemon != NULL)
		MHD_stop_daemon(h->daemon);
	if (h->listen_fd >= 0)
		close(h->listen_fd);
	if (h->stop_fd >= 0)
		close(h->stop_fd);
	free(h);
}

uint16_t
http_port(const struct http *h)
{
	return h == NULL ? 0 : h->port;
}
