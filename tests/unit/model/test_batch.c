/* test_batch.c - states, counts and settles of a batch. */
#include <assert.h>
#include <setjmp.h>
#include <stdlib.h>

#include "base/arena.h"

static int calloc_fails, arena_fails;

static inline void *
try_arena(struct arena *a, size_t size)
{
	return arena_fails ? NULL : arena_alloc(a, size);
}

#define calloc(count, size) (calloc_fails ? NULL : calloc(count, size))
#define arena_alloc(a, size) try_arena(a, size)
#include "model/batch.c"
#undef calloc
#undef arena_alloc

#include "support/tap.h"

/* An illegal move is a bug and asserts; here that is caught. */
static jmp_buf caught;

void
__assert_fail(const char *condition, const char *file, unsigned int line, const char *function)
{
	(void)condition, (void)file, (void)line, (void)function;
	longjmp(caught, 1);
}

static bool
move_is_legal(enum event_state from, enum event_state to)
{
	struct batch *volatile b = batch_new(1);
	struct slot *volatile slot = batch_add(b);
	volatile bool legal = false;

	b->counts[EV_CLAIMED]--;
	b->counts[from]++;
	slot->state = from;
	if (setjmp(caught) == 0) {
		batch_move(slot, to);
		legal = slot->state == to && b->counts[from] == 0 && b->counts[to] == 1;
	}
	b->counts[EV_SENT] = 0;
	batch_free(b);
	return legal;
}

static void
test_moves(void)
{
	static const char *const legal[EV_STATES] = {
		[EV_CLAIMED] = ".s.rhp.", [EV_SENT] = "..arhp.", [EV_ACKED] = "...r..S", [EV_REFUSED] = "....h..",
		[EV_HELD] = ".......", [EV_POISONED] = "...r..S", [EV_SETTLED] = "......."};

	for (int from = 0; from < EV_STATES; from++)
		for (int to = 0; to < EV_STATES; to++)
			TAP_INT(move_is_legal((enum event_state)from, (enum event_state)to), legal[from][to] != '.');
}

static struct batch *
batch_of(size_t count)
{
	struct batch *b = batch_new(count);

	for (size_t i = 0; i < count; i++)
		batch_add(b)->ev.id = (int64_t)(10 * i) - 10;
	return b;
}

static void
send(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		batch_move(&b->slots[i], EV_SENT);
}

static void
test_add(void)
{
	struct batch *b = batch_of(2);

	TAP_INT(b->count, 2);
	TAP_INT(b->counts[EV_CLAIMED], 2);
	CU_ASSERT_PTR_EQUAL(b->slots[1].batch, b);
	CU_ASSERT_PTR_NULL(b->slots[1].reason);
	CU_ASSERT_TRUE(slice_is_null(b->slots[1].ev.key));
	CU_ASSERT_TRUE(batch_reported(b));
	batch_free(b);
}

static void
test_settle(void)
{
	struct batch *b = batch_of(5);

	send(b);
	batch_move(&b->slots[0], EV_ACKED);
	batch_move(&b->slots[1], EV_POISONED);
	batch_move(&b->slots[2], EV_REFUSED);
	TAP_INT(batch_unsettled(b), 2);
	TAP_INT(batch_settle_begin(b), 2);
	/* what is reported meanwhile belongs to the next one */
	batch_move(&b->slots[3], EV_ACKED);
	TAP_INT(batch_settle_end(b, false), 2);
	TAP_INT(b->slots[0].state, EV_ACKED);
	TAP_INT(batch_unsettled(b), 3);
	TAP_INT(batch_settle_begin(b), 3);
	batch_move(&b->slots[4], EV_ACKED);
	TAP_INT(batch_settle_end(b, true), 3);
	TAP_INT(b->counts[EV_SETTLED], 3);
	TAP_INT(batch_unsettled(b), 1);
	CU_ASSERT_TRUE(batch_reported(b));
	TAP_INT(batch_settle_end(b, true), 0);
	TAP_INT(batch_settle_begin(b), 1);
	TAP_INT(batch_settle_end(b, true), 1);
	TAP_INT(batch_settle_begin(b), 0);
	batch_free(b);
}

/* What was refused is told once, with the lowest id. */
static void
test_take_refused(void)
{
	struct batch *b = batch_of(4);

	CU_ASSERT(batch_take_refused(b) == INT64_MAX);
	send(b);
	CU_ASSERT(batch_take_refused(b) == INT64_MAX);
	batch_move(&b->slots[0], EV_ACKED);
	batch_move(&b->slots[1], EV_HELD);
	batch_move(&b->slots[2], EV_REFUSED);
	batch_move(&b->slots[3], EV_REFUSED);
	TAP_INT(batch_take_refused(b), b->slots[2].ev.id);
	TAP_INT(b->counts[EV_HELD], 3);
	TAP_INT(b->counts[EV_REFUSED], 0);
	CU_ASSERT(batch_take_refused(b) == INT64_MAX);
	batch_free(b);
	b = batch_new(0);
	CU_ASSERT(batch_take_refused(b) == INT64_MAX);
	batch_free(b);
}

/* Somebody else has the rows: nothing is left to settle, what is on its way still is. */
static void
test_abandon(void)
{
	struct batch *b = batch_of(3);

	send(b);
	batch_move(&b->slots[0], EV_ACKED);
	batch_move(&b->slots[1], EV_POISONED);
	batch_abandon(b);
	TAP_INT(batch_unsettled(b), 0);
	CU_ASSERT_FALSE(batch_reported(b));
	TAP_INT(b->counts[EV_REFUSED], 2);
	batch_move(&b->slots[2], EV_ACKED);
	TAP_INT(batch_unsettled(b), 1);
	batch_free(b);
}

static void
backing_freed(void *backing)
{
	++*(int *)backing;
}

static void
test_free(void)
{
	struct batch *volatile b = batch_of(1);
	int freed = 0;

	b->backing = &freed;
	b->backing_free = backing_freed;
	send(b);
	if (setjmp(caught) == 0) {
		batch_free(b);
		CU_FAIL("a batch was freed under the producer");
	}
	TAP_INT(freed, 0);
	batch_move(&b->slots[0], EV_REFUSED);
	batch_free(b);
	TAP_INT(freed, 1);
	batch_free(NULL);
}

static void
test_no_memory(void)
{
	calloc_fails = 1;
	CU_ASSERT_PTR_NULL(batch_new(1));
	calloc_fails = 0;
	arena_fails = 1;
	CU_ASSERT_PTR_NULL(batch_new(1));
	arena_fails = 0;
}

int
main(void)
{
	tap_suite("batch");
	tap_test("legal moves", test_moves);
	tap_test("add", test_add);
	tap_test("settle", test_settle);
	tap_test("what was refused is told once", test_take_refused);
	tap_test("abandoned", test_abandon);
	tap_test("free", test_free);
	tap_test("no memory", test_no_memory);
	return tap_run();
}
