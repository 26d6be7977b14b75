/* sorter.c - in: records; out: the same in order. Knows no meaning of them but their first eight bytes. */
#include "base/sorter.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

#define RUNS_MAX 256
#define RECORDS_MIN 16 /* in memory at once, however large they are */

/* A record in memory, by its first number. */
struct entry {
	uint64_t first;
	const char *record;
};

/* A sorted part of the file. */
struct run {
	int64_t at, end; /* bytes that have not been read into memory */
	char *window;
	size_t used, len; /* of the window, bytes */
};

struct sorter {
	struct sorter_how how;
	int (*compare)(const void *a, const void *b);
	char *records;
	struct entry *entries;
	size_t room, count, next; /* records in memory */
	int64_t total, disk_bytes;
	int fd;
	int64_t file_bytes;
	struct run *runs;
	size_t runs_count;
	char *windows;
	size_t *heap; /* runs, the one with the least record first */
	size_t heap_count;
	bool merging;
	bool begun; /* the first of the heap was given out, and has to move on */
};

static int
out_of_memory(struct error *err)
{
	return error_set(err, ERR_RETRY, "out of memory");
}

static uint64_t
first_of(const char *record)
{
	uint64_t first;

	memcpy(&first, record, sizeof(first));
	return first;
}

/* --- the file --- */

static int
open_file(int *ret_fd, struct error *err)
{
	const char *dir = getenv("TMPDIR");
	struct buf name __attribute__((cleanup(buf_done))) = BUF_INIT;
	int fd;

	buf_printf(&name, "%s/pgoutbox-sort-XXXXXX", dir != NULL && dir[0] != '\0' ? dir : "/var/tmp");
	if (buf_failed(&name))
		return out_of_memory(err);
	fd = mkostemp(name.data, 0);
	if (fd < 0) {
		error_set(err, ERR_FATAL, "could not make a temporary file \"%s\": %s", buf_str(&name), strerror(errno));
		return error_hint(err, "set TMPDIR to a directory that has room");
	}
	(void)unlink(name.data);
	*ret_fd = fd;
	return 0;
}

static int
write_all(struct sorter *s, int fd, const char *data, size_t len, struct error *err)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, s->file_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			error_set(err, ERR_FATAL, "could not write a temporary file: %s", strerror(n < 0 ? errno : ENOSPC));
			return error_hint(err, "set TMPDIR to a directory that has more room");
		}
		data += n;
		len -= (size_t)n;
		s->file_bytes += n;
		s->disk_bytes += n;
	}
	return 0;
}

static int
read_all(const struct sorter *s, int64_t at, char *data, size_t len, struct error *err)
{
	while (len > 0) {
		ssize_t n = pread(s->fd, data, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, ERR_FATAL, "could not read a temporary file: %s", n < 0 ? strerror(errno) : "it has been cut");
		data += n;
		len -= (size_t)n;
		at += n;
	}
	return 0;
}

static int
add_run(struct sorter *s, int64_t from, struct error *err)
{
	struct run *runs = realloc(s->runs, (s->runs_count + 1) * sizeof(*runs));

	if (runs == NULL)
		return out_of_memory(err);
	s->runs = runs;
	s->runs[s->runs_count++] = (struct run){.at = from, .end = s->file_bytes};
	return 0;
}

/* --- in memory --- */

static int
compare_entries(const void *a, const void *b, void *ctx)
{
	const struct entry *x = a, *y = b;
	const struct sorter *s = ctx;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return s->compare != NULL ? s->compare(x->record, y->record) : 0;
}

static void
sort_records(struct sorter *s)
{
	size_t size = s->how.record_bytes;

	for (size_t i = 0; i < s->count; i++)
		s->entries[i] = (struct entry){first_of(s->records + i * size), s->records + i * size};
	qsort_r(s->entries, s->count, sizeof(*s->entries), compare_entries, s);
}

/* In pieces, so that the disk is not asked for each record. */
static int
write_sorted(struct sorter *s, struct error *err)
{
	size_t size = s->how.record_bytes;
	char piece[16384];
	size_t len = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (len + size > sizeof(piece)) {
			if (write_all(s, s->fd, piece, len, err) != 0)
				return -1;
			len = 0;
		}
		if (size > sizeof(piece)) {
			if (write_all(s, s->fd, s->entries[i].record, size, err) != 0)
				return -1;
			continue;
		}
		memcpy(piece + len, s->entries[i].record, size);
		len += size;
	}
	return write_all(s, s->fd, piece, len, err);
}

static int
spill(struct sorter *s, struct error *err)
{
	int64_t from = s->file_bytes;

	if (s->fd < 0 && open_file(&s->fd, err) != 0)
		return -1;
	sort_records(s);
	if (write_sorted(s, err) != 0)
		return -1;
	s->count = 0;
	return add_run(s, from, err);
}

int
sorter_new(const struct sorter_how *how, struct sorter **ret_sorter, struct error *err)
{
	struct sorter *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return out_of_memory(err);
	assert(how->record_bytes >= sizeof(uint64_t) && how->record_bytes % sizeof(uint64_t) == 0);
	s->how = *how;
	s->compare = how->compare;
	s->fd = -1;
	if (s->how.runs_max < 2)
		s->how.runs_max = RUNS_MAX;
	/* glibc's qsort takes as much as the entries again. */
	s->room = how->memory_bytes / (how->record_bytes + 2 * sizeof(struct entry));
	if (s->room < RECORDS_MIN)
		s->room = RECORDS_MIN;
	s->records = malloc(s->room * how->record_bytes);
	s->entries = malloc(s->room * sizeof(*s->entries));
	if (s->records == NULL || s->entries == NULL) {
		sorter_free(&s);
		return out_of_memory(err);
	}
	*ret_sorter = s;
	return 0;
}

void
sorter_free(struct sorter **sp)
{
	struct sorter *s = *sp;

	if (s == NULL)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s->records);
	free(s->entries);
	free(s->runs);
	free(s->windows);
	free(s->heap);
	free(s);
	*sp = NULL;
}

int
sorter_add(struct sorter *s, const void *record, struct error *err)
{
	assert(!s->merging);
	if (s->count == s->room && spill(s, err) != 0)
		return -1;
	memcpy(s->records + s->count * s->how.record_bytes, record, s->how.record_bytes);
	s->count++;
	s->total++;
	return 0;
}

/* --- the merge --- */

static int
fill(const struct sorter *s, struct run *r, size_t window_bytes, struct error *err)
{
	int64_t left = r->end - r->at;

	r->used = 0;
	r->len = left < (int64_t)window_bytes ? (size_t)left : window_bytes;
	if (read_all(s, r->at, r->window, r->len, err) != 0)
		return -1;
	r->at += (int64_t)r->len;
	return 0;
}

static bool
is_before(const struct sorter *s, size_t a, size_t b)
{
	const char *x = s->runs[a].window + s->runs[a].used, *y = s->runs[b].window + s->runs[b].used;
	uint64_t first_x = first_of(x), first_y = first_of(y);
	int order = 0;

	if (first_x != first_y)
		return first_x < first_y;
	if (s->compare != NULL)
		order = s->compare(x, y);
	return order != 0 ? order < 0 : a < b;
}

static void
sink_down(struct sorter *s, size_t at)
{
	for (;;) {
		size_t least = at, child = 2 * at + 1;

		for (size_t c = child; c < child + 2 && c < s->heap_count; c++)
			if (is_before(s, s->heap[c], s->heap[least]))
				least = c;
		if (least == at)
			return;
		size_t run = s->heap[at];
		s->heap[at] = s->heap[least];
		s->heap[least] = run;
		at = least;
	}
}

/* The memory that the records had, in whole records for each run. */
static size_t
window_bytes(const struct sorter *s, size_t runs)
{
	size_t size = s->how.record_bytes;
	size_t records = s->room / runs;

	return (records == 0 ? 1 : records) * size;
}

static int
begin_merge(struct sorter *s, size_t first, size_t count, struct error *err)
{
	size_t window = window_bytes(s, count);

	free(s->windows);
	free(s->heap);
	s->windows = malloc(count * window);
	s->heap = malloc(count * sizeof(*s->heap));
	if (s->windows == NULL || s->heap == NULL)
		return out_of_memory(err);
	s->heap_count = count;
	for (size_t i = 0; i < count; i++) {
		struct run *r = &s->runs[first + i];

		r->window = s->windows + i * window;
		s->heap[i] = first + i;
		if (fill(s, r, window, err) != 0)
			return -1;
	}
	for (size_t i = count; i > 0; i--)
		sink_down(s, i - 1);
	s->begun = false;
	return 0;
}

/* The least record of all runs of the merge. */
static int
take(struct sorter *s, size_t window, const void **ret_record, bool *ret_more, struct error *err)
{
	struct run *r;

	if (s->begun) {
		r = &s->runs[s->heap[0]];
		r->used += s->how.record_bytes;
		if (r->used == r->len && r->at < r->end && fill(s, r, window, err) != 0)
			return -1;
		if (r->used == r->len)
			s->heap[0] = s->heap[--s->heap_count];
		if (s->heap_count > 0)
			sink_down(s, 0);
	}
	s->begun = true;
	*ret_more = s->heap_count > 0;
	if (!*ret_more) {
		s->begun = false;
		return 0;
	}
	r = &s->runs[s->heap[0]];
	*ret_record = r->window + r->used;
	return 0;
}

/* Several runs become one, in another file. */
static int
merge_some(struct sorter *s, size_t first, size_t count, int fd, struct run *ret_run, struct error *err)
{
	size_t window = window_bytes(s, count);
	int64_t from = s->file_bytes;
	char piece[16384];
	size_t len = 0, size = s->how.record_bytes;
	const void *record;
	bool more;

	if (begin_merge(s, first, count, err) != 0)
		return -1;
	for (;;) {
		if (take(s, window, &record, &more, err) != 0)
			return -1;
		if (len > 0 && (!more || len + size > sizeof(piece))) {
			if (write_all(s, fd, piece, len, err) != 0)
				return -1;
			len = 0;
		}
		if (!more)
			break;
		if (size > sizeof(piece)) {
			if (write_all(s, fd, record, size, err) != 0)
				return -1;
			continue;
		}
		memcpy(piece + len, record, size);
		len += size;
	}
	*ret_run = (struct run){.at = from, .end = s->file_bytes};
	return 0;
}

/* All runs once through another file, in groups. */
static int
pass(struct sorter *s, int fd, struct error *err)
{
	size_t made = 0;

	s->file_bytes = 0;
	for (size_t i = 0; i < s->runs_count; i += s->how.runs_max) {
		size_t count = s->runs_count - i < s->how.runs_max ? s->runs_count - i : s->how.runs_max;
		struct run run;

		if (merge_some(s, i, count, fd, &run, err) != 0)
			return -1;
		s->runs[made++] = run; /* behind what has been merged already */
	}
	s->runs_count = made;
	return 0;
}

static int
reduce(struct sorter *s, struct error *err)
{
	while (s->runs_count > s->how.runs_max) {
		int fd;

		if (open_file(&fd, err) != 0)
			return -1;
		if (pass(s, fd, err) != 0) {
			close(fd);
			return -1;
		}
		close(s->fd);
		s->fd = fd;
	}
	return begin_merge(s, 0, s->runs_count, err);
}

int
sorter_end(struct sorter *s, struct error *err)
{
	assert(!s->merging);
	s->merging = true;
	if (s->runs_count == 0) {
		sort_records(s);
		return 0;
	}
	if (s->count > 0 && spill(s, err) != 0)
		return -1;
	free(s->records);
	free(s->entries);
	s->records = NULL;
	s->entries = NULL;
	return reduce(s, err);
}

int
sorter_next(struct sorter *s, const void **ret_record, bool *ret_more, struct error *err)
{
	assert(s->merging);
	if (s->runs_count > 0)
		return take(s, window_bytes(s, s->runs_count), ret_record, ret_more, err);
	*ret_more = s->next < s->count;
	if (*ret_more)
		*ret_record = s->entries[s->next++].record;
	return 0;
}

int64_t
sorter_count(const struct sorter *s)
{
	return s->total;
}

int64_t
sorter_disk_bytes(const struct sorter *s)
{
	return s->disk_bytes;
}
