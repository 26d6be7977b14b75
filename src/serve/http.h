/* http.h - the endpoint for Prometheus and for probes, on libmicrohttpd, in a thread of its own.
 *
 *   /metrics              the figures, Prometheus text format 0.0.4
 *   /livez                200 while the loop turns, else 503
 *   /readyz, /healthz     200 while ready, else 503; "?verbose" lists each check
 *
 * The thread only reads what others have left for it and never waits for the relay, nor the relay for it. Everything
 * is bounded: a connection serves one request and lives for HTTP_CONNECTION_MAX_S at the most; when a client comes and
 * all connections are taken, or no descriptor is left, the oldest is closed, so that idle ones cannot keep a probe out;
 * a request has 16 kB, its body is not read. One descriptor is kept for a client that comes when there is no other. There
 * is no limit for each address: behind a proxy and on loopback all clients have the same.
 */
#ifndef PGOUTBOX_SERVE_HTTP_H
#define PGOUTBOX_SERVE_HTTP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "serve/health.h"

enum { HTTP_CONNECTIONS_MIN = 4, HTTP_CONNECTIONS_MAX = 32, HTTP_IDLE_MAX_S = 5, HTTP_CONNECTION_MAX_S = 10 };

/* What an endpoint may hold: its own, and those of connections that are being closed. */
enum { HTTP_DESCRIPTORS_MAX = HTTP_CONNECTIONS_MAX + 13 };

struct http_options {
	const char *listen; /* "host:port", see listen.h; "off" = no endpoint. Port 0 lets the kernel choose */
	struct health *health; /* must outlive the http */
	void (*metrics)(void *ctx, struct buf *ret_out); /* called in the http thread */
	void *metrics_ctx;
	int connections; /* at once, up to HTTP_CONNECTIONS_MAX; less than HTTP_CONNECTIONS_MIN is taken as that */
};

struct http;

/* With "off" *ret_http becomes NULL, which http_free and http_port take. ERR_CONFIG: the address cannot be used, the
 * message says why. ERR_FATAL: no memory, no thread. All signals are blocked in the thread. */
int http_new(const struct http_options *opt, struct http **ret_http, struct error *err)
	__attribute__((warn_unused_result));

/* Closes all connections and ends the thread; returns at once but for the request that is being answered. */
void http_free(struct http *h);

uint16_t http_port(const struct http *h); /* 0 when off */

#endif
