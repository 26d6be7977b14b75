/* test_stranded.c - batches that stay with Kafka: who waits behind them, what is settled when, and what memory that is out costs. */
#include <stdlib.h>
#include <string.h>

#include "unit/failing_alloc.h"

#define malloc(size) try_malloc(size)
#include "relay/keyset.c"
#undef malloc
#include "relay/stranded.c"

#include "support/tap.h"

static struct stranded st;

static void
setup(void)
{
	fails_at = 0;
	stranded_init(&st);
}

static void
teardown(void)
{
	for (int i = 0; i < st.count; i++)
		for (size_t k = 0; k < st.batches[i]->count; k++)
			if (st.batches[i]->slots[k].state == EV_SENT)
				batch_move(&st.batches[i]->slots[k], EV_REFUSED);
	stranded_done(&st);
}

/* Events id, id + 10, ... one for each letter, which is the key; '-' has none. All are with Kafka. */
static struct batch *
batch_of(int64_t id, const char *keys)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	struct batch *b = batch_new(strlen(keys));

	for (; *keys != '\0'; keys++, id += 10) {
		struct slot *slot = batch_add(b);

		slot->ev.id = id;
		if (*keys != '-')
			slot->ev.key = (struct slice){&letters[*keys - 'a'], 1};
		batch_move(slot, EV_SENT);
	}
	return b;
}

static bool
waits(int64_t id, const char *key)
{
	struct event ev = {.id = id, .key = key == NULL ? SLICE_NULL : slice_from(key)};

	return stranded_block(&st, &ev);
}

static void
test_nothing_stranded(void)
{
	CU_ASSERT_FALSE(waits(1, "a"));
	CU_ASSERT_PTR_NULL(stranded_due(&st, INT64_MAX - 1));
	CU_ASSERT_PTR_NULL(stranded_take_finished(&st));
	CU_ASSERT(stranded_look_from(&st) == INT64_MAX);
	CU_ASSERT(st.settle_due_us == CLOCK_NEVER);
}

/* Later events of the keys wait, and the events themselves, where a claim meets their rows again; others do not. */
static void
test_block(void)
{
	CU_ASSERT_TRUE(stranded_add(&st, batch_of(10, "ab-"), 1000));
	TAP_INT(stranded_in_flight(&st), 3);
	CU_ASSERT_FALSE(waits(5, "c"));
	CU_ASSERT_FALSE(waits(31, NULL));
	CU_ASSERT(st.passed_id == INT64_MAX);
	CU_ASSERT_TRUE(waits(500, "b"));
	CU_ASSERT_TRUE(waits(400, "a"));
	CU_ASSERT_TRUE(waits(30, NULL));
	TAP_INT(st.passed_id, 30);
}

/* What is settled lets its key go, at once with the order to look from the lowest event that waited. */
static void
test_settled_in_parts(void)
{
	struct batch *b = batch_of(10, "ab");

	CU_ASSERT_TRUE(stranded_add(&st, b, 1000));
	CU_ASSERT_TRUE(waits(100, "a") && waits(90, "b"));
	batch_move(&b->slots[0], EV_ACKED);
	stranded_reported(&st, 1000);
	TAP_INT(st.settle_due_us, 1000 + SETTLE_DELAY_US);
	CU_ASSERT_PTR_NULL(stranded_due(&st, 1000));
	CU_ASSERT_PTR_EQUAL(stranded_due(&st, 1000 + SETTLE_DELAY_US), b);
	TAP_INT(stranded_unsettled(&st), 1);
	CU_ASSERT_TRUE(waits(101, "a")); /* acknowledged is not settled */
	batch_settle_begin(b);
	batch_settle_end(b, true);
	CU_ASSERT_PTR_NULL(stranded_due(&st, INT64_MAX - 1));
	TAP_INT(stranded_look_from(&st), 90);
	CU_ASSERT_FALSE(waits(101, "a"));
	CU_ASSERT_TRUE(waits(102, "b"));
	CU_ASSERT_PTR_NULL(stranded_take_finished(&st));
	/* the last report is settled at once */
	batch_move(&b->slots[1], EV_ACKED);
	stranded_reported(&st, 2000);
	CU_ASSERT_PTR_EQUAL(stranded_due(&st, 2000), b);
	batch_settle_begin(b);
	batch_settle_end(b, true);
	CU_ASSERT_PTR_EQUAL(stranded_take_finished(&st), b);
	CU_ASSERT(st.settle_due_us == CLOCK_NEVER);
	batch_free(b);
	TAP_INT(stranded_look_from(&st), 102);
	CU_ASSERT_FALSE(waits(102, "b"));
}

/* A settle that did not come about is due again. */
static void
test_retry(void)
{
	struct batch *b = batch_of(10, "ab");

	CU_ASSERT_TRUE(stranded_add(&st, b, 1000));
	stranded_retry(&st, 77);
	CU_ASSERT(st.settle_due_us == CLOCK_NEVER);
	batch_move(&b->slots[0], EV_POISONED);
	stranded_reported(&st, 1000);
	CU_ASSERT_PTR_NULL(stranded_due(&st, 1001));
	stranded_retry(&st, 1001);
	CU_ASSERT_PTR_EQUAL(stranded_due(&st, 1001), b);
}

static void
test_no_room(void)
{
	struct batch *b = batch_of(1000, "x");

	b->bytes = 600;
	CU_ASSERT_TRUE(stranded_add(&st, b, 500)); /* the first always fits */
	b = batch_of(2000, "y");
	CU_ASSERT_FALSE(stranded_add(&st, b, 500));
	CU_ASSERT_TRUE(stranded_add(&st, b, 600));
	for (int i = 2; i < STRANDED_MAX; i++)
		CU_ASSERT_TRUE(stranded_add(&st, batch_of(i * 100, "z"), 600));
	b = batch_of(5, "q");
	CU_ASSERT_FALSE(stranded_add(&st, b, 600));
	batch_move(&b->slots[0], EV_REFUSED);
	batch_free(b);
}

/* Without memory no key is let go too early. */
static void
test_no_memory(void)
{
	struct batch *b = batch_of(10, "ab"), *other = batch_of(50, "c");

	fails_at = allocs + 2;
	CU_ASSERT_FALSE(stranded_add(&st, b, 1000));
	fails_at = 0;
	CU_ASSERT_TRUE(stranded_add(&st, b, 1000));
	CU_ASSERT_TRUE(stranded_add(&st, other, 1000));
	CU_ASSERT_TRUE(waits(60, "c"));
	fails_at = allocs + 2;
	CU_ASSERT(stranded_look_from(&st) == INT64_MAX);
	CU_ASSERT_TRUE(waits(61, "a") && waits(62, "b") && waits(63, "c"));
	TAP_INT(stranded_look_from(&st), 60);
	CU_ASSERT_TRUE(waits(64, "a"));
}

int
main(void)
{
	tap_suite_fixture("stranded", setup, teardown);
	tap_test("nothing stranded costs nothing", test_nothing_stranded);
	tap_test("keys and events of theirs wait", test_block);
	tap_test("settled in parts", test_settled_in_parts);
	tap_test("a settle is tried again", test_retry);
	tap_test("no room by number or bytes", test_no_room);
	tap_test("without memory keys stay", test_no_memory);
	return tap_run();
}
