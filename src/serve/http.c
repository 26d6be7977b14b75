/* http.c - requests in, pages out; one thread, which waits in poll(2) and lets libmicrohttpd do the rest.
 *
 * libmicrohttpd ends connections that are silent; a client that sends a byte now and then is ended here, by age.
 * Must not know what the figures mean, nor touch anything of the relay but what is made to be read by any thread.
 */
#include "serve/http.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "serve/listen.h"

enum { CONNECTIONS_CLOSING = 8 }; /* those that are being closed still count */
enum { CONNECTIONS_TOTAL = HTTP_CONNECTIONS_MAX + CONNECTIONS_CLOSING };

#define ACCEPT_AT_ONCE 4       /* then the open ones are looked at: who has asked is answered before being the oldest */
#define ACCEPT_PAUSE_US 100000 /* when there is no descriptor, and no connection that could give one */

_Static_assert(HTTP_DESCRIPTORS_MAX == CONNECTIONS_TOTAL + 5, "listen, epoll, stop, spare, /proc");
_Static_assert(ACCEPT_AT_ONCE < CONNECTIONS_CLOSING, "libmicrohttpd has room for what is accepted");

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
	int connections_max;
	int listen_fd;
	int64_t accept_us; /* not before */
	int epoll_fd;      /* the daemon's */
	int stop_fd;
	int spare_fd; /* given up for a client when there is no other descriptor; -1 = it is in use */
	uint16_t port;
	bool running;
	pthread_t thread;
	struct connection connections[CONNECTIONS_TOTAL];
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

/* Shuts the oldest where more than so many are open; false where they are not. */
static bool
make_room(struct http *h, int most)
{
	struct connection *oldest = NULL;
	int open = 0;
	for (size_t i = 0; i < CONNECTIONS_TOTAL; i++) {
		struct connection *k = &h->connections[i];
		if (k->handle == NULL || k->closing)
			continue;
		open++;
		if (oldest == NULL || k->since_us < oldest->since_us)
			oldest = k;
	}
	if (open <= most)
		return false;
	shut(oldest);
	return true;
}

static struct connection *
find_connection(struct http *h, const struct MHD_Connection *handle)
{
	for (size_t i = 0; i < CONNECTIONS_TOTAL; i++) {
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
		*find_connection(h, handle) = (struct connection){0};
		return;
	}
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *k = find_connection(h, NULL);
	assert(k != NULL);
	*k = (struct connection){.handle = handle, .fd = info->connect_fd, .since_us = clock_mono_us()};
	(void)make_room(h, h->connections_max);
}

/* One client; false, with errno, when there was none or no descriptor for it. */
static bool
accept_one(struct http *h)
{
	struct sockaddr_storage addr = {0};
	socklen_t len = sizeof(addr);
	int fd = accept4(h->listen_fd, (struct sockaddr *)&addr, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		MHD_add_connection(h->daemon, fd, (struct sockaddr *)&addr, len); /* closes it on failure */
	return fd >= 0;
}

/* When the relay has all descriptors, its figures are wanted most. At once: others wait for a descriptor, too. */
static bool
accept_with_spare(struct http *h)
{
	if (h->spare_fd < 0)
		return false;
	close(h->spare_fd);
	h->spare_fd = -1;
	return accept_one(h);
}

/* libmicrohttpd's own accept() turns in circles where descriptors are short, or waits until a client leaves. */
static void
accept_some(struct http *h)
{
	int accepted = 0;
	while (accepted < ACCEPT_AT_ONCE && accept_one(h))
		accepted++;
	if (accepted == ACCEPT_AT_ONCE || errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	if (!accept_with_spare(h) && !make_room(h, 0))
		h->accept_us = clock_mono_us() + ACCEPT_PAUSE_US;
}

/* Shuts what is too old; returns the milliseconds until the next one may be, -1 when none is open. */
static int
end_old(struct http *h)
{
	int64_t now_us = clock_mono_us();
	int64_t wait_us = INT64_MAX;
	for (size_t i = 0; i < CONNECTIONS_TOTAL; i++) {
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

static int
time_to_wait_ms(struct http *h, int64_t now_us)
{
	MHD_UNSIGNED_LONG_LONG idle_ms;
	int wait_ms = end_old(h);
	if (MHD_get_timeout(h->daemon, &idle_ms) == MHD_YES && (wait_ms < 0 || idle_ms < (unsigned)wait_ms))
		wait_ms = (int)idle_ms;
	if (h->accept_us > now_us && (wait_ms < 0 || h->accept_us - now_us < wait_ms * INT64_C(1000)))
		wait_ms = (int)((h->accept_us - now_us) / 1000) + 1;
	return wait_ms;
}

static void *
serve(void *ctx)
{
	struct http *h = ctx;
	for (;;) {
		int64_t now_us = clock_mono_us();
		struct pollfd fds[3] = {{.fd = h->epoll_fd, .events = POLLIN},
		                        {.fd = h->stop_fd, .events = POLLIN},
		                        {.fd = h->accept_us > now_us ? -1 : h->listen_fd, .events = POLLIN}};
		poll(fds, 3, time_to_wait_ms(h, now_us));
		if (fds[1].revents != 0)
			return NULL;
		if (fds[2].revents != 0)
			accept_some(h);
		MHD_run(h->daemon);
		if (h->spare_fd < 0)
			h->spare_fd = fcntl(h->stop_fd, F_DUPFD_CLOEXEC, 0);
	}
}

static int
start_daemon(struct http *h, struct error *err)
{
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request, h,
	                             MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_TOTAL,
	                             MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_MAX_S,
	                             MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384,
	                             MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
	                             MHD_OPTION_END);
	if (h->daemon == NULL)
		return error_set(err, ERR_FATAL, "could not start the HTTP endpoint: %s", strerror(errno));
	h->epoll_fd = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	return 0;
}

static int
start_thread(struct http *h, struct error *err)
{
	int failed = thread_start(&h->thread, "http", serve, h);
	if (failed != 0)
		return error_set(err, ERR_FATAL, "could not start the HTTP thread: %s", strerror(failed));
	h->running = true;
	return 0;
}

static int
start(struct http *h, const char *address, struct error *err)
{
	if (listen_open(address, &h->listen_fd, &h->port, err) < 0)
		return -1;
	h->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->spare_fd = fcntl(h->stop_fd, F_DUPFD_CLOEXEC, 0);
	if (h->stop_fd < 0 || h->spare_fd < 0)
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
	assert(opt->connections <= HTTP_CONNECTIONS_MAX);
	struct http *h = calloc(1, sizeof(*h));
	if (h == NULL)
		return error_set(err, ERR_FATAL, "out of memory");
	h->health = opt->health;
	h->metrics = opt->metrics;
	h->metrics_ctx = opt->metrics_ctx;
	h->connections_max = opt->connections > HTTP_CONNECTIONS_MIN ? opt->connections : HTTP_CONNECTIONS_MIN;
	h->listen_fd = -1;
	h->stop_fd = h->spare_fd = -1;
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
	if (h->spare_fd >= 0)
		close(h->spare_fd);
	if (h->stop_fd >= 0)
		close(h->stop_fd);
	free(h);
}

uint16_t
http_port(const struct http *h)
{
	return h == NULL ? 0 : h->port;
}
