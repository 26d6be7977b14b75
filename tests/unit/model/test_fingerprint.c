/* Tests of src/model/fingerprint.c: what is equal, what differs, and by which part. */
#include "model/fingerprint.h"

#include "support/tap.h"

static struct fingerprint_how how = {{1, 2}, "replay", false};

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

	fingerprint_make(&how, m, &fp);
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

/* What SHA-256 gives for "v", as PostgreSQL's sha256() does. */
static void
receipts(void)
{
	static const unsigned char digest[] = {0x4c, 0x94, 0x48, 0x5e, 0x0c, 0x21, 0xae, 0x6c, 0x41, 0xce, 0x1d,
	                                       0xfe, 0x7b, 0x6b, 0xfa, 0xce, 0xea, 0x5a, 0xb6, 0x8e, 0x40, 0xa2,
	                                       0x47, 0x6f, 0x50, 0x20, 0x8e, 0x52, 0x6f, 0x50, 0x60, 0x80};
	struct slice sha256 = {(const char *)digest, sizeof(digest)};
	struct message m = message(usual, 3), tombstone = m;
	struct fingerprint bare, fp;

	how.digests = true;
	fp = of(&m);
	fingerprint_bare(&how, usual[0].value, m.key, sha256, &bare);
	CU_ASSERT_EQUAL(bare.id[0], fp.id[0]);
	CU_ASSERT_EQUAL(bare.id[1], fp.id[1]);
	CU_ASSERT_EQUAL(bare.key, fp.key);
	CU_ASSERT_EQUAL(bare.payload, fp.payload);
	CU_ASSERT_TRUE(bare.has_id && bare.has_key && !bare.marked);
	tombstone.value = SLICE_NULL;
	fingerprint_bare(&how, SLICE_NULL, SLICE_NULL, SLICE_NULL, &bare);
	CU_ASSERT_EQUAL(bare.payload, of(&tombstone).payload);
	CU_ASSERT_FALSE(bare.has_id || bare.has_key);
	how.digests = false;
	CU_ASSERT_NOT_EQUAL(of(&m).payload, fp.payload);
}

int
main(void)
{
	tap_suite("fingerprint");
	tap_test("key, payload and time", parts);
	tap_test("headers are a list", headers);
	tap_test("the mark is left out", the_mark);
	tap_test("the first id counts", ids);
	tap_test("receipts", receipts);
	return tap_run();
}
