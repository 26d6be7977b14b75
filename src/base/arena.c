/* arena.c - sizes in, memory out, that is given back all at once.
 *
 * Under AddressSanitizer what is not handed out is poisoned: a use after a reset is caught like one after free().
 */
#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif
#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
#define POISON(p, size) ASAN_POISON_MEMORY_REGION((p), (size))
#define UNPOISON(p, size) ASAN_UNPOISON_MEMORY_REGION((p), (size))
#else
#define POISON(p, size) ((void)0)
#define UNPOISON(p, size) ((void)0)
#endif

#define CHUNK_MIN ((size_t)4096) /* with its header */

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* of data */
	size_t used;
	max_align_t data[];
};

void
arena_done(struct arena *a)
{
	while (a->head != NULL) {
		struct arena_chunk *chunk = a->head;

		a->head = chunk->next;
		free(chunk);
	}
	*a = ARENA_INIT;
}

/* Each chunk is larger than those before it, so that the largest one is the newest, the head. */
void
arena_reset(struct arena *a)
{
	struct arena_chunk *largest = a->head;

	if (largest == NULL)
		return;
	a->head = largest->next;
	arena_done(a);
	largest->next = NULL;
	largest->used = 0;
	POISON(largest->data, largest->size);
	a->head = largest;
	a->allocated = sizeof *largest + largest->size;
}

static bool
add_chunk(struct arena *a, size_t size)
{
	size_t total = a->head == NULL ? CHUNK_MIN : 2 * (sizeof *a->head + a->head->size);
	struct arena_chunk *chunk;

	if (total < sizeof *chunk + size)
		total = sizeof *chunk + size;
	chunk = malloc(total);
	if (chunk == NULL)
		return false;
	chunk->next = a->head;
	chunk->size = total - sizeof *chunk;
	chunk->used = 0;
	POISON(chunk->data, chunk->size);
	a->head = chunk;
	a->allocated += total;
	return true;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	size_t step;
	void *p;

	/* malloc gives less than half of the address space: with a quarter as the limit no sum here can overflow. */
	if (size > SIZE_MAX / 4)
		return NULL;
	step = (size + (size == 0) + align - 1) / align * align;
	if ((a->head == NULL || a->head->size - a->head->used < step) && !add_chunk(a, step))
		return NULL;
	p = (char *)a->head->data + a->head->used;
	a->head->used += step;
	UNPOISON(p, size);
	return p;
}

char *
arena_copy(struct arena *a, struct slice s)
{
	char *copy = s.len < SIZE_MAX ? arena_alloc(a, s.len + 1) : NULL;

	if (copy == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}
