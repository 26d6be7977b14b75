/* proxy_link.h - one connection through the proxy: two sockets and what is on its way between them. Decides nothing:
 * the laws come from the proxy. Private to proxy*.c. Nothing blocks.
 */
#ifndef PGOUTBOX_TESTS_PROXY_LINK_H
#define PGOUTBOX_TESTS_PROXY_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flow_way { FLOW_REQUESTS, FLOW_ANSWERS, FLOW_WAYS };

/* What holds at this moment, for all links. */
struct link_laws {
	bool moves[FLOW_WAYS];
	int64_t delay_us, jitter_us;
	int64_t budget[FLOW_WAYS]; /* bytes that may still be written; INT64_MAX = any */
	int64_t cut[FLOW_WAYS];    /* bytes until the cut; INT64_MAX = none */
	int64_t moved[FLOW_WAYS];  /* bytes written since the proxy looked last */
	uint64_t random;
};

struct piece;

struct flow {
	int from, to;
	struct piece *first, *last;
	size_t queued_bytes;
	bool ended;     /* the sender has closed */
	bool end_told;  /* and the receiver knows */
};

enum link_fate { LINK_LIVES, LINK_ENDED, LINK_BROKEN, LINK_CUT };

struct link {
	struct link *next;
	int client, server; /* server -1: not connected yet */
	bool connecting;
	struct flow flows[FLOW_WAYS];
	enum link_fate fate;
	int slot; /* of the client's pollfd; the server's is the next one */
};

struct link *link_new(int client);
void link_free(struct link *l, bool reset); /* closes both; with an RST where it is wanted */

/* The server's socket, connecting or connected. */
void link_join(struct link *l, int server, bool connecting);

/* What to poll for; 0 = not at all. */
short link_client_events(const struct link *l, const struct link_laws *laws, int64_t now_us);
short link_server_events(const struct link *l, const struct link_laws *laws, int64_t now_us);

/* When something that waits for its time is due, or CLOCK_NEVER. */
int64_t link_due_us(const struct link *l, const struct link_laws *laws);

/* There is something that only the budget holds back. */
bool link_wants_budget(const struct link *l, const struct link_laws *laws, int64_t now_us);

/* Moves what can be moved, as poll reported; l->fate tells how it went. */
void link_serve(struct link *l, struct link_laws *laws, short client_revents, short server_revents, int64_t now_us);

#endif
