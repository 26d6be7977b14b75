/* signals.c - a signalfd in, callbacks out. Must not know what a signal means to the daemon. */
#include "serve/signals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"

struct signals {
	struct watch watch;
	void (*on_signal)(void *ctx, int signo);
	void *ctx;
};

static sigset_t
delivered(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	return set;
}

void
signals_block(void)
{
	sigset_t set = delivered();
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* The callback may free the signals, so one is read for each fire; the loop comes back for the others. */
static void
fire(struct watch *w, short revents, int64_t now_us)
{
	(void)revents;
	(void)now_us;
	struct signals *s = (struct signals *)((char *)w - offsetof(struct signals, watch));
	struct signalfd_siginfo info;
	if (read(w->fd, &info, sizeof(info)) == sizeof(info))
		s->on_signal(s->ctx, (int)info.ssi_signo);
}

int
signals_new(void (*on_signal)(void *ctx, int signo), void *ctx, struct signals **ret_signals, struct error *err)
{
	sigset_t set = delivered();
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return error_set(err, ERR_FATAL, "could not create a signal descriptor: %s", strerror(errno));
	struct signals *s = malloc(sizeof(*s));
	if (s == NULL) {
		close(fd);
		return error_set(err, ERR_FATAL, "out of memory");
	}
	*s = (struct signals){
		.watch = {.fd = fd, .events = POLLIN, .deadline_us = CLOCK_NEVER, .fire = fire},
		.on_signal = on_signal,
		.ctx = ctx,
	};
	*ret_signals = s;
	return 0;
}

void
signals_free(struct signals *s)
{
	if (s == NULL)
		return;
	close(s->watch.fd);
	free(s);
}

struct watch *
signals_watch(struct signals *s)
{
	return &s->watch;
}
