/* Tests of src/base/worker.c: an owner whose turns do what the test tells them. */
#include <errno.h>
#include <stdatomic.h>

#include "base/thread.h"

static int no_thread;

static int
scripted_start(pthread_t *ret_thread, const char *name, void *(*run)(void *ctx), void *ctx)
{
	return no_thread != 0 ? no_thread : thread_start(ret_thread, name, run, ctx);
}

#define thread_start scripted_start
#include "base/worker.c"
#undef thread_start

#include <unistd.h>

#include "support/tap.h"

#define SECOND_US INT64_C(1000000)
#define SOON (clock_mono_us() + 30 * SECOND_US)

static struct owner {
	struct worker worker;
	int todo, did, turns;      /* under the worker's lock */
	int64_t idle_us;           /* how long a turn that has nothing to do wants to wait; 0 = until it is woken */
	bool did_when_abandoned;   /* a turn began too late */
	atomic_bool stuck, pauses; /* a turn does not end */
	atomic_bool in_turn, destroyed;
} o;
static struct error err;

static void
block(void)
{
	pthread_mutex_unlock(&o.worker.lock);
	o.in_turn = true;
	if (o.pauses)
		worker_pause(&o.worker, SOON);
	while (o.stuck)
		usleep(1000);
	pthread_mutex_lock(&o.worker.lock);
}

static int64_t
turn(void *owner)
{
	CU_ASSERT_PTR_EQUAL(owner, &o);
	o.turns++;
	o.did_when_abandoned |= o.worker.abandoned;
	if (o.todo == 0)
		return o.idle_us != 0 ? clock_mono_us() + o.idle_us : CLOCK_NEVER;
	block();
	o.todo--;
	o.did++;
	return 0;
}

static void
destroy_owner(void *owner)
{
	CU_ASSERT_PTR_EQUAL(owner, &o);
	CU_ASSERT_FALSE(o.destroyed);
	o.destroyed = true;
}

static const struct worker_calls owner_calls = {.turn = turn, .destroy = destroy_owner};

static void
setup(void)
{
	o = (struct owner){.todo = 0};
	no_thread = 0;
}

static void
start(void)
{
	TAP_INT_FATAL(worker_start(&o.worker, "test", &owner_calls, &o, &err), 0);
}

static void
give(int n)
{
	pthread_mutex_lock(&o.worker.lock);
	o.todo += n;
	pthread_cond_signal(&o.worker.wake);
	pthread_mutex_unlock(&o.worker.lock);
}

static void
await_flag(const atomic_bool *flag)
{
	for (int64_t until_us = SOON; !*flag && clock_mono_us() < until_us;)
		usleep(1000);
	CU_ASSERT_TRUE_FATAL(*flag);
}

/* Returns how many turns there were until then. */
static int
await_did(int n)
{
	int64_t until_us = SOON;
	int turns;

	pthread_mutex_lock(&o.worker.lock);
	while (o.did < n && clock_mono_us() < until_us)
		worker_await(&o.worker, until_us);
	TAP_INT(o.did, n);
	turns = o.turns;
	pthread_mutex_unlock(&o.worker.lock);
	return turns;
}

static void
works_when_woken(void)
{
	start();
	give(3);
	await_did(3);
	give(2);
	CU_ASSERT(await_did(5) <= 5 + 3); /* and else waits: it looks once at first, and once after each time */
	CU_ASSERT_FALSE(o.destroyed);
	CU_ASSERT_TRUE(worker_end(&o.worker, SOON));
	CU_ASSERT_TRUE(o.destroyed);
}

static void
works_when_due(void)
{
	int64_t start_us = clock_mono_us(), until_us = SOON;
	int turns = 0;

	o.idle_us = 20000;
	start();
	while (turns < 10 && clock_mono_us() < until_us) {
		pthread_mutex_lock(&o.worker.lock);
		worker_await(&o.worker, until_us);
		turns = o.turns;
		pthread_mutex_unlock(&o.worker.lock);
		CU_ASSERT(turns <= 1 + (clock_mono_us() - start_us) / o.idle_us + 1);
	}
	CU_ASSERT(turns >= 10);
	pthread_mutex_lock(&o.worker.lock);
	o.idle_us = 0;
	pthread_mutex_unlock(&o.worker.lock);
	CU_ASSERT_TRUE(worker_end(&o.worker, SOON));
}

static void
waits_no_longer_than_told(void)
{
	int64_t start_us = clock_mono_us();

	start();
	pthread_mutex_lock(&o.worker.lock);
	while (clock_mono_us() < start_us + 50000)
		worker_await(&o.worker, start_us + 50000);
	pthread_mutex_unlock(&o.worker.lock);
	CU_ASSERT(clock_mono_us() < start_us + 20 * SECOND_US);
	CU_ASSERT_TRUE(worker_end(&o.worker, CLOCK_NEVER));
}

static void *
let_go(void *ctx)
{
	usleep(50000);
	o.stuck = false;
	return ctx;
}

/* What waits when it closes is done all the same, also while nobody knows how long that takes. */
static void
end_works_off(void)
{
	pthread_t thread;

	o.stuck = true;
	start();
	give(7);
	await_flag(&o.in_turn);
	TAP_INT_FATAL(thread_start(&thread, "lets go", let_go, NULL), 0);
	CU_ASSERT_TRUE(worker_end(&o.worker, CLOCK_NEVER));
	CU_ASSERT_TRUE(o.destroyed);
	TAP_INT(o.did, 7);
	pthread_join(thread, NULL);
}

static void
stuck_is_abandoned(void)
{
	int64_t start_us = clock_mono_us();

	o.stuck = true;
	start();
	give(2);
	await_flag(&o.in_turn);
	CU_ASSERT_FALSE(worker_abandoned(&o.worker));
	CU_ASSERT_FALSE(worker_end(&o.worker, clock_mono_us() + 50000));
	CU_ASSERT(clock_mono_us() - start_us < 20 * SECOND_US);
	CU_ASSERT_TRUE(worker_abandoned(&o.worker));
	CU_ASSERT_FALSE(o.destroyed);
	o.stuck = false;
	await_flag(&o.destroyed);
	TAP_INT(o.did, 1);
}

static void
pause_ends_when_abandoned(void)
{
	int64_t start_us = clock_mono_us();

	o.pauses = true;
	start();
	give(1);
	await_flag(&o.in_turn);
	give(1); /* and not when it is woken */
	CU_ASSERT_FALSE(worker_end(&o.worker, clock_mono_us() + 50000));
	await_flag(&o.destroyed);
	CU_ASSERT(clock_mono_us() - start_us < 20 * SECOND_US);
	TAP_INT(o.did, 1);
}

/* What the owner has only borrowed may be gone. */
static void
no_turn_when_abandoned(void)
{
	o.idle_us = 60 * SECOND_US;
	start();
	CU_ASSERT_FALSE(worker_end(&o.worker, clock_mono_us() + 50000));
	await_flag(&o.destroyed);
	CU_ASSERT_FALSE(o.did_when_abandoned);
}

static void
no_thread_is_told(void)
{
	no_thread = EAGAIN;
	TAP_INT(worker_start(&o.worker, "test", &owner_calls, &o, &err), -1);
	TAP_INT(err.kind, ERR_FATAL);
	TAP_HAS(err.message, "could not start the test's thread: ");
	CU_ASSERT_FALSE(o.destroyed);
}

int
main(void)
{
	tap_suite_fixture("worker", setup, NULL);
	tap_test("works when it is woken, and else waits", works_when_woken);
	tap_test("works when a turn said so", works_when_due);
	tap_test("a wait for a turn ends", waits_no_longer_than_told);
	tap_test("the end waits for what is to be done", end_works_off);
	tap_test("a thread that is stuck is abandoned", stuck_is_abandoned);
	tap_test("a pause ends when the thread is abandoned", pause_ends_when_abandoned);
	tap_test("an abandoned thread begins no turn", no_turn_when_abandoned);
	tap_test("there may be no thread", no_thread_is_told);
	return tap_run();
}
