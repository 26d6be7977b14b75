/* proxy.h - a TCP proxy that fails on purpose: what a network does between a program and its server.
 *
 * One thread inside the test program, over poll(2). Listens on 127.0.0.1, at a port that no outgoing connection can get
 * by chance and that stays reserved while connections are refused. Each function that changes something returns once
 * it is so.
 *
 * What it cannot do: its kernel acknowledges what it does not read, so TCP itself sees a peer that is slow, never one
 * that is gone. Keepalives and TCP_USER_TIMEOUT are not tested by it.
 */
#ifndef PGOUTBOX_TESTS_PROXY_H
#define PGOUTBOX_TESTS_PROXY_H

#include <stdint.h>

#include "base/error.h"

struct proxy;

enum proxy_mode {
	PROXY_PASS,
	PROXY_REFUSE,    /* connections are reset, new ones refused */
	PROXY_DELAY,     /* proxy_set_delay() says how long, each way; 50 ms until then */
	PROXY_THROTTLE,  /* proxy_set_rate() says how much, each way and over all connections; 16 kB/s until then */
	PROXY_BLACKHOLE, /* connections stay, new ones are accepted, nothing moves; when it ends, nothing was lost */
	PROXY_DROP,      /* the same, but when it ends, each connection of that time is reset */
	PROXY_ONE_WAY,   /* requests pass, answers wait until it ends; proxy_reset_all() before that loses them */
};

enum proxy_way {
	PROXY_REQUESTS = 1, /* from the program to the server */
	PROXY_ANSWERS = 2,
	PROXY_BOTH = 3,
};

struct proxy_counts {
	int64_t connections;   /* accepted */
	int64_t open;          /* now */
	int64_t request_bytes; /* that reached the other side's socket */
	int64_t answer_bytes;
	int64_t resets;        /* of connections: also where the server cannot be reached, or one side was reset */
	int64_t cuts;          /* of those, by proxy_cut_after() */
	int64_t turns;         /* of the proxy's own loop: few, where nothing moves */
};

/* To a TCP server at an IPv4 address ("localhost" is 127.0.0.1), or, when host begins with "/", to PostgreSQL's
 * socket in that directory: "HOST/.s.PGSQL.PORT". The server need not be there yet. */
int proxy_new(const char *host, int port, struct proxy **ret_proxy, struct error *err)
    __attribute__((warn_unused_result));
/* The same, listening at a port of the caller's choice. */
int proxy_listen_on(int listen_port, const char *host, int port, struct proxy **ret_proxy, struct error *err)
    __attribute__((warn_unused_result));
void proxy_free(struct proxy *p); /* resets what is open; NULL is fine */
void proxy_close(struct proxy **p); /* the same, for cleanup attributes */

int proxy_port(const struct proxy *p);

void proxy_set_mode(struct proxy *p, enum proxy_mode mode);
void proxy_set_delay(struct proxy *p, int delay_ms, int jitter_ms); /* each piece waits delay + 0..jitter, in order */
void proxy_set_rate(struct proxy *p, int64_t bytes_per_second);

/* An RST to both sides of every connection (a close, on a unix socket), whatever the mode. */
void proxy_reset_all(struct proxy *p);

/* After so many more bytes that way (counted for each way), the connection that carried the last of them is reset: in
 * the middle of a message, most likely. Once; the last call counts, and -1 takes it back. */
void proxy_cut_after(struct proxy *p, enum proxy_way way, int64_t bytes);

struct proxy_counts proxy_counts(struct proxy *p);

/* "pass", "refuse", ... */
const char *proxy_mode_name(enum proxy_mode mode);

#endif
