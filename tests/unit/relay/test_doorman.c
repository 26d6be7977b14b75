/* test_doorman.c - when the bell is asked, for whom, and who is rung by the answer. */
#include <stdlib.h>

static int calloc_fails;

#define calloc(count, size) (calloc_fails ? NULL : calloc(count, size))
#include "relay/doorman.c"
#undef calloc

#include "support/tap.h"

enum { PIPES = 3, POLL_MIN_MS = 2, POLL_MAX_MS = 100, SESSION_MS = 3000 };

struct pipe {
	bool may_ring, look_due, everywhere;
	int rings, looks;
	int64_t hint;
	struct keyset held;
};

struct bell {
	struct watch watch;
	struct bell_events events;
	bool open, busy, listens;
	int asked;
	struct bell_question last;
	char held[64];
};

static struct bell bell;
static struct pipe pipes[PIPES];
static struct pipe *const list[PIPES] = {&pipes[0], &pipes[1], &pipes[2]};
static int count;
static struct outbox_config cfg;
static struct pipe_shared shared;
static struct doorman *d;
static struct error err, failure;
static int64_t now_us;
static int watches, add_fails_at, bell_fails, frees, failures, logged;
static uint64_t queries;

int64_t
clock_mono_us(void)
{
	return now_us;
}

void
log_error(const struct log *log, int priority, const char *id, const struct error *e)
{
	(void)log, (void)priority, (void)id, (void)e;
	logged++;
}

void
metrics_add(struct metrics_scope *s, enum metric id, uint64_t n)
{
	(void)s;
	TAP_INT(id, METRIC_DOORBELL_QUERIES);
	queries += n;
}

int
loop_add(struct loop *l, struct watch *w, struct error *e)
{
	(void)l, (void)w;
	if (watches == add_fails_at)
		return error_set(e, ERR_FATAL, "out of memory");
	watches++;
	return 0;
}

void
loop_remove(struct loop *l, struct watch *w)
{
	(void)l, (void)w;
}

struct bell *
bell_new(const struct lane_shared *lanes, bool listen, const struct bell_events *events)
{
	CU_ASSERT_PTR_EQUAL(lanes, &shared.lanes);
	bell = (struct bell){.events = *events, .listens = listen};
	return bell_fails ? NULL : &bell;
}

void
bell_free(struct bell *b)
{
	frees += b != NULL;
}

struct watch *
bell_watch(struct bell *b)
{
	return &b->watch;
}

void
bell_open(struct bell *b)
{
	b->open = true;
}

void
bell_close(struct bell *b)
{
	b->open = false;
}

bool
bell_can_ask(const struct bell *b)
{
	return b->open && !b->busy;
}

void
bell_ask(struct bell *b, const struct bell_question *q, int64_t at_us)
{
	TAP_INT(at_us, now_us);
	CU_ASSERT_FALSE_FATAL(b->busy);
	b->busy = true;
	b->last = *q;
	snprintf(b->held, sizeof(b->held), "%s", q->held_keys == NULL ? "none" : q->held_keys);
	b->asked++;
}

bool
pipe_may_ring(const struct pipe *p)
{
	return p->may_ring;
}

bool
pipe_look_due(const struct pipe *p, int64_t at_us)
{
	TAP_INT(at_us, now_us);
	return p->look_due;
}

int64_t
pipe_hint(const struct pipe *p)
{
	return p->hint;
}

struct rung
pipe_newest_rung(const struct pipe *p)
{
	return (struct rung){p->hint, 4711, 2};
}

const struct keyset *
pipe_held(const struct pipe *p)
{
	return &p->held;
}

void
pipe_looked(struct pipe *p, int64_t elapsed_us)
{
	TAP_INT(elapsed_us, 77);
	p->looks++;
}

void
pipe_ring(struct pipe *p, bool everywhere)
{
	p->rings++;
	p->everywhere = everywhere;
}

static void
on_failed(void *ctx, const struct error *e)
{
	CU_ASSERT_PTR_EQUAL(ctx, &shared);
	failures++;
	failure = *e;
}

static void
setup(void)
{
	memset(pipes, 0, sizeof(pipes));
	for (int i = 0; i < PIPES; i++)
		pipes[i] = (struct pipe){.may_ring = true, .hint = 100 * (i + 1), .held = KEYSET_INIT};
	cfg = (struct outbox_config){.poll_min_ms = POLL_MIN_MS, .poll_max_ms = POLL_MAX_MS};
	shared = (struct pipe_shared){
		.cfg = &cfg, .session_timeout_ms = SESSION_MS, .failed = on_failed, .ctx = &shared};
	now_us = 100000000;
	count = PIPES;
	calloc_fails = watches = bell_fails = frees = failures = logged = 0;
	add_fails_at = -1;
	queries = 0;
	d = doorman_new(&shared, list, &count, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
}

static void
teardown(void)
{
	for (int i = 0; i < PIPES; i++)
		keyset_done(&pipes[i].held);
	doorman_free(d);
	doorman_free(NULL);
}

static void
turn(void)
{
	d->timer.fire(&d->timer, 0, now_us);
}

static void
open_and_ask(void)
{
	doorman_open(d);
	bell.events.ready(bell.events.ctx);
	CU_ASSERT(d->timer.deadline_us <= now_us);
	turn();
	TAP_INT_FATAL(bell.asked, 1);
}

static void
answer(const int *lanes, int n)
{
	bell.busy = false;
	bell.events.answered(bell.events.ctx, lanes, n, 77);
}

static void
test_asks_for_those_who_wait(void)
{
	turn(); /* not open yet */
	TAP_INT(bell.asked, 0);
	pipes[1].may_ring = false;
	pipes[2].look_due = true;
	TAP_INT(keyset_add(&pipes[0].held, slice_from("one")), 0);
	TAP_INT(keyset_add(&pipes[1].held, slice_from("not asked for")), 0);
	TAP_INT(keyset_add(&pipes[2].held, slice_from("two")), 0);
	open_and_ask();
	TAP_INT(bell.last.count, 2);
	TAP_INT(bell.last.lanes[0], 0);
	TAP_INT(bell.last.rungs[0].from_id, 100);
	TAP_INT(bell.last.rungs[0].xmax, 4711); /* it is quiet */
	TAP_INT(bell.last.rungs[0].open, 2);
	TAP_INT(bell.last.lanes[1], 2);
	TAP_INT(bell.last.rungs[1].from_id, LADDER_BOTTOM);
	TAP_INT(bell.last.rungs[1].open, 0);
	TAP_HAS(bell.held, "one");
	TAP_HAS(bell.held, "two");
	CU_ASSERT_PTR_NULL(strstr(bell.held, "not"));
	TAP_INT(queries, 1);
	/* while it is under way it is not asked again */
	doorman_wake(d);
	now_us += 1000000;
	turn();
	TAP_INT(bell.asked, 1);
	CU_ASSERT(d->timer.deadline_us == CLOCK_NEVER);
}

static void
test_rings(void)
{
	pipes[2].look_due = true;
	open_and_ask();
	count = 2; /* whatever comes back beyond what there is: nobody's */
	answer((const int[]){1, 63, -1, 2}, 4);
	TAP_INT(pipes[0].rings + pipes[2].rings, 0);
	TAP_INT(pipes[1].rings, 1);
	CU_ASSERT_FALSE(pipes[1].everywhere);
	count = PIPES;
	now_us += 1000000;
	turn();
	answer((const int[]){2}, 1);
	TAP_INT(pipes[2].rings, 1);
	CU_ASSERT_TRUE(pipes[2].everywhere);
	TAP_INT(pipes[2].looks, 1);
	TAP_INT(pipes[1].looks, 0);
}

/* Plays so long that nobody has anything to claim; how often the bell is asked meanwhile. */
static int
quiet(int64_t duration_us)
{
	int64_t end_us = now_us + duration_us;
	int before = bell.asked;

	while (now_us < end_us) {
		turn();
		if (bell.busy)
			answer(NULL, 0);
		CU_ASSERT_FATAL(d->timer.deadline_us != CLOCK_NEVER);
		if (d->timer.deadline_us > now_us)
			now_us = d->timer.deadline_us < end_us ? d->timer.deadline_us : end_us;
	}
	return bell.asked - before;
}

/* While events come claims look for themselves whether rungs hold. */
static void
test_asks_by_the_newest_rung_where_it_is_quiet(void)
{
	open_and_ask();
	answer(NULL, 0);
	shared.busy_us = now_us;
	quiet(QUIET_US / 2);
	TAP_INT(bell.last.rungs[0].from_id, 100);
	TAP_INT(bell.last.rungs[0].open, 0);
	quiet(QUIET_US);
	TAP_INT(bell.last.rungs[0].from_id, 100);
	TAP_INT(bell.last.rungs[0].open, 2);
}

static void
test_slows_down(void)
{
	int asked;

	open_and_ask();
	answer(NULL, 0);
	shared.busy_us = now_us;
	asked = quiet(BUSY_US);
	CU_ASSERT(asked >= BUSY_US / (POLL_MIN_MS * 1000) - 2);
	quiet(2000000);
	TAP_INT(doorman_poll_us(d), POLL_MAX_MS * 1000);
	asked = quiet(2000000);
	CU_ASSERT(asked >= 19 && asked <= 21);
	shared.busy_us = now_us;
	quiet(POLL_MAX_MS * 1000);
	TAP_INT(doorman_poll_us(d), POLL_MIN_MS * 1000);
}

/* With nobody to ask for it says a word often enough for the server, and no more. */
static void
test_idle(void)
{
	int asked;

	for (int i = 0; i < PIPES; i++)
		pipes[i].may_ring = false;
	open_and_ask(); /* the first word */
	TAP_INT(bell.last.count, 0);
	answer(NULL, 0);
	asked = quiet(10 * SESSION_MS * 1000);
	CU_ASSERT(asked >= 27 && asked <= 31);
}

static void
test_notified(void)
{
	doorman_free(d);
	cfg.notify = true;
	d = doorman_new(&shared, list, &count, &err);
	CU_ASSERT_TRUE(bell.listens);
	open_and_ask();
	answer(NULL, 0);
	shared.busy_us = now_us; /* writers ring: no need to ask often */
	CU_ASSERT(quiet(5000000) <= 5000 / NOTIFIED_POLL_MS + 30);
	TAP_INT(doorman_poll_us(d), NOTIFIED_POLL_MS * 1000);
	bell.asked = 0;
	bell.events.notified(bell.events.ctx);
	turn();
	TAP_INT(bell.asked, 1);
}

/* Its claim may have looked before the commit. */
static void
test_notified_in_a_turn(void)
{
	cfg.poll_max_ms = 60000;
	open_and_ask();
	answer(NULL, 0);
	pipes[1].may_ring = false;
	bell.events.notified(bell.events.ctx);
	turn();
	TAP_INT(bell.asked, 2);
	TAP_INT(bell.last.count, 2);
	answer((const int[]){2}, 1);
	turn();
	TAP_INT(bell.asked, 2);
	pipes[1].may_ring = true;
	doorman_wake(d);
	turn();
	TAP_INT_FATAL(bell.asked, 3);
	TAP_INT(bell.last.count, 3);
	answer((const int[]){1}, 1);
	TAP_INT(pipes[1].rings, 1);
	turn();
	TAP_INT(bell.asked, 3);
}

/* What was rung while the session was away. */
static void
test_asks_when_back(void)
{
	cfg.poll_min_ms = cfg.poll_max_ms = 60000;
	open_and_ask();
	answer(NULL, 0);
	now_us += 1000;
	turn();
	TAP_INT(bell.asked, 1);
	error_set(&err, ERR_RETRY, "gone");
	bell.events.lost(bell.events.ctx, &err);
	bell.events.ready(bell.events.ctx);
	turn();
	TAP_INT(bell.asked, 2);
}

static void
test_lost(void)
{
	open_and_ask();
	error_set(&err, ERR_RETRY, "gone");
	bell.open = bell.busy = false;
	bell.events.lost(bell.events.ctx, &err);
	TAP_INT(failures, 0);
	TAP_INT(logged, 1);
	CU_ASSERT_FATAL(d->link.timer.deadline_us != CLOCK_NEVER);
	d->link.timer.fire(&d->link.timer, 0, d->link.timer.deadline_us);
	CU_ASSERT_TRUE(bell.open);
	error_set(&err, ERR_CONFIG, "no right");
	bell.events.lost(bell.events.ctx, &err);
	TAP_INT(failures, 1);
	TAP_STR(failure.message, "no right");
	doorman_close(d);
	CU_ASSERT(d->link.timer.deadline_us == CLOCK_NEVER);
	CU_ASSERT_FALSE(bell.open);
}

static void
test_cannot_be_made(void)
{
	bell_fails = 1;
	CU_ASSERT_PTR_NULL(doorman_new(&shared, list, &count, &err));
	TAP_INT(err.kind, ERR_FATAL);
	bell_fails = 0;
	calloc_fails = 1;
	CU_ASSERT_PTR_NULL(doorman_new(&shared, list, &count, &err));
	calloc_fails = 0;
	for (int n = 0; n < 3; n++) {
		frees = watches = 0;
		add_fails_at = n;
		CU_ASSERT_PTR_NULL(doorman_new(&shared, list, &count, &err));
		TAP_INT(frees, 1);
	}
}

int
main(void)
{
	tap_suite_fixture("doorman", setup, teardown);
	tap_test("it asks for those who wait, with what is held back", test_asks_for_those_who_wait);
	tap_test("whom the answer names is rung", test_rings);
	tap_test("in quiet times it asks by the newest rung", test_asks_by_the_newest_rung_where_it_is_quiet);
	tap_test("it asks ever less often in quiet times", test_slows_down);
	tap_test("with nobody to ask for it only keeps awake", test_idle);
	tap_test("a notification asks at once", test_notified);
	tap_test("whoever was in a turn is asked for afterwards", test_notified_in_a_turn);
	tap_test("a bell that is back asks at once", test_asks_when_back);
	tap_test("a lost bell is opened again", test_lost);
	tap_test("making one fails", test_cannot_be_made);
	return tap_run();
}
