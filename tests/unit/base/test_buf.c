/* Tests of src/base/buf.c, with an allocator that fails when it is told to. */
#include <stdlib.h>

static int allocations_left = -1; /* -1 = no limit */

static void *
failing_realloc(void *p, size_t size)
{
	if (allocations_left == 0)
		return NULL;
	if (allocations_left > 0)
		allocations_left--;
	return realloc(p, size);
}

#define realloc failing_realloc
#include "../../../src/base/buf.c"
#undef realloc

#include "support/tap.h"

static void
unlimited(void)
{
	allocations_left = -1;
}

static void
test_empty(void)
{
	struct buf b = BUF_INIT;

	TAP_STR(buf_str(&b), "");
	CU_ASSERT(!buf_failed(&b));
	buf_add(&b, NULL, 0);
	buf_add_slice(&b, SLICE_NULL);
	buf_add_str(&b, "");
	TAP_INT(b.len, 0);
	TAP_STR(buf_str(&b), "");
	buf_done(&b);
	CU_ASSERT_PTR_NULL(b.data);
}

static void
test_append(void)
{
	struct buf b __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_add_str(&b, "one");
	buf_add_char(&b, ' ');
	buf_add_slice(&b, (struct slice){"two three", 3});
	buf_add(&b, "\0x", 2);
	TAP_INT(b.len, 9);
	TAP_INT(memcmp(b.data, "one two\0x", 10), 0);
}

/* Each size once, so that every boundary of the capacity is met with and without the NUL. */
static void
test_growth(void)
{
	for (size_t first = 0; first < 200; first++) {
		struct buf b = BUF_INIT;
		char text[200];

		memset(text, 'a', sizeof text);
		buf_add(&b, text, first);
		buf_add_str(&b, "tail");
		TAP_INT_FATAL(b.len, first + 4);
		CU_ASSERT_FATAL(b.len < b.cap);
		TAP_INT_FATAL(memcmp(b.data, text, first), 0);
		TAP_STR_FATAL(b.data + first, "tail");
		buf_done(&b);
	}
}

static void
test_large(void)
{
	struct buf b __attribute__((cleanup(buf_done))) = BUF_INIT;

	allocations_left = 16;
	for (int i = 0; i < 100000; i++)
		buf_add_str(&b, "0123456789");
	TAP_INT(b.len, 1000000);
	TAP_INT(strlen(b.data), 1000000);
	CU_ASSERT(b.cap <= 2 * 1000001);
}

static void
test_printf(void)
{
	for (int width = 0; width < 300; width++) {
		struct buf b = BUF_INIT;
		char wanted[400];

		buf_add_str(&b, "x");
		buf_printf(&b, "%*s|", width, "y");
		snprintf(wanted, sizeof wanted, "x%*s|", width, "y");
		TAP_STR_FATAL(buf_str(&b), wanted);
		TAP_INT_FATAL(b.len, strlen(wanted));
		buf_done(&b);
	}
}

static void
test_big_endian(void)
{
	static const unsigned char wanted[] = {0xfe, 0xdc, 0x01, 0x23, 0x45, 0x67,
	                                       0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88};
	struct buf b __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_add_u16be(&b, 0xfedc);
	buf_add_u32be(&b, 0x01234567);
	buf_add_u64be(&b, UINT64_C(0xffeeddccbbaa9988));
	TAP_INT(b.len, sizeof wanted);
	TAP_INT(memcmp(b.data, wanted, sizeof wanted), 0);
}

static void
test_reset_keeps_memory(void)
{
	struct buf b __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *data;

	buf_add_str(&b, "something");
	data = b.data;
	buf_reset(&b);
	TAP_INT(b.len, 0);
	TAP_STR(buf_str(&b), "");
	buf_add_str(&b, "else");
	CU_ASSERT_PTR_EQUAL(b.data, data);
	TAP_STR(buf_str(&b), "else");
}

static void
test_failure_is_remembered(void)
{
	struct buf b __attribute__((cleanup(buf_done))) = BUF_INIT;
	char text[100];

	memset(text, 'a', sizeof text);
	buf_add_str(&b, "kept");
	allocations_left = 0;
	buf_add(&b, text, sizeof text);
	CU_ASSERT(buf_failed(&b));
	unlimited();
	buf_add_str(&b, "more");
	buf_printf(&b, "%d", 1);
	buf_add_u16be(&b, 1);
	CU_ASSERT(buf_failed(&b));
	TAP_STR(buf_str(&b), "kept");
	buf_reset(&b);
	CU_ASSERT(!buf_failed(&b));
	buf_add_str(&b, "anew");
	TAP_STR(buf_str(&b), "anew");
}

static void
test_first_allocation_fails(void)
{
	struct buf b = BUF_INIT;

	allocations_left = 0;
	buf_printf(&b, "%d", 1);
	CU_ASSERT(buf_failed(&b));
	TAP_STR(buf_str(&b), "");
	CU_ASSERT_PTR_NULL(buf_take(&b));
	CU_ASSERT(!buf_failed(&b));
}

/* The text fits the first guess no more, and then memory is out: no half of it may stay. */
static void
test_printf_fails_half_way(void)
{
	struct buf b __attribute__((cleanup(buf_done))) = BUF_INIT;

	buf_add_str(&b, "kept");
	allocations_left = 1;
	buf_printf(&b, "%500s", "x");
	CU_ASSERT(buf_failed(&b));
	TAP_STR(buf_str(&b), "kept");
	TAP_INT(b.len, 4);
}

/* Volatile, so that no compiler follows the size to the memcpy(3) that must not happen. */
static void
test_absurd_size(void)
{
	volatile size_t sizes[] = {SIZE_MAX, SIZE_MAX - 5, SIZE_MAX / 2};
	struct buf b __attribute__((cleanup(buf_done))) = BUF_INIT;

	for (size_t i = 0; i < 3; i++) {
		buf_reset(&b);
		buf_add_str(&b, "kept");
		buf_add(&b, "x", sizes[i]);
		CU_ASSERT(buf_failed(&b));
		TAP_STR(buf_str(&b), "kept");
	}
}

static void
test_take(void)
{
	struct buf b = BUF_INIT;
	char *text;

	buf_add_str(&b, "mine now");
	text = buf_take(&b);
	TAP_STR(text, "mine now");
	free(text);
	CU_ASSERT_PTR_NULL(b.data);
	TAP_INT(b.len, 0);
	text = buf_take(&b);
	TAP_STR(text, "");
	free(text);
}

static void
test_take_after_failure(void)
{
	struct buf b = BUF_INIT;

	buf_add_str(&b, "some");
	allocations_left = 0;
	buf_printf(&b, "%500s", "x");
	CU_ASSERT_PTR_NULL(buf_take(&b));
	CU_ASSERT_PTR_NULL(b.data);
	CU_ASSERT(!buf_failed(&b));
}

int
main(void)
{
	tap_suite_fixture("buf", unlimited, unlimited);
	tap_test("empty", test_empty);
	tap_test("append keeps the bytes", test_append);
	tap_test("growth at every boundary", test_growth);
	tap_test("a megabyte in small steps", test_large);
	tap_test("printf of every length", test_printf);
	tap_test("big-endian numbers", test_big_endian);
	tap_test("reset keeps the memory", test_reset_keeps_memory);
	tap_test("a failure is remembered until reset", test_failure_is_remembered);
	tap_test("the first allocation fails", test_first_allocation_fails);
	tap_test("printf fails half-way", test_printf_fails_half_way);
	tap_test("absurd sizes fail", test_absurd_size);
	tap_test("take moves the content out", test_take);
	tap_test("take after a failure gives nothing", test_take_after_failure);
	return tap_run();
}
