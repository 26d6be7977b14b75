/* failing_alloc.h - allocations of which the one with the number fails_at fails; 0: none. A test defines malloc() and the others as these
 * around the C files that it includes.
 */
#ifndef PGOUTBOX_TESTS_UNIT_FAILING_ALLOC_H
#define PGOUTBOX_TESTS_UNIT_FAILING_ALLOC_H

#include <stdbool.h>
#include <stdlib.h>

static long fails_at, allocs;

static inline bool
alloc_fails(void)
{
	return ++allocs == fails_at;
}

static inline void *
try_malloc(size_t size)
{
	return alloc_fails() ? NULL : malloc(size);
}

static inline void *
try_calloc(size_t count, size_t size)
{
	return alloc_fails() ? NULL : calloc(count, size);
}

static inline void *
try_realloc(void *p, size_t size)
{
	return alloc_fails() ? NULL : realloc(p, size);
}

#endif
