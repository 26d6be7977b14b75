/* Tests of src/model/fingerprint.c: what is equal, what differs, and by which part. */
#include "model/fingerprint.h"

#include "support/tap.h"

static const struct siphash_key key = {1, 2};

static const struct header usual[] = {{"id", {"e-1", 3}}, {"type", {"t", 1}}, {"trace", {"x", 1}}};

static struct message
message(const struct header *headers, size_t count)
{
	return (struct message){
		.topic = "a", .key = {"k", 1}, .value = {"v", 1}, .timestamp_ms = 1000, .headers = headers, .headers_count = count};
}

static struct fingerprint
of(const struct message *m)
{
	struct fingerprint fp;

	fingerprint_make(&key, m, "replay", &fp);
	return fp;
}

static uint64_t
headers_of(const struct header *headers, size_t count)
{
	struct message m = message(headers, count);

	return of(&m).headers;
}

static void
parts(void)
{
	struct message m = message(usual, 3), other = m;
	struct fingerprint fp = of(&m);

	CU_ASSERT_TRUE(fp.has_id && fp.has_key && !fp.marked);
	TAP_INT(fp.timestamp_ms, 1000);
	CU_ASSERT_EQUAL(of(&other).payload, fp.payload);
	other.value = (struct slice){"w", 1};
	CU_ASSERT_NOT_EQUAL(of(&other).payload, fp.payload);
	CU_ASSERT_EQUAL(of(&other).key, fp.key);
	other.value = (struct slice){"", 0};
	CU_ASSERT_NOT_EQUAL(of(&other).payload, 0);
	other.value = SLICE_NULL;
	CU_ASSERT_EQUAL(of(&other).payload, 0);
	other.key = SLICE_NULL;
	CU_ASSERT_FALSE(of(&other).has_key);
	other.timestamp_ms = -1;
	TAP_INT(of(&other).timestamp_ms, 0);
}

static void
headers(void)
{
	const struct header swapped[] = {usual[1], usual[0], usual[2]};
	const struct header renamed[] = {usual[0], usual[1], {"trac", {"ex", 2}}};
	const struct header emptied[] = {usual[0], usual[1], {"trace", {"", 0}}};
	const struct header nulled[] = {usual[0], usual[1], {"trace", {NULL, 0}}};
	uint64_t all[] = {headers_of(usual, 3),   headers_of(usual, 2),   headers_of(swapped, 3), headers_of(renamed, 3),
	                  headers_of(emptied, 3), headers_of(nulled, 3), headers_of(NULL, 0)};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (size_t k = 0; k < i; k++)
			CU_ASSERT_NOT_EQUAL(all[i], all[k]);
}

static void
the_mark(void)
{
	const struct header marked[] = {usual[0], {"replay", {"now", 3}}, usual[1], usual[2]};
	struct message m = message(marked, 4);

	CU_ASSERT_TRUE(of(&m).marked);
	CU_ASSERT_EQUAL(of(&m).headers, headers_of(usual, 3));
}

static void
ids(void)
{
	const struct header twice[] = {{"id", {"e-1", 3}}, {"id", {"e-2", 3}}};
	const struct header valueless[] = {{"id", {NULL, 0}}};
	struct message first = message(twice, 1), both = message(twice, 2), second = message(twice + 1, 1), none = message(valueless, 1);

	CU_ASSERT_EQUAL(of(&first).id[0], of(&both).id[0]);
	CU_ASSERT_EQUAL(of(&first).id[1], of(&both).id[1]);
	CU_ASSERT_NOT_EQUAL(of(&first).id[0], of(&second).id[0]);
	CU_ASSERT_FALSE(of(&none).has_id);
}

int
main(void)
{
	tap_suite("fingerprint");
	tap_test("key, payload and time", parts);
	tap_test("headers are a list", headers);
	tap_test("the mark is left out", the_mark);
	tap_test("the first id counts", ids);
	return tap_run();
}
