/* The loop's promises to watches: what fires, when, and what does not although it was about to. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/tap.h"

static int poll_errno; /* what poll(2) is to fail with; 0 = works */

static int
poll_or_fail(struct pollfd *fds, nfds_t count, const struct timespec *wait, const sigset_t *mask)
{
	if (poll_errno == 0)
		return ppoll(fds, count, wait, mask);
	errno = poll_errno;
	return -1;
}

static int64_t asleep_us; /* how long the machine has been suspended */

#define ppoll poll_or_fail
#define clock_boot_us() (clock_boot_us() + asleep_us)
#include "serve/loop.c"
#undef ppoll
#undef clock_boot_us

/* A watch that counts, and does in its fire() what the test tells it. */
struct probe {
	struct watch watch;
	int fires;
	short revents;
	int64_t fired_us;
	bool disarm; /* set the deadline to never */
	void (*then)(struct probe *p);
	struct loop *loop;
	struct probe *other;
	int other_fd;
};

static struct loop *
new_loop(void)
{
	struct loop *l = NULL;
	struct error err;
	TAP_INT_FATAL(loop_new(&l, &err), 0);
	return l;
}

static void
add(struct loop *l, struct probe *p)
{
	struct error err;
	p->loop = l;
	TAP_INT_FATAL(loop_add(l, &p->watch, &err), 0);
}

static void
turn(struct loop *l, int64_t max_wait_us)
{
	struct error err;
	TAP_INT_FATAL(loop_once(l, max_wait_us, &err), 0);
}

static void
count(struct watch *w, short revents, int64_t now_us)
{
	struct probe *p = (struct probe *)w;
	p->fires++;
	p->revents = revents;
	p->fired_us = now_us;
	if (p->disarm)
		w->deadline_us = CLOCK_NEVER;
	if (p->then != NULL)
		p->then(p);
}

static struct probe
on_fd(int fd, short events)
{
	return (struct probe){.watch = {fd, events, CLOCK_NEVER, count}};
}

static struct probe
on_deadline(int64_t deadline_us)
{
	return (struct probe){.watch = {-1, 0, deadline_us, count}, .disarm = true};
}

static void
new_pipe(int fds[2])
{
	TAP_INT_FATAL(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
}

/* A pipe whose reading end is ready. */
static void
ready_pipe(int fds[2])
{
	new_pipe(fds);
	TAP_INT_FATAL(write(fds[1], "x", 1), 1);
}

static void
close_pipe(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

static void
fd_fires_when_ready(void)
{
	int fds[2];
	struct loop *l = new_loop();
	new_pipe(fds);
	struct probe in = on_fd(fds[0], POLLIN), out = on_fd(fds[1], POLLOUT);
	add(l, &in);
	add(l, &out);
	turn(l, 0);
	TAP_INT(in.fires, 0);
	TAP_INT(out.fires, 1);
	TAP_INT(out.revents, POLLOUT);
	TAP_INT_FATAL(write(fds[1], "x", 1), 1);
	turn(l, 0);
	TAP_INT(in.fires, 1);
	TAP_INT(in.revents, POLLIN);
	TAP_INT(loop_stats(l).turns, 2);
	TAP_INT(loop_stats(l).fires, 3);
	loop_free(l);
	close_pipe(fds);
}

static void
fields_are_read_afresh(void)
{
	int fds[2];
	struct loop *l = new_loop();
	ready_pipe(fds);
	struct probe p = on_fd(-1, 0);
	add(l, &p);
	turn(l, 0);
	TAP_INT(p.fires, 0);
	p.watch.fd = fds[0];
	p.watch.events = POLLIN;
	turn(l, 0);
	TAP_INT(p.fires, 1);
	p.watch.events = 0;
	turn(l, 0);
	TAP_INT(p.fires, 1);
	p.watch.deadline_us = 0;
	turn(l, 0);
	TAP_INT(p.fires, 2);
	TAP_INT(p.revents, 0);
	loop_free(l);
	close_pipe(fds);
}

static void
deadline_is_kept(void)
{
	struct loop *l = new_loop();
	int64_t deadline_us = clock_mono_us() + 20000;
	struct probe p = on_deadline(deadline_us);
	add(l, &p);
	turn(l, 1000);
	TAP_INT(p.fires, 0);
	turn(l, 500000);
	TAP_INT(p.fires, 1);
	CU_ASSERT(p.fired_us >= deadline_us);
	CU_ASSERT(p.fired_us < deadline_us + 400000);
	loop_free(l);
}

/* poll(2) with its milliseconds would need a whole one for each. The best of some tries, as the machine may be busy. */
static void
deadlines_below_a_millisecond(void)
{
	int64_t best_us = CLOCK_NEVER;
	for (int try = 0; try < 10; try++) {
		struct loop *l = new_loop();
		struct probe p = on_deadline(0);
		add(l, &p);
		int64_t start_us = clock_mono_us();
		for (int i = 0; i < 20; i++) {
			p.watch.deadline_us = clock_mono_us() + 200;
			while (p.watch.deadline_us != CLOCK_NEVER)
				turn(l, 100000);
		}
		int64_t took_us = clock_mono_us() - start_us;
		TAP_INT(p.fires, 20);
		CU_ASSERT(took_us >= 20 * 200);
		best_us = took_us < best_us ? took_us : best_us;
		loop_free(l);
	}
	CU_ASSERT(best_us < 20 * 900);
}

static void
past_deadline_fires_at_once_and_again(void)
{
	struct loop *l = new_loop();
	struct probe p = on_deadline(-5);
	p.disarm = false;
	add(l, &p);
	int64_t start_us = clock_mono_us();
	for (int i = 0; i < 3; i++)
		turn(l, 900000);
	TAP_INT(p.fires, 3);
	CU_ASSERT(clock_mono_us() - start_us < 800000);
	loop_free(l);
}

static void
fd_and_deadline_fire_as_one(void)
{
	int fds[2];
	struct loop *l = new_loop();
	ready_pipe(fds);
	struct probe p = on_fd(fds[0], POLLIN);
	p.watch.deadline_us = 1;
	add(l, &p);
	turn(l, 0);
	TAP_INT(p.fires, 1);
	TAP_INT(p.revents, POLLIN);
	loop_free(l);
	close_pipe(fds);
}

static void
remove_self(struct probe *p)
{
	loop_remove(p->loop, &p->watch);
}

static void
remove_other(struct probe *p)
{
	loop_remove(p->loop, &p->other->watch);
}

static void
free_other(struct probe *p)
{
	if (p->other == NULL)
		return;
	loop_remove(p->loop, &p->other->watch);
	free(p->other);
	p->other = NULL;
}

static void
readd_other(struct probe *p)
{
	loop_remove(p->loop, &p->other->watch);
	add(p->loop, p->other);
}

static void
removing_oneself(void)
{
	struct loop *l = new_loop();
	struct probe a = on_deadline(0), b = on_deadline(0);
	a.disarm = b.disarm = false;
	a.then = remove_self;
	add(l, &a);
	add(l, &b);
	turn(l, 0);
	turn(l, 0);
	TAP_INT(a.fires, 1);
	TAP_INT(b.fires, 2);
	loop_remove(l, &a.watch);
	turn(l, 0);
	TAP_INT(b.fires, 3);
	loop_free(l);
}

static void
removing_one_about_to_fire(void)
{
	struct loop *l = new_loop();
	struct probe a = on_deadline(0), b = on_deadline(0), c = on_deadline(0);
	a.then = remove_other;
	a.other = &b;
	add(l, &a);
	add(l, &b);
	add(l, &c);
	turn(l, 0);
	TAP_INT(a.fires, 1);
	TAP_INT(b.fires, 0);
	TAP_INT(c.fires, 1);
	loop_free(l);
}

static void
freeing_one_about_to_fire(void)
{
	int fds[2];
	struct loop *l = new_loop();
	ready_pipe(fds);
	struct probe a = on_deadline(0), *b = malloc(sizeof(*b));
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	*b = on_fd(fds[0], POLLIN);
	a.then = free_other;
	a.other = b;
	add(l, &a);
	add(l, b);
	turn(l, 0);
	turn(l, 0);
	TAP_INT(a.fires, 1);
	CU_ASSERT_PTR_NULL(a.other);
	loop_free(l);
	close_pipe(fds);
}

/* It was polled under its old place; the new one is looked at in the next round. */
static void
removed_and_added_again_waits_a_round(void)
{
	int fds[2];
	struct loop *l = new_loop();
	ready_pipe(fds);
	struct probe a = on_deadline(0), b = on_fd(fds[0], POLLIN);
	a.then = readd_other;
	a.other = &b;
	add(l, &a);
	add(l, &b);
	turn(l, 0);
	TAP_INT(b.fires, 0);
	turn(l, 0);
	TAP_INT(a.fires, 1);
	TAP_INT(b.fires, 1);
	loop_free(l);
	close_pipe(fds);
}

enum { CROWD = 100 };

static struct probe crowd[CROWD];

static void
add_crowd(struct probe *p)
{
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = on_deadline(0);
		add(p->loop, &crowd[i]);
	}
}

/* Enough of them that the loop's memory moves while it goes through a round. */
static void
adding_while_firing(void)
{
	struct loop *l = new_loop();
	struct probe a = on_deadline(0), b = on_deadline(0);
	a.then = add_crowd;
	add(l, &a);
	add(l, &b);
	turn(l, 0);
	TAP_INT(b.fires, 1);
	for (int i = 0; i < CROWD; i++)
		TAP_INT(crowd[i].fires, 0);
	turn(l, 0);
	for (int i = 0; i < CROWD; i++)
		TAP_INT(crowd[i].fires, 1);
	loop_free(l);
}

static void
give_other_fd(struct probe *p)
{
	p->other->watch.fd = p->other_fd;
}

static void
take_other_events(struct probe *p)
{
	p->other->watch.events = 0;
}

static void
wake_other(struct probe *p)
{
	p->other->watch.deadline_us = 0;
}

static void
what_was_polled_for_another_fd_is_dropped(void)
{
	int ready[2], silent[2];
	struct loop *l = new_loop();
	ready_pipe(ready);
	new_pipe(silent);
	struct probe a = on_deadline(0), b = on_fd(ready[0], POLLIN);
	a.then = give_other_fd;
	a.other = &b;
	a.other_fd = silent[0];
	add(l, &a);
	add(l, &b);
	turn(l, 0);
	TAP_INT(b.fires, 0);
	b.watch.fd = ready[0];
	a.watch.deadline_us = 0;
	a.other_fd = -1;
	turn(l, 0);
	TAP_INT(b.fires, 0);
	loop_free(l);
	close_pipe(ready);
	close_pipe(silent);
}

static void
what_is_no_longer_asked_for_is_dropped(void)
{
	int fds[2];
	struct loop *l = new_loop();
	ready_pipe(fds);
	struct probe a = on_deadline(0), b = on_fd(fds[0], POLLIN);
	a.then = take_other_events;
	a.other = &b;
	add(l, &a);
	add(l, &b);
	turn(l, 0);
	TAP_INT(b.fires, 0);
	loop_free(l);
	close_pipe(fds);
}

static void
waking_others(void)
{
	struct loop *l = new_loop();
	struct probe early = on_deadline(CLOCK_NEVER), waker = on_deadline(0), late = on_deadline(CLOCK_NEVER);
	waker.then = wake_other;
	waker.other = &late;
	add(l, &early);
	add(l, &waker);
	add(l, &late);
	turn(l, 0);
	TAP_INT(late.fires, 1);
	waker.other = &early;
	waker.watch.deadline_us = 0;
	turn(l, 0);
	TAP_INT(early.fires, 0);
	int64_t start_us = clock_mono_us();
	turn(l, 900000);
	TAP_INT(early.fires, 1);
	CU_ASSERT(clock_mono_us() - start_us < 800000);
	loop_free(l);
}

static void
closed_fd_fires_with_pollnval(void)
{
	int fds[2];
	struct loop *l = new_loop();
	new_pipe(fds);
	struct probe p = on_fd(fds[0], POLLIN);
	add(l, &p);
	close_pipe(fds);
	turn(l, 900000);
	TAP_INT(p.fires, 1);
	TAP_INT(p.revents, POLLNVAL);
	p.watch.fd = -1;
	turn(l, 0);
	TAP_INT(p.fires, 1);
	loop_free(l);
}

static void
hangup_fires_without_being_asked_for(void)
{
	int fds[2];
	struct loop *l = new_loop();
	new_pipe(fds);
	struct probe p = on_fd(fds[0], 0);
	add(l, &p);
	close(fds[1]);
	turn(l, 0);
	TAP_INT(p.fires, 1);
	TAP_INT(p.revents, POLLHUP);
	loop_free(l);
	close(fds[0]);
}

static void
ask_to_stop(struct probe *p)
{
	loop_stop(p->loop);
}

static void
stop_lets_the_round_end(void)
{
	struct error err;
	struct loop *l = new_loop();
	struct probe a = on_deadline(0), b = on_deadline(0);
	a.then = ask_to_stop;
	add(l, &a);
	add(l, &b);
	TAP_INT(loop_run(l, &err), 0);
	TAP_INT(a.fires, 1);
	TAP_INT(b.fires, 1);
	TAP_INT(loop_stats(l).turns, 1);
	a.watch.deadline_us = 0;
	TAP_INT(loop_run(l, &err), 0);
	TAP_INT(a.fires, 2);
	loop_free(l);
}

static void
stop_before_run(void)
{
	struct error err;
	struct loop *l = new_loop();
	struct probe p = on_deadline(0);
	p.then = ask_to_stop;
	add(l, &p);
	loop_stop(l);
	TAP_INT(loop_run(l, &err), 0);
	TAP_INT(p.fires, 0);
	loop_free(l);
}

static void
turns_although_nothing_comes(void)
{
	struct loop *l = new_loop();
	int64_t start_us = clock_mono_us();
	turn(l, 20000);
	int64_t took_us = clock_mono_us() - start_us;
	CU_ASSERT(took_us >= 20000 && took_us < 500000);
	start_us = clock_mono_us();
	turn(l, 60 * INT64_C(1000000));
	took_us = clock_mono_us() - start_us;
	CU_ASSERT(took_us >= LOOP_TURN_MAX_US && took_us < 5 * LOOP_TURN_MAX_US);
	loop_free(l);
}

static void
sleep_a_while(struct probe *p)
{
	(void)p;
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

static void
keep_lag(void *ctx, int64_t lag_us)
{
	*(int64_t *)ctx = lag_us;
}

static void
lag_is_measured(void)
{
	int64_t lag_us = -1;
	struct loop *l = new_loop();
	struct probe slow = on_deadline(0), late = on_deadline(CLOCK_NEVER);
	slow.then = sleep_a_while;
	loop_on_lag(l, keep_lag, &lag_us);
	add(l, &slow);
	add(l, &late);
	turn(l, 0);
	CU_ASSERT(lag_us >= 0 && lag_us < 40000); /* a deadline in the past means at once, not 50 years late */
	slow.watch.deadline_us = 0;
	late.watch.deadline_us = clock_mono_us() + 10000;
	turn(l, 0);
	TAP_INT(late.fires, 1);
	CU_ASSERT(lag_us >= 40000 && lag_us < 1000000);
	CU_ASSERT(loop_stats(l).lag_max_us == lag_us);
	lag_us = -7;
	turn(l, 0);
	TAP_INT(lag_us, -7); /* no deadline fired */
	loop_free(l);
}

static void *
read_last_turn(void *ctx)
{
	static int64_t seen_us;
	seen_us = loop_last_turn_us(ctx);
	return &seen_us;
}

static void
last_turn_moves(void)
{
	pthread_t thread;
	void *seen_us;
	int64_t before_us = clock_mono_us();
	struct loop *l = new_loop();
	CU_ASSERT(loop_last_turn_us(l) >= before_us);
	turn(l, 5000);
	TAP_INT_FATAL(pthread_create(&thread, NULL, read_last_turn, l), 0);
	pthread_join(thread, &seen_us);
	CU_ASSERT(*(int64_t *)seen_us >= before_us + 5000);
	CU_ASSERT(*(int64_t *)seen_us <= clock_mono_us());
	loop_free(l);
}

static volatile sig_atomic_t alarms;

static void
on_alarm(int signo)
{
	(void)signo;
	alarms++;
}

static void
interrupted_poll_fires_nothing(void)
{
	int fds[2];
	struct loop *l = new_loop();
	new_pipe(fds);
	struct probe p = on_fd(fds[0], POLLIN);
	add(l, &p);
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
	setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_usec = 20000}}, NULL);
	alarms = 0;
	int64_t start_us = clock_mono_us();
	turn(l, 900000);
	TAP_INT(alarms, 1);
	CU_ASSERT(clock_mono_us() - start_us < 800000);
	TAP_INT(p.fires, 0);
	loop_free(l);
	close_pipe(fds);
}

static void
failing_poll_is_an_error(void)
{
	struct error err = {0};
	struct loop *l = new_loop();
	struct probe p = on_fd(STDIN_FILENO, POLLIN);
	add(l, &p);
	poll_errno = ENOMEM;
	int result = loop_run(l, &err);
	poll_errno = 0;
	TAP_INT(result, -1);
	TAP_INT(err.kind, ERR_FATAL);
	TAP_STR(err.message, "could not poll 1 file descriptors: Cannot allocate memory");
	TAP_INT(p.fires, 0);
	loop_free(l);
}

static struct {
	int calls;
	int64_t away_us;
	int fires_before; /* of the other probe, when called */
	struct probe *other;
} absence;

static void
on_absent(void *ctx, int64_t away_us)
{
	struct loop *l = ctx;

	CU_ASSERT(l->in_round);
	absence.calls++;
	absence.away_us = away_us;
	absence.fires_before = absence.other->fires;
	absence.other->watch.deadline_us = CLOCK_NEVER;
}

static void
fall_asleep(struct probe *p)
{
	(void)p;
	asleep_us += 5000000;
}

/* Whether the machine slept in poll(2) or in a fire(), nothing is fired before it is told, and what that changes counts. */
static void
absence_is_told_first(void)
{
	struct loop *l = new_loop();
	struct probe first = on_deadline(0), second = on_deadline(0);
	struct loop_gap gap = {.gap_us = 2000000, .absent = on_absent, .ctx = l};

	first.disarm = true;
	add(l, &first);
	add(l, &second);
	loop_on_gap(l, &gap);
	memset(&absence, 0, sizeof absence);
	absence.other = &second;
	asleep_us += 1900000;
	turn(l, 0);
	TAP_INT(absence.calls, 0);
	TAP_INT(first.fires, 1);
	TAP_INT(second.fires, 1);
	asleep_us += 3000000;
	turn(l, 0);
	TAP_INT(absence.calls, 1);
	CU_ASSERT(absence.away_us >= 3000000 && absence.away_us < 4900000);
	TAP_INT(second.fires, 1); /* its deadline was taken away */
	turn(l, 0);
	TAP_INT(absence.calls, 1);
	first.watch.deadline_us = second.watch.deadline_us = 0;
	first.then = fall_asleep;
	turn(l, 0);
	TAP_INT(first.fires, 2);
	TAP_INT(absence.calls, 2);
	TAP_INT(absence.fires_before, 1);
	TAP_INT(second.fires, 1);
	loop_free(l);
}

static void
count_absence(void *ctx, int64_t away_us)
{
	int *calls = ctx;

	CU_ASSERT(away_us >= 2000000);
	++*calls;
}

/* Each by its own measure, and no more once it was taken away. */
static void
absence_is_told_to_all(void)
{
	struct loop *l = new_loop();
	struct probe p = on_deadline(0);
	int short_calls = 0, long_calls = 0;
	struct loop_gap short_gap = {.gap_us = 2000000, .absent = count_absence, .ctx = &short_calls};
	struct loop_gap long_gap = {.gap_us = 4000000, .absent = count_absence, .ctx = &long_calls};

	add(l, &p);
	loop_on_gap(l, &short_gap);
	loop_on_gap(l, &long_gap);
	asleep_us += 3000000;
	turn(l, 0);
	TAP_INT(short_calls, 1);
	TAP_INT(long_calls, 0);
	asleep_us += 5000000;
	turn(l, 0);
	TAP_INT(short_calls, 2);
	TAP_INT(long_calls, 1);
	loop_off_gap(l, &short_gap);
	loop_off_gap(l, &short_gap);
	asleep_us += 5000000;
	turn(l, 0);
	TAP_INT(short_calls, 2);
	TAP_INT(long_calls, 2);
	loop_off_gap(l, &long_gap);
	asleep_us += 5000000;
	turn(l, 0);
	TAP_INT(long_calls, 2);
	loop_free(l);
}

/* poll(2) refuses more entries than descriptors may be open, see its EINVAL. */
static void
timers_need_no_descriptors(void)
{
	enum { TIMERS = 100 };
	static struct probe timers[TIMERS];
	struct loop *l = new_loop();
	struct rlimit limit, low;
	int fds[2];
	ready_pipe(fds);
	struct probe p = on_fd(fds[0], POLLIN), last = on_fd(fds[0], POLLIN);
	for (int i = 0; i < TIMERS; i++) {
		timers[i] = on_deadline(i == TIMERS / 2 ? 0 : CLOCK_NEVER);
		add(l, &timers[i]);
		if (i == 10)
			add(l, &p);
	}
	add(l, &last);
	TAP_INT_FATAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = (struct rlimit){.rlim_cur = 20, .rlim_max = limit.rlim_max};
	TAP_INT_FATAL(setrlimit(RLIMIT_NOFILE, &low), 0);
	turn(l, 0);
	TAP_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	TAP_INT(p.fires, 1);
	TAP_INT(p.revents, POLLIN);
	TAP_INT(last.revents, POLLIN);
	for (int i = 0; i < TIMERS; i++) {
		TAP_INT(timers[i].fires, i == TIMERS / 2);
		TAP_INT(timers[i].revents, 0);
	}
	loop_free(l);
	close_pipe(fds);
}

int
main(void)
{
	tap_suite("loop");
	tap_test("a descriptor fires when it is ready", fd_fires_when_ready);
	tap_test("the fields of a watch are read afresh", fields_are_read_afresh);
	tap_test("a deadline is kept", deadline_is_kept);
	tap_test("deadlines below a millisecond", deadlines_below_a_millisecond);
	tap_test("a deadline in the past fires at once, and again", past_deadline_fires_at_once_and_again);
	tap_test("descriptor and deadline fire as one", fd_and_deadline_fire_as_one);
	tap_test("a watch removes itself", removing_oneself);
	tap_test("a watch removes one that is about to fire", removing_one_about_to_fire);
	tap_test("a watch frees one that is about to fire", freeing_one_about_to_fire);
	tap_test("removed and added again waits a round", removed_and_added_again_waits_a_round);
	tap_test("adding many while firing", adding_while_firing);
	tap_test("what was polled for another descriptor is dropped", what_was_polled_for_another_fd_is_dropped);
	tap_test("what is no longer asked for is dropped", what_is_no_longer_asked_for_is_dropped);
	tap_test("a watch wakes others", waking_others);
	tap_test("a closed descriptor fires with POLLNVAL", closed_fd_fires_with_pollnval);
	tap_test("a hang-up fires without being asked for", hangup_fires_without_being_asked_for);
	tap_test("stop lets the round end", stop_lets_the_round_end);
	tap_test("stop before run", stop_before_run);
	tap_test("it turns although nothing comes", turns_although_nothing_comes);
	tap_test("lag is measured", lag_is_measured);
	tap_test("an absence is told before anything is fired", absence_is_told_first);
	tap_test("a time of absence is told to all who ask", absence_is_told_to_all);
	tap_test("the last turn can be read from another thread", last_turn_moves);
	tap_test("an interrupted poll fires nothing", interrupted_poll_fires_nothing);
	tap_test("a failing poll is an error", failing_poll_is_an_error);
	tap_test("timers need no descriptors", timers_need_no_descriptors);
	return tap_run();
}
