/* Tests of src/base/arena.c, with an allocator that fails when it is told to and counts what is out. */
#include <stdlib.h>

static int allocations_left = -1; /* -1 = no limit */
static int chunks_out;

static void *
counting_malloc(size_t size)
{
	void *p;

	if (allocations_left == 0)
		return NULL;
	if (allocations_left > 0)
		allocations_left--;
	p = malloc(size);
	chunks_out += p != NULL;
	return p;
}

static void
counting_free(void *p)
{
	chunks_out -= p != NULL;
	free(p);
}

#define malloc counting_malloc
#define free counting_free
#include "../../../src/base/arena.c"
#undef malloc
#undef free

#include "support/tap.h"

static void
unlimited(void)
{
	allocations_left = -1;
	chunks_out = 0;
}

static void
test_empty(void)
{
	struct arena a = ARENA_INIT;

	arena_reset(&a);
	arena_done(&a);
	arena_done(&a);
	TAP_INT(a.allocated, 0);
}

static void
test_pieces_are_apart_and_aligned(void)
{
	struct arena a = ARENA_INIT;
	unsigned char *pieces[500];

	for (size_t i = 0; i < 500; i++) {
		pieces[i] = arena_alloc(&a, i);
		CU_ASSERT_PTR_NOT_NULL_FATAL(pieces[i]);
		TAP_INT_FATAL((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		memset(pieces[i], (int)(i % 251), i);
	}
	for (size_t i = 0; i < 500; i++) {
		for (size_t k = 0; k < i; k++)
			TAP_INT_FATAL(pieces[i][k], i % 251);
	}
	arena_done(&a);
	TAP_INT(chunks_out, 0);
}

static void
test_size_zero(void)
{
	struct arena a = ARENA_INIT;
	void *p = arena_alloc(&a, 0);
	void *q = arena_alloc(&a, 0);

	CU_ASSERT_PTR_NOT_NULL(p);
	CU_ASSERT_PTR_NOT_NULL(q);
	CU_ASSERT(p != q);
	arena_done(&a);
}

static void
test_chunks_double(void)
{
	struct arena a = ARENA_INIT;

	for (int i = 0; i < 100000; i++)
		CU_ASSERT_PTR_NOT_NULL_FATAL(arena_alloc(&a, 64));
	CU_ASSERT(chunks_out <= 12);
	CU_ASSERT(a.allocated >= 6400000);
	CU_ASSERT(a.allocated < 4 * 6400000);
	arena_done(&a);
	TAP_INT(chunks_out, 0);
	TAP_INT(a.allocated, 0);
}

static void
test_one_large_piece(void)
{
	struct arena a = ARENA_INIT;
	char *p;

	CU_ASSERT_PTR_NOT_NULL_FATAL(arena_alloc(&a, 10));
	p = arena_alloc(&a, 1 << 20);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	memset(p, 1, 1 << 20);
	TAP_INT(chunks_out, 2);
	arena_done(&a);
}

static void
test_reset_keeps_the_largest(void)
{
	struct arena a = ARENA_INIT;
	size_t kept;

	for (int i = 0; i < 1000; i++)
		CU_ASSERT_PTR_NOT_NULL_FATAL(arena_alloc(&a, 64));
	CU_ASSERT(chunks_out > 1);
	arena_reset(&a);
	TAP_INT(chunks_out, 1);
	kept = a.allocated;
	CU_ASSERT(kept > 32000);
	allocations_left = 0;
	for (size_t i = 0; i < kept / 2 / 64; i++)
		CU_ASSERT_PTR_NOT_NULL_FATAL(arena_alloc(&a, 64));
	TAP_INT(a.allocated, kept);
	arena_done(&a);
	TAP_INT(chunks_out, 0);
}

/* The same work again and again comes to rest with one chunk. */
static void
test_steady_state_allocates_nothing(void)
{
	struct arena a = ARENA_INIT;

	for (int round = 0; round < 20; round++) {
		if (round == 3)
			allocations_left = 0;
		for (int i = 0; i < 5000; i++)
			CU_ASSERT_PTR_NOT_NULL_FATAL(arena_alloc(&a, 100));
		arena_reset(&a);
	}
	TAP_INT(chunks_out, 1);
	arena_done(&a);
}

static void
test_failure_leaves_it_whole(void)
{
	struct arena a = ARENA_INIT;
	char *p;

	allocations_left = 0;
	CU_ASSERT_PTR_NULL(arena_alloc(&a, 1));
	CU_ASSERT_PTR_NULL(arena_copy(&a, slice_from("x")));
	TAP_INT(a.allocated, 0);
	allocations_left = 1;
	p = arena_copy(&a, slice_from("kept"));
	CU_ASSERT_PTR_NULL(arena_alloc(&a, 100000));
	TAP_STR(p, "kept");
	CU_ASSERT_PTR_NOT_NULL(arena_alloc(&a, 100));
	arena_done(&a);
	TAP_INT(chunks_out, 0);
}

static void
test_absurd_sizes(void)
{
	struct arena a = ARENA_INIT;

	CU_ASSERT_PTR_NULL(arena_alloc(&a, SIZE_MAX));
	CU_ASSERT_PTR_NULL(arena_alloc(&a, SIZE_MAX - 15));
	CU_ASSERT_PTR_NULL(arena_alloc(&a, SIZE_MAX / 2));
	CU_ASSERT_PTR_NULL(arena_copy(&a, (struct slice){"x", SIZE_MAX}));
	TAP_INT(a.allocated, 0);
	arena_done(&a);
}

static void
test_copy(void)
{
	struct arena a = ARENA_INIT;
	char source[] = "abc\0def";
	char *p = arena_copy(&a, (struct slice){source, 7});

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	memset(source, 'z', sizeof source);
	TAP_INT(memcmp(p, "abc\0def", 8), 0);
	TAP_STR(arena_copy(&a, SLICE_NULL), "");
	TAP_STR(arena_copy(&a, (struct slice){"", 0}), "");
	arena_done(&a);
}

int
main(void)
{
	tap_suite_fixture("arena", unlimited, unlimited);
	tap_test("empty", test_empty);
	tap_test("pieces are apart and aligned", test_pieces_are_apart_and_aligned);
	tap_test("size zero gives a pointer of its own", test_size_zero);
	tap_test("chunks double", test_chunks_double);
	tap_test("one large piece", test_one_large_piece);
	tap_test("reset keeps the largest chunk", test_reset_keeps_the_largest);
	tap_test("the steady state allocates nothing", test_steady_state_allocates_nothing);
	tap_test("a failure leaves it whole", test_failure_leaves_it_whole);
	tap_test("absurd sizes fail", test_absurd_sizes);
	tap_test("copy adds a NUL", test_copy);
	return tap_run();
}
