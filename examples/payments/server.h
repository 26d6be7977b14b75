/* server.h - an HTTP server: whole requests in, to the functions of a table; JSON or text out.
 *
 * Requests are bounded in size, connections in number and in idle time. Each thread serves some of the connections, one
 * request after the other, with a connection to PostgreSQL of its own; what it calls may block.
 */
#ifndef PAYMENTS_SERVER_H
#define PAYMENTS_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "database.h"

enum { SERVER_BODY_MAX = 8192, SERVER_HEADER_MAX = 200, SERVER_THREADS_MAX = 64 };

struct server_request {
	const char *rest;        /* of the path, where the route is a prefix; else "" */
	const char *key;         /* Idempotency-Key, request-id and traceparent: "" = none, printable ASCII otherwise, */
	const char *request_id;  /* of SERVER_HEADER_MAX bytes at most */
	const char *traceparent;
	struct slice body;
};

struct server_answer {
	unsigned status;
	uint32_t retry_after_s; /* 0 = no such header */
	json_t *json;           /* given away; NULL with text */
	char *text;             /* malloc'd, given away */
	bool hang_up;           /* no answer: the connection is closed */
};

struct server_route {
	const char *method; /* NULL ends the table */
	const char *path;   /* one that ends with a slash is a prefix */
	void (*answer)(void *ctx, struct database *db, const struct server_request *r, struct server_answer *ret_answer);
};

struct server_options {
	const char *listen;   /* "127.0.0.1:8080"; port 0 = the kernel's choice, which is logged */
	const char *conninfo; /* of the database */
	unsigned threads;     /* 2 at least */
	const struct server_route *routes;
	void *ctx;
	const struct log *log;
};

/* Serves until SIGTERM or SIGINT; what is being answered then is finished. Returns the exit status of the program. To be
 * called before there is a second thread. */
int server_run(const struct server_options *opt) __attribute__((warn_unused_result));

/* An answer that says what is wrong (RFC 9457). */
void server_problem(struct server_answer *ret_answer, unsigned status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* 503 for what may pass, 500 for the rest. Why stands in the log, and not in the answer. */
void server_failure(struct server_answer *ret_answer, const struct log *log, const struct error *err);

#endif
