/* Tests of src/base/sorter.c: in memory, in runs, in passes; the edges between them; a disk that is full or not there. */
#include "base/sorter.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "support/tap.h"

struct record {
	uint64_t first;
	int64_t second;
};

static int
by_second(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return (x->second > y->second) - (x->second < y->second);
}

/* How many records are in memory at once. */
static struct sorter_how
how(size_t records, size_t runs_max)
{
	return (struct sorter_how){sizeof(struct record), records * (sizeof(struct record) + 32), by_second, runs_max};
}

static void
must(int rc, const struct error *err)
{
	if (rc != 0)
		tap_diag("%s", err->message);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
}

/* A number without a pattern, the same in each run. */
static uint64_t
mixed(uint64_t i)
{
	i = (i ^ i >> 31) * UINT64_C(0x9e3779b97f4a7c15);
	return i ^ i >> 29;
}

/* All that went in comes out, once and in order. keys: how many different first numbers there are. */
static void
sort(struct sorter_how h, int64_t count, uint64_t keys, bool expect_disk)
{
	struct sorter *s __attribute__((cleanup(sorter_free))) = NULL;
	struct record last = {0, INT64_MIN};
	const void *record;
	uint64_t sum = 0;
	struct error err;
	bool more = true;
	int64_t n = 0;

	must(sorter_new(&h, &s, &err), &err);
	for (int64_t i = 0; i < count; i++) {
		struct record r = {mixed((uint64_t)i) % keys, (int64_t)mixed((uint64_t)(count - i)) >> 1};

		sum += r.first * 31 + (uint64_t)r.second;
		must(sorter_add(s, &r, &err), &err);
	}
	TAP_INT(sorter_count(s), count);
	must(sorter_end(s, &err), &err);
	for (;; n++) {
		const struct record *r;

		must(sorter_next(s, &record, &more, &err), &err);
		if (!more)
			break;
		r = record;
		if (n > 0 && (r->first < last.first || (r->first == last.first && r->second < last.second)))
			CU_FAIL_FATAL("out of order");
		sum -= r->first * 31 + (uint64_t)r->second;
		last = *r;
	}
	TAP_INT(n, count);
	CU_ASSERT_EQUAL(sum, 0);
	must(sorter_next(s, &record, &more, &err), &err);
	CU_ASSERT_FALSE(more);
	CU_ASSERT_EQUAL(sorter_disk_bytes(s) > 0, expect_disk);
}

static void
nothing_and_little(void)
{
	sort(how(100, 0), 0, 1, false);
	sort(how(100, 0), 1, 1, false);
	sort(how(100, 0), 99, 1000, false);
	sort(how(100, 0), 100, 1000, false);
}

static void
runs(void)
{
	sort(how(100, 0), 101, 1000, true);
	sort(how(100, 0), 199, 1000, true);
	sort(how(100, 0), 200, 1000, true);
	sort(how(100, 0), 201, 1000, true);
	sort(how(1000, 0), 100000, 1 << 30, true);
}

static void
one_key_of_all(void)
{
	sort(how(100, 0), 10000, 1, true);
	sort(how(100, 3), 10000, 2, true);
}

static void
passes(void)
{
	for (int64_t runs_count = 2; runs_count <= 12; runs_count++) {
		sort(how(100, 2), runs_count * 100, 1 << 20, true);
		sort(how(100, 3), runs_count * 100 + 1, 1 << 20, true);
	}
	sort(how(16, 2), 20000, 1 << 20, true);
}

/* More windows than memory has records for. */
static void
little_memory(void)
{
	sort(how(0, 0), 16 * 40, 1 << 20, true);
}

static void
records_larger_than_a_piece(void)
{
	enum { BYTES = 20000 };
	const struct sorter_how h = {BYTES, 0, NULL, 2};
	struct sorter *s __attribute__((cleanup(sorter_free))) = NULL;
	char *record = calloc(1, BYTES);
	const void *out;
	struct error err;
	bool more;

	must(sorter_new(&h, &s, &err), &err);
	for (uint64_t i = 0; i < 100; i++) {
		uint64_t first = i * 37 % 100;

		memcpy(record, &first, sizeof(first));
		memset(record + BYTES - 8, (int)first, 8);
		must(sorter_add(s, record, &err), &err);
	}
	must(sorter_end(s, &err), &err);
	for (uint64_t i = 0; i < 100; i++) {
		must(sorter_next(s, &out, &more, &err), &err);
		CU_ASSERT_TRUE_FATAL(more);
		CU_ASSERT_EQUAL(*(const uint64_t *)out, i);
		TAP_INT(((const unsigned char *)out)[BYTES - 1], i);
	}
	must(sorter_next(s, &out, &more, &err), &err);
	CU_ASSERT_FALSE(more);
	free(record);
}

/* Adds until it fails, or for so many records. */
static int
fill(int64_t count, struct error *err)
{
	struct sorter *s __attribute__((cleanup(sorter_free))) = NULL;
	struct sorter_how h = how(100, 0);

	must(sorter_new(&h, &s, err), err);
	for (int64_t i = 0; i < count; i++)
		if (sorter_add(s, &(struct record){(uint64_t)i, i}, err) != 0)
			return -1;
	return sorter_end(s, err);
}

static void
no_directory(void)
{
	struct error err;

	setenv("TMPDIR", "/nonexistent", 1);
	TAP_INT(fill(1000, &err), -1);
	TAP_INT(err.kind, ERR_FATAL);
	TAP_HAS(err.message, "\"/nonexistent/pgoutbox-sort-");
	TAP_HAS(err.hint, "TMPDIR");
	TAP_INT(fill(100, &err), 0); /* has no need of it */
	unsetenv("TMPDIR");
}

static void
a_full_disk(void)
{
	struct rlimit was, small;
	struct error err;

	getrlimit(RLIMIT_FSIZE, &was);
	small = was;
	small.rlim_cur = 8000;
	setrlimit(RLIMIT_FSIZE, &small);
	TAP_INT(fill(10000, &err), -1);
	setrlimit(RLIMIT_FSIZE, &was);
	TAP_INT(err.kind, ERR_FATAL);
	TAP_HAS(err.message, "could not write a temporary file");
	TAP_HAS(err.hint, "TMPDIR");
}

int
main(void)
{
	signal(SIGXFSZ, SIG_IGN);
	tap_suite("sorter");
	tap_test("nothing, and what fits into memory", nothing_and_little);
	tap_test("runs, and their edges", runs);
	tap_test("one key of all records", one_key_of_all);
	tap_test("more runs than are merged at once", passes);
	tap_test("less memory than runs", little_memory);
	tap_test("large records", records_larger_than_a_piece);
	tap_test("a directory that is not there", no_directory);
	tap_test("a full disk", a_full_disk);
	return tap_run();
}
