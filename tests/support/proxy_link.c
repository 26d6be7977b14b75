/* proxy_link.c - one connection through the proxy: bytes from either side in, the same bytes out on the other, when
 * and as far as the laws say. */
#include "support/proxy_link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { PIECE_BYTES = 16384, QUEUE_BYTES = 262144 };

struct piece {
	struct piece *next;
	int64_t due_us;
	size_t len, sent;
	char bytes[];
};

struct link *
link_new(int client)
{
	struct link *l = calloc(1, sizeof(*l));

	if (l == NULL)
		abort();
	l->client = client;
	l->server = -1;
	return l;
}

void
link_join(struct link *l, int server, bool connecting)
{
	l->server = server;
	l->connecting = connecting;
	l->flows[FLOW_REQUESTS] = (struct flow){.from = l->client, .to = server};
	l->flows[FLOW_ANSWERS] = (struct flow){.from = server, .to = l->client};
}

static void
shut(int fd, bool reset)
{
	if (fd < 0)
		return;
	if (reset)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	close(fd);
}

void
link_free(struct link *l, bool reset)
{
	for (int way = 0; way < FLOW_WAYS; way++) {
		struct piece *piece;

		while ((piece = l->flows[way].first) != NULL) {
			l->flows[way].first = piece->next;
			free(piece);
		}
	}
	shut(l->client, reset);
	shut(l->server, reset);
	free(l);
}

static bool
may_read(const struct link *l, int way, const struct link_laws *laws)
{
	const struct flow *f = &l->flows[way];

	return l->server >= 0 && !l->connecting && laws->moves[way] && !f->ended && f->queued_bytes < QUEUE_BYTES;
}

/* A piece whose time has come; the budget aside. */
static bool
is_due(const struct link *l, int way, const struct link_laws *laws, int64_t now_us)
{
	const struct flow *f = &l->flows[way];

	return l->server >= 0 && !l->connecting && laws->moves[way] && f->first != NULL && f->first->due_us <= now_us;
}

static bool
may_write(const struct link *l, int way, const struct link_laws *laws, int64_t now_us)
{
	return laws->budget[way] > 0 && is_due(l, way, laws, now_us);
}

static short
events(bool reads, bool writes)
{
	return (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
}

short
link_client_events(const struct link *l, const struct link_laws *laws, int64_t now_us)
{
	return events(may_read(l, FLOW_REQUESTS, laws), may_write(l, FLOW_ANSWERS, laws, now_us));
}

short
link_server_events(const struct link *l, const struct link_laws *laws, int64_t now_us)
{
	if (l->connecting)
		return laws->moves[FLOW_REQUESTS] ? POLLOUT : 0;
	return events(may_read(l, FLOW_ANSWERS, laws), may_write(l, FLOW_REQUESTS, laws, now_us));
}

int64_t
link_due_us(const struct link *l, const struct link_laws *laws)
{
	int64_t due_us = CLOCK_NEVER;

	for (int way = 0; way < FLOW_WAYS; way++) {
		const struct piece *first = l->flows[way].first;

		if (first != NULL && laws->moves[way] && first->due_us < due_us)
			due_us = first->due_us;
	}
	return due_us;
}

bool
link_wants_budget(const struct link *l, const struct link_laws *laws, int64_t now_us)
{
	for (int way = 0; way < FLOW_WAYS; way++) {
		if (laws->budget[way] <= 0 && is_due(l, way, laws, now_us))
			return true;
	}
	return false;
}

static int64_t
jitter_us(struct link_laws *laws)
{
	laws->random ^= laws->random << 13;
	laws->random ^= laws->random >> 7;
	laws->random ^= laws->random << 17;
	return laws->jitter_us > 0 ? (int64_t)(laws->random % (uint64_t)laws->jitter_us) : 0;
}

static void
queue(struct flow *f, const char *bytes, size_t len, int64_t due_us)
{
	struct piece *piece = malloc(sizeof(*piece) + len);

	if (piece == NULL)
		abort();
	*piece = (struct piece){.due_us = due_us, .len = len};
	memcpy(piece->bytes, bytes, len);
	if (f->first == NULL)
		f->first = piece;
	else
		f->last->next = piece;
	f->last = piece;
	f->queued_bytes += len;
}

static void
take_in(struct link *l, int way, struct link_laws *laws, int64_t now_us)
{
	struct flow *f = &l->flows[way];
	char bytes[PIECE_BYTES];
	ssize_t n = recv(f->from, bytes, sizeof(bytes), MSG_DONTWAIT);
	int64_t due_us = now_us + laws->delay_us + jitter_us(laws);

	if (n > 0) {
		if (f->first != NULL && f->last->due_us > due_us)
			due_us = f->last->due_us;
		queue(f, bytes, (size_t)n, due_us);
	} else if (n == 0) {
		f->ended = true;
	} else if (errno != EAGAIN && errno != EINTR) {
		l->fate = LINK_BROKEN;
	}
}

static size_t
least(size_t a, int64_t b)
{
	return (int64_t)a < b ? a : (size_t)b;
}

static void
count_moved(struct link *l, int way, struct link_laws *laws, int64_t bytes)
{
	laws->moved[way] += bytes;
	if (laws->budget[way] != INT64_MAX)
		laws->budget[way] -= bytes;
	if (laws->cut[way] == INT64_MAX)
		return;
	laws->cut[way] -= bytes;
	if (laws->cut[way] <= 0)
		l->fate = LINK_CUT;
}

/* False when the receiver takes no more for now. */
static bool
give_out(struct link *l, int way, struct link_laws *laws)
{
	struct flow *f = &l->flows[way];
	struct piece *piece = f->first;
	size_t len = least(least(piece->len - piece->sent, laws->budget[way]), laws->cut[way]);
	ssize_t n = send(f->to, piece->bytes + piece->sent, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			l->fate = LINK_BROKEN;
		return false;
	}
	piece->sent += (size_t)n;
	f->queued_bytes -= (size_t)n;
	if (piece->sent == piece->len) {
		f->first = piece->next;
		free(piece);
	}
	count_moved(l, way, laws, n);
	return true;
}

static void
pass_on_end(struct link *l, int way)
{
	struct flow *f = &l->flows[way];

	if (!f->ended || f->end_told || f->first != NULL)
		return;
	shutdown(f->to, SHUT_WR);
	f->end_told = true;
	if (l->flows[FLOW_REQUESTS].end_told && l->flows[FLOW_ANSWERS].end_told)
		l->fate = LINK_ENDED;
}

static void
finish_connecting(struct link *l)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(l->server, SOL_SOCKET, SO_ERROR, &error, &len) == -1 || error != 0)
		l->fate = LINK_BROKEN;
	l->connecting = false;
}

void
link_serve(struct link *l, struct link_laws *laws, short client_revents, short server_revents, int64_t now_us)
{
	const short from[FLOW_WAYS] = {client_revents, server_revents};

	if (l->connecting) {
		if (server_revents != 0)
			finish_connecting(l);
		return;
	}
	for (int way = 0; way < FLOW_WAYS; way++) {
		if (from[way] != 0 && may_read(l, way, laws))
			take_in(l, way, laws, now_us);
		/* without asking poll: most sockets have room for what has just come in */
		while (l->fate == LINK_LIVES && may_write(l, way, laws, now_us) && give_out(l, way, laws))
			;
		if (l->fate != LINK_LIVES)
			return;
		pass_on_end(l, way);
	}
}
