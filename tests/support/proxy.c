/* proxy.c - what the test asks in, the laws for all connections (proxy_link.h) out, and the thread that keeps them
 * moving.
 *
 * The thread owns every socket. Others leave a wish under the lock, ring, and wait until it has been obeyed.
 */
#include "support/proxy.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/proxy_link.h"
#include "support/proxy_sockets.h"

enum { REFILL_MS = 20 };

struct wish {
	enum proxy_mode mode;
	int delay_ms, jitter_ms;
	int64_t rate;
	bool reset;             /* once */
	bool cut;               /* once */
	enum proxy_way cut_way;
	int64_t cut_bytes;
	bool stop;
};

struct proxy {
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows, up to obeyed */
	pthread_cond_t done;
	struct wish wish;
	struct proxy_counts shown;
	uint64_t wishes, obeyed;
	int bell; /* an eventfd */

	int port;
	union proxy_address target;

	/* the thread's own */
	enum proxy_mode mode;
	int listener;
	bool listening;
	struct link *links;
	struct link_laws laws;
	int64_t rate, refilled_us;
	struct pollfd *fds;
	size_t fds_room;
	struct proxy_counts counts;
};

const char *
proxy_mode_name(enum proxy_mode mode)
{
	static const char *const names[] = {
	    [PROXY_PASS] = "pass", [PROXY_REFUSE] = "refuse", [PROXY_DELAY] = "delay", [PROXY_THROTTLE] = "throttle",
	    [PROXY_BLACKHOLE] = "blackhole", [PROXY_DROP] = "drop", [PROXY_ONE_WAY] = "one way",
	};

	return names[mode];
}

/* ---- links ---- */

static void
remove_link(struct proxy *p, struct link **at, bool reset)
{
	struct link *l = *at;

	*at = l->next;
	link_free(l, reset);
	p->counts.open--;
	if (reset)
		p->counts.resets++;
}

static void
reset_links(struct proxy *p)
{
	while (p->links != NULL)
		remove_link(p, &p->links, true);
}

static void
accept_links(struct proxy *p)
{
	for (;;) {
		int fd = proxy_accept(p->listener);
		struct link *l;

		if (fd == -1)
			return;
		l = link_new(fd);
		l->next = p->links;
		p->links = l;
		p->counts.connections++;
		p->counts.open++;
	}
}

static void
connect_link(struct proxy *p, struct link *l)
{
	bool connecting;
	int fd = proxy_dial(&p->target, &connecting);

	if (fd == -1)
		l->fate = LINK_BROKEN;
	else
		link_join(l, fd, connecting);
}

static void
bury_links(struct proxy *p)
{
	struct link **at = &p->links;

	while (*at != NULL) {
		enum link_fate fate = (*at)->fate;

		if (fate == LINK_LIVES) {
			at = &(*at)->next;
			continue;
		}
		if (fate == LINK_CUT) {
			p->counts.cuts++;
			p->laws.cut[FLOW_REQUESTS] = p->laws.cut[FLOW_ANSWERS] = INT64_MAX;
		}
		remove_link(p, at, fate != LINK_ENDED);
	}
}

/* ---- laws ---- */

static void
listen_or_refuse(struct proxy *p)
{
	bool wanted = p->mode != PROXY_REFUSE;

	if (wanted && !p->listening)
		proxy_open_door(p->listener);
	if (!wanted && p->listening)
		proxy_close_door(p->listener);
	p->listening = wanted;
}

static void
change_mode(struct proxy *p, enum proxy_mode mode)
{
	bool stalled = mode == PROXY_BLACKHOLE || mode == PROXY_DROP;

	if ((mode != p->mode && p->mode == PROXY_DROP) || mode == PROXY_REFUSE)
		reset_links(p);
	p->mode = mode;
	p->laws.moves[FLOW_REQUESTS] = !stalled;
	p->laws.moves[FLOW_ANSWERS] = !stalled && mode != PROXY_ONE_WAY;
	listen_or_refuse(p);
}

static void
lay_down(struct proxy *p, const struct wish *w)
{
	bool throttled = w->mode == PROXY_THROTTLE;

	change_mode(p, w->mode);
	p->laws.delay_us = w->mode == PROXY_DELAY ? (int64_t)w->delay_ms * 1000 : 0;
	p->laws.jitter_us = w->mode == PROXY_DELAY ? (int64_t)w->jitter_ms * 1000 : 0;
	p->rate = w->rate;
	for (int way = 0; way < FLOW_WAYS; way++) {
		if (!throttled || p->laws.budget[way] == INT64_MAX)
			p->laws.budget[way] = throttled ? 0 : INT64_MAX;
		if (w->cut)
			p->laws.cut[way] = w->cut_bytes >= 0 && (w->cut_way & (1 << way)) ? w->cut_bytes : INT64_MAX;
	}
	if (w->reset)
		reset_links(p);
}

/* False when that was the last one. */
static bool
obey(struct proxy *p)
{
	bool go_on;

	pthread_mutex_lock(&p->lock);
	if (p->obeyed != p->wishes) {
		lay_down(p, &p->wish);
		p->wish.reset = p->wish.cut = false;
		p->shown = p->counts;
		p->obeyed = p->wishes;
		pthread_cond_broadcast(&p->done);
	}
	go_on = !p->wish.stop;
	pthread_mutex_unlock(&p->lock);
	return go_on;
}

/* What was not used in the last tenth of a second is gone, so that a pause does not earn a burst. */
static void
refill(struct proxy *p, int64_t now_us)
{
	int64_t passed_us = now_us - p->refilled_us, earned;

	if (passed_us < (int64_t)REFILL_MS * 1000)
		return;
	p->refilled_us = now_us;
	earned = p->rate * (passed_us < 100000 ? passed_us : 100000) / 1000000 + 1;
	for (int way = 0; way < FLOW_WAYS; way++) {
		if (p->laws.budget[way] == INT64_MAX)
			continue;
		p->laws.budget[way] += earned;
		if (p->laws.budget[way] > p->rate / 10 + 1)
			p->laws.budget[way] = p->rate / 10 + 1;
	}
}

/* ---- the loop ---- */

static size_t
make_room(struct proxy *p)
{
	size_t count = 2;

	for (struct link *l = p->links; l != NULL; l = l->next)
		count += 2;
	if (count > p->fds_room) {
		free(p->fds);
		p->fds_room = count * 2;
		p->fds = calloc(p->fds_room, sizeof(*p->fds));
		if (p->fds == NULL)
			abort();
	}
	return count;
}

/* A descriptor of which nothing is wanted is left out: poll would report its end again and again. */
static struct pollfd
look_at(int fd, short events)
{
	return (struct pollfd){.fd = events == 0 ? -1 : fd, .events = events};
}

static nfds_t
fill_fds(struct proxy *p, int64_t now_us, int *ret_timeout_ms)
{
	size_t count = make_room(p), slot = 2;
	int64_t due_us = CLOCK_NEVER;

	p->fds[0] = look_at(p->bell, POLLIN);
	p->fds[1] = look_at(p->listener, p->listening ? POLLIN : 0);
	for (struct link *l = p->links; l != NULL; l = l->next, slot += 2) {
		int64_t link_us = link_due_us(l, &p->laws);

		l->slot = (int)slot;
		p->fds[slot] = look_at(l->client, link_client_events(l, &p->laws, now_us));
		p->fds[slot + 1] = look_at(l->server, link_server_events(l, &p->laws, now_us));
		if (link_us > now_us && link_us < due_us)
			due_us = link_us;
		if (link_wants_budget(l, &p->laws, now_us) && now_us + REFILL_MS * 1000 < due_us)
			due_us = now_us + REFILL_MS * 1000;
	}
	*ret_timeout_ms = due_us == CLOCK_NEVER ? -1 : (int)((due_us - now_us) / 1000 + 1);
	return (nfds_t)count;
}

static void
serve_links(struct proxy *p, int64_t now_us)
{
	for (struct link *l = p->links; l != NULL; l = l->next)
		link_serve(l, &p->laws, p->fds[l->slot].revents, p->fds[l->slot + 1].revents, now_us);
	p->counts.request_bytes += p->laws.moved[FLOW_REQUESTS];
	p->counts.answer_bytes += p->laws.moved[FLOW_ANSWERS];
	p->laws.moved[FLOW_REQUESTS] = p->laws.moved[FLOW_ANSWERS] = 0;
}

static void
turn(struct proxy *p)
{
	int timeout_ms;
	uint64_t rings;
	nfds_t count;

	p->counts.turns++;
	for (struct link *l = p->links; l != NULL; l = l->next) {
		if (l->server == -1 && p->laws.moves[FLOW_REQUESTS])
			connect_link(p, l);
	}
	bury_links(p);
	count = fill_fds(p, clock_mono_us(), &timeout_ms);
	if (poll(p->fds, count, timeout_ms) == -1)
		return;
	if (p->fds[0].revents != 0 && read(p->bell, &rings, sizeof(rings)) == -1)
		return;
	refill(p, clock_mono_us());
	serve_links(p, clock_mono_us());
	bury_links(p);
	if (p->fds[1].revents != 0)
		accept_links(p);
}

static void *
proxy_main(void *arg)
{
	struct proxy *p = arg;

	while (obey(p))
		turn(p);
	return NULL;
}

/* ---- from outside ---- */

static void
release(struct proxy *p)
{
	reset_links(p);
	if (p->listener >= 0)
		close(p->listener);
	if (p->bell >= 0)
		close(p->bell);
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->lock);
	free(p->fds);
	free(p);
}

int
proxy_listen_on(int listen_port, const char *host, int port, struct proxy **ret_proxy, struct error *err)
{
	struct proxy *p = calloc(1, sizeof(*p));

	if (p == NULL)
		abort();
	p->wish = (struct wish){.mode = PROXY_PASS, .delay_ms = 50, .rate = 16000};
	p->laws.random = (uint64_t)clock_mono_us() | 1;
	p->laws.cut[FLOW_REQUESTS] = p->laws.cut[FLOW_ANSWERS] = INT64_MAX;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->done, NULL);
	p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->listener = proxy_open_listener(listen_port, &p->port);
	p->listening = true;
	if (p->bell == -1 || p->listener == -1 || !proxy_resolve(host, port, &p->target)) {
		(void)error_set(err, ERR_CONFIG, "no proxy from port %d to \"%s\", port %d: %s", listen_port, host, port,
		    p->listener == -1 ? strerror(errno) : "not an address");
		release(p);
		return -1;
	}
	lay_down(p, &p->wish);
	if (pthread_create(&p->thread, NULL, proxy_main, p) != 0)
		abort();
	*ret_proxy = p;
	return 0;
}

int
proxy_new(const char *host, int port, struct proxy **ret_proxy, struct error *err)
{
	return proxy_listen_on(0, host, port, ret_proxy, err);
}

int
proxy_port(const struct proxy *p)
{
	return p->port;
}

/* The wish has been changed under the lock. */
static void
insist(struct proxy *p)
{
	uint64_t mine = ++p->wishes;

	if (write(p->bell, &(uint64_t){1}, sizeof(uint64_t)) == -1)
		abort();
	while (p->obeyed < mine)
		pthread_cond_wait(&p->done, &p->lock);
}

void
proxy_free(struct proxy *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->wish.stop = true;
	insist(p);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	release(p);
}

void
proxy_close(struct proxy **p)
{
	proxy_free(*p);
	*p = NULL;
}

void
proxy_set_mode(struct proxy *p, enum proxy_mode mode)
{
	pthread_mutex_lock(&p->lock);
	p->wish.mode = mode;
	insist(p);
	pthread_mutex_unlock(&p->lock);
}

void
proxy_set_delay(struct proxy *p, int delay_ms, int jitter_ms)
{
	pthread_mutex_lock(&p->lock);
	p->wish.delay_ms = delay_ms;
	p->wish.jitter_ms = jitter_ms;
	insist(p);
	pthread_mutex_unlock(&p->lock);
}

void
proxy_set_rate(struct proxy *p, int64_t bytes_per_second)
{
	pthread_mutex_lock(&p->lock);
	p->wish.rate = bytes_per_second;
	insist(p);
	pthread_mutex_unlock(&p->lock);
}

void
proxy_reset_all(struct proxy *p)
{
	pthread_mutex_lock(&p->lock);
	p->wish.reset = true;
	insist(p);
	pthread_mutex_unlock(&p->lock);
}

void
proxy_cut_after(struct proxy *p, enum proxy_way way, int64_t bytes)
{
	pthread_mutex_lock(&p->lock);
	p->wish.cut = true;
	p->wish.cut_way = way;
	p->wish.cut_bytes = bytes;
	insist(p);
	pthread_mutex_unlock(&p->lock);
}

struct proxy_counts
proxy_counts(struct proxy *p)
{
	struct proxy_counts counts;

	pthread_mutex_lock(&p->lock);
	insist(p);
	counts = p->shown;
	pthread_mutex_unlock(&p->lock);
	return counts;
}
