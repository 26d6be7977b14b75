/* sorter.h - sorts any number of records of one size in bounded memory.
 *
 *	sorter_new(&how, &s, err); while (...) sorter_add(s, &record, err);
 *	sorter_end(s, err); while (sorter_next(s, &record, &more, err) == 0 && more) ...
 *
 * What does not fit into memory goes to temporary files in runs, which are merged as they are read. The files are in TMPDIR, or in
 * /var/tmp (/tmp is memory on many machines), and have no name from the first moment on: nothing is left of them, however the
 * program ends. Blocks on the disk.
 */
#ifndef PGOUTBOX_BASE_SORTER_H
#define PGOUTBOX_BASE_SORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct sorter;

struct sorter_how {
	size_t record_bytes; /* a multiple of 8. A record begins with a uint64_t by which it is sorted first */
	size_t memory_bytes; /* in all, about */
	/* Below, equal to or above 0, as for qsort(), of two records whose first numbers are equal; NULL = there is no more to say. */
	int (*compare)(const void *a, const void *b);
	size_t runs_max; /* that are merged at once; 0 = as many as is good */
};

int sorter_new(const struct sorter_how *how, struct sorter **ret_sorter, struct error *err)
	__attribute__((warn_unused_result));
void sorter_free(struct sorter **s); /* for cleanup attributes too */

/* The record is copied. ERR_FATAL where the disk refuses, ERR_RETRY where memory is out; the sorter is of no more use then. */
int sorter_add(struct sorter *s, const void *record, struct error *err) __attribute__((warn_unused_result));

/* Nothing is added from now on. */
int sorter_end(struct sorter *s, struct error *err) __attribute__((warn_unused_result));

/* The next record, good until the next call. *ret_more false: that was all, and *ret_record is untouched. */
int sorter_next(struct sorter *s, const void **ret_record, bool *ret_more, struct error *err)
	__attribute__((warn_unused_result));

int64_t sorter_count(const struct sorter *s); /* added so far */
int64_t sorter_disk_bytes(const struct sorter *s); /* written in all; 0 = it fitted into memory */

#endif
