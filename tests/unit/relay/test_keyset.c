/* test_keyset.c - held keys as a set and as an array literal. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "unit/failing_alloc.h"

#define malloc(size) try_malloc(size)
#include "relay/keyset.c"
#undef malloc

#include "support/tap.h"

#define MANY 1000

static struct keyset ks, other;

static void
setup(void)
{
	ks = other = KEYSET_INIT;
	fails_at = allocs = 0;
}

static void
teardown(void)
{
	keyset_done(&ks);
	keyset_done(&other);
}

static void
add(struct keyset *set, const char *key)
{
	TAP_INT(keyset_add(set, slice_from(key)), 0);
}

static void
test_members(void)
{
	CU_ASSERT_FALSE(keyset_has(&ks, slice_from("a")));
	add(&ks, "a");
	add(&ks, "a");
	add(&ks, "");
	TAP_INT(keyset_count(&ks), 2);
	CU_ASSERT_TRUE(keyset_has(&ks, slice_from("a")));
	CU_ASSERT_TRUE(keyset_has(&ks, (struct slice){"ab", 1}));
	CU_ASSERT_TRUE(keyset_has(&ks, slice_from("")));
	CU_ASSERT_FALSE(keyset_has(&ks, slice_from("ab")));
	keyset_clear(&ks);
	TAP_INT(keyset_count(&ks), 0);
	CU_ASSERT_FALSE(keyset_has(&ks, slice_from("a")));
	CU_ASSERT_PTR_NULL(keyset_literal(&ks));
}

/* Events without a key have no order: nothing holds them. */
static void
test_null(void)
{
	TAP_INT(keyset_add(&ks, SLICE_NULL), 0);
	TAP_INT(keyset_count(&ks), 0);
	add(&ks, "a");
	CU_ASSERT_FALSE(keyset_has(&ks, SLICE_NULL));
}

static void
test_literal(void)
{
	CU_ASSERT_PTR_NULL(keyset_literal(&ks));
	add(&ks, "a");
	TAP_STR(keyset_literal(&ks), "{\"a\"}");
	add(&ks, "b\"\\c,{} NULL");
	TAP_STR(keyset_literal(&ks), "{\"a\",\"b\\\"\\\\c,{} NULL\"}");
	add(&ks, "");
	TAP_STR(keyset_literal(&ks), "{\"a\",\"b\\\"\\\\c,{} NULL\",\"\"}");
	CU_ASSERT_PTR_EQUAL(keyset_literal(&ks), keyset_literal(&ks));
}

static void
test_merge_and_within(void)
{
	CU_ASSERT_TRUE(keyset_within(&ks, &other));
	add(&ks, "a");
	CU_ASSERT_FALSE(keyset_within(&ks, &other));
	CU_ASSERT_TRUE(keyset_within(&other, &ks));
	add(&other, "b");
	CU_ASSERT_FALSE(keyset_within(&ks, &other));
	keyset_merge(&other, &ks);
	TAP_INT(keyset_count(&other), 2);
	CU_ASSERT_TRUE(keyset_within(&ks, &other));
	CU_ASSERT_FALSE(keyset_within(&other, &ks));
}

static void
test_many(void)
{
	char key[16];

	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		add(&ks, key);
	}
	TAP_INT(keyset_count(&ks), MANY);
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		CU_ASSERT_TRUE(keyset_has(&ks, slice_from(key)));
	}
}

/* Whichever allocation fails: a key is in the set, or the call said that it is not, and no other key is harmed. */
static void
test_faults(void)
{
	bool reached = true;

	for (long n = 1; reached; n++) {
		size_t count = 0;
		char key[16];

		allocs = 0;
		fails_at = n;
		for (int i = 0; i < 200; i++) {
			snprintf(key, sizeof(key), "k%d", i);
			if (keyset_add(&ks, slice_from(key)) == 0) {
				count++;
				CU_ASSERT_TRUE(keyset_has(&ks, slice_from(key)));
			} else
				CU_ASSERT_FALSE(keyset_has(&ks, slice_from(key)));
		}
		reached = allocs >= n;
		TAP_INT(keyset_count(&ks), count);
		CU_ASSERT(count >= 199);
		fails_at = 0;
		CU_ASSERT_PTR_NOT_NULL(keyset_literal(&ks));
		keyset_clear(&ks);
	}
}

int
main(void)
{
	tap_suite_fixture("keyset", setup, teardown);
	tap_test("members", test_members);
	tap_test("NULL is never one", test_null);
	tap_test("the array literal", test_literal);
	tap_test("merge and within", test_merge_and_within);
	tap_test("many", test_many);
	tap_test("each allocation fails once", test_faults);
	return tap_run();
}
